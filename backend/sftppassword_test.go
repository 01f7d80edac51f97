package backend_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io/fs"
	"net"
	"path/filepath"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"russet/backend"
)

// An sshServer is one in this process: it asks for a password, which sshd does only for real users, and its files are
// what the test makes of them.
type sshServer struct {
	address string // user@host:port
	options backend.Options
}

func startServer(t *testing.T, config *ssh.ServerConfig, serve func(channel ssh.Channel)) sshServer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	config.AddHostKey(signer)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serveSSH(conn, config, serve)
		}
	}()
	known := filepath.Join(t.TempDir(), "known_hosts")
	writeFile(t, known, knownhosts.Line([]string{l.Addr().String()}, signer.PublicKey())+"\n")
	s := sshServer{address: "//user@" + l.Addr().String() + "/"}
	s.options.SFTP.KnownHosts = []string{known}
	return s
}

// serveSSH offers SFTP alone, and ends with the connection.
func serveSSH(conn net.Conn, config *ssh.ServerConfig, serve func(channel ssh.Channel)) {
	defer conn.Close()
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for offered := range channels {
		channel, requests, err := offered.Accept()
		if err != nil {
			return
		}
		go func() {
			for r := range requests {
				_ = r.Reply(r.Type == "subsystem", nil)
			}
		}()
		go func() {
			defer channel.Close()
			serve(channel)
		}()
	}
}

// serveMemory has files of its own.
func serveMemory(channel ssh.Channel) {
	_ = sftp.NewRequestServer(channel, sftp.InMemHandler()).Serve()
}

func TestSFTPPassword(t *testing.T) {
	t.Parallel()
	check := func(given string) error {
		if given != "secret" {
			return errors.New("wrong")
		}
		return nil
	}
	password := &ssh.ServerConfig{PasswordCallback: func(_ ssh.ConnMetadata, given []byte) (*ssh.Permissions, error) {
		return nil, check(string(given))
	}}
	ask := func(questions []string, echos []bool) *ssh.ServerConfig {
		return &ssh.ServerConfig{KeyboardInteractiveCallback: func(_ ssh.ConnMetadata, client ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			answers, err := client("", "", questions, echos)
			if err != nil || len(answers) != len(questions) {
				return nil, errors.New("no answers")
			}
			if _, err := client("", "welcome", nil, nil); err != nil { // as PAM does
				return nil, err
			}
			return nil, check(answers[0])
		}}
	}
	endless := &ssh.ServerConfig{KeyboardInteractiveCallback: func(_ ssh.ConnMetadata, client ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
		for {
			if _, err := client("", "", []string{"Password: "}, []bool{false}); err != nil {
				return nil, err
			}
		}
	}}
	asking := errors.New("nobody is there")
	for _, c := range []struct {
		name   string
		config *ssh.ServerConfig
		given  string
		err    error
		want   error
	}{
		{"right", password, "secret", nil, backend.ErrNoRepository},
		{"wrong", password, "other", nil, fs.ErrPermission},
		{"none", password, "", asking, asking},
		{"asked for", ask([]string{"Password: "}, []bool{false}), "secret", nil, backend.ErrNoRepository},
		{"asked for, wrong", ask([]string{"Password: "}, []bool{false}), "other", nil, fs.ErrPermission},
		{"asked for without an end", endless, "secret", nil, fs.ErrPermission},
		{"shown", ask([]string{"Name: "}, []bool{true}), "secret", nil, errors.ErrUnsupported},
		{"with a code", ask([]string{"Password: ", "Code: "}, []bool{false, false}), "secret", nil, errors.ErrUnsupported},
	} {
		asked := 0
		s := startServer(t, c.config, serveMemory)
		o := s.options
		o.SFTP.Password = func(context.Context) ([]byte, error) {
			asked++
			return []byte(c.given), c.err
		}
		_, err := backend.OpenSFTP(t.Context(), s.address+"repo", o, false)
		if !errors.Is(err, c.want) || backend.IsTemporary(err) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
		if asked > 1 || asked == 0 && c.want != errors.ErrUnsupported {
			t.Errorf("%s: asked %d times", c.name, asked)
		}
		o.SFTP.Password = nil
		if _, err := backend.OpenSFTP(t.Context(), s.address+"repo", o, false); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s, nobody to ask: got %v, want %v", c.name, err, fs.ErrPermission)
		}
	}
}
