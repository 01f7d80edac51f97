package repo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"time"

	"russet/backend"
	"russet/chunk"
)

// ThisBoot names this boot of this computer, and the numbers of processes that
// can be told apart in it: a lock with the same name was written where we look
// for its process. It is a hash, and empty where the system has no such name.
func ThisBoot() string {
	name := bootName()
	if name == "" {
		return ""
	}
	sum := sha256.Sum256([]byte("russet boot " + name))
	return hex.EncodeToString(sum[:8])
}

// gone tells whether it is certain that the lock's process no longer runs.
// The name of a computer is no proof, as two can have the same: the boot is one.
func (f *lockFile) gone(boot string) bool {
	return boot != "" && f.Boot == boot && !processRuns(f.PID)
}

// removeLock removes a lock of somebody who is gone, and tells whether it counts
// no more: it is not there, or may not be removed, and would block us for ever.
func (r *Repository) removeLock(ctx context.Context, id chunk.ID) bool {
	err := r.be.Remove(ctx, backend.File{Kind: backend.Lock, Name: id.String()})
	return err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)
}

// watchMin is how often a lock that nobody renews is looked at before it is
// removed: a computer that slept between two looks has seen nothing.
const watchMin = 25

// watch remembers how long the lock that is waited for has been the same.
type watch struct {
	id    chunk.ID
	since time.Time
	looks int
}

// stale tells whether a lock, which stands in the way now, has been the same for
// longer than its holder, wherever that is, would have left it: then it may be
// removed, whatever the clocks say (restic design document, "Locks").
func (w *watch) stale(id chunk.ID) bool {
	if id != w.id {
		*w = watch{id: id, since: time.Now()}
	}
	w.looks++
	return w.looks >= watchMin && time.Since(w.since) > lockStale
}

// age is how old the lock is, by the clock or by the time that has passed since
// it was written, whichever is more. A computer that slept sees it by its clock;
// one whose clock was set back only by what has passed. l.mu is held.
func (l *Lock) age() time.Duration {
	return max(l.now().Round(0).Sub(l.file.Time.Round(0)), time.Since(l.wrote))
}

// renewed is the time for the next lock file. It never lies before the last
// one's: if the clock was set back, others, whose clocks are right, would take
// the lock for stale. l.mu is held.
func (l *Lock) renewed() time.Time {
	now, due := l.now(), l.file.Time.Add(time.Since(l.wrote))
	if now.Round(0).Before(due.Round(0)) {
		return due
	}
	return now
}
