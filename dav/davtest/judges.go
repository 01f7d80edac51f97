package davtest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"russet/dav"
)

// Program is a server by somebody else that runs beside the test. Its
// collections are empty at first.
type Program struct {
	URL            string // without a path
	book, calendar string
}

// Book returns the URL of the address book.
func (p *Program) Book() string { return p.URL + p.book }

// Calendar returns the URL of the calendar, which takes events and to-dos.
func (p *Program) Calendar() string { return p.URL + p.calendar }

// Options returns those of the server's user, which wait for nothing.
func (p *Program) Options() dav.Options { return options() }

// Radicale starts Debian's radicale on loopback, or skips the test. It ends with
// the test.
func Radicale(t testing.TB) *Program {
	program := judge(t, "radicale")
	dir := dataFolder(t)
	for path, props := range map[string]string{
		"people": `{"tag": "VADDRESSBOOK", "D:displayname": "People"}`,
		"home":   `{"tag": "VCALENDAR", "D:displayname": "Home", "C:supported-calendar-component-set": "VEVENT,VTODO"}`,
	} {
		write(t, filepath.Join(dir, "data", "collection-root", User, path, ".Radicale.props"), props)
	}
	users, config := filepath.Join(dir, "users"), filepath.Join(dir, "config")
	write(t, users, User+":"+Password+"\n")
	return started(t, dir, func(port int) *exec.Cmd {
		write(t, config, fmt.Sprintf(`[server]
hosts = 127.0.0.1:%d
[auth]
type = htpasswd
htpasswd_filename = %s
htpasswd_encryption = plain
delay = 0
[storage]
filesystem_folder = %s
[web]
type = none
`, port, users, filepath.Join(dir, "data")))
		return exec.CommandContext(t.Context(), program, "--config", config)
	}, Program{book: "/" + User + "/people/", calendar: "/" + User + "/home/"})
}

// Xandikos starts Debian's xandikos on loopback, or skips the test. It ends with
// the test. It asks nobody for a password.
func Xandikos(t testing.TB) *Program {
	program := judge(t, "xandikos")
	dir := dataFolder(t)
	return started(t, dir, func(port int) *exec.Cmd {
		return exec.CommandContext(t.Context(), program, "-d", filepath.Join(dir, "data"), "--defaults",
			"--current-user-principal", "/"+User+"/", "-l", "127.0.0.1", "-p", strconv.Itoa(port))
	}, Program{book: "/" + User + "/contacts/addressbook/", calendar: "/" + User + "/calendars/calendar/"})
}

// judge returns the path of a program, or skips the test.
func judge(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skip("judge missing: " + name)
	}
	return path
}

// dataFolder returns a folder in memory where there is one: the servers write
// through to the disk with each item.
func dataFolder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "davtest")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// started starts a server on a port that is free, and waits until it takes
// connections. Where another program takes the port first, it is tried again.
func started(t testing.TB, dir string, command func(port int) *exec.Cmd, p Program) *Program {
	t.Helper()
	const tries = 3
	for range tries {
		port := freePort(t)
		cmd := command(port)
		log, err := os.Create(filepath.Join(dir, "log"))
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			_ = cmd.Wait() // it is killed
			_ = log.Close()
			close(ended)
		}()
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if ready(address, ended) {
			t.Cleanup(func() {
				_ = cmd.Process.Kill() // it may have ended
				<-ended
			})
			p.URL = "http://" + address
			return &p
		}
		_ = cmd.Process.Kill() // it may have ended
		<-ended
	}
	said, _ := os.ReadFile(filepath.Join(dir, "log"))
	t.Fatalf("the server does not start: %s", said)
	return nil
}

// freePort returns a port that nobody listens on. It is none of those that a system gives
// away itself, or another test's server might get it meanwhile, and answer.
func freePort(t testing.TB) int {
	t.Helper()
	const first, count, tries = 12_000, 18_000, 100
	for range tries {
		port := first + rand.IntN(count)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

// ready waits for a server to take connections; false where it ended, or took none
// for long.
func ready(address string, ended <-chan struct{}) bool {
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
