package backendtest

import (
	"bufio"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// A RcloneServer is an `rclone serve restic` on loopback.
type RcloneServer struct {
	Remote     string // what it serves, as rclone spells it: a folder, or ":memory:"
	AppendOnly bool
	User       string // wanted from clients, unless it is empty
	Password   string
}

// rcloneServes matches what rclone says when it listens.
var rcloneServes = regexp.MustCompile(`restic REST API on (http://[^ ]*/)`)

// Start starts the server, which ends with the test, and returns its address, as "http://127.0.0.1:PORT/". Without rclone
// the test is skipped.
func (s RcloneServer) Start(t testing.TB) string {
	t.Helper()
	rclone := Rclone(t)
	args := []string{"serve", "restic", "--addr", "127.0.0.1:0", s.Remote}
	if s.AppendOnly {
		args = append(args, "--append-only")
	}
	cmd := exec.CommandContext(t.Context(), rclone, args...)
	// In the environment, since anybody may read the list of processes. There is no such file, so no remote has a name.
	// What it remembers of a list would hide what a folder holds now: it lists files there that are not whole.
	cmd.Env = append(cmd.Environ(), "RCLONE_CONFIG="+filepath.Join(t.TempDir(), "none"), "RCLONE_CACHE_OBJECTS=false",
		"RCLONE_USER="+s.User, "RCLONE_PASS="+s.Password)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	found := make(chan string, 1)
	said := make(chan struct{})
	go func() {
		defer close(said)
		defer close(found)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			if m := rcloneServes.FindStringSubmatch(lines.Text()); m != nil {
				found <- m[1]
				break
			}
		}
		_, _ = io.Copy(io.Discard, stderr)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-said
		_ = cmd.Wait() // it was killed
	})
	address, ok := <-found
	if !ok {
		t.Fatal("rclone serve restic does not listen")
	}
	return address
}

// Rclone returns the path of rclone, without which the test is skipped.
func Rclone(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("rclone")
	if err != nil {
		t.Skip("judge missing: rclone")
	}
	return path
}
