package capture

import (
	"testing"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
	"russet/repo"
)

// distant is a repository far away, of which a process keeps a cache and remembers the key.
type distant struct {
	place *backend.Memory
	cache string
	key   chunk.ID
}

// backup backs a folder up, and returns what it asked of the place.
func (d *distant) backup(t *testing.T, folder string) []backendtest.Op {
	t.Helper()
	counted := backendtest.NewFaulty(d.place, backendtest.Faults{})
	r, err := repo.OpenByKey(t.Context(), counted, "x", d.key)
	if err != nil {
		t.Fatal(err)
	}
	d.key = r.KeyID()
	c, err := backend.OpenCache(counted, d.cache, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r.UseCache(c)
	r.SetConnections(5)
	lock, err := r.Lock(t.Context(), false, repo.LockOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.LoadIndex(lock.Context()); err != nil {
		t.Fatal(err)
	}
	res, err := Folder(lock.Context(), r, openRoot(t, folder), "x", withPassword(simPassword))
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	ops := counted.Ops()
	writeBack(t, r, res.Snapshot, folder)
	return ops
}

// count counts the operations of a kind that are of kinds of files.
func count(ops []backendtest.Op, v backendtest.Verb, kinds ...backend.Kind) (n int) {
	for _, op := range ops {
		for _, k := range kinds {
			if op.Verb == v && op.File.Kind == k {
				n++
			}
		}
	}
	return n
}

// A second backup to a repository far away reads nothing but the config and the key, and writes what is new in as few
// requests as there can be: a pack of data, one of trees, index and snapshot, and a lock for so long.
func TestRequests(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, encrypted bool) {
		p, d := newPhone(t, encrypted), &distant{place: backend.NewMemory(), cache: t.TempDir()}
		if _, err := repo.Init(t.Context(), d.place, "x", cheapInit()); err != nil {
			t.Fatal(err)
		}
		d.backup(t, p.dir)
		for range 2 {
			p.next()
			ops := d.backup(t, p.dir)
			if got := count(ops, backendtest.Load, backend.Config, backend.Key); len(ops) > 11 || got != 2 {
				t.Errorf("%d requests, of which %d load the config or a key: want 11 and 2", len(ops), got)
			}
			if got := count(ops, backendtest.Load, backend.Data, backend.Index, backend.Snapshot, backend.Lock); got != 0 {
				t.Errorf("%d requests load what is here already", got)
			}
			if t.Failed() {
				for _, op := range ops {
					t.Log(op)
				}
			}
		}
		checkRepo(t, reopen(t, d.place))
		// A computer that has lost its cache fetches packs of trees, and parts of the manifests.
		d.cache = t.TempDir()
		p.next()
		first := count(d.backup(t, p.dir), backendtest.Load, backend.Data)
		p.next()
		second := count(d.backup(t, p.dir), backendtest.Load, backend.Data)
		if first == 0 || first > 12 || second >= first {
			t.Errorf("without its cache %d requests load packs, and then %d: want at most 12, and fewer", first, second)
		}
	})
}
