package repo

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"time"

	"russet/backend"
	"russet/chunk"
)

// restic's lock protocol and times (restic design document, "Locks").
const (
	// lockRefresh is how often a lock is replaced by one with a newer time.
	lockRefresh = 5 * time.Minute
	// lockStale is the age past which anybody may remove a lock.
	lockStale = 30 * time.Minute
	// lockLost is how long refreshing may fail before the work is stopped:
	// well before others take the lock for stale.
	lockLost = lockStale - 3*lockRefresh/2
	// lockSettle passes between writing a lock and looking for others', so
	// that of two which are written at once both are seen.
	lockSettle = 200 * time.Millisecond
	// unlockGrace is the time to remove a lock, and to save the index of what is
	// durable, after the work.
	unlockGrace = time.Minute
	// stopGrace is the time to remove a lock after a person stopped the work, who
	// waits: a lock that stays is one of a program that no longer runs.
	stopGrace = 5 * time.Second
)

// lockFile is the JSON of locks/<id>, in restic's order; the last field is ours,
// and nobody else minds it.
type lockFile struct {
	Time      time.Time `json:"time"`
	Exclusive bool      `json:"exclusive"`
	Hostname  string    `json:"hostname"`
	Username  string    `json:"username"`
	PID       int       `json:"pid"`
	UID       uint32    `json:"uid,omitempty"`
	GID       uint32    `json:"gid,omitempty"`
	Boot      string    `json:"russet_boot,omitempty"`
}

// LockOptions say who locks, and how long to wait for others.
type LockOptions struct {
	Owner Owner // its Time is ignored
	PID   int
	// Boot, from ThisBoot, lets locks be removed whose process, of this boot,
	// is certain to run no more; and lets others remove this one then.
	Boot string
	// OrShared asks, where a lock could not be removed again, for a shared lock
	// instead of an exclusive one. Without it that is an AppendOnlyError.
	OrShared bool
	// Retry is how long to try again while another lock conflicts. One that
	// nobody has renewed while we waited for 30 minutes is removed.
	Retry time.Duration
	// Waiting, if not nil, is called before each pause of Retry.
	Waiting func(holder string)

	now func() time.Time // the clock, if not the system's; tests set it
}

func (o LockOptions) clock() func() time.Time {
	if o.now == nil {
		return time.Now
	}
	return o.now
}

// Lock is a held lock. Its methods are safe for concurrent use.
type Lock struct {
	r      *Repository
	ctx    context.Context
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when the refresher has ended
	now    func() time.Time

	mu    sync.Mutex
	file  lockFile
	wrote time.Time // when, by the clock that does not jump
	id    chunk.ID
	left  []chunk.ID // replaced files that may still be there
	stays error      // why its files may not be removed
	lost  error      // why the lock is no longer held
	seen  sight      // of its file
}

// LockedError names the process that holds a conflicting lock. It is an
// ErrLocked.
type LockedError struct {
	Hostname, Username string
	PID                int
	Exclusive          bool
	Since              time.Time
	Future             bool // Since is still to come, by our clock

	id chunk.ID
}

func (e *LockedError) Error() string {
	kind := ""
	if e.Exclusive {
		kind = "exclusively "
	}
	text := fmt.Sprintf("repository is locked %sby process %d on %s since %s", kind, e.PID, e.Hostname,
		e.Since.UTC().Format(time.RFC3339))
	if e.Future {
		text += ", which is still to come: that computer's clock is wrong, or this one's"
	}
	return text
}

// Is makes a LockedError an ErrLocked.
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// Gone tells whether the holder was a process of this computer, which has the
// given hostname, that no longer runs. Another one may have got its number
// since; then it is false.
func (e *LockedError) Gone(hostname string) bool {
	return e.Hostname == hostname && !processRuns(e.PID)
}

// Lock takes a shared or an exclusive lock, and keeps it fresh until Unlock.
// Every process that writes must hold one; Context is what its work must run
// under. Where nothing can be removed, an exclusive lock is an AppendOnlyError.
func (r *Repository) Lock(ctx context.Context, exclusive bool, opt LockOptions) (*Lock, error) {
	if exclusive && !opt.OrShared {
		if err := r.removable(ctx); err != nil {
			return nil, err
		}
	}
	if !exclusive && r.connections > 0 {
		l, err := r.lockAtOnce(ctx, opt)
		if l != nil || err != nil && !errors.Is(err, ErrLocked) {
			return l, err
		}
	}
	deadline := time.Now().Add(opt.Retry)
	nobodys := map[chunk.ID]bool{}
	var w watch
	for pause := 5 * time.Second; ; pause = min(2*pause, time.Minute) {
		l, err := r.tryLock(ctx, exclusive, opt, nobodys)
		if err == nil {
			return l, nil
		}
		left := time.Until(deadline)
		held, ok := errors.AsType[*LockedError](err)
		if !ok || left <= 0 {
			return nil, err
		}
		if w.stale(held.id) && r.removeLock(ctx, held.id) {
			nobodys[held.id] = true
			continue
		}
		if opt.Waiting != nil {
			opt.Waiting(err.Error())
		}
		if err := wait(ctx, min(pause, left)); err != nil {
			return nil, err
		}
	}
}

// tryLock writes a lock between two looks at those of others, but for nobodys.
func (r *Repository) tryLock(ctx context.Context, exclusive bool, opt LockOptions, nobodys map[chunk.ID]bool) (*Lock, error) {
	o := &lookout{r: r, opt: opt, nobodys: nobodys, seen: maps.Clone(nobodys)}
	skipped, err := o.look(ctx, o.perhapsStale)
	if err != nil {
		return nil, err
	}
	l := r.newLock(opt)
	if exclusive || skipped > 0 {
		err = l.try(ctx, o, exclusive)
	}
	if err == nil && l.stays == nil {
		err = l.write(ctx, exclusive)
	}
	if err == nil {
		o.seen[l.id] = true
		err = wait(ctx, lockSettle)
	}
	if err == nil {
		_, err = o.look(ctx, l.provenStale)
	}
	if err != nil {
		// A file may be there all the same, and would block others for half an hour.
		return nil, errors.Join(err, l.remove(ctx))
	}
	return l.held(ctx), nil
}

func (r *Repository) newLock(opt LockOptions) *Lock {
	return &Lock{r: r, done: make(chan struct{}), now: opt.clock(), file: lockFile{
		Hostname: opt.Owner.Hostname, Username: opt.Owner.Username, PID: opt.PID, Boot: opt.Boot,
	}}
}

// held begins to keep a lock fresh that was taken.
func (l *Lock) held(ctx context.Context) *Lock {
	l.ctx, l.cancel = context.WithCancelCause(context.WithValue(ctx, lockKey{}, l))
	go l.refresh()
	return l
}

// write writes the lock's first file.
func (l *Lock) write(ctx context.Context, exclusive bool) (err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.file.Time, l.file.Exclusive, l.wrote = l.now(), exclusive, time.Now()
	l.id, err = l.r.saveLock(ctx, l.file)
	l.see(err)
	return err
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func (r *Repository) saveLock(ctx context.Context, f lockFile) (chunk.ID, error) {
	plain, err := json.Marshal(f)
	if err != nil {
		return chunk.ID{}, fmt.Errorf("encode lock: %w", err)
	}
	return r.saveUnpacked(ctx, backend.Lock, plain)
}

// heldBy makes the error of a lock that stands in the way.
func heldBy(f lockFile, id chunk.ID, now time.Time) *LockedError {
	const skew = time.Minute // no clock is right
	return &LockedError{f.Hostname, f.Username, f.PID, f.Exclusive, f.Time, f.Time.After(now.Add(skew)), id}
}

func (r *Repository) loadLock(ctx context.Context, id chunk.ID) (lockFile, error) {
	var f lockFile
	plain, err := r.loadUnpacked(ctx, backend.Lock, id)
	if err != nil {
		return f, err
	}
	if err := json.Unmarshal(plain, &f); err != nil {
		return f, fmt.Errorf("decode lock %.8s: %w: %w", id.String(), ErrDamaged, err)
	}
	return f, nil
}

// Context is cancelled when the lock is lost, with a cause that says so, and
// when the context given to Repository.Lock is.
func (l *Lock) Context() context.Context { return l.ctx }

// refresh keeps the lock's time new until Unlock.
func (l *Lock) refresh() {
	defer close(l.done)
	tick := time.NewTicker(lockRefresh / 10)
	defer tick.Stop()
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-tick.C:
		}
		l.mu.Lock()
		age, every := l.age(), l.every()
		l.mu.Unlock()
		if age < every {
			continue
		}
		// A backend that hangs must not keep us from seeing that the lock is lost.
		ctx, cancel := context.WithTimeout(l.ctx, max(lockLost-age, lockRefresh/10))
		err := l.replace(ctx)
		cancel()
		if err == nil {
			continue
		}
		if errors.Is(err, errLockGone) || age > lockLost {
			_ = l.lose(err)
			return
		}
	}
}

// lose stops the work that is done under the lock, and returns the error that
// says so.
func (l *Lock) lose(err error) error {
	err = fmt.Errorf("%w, so work on it has stopped: %w", ErrLockLost, err)
	l.mu.Lock()
	l.lost = err
	l.mu.Unlock()
	l.cancel(err)
	return err
}

// lockKey is under which Lock.Context has the lock.
type lockKey struct{}

// confirmLock is called before anything is written that refers to other files.
// Where ctx is that of a lock, also a cancelled one, the error says that it is
// lost. The refresher may not have noticed yet that others removed the lock, or,
// after the computer slept, took it for stale, and removed what is referred to:
// so the file is looked for, and replaced where it was not in time. One that
// cannot be read for the moment is forgiven until it would be stale.
func confirmLock(ctx context.Context) error {
	l, ok := ctx.Value(lockKey{}).(*Lock)
	if !ok {
		return nil
	}
	l.mu.Lock()
	lost, age := l.lost, l.age()
	var err error
	if lost == nil && !l.justSeen() {
		_, err = l.r.loadLock(ctx, l.id)
		l.see(err)
	}
	l.mu.Unlock()
	if lost != nil {
		return lost
	}
	gone := errors.Is(err, fs.ErrNotExist)
	if gone {
		err = errLockGone
	} else if age > lockLost {
		err = l.replace(ctx)
		gone = err != nil
	}
	if !gone {
		return nil
	}
	return l.lose(err)
}

// errLockGone: somebody removed our lock, so somebody may be pruning.
var errLockGone = errors.New("the lock file is gone")

// errNotHeeded: somebody took our lock for stale and could not remove it.
var errNotHeeded = errors.New("others have begun to work in spite of it")

// errReleased: somebody writes after Unlock.
var errReleased = errors.New("the repository's lock was released before the work ended")

// replace writes a new lock file and removes the old one. It is an error when
// the old one is no longer there: others took the lock for stale.
func (l *Lock) replace(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.r.loadLock(ctx, l.id); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return errLockGone
		}
		return err
	}
	f, late, now := l.file, l.age() > lockLost, time.Now()
	f.Time = l.renewed()
	id, err := l.r.saveLock(ctx, f)
	if err == nil && late {
		err = l.confirmOld(ctx, id)
	}
	if err != nil {
		l.left = append(l.left, id) // perhaps it is there
		return err
	}
	l.left = append(l.left, l.id)
	l.file, l.wrote, l.id = f, now, id
	l.see(nil)
	_ = l.sweep(ctx) // what stays is tried again, at the latest by Unlock
	return nil
}

// confirmOld looks for the old file once more, after the new one can be seen by
// everybody: who took the old one for stale when the computer slept, and removed
// it, may have seen neither. Who could not remove it has left one of his own, so
// an exclusive lock is lost where there is any other. l.mu is held.
func (l *Lock) confirmOld(ctx context.Context, renewed chunk.ID) error {
	if err := wait(ctx, lockSettle); err != nil {
		return err
	}
	_, err := l.r.loadLock(ctx, l.id)
	if errors.Is(err, fs.ErrNotExist) {
		return errLockGone
	}
	if err != nil || !l.file.Exclusive {
		return err
	}
	ids, err := l.r.listIDs(ctx, backend.Lock)
	for _, id := range ids {
		if id != l.id && id != renewed && !slices.Contains(l.left, id) {
			return errNotHeeded
		}
	}
	return err
}

// sweep removes the files in l.left, and keeps there those that it could not.
// Those of a shared lock that may not be removed stay. l.mu is held.
func (l *Lock) sweep(ctx context.Context) error {
	var errs []error
	l.left = slices.DeleteFunc(l.left, func(id chunk.ID) bool {
		err := l.r.be.Remove(ctx, backend.File{Kind: backend.Lock, Name: id.String()})
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return true
		}
		if errors.Is(err, fs.ErrPermission) && !l.file.Exclusive {
			l.stays = err
			return true
		}
		errs = append(errs, err)
		return false
	})
	return errors.Join(errs...)
}

// Unlock stops refreshing and removes the lock, also when ctx is cancelled.
func (l *Lock) Unlock(ctx context.Context) error {
	l.cancel(context.Canceled)
	<-l.done
	l.mu.Lock()
	l.lost = cmp.Or(l.lost, errReleased)
	l.mu.Unlock()
	return l.remove(ctx)
}

func (l *Lock) remove(ctx context.Context) error {
	grace := unlockGrace
	if ctx.Err() != nil {
		grace = stopGrace
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.id.IsZero() && !slices.Contains(l.left, l.id) {
		l.left = append(l.left, l.id)
	}
	if err := l.sweep(ctx); err != nil {
		return fmt.Errorf("remove lock: %w", err)
	}
	return nil
}
