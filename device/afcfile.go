package device

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"time"
)

// AFCMode is how a file is opened.
type AFCMode uint64

// The ways to open a file, by the names that they have in C.
const (
	AFCRead       AFCMode = 1 // r
	AFCReadWrite  AFCMode = 2 // r+, and makes the file
	AFCWrite      AFCMode = 3 // w
	AFCWriteRead  AFCMode = 4 // w+
	AFCAppend     AFCMode = 5 // a
	AFCReadAppend AFCMode = 6 // a+
)

// AFCFile is an open file of the phone. It is for one goroutine.
type AFCFile struct {
	a      *AFC
	ctx    context.Context // of Open: Read and Write have none
	handle uint64          // 0 after Close
	name   string
}

// Open opens a file. ctx holds for all that is done with the file.
func (a *AFC) Open(ctx context.Context, name string, mode AFCMode) (*AFCFile, error) {
	b, err := params([]string{name}, uint64(mode))
	if err == nil {
		b, err = a.ask(ctx, AFCFileOpened, AFCFileOpen, b, nil)
	}
	f := &AFCFile{a: a, ctx: ctx, name: name}
	if err == nil && len(b) >= 8 {
		f.handle = binary.LittleEndian.Uint64(b)
	}
	if err == nil && f.handle == 0 {
		err = errors.New("the phone gives no handle")
	}
	if err != nil {
		return nil, fmt.Errorf("open a file of the phone: %w", err)
	}
	return f, nil
}

// ask sends a request about the file.
func (f *AFCFile) ask(want, op AFCOp, data []byte, numbers ...uint64) ([]byte, error) {
	if f.handle == 0 {
		return nil, fs.ErrClosed
	}
	b, err := params(nil, append([]uint64{f.handle}, numbers...)...)
	if err != nil {
		return nil, err
	}
	return f.a.ask(f.ctx, want, op, b, data)
}

// do is a request that is answered by success alone.
func (f *AFCFile) do(what string, op AFCOp, numbers ...uint64) error {
	if _, err := f.ask(AFCStatus, op, nil, numbers...); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// Read reads what comes next, a megabyte at most.
func (f *AFCFile) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	p = p[:min(len(p), afcBlock)]
	b, err := f.ask(AFCData, AFCFileRead, nil, uint64(len(p)))
	switch {
	case err == nil && len(b) == 0, errors.Is(err, afcEndOfData):
		return 0, io.EOF
	case err == nil && len(b) > len(p):
		err = errors.New("the phone sends more than was asked for")
	}
	if err != nil {
		return 0, fmt.Errorf("read a file of the phone: %w", err)
	}
	return copy(p, b), nil
}

// Write writes at the place where the file stands.
func (f *AFCFile) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		block := p[:min(len(p), afcBlock)]
		if _, err := f.ask(AFCStatus, AFCFileWrite, block); err != nil {
			return n, fmt.Errorf("write a file of the phone: %w", err)
		}
		n, p = n+len(block), p[len(block):]
	}
	return n, nil
}

// Seek moves the place where the file stands, and returns it.
func (f *AFCFile) Seek(offset int64, whence int) (int64, error) {
	const what = "find a place in a file of the phone"
	if err := f.do(what, AFCFileSeek, uint64(whence), uint64(offset)); err != nil {
		return 0, err
	}
	b, err := f.ask(AFCFileTold, AFCFileTell, nil)
	if err == nil && len(b) < 8 {
		err = errors.New("the phone gives no place")
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	return int64(binary.LittleEndian.Uint64(b)), nil
}

// Truncate changes the length of the file.
func (f *AFCFile) Truncate(size int64) error {
	return f.do("cut a file of the phone", AFCFileSetSize, uint64(size))
}

// The ways of FILE_LOCK.
const (
	lockExclusive = 6 // and do not wait
	lockRelease   = 12
)

// TryLock locks the file for this connection alone. Where another has it, the
// error wraps [AFCWouldBlock].
func (f *AFCFile) TryLock() error {
	return f.do("lock a file of the phone", AFCFileLock, lockExclusive)
}

// Unlock gives up the lock.
func (f *AFCFile) Unlock() error {
	return f.do("unlock a file of the phone", AFCFileLock, lockRelease)
}

// Stat describes the file.
func (f *AFCFile) Stat() (fs.FileInfo, error) { return f.a.Stat(f.ctx, f.name) }

// Close closes the file. What is asked of it afterwards is fs.ErrClosed.
func (f *AFCFile) Close() error {
	err := f.do("close a file of the phone", AFCFileClose)
	f.handle = 0
	return err
}

// afcInfo is what the phone says of a file.
type afcInfo struct {
	name    string
	size    int64
	mode    fs.FileMode
	modTime time.Time
	link    string
}

func (i *afcInfo) Name() string       { return i.name }
func (i *afcInfo) Size() int64        { return i.size }
func (i *afcInfo) Mode() fs.FileMode  { return i.mode }
func (i *afcInfo) ModTime() time.Time { return i.modTime }
func (i *afcInfo) IsDir() bool        { return i.mode.IsDir() }
func (i *afcInfo) Sys() any           { return i.link }

// afcTypes are the values of st_ifmt. The phone tells no permissions: these are
// what it lets a host do.
var afcTypes = map[string]fs.FileMode{
	"S_IFREG": 0o644, "S_IFDIR": fs.ModeDir | 0o755, "S_IFLNK": fs.ModeSymlink | 0o777, "S_IFCHR": fs.ModeDevice | fs.ModeCharDevice,
	"S_IFBLK": fs.ModeDevice, "S_IFIFO": fs.ModeNamedPipe, "S_IFSOCK": fs.ModeSocket,
}

// parseInfo reads the answer to GET_FILE_INFO: names and values, each with a
// NUL behind it.
func parseInfo(name string, b []byte) (*afcInfo, error) {
	parts := bytes.SplitN(b, []byte{0}, 2*maxInfoKey+1)
	if len(parts) > 2*maxInfoKey {
		return nil, fmt.Errorf("the phone says more than %d things", maxInfoKey)
	}
	i := &afcInfo{name: name}
	kind := ""
	for ; len(parts) >= 2; parts = parts[2:] {
		value := string(parts[1])
		switch string(parts[0]) {
		case "st_ifmt":
			kind = value
		case "st_size":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || n < 0 {
				return nil, errors.New("the phone gives no length")
			}
			i.size = n
		case "st_mtime": // nanoseconds
			if n, err := strconv.ParseInt(value, 10, 64); err == nil {
				i.modTime = time.Unix(0, n).UTC()
			}
		case "LinkTarget":
			if len(value) <= maxPath {
				i.link = value
			}
		}
	}
	mode, ok := afcTypes[kind]
	if !ok && kind == "" {
		return nil, errors.New("the phone does not say what it is")
	}
	if !ok {
		mode = fs.ModeIrregular
	}
	i.mode = mode
	return i, nil
}
