//go:build unix

package repo

import (
	"errors"
	"syscall"
)

// processRuns tells whether a process of this computer runs. It sends no
// signal: restic's SIGHUP would end programs that do not expect it.
func processRuns(pid int) bool {
	if pid <= 0 {
		return false
	}
	err := syscall.Kill(pid, 0)
	return (err == nil || errors.Is(err, syscall.EPERM)) && !processEnded(pid)
}
