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
		var infos []backend.Info
		for info, err := range o.r.be.List(ctx, backend.Lock) {
			if err != nil {
				return 0, fmt.Errorf("list locks: %w", err)
			}
			infos = append(infos, info)
		}
		skipped = 0
		vanished, first := false, since(infos)
		for _, info := range infos {
			if info.ModTime.Before(first) && !info.ModTime.IsZero() {
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

// inspect looks at one lock. One that conflicts is a LockedError.
func (o *lookout) inspect(ctx context.Context, info backend.Info) error {
	id, err := chunk.ParseID(info.Name)
	if err != nil || o.seen[id] || info.Size == 0 {
		return nil // restic ignores an empty lock file too
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

// perhapsStale tells since when locks must be written to be looked at before it
// is known what the place's clock says, and whether locks can be removed there.
func (o *lookout) perhapsStale(infos []backend.Info) time.Time {
	now := o.opt.clock()()
	for _, info := range infos {
		if info.ModTime.After(now) {
			now = info.ModTime
		}
	}
	return now.Add(-lockStale)
}

// everyOne is for looks that leave none out.
func everyOne([]backend.Info) time.Time { return time.Time{} }
