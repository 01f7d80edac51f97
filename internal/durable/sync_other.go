//go:build !windows

package durable

import (
	"errors"
	"os"
	"syscall"
)

func syncFolder(root *os.Root, name string) error {
	return syncContent(root, name)
}

func syncContent(root *os.Root, name string) error {
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return syncOpened(f)
}

// syncOpened passes over the refusals of file systems that have no sync operation for this kind of file: SMB and FUSE
// shares say "not supported", "invalid argument" or, on macOS, "not a terminal". There is nothing better to do there.
func syncOpened(f *os.File) error {
	err := f.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTTY) {
		return nil
	}
	return err
}

// allowReplacing does nothing: only Windows minds renaming over a read-only file.
func allowReplacing(*os.Root, string) {}
