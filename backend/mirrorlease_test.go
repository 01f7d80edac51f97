package backend

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"russet/internal/durable"
)

// fakeKeeper keeps a lease in memory, by a clock that is hours off.
type fakeKeeper struct {
	mu    sync.Mutex
	there *leaseState
	fail  error // of everything
	lost  bool  // the answer of the next makeLease
}

func (k *fakeKeeper) now() time.Time { return time.Now().Add(-7 * time.Hour) }

func (k *fakeKeeper) readLease(context.Context) (leaseState, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.fail != nil:
		return leaseState{}, k.fail
	case k.there == nil:
		return leaseState{}, fs.ErrNotExist
	}
	return *k.there, nil
}

func (k *fakeKeeper) makeLease(_ context.Context, holder string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.there != nil {
		return fs.ErrExist
	}
	k.there = &leaseState{holder: holder, renewed: k.now()}
	if k.lost {
		k.lost = false
		return temporary(errConnectionLost)
	}
	return nil
}

func (k *fakeKeeper) renewLease(context.Context, leaseState) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail == nil {
		k.there.renewed = k.now()
	}
	return k.fail
}

func (k *fakeKeeper) takeLease(_ context.Context, there leaseState, holder string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.there == nil || *k.there != there {
		return fs.ErrExist
	}
	k.there = &leaseState{holder: holder, renewed: k.now()}
	return nil
}

func (k *fakeKeeper) removeLease(context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.there = nil
	return k.fail
}

func (k *fakeKeeper) leaseClock(context.Context) (time.Time, error) { return k.now(), nil }

func (k *fakeKeeper) set(there *leaseState, fail error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if there != nil {
		k.there = there
	}
	k.fail = fail
}

func mustTake(t *testing.T, k *fakeKeeper) *lease {
	t.Helper()
	l, err := takeLease(t.Context(), k, NetworkOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func wantBusy(t *testing.T, k *fakeKeeper) {
	t.Helper()
	if _, err := takeLease(t.Context(), k, NetworkOptions{}); !errors.Is(err, durable.ErrInUse) {
		t.Errorf("a second run: got %v, want %v", err, durable.ErrInUse)
	}
}

// TestLeaseIsHeld has nobody else get a lease while it is held, also through an outage, and anybody afterwards.
func TestLeaseIsHeld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := &fakeKeeper{lost: true}
		within, release := mustTake(t, k).hold(t.Context())
		for range 40 {
			time.Sleep(6 * time.Minute)
			wantBusy(t, k)
		}
		time.Sleep(time.Minute) // off the beat
		k.set(nil, temporary(errConnectionLost))
		time.Sleep(20 * time.Minute)
		k.set(nil, nil)
		time.Sleep(time.Minute)
		wantBusy(t, k)
		if err := within.Err(); err != nil {
			t.Errorf("while it is held: %v", context.Cause(within))
		}
		release()
		if k.there != nil {
			t.Error("it was not given back")
		}
		mustTake(t, k)
	})
}

// TestLeaseOfTheDead blocks others for half an hour, and no longer.
func TestLeaseOfTheDead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := &fakeKeeper{}
		dead := mustTake(t, k)
		time.Sleep(leaseStale - time.Second)
		wantBusy(t, k)
		time.Sleep(time.Second)
		heir := mustTake(t, k)
		if err := dead.confirm(t.Context()); !errors.Is(err, durable.ErrInUse) {
			t.Errorf("back from the dead: got %v, want %v", err, durable.ErrInUse)
		}
		if err := heir.confirm(t.Context()); err != nil {
			t.Error(err)
		}
		_, release := dead.hold(t.Context())
		release()
		if err := heir.confirm(t.Context()); err != nil {
			t.Errorf("after the dead one gave back: %v", err)
		}
	})
}

// TestLeaseIsLost ends the work of a run whose lease another one has, or that cannot have renewed it for too long.
func TestLeaseIsLost(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		there *leaseState
		fail  error
		after time.Duration
	}{
		{"taken", &leaseState{holder: "other"}, nil, leaseRenew},
		{"away", nil, temporary(errConnectionLost), leaseEnd},
		{"refused", nil, fs.ErrPermission, leaseEnd},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				k := &fakeKeeper{}
				within, release := mustTake(t, k).hold(t.Context())
				k.set(c.there, c.fail)
				begun := time.Now()
				<-within.Done()
				if took := time.Since(begun); took > leaseStale || took < c.after {
					t.Errorf("after %v, want %v", took, c.after)
				}
				if err := context.Cause(within); !errors.Is(err, durable.ErrInUse) {
					t.Errorf("got %v, want %v", err, durable.ErrInUse)
				}
				release()
				if k.there == nil {
					t.Error("another one's was removed")
				}
			})
		})
	}
}
