package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"russet/backend"
	"russet/chunk"
)

// maxLooks is how often locks are listed anew because one was replaced between
// being listed and being loaded.
const maxLooks = 20

// lookout looks at the locks of others, for one that is to be taken.
type lookout struct {
	r         *Repository
	exclusive bool
	opt       LockOptions
	nobodys   map[chunk.ID]bool // stand in nobody's way
	seen      map[chunk.ID]bool // of no concern: those, shared ones, and our own
}

// look returns the error of the first lock that conflicts. Those that were not
// written since a time, by the place's clock, are skipped and counted; since
// tells that time for a list, zero for none. Other stale locks conflict too, as
// in restic: only unlock removes them. But those that are proven to be nobody's
// are removed.
func (o *lookout) look(ctx context.Context, since func([]backend.Info) time.Time) (skipped int, err error) {
	for range maxLooks {
		infos, err := o.r.listLocks(ctx)
		if err != nil {
			return 0, err
		}
		skipped = 0
		vanished, first := false, since(infos)
		for _, info := range infos {
			if writtenBefore(info, first) {
				skipped++
				continue
			}
			err := o.inspect(ctx, info)
			if errors.Is(err, fs.ErrNotExist) {
				vanished = true
			} else if err != nil {
				return 0, err
			}
		}
		if !vanished {
			return skipped, nil
		}
		// It was released, or replaced by one that came too late for the list.
	}
	return 0, errors.New("list locks: each time some are gone before they can be loaded")
}

// writtenBefore tells whether a file was, where the place tells times.
func writtenBefore(info backend.Info, t time.Time) bool {
	return !info.ModTime.IsZero() && info.ModTime.Before(t)
}

// inspect looks at one lock. One that conflicts is a LockedError.
func (o *lookout) inspect(ctx context.Context, info backend.Info) error {
	id, err := chunk.ParseID(info.Name)
	if err != nil || o.seen[id] {
		return nil
	}
	f, err := o.r.loadLock(ctx, id)
	if errors.Is(err, fs.ErrNotExist) {
		o.seen[id] = true
	}
	if err != nil {
		return err
	}
	if !(f.gone(o.opt.Boot) && o.r.removeLock(ctx, id)) && (o.exclusive || f.Exclusive) {
		return heldBy(f, id, o.opt.clock()())
	}
	o.seen[id] = true
	return nil
}

// listLocks lists the files of locks, but for empty ones, which restic ignores,
// too.
func (r *Repository) listLocks(ctx context.Context) ([]backend.Info, error) {
	var infos []backend.Info
	for info, err := range r.be.List(ctx, backend.Lock) {
		if err != nil {
			return nil, fmt.Errorf("list locks: %w", err)
		}
		if info.Size > 0 {
			infos = append(infos, info)
		}
	}
	return infos, nil
}

// freshSince tells since when a lock must be written, by the place's clock, to be
// held, where the newest of those listed may be; it is zero where the place tells
// no times.
func freshSince(infos []backend.Info) time.Time {
	var newest time.Time
	for _, info := range infos {
		if info.ModTime.After(newest) {
			newest = info.ModTime
		}
	}
	if newest.IsZero() {
		return newest
	}
	return newest.Add(-lockStale)
}

// perhapsStale is freshSince by our clock, too: that may tell more, and is proof
// of nothing.
func (o *lookout) perhapsStale(infos []backend.Info) time.Time {
	since := o.opt.clock()().Add(-lockStale)
	if fresh := freshSince(infos); fresh.After(since) {
		return fresh
	}
	return since
}

// everyOne is for looks that leave none out.
func everyOne([]backend.Info) time.Time { return time.Time{} }
