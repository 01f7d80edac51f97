package backend

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

// isDriveFull reports whether an error of the system says that a drive is full or a quota used up.
func isDriveFull(err error) bool {
	for _, full := range []error{
		windows.ERROR_DISK_FULL, windows.ERROR_HANDLE_DISK_FULL, windows.ERROR_DISK_QUOTA_EXCEEDED,
		syscall.ENOSPC, syscall.EDQUOT, // never from Windows itself, but from simulated faults
	} {
		if errors.Is(err, full) {
			return true
		}
	}
	return false
}

// IsUnreadable reports whether an error says that a drive cannot read what it holds: a sector is bad, or what the file
// system says of a file makes no sense. A drive that was taken out may give the same error.
func IsUnreadable(err error) bool {
	for _, bad := range []error{
		windows.ERROR_CRC, windows.ERROR_SECTOR_NOT_FOUND, windows.ERROR_READ_FAULT, windows.ERROR_IO_DEVICE,
		windows.ERROR_FILE_CORRUPT, windows.ERROR_DISK_CORRUPT,
		syscall.EIO, // never from Windows itself, but from simulated faults
	} {
		if errors.Is(err, bad) {
			return true
		}
	}
	return false
}

// Free returns how many bytes may still be written to the drive of the repository.
func (l *Local) Free(ctx context.Context) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	folder, err := windows.UTF16PtrFromString(l.root.Name())
	if err != nil {
		return 0, fmt.Errorf("free space: %w", err)
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(folder, &free, nil, nil); err != nil {
		return 0, fmt.Errorf("free space: %w", err)
	}
	return int64(min(free, math.MaxInt64)), nil
}

// removeFile takes the read-only mark off first: Windows before 10.1809, and drives without NTFS, do not remove a file
// that has it.
func removeFile(root *os.Root, name string) error {
	_ = root.Chmod(name, 0o600)
	return root.Remove(name)
}
