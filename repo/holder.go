package repo

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"russet/chunk"
)

// LockHolder tells whether a process, which left its mark in something of ours,
// still holds a lock: whoever works on a repository does, and renews it. Locks that
// are stale, or whose process of this boot is certain to run no more, do not count.
// boot is ThisBoot, or "".
func (r *Repository) LockHolder(ctx context.Context, hostname string, pid int, boot string, now time.Time) (bool, error) {
	infos, err := r.listLocks(ctx)
	if err != nil {
		return false, err
	}
	fresh := freshSince(infos)
	for _, info := range infos {
		id, err := chunk.ParseID(info.Name)
		if err != nil || writtenBefore(info, fresh) {
			continue
		}
		f, err := r.loadLock(ctx, id)
		if errors.Is(err, fs.ErrNotExist) {
			continue // released since it was listed
		}
		if err != nil {
			return false, err
		}
		if f.Hostname == hostname && f.PID == pid && now.Sub(f.Time) < lockStale && !f.gone(boot) {
			return true, nil
		}
	}
	return false, nil
}
