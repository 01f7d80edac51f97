package device

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The sync lock is a file that programs which back a phone up, or sync with it,
// lock by turns. How long it is tried is what they all do.
const (
	syncLockPath  = "/com.apple.itunes.lock_sync"
	syncLockTries = 50
	syncLockPause = 200 * time.Millisecond
)

// SyncLock is the right to sync with a phone, which one program has at a time.
type SyncLock struct {
	n    *Notifications
	a    *AFC
	file *AFCFile
}

// SyncLock takes the sync lock, and tells the phone so, if it lets itself be told. Where another program
// has it for ten seconds, the error wraps [AFCWouldBlock]. A caller that wants
// to know what the phone then asks for ([SyncCancelRequest]) observes it first.
func (p *Phone) SyncLock(ctx context.Context) (*SyncLock, error) {
	l := &SyncLock{}
	if err := l.take(ctx, p); err != nil {
		l.hangUp()
		return nil, fmt.Errorf("take the phone's sync lock: %w", err)
	}
	return l, nil
}

func (l *SyncLock) take(ctx context.Context, p *Phone) (err error) {
	l.n, err = p.Notifications(ctx)
	if err != nil && !errors.Is(err, ServiceProhibited) && !errors.Is(err, InvalidService) {
		return err
	}
	if err = l.post(ctx, syncWillStart); err != nil {
		return err
	}
	if l.a, err = p.AFC(ctx); err != nil {
		return err
	}
	if l.file, err = l.a.Open(ctx, syncLockPath, AFCReadWrite); err != nil {
		return err
	}
	if err = l.post(ctx, syncLockRequest); err != nil {
		return err
	}
	for range syncLockTries {
		if err = l.file.TryLock(); !errors.Is(err, AFCWouldBlock) {
			break
		}
		if err := pause(ctx, syncLockPause); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	return l.post(ctx, syncDidStart)
}

// Close gives the lock up and tells the phone. It takes a few seconds at most;
// the phone gives the lock up by itself when it cannot be told.
func (l *SyncLock) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*farewell)
	defer cancel()
	defer l.hangUp()
	l.file.ctx = ctx // the one that it was opened with may be over
	if err := errors.Join(l.file.Unlock(), l.file.Close(), l.post(ctx, syncDidFinish)); err != nil {
		return fmt.Errorf("release the phone's sync lock: %w", err)
	}
	return nil
}

func (l *SyncLock) post(ctx context.Context, name string) error {
	if l.n == nil {
		return nil
	}
	return l.n.Post(ctx, name)
}

func (l *SyncLock) hangUp() {
	if l.a != nil {
		l.a.Close()
	}
	if l.n != nil {
		l.n.Close()
	}
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
