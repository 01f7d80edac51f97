package durable

import (
	"os"
)

// syncFolder does nothing: FlushFileBuffers refuses folders, and NTFS journals names.
func syncFolder(*os.Root, string) error { return nil }

// syncContent opens the file for writing because FlushFileBuffers asks for that, which a read-only file does not allow;
// such a file was made read-only after it had been flushed, so there is nothing to do then.
func syncContent(root *os.Root, name string) error {
	f, err := root.OpenFile(name, os.O_WRONLY, 0)
	if os.IsPermission(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return syncOpened(f)
}

func syncOpened(f *os.File) error { return f.Sync() }

// allowReplacing takes the read-only mark off a file: Windows does not rename over one that has it.
func allowReplacing(root *os.Root, name string) {
	_ = root.Chmod(name, 0o600)
}
