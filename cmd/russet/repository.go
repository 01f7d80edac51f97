package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"russet/backend"
	"russet/capture"
	"russet/crypto"
	"russet/repo"
)

// keyCost is what deriving a key from the repository's password costs: half a
// second of an attacker's time for each guess, and 60 MB, as restic has it.
func keyCost() crypto.Cost { return crypto.Calibrate(500*time.Millisecond, 60<<20) }

// locking says which lock a verb holds while it works.
type locking int

const (
	lockNone      locking = iota
	lockRead              // shared, and --no-lock does without
	lockShared            // for those who add
	lockExclusive         // for those who change what is there
	lockCheck             // exclusive, or shared where locks cannot be removed again; --no-lock does without
)

// withRepository opens the repository, takes the lock, works, and gives the
// lock back. The work's context ends when the lock is lost.
func (p *program) withRepository(c *cli.Context, kind locking, work func(ctx context.Context, r *repo.Repository) error) error {
	if asked(c, "no-lock") && !withoutLock(c, kind) {
		return usageError{"--no-lock is for --plan alone: whoever writes holds a lock"}
	}
	at, err := p.mainPlace(c)
	if err != nil {
		return err
	}
	return p.withPlace(c.Context, c, at, kind, work)
}

// withPlace is withRepository for any repository, in a context which may be that
// of another one's lock.
func (p *program) withPlace(ctx context.Context, c *cli.Context, at place, kind locking, work func(ctx context.Context, r *repo.Repository) error) error {
	r, done, err := p.openRepository(ctx, at)
	if err != nil {
		return err
	}
	defer done()
	return p.locked(ctx, c, r, at, kind, work)
}

// locked does work on a repository that is open, under a lock.
func (p *program) locked(ctx context.Context, c *cli.Context, r *repo.Repository, at place, kind locking, work func(ctx context.Context, r *repo.Repository) error) error {
	if kind == lockNone || withoutLock(c, kind) && asked(c, "no-lock") {
		return unlessGone(ctx, at, work(ctx, r))
	}
	if kind == lockShared || kind == lockExclusive {
		mirror, err := isMirror(ctx, r)
		if mirror {
			err = errMirror
		}
		if err != nil {
			return fmt.Errorf("open repository %s to write: %w", at, err)
		}
	}
	opt := p.lockOptions(c.Duration("retry-lock"))
	opt.OrShared = kind == lockCheck
	lock, err := r.Lock(ctx, kind >= lockExclusive, opt)
	if err != nil {
		return unlessGone(ctx, at, at.named(lockError(err, withoutLock(c, kind))))
	}
	if kind == lockCheck && !lock.Exclusive() {
		p.note("locks cannot be removed here, so this one lets others add to the repository meanwhile")
	}
	err = work(lock.Context(), r)
	if lost := context.Cause(lock.Context()); err != nil && lost != nil {
		err = lost // "context canceled" hides why
	}
	return unlessGone(ctx, at, errors.Join(err, lock.Unlock(ctx)))
}

// withoutLock tells whether a verb can do without its lock, since it only reads.
func withoutLock(c *cli.Context, kind locking) bool {
	return kind == lockRead || kind == lockCheck || asked(c, "plan")
}

// asked tells whether a flag is given that not every verb has.
func asked(c *cli.Context, name string) bool {
	return slices.ContainsFunc(c.Command.Flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) }) && c.Bool(name)
}

// isMirror tells whether the repository is a copy that is kept equal to another
// one.
func isMirror(ctx context.Context, r *repo.Repository) (bool, error) {
	m, ok := r.Backend().(interface {
		IsMirror(ctx context.Context) (bool, error)
	})
	if !ok {
		return false, nil
	}
	return m.IsMirror(ctx)
}

// lockError says why a lock cannot be had, so that advice can be given. reads
// tells that the verb can do without.
func lockError(err error, reads bool) error {
	if held, ok := errors.AsType[*repo.LockedError](err); ok && held.Gone(owner(time.Now()).Hostname) {
		err = situation{err, errDeadHolder}
	}
	switch {
	case appendOnly(err):
		err = situation{err, errAppendOnly}
	case errors.Is(err, repo.ErrDamaged):
		err = situation{err, errBadLock}
	case readOnly(err) && reads:
		err = situation{err, errCannotLock}
	case readOnly(err):
		err = situation{err, errReadOnly}
	}
	return fmt.Errorf("lock repository: %w", err)
}

// appendOnly tells whether a place lets nothing be removed.
func appendOnly(err error) bool {
	_, ok := errors.AsType[*repo.AppendOnlyError](err)
	return ok
}

// readOnly tells whether a drive or a folder refuses to be written.
func readOnly(err error) bool {
	const windowsWriteProtect = syscall.Errno(19)
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) ||
		runtime.GOOS == "windows" && errors.Is(err, windowsWriteProtect)
}

// unlessGone is the error of work on the repository, unless the repository is
// no longer there: then that is the error, and what failed first a detail. What
// goes wrong on a network says so itself.
func unlessGone(ctx context.Context, at place, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	if isRemote(at.address) {
		return atStorage(err)
	}
	be, gone := backend.Open(ctx, at.address, backend.Options{})
	if gone == nil {
		closeBackend(be)
		return err
	}
	return fmt.Errorf("%w: %w", errGone, err)
}

// openRepository opens a repository, and asks for its password where it has to.
func (p *program) openRepository(ctx context.Context, at place) (r *repo.Repository, done func(), err error) {
	be, err := p.openStorage(ctx, at)
	if err != nil {
		return nil, nil, fmt.Errorf("open repository %s: %w", at, err)
	}
	err = at.password.unlock(ctx, p, "password of the repository "+visible(at.String()), repo.ErrWrongPassword, func(password string) error {
		r, err = repo.OpenByKey(ctx, be, password, p.recallKey(at.address))
		return err
	})
	if err != nil {
		closeBackend(be)
		if errors.Is(err, repo.ErrDamaged) {
			err = situation{err, errBadConfig}
		}
		return nil, nil, at.named(at.unasked(err))
	}
	uncache := func() {}
	if isRemote(at.address) {
		p.remember(at.address, rememberedKey, r.KeyID().String())
		r.SetConnections(backend.Connections(at.address, p.storage.options))
		uncache = p.useCache(r, be, time.Now())
	}
	return r, func() {
		uncache()
		closeBackend(be)
	}, nil
}

// stopGrace is how long the last things of a run may take after Ctrl-C: a server
// that has gone away does not keep who waits.
const stopGrace = 5 * time.Second

// lasting is the context of what is done also when ctx has ended, within grace
// then. done must be called.
func lasting(ctx context.Context, grace time.Duration) (_ context.Context, done func()) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	return longer, func() {
		stop()
		cancel()
	}
}

// retakeReserve lays the space ready again that a verb may have used up for its
// lock, on a drive that was full, where there is space again.
func retakeReserve(ctx context.Context, r *repo.Repository) {
	if be, ok := r.Backend().(interface{ RestoreReserve(context.Context) error }); ok {
		_ = be.RestoreReserve(ctx) // a repository without one is a repository
	}
}

// closeBackend ends what a backend holds open. What it saved is durable
// without.
func closeBackend(be backend.Backend) {
	if closer, ok := be.(io.Closer); ok {
		_ = closer.Close()
	}
}

// lockOptions say who we are, to others who find our lock.
func (p *program) lockOptions(retry time.Duration) repo.LockOptions {
	return repo.LockOptions{
		Owner: owner(time.Now()), PID: os.Getpid(), Boot: repo.ThisBoot(), Retry: retry,
		Waiting: func(holder string) { p.warn("waiting: %s", holder) },
	}
}

// owner names this computer and its user as they stand in keys and locks.
func owner(now time.Time) repo.Owner {
	o := repo.Owner{Time: now}
	o.Hostname, _ = os.Hostname() // without a name we are nobody's holder
	o.Username = userName()
	return o
}

// userName is the name of this computer's user, or nothing.
func userName() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	return u.Username
}

// latestName asks for the newest snapshot; "latest:PREFIX" for that of a
// device.
const latestName = "latest"

// loadSnapshot finds the snapshot that a person names, and loads the index, in
// this order: then all of the snapshot is in the index.
func (p *program) loadSnapshot(ctx context.Context, r *repo.Repository, name string) (*repo.Snapshot, error) {
	s, err := findSnapshot(ctx, r, name)
	if err != nil {
		return nil, err
	}
	if err := latestUnknown(ctx, r, name); err != nil {
		p.warn("%v; this is %s", err, nameSnapshot(s))
	}
	return s, loadIndex(ctx, r)
}

// latestUnknown says why the newest snapshot that can be read may not be the
// latest, where one of names asks for that.
func latestUnknown(ctx context.Context, r *repo.Repository, names ...string) error {
	if !slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, latestName) }) {
		return nil
	}
	if _, err := r.AllSnapshots(ctx); err != nil {
		return fmt.Errorf("which snapshot is the latest is not known: %w", badSnapshot(err))
	}
	return nil
}

// findSnapshot finds the snapshot that a person names.
func findSnapshot(ctx context.Context, r *repo.Repository, name string) (*repo.Snapshot, error) {
	accept := func(s *repo.Snapshot) bool { return !isState(s) }
	if begin, ok := strings.CutPrefix(name, latestName+":"); ok {
		name = latestName
		accept = func(s *repo.Snapshot) bool { return isOf(s, begin) }
	}
	s, err := r.FindSnapshot(ctx, name, accept)
	return s, badSnapshot(err)
}

// isOf tells snapshots of a device whose UDID begins so.
func isOf(s *repo.Snapshot, begin string) bool {
	udid, ok := capture.UDID(s)
	return ok && strings.HasPrefix(strings.ToLower(udid), strings.ToLower(begin))
}

// loadIndex loads the index; the error says so where an index file is damaged.
func loadIndex(ctx context.Context, r *repo.Repository) error {
	defer debug.SetGCPercent(debug.SetGCPercent(indexGCPercent))
	err := r.LoadIndex(ctx)
	runtime.GC() // what reading took is of use for the table that the first look-up makes
	if errors.Is(err, repo.ErrDamaged) {
		err = situation{err, errBadIndex}
	}
	return err
}

// isState tells snapshots that hold Russet's own state.
func isState(s *repo.Snapshot) bool {
	return len(s.Paths) == 1 && strings.HasPrefix(s.Paths[0], "/russet-")
}

// fullPaths are where a path may lead in a snapshot, as people write it: from
// the device's folder, or from its Files, where the domains are, or from the
// root. They have no slash at either end.
func fullPaths(s *repo.Snapshot, path string) []string {
	full := []string{path}
	if udid, ok := capture.UDID(s); ok && !strings.HasPrefix(path, "/") {
		full = []string{udid + "/" + path, udid + "/Files/" + path, path}
	}
	for i := range full {
		full[i] = strings.Trim(full[i], "/")
	}
	return full
}

// findNode looks up a path in a snapshot, in the order of fullPaths. It returns
// the one that leads somewhere.
func findNode(ctx context.Context, r *repo.Repository, s *repo.Snapshot, path string) (string, *repo.Node, error) {
	for _, try := range fullPaths(s, path) {
		n, err := r.Find(ctx, *s.Tree, try)
		if err == nil || !errors.Is(err, repo.ErrNotFound) {
			return try, n, err
		}
	}
	return "", nil, fmt.Errorf("look for %q in snapshot %s: %w", path, shortID(s), cmp.Or(unreadable(ctx, r, s), errNoSuchPath))
}

// unreadable says why a snapshot of a phone shows none of the phone's files, or
// nil. Tags alone do not tell: other programs change them.
func unreadable(ctx context.Context, r *repo.Repository, s *repo.Snapshot) error {
	udid, ok := capture.UDID(s)
	if !ok {
		return nil
	}
	if _, err := r.Find(ctx, *s.Tree, udid+"/Files"); !errors.Is(err, repo.ErrNotFound) {
		return nil
	}
	if _, err := r.Find(ctx, *s.Tree, udid+"/Sealed"); err != nil {
		return nil
	}
	if s.HasTag(capture.TagUnreadable) {
		return errUnreadable
	}
	return errSealed
}

// shortID is how people name a snapshot.
func shortID(s *repo.Snapshot) string { return s.ID().String()[:8] }
