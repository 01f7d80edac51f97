package repo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
)

// nobody is the number of no process: no system has so many.
const nobody = 1<<31 - 2

// jumping is a clock that tests set.
func jumping() (now func() time.Time, jump *atomic.Int64) {
	jump = new(atomic.Int64)
	return func() time.Time { return time.Now().Add(time.Duration(jump.Load())) }, jump
}

// A lock of a process of this boot that is gone is nobody's, and does not stand
// in the way; any other does, whatever its computer is called.
func TestLockOfTheDead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		f    lockFile
		free bool
	}{
		{"dead", lockFile{Exclusive: true, Hostname: "elsewhere", PID: nobody, Boot: "b"}, true},
		{"dead, shared", lockFile{Hostname: "h", PID: nobody, Boot: "b"}, true},
		{"alive", lockFile{Exclusive: true, Hostname: "h", PID: os.Getpid(), Boot: "b"}, false},
		{"of another boot", lockFile{Exclusive: true, Hostname: "h", PID: nobody, Boot: "c"}, false},
		{"of restic", lockFile{Exclusive: true, Hostname: "h", PID: nobody}, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			r, be, _ := lockRepo(t, backendtest.Faults{})
			c.f.Time = time.Now()
			if _, err := r.saveLock(t.Context(), c.f); err != nil {
				t.Fatal(err)
			}
			l, err := r.Lock(t.Context(), true, LockOptions{Owner: Owner{Hostname: "h"}, PID: os.Getpid(), Boot: "b"})
			if c.free != (err == nil) || err != nil && !errors.Is(err, ErrLocked) {
				t.Fatalf("%s: got %v, want free %t", c.name, err, c.free)
			}
			if err == nil {
				err = l.Unlock(t.Context())
				if left := locks(t, r, be); err != nil || len(left) != 0 {
					t.Errorf("%s: %v, left %v", c.name, err, left)
				}
				return
			}
			// Who does not know this boot removes nothing by itself.
			if _, err := r.Lock(t.Context(), true, LockOptions{}); !errors.Is(err, ErrLocked) {
				t.Errorf("%s, without a boot: %v", c.name, err)
			}
		})
	}
}

// This boot has one name.
func TestThisBoot(t *testing.T) {
	t.Parallel()
	if got, again := ThisBoot(), ThisBoot(); got != again || len(got) != 16 && (bootName() != "" || got != "") {
		t.Errorf("got %q and %q, want 16 digits twice", got, again)
	}
}

// A lock that somebody renews is never taken for nobody's, one that nobody
// renews is, once we have waited for half an hour: clocks do not matter.
func TestLockNobodyRenews(t *testing.T) {
	t.Parallel()
	for _, dated := range []time.Duration{0, -time.Hour, 100 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			r, _, _ := lockRepo(t, backendtest.Faults{})
			if _, err := r.saveLock(t.Context(), lockFile{Time: time.Now().Add(dated), Exclusive: true, Hostname: "other"}); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			l, err := r.Lock(t.Context(), false, LockOptions{Retry: time.Hour})
			if err != nil {
				t.Fatalf("dated %v: %v", dated, err)
			}
			if took := time.Since(start); took <= lockStale || took > lockStale+5*time.Minute {
				t.Errorf("dated %v: it took %v", dated, took)
			}
			if err := l.Unlock(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		r, _, _ := lockRepo(t, backendtest.Faults{})
		held := take(t, r, true)
		if _, err := r.Lock(t.Context(), false, LockOptions{Retry: 3 * time.Hour}); !errors.Is(err, ErrLocked) {
			t.Errorf("beside a lock that is renewed: %v", err)
		}
		if err := context.Cause(held.Context()); err != nil {
			t.Error(err)
		}
		if err := held.Unlock(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A lock that is dated in the future says so, and can be removed once the
// place's own clock shows that nobody renews it.
func TestLockFromTheFuture(t *testing.T) {
	t.Parallel()
	r, _, _ := lockRepo(t, backendtest.Faults{})
	now := time.Now()
	if _, err := r.saveLock(t.Context(), lockFile{Time: now.Add(90 * 24 * time.Hour), Hostname: "other", PID: 5}); err != nil {
		t.Fatal(err)
	}
	_, err := r.Lock(t.Context(), true, LockOptions{})
	if held, ok := errors.AsType[*LockedError](err); !ok || !held.Future {
		t.Errorf("got %v, want a lock that is dated in the future", err)
	}
	kept := 0
	opt := UnlockOptions{Now: now.Add(time.Minute), Kept: func(held *LockedError) {
		if kept++; !held.Future || held.PID != 5 {
			t.Errorf("kept %+v", held)
		}
	}}
	if n, err := r.Unlock(t.Context(), opt); n != 0 || err != nil || kept != 1 {
		t.Errorf("unlock at once removed %d, %v, kept %d", n, err, kept)
	}
	opt.Now = now.Add(lockStale + time.Minute)
	if n, err := r.Unlock(t.Context(), opt); n != 1 || err != nil {
		t.Errorf("unlock later removed %d, %v", n, err)
	}
}

// A clock that is set back or forward while we hold the lock does not let it
// grow stale, for others whose clocks are right.
func TestLockClockJumps(t *testing.T) {
	t.Parallel()
	for _, by := range []time.Duration{-3 * time.Hour, -10 * time.Minute, 10 * time.Minute, 3 * time.Hour, 100 * 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			r, be, _ := lockRepo(t, backendtest.Faults{})
			now, jump := jumping()
			l, err := r.Lock(t.Context(), false, LockOptions{Owner: Owner{Hostname: "h"}, PID: os.Getpid(), now: now})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			jump.Store(int64(by))
			for range 40 {
				time.Sleep(2 * time.Minute)
				for _, f := range locks(t, r, be) {
					if age := time.Since(f.Time); age > lockRefresh+time.Minute {
						t.Fatalf("clock set by %v: the lock is %v old", by, age)
					}
				}
				if err := confirmLock(l.Context()); err != nil {
					t.Fatalf("clock set by %v: %v", by, err)
				}
			}
			if err := l.Unlock(t.Context()); err != nil || len(locks(t, r, be)) != 0 {
				t.Errorf("clock set by %v: unlock: %v, left %v", by, err, locks(t, r, be))
			}
		})
	}
}

// The computer sleeps for hours amid a run. If others took the lock for stale
// meanwhile, or do at the very moment at which it is renewed, the work stops;
// otherwise it goes on.
func TestLockStandby(t *testing.T) {
	t.Parallel()
	for _, removed := range []string{"never", "meanwhile", "as it is renewed"} {
		synctest.Test(t, func(t *testing.T) {
			now, jump := jumping()
			var be *backend.Memory
			var before atomic.Pointer[backend.File]
			r, be, _ := lockRepo(t, backendtest.Faults{Before: func(ctx context.Context, op backendtest.Op) error {
				f := before.Load()
				if f != nil && op.Verb == backendtest.Save && op.File.Kind == backend.Lock && removed == "as it is renewed" {
					before.Store(nil)
					return be.Remove(ctx, *f)
				}
				return nil
			}})
			l, err := r.Lock(t.Context(), false, LockOptions{Owner: Owner{Hostname: "h"}, PID: os.Getpid(), now: now})
			if err != nil {
				t.Fatal(err)
			}
			for id := range locks(t, r, be) {
				f := backend.File{Kind: backend.Lock, Name: id.String()}
				if before.Store(&f); removed == "meanwhile" {
					if err := be.Remove(t.Context(), f); err != nil {
						t.Fatal(err)
					}
				}
			}
			jump.Store(int64(8 * time.Hour)) // the clock that does not jump stands still in standby
			err = confirmLock(l.Context())
			if lost := errors.Is(err, ErrLockLost); lost != (removed != "never") {
				t.Errorf("removed %s: %v", removed, err)
			}
			time.Sleep(time.Minute)
			if err := context.Cause(l.Context()); (err != nil) != (removed != "never") {
				t.Errorf("removed %s, later: %v", removed, err)
			}
			if err := l.Unlock(t.Context()); err != nil || len(locks(t, r, be)) != 0 {
				t.Errorf("removed %s: unlock: %v, left %v", removed, err, locks(t, r, be))
			}
		})
	}
}

// A lock that its holder removes while it is looked at is no reason to complain.
func TestUnlockOfReleased(t *testing.T) {
	t.Parallel()
	var be *backend.Memory
	r, be, _ := lockRepo(t, backendtest.Faults{Before: func(ctx context.Context, op backendtest.Op) error {
		if op.Verb == backendtest.Remove {
			return be.Remove(ctx, op.File)
		}
		return nil
	}})
	if _, err := r.saveLock(t.Context(), lockFile{Time: testTime(), Hostname: "other"}); err != nil {
		t.Fatal(err)
	}
	if n, err := r.Unlock(t.Context(), UnlockOptions{All: true, Now: testTime()}); n != 0 || err != nil {
		t.Errorf("removed %d, %v, want none", n, err)
	}
}

// Clocks that are hours apart let nobody in beside a lock that is renewed, with
// credentials that may remove it and without.
func TestLocksOfClocksApart(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{-2 * time.Hour, 2 * time.Hour} {
		for _, rights := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				guest, be, _ := keepingRepo(t, false)
				host := on(guest, be)
				if rights {
					guest = host
				}
				at := func(off time.Duration) LockOptions {
					return LockOptions{Owner: Owner{Hostname: fmt.Sprint(off)}, PID: nobody, now: func() time.Time { return time.Now().Add(off) }}
				}
				l, err := host.Lock(t.Context(), true, at(off))
				if err != nil {
					t.Fatal(err)
				}
				for range 20 {
					time.Sleep(7 * time.Minute)
					if _, err := guest.Lock(t.Context(), false, at(-off)); !errors.Is(err, ErrLocked) {
						t.Fatalf("off by %v, rights %t: got %v, want ErrLocked", off, rights, err)
					}
				}
				if err := errors.Join(context.Cause(l.Context()), confirmLock(l.Context()), l.Unlock(t.Context())); err != nil {
					t.Fatal(err)
				}
				l, err = guest.Lock(t.Context(), false, at(-off))
				if err != nil {
					t.Fatal(err)
				}
				if err := l.Unlock(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
	}
}
