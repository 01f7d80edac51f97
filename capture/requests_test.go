package capture

import (
	"testing"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/repo"
)

// backupFar backs a folder up as a process does whose repository is far away, and returns what it asked of the place.
func backupFar(t *testing.T, place *backend.Memory, cache, folder string) []backendtest.Op {
	t.Helper()
	counted := backendtest.NewFaulty(place, backendtest.Faults{})
	r, err := repo.Open(t.Context(), counted, "x")
	if err != nil {
		t.Fatal(err)
	}
	c, err := backend.OpenCache(counted, cache, time.Now())
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
	if _, err := Folder(lock.Context(), r, openRoot(t, folder), "x", withPassword(simPassword)); err != nil {
		t.Fatal(err)
	}
	if err := lock.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	return counted.Ops()
}

func TestRequests(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, encrypted bool) {
		p, place, cache := newPhone(t, encrypted), backend.NewMemory(), t.TempDir()
		if _, err := repo.Init(t.Context(), place, "x", cheapInit()); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			for _, op := range backupFar(t, place, cache, p.dir) {
				t.Log(op)
			}
			t.Log("---")
			p.next()
		}
	})
}
