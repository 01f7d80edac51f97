package backend

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"russet/internal/durable"
)

const (
	// leaseStale is after how long without a renewal others take a lease over, by the clock of the place: as with restic's
	// locks, longer than an operation is tried again.
	leaseStale = 30 * time.Minute
	// leaseEnd is after how long its holder gives it up, by whichever of its clocks has gone further.
	leaseEnd = 25 * time.Minute
	// leaseRenew is how often it is renewed.
	leaseRenew = 5 * time.Minute
	// leaseRelease is how long giving it back may take: one that stays grows stale.
	leaseRelease = 30 * time.Second

	// maxHolder bounds what is read of a lease.
	maxHolder = 64
)

// A leaseKeeper is a place that keeps a file which says who works there: mirror.lock.
type leaseKeeper interface {
	// readLease tells who holds the lease; the error wraps fs.ErrNotExist where nobody does.
	readLease(ctx context.Context) (leaseState, error)
	// makeLease makes the file; the error wraps fs.ErrExist where there is one.
	makeLease(ctx context.Context, holder string) error
	// renewLease makes the file a new one for the clock of the place. It was read a moment before.
	renewLease(ctx context.Context, there leaseState) error
	// takeLease replaces what was read by a new holder's. The error wraps fs.ErrExist where it was somebody else's by then.
	takeLease(ctx context.Context, there leaseState, holder string) error
	// removeLease removes the file. It was read a moment before.
	removeLease(ctx context.Context) error
	// leaseClock is the time at the place.
	leaseClock(ctx context.Context) (time.Time, error)
}

// leaseState is what the file of a lease says.
type leaseState struct {
	holder  string
	renewed time.Time // by the clock of the place
	version string    // of the file, where the place tells one
}

// A lease is the right to be the only run that writes to a mirror. Its methods may be called concurrently.
type lease struct {
	place   leaseKeeper
	network NetworkOptions
	holder  string
}

// errTakenOver says that nobody could see for too long that this run goes on.
var errTakenOver = fmt.Errorf("the lock of this run was taken over: %w", durable.ErrInUse)

// takeLease makes a lease, or takes one over that is stale. The error wraps durable.ErrInUse where somebody holds it.
func takeLease(ctx context.Context, place leaseKeeper, network NetworkOptions) (*lease, error) {
	l := &lease{place, network, rand.Text()}
	err := l.take(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", occupied, err)
	}
	return l, nil
}

func (l *lease) take(ctx context.Context) error {
	err := l.network.again(ctx, func(bool) error { return l.place.makeLease(ctx, l.holder) }, nil)
	if err == nil {
		return l.mine(ctx)
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	there, err := l.read(ctx)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return durable.ErrInUse // until this moment; it is asked again
	case err != nil:
		return err
	case there.holder == l.holder:
		return nil // an answer was lost
	}
	now, err := ask(ctx, l.network, l.place.leaseClock)
	if err != nil {
		return err
	}
	if now.Sub(there.renewed) < leaseStale {
		return durable.ErrInUse
	}
	err = l.network.again(ctx, func(bool) error { return l.place.takeLease(ctx, there, l.holder) }, nil)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return l.mine(ctx)
}

func (l *lease) read(ctx context.Context) (leaseState, error) {
	return ask(ctx, l.network, l.place.readLease)
}

// mine wants the lease to be ours.
func (l *lease) mine(ctx context.Context) error {
	there, err := l.read(ctx)
	if errors.Is(err, fs.ErrNotExist) || err == nil && there.holder != l.holder {
		return durable.ErrInUse
	}
	return err
}

// confirm wants the lease to be ours still.
func (l *lease) confirm(ctx context.Context) error {
	if err := l.mine(ctx); !errors.Is(err, durable.ErrInUse) {
		return err
	}
	return errTakenOver
}

// hold renews the lease until end is called, which gives it back. within ends when it is lost.
func (l *lease) hold(ctx context.Context) (within context.Context, end func()) {
	within, cancel := context.WithCancelCause(ctx)
	over := make(chan struct{})
	renewed := time.Now()
	go func() {
		defer close(over)
		tick := time.NewTicker(leaseRenew)
		defer tick.Stop()
		for {
			select {
			case <-within.Done():
				return
			case <-tick.C:
			}
			begun := time.Now()
			err := l.renew(within, renewed)
			switch {
			case err == nil:
				renewed = begun
			case errors.Is(err, errTakenOver), passed(renewed) >= leaseEnd:
				cancel(errTakenOver)
			}
		}
	}()
	return within, func() {
		lost := errors.Is(context.Cause(within), errTakenOver)
		cancel(nil)
		<-over
		if !lost {
			l.giveBack(context.WithoutCancel(ctx))
		}
	}
}

// passed is the larger of what has passed by the computer's clock, which goes on in standby, and without it.
func passed(since time.Time) time.Duration {
	return max(time.Since(since), time.Now().Round(0).Sub(since.Round(0)))
}

// renew tries as long as the lease, renewed at a time, is ours for sure.
func (l *lease) renew(ctx context.Context, renewed time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, max(leaseEnd-passed(renewed), 0))
	defer cancel()
	return l.network.again(ctx, func(bool) error {
		there, err := l.place.readLease(ctx)
		if errors.Is(err, fs.ErrNotExist) || err == nil && there.holder != l.holder {
			return errTakenOver
		}
		if err == nil {
			err = l.place.renewLease(ctx, there)
		}
		return err
	}, nil)
}

// giveBack removes the lease, if it is ours.
func (l *lease) giveBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, leaseRelease)
	defer cancel()
	_ = l.network.again(ctx, func(bool) error {
		there, err := l.place.readLease(ctx)
		if err == nil && there.holder == l.holder {
			err = l.place.removeLease(ctx)
		}
		return err
	}, nil)
}
