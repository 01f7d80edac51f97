package repo

import (
	"os"
	"strings"
)

// bootName is the kernel's name of this boot, and the name space of processes:
// that of a container has numbers of its own.
func bootName() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil || len(boot) == 0 {
		return ""
	}
	space, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(boot)) + " " + space
}
