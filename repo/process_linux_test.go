package repo

import (
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// A process that has ended does not run, also while its parent has not asked for
// it; one that sleeps does.
func TestProcessEnded(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "-test.run=^$")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	for err = unix.EINTR; err == unix.EINTR; {
		err = unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	if processRuns(pid) {
		t.Error("a process that has ended is said to run")
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if !processRuns(os.Getpid()) || !processRuns(os.Getppid()) || processRuns(nobody) {
		t.Error("what runs is not told from what does not")
	}
}
