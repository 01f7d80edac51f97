package backend

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

// HoldsMirrors reports whether places of this kind of address can be those of mirrors: folders, SFTP and S3. REST servers
// and what is behind rclone keep a repository's files and no others.
func HoldsMirrors(address string) bool {
	switch scheme, _ := splitAddress(address); scheme {
	case "local", "sftp", "s3":
		return true
	default:
		return false
	}
}

// OpenMirror is [Open] for the place of a mirror, which may also be one that was marked, and to which no run has brought a
// config yet.
func OpenMirror(ctx context.Context, address string, o Options) (Backend, error) {
	o.begun = true
	b, err := Open(ctx, address, o)
	folder, ok := LocalFolder(address)
	if !ok || !errors.Is(err, ErrNoRepository) {
		return b, err
	}
	if _, gone := os.Lstat(filepath.Join(folder, markName)); gone != nil {
		return nil, err
	}
	return CreateLocal(ctx, folder)
}

// A farMirror is a Backend on a network that can be the place of a mirror. Its methods are those of [Local], but for the
// lock of a run, which is a lease.
type farMirror interface {
	Backend
	leaseKeeper
	IsMirror(ctx context.Context) (bool, error)
	LoadMark(ctx context.Context) ([]byte, error)
	SaveMark(ctx context.Context, data []byte) error
	RemoveMark(ctx context.Context) error
	SetAside(ctx context.Context, f File, day time.Time) error
	DropAside(ctx context.Context, before time.Time) (int, error)
}

// retryingMirror is retrying around a place that can be that of a mirror.
type retryingMirror struct {
	*retrying
	mirror farMirror
	held   atomic.Pointer[lease] // of the run that goes on, or nil
}

// IsMirror is that of [Local].
func (r *retryingMirror) IsMirror(ctx context.Context) (bool, error) {
	return ask(ctx, r.network, r.mirror.IsMirror)
}

// LoadMark is that of [Local].
func (r *retryingMirror) LoadMark(ctx context.Context) ([]byte, error) {
	return ask(ctx, r.network, r.mirror.LoadMark)
}

// SaveMark is that of [Local]. A run whose lock was taken over saves none.
func (r *retryingMirror) SaveMark(ctx context.Context, data []byte) error {
	if held := r.held.Load(); held != nil {
		if err := held.confirm(ctx); err != nil {
			return err
		}
	}
	return r.network.again(ctx, func(bool) error { return r.mirror.SaveMark(ctx, data) }, nil)
}

// RemoveMark is that of [Local].
func (r *retryingMirror) RemoveMark(ctx context.Context) error {
	return r.network.again(ctx, func(again bool) error {
		return unlessGoneBefore(again, r.mirror.RemoveMark(ctx))
	}, nil)
}

// SetAside is that of [Local].
func (r *retryingMirror) SetAside(ctx context.Context, f File, day time.Time) error {
	return r.network.again(ctx, func(again bool) error {
		return unlessGoneBefore(again, r.mirror.SetAside(ctx, f, day))
	}, nil)
}

// DropAside is that of [Local].
func (r *retryingMirror) DropAside(ctx context.Context, before time.Time) (removed int, err error) {
	err = r.network.again(ctx, func(bool) error {
		n, err := r.mirror.DropAside(ctx, before)
		removed += n
		return err
	}, nil)
	return removed, err
}

// Occupy keeps the place to one mirror run, as that of [Local] does, by a lease: it is renewed until release is called, and
// others take over what nobody has renewed for leaseStale. within ends when that has happened all the same; its cause says
// so, and wraps durable.ErrInUse.
func (r *retryingMirror) Occupy(ctx context.Context) (within context.Context, release func(), err error) {
	l, err := takeLease(ctx, r.mirror, r.network)
	if err != nil {
		return nil, nil, err
	}
	r.held.Store(l)
	within, end := l.hold(ctx)
	return within, func() {
		r.held.Store(nil)
		end()
	}, nil
}
