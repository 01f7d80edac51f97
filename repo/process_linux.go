package repo

import (
	"bytes"
	"os"
	"strconv"
)

// processEnded tells whether a process has ended, though it still has a number:
// its parent has not asked for it (proc_pid_stat(5)).
func processEnded(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	// The state follows the name, which may hold anything.
	rest := stat[bytes.LastIndexByte(stat, ')')+1:]
	return len(rest) > 1 && (rest[1] == 'Z' || rest[1] == 'X')
}
