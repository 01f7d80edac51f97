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

// UnlockOptions say which locks Unlock removes.
type UnlockOptions struct {
	All      bool   // also those that are not stale, and unreadable ones
	Hostname string // of this computer: a process of it that is gone left a stale lock
	Boot     string // from ThisBoot
	Now      time.Time
	// Kept, if not nil, is called for each lock that is left because it is not
	// stale, for all that can be told.
	Kept func(*LockedError)
}

// stale tells whether a lock may be removed: it is older than 30 minutes, or its
// process, on this computer, no longer runs. One that is dated in the future by a
// wrong clock never grows old: that of the place tells when it was written.
func (o UnlockOptions) stale(f lockFile, info backend.Info) bool {
	if o.Now.Sub(f.Time) > lockStale || f.gone(o.Boot) || f.Hostname == o.Hostname && !processRuns(f.PID) {
		return true
	}
	return f.Time.Sub(o.Now) > lockStale && !info.ModTime.IsZero() && o.Now.Sub(info.ModTime) > lockStale
}

// Unlock removes stale locks and returns how many. It ends with an
// AppendOnlyError at the first that may not be removed.
func (r *Repository) Unlock(ctx context.Context, opt UnlockOptions) (int, error) {
	removed := 0
	var errs []error
	for info, err := range r.be.List(ctx, backend.Lock) {
		if err != nil {
			return removed, fmt.Errorf("list locks: %w", err)
		}
		id, err := chunk.ParseID(info.Name)
		if err != nil || info.Size == 0 && !opt.All {
			continue // an empty one blocks nobody
		}
		f, err := r.loadLock(ctx, id)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil && !opt.All {
			errs = append(errs, err)
			continue
		}
		if !opt.All && !opt.stale(f, info) {
			if opt.Kept != nil {
				opt.Kept(heldBy(f, id, opt.Now))
			}
			continue
		}
		switch err := r.be.Remove(ctx, backend.File{Kind: backend.Lock, Name: info.Name}); {
		case err == nil:
			removed++
		case errors.Is(err, fs.ErrPermission):
			return removed, errors.Join(append(errs, &AppendOnlyError{fmt.Errorf("remove lock: %w", err)})...)
		case !errors.Is(err, fs.ErrNotExist): // else its holder has removed or renewed it since it was read
			errs = append(errs, fmt.Errorf("remove lock: %w", err))
		}
	}
	return removed, errors.Join(errs...)
}
