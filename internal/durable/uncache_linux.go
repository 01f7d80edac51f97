package durable

import (
	"os"

	"golang.org/x/sys/unix"
)

// uncache takes the bytes of a file, which are on the drive, out of the system's cache. A file system that cannot do it
// keeps them there, and nothing is wrong.
func uncache(f *os.File) {
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { _ = unix.Fadvise(int(fd), 0, 0, unix.FADV_DONTNEED) })
}
