package capture

import (
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/crypto"
	"russet/repo"
)

// Whichever write of a capture fails, the next capture by the same process keeps
// the folder whole, for everybody.
func TestFaults(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short: a capture for each write")
	}
	p := newPhone(t, false)
	empty := backend.NewMemory()
	_, err := repo.Init(t.Context(), empty, "x", repo.InitOptions{Cost: crypto.Cost{N: 2, R: 1, P: 1}})
	if err != nil {
		t.Fatal(err)
	}
	writes := func(op backendtest.Op) bool { return op.Verb.Writes() }
	for n := 1; ; n++ {
		store, err := backendtest.Copy(t.Context(), empty)
		if err != nil {
			t.Fatal(err)
		}
		faulty := backendtest.NewFaulty(store, backendtest.Faults{FailAt: n, Late: n%2 == 0, Only: writes})
		r, err := repo.Open(t.Context(), faulty, "x")
		if err != nil {
			t.Fatal(err)
		}
		_, err = Folder(t.Context(), r, openRoot(t, p.dir), "x", Options{})
		if !faulty.Fired() {
			if err != nil || n < 4 {
				t.Errorf("after %d faults: %v", n-1, err)
			}
			return
		}
		if err == nil {
			t.Errorf("fault %d was not reported", n)
		}
		res := keep(t, r, p.dir, Options{})
		again, err := repo.Open(t.Context(), store, "x")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := again.Check(t.Context(), repo.CheckOptions{Read: repo.AllPacks()}); err != nil {
			t.Errorf("after fault %d: %v", n, err)
		}
		if err := again.LoadIndex(t.Context()); err != nil {
			t.Fatal(err)
		}
		writeBack(t, again, res.Snapshot, p.dir)
	}
}
