package repo

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"russet/backend"
	"russet/chunk"
	"russet/index"
)

// newStore makes a folder for a repository.
func newStore(t *testing.T) backend.Backend {
	t.Helper()
	be, err := backend.Create(t.Context(), filepath.Join(t.TempDir(), "repo"), backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return be
}

// judge is restic at work on one repository.
type judge struct {
	dir string // of the repository
	cwd string
	env []string // for a storage
}

func (j judge) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	if _, err := exec.LookPath("restic"); err != nil {
		t.Skip("judge missing: restic")
	}
	cmd := exec.CommandContext(t.Context(), "restic", append([]string{"-r", j.dir, "--no-cache"}, args...)...)
	cmd.Dir = j.cwd
	cmd.Env = append(os.Environ(), "RESTIC_PASSWORD="+testPassword, "RESTIC_FROM_PASSWORD="+testPassword)
	cmd.Env = append(cmd.Env, j.env...)
	return cmd
}

// run wants success.
func (j judge) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := j.command(t, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("restic %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// fail wants failure.
func (j judge) fail(t *testing.T, args ...string) string {
	t.Helper()
	out, err := j.command(t, args...).CombinedOutput()
	if _, ok := err.(*exec.ExitError); !ok {
		t.Fatalf("restic %s: %v, want it to fail\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func openStore(t *testing.T, dir string) (*Repository, backend.Backend) {
	t.Helper()
	be, err := backend.Open(t.Context(), dir, backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return checkClean(t, be), be
}

// What restic writes, in every form that it has, we read, check, restore and
// encode again.
func TestReadRestic(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		version     uint
		compression string
		byRestic    bool // init too, whose keys are dear
	}{{1, "auto", true}, {2, "auto", true}, {2, "off", false}, {2, "max", false}} {
		t.Run(c.compression+string(rune('0'+c.version)), func(t *testing.T) {
			t.Parallel()
			source := plainLinks(t, sourceFolder(t))
			j := judge{dir: filepath.Join(t.TempDir(), "repo"), cwd: source}
			if c.byRestic {
				j.run(t, "init", "--repository-version", string(rune('0'+c.version)))
			} else {
				be, err := backend.Create(t.Context(), j.dir, backend.Options{})
				if err != nil {
					t.Fatal(err)
				}
				initRepo(t, be, c.version)
			}
			j.run(t, "backup", "--compression", c.compression, "--host", "phone", "--tag", "one,two", "--time", "2026-02-03 04:05:06", ".")
			if err := os.WriteFile(filepath.Join(source, "added"), []byte("later"), 0o640); err != nil {
				t.Fatal(err)
			}
			j.run(t, "backup", "--compression", c.compression, ".")

			r, _ := openStore(t, j.dir)
			if r.Version() != c.version {
				t.Errorf("version %d, want %d", r.Version(), c.version)
			}
			snaps, err := r.AllSnapshots(t.Context())
			if err != nil || len(snaps) != 2 {
				t.Fatalf("%d snapshots, %v", len(snaps), err)
			}
			first := snaps[0]
			if when := time.Date(2026, 2, 3, 4, 5, 6, 0, time.Local); first.Hostname != "phone" || !slices.Equal(first.Tags, []string{"one", "two"}) || !first.Time.Equal(when) {
				t.Errorf("first snapshot: %+v", first)
			}
			sameTrees(t, r)
			sameFolder(t, extract(t, r, *snaps[1].Tree), source)
			if names := entries(t, extract(t, r, *first.Tree)); slices.Contains(names, "added") {
				t.Error("the older snapshot has the newer file")
			}
		})
	}
}

// sameTrees encodes all trees again.
func sameTrees(t *testing.T, r *Repository) {
	t.Helper()
	trees := 0
	for loc := range r.index.Blobs() {
		if loc.Type != index.Tree {
			continue
		}
		trees++
		plain, err := r.Load(t.Context(), loc.Handle, nil)
		if err != nil {
			t.Fatal(err)
		}
		tree, err := DecodeTree(plain)
		if err != nil {
			t.Fatal(err)
		}
		if again := tree.Append(nil); string(again) != string(plain) || tree.Lossy {
			t.Errorf("got %s, want %s, lossy %v", again, plain, tree.Lossy)
		}
	}
	if trees < 4 {
		t.Errorf("only %d trees", trees)
	}
}

// judged is a repository of ours with two versions of a folder.
func judged(t *testing.T, version uint) (j judge, source string, first, second chunk.ID) {
	t.Helper()
	source = plainLinks(t, sourceFolder(t))
	j.dir = filepath.Join(t.TempDir(), "repo")
	be, err := backend.Create(t.Context(), j.dir, backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := initRepo(t, be, version)
	keep := func(when time.Time) chunk.ID {
		w := r.NewWriter(t.Context())
		defer w.Close()
		tree := keepFolder(t, r, w, source)
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := &Snapshot{Time: when, Tree: &tree, Paths: []string{"/"}, Hostname: "iPhone", Tags: []string{"ios-18.1"}}
		id, err := r.SaveSnapshot(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	first = keep(testTime())
	if err := os.WriteFile(filepath.Join(source, "added"), payload(3, 700_000), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(source, "text")); err != nil {
		t.Fatal(err)
	}
	return j, source, first, keep(testTime().Add(time.Hour))
}

// Every verb of restic works on what we write, and leaves what we can read.
func TestResticJudges(t *testing.T) {
	t.Parallel()
	for _, version := range []uint{1, 2} {
		t.Run(string(rune('0'+version)), func(t *testing.T) {
			t.Parallel()
			j, source, first, second := judged(t, version)
			wants := func(out string, words ...string) {
				t.Helper()
				for _, w := range words {
					if !strings.Contains(out, w) {
						t.Errorf("want %q in: %s", w, out)
					}
				}
			}
			wants(j.run(t, "check", "--read-data"), "no errors were found")
			wants(j.run(t, "snapshots", "--json"), first.String(), second.String(), `"iPhone"`, `"ios-18.1"`)
			wants(j.run(t, "ls", "-l", "latest"), "/photo", "/odd/xa", "/odd/fifo", "/added")
			wants(j.run(t, "find", "added"), second.String()[:8], "/added")
			wants(j.run(t, "diff", first.String(), second.String()), "+    /added", "-    /text")
			wants(j.run(t, "stats", "--mode", "raw-data", "latest"), "Total Blob Count")
			if out := j.run(t, "dump", "-q", "latest", "/added"); out != string(payload(3, 700_000)) {
				t.Errorf("dump gives %d bytes", len(out))
			}
			target := t.TempDir()
			j.run(t, "restore", "latest", "--target", target)
			sameFolder(t, target, source)

			to := judge{dir: filepath.Join(t.TempDir(), "repo")}
			be, err := backend.Create(t.Context(), to.dir, backend.Options{})
			if err != nil {
				t.Fatal(err)
			}
			initRepo(t, be, version)
			to.run(t, "copy", "--from-repo", j.dir)
			r, _ := openStore(t, to.dir)
			snaps, err := r.AllSnapshots(t.Context())
			if err != nil || len(snaps) != 2 {
				t.Fatalf("copied %d snapshots, %v", len(snaps), err)
			}
			sameFolder(t, extract(t, r, *snaps[1].Tree), source)

			j.run(t, "rebuild-index", "--read-all-packs")
			openStore(t, j.dir)
			j.run(t, "tag", "--add", "pinned", first.String())
			wants(j.run(t, "forget", "--prune", "--max-unused", "0", "--keep-last", "1"), "removed")
			if r, _ = openStore(t, j.dir); r.index.Has(index.Handle{ID: chunk.Sum([]byte("compress me. ")), Type: index.Data}) {
				t.Error("prune left what it had to remove")
			}
			latest, err := r.FindSnapshot(t.Context(), "latest", nil)
			if err != nil {
				t.Fatal(err)
			}
			sameFolder(t, extract(t, r, *latest.Tree), source)
			if err := r.RemoveSnapshot(t.Context(), latest.ID()); err != nil {
				t.Fatal(err)
			}
			wants(j.run(t, "recover"), "snapshot")
			if r, _ = openStore(t, j.dir); len(lostRoots(t, r)) == 0 {
				t.Error("recover found nothing")
			}
			wants(j.run(t, "check", "--read-data"), "no errors were found")
		})
	}
}

// lostRoots lists the folders of the newest snapshot.
func lostRoots(t *testing.T, r *Repository) []*Node {
	t.Helper()
	s, err := r.FindSnapshot(t.Context(), "latest", nil)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := r.LoadTree(t.Context(), *s.Tree)
	if err != nil {
		t.Fatal(err)
	}
	return tree.Nodes
}

// restic mount shows what we wrote.
func TestResticMount(t *testing.T) {
	t.Parallel()
	if f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0); err != nil {
		t.Skip("not here: ", err)
	} else if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	unmount, err := exec.LookPath("fusermount3")
	if err != nil {
		if unmount, err = exec.LookPath("fusermount"); err != nil {
			t.Skip("judge missing: fusermount3")
		}
	}
	j, source, _, _ := judged(t, 2)
	point := t.TempDir()
	cmd := j.command(t, "mount", point)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	photo := filepath.Join(point, "snapshots", "latest", "photo")
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(photo); err == nil {
			break
		}
		select {
		case <-ended:
			t.Skip("not here: ", said.String())
		default:
		}
		if time.Since(start) > 20*time.Second {
			t.Errorf("mount shows nothing")
			break
		}
	}
	got, err := os.ReadFile(photo)
	if err != nil || string(got) != string(payload(1, 1_500_000)) {
		t.Errorf("read through the mount: %d bytes, %v", len(got), err)
	}
	if got, want := entries(t, filepath.Join(point, "snapshots", "latest", "odd")), entries(t, source+"/odd"); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if out, err := exec.CommandContext(t.Context(), unmount, "-u", point).CombinedOutput(); err != nil {
		t.Errorf("unmount: %v: %s", err, out)
	}
	<-ended
	openStore(t, j.dir)
}
