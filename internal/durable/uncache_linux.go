package durable

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// directFrom is from which length on a file is written past the cache, in bytes: the drive
	// is waited for at each piece.
	directFrom = 1 << 20
	// directAlign is what memory, place and length must be multiples of: the largest block of
	// usual drives.
	directAlign = 4 << 10
	directPiece = 4 << 20
)

// writeUncached writes most of data past the cache, and takes out of the cache what went there. A file
// system that can do neither keeps all of it there, and nothing is wrong.
func writeUncached(f *os.File, data []byte) error {
	n, err := writeDirect(f, data)
	if err == nil {
		err = writeCached(f, data[n:])
	}
	if err != nil {
		return err
	}
	control(f, func(fd int) error { return unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED) })
	return nil
}

// writeDirect writes the first n bytes of data past the cache, none where that cannot be done.
func writeDirect(f *os.File, data []byte) (n int, err error) {
	if len(data) < directFrom || uintptr(unsafe.Pointer(&data[0]))%directAlign != 0 || !setDirect(f, true) {
		return 0, nil
	}
	whole := len(data) - len(data)%directAlign
	for n < whole && err == nil {
		var m int
		m, err = f.Write(data[n:min(n+directPiece, whole)])
		n += m
	}
	if !setDirect(f, false) {
		return n, errors.Join(err, errDirect)
	}
	if errors.Is(err, unix.EINVAL) || errors.Is(err, errors.ErrUnsupported) { // larger blocks, or it promised too much
		err = nil
	}
	return n, err
}

var errDirect = errors.New("the file cannot be written through the cache again")

// setDirect has a file written past the cache or through it.
func setDirect(f *os.File, direct bool) bool {
	return control(f, func(fd int) error {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if err != nil {
			return err
		}
		if flags &^= unix.O_DIRECT; direct {
			flags |= unix.O_DIRECT
		}
		_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFL, flags)
		return err
	})
}

// control tells whether an operation on a file's descriptor was done.
func control(f *os.File, do func(fd int) error) bool {
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = do(int(fd)) })
	return err == nil && failed == nil
}
