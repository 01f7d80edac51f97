//go:build unix

package repo

import (
	"os"

	"golang.org/x/sys/unix"
)

// systemHasModes: files have owners and the modes of POSIX.
const systemHasModes = true

// mayChown tells whether files can be given to others.
func mayChown() bool { return os.Geteuid() == 0 }

// checkSystemName refuses names that are more than a name here: none.
func checkSystemName(string) error { return nil }

// setAttribute sets an extended attribute of an open file.
func setAttribute(f *os.File, a ExtendedAttribute) error {
	return unix.Fsetxattr(int(f.Fd()), a.Name, a.Value, 0)
}

// setTimesAt sets the times of a link or special file in a folder.
func setTimesAt(dir *os.File, n *Node) error {
	var times [2]unix.Timespec
	var err error
	if times[0], err = unix.TimeToTimespec(n.AccessTime); err != nil {
		return err
	}
	if times[1], err = unix.TimeToTimespec(n.ModTime); err != nil {
		return err
	}
	return unix.UtimesNanoAt(int(dir.Fd()), n.Name, times[:], unix.AT_SYMLINK_NOFOLLOW)
}
