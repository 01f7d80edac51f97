package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"time"

	"russet/backend"
	"russet/chunk"
)

// lockRefreshStays is how often a lock is renewed whose files stay: each leaves
// one more for everybody to list, and others wait for half an hour.
const lockRefreshStays = 3 * lockRefresh

// AppendOnlyError is the error of work that removes files, at a place which does
// not let them be removed with these credentials. Nothing was done. It is an
// fs.ErrPermission.
type AppendOnlyError struct {
	cause error
}

func (e *AppendOnlyError) Error() string {
	return fmt.Sprintf("files cannot be removed from the repository with these credentials, so nothing was changed: %v", e.cause)
}

// Unwrap is what the place said.
func (e *AppendOnlyError) Unwrap() error { return e.cause }

// removable is an AppendOnlyError where the place says that snapshots may not be
// removed. It is asked to remove one that no repository has; some places do not
// look at rights then, and those of locks can differ.
func (r *Repository) removable(ctx context.Context) error {
	err := r.be.Remove(ctx, backend.File{Kind: backend.Snapshot, Name: chunk.Sum(nil).String()})
	switch {
	case err == nil || errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, fs.ErrPermission):
		return &AppendOnlyError{err}
	}
	return fmt.Errorf("try whether files can be removed: %w", err)
}

// try finds out whether a lock could be removed again, by a shared one: an
// exclusive one that stays would block everybody. If it stays, it is the lock.
// Otherwise o goes on to look at all others.
func (l *Lock) try(ctx context.Context, o *lookout, exclusive bool) error {
	if err := l.write(ctx, false); err != nil {
		return err
	}
	if err := l.remove(ctx); err != nil {
		return err
	}
	switch {
	case l.stays == nil:
		o.exclusive, o.seen = exclusive, maps.Clone(o.nobodys)
		_, err := o.look(ctx, everyOne)
		return err
	case exclusive && !o.opt.OrShared:
		return &AppendOnlyError{l.stays}
	}
	return nil
}

// provenStale tells since when locks must be written to count, by the clock of
// the place, which wrote our own just now. Where locks can be removed all count.
func (l *Lock) provenStale(infos []backend.Info) time.Time {
	for _, info := range infos {
		if l.stays != nil && info.Name == l.id.String() && !info.ModTime.IsZero() {
			return info.ModTime.Add(-lockStale)
		}
	}
	return time.Time{}
}

// Exclusive tells whether the lock keeps everybody else out. It is false of a
// shared one that was taken by LockOptions.OrShared.
func (l *Lock) Exclusive() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Exclusive
}

// every is how often the lock is renewed. l.mu is held.
func (l *Lock) every() time.Duration {
	if l.stays != nil {
		return lockRefreshStays
	}
	return lockRefresh
}
