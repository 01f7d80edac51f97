package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
	"russet/crypto"
)

// keepingRepo is an empty repository at a place where nothing can be removed,
// or with locks nothing but those, and the place behind it.
func keepingRepo(t *testing.T, locks bool) (*Repository, *backend.Memory, *backendtest.Faulty) {
	t.Helper()
	r, be, _ := lockRepo(t, backendtest.Faults{})
	faulty := backendtest.NewFaulty(backendtest.NewAppendOnly(be, locks), backendtest.Faults{})
	return on(r, faulty), be, faulty
}

// asker takes locks as a process of a computer without a name for its boots.
var asker = LockOptions{Owner: Owner{Hostname: "h"}, PID: nobody}

// Work goes on where its lock cannot be removed; the lock is renewed more seldom,
// but before anybody takes it for stale, and is never exclusive.
func TestLockStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, be, _ := keepingRepo(t, false)
		opt := asker
		opt.OrShared = true
		start := time.Now()
		for n, exclusive := range []bool{true, false} {
			l, err := r.Lock(t.Context(), exclusive, opt)
			if err != nil {
				t.Fatal(err)
			}
			if l.Exclusive() {
				t.Error("an exclusive lock that stays")
			}
			before := len(locks(t, r, be))
			for range 4 * 60 {
				time.Sleep(time.Minute)
				newest := start
				for _, f := range locks(t, r, be) {
					if f.Exclusive {
						t.Fatal("an exclusive lock stays")
					}
					if f.Time.After(newest) {
						newest = f.Time
					}
				}
				if age := time.Since(newest); age > lockStale-5*time.Minute {
					t.Fatalf("the lock is %v old", age)
				}
			}
			if err := confirmLock(l.Context()); err != nil {
				t.Error(err)
			}
			if err := l.Unlock(t.Context()); err != nil {
				t.Error(err)
			}
			if got := len(locks(t, r, be)) - before; got < 4*3 || got > 4*4+1 {
				t.Errorf("run %d of four hours left %d locks", n, got)
			}
		}
	})
}

// What removes things is refused before it did anything.
func TestAppendOnlyRefuses(t *testing.T) {
	t.Parallel()
	for _, canLocks := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r, be, _ := keepingRepo(t, canLocks)
			before := files(t, be)
			_, err := r.Lock(t.Context(), true, asker)
			if _, ok := errors.AsType[*AppendOnlyError](err); !ok || !errors.Is(err, fs.ErrPermission) || errors.Is(err, ErrLocked) {
				t.Errorf("locks can be removed: %t: got %v, want an AppendOnlyError", canLocks, err)
			}
			if after := files(t, be); len(after) != len(before) {
				t.Errorf("it left %v", after)
			}
			opt := asker
			opt.OrShared = true
			l, err := r.Lock(t.Context(), true, opt)
			if err != nil {
				t.Fatal(err)
			}
			if l.Exclusive() != canLocks {
				t.Errorf("locks can be removed: %t: the lock for a check is exclusive: %t", canLocks, l.Exclusive())
			}
			if err := l.Unlock(t.Context()); err != nil || (len(locks(t, r, be)) == 0) != canLocks {
				t.Errorf("unlock: %v, left %v", err, locks(t, r, be))
			}
		})
	}
}

// Where the place does not tell that snapshots may not be removed, the lock does.
func TestAppendOnlyIsTried(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, be, _ := lockRepo(t, backendtest.Faults{Err: fs.ErrPermission, FailAt: 1, FailCount: -1, Only: func(op backendtest.Op) bool {
			return op.Verb == backendtest.Remove && op.File.Kind == backend.Lock
		}})
		_, err := r.Lock(t.Context(), true, asker)
		if _, ok := errors.AsType[*AppendOnlyError](err); !ok {
			t.Errorf("got %v, want an AppendOnlyError", err)
		}
		for _, f := range locks(t, r, be) {
			if f.Exclusive {
				t.Error("it left an exclusive lock")
			}
		}
		n, err := r.Unlock(t.Context(), UnlockOptions{All: true, Now: time.Now()})
		if _, ok := errors.AsType[*AppendOnlyError](err); n != 0 || !ok {
			t.Errorf("unlock: %d, %v", n, err)
		}
	})
}

// Whoever runs an exclusive verb somewhere else with credentials that may not
// remove it, and dies: its lock stops nobody once the place's own clock says
// that nobody renewed it, whatever our clock says; and never before.
func TestExclusiveLockThatStays(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{0, -2 * time.Hour, 2 * time.Hour, -10 * 365 * 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			r, be, _ := keepingRepo(t, false)
			opt := asker
			opt.now = func() time.Time { return time.Now().Add(off) }
			save := func() {
				if _, err := r.saveLock(t.Context(), lockFile{Time: time.Now(), Exclusive: true, Hostname: "other"}); err != nil {
					t.Fatal(err)
				}
			}
			save()
			time.Sleep(lockStale - time.Minute)
			if _, err := r.Lock(t.Context(), false, opt); !errors.Is(err, ErrLocked) {
				t.Fatalf("clock off by %v: got %v, want ErrLocked", off, err)
			}
			time.Sleep(2 * time.Minute)
			// A clock that is slow learns the time of the place from any newer lock.
			if _, err := r.saveLock(t.Context(), lockFile{Time: time.Now(), Hostname: "third"}); err != nil {
				t.Fatal(err)
			}
			l, err := r.Lock(t.Context(), false, opt)
			if err != nil {
				t.Fatalf("clock off by %v: %v", off, err)
			}
			if err := l.Unlock(t.Context()); err != nil {
				t.Error(err)
			}
			save()
			if _, err := r.Lock(t.Context(), false, opt); !errors.Is(err, ErrLocked) {
				t.Errorf("clock off by %v, beside a new one: got %v, want ErrLocked", off, err)
			}
			// With rights all that is stale blocks until it is unlocked.
			time.Sleep(lockStale + time.Minute)
			if _, err := on(r, be).Lock(t.Context(), false, opt); !errors.Is(err, ErrLocked) {
				t.Errorf("clock off by %v, with rights: got %v, want ErrLocked", off, err)
			}
		})
	}
}

// timeless is a place that does not tell when a file was written.
type timeless struct{ backend.Backend }

func (b timeless) List(ctx context.Context, k backend.Kind) iter.Seq2[backend.Info, error] {
	return func(yield func(backend.Info, error) bool) {
		for info, err := range b.Backend.List(ctx, k) {
			info.ModTime = time.Time{}
			if !yield(info, err) {
				return
			}
		}
	}
}

// A lock that stays, of a process that is known to be gone, or that was watched
// for half an hour where the place tells no times, stops nobody.
func TestLockOfTheDeadThatStays(t *testing.T) {
	t.Parallel()
	for _, boot := range []string{"b", ""} {
		synctest.Test(t, func(t *testing.T) {
			r, be, _ := keepingRepo(t, false)
			r = on(r, timeless{r.be})
			if _, err := r.saveLock(t.Context(), lockFile{Time: time.Now(), Exclusive: true, Hostname: "h", PID: nobody, Boot: boot}); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			l, err := r.Lock(t.Context(), false, LockOptions{Boot: "b", PID: os.Getpid(), Retry: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); (took > lockStale) != (boot == "") {
				t.Errorf("boot %q: it took %v", boot, took)
			}
			if err := l.Unlock(t.Context()); err != nil || len(locks(t, r, be)) != 2 {
				t.Errorf("unlock: %v, left %v", err, locks(t, r, be))
			}
		})
	}
}

// Years of locks that stayed cost a list, and are not loaded.
func TestManyLocksThatStay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, _, faulty := keepingRepo(t, false)
		const nights = 50
		for range nights {
			l, err := r.Lock(t.Context(), false, asker)
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Unlock(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(24 * time.Hour)
		}
		counts := map[backendtest.Verb]int{}
		for _, op := range faulty.Ops() {
			counts[op.Verb]++
		}
		if counts[backendtest.Load] > nights || counts[backendtest.Save] != nights || counts[backendtest.List] > 2*nights {
			t.Errorf("%d runs: %v", nights, counts)
		}
	})
}

// A lock that is renewed between being listed and being loaded counts.
func TestLockRenewedWhileListed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var held atomic.Pointer[Lock]
		loads := 0
		r, _, _ := lockRepo(t, backendtest.Faults{Before: func(ctx context.Context, op backendtest.Op) error {
			l := held.Load()
			if l == nil || op.Verb != backendtest.Load || op.File.Kind != backend.Lock {
				return nil
			}
			held.Store(nil) // what follows is no concern
			loads++
			return l.replace(ctx)
		}})
		l := take(t, r, false)
		held.Store(l)
		look := &lookout{r: r, exclusive: true, seen: map[chunk.ID]bool{}}
		if _, err := look.look(t.Context(), everyOne); !errors.Is(err, ErrLocked) || loads != 1 {
			t.Errorf("got %v after %d renewals, want ErrLocked after one", err, loads)
		}
		if err := l.Unlock(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A computer sleeps amid a prune. Others who could not remove its lock have
// worked meanwhile, and left theirs: the prune must not go on.
func TestExclusiveLockNotHeeded(t *testing.T) {
	t.Parallel()
	for _, others := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			now, jump := jumping()
			r, be, _ := lockRepo(t, backendtest.Faults{})
			opt := asker
			opt.now = now
			l, err := r.Lock(t.Context(), true, opt)
			if err != nil {
				t.Fatal(err)
			}
			if others {
				if _, err := r.saveLock(t.Context(), lockFile{Time: time.Now(), Hostname: "other", PID: nobody, Boot: "b"}); err != nil {
					t.Fatal(err)
				}
			}
			jump.Store(int64(8 * time.Hour))
			if err := confirmLock(l.Context()); errors.Is(err, ErrLockLost) != others {
				t.Errorf("others worked: %t, got %v", others, err)
			}
			if err := l.Unlock(t.Context()); err != nil || (len(locks(t, r, be)) == 0) == others {
				t.Errorf("unlock: %v", err)
			}
		})
	}
}

// Whatever adds works, again and again, and a check and whatever reads.
func TestAppendOnlyWork(t *testing.T) {
	t.Parallel()
	for _, canLocks := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			store := backend.NewMemory()
			be := backendtest.NewAppendOnly(store, canLocks)
			if _, err := Init(t.Context(), be, testPassword, InitOptions{Cost: crypto.Cost{N: 2, R: 1, P: 1}}); err != nil {
				t.Fatal(err)
			}
			var versions []map[string][]byte
			for i := range 3 {
				versions = append(versions, many(uint64(10*i), 5))
				if err := backupInSteps(t.Context(), be, versions[i]); err != nil {
					t.Fatal(err)
				}
				time.Sleep(24 * time.Hour)
			}
			opt := asker
			opt.OrShared = true
			r, err := Open(t.Context(), be, testPassword)
			if err != nil {
				t.Fatal(err)
			}
			l, err := r.Lock(t.Context(), true, opt)
			if err != nil {
				t.Fatal(err)
			}
			if err := holdVersions(l.Context(), r, versions...); err != nil {
				t.Error(err)
			}
			if err := l.Unlock(t.Context()); err != nil {
				t.Error(err)
			}
			copyTwice(t, r, canLocks)
		})
	}
}

// copyTwice copies the repository into another append-only one, twice.
func copyTwice(t *testing.T, from *Repository, canLocks bool) {
	t.Helper()
	be := backendtest.NewAppendOnly(backend.NewMemory(), canLocks)
	if _, err := Init(t.Context(), be, testPassword, InitOptions{Cost: crypto.Cost{N: 2, R: 1, P: 1}}); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		err := locked(t.Context(), be, false, os.Getpid(), func(ctx context.Context, to *Repository) error {
			if err := errors.Join(from.LoadIndex(ctx), to.LoadIndex(ctx)); err != nil {
				return err
			}
			snaps, err := from.AllSnapshots(ctx)
			if err != nil {
				return err
			}
			plan, err := PlanCopy(ctx, from, to, snaps)
			if err != nil {
				return err
			}
			res, err := plan.Apply(ctx, new(Progress))
			if err == nil && (res.Snapshots > 0) != (i == 0) {
				err = fmt.Errorf("run %d copied %d snapshots", i, res.Snapshots)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	checkClean(t, be)
}

// A check and a backup are cut off wherever they can be, and fail wherever they
// can, where their locks stay: the next ones are not stopped by that.
func TestCrashLockStays(t *testing.T) {
	t.Parallel()
	first, second := many(1, 3), many(7, 3)
	care := func(ctx context.Context, be backend.Backend) error {
		be = backendtest.NewAppendOnly(be, false)
		r, err := Open(ctx, be, testPassword)
		if err != nil {
			return err
		}
		opt := asker
		opt.OrShared = true
		l, err := r.Lock(ctx, true, opt)
		if err != nil {
			return err
		}
		err = errors.Join(wait(l.Context(), 40*time.Minute), holdVersions(l.Context(), r, first))
		if err := errors.Join(err, l.Unlock(ctx)); err != nil {
			return err
		}
		return backup(ctx, be, second)
	}
	both(t, func(t *testing.T) backendtest.Trial {
		tr := trial(t, care, first)
		tr.Judge = func(ctx context.Context, be backend.Backend, _ bool) error {
			if err := care(ctx, be); err != nil {
				return err
			}
			return judgeVersions(ctx, backendtest.NewAppendOnly(be, false), first, second)
		}
		return tr
	})
}
