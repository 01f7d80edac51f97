package backendtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// An S3Server is versitygw, a server of S3 by somebody else, on loopback. Its buckets are folders. It knows one user.
type S3Server struct {
	Host      string // with the port
	AccessKey string
	SecretKey string

	t       testing.TB
	program string
	folder  string
	cmd     *exec.Cmd // nil while it is stopped
	ended   chan struct{}
}

// VersityGW starts versitygw, or skips the test where scripts/judges.sh has not installed it: cache tells the folder for
// that, as os.UserCacheDir does. It ends with the test. Buckets may have versions and object locks.
func VersityGW(t testing.TB, cache func() (string, error)) *S3Server {
	t.Helper()
	s := &S3Server{
		AccessKey: "AKRUSSETTEST", SecretKey: "secret-of-russets-tests",
		t: t, program: versityGW(t, cache), folder: t.TempDir(),
	}
	for _, name := range []string{"buckets", "versions"} {
		if err := os.Mkdir(filepath.Join(s.folder, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(s.Stop)
	const tries = 3 // another program may take the port first
	for range tries {
		s.Host = freeAddress(t)
		if s.start() {
			return s
		}
	}
	said, _ := os.ReadFile(filepath.Join(s.folder, "log"))
	if strings.Contains(string(said), "xattr") {
		t.Skip("not here: a drive that keeps extended attributes, which versitygw needs")
	}
	t.Fatalf("versitygw does not start: %s", said)
	return nil
}

func versityGW(t testing.TB, cache func() (string, error)) string {
	t.Helper()
	if path, err := exec.LookPath("versitygw"); err == nil {
		return path
	}
	folder, err := cache()
	name := filepath.Join(folder, "russet-judges", "versitygw", "versitygw")
	if err == nil {
		_, err = os.Stat(name)
	}
	if err != nil {
		t.Skip("judge missing: versitygw")
	}
	return name
}

// Address returns that of a bucket, or of a place below a prefix in one.
func (s *S3Server) Address(bucket string) string { return "s3:http://" + s.Host + "/" + bucket }

// Folder returns where a bucket's objects lie as files.
func (s *S3Server) Folder(bucket string) string { return filepath.Join(s.folder, "buckets", bucket) }

// Stop kills the server: connections break, and new ones are refused.
func (s *S3Server) Stop() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // it may have ended
	<-s.ended
	s.cmd = nil
}

// Restart starts the server again after Stop, at the same address, with all that it has stored.
func (s *S3Server) Restart() {
	s.t.Helper()
	if !s.start() {
		s.t.Fatal("versitygw does not start again")
	}
}

// start returns false where the program ends at once.
func (s *S3Server) start() bool {
	s.t.Helper()
	log, err := os.OpenFile(filepath.Join(s.folder, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(s.t.Context()), s.program, "--port", s.Host, "--keep-alive", "posix",
		"--versioning-dir", filepath.Join(s.folder, "versions"), filepath.Join(s.folder, "buckets"))
	cmd.Env = []string{"ROOT_ACCESS_KEY=" + s.AccessKey, "ROOT_SECRET_KEY=" + s.SecretKey}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is killed
		_ = log.Close()
		close(ended)
	}()
	s.cmd, s.ended = cmd, ended
	if !answers(s.Host, s.ended) {
		s.Stop()
		return false
	}
	return true
}

// freeAddress returns one on loopback on which nobody listens. Its port is none of those that a system gives
// away itself, or another test's server might get it meanwhile, and answer.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 12_000+rand.IntN(18_000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

// answers waits until a server takes connections; false where it ended, or took none for long.
func answers(address string, ended <-chan struct{}) bool {
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := net.Dial("tcp", address); err == nil {
			_ = c.Close()
			return true
		}
		select {
		case <-ended:
			return false
		case <-deadline.C:
			return false
		case <-tick.C:
		}
	}
}
