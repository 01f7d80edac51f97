package repo

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"russet/backend"
)

// Our locks keep restic out, and restic's keep us out, where they must and
// nowhere else.
func TestLocksWithRestic(t *testing.T) {
	t.Parallel()
	j := judge{dir: filepath.Join(t.TempDir(), "repo"), cwd: t.TempDir()}
	be, err := backend.Create(t.Context(), j.dir)
	if err != nil {
		t.Fatal(err)
	}
	r := initRepo(t, be, 2)
	if err := os.WriteFile(filepath.Join(j.cwd, "f"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	// Another computer's name: restic sends a signal to processes of its own.
	opt := LockOptions{Owner: Owner{Hostname: "elsewhere", Username: "u"}, PID: 4711}
	held := func(exclusive bool, do func()) {
		t.Helper()
		l, err := r.Lock(t.Context(), exclusive, opt)
		if err != nil {
			t.Fatal(err)
		}
		do()
		if err := l.Unlock(t.Context()); err != nil {
			t.Error(err)
		}
	}
	refused := func(args ...string) {
		t.Helper()
		if out := j.fail(t, args...); !strings.Contains(out, "locked") || !strings.Contains(out, "4711") || !strings.Contains(out, "elsewhere") {
			t.Errorf("restic %v: %s", args, out)
		}
	}
	held(true, func() {
		refused("backup", ".")
		refused("snapshots")
		j.run(t, "unlock") // leaves a lock that is alive
		refused("check")
	})
	held(false, func() {
		j.run(t, "backup", ".")
		j.run(t, "snapshots")
		refused("check")
		refused("forget", "--keep-last", "1", "--prune")
	})
	j.run(t, "check")

	// restic's unlock removes what is stale by our clock too.
	if _, err := r.saveLock(t.Context(), lockFile{Time: time.Now().Add(-lockStale - time.Minute), Exclusive: true, Hostname: "elsewhere", PID: 4711}); err != nil {
		t.Fatal(err)
	}
	refused("backup", ".")
	j.run(t, "unlock")
	j.run(t, "backup", ".")

	// A backup that waits for its input holds a shared lock.
	cmd := j.command(t, "backup", "--stdin")
	holdRestic(t, j, cmd, func() {
		if _, err := r.Lock(t.Context(), true, opt); !lockedBy(err, cmd, false) {
			t.Errorf("exclusive beside a backup: %v", err)
		}
		held(false, func() {})
	})
	// A check holds an exclusive one.
	cmd = j.command(t, "check")
	holdRestic(t, j, cmd, func() {
		if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		for _, exclusive := range []bool{false, true} {
			if _, err := r.Lock(t.Context(), exclusive, opt); !lockedBy(err, cmd, true) {
				t.Errorf("beside a check: %v", err)
			}
		}
		if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	})
	held(true, func() {})

	// Locks of a restic that was killed are stale at once, on its computer.
	cmd = j.command(t, "backup", "--stdin")
	holdRestic(t, j, cmd, func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
	})
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if n, err := r.Unlock(t.Context(), UnlockOptions{Hostname: host, Now: time.Now()}); n != 1 || err != nil {
		t.Errorf("unlock removed %d, %v, want the dead restic's", n, err)
	}
	held(true, func() {})
	checkClean(t, be)
}

func lockedBy(err error, cmd *exec.Cmd, exclusive bool) bool {
	e, ok := errors.AsType[*LockedError](err)
	return ok && errors.Is(err, ErrLocked) && e.PID == cmd.Process.Pid && e.Exclusive == exclusive
}

// holdRestic starts a command of restic, calls do once it holds a lock, and lets
// it end.
func holdRestic(t *testing.T, j judge, cmd *exec.Cmd, do func()) {
	t.Helper()
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); ; time.Sleep(2 * time.Millisecond) {
		locks, err := filepath.Glob(filepath.Join(j.dir, "locks", strings.Repeat("?", 64)))
		if err != nil {
			t.Fatal(err)
		}
		if len(locks) > 0 {
			break
		}
		if time.Since(start) > 20*time.Second {
			t.Fatal("restic takes no lock")
		}
	}
	do()
	if err := input.Close(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // one of them was killed
}
