package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sync/atomic"
)

// SFTPOptions are the settings of places that are reached by SFTP. Files that are not there are left out.
type SFTPOptions struct {
	User string // logs in where neither the address nor ssh_config names one
	Home string // the user's folder, for the "~" of ssh_config

	Config     []string // files of ssh_config; what the first one says counts
	KnownHosts []string // files of the host keys that are known; without one no server is
	KeyFiles   []string // private keys, tried in order where ssh_config names none

	AgentSocket string // the socket of an agent that holds keys; empty is none

	// Passphrase gives the one of a key file, Password the user's own at the server. nil is none. They are asked at most
	// once each, never concurrently.
	Passphrase func(ctx context.Context, keyFile string) ([]byte, error)
	Password   func(ctx context.Context) ([]byte, error)

	// Command is a program and its arguments that speaks SFTP on its standard input and output; of the address only the
	// folder counts then. Args are arguments for the program ssh, which is then run to reach the server. What either
	// says on its standard error goes to Stderr, if that is not nil. With neither Russet is its own client.
	Command, Args []string
	Stderr        io.Writer

	// Connections is how many operations are under way at once, on one connection. 0 is 5, as with restic.
	Connections int
}

const (
	defaultSFTPConnections = 5

	// maxSums is how many sums are computed at once: sshd allows ten sessions on a connection.
	maxSums = 4
)

// An sftpPlace keeps files on a server, laid out as [Local] lays them out. It may be used concurrently. A connection that
// is lost is made anew by the next operation.
//
// What [Backend] promises rests on what the server offers, as OpenSSH's does: fsync@openssh.com, without which a file is as
// durable as the server makes it by itself; posix-rename@openssh.com, without which a damaged file is removed before it is
// replaced. A Config is never replaced where the server's rename keeps to the draft of the protocol and refuses a name that
// is taken; elsewhere two that create a repository at the same moment may both succeed. A place has no reserve.
type sftpPlace struct {
	line  *sftpLine
	root  string
	modes modes
	slots chan struct{} // one for each operation under way
	sums  chan struct{} // one for each sum being computed
	tool  atomic.Pointer[string]

	begun bool // a mark of a mirror will do where there is no config yet
}

var (
	_ Backend   = (*sftpPlace)(nil)
	_ io.Closer = (*sftpPlace)(nil)
	_ prover    = (*sftpPlace)(nil)
)

// openSFTP opens a place, or with create makes it, as [Open] and [Create] say. rest is the address behind the scheme.
func openSFTP(ctx context.Context, rest string, o Options, create bool) (Backend, error) {
	a, err := parseSFTP(rest)
	if err != nil {
		return nil, err
	}
	line, err := newSFTPLine(a, o)
	if err != nil {
		return nil, err
	}
	connections := o.SFTP.Connections
	if connections <= 0 {
		connections = defaultSFTPConnections
	}
	p := &sftpPlace{
		line: line, root: a.folder, modes: sftpModes(0),
		slots: make(chan struct{}, connections), sums: make(chan struct{}, maxSums),
		begun: o.begun,
	}
	if create {
		err = p.do(ctx, func(c *sftpConn) error { return p.lay(ctx, c) })
	} else {
		err = p.do(ctx, p.look)
	}
	if err != nil {
		_ = p.Close()
		return nil, err
	}
	return p, nil
}

// sftpModes leaves files writable: some servers, on Windows, do not remove others.
func sftpModes(config fs.FileMode) modes {
	m := modesFor(config)
	m.file |= 0o200
	return m
}

// look wants a repository.
func (p *sftpPlace) look(c *sftpConn) error {
	config, err := c.Stat(p.path(File{}))
	if errors.Is(err, fs.ErrNotExist) {
		if marked, err := p.isBegun(c); marked || err != nil {
			return err
		}
		return ErrNoRepository
	}
	if err != nil {
		return fmt.Errorf("open config: %w", c.explain(err))
	}
	p.modes = sftpModes(config.Mode())
	return nil
}

// lay makes the folders of the layout that are missing.
func (p *sftpPlace) lay(ctx context.Context, c *sftpConn) error {
	if _, err := c.Lstat(p.path(File{})); err == nil {
		return fmt.Errorf("create repository: %w", fs.ErrExist)
	}
	folders := []string{}
	for k := Key; k <= Data; k++ {
		folders = append(folders, path.Join(p.root, k.String()))
	}
	packs := make([]string, 256)
	for i := range packs {
		packs[i] = path.Join(p.root, fmt.Sprintf("%s/%02x", Data, i))
	}
	err := p.makeRoot(c, p.root)
	for _, some := range [][]string{folders, packs} {
		if err == nil {
			err = inParallel(ctx, len(some), func(i int) error { return p.mkdir(c, some[i]) })
		}
	}
	for _, folder := range []string{path.Join(p.root, Data.String()), p.root} {
		if err == nil {
			err = c.syncFolder(folder)
		}
	}
	if err != nil {
		return fmt.Errorf("create folder: %w", err)
	}
	return nil
}

// makeRoot makes the folder of the repository and those above it, durably. One that is there stays as it is.
func (p *sftpPlace) makeRoot(c *sftpConn, name string) error {
	if _, err := c.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		return c.explain(err) // if it is not a folder, the next one to be made says so
	}
	parent := path.Dir(name)
	if parent != name {
		if err := p.makeRoot(c, parent); err != nil {
			return err
		}
	}
	if err := p.mkdir(c, name); err != nil {
		return err
	}
	return c.syncFolder(parent)
}

// mkdir makes a folder unless it is there.
func (p *sftpPlace) mkdir(c *sftpConn, name string) error {
	err := c.Mkdir(name)
	if err == nil {
		_ = c.Chmod(name, p.modes.folder) // some drives of servers have no modes
		return nil
	}
	info, statErr := c.Stat(name)
	switch {
	case statErr == nil && info.IsDir():
		return nil
	case statErr == nil || errors.Is(statErr, fs.ErrNotExist):
		return c.failure(err, p.root, 0)
	default:
		return c.explain(statErr)
	}
}

// path gives the place of a valid file on the server.
func (p *sftpPlace) path(f File) string { return path.Join(p.root, f.path()) }

// Close ends the connection. Nothing is lost without it.
func (p *sftpPlace) Close() error { return p.line.close() }

// do runs an operation on a connection, once its turn has come.
func (p *sftpPlace) do(ctx context.Context, work func(c *sftpConn) error) error {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-p.slots }()
	return p.line.use(ctx, work)
}

// Load reads from a file, 32 KiB with each of many requests that are on their way together.
func (p *sftpPlace) Load(ctx context.Context, f File, offset int64, dst []byte) (int, error) {
	err := admit(ctx, f)
	if err == nil && offset < 0 {
		err = fmt.Errorf("offset %d: %w", offset, fs.ErrInvalid)
	}
	n := 0
	if err == nil {
		err = p.do(ctx, func(c *sftpConn) (err error) {
			n, err = c.load(ctx, p.path(f), offset, dst)
			return err
		})
	}
	if err != nil {
		return 0, fmt.Errorf("load %s: %w", f, err)
	}
	return n, nil
}

// sftpPiece is how much package sftp asks for at once.
const sftpPiece = 32 << 10

// loadPiece is how much is asked for before the context is looked at again: with 64 requests at once, two rounds.
const loadPiece = 4 << 20

func (c *sftpConn) load(ctx context.Context, name string, offset int64, dst []byte) (n int, err error) {
	file, err := c.Open(name)
	if err != nil {
		return 0, c.explain(err)
	}
	defer c.closeLater(file)
	for n < len(dst) {
		asked := min(loadPiece, len(dst)-n)
		got, err := file.ReadAt(dst[n:n+asked], offset+int64(n))
		n += got
		if err == io.EOF && asked > sftpPiece {
			// Package sftp takes the first answer that is shorter than was asked for as the end of the file. Only in a short read
			// it goes on until the server says so.
			got, err = file.ReadAt(dst[n:min(n+sftpPiece, len(dst))], offset+int64(n))
			n += got
		}
		if err == io.EOF {
			return n, nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return 0, c.explain(err)
		}
	}
	return n, nil
}

// Remove removes a file.
func (p *sftpPlace) Remove(ctx context.Context, f File) error {
	err := admit(ctx, f)
	if err == nil {
		err = p.do(ctx, func(c *sftpConn) error {
			if err := c.Remove(p.path(f)); err != nil {
				return c.explain(err)
			}
			if f.Kind == Data {
				return nil
			}
			return c.syncFolder(path.Dir(p.path(f)))
		})
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", f, err)
	}
	return nil
}

// Free returns how many bytes may still be written, where the server tells; else the error wraps errors.ErrUnsupported.
func (p *sftpPlace) Free(ctx context.Context) (free int64, err error) {
	if err = ctx.Err(); err == nil {
		err = p.do(ctx, func(c *sftpConn) (err error) {
			free, err = c.free(p.root)
			return err
		})
	}
	if err != nil {
		return 0, fmt.Errorf("free space: %w", err)
	}
	return free, nil
}
