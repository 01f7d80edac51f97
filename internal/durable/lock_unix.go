//go:build unix

package durable

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func lockOpened(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var refused error
	err = conn.Control(func(fd uintptr) { refused = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB) })
	switch {
	case err != nil:
		return err
	case errors.Is(refused, unix.EWOULDBLOCK):
		return ErrInUse
	case errors.Is(refused, unix.ENOTSUP), errors.Is(refused, unix.ENOSYS), errors.Is(refused, unix.EINVAL), errors.Is(refused, unix.ENOLCK):
		return nil
	}
	return refused
}
