package backend

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"

	"github.com/pkg/sftp"
)

const (
	// fsyncExtension makes the bytes of an open file durable, and the names in an open folder.
	fsyncExtension = "fsync@openssh.com"

	// posixRenameExtension takes the place of a name that is there.
	posixRenameExtension = "posix-rename@openssh.com"

	// statvfsExtension tells what is free.
	statvfsExtension = "statvfs@openssh.com"
)

// maxRequests of 32 KiB each are on their way at once for one file: as much as the window of OpenSSH's channels takes.
const maxRequests = 64

// Save writes a file beside its name and renames it. Bytes that were written together may be there without those before
// them when the connection is lost, so the name comes last.
func (p *sftpPlace) Save(ctx context.Context, f File, data []byte) error {
	err := admit(ctx, f)
	if err == nil {
		err = p.do(ctx, func(c *sftpConn) error { return p.save(ctx, c, f, data) })
	}
	if err != nil {
		return fmt.Errorf("save %s: %w", f, err)
	}
	return nil
}

func (p *sftpPlace) save(ctx context.Context, c *sftpConn, f File, data []byte) error {
	name := p.path(f)
	if f.Kind == Config {
		if _, err := c.Lstat(name); err == nil {
			return fs.ErrExist
		} else if !errors.Is(err, fs.ErrNotExist) {
			return c.explain(err)
		}
	}
	temporary := temporaryName(name)
	err := p.write(ctx, c, temporary, data)
	if errors.Is(err, fs.ErrNotExist) { // programs that copy folders leave empty ones out
		if err = p.makeFolders(c, f); err == nil {
			err = p.write(ctx, c, temporary, data)
		}
	}
	if err != nil {
		return err
	}
	switch _, replaces := c.HasExtension(posixRenameExtension); {
	case f.Kind == Config:
		err = p.name(c, temporary, name)
	case replaces:
		err = c.failure(c.PosixRename(temporary, name), p.root, 0)
	default:
		err = p.replace(ctx, c, temporary, name, data)
	}
	if err != nil {
		_ = c.Remove(temporary)
		return err
	}
	return c.syncFolder(path.Dir(name))
}

// temporaryName is a name as package durable makes it, which restic ignores too.
func temporaryName(name string) string {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails: it ends the program instead
	return name + "-tmp-" + hex.EncodeToString(random[:])
}

// makeFolders makes what is missing above a file, while the repository itself is there.
func (p *sftpPlace) makeFolders(c *sftpConn, f File) error {
	if _, err := c.Stat(p.root); err != nil {
		return c.explain(err)
	}
	if f.Kind == Config {
		return nil
	}
	folders := []string{path.Join(p.root, f.Kind.String())}
	if f.Kind == Data {
		folders = append(folders, path.Dir(p.path(f)))
	}
	for _, folder := range folders {
		if err := p.mkdir(c, folder); err != nil {
			return err
		}
		if err := c.syncFolder(path.Dir(folder)); err != nil {
			return err
		}
	}
	return nil
}

// write makes a file durable under a temporary name. On an error it is removed again, if that is possible.
func (p *sftpPlace) write(ctx context.Context, c *sftpConn, temporary string, data []byte) error {
	file, err := c.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return c.failure(err, p.root, int64(len(data)))
	}
	err = c.fill(ctx, file, data, p.modes.file)
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		err = c.failure(err, p.root, int64(len(data))) // while the part that was written takes its space
		_ = c.Remove(temporary)
	}
	return err
}

func (c *sftpConn) fill(ctx context.Context, file *sftp.File, data []byte, mode fs.FileMode) error {
	moded := make(chan struct{})
	go func() { // together with the bytes, which costs no round
		defer close(moded)
		_ = c.Chmod(file.Name(), mode) // some drives of servers have no modes
	}()
	n, err := file.ReadFromWithConcurrency(untilDone{ctx, bytes.NewReader(data)}, min(maxRequests, 1+len(data)>>15))
	<-moded
	if err == nil && n != int64(len(data)) {
		err = io.ErrShortWrite
	}
	if _, ok := c.HasExtension(fsyncExtension); ok && err == nil {
		err = file.Sync()
	}
	return err
}

// untilDone reads until a context is done.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (u untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}

// nameTries is how often somebody else may take the same name, and free it again, in between.
const nameTries = 4

// name gives a file a name that must be free.
func (p *sftpPlace) name(c *sftpConn, temporary, name string) error {
	return p.whereFree(c, name, func() error { return c.Rename(temporary, name) })
}

// whereFree does what makes a file under a name that must be free: the error is fs.ErrExist where it is taken. Servers then
// say no more than that it went wrong, and what had the name may be gone when it is looked for: what fails for no reason
// that shows is tried again, and is refused again if the server does refuse it.
func (p *sftpPlace) whereFree(c *sftpConn, name string, create func() error) (err error) {
	for range nameTries {
		if err = create(); err == nil {
			return nil
		}
		_, statErr := c.Lstat(name)
		switch {
		case statErr == nil:
			return fs.ErrExist
		case !errors.Is(statErr, fs.ErrNotExist):
			return c.explain(statErr)
		case !isFailure(err):
			return c.explain(err)
		}
	}
	return c.failure(err, p.root, 0)
}

// replace gives a file a name that may be taken, on a server that cannot do so at once. Only what has other bytes, and is
// damaged, makes way: what is whole must not be absent for a moment.
func (p *sftpPlace) replace(ctx context.Context, c *sftpConn, temporary, name string, data []byte) error {
	for range nameTries {
		err := p.name(c, temporary, name)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		there := make([]byte, len(data)+1)
		n, err := c.load(ctx, name, 0, there)
		if err == nil && bytes.Equal(there[:n], data) {
			_ = c.Remove(temporary)
			return nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := c.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return c.explain(err)
		}
	}
	return fs.ErrExist
}

// syncFolder makes the names in a folder durable, where the server can: OpenSSH's opens folders as it opens files.
func (c *sftpConn) syncFolder(name string) error {
	if _, ok := c.HasExtension(fsyncExtension); !ok {
		return nil
	}
	folder, err := c.Open(name)
	if err == nil {
		defer c.closeLater(folder)
		err = folder.Sync()
	}
	if err = c.explain(err); IsTemporary(err) {
		return err
	}
	return nil // it does not open folders
}

// failure is explain for what takes up space: servers say no more than that it went wrong, so a full drive shows in the
// space that is left.
func (c *sftpConn) failure(err error, root string, need int64) error {
	if !isFailure(err) {
		return c.explain(err)
	}
	free, freeErr := c.free(root)
	if freeErr == nil && free < max(need, 1) {
		return errFull
	}
	if IsTemporary(freeErr) {
		return freeErr
	}
	return c.explain(err)
}

// isFailure reports whether a server says no more than that it went wrong.
func isFailure(err error) bool {
	status, ok := errors.AsType[*sftp.StatusError](err)
	return ok && status.FxCode() == sftp.ErrSSHFxFailure
}

// free tells the bytes that are left below a folder: none, too, where a drive takes no more names.
func (c *sftpConn) free(root string) (int64, error) {
	if _, ok := c.HasExtension(statvfsExtension); !ok {
		return 0, errors.ErrUnsupported
	}
	s, err := c.StatVFS(root)
	if err != nil {
		return 0, c.explain(err)
	}
	if s.Files > 0 && s.Favail == 0 {
		return 0, nil
	}
	if s.Frsize > 0 && s.Bavail > math.MaxInt64/s.Frsize {
		return math.MaxInt64, nil
	}
	return int64(s.Bavail * s.Frsize), nil
}
