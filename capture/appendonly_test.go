package capture

import (
	"testing"
	"testing/synctest"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/crypto"
	"russet/repo"
)

// A place where nothing can be removed keeps one generation after the other, of
// folders, whose password is known from the second day on, so that a sealed
// version is read again.
func TestFolderAppendOnly(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, encrypted bool) {
		p := newPhone(t, encrypted)
		store := backend.NewMemory()
		if _, err := repo.Init(t.Context(), store, "x", repo.InitOptions{Cost: crypto.Cost{N: 2, R: 1, P: 1}}); err != nil {
			t.Fatal(err)
		}
		var kept versions
		for day := range 3 {
			opt := Options{}
			if day > 0 {
				opt = withPassword(simPassword)
			}
			synctest.Test(t, func(t *testing.T) {
				if _, err := keepLocked(t.Context(), backendtest.NewAppendOnly(store, false), p.dir, opt); err != nil {
					t.Fatalf("day %d: %v", day, err)
				}
			})
			kept = append(kept, state(t, p.dir))
			p.next()
		}
		if err := kept.held(t.Context(), t, store); err != nil {
			t.Error(err)
		}
	})
}

// The same for phones: what a run spools is on this computer, and removed there.
func TestPhoneAppendOnly(t *testing.T) {
	t.Parallel()
	s, se := newScriptedOf(t, small(), true), newSession(t)
	se.r = reopen(t, backendtest.NewAppendOnly(se.r.Backend(), false))
	for range 3 {
		res := backUp(t, se, s)
		holds(t, reopen(t, se.r.Backend()), res.Snapshot, s.dir)
		s.next()
	}
	checkRepo(t, reopen(t, se.r.Backend()))
}
