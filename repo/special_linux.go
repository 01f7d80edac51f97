package repo

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// makeSpecial makes a FIFO or a device in a folder.
func makeSpecial(dir *os.File, n *Node) error {
	mode := uint32(unix.S_IFIFO)
	switch n.Type {
	case TypeDevice:
		mode = unix.S_IFBLK
	case TypeCharDevice:
		mode = unix.S_IFCHR
	}
	device := 0
	if mode != unix.S_IFIFO {
		device = int(n.Device)
	}
	return unix.Mknodat(int(dir.Fd()), n.Name, mode|0o600, device)
}

// setAttributeAt sets an extended attribute of a link or special file. There is
// no call that takes a folder and a name; the folder's open handle has a path.
func setAttributeAt(dir *os.File, name string, a ExtendedAttribute) error {
	path := "/proc/self/fd/" + strconv.Itoa(int(dir.Fd())) + "/" + name
	err := unix.Lsetxattr(path, a.Name, a.Value, 0)
	if errors.Is(err, unix.ENOENT) {
		return errors.ErrUnsupported // no /proc here
	}
	return err
}
