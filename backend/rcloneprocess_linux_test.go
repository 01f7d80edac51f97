package backend_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
)

// A shell runs a line in the place of rclone, with the remote as $0, and says which process that is.
type shell struct{ pid string }

func newShell(t *testing.T, line string) (shell, backend.Options) {
	t.Helper()
	s := shell{filepath.Join(t.TempDir(), "pid")}
	return s, backend.Options{Rclone: backend.RcloneOptions{
		Program: "sh",
		Args:    []string{"-c", "echo $$ >'" + s.pid + "'; " + line},
	}}
}

// process returns the id of the process that runs, or ran last.
func (s shell) process(t *testing.T) int {
	t.Helper()
	data, err := os.ReadFile(s.pid)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func (s shell) wantGone(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(s.process(t), 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the program still runs: %v", err)
	}
}

// rcloneLine runs rclone itself.
func rcloneLine(t *testing.T) string {
	return "exec " + backendtest.Rclone(t) + ` serve restic --stdio "$0"`
}

// TestRcloneProgram has programs that are not rclone, or not as they should be.
func TestRcloneProgram(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, line, want string }{
		{"dies", `echo usage; echo "2026/01/02 03:04:05 Failed to reach it" >&2; exit 1`, "start rclone: rclone has ended: Failed to reach it"},
		{"dies silently", "exit 1", "start rclone: rclone has ended"},
		{"speaks of a secret", "echo the password is x >&2", "start rclone: rclone has ended"},
		{"hangs", "exec sleep 1000", "start rclone: rclone does not answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, o := newShell(t, c.line)
			if c.name == "hangs" {
				o.Rclone.Timeout = 200 * time.Millisecond
			}
			_, err := backend.Open(t.Context(), "rclone:x", o)
			if err == nil || err.Error() != c.want || backend.IsTemporary(err) {
				t.Errorf("got %v, temporary: %t, want %s", err, backend.IsTemporary(err), c.want)
			}
			s.wantGone(t)
		})
	}
}

func TestRcloneCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s, o := newShell(t, "read line; exec sleep 1000")
	go func() { // once it runs
		for ctx.Err() == nil {
			if data, err := os.ReadFile(s.pid); err == nil && len(data) > 0 {
				cancel()
			}
		}
	}()
	if _, err := backend.Open(ctx, "rclone:x", o); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	s.wantGone(t)
}

// TestRcloneKilled kills rclone while several files are saved: what was reported saved is there, and the work goes on.
func TestRcloneKilled(t *testing.T) {
	t.Parallel()
	s, o := newShell(t, rcloneLine(t))
	b := createAt(t, "rclone:"+t.TempDir(), o)
	if group, err := syscall.Getpgid(s.process(t)); err != nil || group == syscall.Getpgrp() {
		t.Errorf("got process group %d, %v, which is ours: Ctrl-C would kill rclone", group, err)
	}
	saved := make(map[backend.File][]byte)
	for round := range 3 {
		pid := s.process(t)
		var saving sync.WaitGroup
		for i := range 4 {
			data := backendtest.Bytes(400_000, byte(4*round+i))
			f := backendtest.Named(backend.Data, data)
			saved[f] = data
			saving.Go(func() {
				if err := b.Save(t.Context(), f, data); err != nil {
					t.Error(err)
				}
			})
		}
		if round == 1 {
			_ = syscall.Kill(pid, syscall.SIGKILL) // at any moment of it
		}
		saving.Wait()
	}
	for f, data := range saved {
		got, err := backendtest.Read(t.Context(), b, f)
		if err != nil || string(got) != string(data) {
			t.Errorf("%s: got %d bytes, %v, want %d", f, len(got), err, len(data))
		}
	}
	if err := b.(io.Closer).Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	s.wantGone(t)
	if err := b.Remove(t.Context(), someFile()); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Remove after Close: got %v, want that it is closed", err)
	}
}

// TestRcloneFrozen stops rclone, so that it neither ends nor answers; one that is started in its place does not answer either.
func TestRcloneFrozen(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short: it waits for seconds")
	}
	started := filepath.Join(t.TempDir(), "started")
	s, o := newShell(t, "[ -e '"+started+"' ] && exec cat >/dev/null; : >'"+started+"'; "+rcloneLine(t))
	o.Network = backend.NetworkOptions{Retry: -1, Stall: 3 * time.Second}
	b := createAt(t, "rclone::memory:x", o)
	pid := s.process(t)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for isRunning(pid) {
	}
	if err := b.Remove(t.Context(), someFile()); !backend.IsTemporary(err) {
		t.Errorf("got %v, want an error that may pass", err)
	}
	_ = syscall.Kill(pid, syscall.SIGCONT) // it may have been killed
	if err := b.(io.Closer).Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	s.wantGone(t)
}

// isRunning reports whether a process is neither stopped nor gone.
func isRunning(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	_, state, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(state, "T")
}
