package repo

import "golang.org/x/sys/unix"

// bootName is the kernel's name of this boot.
func bootName() string {
	name, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return ""
	}
	return name
}
