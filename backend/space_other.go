//go:build !linux && !darwin && !windows

package backend

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
)

// isDriveFull reports whether an error of the system says that a drive is full or a quota used up.
func isDriveFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// IsUnreadable reports whether an error says that a drive cannot read what it holds.
func IsUnreadable(err error) bool { return errors.Is(err, syscall.EIO) }

// Free is not known for this system.
func (l *Local) Free(context.Context) (int64, error) {
	return 0, fmt.Errorf("free space: %w", errors.ErrUnsupported)
}

// removeFile removes a file; read-only files need no preparation here.
func removeFile(root *os.Root, name string) error {
	return root.Remove(name)
}
