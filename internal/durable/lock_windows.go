package durable

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

func lockOpened(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var refused error
	err = conn.Control(func(fd uintptr) {
		const exclusive = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
		refused = windows.LockFileEx(windows.Handle(fd), exclusive, 0, 1, 0, new(windows.Overlapped))
	})
	switch {
	case err != nil:
		return err
	case errors.Is(refused, windows.ERROR_LOCK_VIOLATION), errors.Is(refused, windows.ERROR_IO_PENDING):
		return ErrInUse
	case errors.Is(refused, windows.ERROR_NOT_SUPPORTED), errors.Is(refused, windows.ERROR_INVALID_FUNCTION):
		return nil
	}
	return refused
}
