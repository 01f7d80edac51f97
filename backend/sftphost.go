package backend

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"russet/internal/durable"
)

// A HostKeyError says that a server showed a host key that the files of known hosts do not vouch for. Nothing was sent to
// it.
type HostKeyError struct {
	Type        string // of the key shown, such as "ssh-ed25519"
	Fingerprint string // of the key shown, as ssh writes it: "SHA256:" and base64
	Changed     bool   // another key is known for this host, or this one is revoked
}

// Error is one sentence, without the name of the host.
func (e *HostKeyError) Error() string {
	if e.Changed {
		return fmt.Sprintf("check the host key: the server shows another one than the known one, %s %s", e.Type, e.Fingerprint)
	}
	return fmt.Sprintf("check the host key: none is known of this server, which shows %s %s", e.Type, e.Fingerprint)
}

// hostKeys are what files of known hosts say.
type hostKeys struct {
	check       ssh.HostKeyCallback
	authorities bool // there are keys that sign the host keys of others
}

// readHostKeys reads files of known hosts, as sshd(8) describes them. Those that are not there are left out.
func readHostKeys(files []string) (hostKeys, error) {
	var k hostKeys
	var there []string
	for _, name := range files {
		authorities, err := holdsAuthority(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return k, fmt.Errorf("read known hosts: %w", durable.WithoutPath(err))
		}
		there = append(there, name)
		k.authorities = k.authorities || authorities
	}
	check, err := knownhosts.New(there...)
	if err != nil {
		return k, fmt.Errorf("read known hosts: %s: %w", lineOf(err, there), fs.ErrInvalid)
	}
	k.check = check
	return k, nil
}

// lineOf leaves of an error of package knownhosts the number of the line and what is wrong with it.
func lineOf(err error, files []string) string {
	for _, name := range files {
		if rest, ok := strings.CutPrefix(err.Error(), "knownhosts: "+name+":"); ok {
			return "line " + rest
		}
	}
	return "a file of them cannot be read"
}

func holdsAuthority(name string) (bool, error) {
	f, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if strings.HasPrefix(strings.TrimSpace(lines.Text()), "@cert-authority") {
			return true, nil
		}
	}
	return false, lines.Err()
}

// algorithms are those in which a host, as host:port, may prove itself: of the types of the keys that are known of it,
// since a server that has several keys would else show one that nobody has seen. nil is any type.
func (k hostKeys) algorithms(address string) []string {
	supported := ssh.SupportedAlgorithms().HostKeys
	isCertificate := func(algorithm string) bool { return strings.Contains(algorithm, "-cert-v01@") }
	known, _ := errors.AsType[*knownhosts.KeyError](k.check(address, &net.TCPAddr{}, noKey{}))
	var types []string
	if known != nil {
		for _, want := range known.Want {
			types = append(types, want.Key.Type())
		}
	}
	return slices.DeleteFunc(supported, func(algorithm string) bool {
		if isCertificate(algorithm) {
			return !k.authorities
		}
		format := algorithm
		if algorithm == ssh.KeyAlgoRSASHA256 || algorithm == ssh.KeyAlgoRSASHA512 {
			format = ssh.KeyAlgoRSA
		}
		return len(types) > 0 && !slices.Contains(types, format)
	})
}

// verify is an ssh.HostKeyCallback.
func (k hostKeys) verify(address string, remote net.Addr, key ssh.PublicKey) error {
	err := k.check(address, remote, key)
	if err == nil {
		return nil
	}
	shown := &HostKeyError{Type: key.Type(), Fingerprint: ssh.FingerprintSHA256(key)}
	if unknown, ok := errors.AsType[*knownhosts.KeyError](err); ok {
		shown.Changed = len(unknown.Want) > 0
	}
	if _, ok := errors.AsType[*knownhosts.RevokedError](err); ok {
		shown.Changed = true
	}
	return shown
}

// noKey is a key that no host has.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return nil }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.ErrUnsupported }
