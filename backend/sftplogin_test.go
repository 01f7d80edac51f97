package backend_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"russet/backend"
	"russet/backend/backendtest"
)

func TestSFTPHostKeys(t *testing.T) {
	t.Parallel()
	s := backendtest.StartSSHD(t)
	folder := aRepository(t)
	text, err := os.ReadFile(filepath.Join(s.Folder, "host.pub"))
	if err != nil {
		t.Fatal(err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		t.Fatal(err)
	}
	wantRefused := func(what string, o backend.Options, changed bool) {
		t.Helper()
		_, err := tryOpen(t, s, folder, o)
		got, ok := errors.AsType[*backend.HostKeyError](err)
		if !ok || backend.IsTemporary(err) {
			t.Fatalf("%s: got %v, want a HostKeyError", what, err)
		}
		want := backend.HostKeyError{Type: "ssh-ed25519", Fingerprint: ssh.FingerprintSHA256(key), Changed: changed}
		if *got != want || !strings.Contains(err.Error(), want.Fingerprint) {
			t.Errorf("%s: got %+v, want %+v", what, *got, want)
		}
	}
	o := s.Options()
	o.SFTP.KnownHosts = []string{filepath.Join(s.Folder, "none")}
	wantRefused("no known hosts", o, false)
	o.SFTP.KnownHosts = append(o.SFTP.KnownHosts, s.KnownHosts)
	openSFTP(t, s, folder, o)

	other := filepath.Join(s.Folder, "other")
	backendtest.NewSSHKey(t, other, "ed25519", "")
	s.Trust(t, other+".pub")
	wantRefused("another key", s.Options(), true)

	revoked := "@revoked * " + string(text) + "[" + s.Host + "]:" + s.Port + " " + string(text)
	writeFile(t, s.KnownHosts, revoked)
	wantRefused("a revoked key", s.Options(), true)

	writeFile(t, s.KnownHosts, "\n"+s.Host+" what is this\n")
	if _, err := tryOpen(t, s, folder, s.Options()); !errors.Is(err, fs.ErrInvalid) || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("a broken file: got %v, want %v with the line", err, fs.ErrInvalid)
	}
}

// TestSFTPHostKeyTypes has a server with two host keys, of which only the one it would not show by itself is known.
func TestSFTPHostKeyTypes(t *testing.T) {
	t.Parallel()
	second := filepath.Join(t.TempDir(), "rsa")
	backendtest.NewSSHKey(t, second, "rsa:2048", "")
	s := backendtest.StartSSHD(t, "HostKey "+second)
	folder := aRepository(t)
	openSFTP(t, s, folder, s.Options())
	s.Trust(t, second+".pub")
	openSFTP(t, s, folder, s.Options())

	third := filepath.Join(t.TempDir(), "ecdsa")
	backendtest.NewSSHKey(t, third, "ecdsa", "")
	s.Trust(t, third+".pub")
	if _, err := tryOpen(t, s, folder, s.Options()); !errors.Is(err, fs.ErrPermission) || backend.IsTemporary(err) {
		t.Errorf("a type of key that the server does not have: got %v, want %v", err, fs.ErrPermission)
	}
}

// TestSFTPAuthority knows the key alone that has signed the server's.
func TestSFTPAuthority(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	authority, host := filepath.Join(folder, "ca"), filepath.Join(folder, "host")
	backendtest.NewSSHKey(t, authority, "ed25519", "")
	backendtest.NewSSHKey(t, host, "ed25519", "")
	backendtest.SignSSHKey(t, authority, host+".pub", "127.0.0.1")
	s := backendtest.StartSSHD(t, "HostKey "+host, "HostCertificate "+host+"-cert.pub")
	public, err := os.ReadFile(authority + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, s.KnownHosts, "@cert-authority ["+s.Host+"]:"+s.Port+" "+string(public))
	openSFTP(t, s, aRepository(t), s.Options())
	writeFile(t, s.KnownHosts, "@cert-authority [other]:"+s.Port+" "+string(public))
	if _, err := tryOpen(t, s, aRepository(t), s.Options()); !isHostKeyError(err) {
		t.Errorf("an authority for another host: got %v, want a HostKeyError", err)
	}
}

func isHostKeyError(err error) bool {
	_, ok := errors.AsType[*backend.HostKeyError](err)
	return ok
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSFTPWrongKey(t *testing.T) {
	t.Parallel()
	s := backendtest.StartSSHD(t)
	folder := aRepository(t)
	stranger := filepath.Join(s.Folder, "stranger")
	backendtest.NewSSHKey(t, stranger, "ed25519", "")
	broken := filepath.Join(s.Folder, "broken")
	writeFile(t, broken, "no key")
	for _, files := range [][]string{nil, {stranger}, {broken, filepath.Join(s.Folder, "none")}} {
		o := s.Options()
		o.SFTP.KeyFiles = files
		if _, err := tryOpen(t, s, folder, o); !errors.Is(err, fs.ErrPermission) || backend.IsTemporary(err) {
			t.Errorf("%d keys: got %v, want %v", len(files), err, fs.ErrPermission)
		}
	}
	o := s.Options()
	o.SFTP.KeyFiles = []string{broken, stranger, s.KeyFile}
	openSFTP(t, s, folder, o)
}

// TestSFTPPassphrase has keys of each form that hides the private key.
func TestSFTPPassphrase(t *testing.T) {
	t.Parallel()
	s := backendtest.StartSSHD(t)
	folder := aRepository(t)
	for _, kind := range []string{"ed25519", "rsa:2048"} {
		file := filepath.Join(s.Folder, strings.TrimSuffix(kind, ":2048")+"-locked")
		backendtest.NewSSHKey(t, file, kind, "a passphrase")
		asked := 0
		o := s.Options()
		o.SFTP.KeyFiles = []string{file}
		answer, problem := "wrong", error(nil)
		o.SFTP.Passphrase = func(_ context.Context, name string) ([]byte, error) {
			asked++
			if name != file {
				t.Errorf("asked for the passphrase of %s, want %s", name, file)
			}
			return []byte(answer), problem
		}
		if _, err := tryOpen(t, s, folder, o); asked > 0 || !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s, which the server does not take: asked %d times, %v, want 0 and %v", kind, asked, err, fs.ErrPermission)
		}
		s.Allow(t, file+".pub")
		if _, err := tryOpen(t, s, folder, o); asked != 1 || !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "passphrase") {
			t.Errorf("%s: asked %d times, %v, want 1 and %v", kind, asked, err, fs.ErrPermission)
		}
		problem = errors.ErrUnsupported
		if _, err := tryOpen(t, s, folder, o); !errors.Is(err, problem) {
			t.Errorf("%s: got %v, want what the question failed with", kind, err)
		}
		answer, problem, asked = "a passphrase", nil, 0
		b := openSFTP(t, s, folder, o)
		s.Cut()
		for range 2 { // the first one may still meet the lost connection
			_, _ = backendtest.Read(t.Context(), b, backend.File{})
		}
		if got, err := backendtest.Read(t.Context(), b, backend.File{}); err != nil || string(got) != "config" || asked != 1 {
			t.Errorf("%s, on a new connection: got %q, %v, asked %d times, want 1", kind, got, err, asked)
		}
		o.SFTP.Passphrase = nil
		if _, err := tryOpen(t, s, folder, o); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s without passphrase: got %v, want %v", kind, err, fs.ErrPermission)
		}
	}
}

// startAgent keeps the key that a server takes, after others.
func startAgent(t *testing.T, s *backendtest.SSHD, others int) (socket string) {
	t.Helper()
	keyring := agent.NewKeyring()
	add := func(file string) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		key, err := ssh.ParseRawPrivateKey(text)
		if err == nil {
			err = keyring.Add(agent.AddedKey{PrivateKey: key})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range others {
		file := filepath.Join(t.TempDir(), "key"+string(rune('0'+i)))
		backendtest.NewSSHKey(t, file, "ed25519", "")
		add(file)
	}
	add(s.KeyFile)
	folder, err := os.MkdirTemp("", "agent") // the path of a socket has a hundred bytes at most
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	l, err := net.Listen("unix", filepath.Join(folder, "s"))
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
			go func() {
				defer conn.Close()
				_ = agent.ServeAgent(keyring, conn)
			}()
		}
	}()
	return l.Addr().String()
}

func TestSFTPAgent(t *testing.T) {
	t.Parallel()
	s := backendtest.StartSSHD(t, "MaxAuthTries 3")
	folder := aRepository(t)
	o := s.Options()
	o.SFTP.KeyFiles = nil
	o.SFTP.AgentSocket = startAgent(t, s, 1)
	openSFTP(t, s, folder, o)

	// With more keys than the server tries, the one that is named must come first.
	o.SFTP.AgentSocket = startAgent(t, s, 4)
	if _, err := tryOpen(t, s, folder, o); !errors.Is(err, fs.ErrPermission) || backend.IsTemporary(err) {
		t.Errorf("too many keys: got %v, want %v", err, fs.ErrPermission)
	}
	o.SFTP.KeyFiles = []string{s.KeyFile}
	openSFTP(t, s, folder, o)

	stranger, config := filepath.Join(s.Folder, "stranger"), filepath.Join(s.Folder, "ssh_config")
	backendtest.NewSSHKey(t, stranger, "ed25519", "")
	o.SFTP.KeyFiles = []string{stranger}
	o.SFTP.AgentSocket = startAgent(t, s, 0)
	openSFTP(t, s, folder, o)
	o.SFTP.Config = []string{config}
	for _, text := range []string{"IdentitiesOnly yes\n", "IdentityAgent none\n"} {
		writeFile(t, config, text)
		if _, err := tryOpen(t, s, folder, o); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: got %v, want %v", text, err, fs.ErrPermission)
		}
	}

	o = s.Options()
	o.SFTP.AgentSocket = filepath.Join(s.Folder, "none")
	openSFTP(t, s, folder, o)
}

func TestSFTPConfig(t *testing.T) {
	t.Parallel()
	s := backendtest.StartSSHD(t)
	folder := aRepository(t)
	config := filepath.Join(s.Folder, "ssh_config")
	o := backend.Options{SFTP: backend.SFTPOptions{User: "nobody", Home: s.Folder, Config: []string{filepath.Join(s.Folder, "none"), config}}}
	server := "HostName " + s.Host + "\nPort " + s.Port + "\nUser " + s.User + "\nUserKnownHostsFile ~/none ~/known_hosts\nIdentityFile %d/none\nIdentityFile ~/user\n"
	for _, c := range []struct{ name, text string }{
		{"a name", "Host nas\n" + server},
		{"a pattern and a default", "Host *\n  IdentitiesOnly yes\nHost other n?s !nasty\n" + server},
		{"another name of the key", "Host nas\nHostKeyAlias thenas\n" + strings.ReplaceAll(server, "~/known_hosts", "~/alias")},
		{"a server on the way", "Host nas\nProxyJump none\nHost nas way\n" + server},
		{"through a server on the way", "Host nas\nProxyJump way\nHost nas way\n" + server},
		{"through two", "Host nas\nProxyJump way," + s.User + "@nas2:" + s.Port + "\nHost nas nas2 way\n" + server},
	} {
		alias, err := os.ReadFile(filepath.Join(s.Folder, "host.pub"))
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(s.Folder, "alias"), "thenas "+string(alias))
		writeFile(t, config, c.text)
		before := s.Accepted()
		b, err := backend.OpenSFTP(t.Context(), "nas:"+folder, o, false)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		closeLater(t, b)
		want := 1 + strings.Count(c.text, "ProxyJump way") + strings.Count(c.text, ",")
		if got := s.Accepted() - before; got != want {
			t.Errorf("%s: got %d connections, want %d", c.name, got, want)
		}
	}
	for _, c := range []struct {
		text string
		want error
	}{
		{"Host nas\nProxyCommand nc %h %p\n" + server, errors.ErrUnsupported},
		{"Host nas\nProxyJump -oX=y\n" + server, fs.ErrInvalid},
		{"Host nas\nProxyJump a,a,a,a,a,a,a,a,a\n" + server, fs.ErrInvalid},
		{"Host nas\n" + strings.ReplaceAll(server, "~/user", "~/none"), fs.ErrPermission},
	} {
		writeFile(t, config, c.text)
		if _, err := backend.OpenSFTP(t.Context(), "nas:"+folder, o, false); !errors.Is(err, c.want) {
			t.Errorf("%.40q: got %v, want %v", c.text, err, c.want)
		}
	}
}
