package backendtest

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"russet/backend"
)

// An SSHD is OpenSSH's server on loopback, for one user, who logs in with a key. The test listens, and starts sshd for
// each connection, so that it is there at once and can be cut off and come back.
type SSHD struct {
	Host, Port string
	User       string
	Folder     string // holds what follows
	KeyFile    string // a private key that may log in, with KeyFile.pub beside it
	KnownHosts string // a file with the server's host key

	program  string
	log      *os.File
	mu       sync.Mutex // guards what follows
	listener net.Listener
	open     []*net.TCPConn
	accepted int
	running  sync.WaitGroup
}

// StartSSHD starts a server with more lines of sshd_config, which go before its own. The test is skipped where sshd is not
// installed. The server ends with the test.
func StartSSHD(t testing.TB, config ...string) *SSHD {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s := &SSHD{Host: "127.0.0.1", User: me.Username, Folder: t.TempDir(), program: sshProgram(t, "sshd")}
	s.KeyFile, s.KnownHosts = filepath.Join(s.Folder, "user"), filepath.Join(s.Folder, "known_hosts")
	if os.Geteuid() == 0 { // sshd wants it, and what starts services makes it
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	host := filepath.Join(s.Folder, "host")
	NewSSHKey(t, host, "ed25519", "")
	NewSSHKey(t, s.KeyFile, "ed25519", "")
	public := readFile(t, s.KeyFile+".pub")
	writeFile(t, filepath.Join(s.Folder, "authorized_keys"), public)
	if !slices.ContainsFunc(config, func(line string) bool { return strings.HasPrefix(line, "Subsystem ") }) {
		config = append(config, "Subsystem sftp internal-sftp")
	}
	writeFile(t, filepath.Join(s.Folder, "sshd_config"), strings.Join(append(config,
		"HostKey "+host, "AuthorizedKeysFile "+filepath.Join(s.Folder, "authorized_keys"), "PermitRootLogin yes",
		"PasswordAuthentication no", "KbdInteractiveAuthentication no", "StrictModes no", "UsePAM no", "PidFile none",
		"LogLevel ERROR", ""), "\n"))
	if s.log, err = os.Create(filepath.Join(s.Folder, "log")); err != nil {
		t.Fatal(err)
	}
	s.Start(t)
	s.Trust(t, "")
	t.Cleanup(func() {
		s.Stop()
		s.running.Wait()
		if err := s.log.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("sshd says:\n%s", readFile(t, s.log.Name()))
		}
	})
	return s
}

// NewSSHKey makes a private key, and its public one beside it. bits may follow the type of the key after a colon.
func NewSSHKey(t testing.TB, name, kind, passphrase string) {
	t.Helper()
	kind, bits, _ := strings.Cut(kind, ":")
	args := []string{"-q", "-t", kind, "-N", passphrase, "-a", "1", "-C", "", "-f", name}
	if bits != "" {
		args = append(args, "-b", bits)
	}
	keygen(t, args...)
}

// SignSSHKey signs the public key of a host with an authority's private one; the certificate lies beside it, in -cert.pub.
func SignSSHKey(t testing.TB, authority, public, host string) {
	t.Helper()
	keygen(t, "-q", "-s", authority, "-I", host, "-h", "-n", host, public)
}

func keygen(t testing.TB, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), sshProgram(t, "ssh-keygen"), args...).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
}

// sshProgram finds a program of OpenSSH; sshd does not run under a path that is not absolute.
func sshProgram(t testing.TB, name string) string {
	t.Helper()
	for _, place := range []string{name, filepath.Join("/usr/sbin", name)} {
		if path, err := exec.LookPath(place); err == nil && filepath.IsAbs(path) {
			return path
		}
	}
	t.Skip("judge missing: " + name)
	return ""
}

func readFile(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func writeFile(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Trust writes the known hosts: the server with the public key in a file, "" for its own.
func (s *SSHD) Trust(t testing.TB, public string) {
	t.Helper()
	key := readFile(t, cmp.Or(public, filepath.Join(s.Folder, "host.pub")))
	writeFile(t, s.KnownHosts, fmt.Sprintf("[%s]:%s %s", s.Host, s.Port, key))
}

// Allow lets one more key log in, given as the file of a public key.
func (s *SSHD) Allow(t testing.TB, public string) {
	t.Helper()
	name := filepath.Join(s.Folder, "authorized_keys")
	writeFile(t, name, readFile(t, name)+readFile(t, public))
}

// Address gives that of a folder on the server, which is one of this computer.
func (s *SSHD) Address(folder string) string {
	return fmt.Sprintf("sftp://%s@%s:%s/%s", s.User, s.Host, s.Port, folder)
}

// Options are those that reach it.
func (s *SSHD) Options() backend.Options {
	return backend.Options{SFTP: backend.SFTPOptions{KeyFiles: []string{s.KeyFile}, KnownHosts: []string{s.KnownHosts}}}
}

// Command is the program ssh with what makes it speak SFTP with the server.
func (s *SSHD) Command() []string {
	return []string{
		"ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "UserKnownHostsFile=" + s.KnownHosts,
		"-i", s.KeyFile, "-p", s.Port, s.User + "@" + s.Host, "-s", "sftp",
	}
}

// Start lets connections come again after Stop, at the same port.
func (s *SSHD) Start(t testing.TB) {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(s.Host, cmp.Or(s.Port, "0")))
	if err != nil {
		t.Fatal(err)
	}
	_, s.Port, _ = net.SplitHostPort(l.Addr().String())
	s.mu.Lock()
	s.listener = l
	s.mu.Unlock()
	s.running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.running.Go(func() { s.serve(conn.(*net.TCPConn)) })
		}
	})
}

// serve gives one connection to a process of its own.
func (s *SSHD) serve(conn *net.TCPConn) {
	defer conn.Close()
	s.mu.Lock()
	s.open = append(s.open, conn)
	s.accepted++
	s.mu.Unlock()
	socket, err := conn.File()
	if err != nil {
		return
	}
	defer socket.Close()
	process := exec.Command(s.program, "-i", "-e", "-f", filepath.Join(s.Folder, "sshd_config"))
	process.Stdin, process.Stdout, process.Stderr = socket, socket, s.log
	_ = process.Run() // what is wrong is in the log
}

// Cut cuts all connections.
func (s *SSHD) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conn := range s.open {
		_, _ = conn.CloseRead(), conn.CloseWrite() // for sshd too, which has the same socket
	}
	s.open = nil
}

// Stop cuts all connections and takes no more.
func (s *SSHD) Stop() {
	s.mu.Lock()
	_ = s.listener.Close()
	s.mu.Unlock()
	s.Cut()
}

// Accepted is how many connections there were.
func (s *SSHD) Accepted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted
}
