package repo

import (
	"context"
	"errors"
	"time"

	"russet/chunk"
)

// lockGlance is for how long a lock far away that was seen needs no second look:
// each costs the time of an answer, and between a look and what is written after
// it more can pass on a slow line. Nobody takes a lock of that age for stale.
const lockGlance = time.Minute

// sight is when a lock's file was last known to be there, by the clock, and by
// the one that does not jump.
type sight struct{ clock, steady time.Time }

// see notes that the file is there, unless err says that this is not certain.
// l.mu is held.
func (l *Lock) see(err error) {
	if err == nil {
		l.seen = sight{l.now(), time.Now()}
	}
}

// justSeen tells whether the lock need not be looked for. A computer that slept
// sees that by its clock, and one whose clock was set back by the other. l.mu is
// held.
func (l *Lock) justSeen() bool {
	return l.r.connections > 0 && !l.seen.steady.IsZero() &&
		max(l.now().Round(0).Sub(l.seen.clock.Round(0)), time.Since(l.seen.steady)) < lockGlance
}

// lockAtOnce takes a shared lock at a place far away, with a request less than
// tryLock: it looks at the locks of others only when its own is written. Where
// some of them may be stale it gives up and returns no lock.
func (r *Repository) lockAtOnce(ctx context.Context, opt LockOptions) (*Lock, error) {
	l, o := r.newLock(opt), &lookout{r: r, opt: opt, seen: map[chunk.ID]bool{}}
	err := l.write(ctx, false)
	if err == nil {
		o.seen[l.id] = true
		err = wait(ctx, lockSettle)
	}
	skipped := 0
	if err == nil {
		skipped, err = o.look(ctx, o.perhapsStale)
	}
	if err == nil && skipped == 0 {
		return l.held(ctx), nil
	}
	if err := errors.Join(err, l.remove(ctx)); err != nil {
		return nil, err
	}
	if l.stays == nil {
		return nil, nil
	}
	// It cannot be removed, so it is the lock, and tells what is stale.
	if _, err := o.look(ctx, l.provenStale); err != nil {
		return nil, err
	}
	return l.held(ctx), nil
}
