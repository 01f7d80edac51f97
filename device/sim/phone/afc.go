package phone

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"russet/device"
)

// afc is one connection to the file service.
type afc struct {
	p       *Phone
	service string
	root    *os.Root
	place   string // names root among those of the phone, for locks
	only    string // the one folder of root that is open; empty: all
	files   map[uint64]*openFile
	last    uint64 // handle
}

// What a connection may cost. Paths are those of iOS, in bytes.
const (
	maxFiles = 256
	maxPath  = 1024
	maxRead  = 4 << 20
	maxWrite = maxRead + 1<<10 // a packet
	maxSize  = 1 << 42         // of a file that is made longer
)

// noResources is what phones answer who cannot open more files.
const noResources device.AFCError = 3

// serveAFC speaks as the file service of the media folder.
func (p *Phone) serveAFC(_ context.Context, conn net.Conn) error {
	return (&afc{p: p, service: afcService, root: p.media, place: mediaDir}).serve(conn)
}

// serve answers until the host hangs up. Files that it left open are closed.
func (c *afc) serve(conn net.Conn) (err error) {
	c.files = map[uint64]*openFile{}
	defer func() {
		for handle := range c.files {
			err = errors.Join(err, c.close(handle))
		}
	}()
	for {
		q, err := device.ReadAFC(io.LimitReader(conn, maxWrite))
		if err != nil {
			return err
		}
		a := c.answer(q)
		a.Number = q.Number
		if err := device.WriteAFC(conn, a); err != nil {
			return err
		}
	}
}

// status is an answer without data.
func status(err error) *device.AFCPacket {
	return &device.AFCPacket{Op: device.AFCStatus, Params: binary.LittleEndian.AppendUint64(nil, uint64(code(err)))}
}

// data is an answer with data.
func data(b []byte) *device.AFCPacket { return &device.AFCPacket{Op: device.AFCData, Data: b} }

// number is an answer that holds a number.
func number(op device.AFCOp, n uint64) *device.AFCPacket {
	return &device.AFCPacket{Op: op, Params: binary.LittleEndian.AppendUint64(nil, n)}
}

// code is the number by which a phone gives an error.
func code(err error) device.AFCError {
	if own, ok := errors.AsType[device.AFCError](err); ok {
		return own
	}
	for _, c := range []struct {
		is   error
		code device.AFCError
	}{
		{nil, device.AFCOK},
		{syscall.ENOTEMPTY, device.AFCNotEmpty}, // on some systems it is ErrExist as well
		{fs.ErrNotExist, device.AFCNotFound},
		{syscall.ENOTDIR, device.AFCNotFound},
		{fs.ErrExist, device.AFCExists},
		{fs.ErrPermission, device.AFCDenied},
		{syscall.EISDIR, device.AFCIsDir},
		{syscall.ENOSPC, device.AFCNoSpace},
		{syscall.EINVAL, device.AFCInvalid},
		{syscall.ENAMETOOLONG, device.AFCInvalid},
	} {
		if errors.Is(err, c.is) {
			return c.code
		}
	}
	if errors.As(err, new(syscall.Errno)) {
		return device.AFCIO
	}
	return device.AFCDenied // a path that leaves the root
}

// answer does what a packet asks.
func (c *afc) answer(q *device.AFCPacket) *device.AFCPacket {
	switch q.Op {
	case device.AFCFileRead, device.AFCFileWrite, device.AFCFileSeek, device.AFCFileTell, device.AFCFileClose, device.AFCFileSetSize, device.AFCFileLock:
		return c.ofFile(q)
	case device.AFCDeviceInfo:
		return c.deviceInfo()
	case device.AFCSetBlockSize, device.AFCSetSockBlock:
		return status(nil)
	}
	rest := append(q.Params, q.Data...) // some hosts send a path as data
	var n uint64
	switch q.Op {
	case device.AFCTruncate, device.AFCFileOpen, device.AFCMakeLink, device.AFCSetModTime:
		if len(rest) < 8 {
			return c.bad(q, "its number is missing")
		}
		n, rest = binary.LittleEndian.Uint64(rest), rest[8:]
	}
	// A zero byte ends each path; some hosts leave out the last one.
	first, rest, _ := bytes.Cut(rest, []byte{0})
	second, _, _ := bytes.Cut(rest, []byte{0})
	if len(first) == 0 || (q.Op == device.AFCRenamePath || q.Op == device.AFCMakeLink) && len(second) == 0 {
		return c.bad(q, "a path is missing")
	}
	return c.ofPaths(q.Op, n, string(first), string(second))
}

// bad tells of a packet that breaks a rule, and refuses it.
func (c *afc) bad(q *device.AFCPacket, rule string) *device.AFCPacket {
	c.p.Record(Event{Service: c.service, Message: opName(q.Op), Violation: rule})
	return status(device.AFCInvalid)
}

// ofPaths does what names paths.
func (c *afc) ofPaths(op device.AFCOp, n uint64, first, second string) *device.AFCPacket {
	if op == device.AFCMakeLink {
		return status(c.link(n, first, second))
	}
	name, err := c.path(first)
	if err != nil {
		return status(err)
	}
	top := name == "." || name == c.only // may be looked at, but neither moved nor removed
	switch op {
	case device.AFCReadDir:
		return c.readDir(name)
	case device.AFCFileInfo:
		return c.fileInfo(name)
	case device.AFCMakeDir:
		return status(c.root.MkdirAll(name, 0o700))
	case device.AFCSetModTime:
		return status(c.setTime(name, n))
	}
	if top {
		return status(device.AFCDenied)
	}
	switch op {
	case device.AFCFileOpen:
		return c.open(name, n)
	case device.AFCTruncate:
		return status(c.truncate(name, n))
	case device.AFCRemovePath:
		return status(c.root.Remove(name))
	case device.AFCRemoveAll:
		if _, err := c.root.Lstat(name); err != nil {
			return status(err)
		}
		return status(c.root.RemoveAll(name))
	case device.AFCRenamePath:
		to, err := c.path(second)
		if err == nil && (to == "." || to == c.only) {
			err = device.AFCDenied
		}
		if err == nil {
			err = c.root.Rename(name, to)
		}
		return status(err)
	}
	c.p.Record(Event{Service: c.service, Message: opName(op), Violation: "the phone does not know this operation"})
	return status(device.AFCUnknownPacket)
}

// path turns a host's path into one below root.
func (c *afc) path(p string) (string, error) {
	if len(p) > maxPath || filepath.Separator != '/' && strings.ContainsAny(p, `\:`) {
		return "", device.AFCInvalid
	}
	name := path.Clean("/" + p)[1:]
	if name == "" {
		name = "."
	}
	switch {
	case !filepath.IsLocal(name):
		return "", device.AFCInvalid
	case c.only != "" && name != "." && name != c.only && !strings.HasPrefix(name, c.only+"/"):
		return "", device.AFCDenied
	}
	return name, nil
}

// link makes a link. Symbolic ones may not lead out of root: people look at it
// with other programs.
func (c *afc) link(kind uint64, target, name string) error {
	const hard, symbolic = 1, 2
	name, err := c.path(name)
	if err != nil {
		return err
	}
	switch kind {
	case hard:
		old, err := c.path(target)
		if err != nil {
			return err
		}
		return c.root.Link(old, name)
	case symbolic:
		if len(target) > maxPath || path.IsAbs(target) || !filepath.IsLocal(path.Join(path.Dir(name), target)) {
			return device.AFCDenied
		}
		return c.root.Symlink(filepath.FromSlash(target), name)
	}
	return device.AFCInvalid
}
