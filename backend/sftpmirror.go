package backend

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sync/atomic"
	"time"

	"github.com/pkg/sftp"
)

var _ farMirror = (*sftpPlace)(nil)

// mark is the place of the mark of a mirror on the server.
func (p *sftpPlace) mark() string { return path.Join(p.root, markName) }

// lease is that of the lock of a mirror run.
func (p *sftpPlace) lease() string { return path.Join(p.root, occupied) }

// IsMirror is that of [Local].
func (p *sftpPlace) IsMirror(ctx context.Context) (is bool, err error) {
	err = p.do(ctx, func(c *sftpConn) (err error) {
		is, err = c.has(p.mark())
		return err
	})
	if err != nil {
		return false, fmt.Errorf("look for %s: %w", markName, err)
	}
	return is, nil
}

// has tells whether there is a file, or anything, of a name.
func (c *sftpConn) has(name string) (bool, error) {
	_, err := c.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, c.explain(err)
}

// isBegun tells whether this may be, and is, a mirror that no run has brought a config yet.
func (p *sftpPlace) isBegun(c *sftpConn) (bool, error) {
	if !p.begun {
		return false, nil
	}
	return c.has(p.mark())
}

// LoadMark is that of [Local].
func (p *sftpPlace) LoadMark(ctx context.Context) (data []byte, err error) {
	if err = ctx.Err(); err == nil {
		err = p.do(ctx, func(c *sftpConn) (err error) {
			data, err = c.loadWhole(ctx, p.mark(), maxMark)
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", markName, err)
	}
	return data, nil
}

// loadWhole reads a file of at most so many bytes.
func (c *sftpConn) loadWhole(ctx context.Context, name string, most int64) ([]byte, error) {
	info, err := c.Lstat(name)
	switch {
	case err != nil:
		return nil, c.explain(err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("it is no file: %w", fs.ErrInvalid)
	case info.Size() < 0 || info.Size() > most:
		return nil, fmt.Errorf("it has %d bytes: %w", info.Size(), fs.ErrInvalid)
	}
	data := make([]byte, info.Size())
	n, err := c.load(ctx, name, 0, data)
	return data[:n], err
}

// SaveMark is that of [Local]. A server that cannot give the mark a new content at once is refused: without one a mirror
// would be nobody's.
func (p *sftpPlace) SaveMark(ctx context.Context, data []byte) error {
	err := ctx.Err()
	if err == nil && len(data) > maxMark {
		err = fmt.Errorf("%d bytes: %w", len(data), fs.ErrInvalid)
	}
	if err == nil {
		err = p.do(ctx, func(c *sftpConn) error { return p.saveMark(ctx, c, data) })
	}
	if err != nil {
		return fmt.Errorf("save %s: %w", markName, err)
	}
	return nil
}

func (p *sftpPlace) saveMark(ctx context.Context, c *sftpConn, data []byte) error {
	if _, replaces := c.HasExtension(posixRenameExtension); !replaces {
		return fmt.Errorf("the server does not replace files at once (%s): %w", posixRenameExtension, errors.ErrUnsupported)
	}
	temporary := temporaryName(p.mark())
	if err := p.write(ctx, c, temporary, data); err != nil {
		return err
	}
	if err := c.failure(c.PosixRename(temporary, p.mark()), p.root, 0); err != nil {
		_ = c.Remove(temporary)
		return err
	}
	return c.syncFolder(p.root)
}

// RemoveMark is that of [Local].
func (p *sftpPlace) RemoveMark(ctx context.Context) error {
	err := ctx.Err()
	if err == nil {
		err = p.do(ctx, func(c *sftpConn) error {
			if err := c.Remove(p.mark()); err != nil {
				return c.explain(err)
			}
			return c.syncFolder(p.root)
		})
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", markName, err)
	}
	return nil
}

// SetAside is that of [Local].
func (p *sftpPlace) SetAside(ctx context.Context, f File, day time.Time) error {
	err := admit(ctx, f)
	if err == nil && f.Kind == Config {
		err = fs.ErrInvalid
	}
	if err == nil {
		err = p.do(ctx, func(c *sftpConn) error {
			return p.setAside(ctx, c, p.path(f), path.Join(p.root, asidePath(f, day)))
		})
	}
	if err != nil {
		return fmt.Errorf("set %s aside: %w", f, err)
	}
	return nil
}

// setAside makes folders only where it does not go without.
func (p *sftpPlace) setAside(ctx context.Context, c *sftpConn, name, to string) error {
	err := c.PosixRename(name, to)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := c.Lstat(name); err != nil {
			return c.explain(err)
		}
		if err := p.makeAside(c, path.Dir(to)); err != nil {
			return err
		}
		err = c.PosixRename(name, to)
	}
	if err != nil {
		return c.failure(err, p.root, 0)
	}
	folders := []string{path.Dir(to), path.Dir(name)}
	return inParallel(ctx, len(folders), func(i int) error { return c.syncFolder(folders[i]) })
}

// makeAside makes the folder of a kind, of a day, and that of all days.
func (p *sftpPlace) makeAside(c *sftpConn, kind string) error {
	for _, folder := range []string{path.Join(p.root, asideFolder), path.Dir(kind), kind} {
		if err := p.mkdir(c, folder); err != nil {
			return err
		}
		if err := c.syncFolder(path.Dir(folder)); err != nil {
			return err
		}
	}
	return nil
}

// DropAside is that of [Local].
func (p *sftpPlace) DropAside(ctx context.Context, before time.Time) (removed int, err error) {
	if err = ctx.Err(); err == nil {
		err = p.do(ctx, func(c *sftpConn) (err error) {
			removed, err = p.dropAside(ctx, c, before)
			return err
		})
	}
	if err != nil {
		return removed, fmt.Errorf("empty %s: %w", asideFolder, err)
	}
	return removed, nil
}

func (p *sftpPlace) dropAside(ctx context.Context, c *sftpConn, before time.Time) (removed int, err error) {
	days, err := p.readFolder(ctx, c, path.Join(p.root, asideFolder))
	if err != nil {
		return 0, err
	}
	for _, day := range days {
		if !day.IsDir() || !isDayBefore(day.Name(), before) {
			continue
		}
		folder := path.Join(p.root, asideFolder, day.Name())
		for k := Key; k <= Data; k++ {
			n, err := p.dropKind(ctx, c, path.Join(folder, k.String()))
			removed += n
			if err != nil {
				return removed, err
			}
		}
		_ = c.RemoveDirectory(folder) // it stays where something else lies in it
	}
	return removed, nil
}

// dropKind removes the folder of a kind, and no more in it than SetAside puts there.
func (p *sftpPlace) dropKind(ctx context.Context, c *sftpConn, folder string) (removed int, err error) {
	entries, err := p.readFolder(ctx, c, folder)
	if err != nil || len(entries) == 0 {
		_ = c.RemoveDirectory(folder)
		return 0, err
	}
	var done atomic.Int64
	err = inParallel(ctx, len(entries), func(i int) error {
		if !isName(entries[i].Name()) {
			return nil
		}
		err := c.Remove(path.Join(folder, entries[i].Name()))
		if err == nil {
			done.Add(1)
		}
		return c.explain(err)
	})
	_ = c.RemoveDirectory(folder)
	return int(done.Load()), err
}

// readLease implements leaseKeeper.
func (p *sftpPlace) readLease(ctx context.Context) (there leaseState, err error) {
	err = p.do(ctx, func(c *sftpConn) (err error) {
		there, err = c.readLease(ctx, p.lease())
		return err
	})
	return there, err
}

func (c *sftpConn) readLease(ctx context.Context, name string) (leaseState, error) {
	info, err := c.Lstat(name)
	if err != nil {
		return leaseState{}, c.explain(err)
	}
	holder, err := c.loadWhole(ctx, name, maxHolder)
	return leaseState{holder: string(holder), renewed: info.ModTime()}, err
}

// makeLease leaves the mark of time to the server.
func (p *sftpPlace) makeLease(ctx context.Context, holder string) error {
	return p.do(ctx, func(c *sftpConn) error { return p.newLease(c, p.lease(), holder) })
}

func (p *sftpPlace) newLease(c *sftpConn, name, holder string) error {
	var file *sftp.File
	err := p.whereFree(c, name, func() (err error) {
		file, err = c.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
		return err
	})
	if err != nil {
		return err
	}
	if err = writeLease(file, holder); err != nil {
		err = c.failure(err, p.root, maxHolder)
		_ = c.Remove(name)
	}
	return err
}

func writeLease(file *sftp.File, holder string) error {
	_, err := file.WriteAt([]byte(holder), 0)
	if closed := file.Close(); err == nil {
		err = closed
	}
	return err
}

// renewLease writes what is there: then the server dates it anew.
func (p *sftpPlace) renewLease(ctx context.Context, there leaseState) error {
	return p.do(ctx, func(c *sftpConn) error {
		file, err := c.OpenFile(p.lease(), os.O_WRONLY)
		if err == nil {
			err = writeLease(file, there.holder)
		}
		return c.explain(err)
	})
}

// heirLease is that of whoever is about to take a lease over.
func (p *sftpPlace) heirLease() string { return p.lease() + "-tmp-heir" }

// takeLease makes the heir's file, which only one can do at a time, and has it take the place of the lease at once: at no
// moment is the name of a lease free that somebody holds.
func (p *sftpPlace) takeLease(ctx context.Context, there leaseState, holder string) error {
	return p.do(ctx, func(c *sftpConn) error {
		if err := p.beHeir(ctx, c, holder); err != nil {
			return err
		}
		still, err := c.readLease(ctx, p.lease())
		switch {
		case errors.Is(err, fs.ErrNotExist) || err == nil && still != there:
			err = fs.ErrExist
		case err == nil:
			err = c.failure(c.PosixRename(p.heirLease(), p.lease()), p.root, 0)
			if errors.Is(err, fs.ErrNotExist) {
				return fs.ErrExist // to another heir this one seemed dead
			}
		}
		if err != nil {
			_ = c.Remove(p.heirLease())
		}
		return err
	})
}

// beHeir makes the heir's file, also in the place of an heir's who died. The error is fs.ErrExist where there is another heir.
func (p *sftpPlace) beHeir(ctx context.Context, c *sftpConn, holder string) error {
	err := p.newLease(c, p.heirLease(), holder)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	other, err := c.readLease(ctx, p.heirLease())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fs.ErrExist
	case err != nil:
		return err
	case other.holder == holder:
		return nil // an answer was lost
	}
	now, err := p.clock(ctx, c)
	if err != nil {
		return err
	}
	if now.Sub(other.renewed) < leaseStale {
		return fs.ErrExist
	}
	_ = c.Remove(p.heirLease())
	return p.newLease(c, p.heirLease(), holder)
}

// removeLease implements leaseKeeper.
func (p *sftpPlace) removeLease(ctx context.Context) error {
	return p.do(ctx, func(c *sftpConn) error { return c.explain(c.Remove(p.lease())) })
}

// leaseClock implements leaseKeeper.
func (p *sftpPlace) leaseClock(ctx context.Context) (now time.Time, err error) {
	err = p.do(ctx, func(c *sftpConn) (err error) {
		now, err = p.clock(ctx, c)
		return err
	})
	return now, err
}

// clock is the time of a file that is made now.
func (p *sftpPlace) clock(ctx context.Context, c *sftpConn) (time.Time, error) {
	name := temporaryName(p.lease())
	if err := p.write(ctx, c, name, []byte{0}); err != nil {
		return time.Time{}, err
	}
	info, err := c.Lstat(name)
	_ = c.Remove(name)
	if err != nil {
		return time.Time{}, c.explain(err)
	}
	return info.ModTime(), nil
}
