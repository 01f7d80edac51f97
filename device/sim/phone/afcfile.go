package phone

import (
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"syscall"
	"time"

	"russet/device"
)

// openFile is a file that a host has opened.
type openFile struct {
	*os.File
	name string // with the place of its root
}

// opName names an operation in the log.
func opName(op device.AFCOp) string { return fmt.Sprintf("operation %#x", uint64(op)) }

// ofFile does what names an open file.
func (c *afc) ofFile(q *device.AFCPacket) *device.AFCPacket {
	le := binary.LittleEndian
	var n [3]uint64 // handle and two arguments
	have := 0
	for ; have < 3 && len(q.Params) >= 8*(have+1); have++ {
		n[have] = le.Uint64(q.Params[8*have:])
	}
	need := map[device.AFCOp]int{device.AFCFileRead: 2, device.AFCFileSeek: 3, device.AFCFileSetSize: 2, device.AFCFileLock: 2}
	if have < max(1, need[q.Op]) {
		return c.bad(q, "an argument is missing")
	}
	f := c.files[n[0]]
	if f == nil {
		return c.bad(q, "no file has this handle")
	}
	switch q.Op {
	case device.AFCFileRead:
		b := make([]byte, min(n[1], maxRead))
		k, err := io.ReadFull(f, b)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return status(err)
		}
		return data(b[:k])
	case device.AFCFileWrite:
		_, err := f.Write(q.Data)
		return status(err)
	case device.AFCFileSeek:
		if n[1] > 2 {
			return status(device.AFCInvalid)
		}
		_, err := f.Seek(int64(n[2]), int(n[1]))
		return status(err)
	case device.AFCFileTell:
		at, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			return status(err)
		}
		return number(device.AFCFileTold, uint64(at))
	case device.AFCFileSetSize:
		return status(resize(f.File, n[1]))
	case device.AFCFileLock:
		return status(c.lock(f, n[1]))
	}
	return status(c.close(n[0])) // AFCFileClose
}

// lock locks or unlocks an open file. It never waits.
func (c *afc) lock(f *openFile, op uint64) error {
	const shared, exclusive, unlock = 1, 2, 8 // of flock
	const noWait = 4
	switch op &^ noWait {
	case shared, exclusive:
		if !c.p.locks.take(f, op&exclusive != 0) {
			return device.AFCWouldBlock
		}
	case unlock:
		c.p.locks.free(f)
	default:
		return device.AFCInvalid
	}
	return nil
}

// close closes an open file, which gives its lock back.
func (c *afc) close(handle uint64) error {
	f := c.files[handle]
	delete(c.files, handle)
	c.p.locks.free(f)
	return f.Close()
}

// open opens a file.
func (c *afc) open(name string, mode uint64) *device.AFCPacket {
	flags := map[uint64]int{
		1: os.O_RDONLY, 2: os.O_RDWR | os.O_CREATE, 3: os.O_WRONLY | os.O_CREATE | os.O_TRUNC, 4: os.O_RDWR | os.O_CREATE | os.O_TRUNC,
		5: os.O_WRONLY | os.O_CREATE | os.O_APPEND, 6: os.O_RDWR | os.O_CREATE | os.O_APPEND,
	}
	flag, ok := flags[mode]
	if !ok {
		return status(device.AFCInvalid)
	}
	if len(c.files) >= maxFiles {
		return status(noResources)
	}
	if err := c.opens(name); err != nil {
		return status(err)
	}
	f, err := c.root.OpenFile(name, flag, 0o600)
	if err != nil {
		return status(err)
	}
	c.last++
	c.files[c.last] = &openFile{f, path.Join(c.place, name)}
	return number(device.AFCFileOpened, c.last)
}

// opens refuses what is no file. A pipe could keep us waiting for ever.
func (c *afc) opens(name string) error {
	info, err := c.root.Stat(name)
	switch {
	case err != nil:
		return nil // opening it will say why, or makes it
	case info.IsDir():
		return device.AFCIsDir
	case !info.Mode().IsRegular():
		return device.AFCDenied
	}
	return nil
}

func resize(f *os.File, size uint64) error {
	if size > maxSize {
		return device.AFCNoSpace
	}
	return f.Truncate(int64(size))
}

func (c *afc) truncate(name string, size uint64) error {
	if err := c.opens(name); err != nil {
		return err
	}
	f, err := c.root.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	err = resize(f, size)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// setTime sets a time of modification, in nanoseconds since 1970.
func (c *afc) setTime(name string, ns uint64) error {
	when := time.Unix(0, int64(ns))
	return c.root.Chtimes(name, when, when)
}

// readDir lists a folder as phones do, with itself and its parent. What is none
// is not opened: a pipe could keep us waiting for ever.
func (c *afc) readDir(name string) *device.AFCPacket {
	info, err := c.root.Stat(name)
	if err == nil && !info.IsDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return status(err)
	}
	f, err := c.root.Open(name)
	if err != nil {
		return status(err)
	}
	defer f.Close()
	names := []string{c.only}
	if name != "." || c.only == "" {
		if names, err = f.Readdirnames(-1); err != nil {
			return status(err)
		}
	}
	b := []byte(".\x00..\x00")
	for _, n := range names {
		b = append(append(b, n...), 0)
	}
	if len(b) > device.MaxAFC/2 {
		return status(noResources)
	}
	return data(b)
}

// pairs is a dictionary as the file service sends one.
func pairs(list ...string) *device.AFCPacket {
	var b []byte
	for _, s := range list {
		b = append(append(b, s...), 0)
	}
	return data(b)
}

func (c *afc) fileInfo(name string) *device.AFCPacket {
	info, err := c.root.Lstat(name)
	if err != nil {
		return status(err)
	}
	const block = 512
	kind, links, size := "S_IFREG", "1", info.Size()
	var more []string
	switch info.Mode().Type() {
	case 0:
	case fs.ModeDir:
		kind, links = "S_IFDIR", "2"
	case fs.ModeSymlink:
		kind = "S_IFLNK"
		target, err := c.root.Readlink(name)
		if err != nil {
			return status(err)
		}
		more = []string{"LinkTarget", target}
	case fs.ModeNamedPipe:
		kind = "S_IFIFO"
	case fs.ModeSocket:
		kind = "S_IFSOCK"
	default:
		kind = "S_IFCHR"
	}
	when := strconv.FormatInt(info.ModTime().UnixNano(), 10)
	return pairs(append([]string{
		"st_size", strconv.FormatInt(size, 10), "st_blocks", strconv.FormatInt((size+block-1)/block, 10), "st_nlink", links,
		"st_ifmt", kind, "st_mtime", when, "st_birthtime", when,
	}, more...)...)
}

func (c *afc) deviceInfo() *device.AFCPacket {
	disk := func(key string) string { return fmt.Sprint(c.p.Value("com.apple.disk_usage", key)) }
	return pairs("Model", c.p.text("ProductType"), "FSTotalBytes", disk("TotalDataCapacity"), "FSFreeBytes", disk("TotalDataAvailable"), "FSBlockSize", "4096")
}
