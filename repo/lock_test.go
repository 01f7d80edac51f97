package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
	"russet/crypto"
)

// lockRepo is an empty repository on a backend with the given faults. Call it
// in the bubble that the test runs in.
func lockRepo(t *testing.T, f backendtest.Faults) (*Repository, *backend.Memory, *backendtest.Faulty) {
	t.Helper()
	be := backend.NewMemory()
	r, err := Init(t.Context(), be, testPassword, InitOptions{Cost: crypto.Cost{N: 2, R: 1, P: 1}})
	if err != nil {
		t.Fatal(err)
	}
	faulty := backendtest.NewFaulty(be, f)
	return on(r, faulty), be, faulty
}

func take(t *testing.T, r *Repository, exclusive bool) *Lock {
	t.Helper()
	l, err := r.Lock(t.Context(), exclusive, LockOptions{Owner: Owner{Hostname: "h", Username: "u"}, PID: os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// locks loads the lock files that are there, all at one moment.
func locks(t *testing.T, r *Repository, be backend.Backend) map[chunk.ID]lockFile {
	t.Helper()
	for range 100 {
		found, err := tryLocks(t, r, be)
		if err == nil {
			return found
		}
		if !errors.Is(err, fs.ErrNotExist) { // else it was replaced since it was listed
			t.Fatal(err)
		}
	}
	t.Fatal("locks are replaced all the time")
	return nil
}

func tryLocks(t *testing.T, r *Repository, be backend.Backend) (map[chunk.ID]lockFile, error) {
	t.Helper()
	found := map[chunk.ID]lockFile{}
	for info, err := range be.List(t.Context(), backend.Lock) {
		if err != nil {
			t.Fatal(err)
		}
		id, err := chunk.ParseID(info.Name)
		if err != nil {
			t.Fatal(err)
		}
		if found[id], err = on(r, be).loadLock(t.Context(), id); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// A lock is replaced every five minutes by a new file, which is there before
// the old one goes.
func TestLockRefresh(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, be, faulty := lockRepo(t, backendtest.Faults{})
		l := take(t, r, false)
		seen := map[chunk.ID]bool{}
		time.Sleep(time.Second) // look between two refreshes, not at one
		for range 24 {
			found := locks(t, r, be)
			if len(found) != 1 {
				t.Fatalf("%d lock files, want 1", len(found))
			}
			for id, f := range found {
				if seen[id] = true; time.Since(f.Time) > lockRefresh+lockRefresh/10 {
					t.Errorf("the lock is %v old", time.Since(f.Time))
				}
				if f.Exclusive || f.Hostname != "h" || f.Username != "u" || f.PID != os.Getpid() {
					t.Errorf("the lock became %+v", f)
				}
			}
			time.Sleep(lockRefresh)
		}
		if len(seen) < 20 {
			t.Errorf("two hours had %d locks", len(seen))
		}
		there := 0
		for _, op := range faulty.Ops() {
			switch {
			case op.File.Kind != backend.Lock:
			case op.Verb == backendtest.Save:
				there++
			case op.Verb == backendtest.Remove:
				if there--; there < 1 {
					t.Error("there was a moment without a lock")
				}
			}
		}
		if err := l.Context().Err(); err != nil {
			t.Error(err)
		}
		if err := l.Unlock(t.Context()); err != nil || len(locks(t, r, be)) != 0 {
			t.Errorf("unlock: %v, leaves %v", err, locks(t, r, be))
		}
	})
}

// Whoever removed our lock may be pruning: the work stops.
func TestLockRemovedByOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, be, _ := lockRepo(t, backendtest.Faults{})
		l := take(t, r, false)
		for id := range locks(t, r, be) {
			if err := be.Remove(t.Context(), backend.File{Kind: backend.Lock, Name: id.String()}); err != nil {
				t.Fatal(err)
			}
		}
		select {
		case <-l.Context().Done():
		case <-time.After(lockRefresh + time.Minute):
			t.Fatal("work goes on without a lock")
		}
		if err := context.Cause(l.Context()); !errors.Is(err, errLockGone) {
			t.Errorf("cause: %v", err)
		}
		// A writer that runs under it stops too.
		if _, err := r.NewWriter(l.Context()).Save(t.Context(), 0, []byte("x")); !errors.Is(err, errLockGone) {
			t.Errorf("save: %v, want errLockGone", err)
		}
		if err := l.Unlock(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// While a lock cannot be refreshed the work goes on, but not until others take
// the lock for stale; a backend that only hangs is no excuse.
func TestLockCannotBeRefreshed(t *testing.T) {
	t.Parallel()
	for _, hangs := range []bool{false, true} {
		for _, down := range []time.Duration{20 * time.Minute, 10 * time.Hour} {
			synctest.Test(t, func(t *testing.T) {
				var until atomic.Pointer[time.Time]
				until.Store(new(time.Time))
				r, be, _ := lockRepo(t, backendtest.Faults{Before: func(ctx context.Context, _ backendtest.Op) error {
					up := *until.Load()
					if !time.Now().Before(up) {
						return nil
					}
					if hangs {
						select {
						case <-ctx.Done():
						case <-time.After(time.Until(up)):
						}
					}
					return errors.New("down")
				}})
				start := time.Now()
				l := take(t, r, false)
				up := start.Add(down)
				until.Store(&up)
				time.Sleep(lockLost - time.Second)
				if err := context.Cause(l.Context()); err != nil {
					t.Fatalf("stopped after %v: %v", time.Since(start), err)
				}
				time.Sleep(time.Hour)
				if lost := context.Cause(l.Context()) != nil; lost != (down > lockStale) {
					t.Errorf("down for %v, hangs %v: lost %v", down, hangs, lost)
				}
				until.Store(&start)
				if err := l.Unlock(t.Context()); err != nil || len(locks(t, r, be)) != 0 {
					t.Errorf("unlock: %v, leaves %d", err, len(locks(t, r, be)))
				}
			})
		}
	}
}

func TestLockLostInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		r, _, _ := lockRepo(t, backendtest.Faults{Before: func(ctx context.Context, _ backendtest.Op) error {
			if down.Load() {
				<-ctx.Done()
			}
			return nil
		}})
		start := time.Now()
		l := take(t, r, true)
		down.Store(true)
		<-l.Context().Done()
		if took := time.Since(start); took < lockLost || took > lockStale-time.Minute {
			t.Errorf("stopped after %v", took)
		}
		down.Store(false)
		if err := l.Unlock(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// unlocking marks what Unlock does.
type unlocking struct{}

// A refresh that is cut off, wherever, leaves no lock file behind that would
// block others.
func TestLockLeavesNothing(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 3; n++ { // load, save, remove
		for _, late := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				var held atomic.Pointer[Lock]
				count, unlocked := 0, make(chan error, 1)
				r, be, _ := lockRepo(t, backendtest.Faults{Before: func(ctx context.Context, op backendtest.Op) error {
					l := held.Load()
					if l == nil || ctx.Value(unlocking{}) != nil {
						return nil
					}
					if count++; count == n {
						go func() { unlocked <- l.Unlock(context.WithValue(context.Background(), unlocking{}, true)) }()
						<-ctx.Done()
						if !late {
							return ctx.Err()
						}
					}
					return nil
				}})
				held.Store(take(t, r, true))
				if err := <-unlocked; err != nil {
					t.Errorf("unlock: %v", err)
				}
				if left := locks(t, r, be); len(left) != 0 {
					t.Errorf("cut off in operation %d of a refresh: left %v", n, left)
				}
			})
		}
	}
	for n := 1; n <= 8; n++ { // a fault once, of what works again later
		synctest.Test(t, func(t *testing.T) {
			r, be, faulty := lockRepo(t, backendtest.Faults{FailAt: n, Late: true, Only: func(op backendtest.Op) bool { return op.Verb.Writes() }})
			l, err := r.Lock(t.Context(), true, LockOptions{})
			if err == nil {
				time.Sleep(12 * time.Minute)
				if err := context.Cause(l.Context()); err != nil {
					t.Error(err)
				}
				err = l.Unlock(t.Context())
			}
			if (err != nil) && !faulty.Fired() || len(locks(t, r, be)) != 0 {
				t.Errorf("write %d lost its answer: %v, left %v", n, err, locks(t, r, be))
			}
		})
	}
}

// Of two that want a lock at the same moment at most one has it.
func TestLockRace(t *testing.T) {
	t.Parallel()
	for _, other := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r, be, _ := lockRepo(t, backendtest.Faults{})
			var wg sync.WaitGroup
			var got [2]*Lock
			var errs [2]error
			for i, exclusive := range []bool{true, other} {
				wg.Go(func() {
					got[i], errs[i] = r.Lock(t.Context(), exclusive, LockOptions{Owner: Owner{Hostname: fmt.Sprint("h", i)}})
				})
			}
			wg.Wait()
			if got[0] != nil && got[1] != nil {
				t.Error("both have it")
			}
			for i, l := range got {
				if l == nil {
					if !errors.Is(errs[i], ErrLocked) {
						t.Error(errs[i])
					}
				} else if err := l.Unlock(t.Context()); err != nil {
					t.Error(err)
				}
			}
			if left := locks(t, r, be); len(left) != 0 {
				t.Errorf("left %v", left)
			}
		})
	}
}

func TestLockRetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, _, _ := lockRepo(t, backendtest.Faults{})
		held := take(t, r, true)
		start, waits := time.Now(), 0
		opt := LockOptions{Retry: 3 * time.Minute, Waiting: func(string) { waits++ }}
		_, err := r.Lock(t.Context(), false, opt)
		if locked, ok := errors.AsType[*LockedError](err); !ok || !locked.Exclusive || locked.Hostname != "h" || locked.PID != os.Getpid() {
			t.Errorf("got %v, want who holds the lock", err)
		}
		if took := time.Since(start); took < opt.Retry || took > opt.Retry+time.Minute || waits < 3 {
			t.Errorf("gave up after %v and %d pauses", took, waits)
		}
		time.AfterFunc(50*time.Second, func() { _ = held.Unlock(context.Background()) })
		l, err := r.Lock(t.Context(), false, opt)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Unlock(t.Context()); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		held = take(t, r, true)
		if _, err := r.Lock(ctx, false, LockOptions{Retry: time.Hour}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("cancelled: %v", err)
		}
		if err := held.Unlock(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Stale locks block too, until somebody removes them.
func TestStaleLocks(t *testing.T) {
	t.Parallel()
	r, be, _ := lockRepo(t, backendtest.Faults{})
	now := testTime()

	for _, c := range []struct {
		name  string
		f     lockFile
		stale bool
	}{
		{"old", lockFile{Time: now.Add(-31 * time.Minute), Hostname: "other", PID: os.Getpid()}, true},
		{"new", lockFile{Time: now.Add(-29 * time.Minute), Hostname: "other", PID: nobody}, false},
		{"dead", lockFile{Time: now, Hostname: "here", PID: nobody}, true},
		{"alive", lockFile{Time: now, Hostname: "here", PID: os.Getpid()}, false},
		{"future", lockFile{Time: now.Add(time.Hour), Hostname: "other"}, false},
	} {
		id, err := r.saveLock(t.Context(), c.f)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Lock(t.Context(), true, LockOptions{}); !errors.Is(err, ErrLocked) {
			t.Errorf("%s: %v, want ErrLocked", c.name, err)
		}
		n, err := r.Unlock(t.Context(), UnlockOptions{Hostname: "here", Now: now})
		if err != nil || (n == 1) != c.stale {
			t.Errorf("%s: unlock removed %d, %v, want stale %v", c.name, n, err, c.stale)
		}
		if n, err = r.Unlock(t.Context(), UnlockOptions{All: true, Now: now}); err != nil || (n == 0) != c.stale {
			t.Errorf("%s: unlock of all removed %d, %v", c.name, n, err)
		}
		if _, err := be.Load(t.Context(), backend.File{Kind: backend.Lock, Name: id.String()}, 0, nil); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there: %v", c.name, err)
		}
	}
}

// A lock that nobody can read may be anybody's; an empty one is nobody's.
func TestGarbageLock(t *testing.T) {
	t.Parallel()
	r, be, _ := lockRepo(t, backendtest.Faults{})
	empty := backend.File{Kind: backend.Lock, Name: chunk.Sum([]byte("a")).String()}
	garbage := backend.File{Kind: backend.Lock, Name: chunk.Sum([]byte("b")).String()}
	if err := be.Save(t.Context(), empty, nil); err != nil {
		t.Fatal(err)
	}
	for _, exclusive := range []bool{false, true} {
		if err := take(t, r, exclusive).Unlock(t.Context()); err != nil {
			t.Errorf("beside an empty lock: %v", err)
		}
	}
	if n, err := r.Unlock(t.Context(), UnlockOptions{Now: testTime()}); n != 0 || err != nil {
		t.Errorf("unlock: %d, %v", n, err)
	}
	if err := be.Save(t.Context(), garbage, payload(1, 200)); err != nil {
		t.Fatal(err)
	}
	for _, exclusive := range []bool{false, true} {
		if _, err := r.Lock(t.Context(), exclusive, LockOptions{}); !errors.Is(err, ErrDamaged) {
			t.Errorf("beside garbage: %v, want ErrDamaged", err)
		}
	}
	if n, err := r.Unlock(t.Context(), UnlockOptions{Now: testTime()}); n != 0 || !errors.Is(err, ErrDamaged) {
		t.Errorf("unlock: %d, %v, want ErrDamaged", n, err)
	}
	if n, err := r.Unlock(t.Context(), UnlockOptions{All: true, Now: testTime()}); n != 2 || err != nil {
		t.Errorf("unlock of all: %d, %v", n, err)
	}
	if all := slices.Collect(func(yield func(string) bool) {
		for info := range be.List(t.Context(), backend.Lock) {
			yield(info.Name)
		}
	}); len(all) != 0 {
		t.Errorf("left %v", all)
	}
}

// silent is a place that answers no removal.
type silent struct{ backend.Backend }

func (silent) Remove(ctx context.Context, _ backend.File) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// TestLockStopped: who stopped the work does not wait for long on a server that hangs.
func TestLockStopped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, _, _ := lockRepo(t, backendtest.Faults{})
		for stopped, want := range map[bool]time.Duration{true: stopGrace, false: unlockGrace} {
			l := take(t, r, false)
			be := r.be
			r.be = silent{be}
			ctx, cancel := context.WithCancel(t.Context())
			if stopped {
				cancel()
			}
			start := time.Now()
			err := l.Unlock(ctx)
			if took := time.Since(start); took != want || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("stopped %t: got %v after %v, want it after %v", stopped, err, took, want)
			}
			r.be = be
			cancel()
			if err := l.Unlock(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}
