package repo

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
)

// distant makes a repository one at the far end of a line.
func distant(r *Repository) *Repository {
	copied := *r
	copied.SetConnections(5)
	return &copied
}

// A shared lock far away is written, looked past, and removed: three requests, and no more while it was seen just now.
func TestDistantLock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, _, faulty := lockRepo(t, backendtest.Faults{})
		l := take(t, distant(r), false)
		for range 3 {
			if err := confirmLock(l.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Unlock(t.Context()); err != nil {
			t.Fatal(err)
		}
		var verbs []backendtest.Verb
		for _, op := range faulty.Ops() {
			verbs = append(verbs, op.Verb)
		}
		if got, want := fmt.Sprint(verbs), fmt.Sprint([]backendtest.Verb{backendtest.Save, backendtest.List, backendtest.Remove}); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// A lock that was not seen for a minute, by either clock, is looked for.
func TestDistantLockGone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name         string
		passed, jump time.Duration
	}{
		{"time passed", 2 * time.Minute, 0},
		{"computer slept", 0, 2 * time.Minute},
		{"clock set back", 2 * time.Minute, -time.Hour},
	} {
		synctest.Test(t, func(t *testing.T) {
			r, be, _ := lockRepo(t, backendtest.Faults{})
			now, jump := jumping()
			l, err := distant(r).Lock(t.Context(), false, LockOptions{now: now})
			if err != nil {
				t.Fatal(err)
			}
			for id := range locks(t, r, be) {
				if err := be.Remove(t.Context(), backend.File{Kind: backend.Lock, Name: id.String()}); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(c.passed)
			jump.Store(int64(c.jump))
			if err := confirmLock(l.Context()); !errors.Is(err, ErrLockLost) {
				t.Errorf("%s: got %v, want ErrLockLost", c.name, err)
			}
			_ = l.Unlock(t.Context())
		})
	}
}

// An exclusive lock stands in the way of one that is taken without a look before, and nothing is left of that.
func TestDistantLockConflict(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, be, _ := lockRepo(t, backendtest.Faults{})
		held := take(t, r, true)
		if _, err := distant(r).Lock(t.Context(), false, LockOptions{}); !errors.Is(err, ErrLocked) {
			t.Errorf("got %v, want ErrLocked", err)
		}
		if left := locks(t, r, be); len(left) != 1 {
			t.Errorf("left %v", left)
		}
		if err := held.Unlock(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Of an exclusive lock and a distant shared one, wherever the other begins, never both are held.
func TestDistantLockRace(t *testing.T) {
	t.Parallel()
	for late := range 10 {
		synctest.Test(t, func(t *testing.T) {
			r, be, _ := lockRepo(t, backendtest.Faults{})
			var work sync.WaitGroup
			var got [2]*Lock
			for i, on := range []*Repository{r, distant(r)} {
				work.Go(func() {
					time.Sleep(time.Duration(i*late) * 50 * time.Millisecond)
					l, err := on.Lock(t.Context(), i == 0, LockOptions{})
					if err != nil && !errors.Is(err, ErrLocked) {
						t.Error(err)
					}
					got[i] = l
				})
			}
			work.Wait()
			if got[0] != nil && got[1] != nil {
				t.Error("both have it")
			}
			for _, l := range got {
				if l == nil {
					continue
				}
				if err := l.Unlock(t.Context()); err != nil {
					t.Error(err)
				}
			}
			if left := locks(t, r, be); len(left) != 0 {
				t.Errorf("left %v", left)
			}
		})
	}
}

// A lock that nobody can remove, and nobody renews, does not stop work far away either.
func TestDistantLockBesideStale(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, _, _ := keepingRepo(t, false)
		if _, err := r.saveLock(t.Context(), lockFile{Time: time.Now(), Exclusive: true, Hostname: "other"}); err != nil {
			t.Fatal(err)
		}
		if _, err := distant(r).Lock(t.Context(), false, asker); !errors.Is(err, ErrLocked) {
			t.Errorf("beside a new one: got %v, want ErrLocked", err)
		}
		time.Sleep(lockStale + time.Minute)
		l, err := distant(r).Lock(t.Context(), false, asker)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Unlock(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
