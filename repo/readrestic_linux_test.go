package repo

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"russet/backend"
	"russet/chunk"
)

// mutate changes a folder at random: files, links and folders come, go and
// change, some with content that is elsewhere already.
func mutate(t *testing.T, rng *rand.Rand, dir string, n int) {
	t.Helper()
	names := []string{"a", "b", "c", "A", "foo", "foo.txt", "bar.txt", "b[r]", "x y", "Library"}
	for range n {
		path := dir
		for range 1 + rng.IntN(4) {
			path = filepath.Join(path, names[rng.IntN(len(names))])
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			continue // a file is in the way
		}
		var err error
		switch rng.IntN(8) {
		case 0, 1:
			err = os.RemoveAll(path)
		case 2:
			_ = os.Symlink("target", path)
		case 3:
			_ = os.Mkdir(path, 0o755)
		default:
			if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
				continue
			}
			err = os.WriteFile(path, bytes.Repeat([]byte("content "), rng.IntN(40)), fs.FileMode(0o600+rng.IntN(2)))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// folderVersions is a repository with several versions of a folder, oldest first.
func folderVersions(t *testing.T, rng *rand.Rand, n int) (judge, *Repository, []*Snapshot) {
	t.Helper()
	j := judge{dir: filepath.Join(t.TempDir(), "repo")}
	be, err := backend.Create(t.Context(), j.dir, backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := initRepo(t, be, 2)
	source := t.TempDir()
	mutate(t, rng, source, 120)
	var snaps []*Snapshot
	for i := range n {
		w := r.NewWriter(t.Context())
		tree := keepFolder(t, r, w, source)
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.Close()
		s := &Snapshot{Time: testTime().AddDate(0, 0, i), Tree: &tree, Paths: []string{"/phone"}, Hostname: "h"}
		if _, err := r.SaveSnapshot(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		snaps = append(snaps, s)
		mutate(t, rng, source, 12)
	}
	return j, r, snaps
}

// restic's diff is the judge of ours.
func TestDiffJudged(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short: restic is asked many times")
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	j, r, snaps := folderVersions(t, rand.New(rand.NewPCG(seed, 0)), 3)
	for _, p := range []struct{ first, second int }{{0, 1}, {2, 0}} {
		for _, metadata := range []bool{false, true} {
			first, second := snaps[p.first], snaps[p.second]
			args := []string{"diff", "--json", first.ID().String(), second.ID().String()}
			if metadata {
				args = append(args, "--metadata")
			}
			out, err := j.command(t, args...).Output()
			if err != nil {
				t.Fatalf("restic %q: %v", args, err)
			}
			var want []string
			for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
				var m struct{ Modifier, Path string }
				if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
					t.Fatal(err)
				}
				if m.Modifier != "" {
					want = append(want, m.Modifier+" "+m.Path)
				} else {
					want = append(want, lines.Text())
				}
			}
			var got []string
			stats, err := r.Diff(t.Context(), *first.Tree, *second.Tree, DiffOptions{Metadata: metadata}, func(c Change) error {
				got = append(got, c.Modifier+" /"+c.Path)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			count := func(c DiffCount) string {
				return fmt.Sprintf(`{"files":%d,"dirs":%d,"others":%d,"data_blobs":%d,"tree_blobs":%d,"bytes":%d}`, c.Files, c.Dirs, c.Others, c.DataBlobs, c.TreeBlobs, c.Bytes)
			}
			got = append(got, fmt.Sprintf(`{"message_type":"statistics","source_snapshot":"%s","target_snapshot":"%s","changed_files":%d,"added":%s,"removed":%s}`,
				first.ID(), second.ID(), stats.ChangedFiles, count(stats.Added), count(stats.Removed)))
			if !slices.Equal(got, want) {
				t.Errorf("%d to %d, metadata %v: got only %q, want also %q", p.first, p.second, metadata, tagsWithout(got, want), tagsWithout(want, got))
			}
		}
	}
}

// restic's find is the judge of which names a pattern means.
func TestFindJudged(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short: restic is asked many times")
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	j, r, snaps := folderVersions(t, rng, 3)
	all := [][]string{
		{"foo"}, {"*.txt"}, {"a/b"}, {"/a"}, {"/a/*/c", "x y"}, {"a/**/c"}, {"/**/foo.txt"}, {"b[[]r]"}, {"[a-c]"}, {"b*/"}, {"./a"}, {"a/../b"}, {"**"}, {"/"}, {"/**"}, {"foo/**"}, {"LIBRARY", "-i"},
	}
	rng.Shuffle(len(all), func(a, b int) { all[a], all[b] = all[b], all[a] })
	for _, patterns := range all[:6] { // each costs restic a quarter of a second
		args := append([]string{"find", "--json"}, patterns...)
		fold := patterns[len(patterns)-1] == "-i"
		if fold {
			patterns = patterns[:len(patterns)-1]
		}
		out, err := j.command(t, args...).Output()
		if err != nil {
			t.Fatalf("restic %q: %v", args, err)
		}
		var list []struct {
			Matches  []struct{ Path string }
			Snapshot chunk.ID
		}
		if err := json.Unmarshal(out, &list); err != nil {
			t.Fatalf("restic %q: %v", args, err)
		}
		want := map[chunk.ID][]string{}
		for _, l := range list {
			for _, m := range l.Matches {
				want[l.Snapshot] = append(want[l.Snapshot], m.Path)
			}
		}
		f, err := r.NewFinder(fold, patterns...)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range snaps {
			var got []string
			err := f.Find(t.Context(), *s.Tree, nil, func(path string, n *Node) error {
				// Once restic has met a tree in which nothing matched, such as that
				// of an empty folder, it leaves out all folders with the same one.
				if n.Type != TypeDir || slices.Contains(want[s.ID()], "/"+path) {
					got = append(got, "/"+path)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(got)
			slices.Sort(want[s.ID()])
			if !slices.Equal(got, want[s.ID()]) {
				t.Errorf("%q: got only %q, want also %q", args, tagsWithout(got, want[s.ID()]), tagsWithout(want[s.ID()], got))
			}
		}
	}
}

// restic's stats is the judge of what snapshots hold.
func TestMeterJudged(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short: restic is asked many times")
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	j, r, snaps := folderVersions(t, rand.New(rand.NewPCG(seed, 0)), 4)
	type stats struct {
		TotalSize int64 `json:"total_size"`
		Blobs     int64 `json:"total_blob_count"`
		Snapshots int   `json:"snapshots_count"`
	}
	ask := func(mode string, snaps ...*Snapshot) (s stats) {
		t.Helper()
		args := []string{"stats", "--json", "--mode", mode}
		for _, s := range snaps {
			args = append(args, s.ID().String())
		}
		out, err := j.command(t, args...).Output()
		if err == nil {
			err = json.Unmarshal(out, &s)
		}
		if err != nil {
			t.Fatalf("restic %q: %v", args, err)
		}
		return s
	}
	check := func(name string, u Usage, size, raw stats) {
		t.Helper()
		if u.FileBytes != size.TotalSize || u.Snapshots != size.Snapshots || u.StoredBytes != raw.TotalSize || u.Blobs != raw.Blobs || u.Lost != 0 {
			t.Errorf("%s: got %+v, want %+v and %+v", name, u, size, raw)
		}
	}
	m := r.NewMeter()
	for _, group := range [][]*Snapshot{snaps[:3], snaps[3:]} {
		u, err := m.Measure(t.Context(), group)
		if err != nil {
			t.Fatal(err)
		}
		check("group", u, ask("restore-size", group...), ask("raw-data", group...))
	}
	check("all", m.Total(), ask("restore-size"), ask("raw-data"))
}
