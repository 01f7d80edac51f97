package repo

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
	"russet/index"
)

// withSnapshot saves a snapshot of an empty folder, and returns its tree and the pack of that.
func withSnapshot(t *testing.T, r *Repository) (tree, pack chunk.ID) {
	t.Helper()
	w := r.NewWriter(t.Context())
	saved, err := w.SaveTree(t.Context(), &Tree{})
	if err == nil {
		err = w.Flush(t.Context())
	}
	if err == nil {
		_, err = r.SaveSnapshot(t.Context(), &Snapshot{Time: time.Now(), Tree: &saved.ID, Paths: []string{"/x"}})
	}
	if err != nil {
		t.Fatal(err)
	}
	loc, _ := r.index.Lookup(index.Handle{ID: saved.ID, Type: index.Tree})
	return saved.ID, loc.Pack
}

// readAll reads what every run reads.
func readAll(t *testing.T, r *Repository, tree chunk.ID) {
	t.Helper()
	all, err := r.AllSnapshots(t.Context())
	if err == nil {
		err = r.LoadIndex(t.Context())
	}
	if err == nil {
		_, err = r.LoadTree(t.Context(), tree)
	}
	if err != nil || len(all) != 1 {
		t.Fatalf("%d snapshots, %v", len(all), err)
	}
}

// A check looks at what lies at the place, whatever a cache holds.
func TestCheckReadsThePlace(t *testing.T) {
	t.Parallel()
	for _, kind := range []backend.Kind{backend.Snapshot, backend.Index, backend.Data} {
		base, be, _ := lockRepo(t, backendtest.Faults{})
		r, counted := cached(t, base, t.TempDir())
		tree, _ := withSnapshot(t, r)
		readAll(t, r, tree)
		for _, op := range counted.Ops() {
			if op.Verb == backendtest.Load {
				t.Errorf("%v, though it was saved here", op)
			}
		}
		if _, err := r.Check(t.Context(), CheckOptions{}); err != nil {
			t.Fatal(err)
		}
		for info := range be.List(t.Context(), kind) {
			f := backend.File{Kind: kind, Name: info.Name}
			if err := backendtest.Damage(t.Context(), be, f, func(b []byte) []byte { b[20] ^= 1; return b }); err != nil {
				t.Fatal(err)
			}
		}
		readAll(t, r, tree)
		if _, err := r.Check(t.Context(), CheckOptions{}); !errors.Is(err, ErrDamaged) {
			t.Errorf("%v is damaged, and the check says %v", kind, err)
		}
	}
}

// A copy that goes bad on this computer after it was compared with its name is no damage: the place is asked.
func TestCacheGoesBad(t *testing.T) {
	t.Parallel()
	base, _, _ := lockRepo(t, backendtest.Faults{})
	folder := t.TempDir()
	r, _ := cached(t, base, folder)
	tree, pack := withSnapshot(t, r)
	readAll(t, r, tree)
	files, err := filepath.Glob(filepath.Join(folder, "*", "*"))
	if err != nil || len(files) != 3 {
		t.Fatalf("the cache has %d files, want 3", len(files))
	}
	for _, name := range files {
		file, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err == nil {
			_, err = file.WriteAt([]byte("bad"), 10)
			err = errors.Join(err, file.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	readAll(t, r, tree)
	if _, err := os.Stat(filepath.Join(folder, "data", pack.String())); err != nil {
		t.Error(err)
	}
}
