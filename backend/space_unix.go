//go:build linux || darwin

package backend

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"russet/internal/durable"
)

// isDriveFull reports whether an error of the system says that a drive is full or a quota used up.
func isDriveFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// IsUnreadable reports whether an error says that a drive cannot read what it holds: a sector is bad, or what the file
// system says of a file makes no sense. A drive that was taken out gives the same error.
func IsUnreadable(err error) bool {
	const errUnclean = syscall.Errno(117) // Linux: EUCLEAN; elsewhere there is no such error
	return errors.Is(err, syscall.EIO) || errors.Is(err, syscall.EBADMSG) || errors.Is(err, errUnclean)
}

// Free returns how many bytes may still be written to the drive of the repository.
func (l *Local) Free(ctx context.Context) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	folder, err := l.root.Open(".")
	if err != nil {
		return 0, fmt.Errorf("free space: %w", durable.WithoutPath(err))
	}
	defer folder.Close()
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(folder.Fd()), &s); err != nil {
		return 0, fmt.Errorf("free space: %w", err)
	}
	blocks, size := uint64(s.Bavail), uint64(s.Bsize)
	if size > 0 && blocks > math.MaxInt64/size {
		return math.MaxInt64, nil
	}
	return int64(blocks * size), nil
}

// removeFile removes a file; read-only files need no preparation here.
func removeFile(root *os.Root, name string) error {
	return root.Remove(name)
}
