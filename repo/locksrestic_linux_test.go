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

// lockPair is a repository that restic and we work on at the same time.
type lockPair struct {
	t   *testing.T
	j   judge
	r   *Repository
	opt LockOptions
}

func newLockPair(t *testing.T) *lockPair {
	t.Helper()
	p := &lockPair{t: t, j: judge{dir: filepath.Join(t.TempDir(), "repo"), cwd: t.TempDir()}}
	be, err := backend.Create(t.Context(), p.j.dir, backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p.r = initRepo(t, be, 2)
	if err := os.WriteFile(filepath.Join(p.j.cwd, "f"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	// Another computer's name: restic sends a signal to processes of its own.
	p.opt = LockOptions{Owner: Owner{Hostname: "elsewhere", Username: "u"}, PID: 4711}
	return p
}

// held calls do while we hold a lock.
func (p *lockPair) held(exclusive bool, do func()) {
	p.t.Helper()
	l, err := p.r.Lock(p.t.Context(), exclusive, p.opt)
	if err != nil {
		p.t.Fatal(err)
	}
	do()
	if err := l.Unlock(p.t.Context()); err != nil {
		p.t.Error(err)
	}
}

// refused wants a command of restic to fail because of us.
func (p *lockPair) refused(args ...string) {
	p.t.Helper()
	if out := p.j.fail(p.t, args...); !strings.Contains(out, "locked") || !strings.Contains(out, "4711") || !strings.Contains(out, "elsewhere") {
		p.t.Errorf("restic %v: %s", args, out)
	}
}

// Our locks keep restic out where they must, and nowhere else.
func TestLocksAgainstRestic(t *testing.T) {
	t.Parallel()
	p := newLockPair(t)
	p.held(true, func() {
		p.refused("backup", ".")
		p.refused("snapshots")
		p.j.run(t, "unlock") // leaves a lock that is alive
		p.refused("check")
	})
	p.held(false, func() {
		p.j.run(t, "backup", ".")
		p.j.run(t, "snapshots")
		p.refused("check")
		p.refused("forget", "--keep-last", "1", "--prune")
	})
	p.j.run(t, "check")

	// restic's unlock removes what is stale by our clock.
	stale := lockFile{Time: time.Now().Add(-lockStale - time.Minute), Exclusive: true, Hostname: "elsewhere", PID: 4711}
	if _, err := p.r.saveLock(t.Context(), stale); err != nil {
		t.Fatal(err)
	}
	p.refused("backup", ".")
	p.j.run(t, "unlock")
	p.j.run(t, "backup", ".")
}

// And restic's keep us out.
func TestLocksOfRestic(t *testing.T) {
	t.Parallel()
	p := newLockPair(t)
	// A backup that waits for its input holds a shared lock.
	cmd := p.j.command(t, "backup", "--stdin")
	holdRestic(t, p.j, cmd, func() {
		if _, err := p.r.Lock(t.Context(), true, p.opt); !lockedBy(err, cmd, false) {
			t.Errorf("exclusive beside a backup: %v", err)
		}
		p.held(false, func() {})
	})
	// A check holds an exclusive one.
	cmd = p.j.command(t, "check")
	holdRestic(t, p.j, cmd, func() {
		if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		for _, exclusive := range []bool{false, true} {
			if _, err := p.r.Lock(t.Context(), exclusive, p.opt); !lockedBy(err, cmd, true) {
				t.Errorf("beside a check: %v", err)
			}
		}
		if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	})
	p.held(true, func() {})

	// The lock of a restic that was killed is stale at once, on its computer.
	cmd = p.j.command(t, "backup", "--stdin")
	holdRestic(t, p.j, cmd, func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
	})
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if n, err := p.r.Unlock(t.Context(), UnlockOptions{Hostname: host, Now: time.Now()}); n != 1 || err != nil {
		t.Errorf("unlock removed %d, %v, want the dead restic's", n, err)
	}
	p.held(true, func() {})
	checkClean(t, p.r.be)
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
