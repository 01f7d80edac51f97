package backend

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	// firstPause lets a connection that was cut be made anew; lastPause is as long as a person can be left waiting once
	// the server is back.
	firstPause = 500 * time.Millisecond
	lastPause  = 30 * time.Second
)

// temporaryError marks an error that may pass by itself: a lost connection, a server that is busy.
type temporaryError struct{ error }

func (e temporaryError) Unwrap() error { return e.error }

// temporary marks an error as one that may pass by itself. Whatever is not marked is permanent.
func temporary(err error) error {
	if err == nil {
		return nil
	}
	return temporaryError{err}
}

// IsTemporary reports whether an error is one that may pass by itself, so that the same may be tried again later: a lost
// connection, a server that is busy or does not answer.
func IsTemporary(err error) bool {
	_, ok := errors.AsType[temporaryError](err)
	return ok
}

// again calls try until it succeeds or fails for good, or has failed for so long that it is given up; again is set from the
// second time on: the time before may have had its effect, and only its answer was lost. done may be nil; where it
// reports that the time before came further than those before it, the patience begins anew.
func (o NetworkOptions) again(ctx context.Context, try func(again bool) error, done func() bool) error {
	var first time.Time
	pause := cmp.Or(o.pause, firstPause)
	for n := 0; ; n++ {
		begun := time.Now()
		err := o.busy(func() error { return try(n > 0) })
		if !IsTemporary(err) || o.Retry < 0 {
			return err
		}
		if first.IsZero() || done != nil && done() {
			first, pause = begun, cmp.Or(o.pause, firstPause)
		}
		if err := ctx.Err(); err != nil { // what it cut off looks like a connection lost
			return fmt.Errorf("wait for an answer: %w", err)
		}
		next := pause/2 + rand.N(pause/2) // many that failed together do not come back together
		if waited := time.Since(first); waited+next > o.retry() {
			return fmt.Errorf("given up after %v: %w", waited.Round(time.Second), err)
		}
		o.warn(err, next)
		if err := sleep(ctx, next); err != nil {
			return fmt.Errorf("wait to try again: %w", err)
		}
		pause = min(2*pause, lastPause)
	}
}

// ask is again for what only asks the place.
func ask[T any](ctx context.Context, o NetworkOptions, place func(context.Context) (T, error)) (got T, err error) {
	err = o.again(ctx, func(bool) (err error) {
		got, err = place(ctx)
		return err
	}, nil)
	return got, err
}

// sleep waits, unless ctx ends before.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
