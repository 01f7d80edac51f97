package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"russet/backend"
	"russet/capture"
	"russet/device"
	"russet/device/mb2"
	"russet/internal/durable"
	"russet/repo"
)

// How the conversation with a phone was ended from outside of it.
var (
	errUnplugged        = errors.New("the phone was disconnected")
	errCancelledOnPhone = errors.New("the backup was cancelled on the phone")
)

// phoneBackup backs up phones, one after the other.
type phoneBackup struct {
	p         *program
	m         *device.Mux
	met       *meeting
	r         *repo.Repository
	spool     *os.Root
	passwords *phonePasswords
	opt       capture.PhoneOptions
	noLock    bool                  // --no-sync-lock
	record    *os.File              // --record, or nil
	kept      func(*capture.Result) // is told of each snapshot, if not nil
}

// phonesAtHand lists the phones that backup means: the one of --device, or all
// that are connected. That there is none is an error, see nonePresent.
func (p *program) phonesAtHand(c *cli.Context) (m *device.Mux, phones []device.Device, err error) {
	name := c.String("device")
	if c.IsSet("device") && plainUDID(name) == "" {
		return nil, nil, usageError{"--device wants the beginning of a UDID"}
	}
	if m, err = p.mux(c); err != nil {
		return nil, nil, err
	}
	if phones, err = findPhones(c.Context, m, name); err != nil {
		return m, nil, err
	}
	if len(phones) > 1 && name != "" {
		return nil, nil, usageError{fmt.Sprintf("--device %s: more than one phone's UDID begins so", name)}
	}
	return m, phones, nil
}

// nonePresent tells whether an error says that no phone is there.
func nonePresent(err error) bool {
	return errors.Is(err, device.ErrNoMux) || errors.Is(err, errNoPhone) || errors.Is(err, errOtherPhone)
}

// all keeps every phone. What is wrong with one does not keep the others from
// being kept.
func (b *phoneBackup) all(ctx context.Context, phones []device.Device) error {
	var errs []error
	for _, d := range phones {
		err := b.one(ctx, d)
		if err == nil {
			continue
		}
		errs = append(errs, fmt.Errorf("backup of phone %s: %w", d.UDID, err))
		if ctx.Err() != nil || backend.IsFull(err) || errors.Is(err, repo.ErrDamaged) {
			break
		}
	}
	return errors.Join(errs...)
}

// one keeps one phone.
func (b *phoneBackup) one(ctx context.Context, d device.Device) error {
	var err error
	ph, f, info := b.met.take(ctx, d)
	if ph == nil {
		if ph, err = b.m.Open(ctx, d.UDID); err != nil {
			return err
		}
		if f, err = b.ready(ctx, ph); err != nil {
			return err
		}
	}
	b.p.note("backing up the phone %s, iOS %s, by %s", phoneName(f.Name, f.UDID), f.Version, f.Connection)
	opt := b.opt
	opt.Spool, opt.WillEncrypt, opt.Password = b.spool, &f.WillEncrypt, b.passwords.answerer()
	counted := new(repo.Progress)
	opt.Progress = counted
	opt.Answered = func() { b.p.note("the phone is done, and may be unplugged") }
	if opt.Info = info; info == nil {
		if opt.Info, err = b.info(ctx, ph); err != nil {
			return err
		}
	}
	start := time.Now()
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(phoneLimit))
	// Workers keep the cores busy for milliseconds at a time; who speaks to the
	// phone must not wait for one of them to pause.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1))
	run, err := capture.OpenPhone(ctx, b.r, f.UDID, opt)
	if err != nil {
		return err
	}
	b.tellBeginning(run)
	talk := conversation{b: b, ph: ph, run: run, why: run.Why()}
	answered, err := talk.hold(ctx, opt.Full)
	if err != nil {
		return errors.Join(err, run.Close())
	}
	show := b.p.startProgress(func() progress { return progressOf(counted.State()) })
	res, err := run.Commit(ctx, answered)
	show.stop()
	if res == nil {
		return errors.Join(err, run.Close()) // which an unfinished one still wants
	}
	if b.kept != nil {
		b.kept(res)
	}
	if err := errors.Join(err, b.p.showSummary("", res, time.Since(start))); err != nil {
		return err
	}
	return b.outcome(res, talk.result)
}

// ready sees to it that the phone can be spoken to: paired and unlocked.
func (b *phoneBackup) ready(ctx context.Context, ph *device.Phone) (*device.Facts, error) {
	f, err := ph.Facts(ctx)
	if err != nil || f.HasSession {
		return f, err
	}
	if !f.Paired {
		b.p.note("%s is not paired with this computer yet", phoneName(f.Name, f.UDID))
	}
	if err := b.p.pair(ctx, ph); err != nil {
		return nil, err
	}
	return ph.Facts(ctx)
}

// info makes the computer's own part of the backup, once the phone lets it.
func (b *phoneBackup) info(ctx context.Context, ph *device.Phone) (info []byte, err error) {
	err = b.p.untilAnswered(ctx, func(ctx context.Context) error {
		info, err = backupInfo(ctx, ph)
		return err
	})
	return info, err
}

// tellBeginning says what the run begins with.
func (b *phoneBackup) tellBeginning(run *capture.Phone) {
	resumed, dropped := run.Resumed()
	switch {
	case resumed:
		b.p.note("going on with the backup that was cut off")
	case dropped != "":
		b.p.note("the backup that was cut off cannot go on: %s", dropped)
	}
	if why := run.Why(); why != "" && !resumed {
		b.p.note("the phone will send everything: %s", why)
	}
}

// outcome makes an error of what the snapshot lacks.
func (b *phoneBackup) outcome(res *capture.Result, talked mb2.Result) error {
	switch {
	case talked.Unread > 0:
		return fmt.Errorf("%w: the phone could not read %s of its own", errIncomplete, plural(int(talked.Unread), "file"))
	case res.Summary.Unreadable > 0:
		return fmt.Errorf("%w: %s could not be read", errIncomplete, plural(res.Summary.Unreadable, "file"))
	}
	return b.passwords.outcome(res)
}

// drain finishes runs whose phones have answered and may be gone.
func (b *phoneBackup) drain(ctx context.Context) (done int, err error) {
	pending, err := capture.Pending(b.spool)
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, udid := range pending {
		opt := b.opt
		opt.Spool, opt.Password = b.spool, b.passwords.answerer()
		counted := new(repo.Progress)
		opt.Progress = counted
		start := time.Now()
		show := b.p.startProgress(func() progress { return progressOf(counted.State()) })
		res, err := capture.Drain(ctx, b.r, udid, opt)
		show.stop()
		switch {
		case errors.Is(err, durable.ErrInUse): // another russet is at it
		case err != nil:
			errs = append(errs, fmt.Errorf("finish an earlier backup of phone %s: %w", udid, err))
		case res != nil:
			done++
			b.p.note("an earlier backup was complete but not in the repository yet; now it is")
			errs = append(errs, b.p.showSummary("", res, time.Since(start)), b.outcome(res, mb2.Result{}))
		}
	}
	return done, errors.Join(errs...)
}

// openRecord makes the file of --record, nil where none is wanted. done closes
// it, and removes it when nothing was said.
func openRecord(name string) (f *os.File, done func(), err error) {
	if name == "" {
		return nil, func() {}, nil
	}
	if f, err = os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
		return nil, nil, fmt.Errorf("record the conversation: %w", err)
	}
	return f, func() {
		info, err := f.Stat()
		_ = f.Close() // what could not be written, the session has told
		if err == nil && info.Size() == 0 {
			_ = os.Remove(name)
		}
	}, nil
}

// openSpool opens the folder in which a run is kept until it is complete.
func openSpool(dir string) (*os.Root, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the spool: %w", err)
	}
	return os.OpenRoot(dir)
}

// pendingRuns tells whether a spool holds something of a run. It makes none. Of a
// repository elsewhere the id is not known yet: any spool counts then.
func (p *program) pendingRuns(address, chosen string) bool {
	if chosen == "" && isRemote(address) {
		return slices.ContainsFunc(p.remoteSpools(), holdsRun)
	}
	dir, err := p.spoolFolder(address, "", chosen)
	return err == nil && holdsRun(dir)
}

// holdsRun tells whether a folder is a spool that holds something of a run.
func holdsRun(dir string) bool {
	spool, err := os.OpenRoot(dir)
	if err != nil {
		return false
	}
	defer spool.Close()
	pending, err := capture.Pending(spool)
	return err == nil && len(pending) > 0
}

// conversation is what needs the phone.
type conversation struct {
	b      *phoneBackup
	ph     *device.Phone
	run    *capture.Phone
	result mb2.Result

	why string // what was said of Phone.Why

	mu  sync.Mutex
	now progress
}

// hold lets the phone make its backup, and returns when it answered that it is
// complete.
func (t *conversation) hold(ctx context.Context, full bool) (answered time.Time, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	var watchers sync.WaitGroup
	answered, err = t.talk(ctx, cancel, &watchers, full)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause // "context canceled" hides why
	}
	cancel(nil)
	watchers.Wait()
	return answered, err
}

func (t *conversation) talk(ctx context.Context, cancel context.CancelCauseFunc, watchers *sync.WaitGroup, full bool) (answered time.Time, err error) {
	if err := t.listen(ctx, cancel, watchers); err != nil {
		return answered, err
	}
	if !t.b.noLock {
		lock, err := t.ph.SyncLock(ctx)
		if err != nil {
			return answered, err
		}
		defer lock.Close()
	}
	var conn io.ReadWriteCloser
	err = t.b.p.untilAnswered(ctx, func(ctx context.Context) (err error) {
		conn, err = t.ph.Service(ctx, "com.apple.mobilebackup2", true)
		return err
	})
	if err != nil {
		return answered, err
	}
	t.watchCable(ctx, cancel, watchers)
	return t.backup(ctx, conn, full)
}

// backup speaks to the phone's backup service.
func (t *conversation) backup(ctx context.Context, conn io.ReadWriteCloser, full bool) (answered time.Time, err error) {
	opt := mb2.Options{Progress: t.progress, FileError: t.fileError, Violation: t.violation}
	if t.b.record != nil {
		opt.Record = t.b.record
	}
	s, err := mb2.Start(ctx, conn, opt)
	if err != nil {
		return answered, err
	}
	t.progress(mb2.Progress{})
	show := t.b.p.startProgress(func() progress {
		t.mu.Lock()
		defer t.mu.Unlock()
		return t.now
	})
	defer show.stop()
	err = s.Backup(ctx, t.run, t.ph.UDID(), full)
	answered, t.result = time.Now(), s.Result()
	if cerr := s.Close(); cerr != nil { // of the transcript: the backup is as good without
		t.b.p.warn("%v", cerr)
	}
	return answered, err
}

// progress is called by the goroutine that calls run, too.
func (t *conversation) progress(g mb2.Progress) {
	if why := t.run.Why(); why != t.why {
		t.why = why
		t.b.p.note("the phone sends everything: %s", why)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now = progress{Phase: g.Phase.String(), FilesDone: g.Files, BytesDone: g.Bytes, Part: g.Percent / 100}
}

func (t *conversation) fileError(e mb2.FileError) {
	t.b.p.warn("the phone could not read its file %s (code %d); it is not in the backup, or as it was", visible(e.DevicePath), e.Code)
}

func (t *conversation) violation(v mb2.Violation) { t.b.p.warn("refused an order of the phone: %v", v) }

// listen tells the person what the phone shows on its screen. A phone that has
// no notifications is backed up without.
func (t *conversation) listen(ctx context.Context, cancel context.CancelCauseFunc, wg *sync.WaitGroup) error {
	var n *device.Notifications
	err := t.b.p.untilAnswered(ctx, func(ctx context.Context) (err error) {
		n, err = t.ph.Notifications(ctx)
		return err
	})
	if errors.Is(err, device.ServiceProhibited) || errors.Is(err, device.InvalidService) {
		t.b.p.note("the phone tells nothing of its screen: look at it when this takes long")
		return nil
	}
	if err == nil {
		err = n.Observe(ctx, device.SyncCancelRequest, device.PasscodePresented, device.PasscodeDismissed)
	}
	if err != nil {
		return err
	}
	wg.Go(func() {
		defer n.Close()
		for name, err := range n.Received(ctx) {
			if err != nil {
				return
			}
			switch name {
			case device.SyncCancelRequest:
				cancel(errCancelledOnPhone)
			case device.PasscodePresented:
				t.b.p.warn("enter the passcode on the phone: it asks for it before every backup")
			case device.PasscodeDismissed:
				// entered or given up: only its answer tells
				t.b.p.note("the phone no longer asks for its passcode")
			}
		}
	})
	return nil
}

// watchCable ends the conversation when the phone goes away: a connection
// alone does not always tell. A phone on the network wants a heartbeat besides.
func (t *conversation) watchCable(ctx context.Context, cancel context.CancelCauseFunc, wg *sync.WaitGroup) {
	wg.Go(func() {
		if t.ph.Detached(ctx) == nil {
			cancel(errUnplugged)
		}
	})
	if t.ph.Device().Connection == device.Network {
		wg.Go(func() { _ = t.ph.Heartbeat(ctx) }) // a phone that wants none is backed up without
	}
}
