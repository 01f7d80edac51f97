package capture

import (
	"fmt"
	"os"
	"syscall"
	"testing"
)

// memoryFolder is where Linux keeps files in memory alone.
const memoryFolder = "/dev/shm"

// TestMain keeps the folders of tests in memory where there is enough: each
// backup folder has 256 folders, there are hundreds, and everything is made
// durable, which on a drive takes most of the time and proves nothing here.
func TestMain(m *testing.M) {
	os.Exit(runInMemory(m))
}

func runInMemory(m *testing.M) int {
	const enough = 512 << 20 // five times what they take
	var fs syscall.Statfs_t
	if os.Getenv("TMPDIR") != "" || syscall.Statfs(memoryFolder, &fs) != nil || int64(fs.Bavail)*fs.Bsize < enough {
		return m.Run()
	}
	dir, err := os.MkdirTemp(memoryFolder, "russet-capture-")
	if err != nil {
		return m.Run()
	}
	defer os.RemoveAll(dir)
	if err := os.Setenv("TMPDIR", dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
