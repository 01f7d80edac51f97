package repo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
	"russet/crypto"
	"russet/index"
)

// check runs a whole check, and returns the result and what was reported.
func check(t *testing.T, r *Repository) (CheckResult, []Problem, error) {
	t.Helper()
	var found []Problem
	res, err := r.Check(t.Context(), CheckOptions{Read: AllPacks(), Report: func(p Problem) { found = append(found, p) }})
	if (err == nil) != (res.Errors == 0) {
		t.Errorf("check: %d errors, but %v", res.Errors, err)
	}
	return res, found, err
}

// checkClean opens the repository in be and wants nothing wrong with it.
func checkClean(t *testing.T, be backend.Backend) *Repository {
	t.Helper()
	r, err := Open(t.Context(), be, testPassword)
	if err != nil {
		t.Fatal(err)
	}
	if _, found, err := check(t, r); err != nil {
		t.Fatalf("%v: %v", err, found)
	}
	if err := r.LoadIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func ofKind(found []Problem, kind ProblemKind) []Problem {
	var some []Problem
	for _, p := range found {
		if p.Kind == kind {
			some = append(some, p)
		}
	}
	return some
}

// on is r with other files.
func on(r *Repository, be backend.Backend) *Repository {
	copied := *r
	copied.be = be
	return &copied
}

// smallRepo is a repository of few bytes that has a file of each kind.
func smallRepo(t *testing.T) (*Repository, *backend.Memory) {
	t.Helper()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	saveFiles(t, r, map[string][]byte{"one": []byte("hello"), "two": []byte(strings.Repeat("text ", 500)), "three": payload(7, 300)})
	if _, err := r.saveLock(t.Context(), lockFile{Time: testTime(), Hostname: "elsewhere", PID: 1}); err != nil {
		t.Fatal(err)
	}
	return r, be
}

func files(t *testing.T, be backend.Backend) []backend.File {
	t.Helper()
	var all []backend.File
	for k := backend.Config; k <= backend.Data; k++ {
		for info, err := range be.List(t.Context(), k) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, backend.File{Kind: k, Name: info.Name})
		}
	}
	return all
}

func TestCheckClean(t *testing.T) {
	t.Parallel()
	for _, version := range []uint{1, 2} {
		be := backend.NewMemory()
		r := initRepo(t, be, version)
		saveFiles(t, r, testFiles())
		saveFiles(t, r, map[string][]byte{"other": []byte("thing")})
		var stored int64
		packs := 0
		for info := range be.List(t.Context(), backend.Data) {
			packs++
			stored += info.Size
		}
		p := new(Progress)
		res, err := r.Check(t.Context(), CheckOptions{Read: AllPacks(), Progress: p, Report: func(p Problem) { t.Error(p) }})
		if err != nil {
			t.Fatal(err)
		}
		want := CheckResult{
			IndexFiles: 2, Packs: packs, Blobs: r.index.Len(), Snapshots: 2, Trees: 4,
			PackBytes: stored, PacksRead: packs, BytesRead: stored,
		}
		if res != want {
			t.Errorf("version %d: got %+v, want %+v", version, res, want)
		}
		if s := p.State(); s.Phase != "reading packs" || s.Bytes != stored || s.TotalBytes != stored || s.Files != int64(packs) {
			t.Errorf("progress: %+v, want %d bytes of %d packs", s, stored, packs)
		}
		if res, err = r.Check(t.Context(), CheckOptions{}); err != nil || res.PacksRead != 0 {
			t.Errorf("without reading: %+v, %v", res, err)
		}
	}
}

// Wherever a bit turns over, a check says in which file, and what it costs.
func TestCheckBitFlips(t *testing.T) {
	t.Parallel()
	r, be := smallRepo(t)
	kinds := map[backend.Kind][]ProblemKind{
		backend.Config: {BadConfig}, backend.Key: {BadKey}, backend.Lock: {BadLock}, backend.Index: {BadIndex},
		backend.Snapshot: {BadSnapshot}, backend.Data: {PackDamaged},
	}
	tried, step := 0, 1
	if testing.Short() {
		step = 13
	}
	for _, f := range files(t, be) {
		data, err := backendtest.Read(t.Context(), be, f)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(data); i += step {
			flip := backendtest.FlipBit(f, int64(i), uint8(i))
			_, found, err := check(t, on(r, backendtest.NewFaulty(be, backendtest.Faults{Corrupt: flip})))
			tried++
			if !errors.Is(err, ErrDamaged) {
				t.Fatalf("%v, byte %d: %v, want ErrDamaged", f, i, err)
			}
			kind := kinds[f.Kind][0]
			if some := ofKind(found, kind); len(some) != 1 || some[0].File != f {
				t.Fatalf("%v, byte %d: found %v, want one %v", f, i, found, kind)
			}
			if f.Kind == backend.Data {
				wantLost(t, r, f, i, found)
			}
		}
	}
	t.Logf("%d bits in %d files", tried, len(files(t, be)))
}

// wantLost compares the paths that are reported with the blob in which a bit of
// a pack was turned over.
func wantLost(t *testing.T, r *Repository, f backend.File, at int, found []Problem) {
	t.Helper()
	var damaged index.Handle
	for loc := range r.index.Blobs() {
		if loc.Pack.String() == f.Name && int(loc.Offset) <= at && at < int(loc.Offset+loc.Length) {
			damaged = loc.Handle
		}
	}
	var want []string
	err := walkAll(t, r, func(path string, n *Node) {
		if n.Subtree != nil && (index.Handle{ID: *n.Subtree, Type: index.Tree}) == damaged {
			want = append(want, "affected folder "+path)
		}
		for _, id := range n.Content {
			if (index.Handle{ID: id, Type: index.Data}) == damaged {
				want = append(want, "affected file "+path)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range found {
		if p.Kind.Consequence() {
			got = append(got, p.Kind.String()+" "+p.Path)
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%v, byte %d (%v): got %q, want %q", f, at, damaged, got, want)
	}
}

// walkAll visits the nodes of all snapshots, their roots as "/".
func walkAll(t *testing.T, r *Repository, visit func(path string, n *Node)) error {
	t.Helper()
	snaps, err := r.AllSnapshots(t.Context())
	if err != nil {
		return err
	}
	for _, s := range snaps {
		visit("/", &Node{Type: TypeDir, Subtree: s.Tree})
		err := r.Walk(t.Context(), *s.Tree, func(path string, n *Node, err error) error {
			visit("/"+path, n)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// A file that is cut short, grown or gone is found without reading packs.
func TestCheckTruncated(t *testing.T) {
	t.Parallel()
	r, be := smallRepo(t)
	for _, f := range files(t, be) {
		data, err := backendtest.Read(t.Context(), be, f)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{0, 1, len(data) / 2, len(data) - 1, len(data) + 1} {
			if f.Kind == backend.Lock && n == 0 {
				continue // ignored by everybody
			}
			broken, err := backendtest.Copy(t.Context(), be)
			if err != nil {
				t.Fatal(err)
			}
			err = backendtest.Damage(t.Context(), broken, f, func(data []byte) []byte { return append(data, 0)[:n] })
			if err != nil {
				t.Fatal(err)
			}
			var found []Problem
			_, err = on(r, broken).Check(t.Context(), CheckOptions{Report: func(p Problem) { found = append(found, p) }})
			if !errors.Is(err, ErrDamaged) || !slices.ContainsFunc(found, func(p Problem) bool { return p.File == f }) {
				t.Errorf("%v of %d bytes with %d: %v, %v", f, len(data), n, err, found)
			}
		}
	}
}

func TestCheckMissing(t *testing.T) {
	t.Parallel()
	r, be := smallRepo(t)
	for _, f := range files(t, be) {
		broken, err := backendtest.Copy(t.Context(), be)
		if err != nil {
			t.Fatal(err)
		}
		if err := broken.Remove(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		res, found, err := check(t, on(r, broken))
		switch f.Kind {
		case backend.Config, backend.Index, backend.Data:
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("without %v: %v, want ErrDamaged", f, err)
			}
		case backend.Snapshot:
			// The format has no list of snapshots: one that is gone was forgotten.
			if err != nil || res.Snapshots != 0 {
				t.Errorf("without %v: %+v, %v", f, res, err)
			}
		default:
			if err != nil {
				t.Errorf("without %v: %v", f, err)
			}
		}
		switch f.Kind {
		case backend.Data:
			if len(ofKind(found, PackMissing)) != 1 || res.Affected == 0 {
				t.Errorf("without %v: %v", f, found)
			}
		case backend.Index:
			if res.Unreferenced != 2 || len(ofKind(found, LostFolder)) != 1 || len(ofKind(found, BlobMissing)) != 1 || len(ofKind(found, PackUnnamed)) != 1 {
				t.Errorf("without %v: %+v %v", f, res, found)
			}
		}
	}
}

// What is wrong at the first reading and right at the second is noted only.
func TestCheckTransient(t *testing.T) {
	t.Parallel()
	r, be := smallRepo(t)
	for _, f := range files(t, be) {
		if f.Kind == backend.Config || f.Kind == backend.Key {
			continue // one reading is enough for what is so small
		}
		once := 0
		faulty := backendtest.NewFaulty(be, backendtest.Faults{Corrupt: func(g backend.File, _ int64, data []byte) []byte {
			if f == g && once == 0 {
				once++
				data[20] ^= 1
			}
			return data
		}})
		_, found, err := check(t, on(r, faulty))
		if err != nil {
			t.Errorf("%v: %v: %v", f, err, found)
		}
		if some := ofKind(found, NoteTransient); f.Kind == backend.Data && !treePack(r, f) && (len(some) != 1 || some[0].File != f) {
			t.Errorf("%v: %v, want a note", f, found)
		}
	}
}

// treePack tells whether a pack holds trees.
func treePack(r *Repository, f backend.File) bool {
	for loc := range r.index.Blobs() {
		if loc.Pack.String() == f.Name {
			return loc.Type == index.Tree
		}
	}
	return false
}

func TestCheckUnreadable(t *testing.T) {
	t.Parallel()
	r, be := smallRepo(t)
	for _, kind := range []backend.Kind{backend.Index, backend.Snapshot, backend.Data, backend.Lock, backend.Key, backend.Config} {
		fault := backendtest.Faults{FailAt: 1, FailCount: -1, Only: func(op backendtest.Op) bool {
			return op.Verb == backendtest.Load && op.File.Kind == kind
		}}
		_, found, err := check(t, on(r, backendtest.NewFaulty(be, fault)))
		if len(found) == 0 || kind != backend.Index && (!errors.Is(err, backendtest.ErrInjected) || errors.Is(err, ErrDamaged)) {
			t.Errorf("%v cannot be read: %v, %v, want ErrInjected", kind, err, found)
		}
		fault.Only = func(op backendtest.Op) bool { return op.Verb == backendtest.List && op.File.Kind == kind }
		if kind == backend.Config {
			continue // is never listed
		}
		_, err = on(r, backendtest.NewFaulty(be, fault)).Check(t.Context(), CheckOptions{})
		if !errors.Is(err, backendtest.ErrInjected) {
			t.Errorf("%v cannot be listed: %v, want ErrInjected", kind, err)
		}
	}
}

func TestCheckCancelled(t *testing.T) {
	t.Parallel()
	r, be := smallRepo(t)
	for n := 1; ; n++ {
		ctx, cancel := context.WithCancel(t.Context())
		ops := 0
		faulty := backendtest.NewFaulty(be, backendtest.Faults{Only: func(backendtest.Op) bool {
			if ops++; ops == n {
				cancel()
			}
			return false
		}, FailAt: 1})
		_, err := on(r, faulty).Check(ctx, CheckOptions{Read: AllPacks(), Report: func(p Problem) { t.Error(p) }})
		done := ctx.Err() == nil
		cancel()
		if done {
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled at operation %d: %v", n, err)
		}
	}
}

func TestSubset(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "none", "0/3", "4/3", "1/257", "-1/2", "1/", "/", "0%", "101%", "NaN%", "x%", "0", "-5M", "5Q", "M", "9999999999G", "1/2/3"} {
		if got, err := ParseSubset(s); err == nil || got != (Subset{}) {
			t.Errorf("ParseSubset(%q) = %v, %v, want an error", s, got, err)
		}
	}
	for s, want := range map[string]string{"1/1": "1/1", "2/256": "2/256", "2.5%": "2.5%", "500": "500", "3k": "3072", "1M": "1048576", "2G": "2147483648", "1T": "1099511627776"} {
		if got, err := ParseSubset(s); err != nil || got.String() != want {
			t.Errorf("ParseSubset(%q) = %v, %v, want %s", s, got, err, want)
		}
	}
	var all []packFile
	for i := range 1000 {
		all = append(all, packFile{chunk.Sum(fmt.Appendf(nil, "%d", i)), 1000})
	}
	seen := map[chunk.ID]int{}
	for part := range 7 {
		s, err := ParseSubset(fmt.Sprintf("%d/7", part+1))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range s.choose(slices.Clone(all)) {
			seen[p.id]++
			if int(p.id[0])%7 != part {
				t.Errorf("part %d has %v", part+1, p.id)
			}
		}
	}
	if len(seen) != len(all) {
		t.Errorf("the parts have %d packs, want each of %d once", len(seen), len(all))
	}
	for s, want := range map[string]int{"10%": 100, "100%": 1000, "0.01%": 1, "50K": 52, "1": 1, "1G": 1000} {
		sub, err := ParseSubset(s)
		if err != nil {
			t.Fatal(err)
		}
		some := sub.choose(slices.Clone(all))
		slices.SortFunc(some, func(a, b packFile) int { return a.id.Compare(b.id) })
		if some = slices.Compact(some); len(some) != want {
			t.Errorf("%s gives %d packs, want %d", s, len(some), want)
		}
	}
	if n := len((Subset{}).choose(all)); n != 0 {
		t.Errorf("the zero Subset gives %d packs", n)
	}
}

// An empty repository, and one without snapshots, are in order.
func TestCheckEmpty(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	if res, found, err := check(t, r); err != nil || len(found) > 0 || res != (CheckResult{}) {
		t.Errorf("%+v, %v, %v", res, found, err)
	}
	if _, err := r.AddKey(t.Context(), "second", crypto.Cost{N: 2, R: 1, P: 1}, Owner{}); err != nil {
		t.Fatal(err)
	}
	checkClean(t, be)
}
