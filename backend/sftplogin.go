package backend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"slices"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// maxKeyFile is far more than the longest key takes.
const maxKeyFile = 1 << 20

// maxRoundsOfQuestions is more than a server needs that asks for a password, and asks thrice where it is wrong.
const maxRoundsOfQuestions = 10

// An sftpLogin proves who the user is, to one server: with keys of the agent, with those in files, with a password. What
// was asked for once is kept, so that a connection that was lost is made anew without asking. It may not be used
// concurrently.
type sftpLogin struct {
	options  SFTPOptions
	network  NetworkOptions
	target   sftpTarget
	hostKeys hostKeys
	password []byte
	unlocked map[string]ssh.Signer // by key file
	failed   error                 // why a secret could not be had
}

// methods are those of one connection. The agent is asked until close is called.
func (l *sftpLogin) methods(ctx context.Context) (methods []ssh.AuthMethod, closeAgent func()) {
	l.failed = nil
	keeper, closeAgent := l.agent(ctx)
	methods = append(methods, ssh.PublicKeysCallback(func() ([]ssh.Signer, error) {
		return l.signers(ctx, keeper), nil
	}))
	rounds := 0
	if l.options.Password != nil {
		methods = append(methods, ssh.PasswordCallback(func() (string, error) {
			password, err := l.askPassword(ctx)
			return string(password), err
		}), ssh.KeyboardInteractive(func(_, _ string, questions []string, echos []bool) ([]string, error) {
			if rounds++; rounds > maxRoundsOfQuestions {
				l.failed = fmt.Errorf("log in: the server asks again and again: %w", fs.ErrPermission)
				return nil, l.failed
			}
			return l.answer(ctx, questions, echos)
		}))
	}
	return methods, closeAgent
}

// agent connects to the agent, where there is one.
func (l *sftpLogin) agent(ctx context.Context) (keeper agent.ExtendedAgent, closeAgent func()) {
	if l.target.agent == "" {
		return nil, func() {}
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", l.target.agent)
	if err != nil {
		return nil, func() {} // as ssh does: there are other ways
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	return agent.NewClient(conn), func() {
		stop()
		_ = conn.Close()
	}
}

// signers gives the keys in ssh's order: those of the agent that stand in a key file too, its others, those in files.
func (l *sftpLogin) signers(ctx context.Context, keeper agent.ExtendedAgent) []ssh.Signer {
	var files []ssh.Signer
	for _, name := range l.target.keyFiles {
		if s := l.keyFile(ctx, name); s != nil {
			files = append(files, s)
		}
	}
	var kept []ssh.Signer
	if keeper != nil {
		kept, _ = keeper.Signers()
	}
	var first, others []ssh.Signer
	for _, s := range kept {
		if i := slices.IndexFunc(files, func(f ssh.Signer) bool { return sameKey(f, s) }); i >= 0 {
			first = append(first, s)
			files = slices.Delete(files, i, i+1)
		} else if !l.target.identitiesOnly {
			others = append(others, s)
		}
	}
	return slices.Concat(first, others, files)
}

func sameKey(a, b ssh.Signer) bool {
	return bytes.Equal(a.PublicKey().Marshal(), b.PublicKey().Marshal())
}

// keyFile reads a private key. One that is missing, or is none, gives nil, as with ssh. The passphrase of one that has
// one is asked for only when the server would take the key.
func (l *sftpLogin) keyFile(ctx context.Context, name string) ssh.Signer {
	if s := l.unlocked[name]; s != nil {
		return s
	}
	text, err := readSmall(name)
	if err != nil {
		return nil
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err == nil {
		return signer
	}
	missing, ok := errors.AsType[*ssh.PassphraseMissingError](err)
	if !ok || l.options.Passphrase == nil {
		return nil
	}
	public := missing.PublicKey
	if public == nil { // of an older form, which does not tell
		if text, err := readSmall(name + ".pub"); err == nil {
			public, _, _, _, _ = ssh.ParseAuthorizedKey(text)
		}
	}
	if public == nil {
		return nil
	}
	return &lockedKey{public, func() (ssh.Signer, error) { return l.unlock(ctx, name, text) }}
}

func (l *sftpLogin) unlock(ctx context.Context, name string, text []byte) (ssh.Signer, error) {
	var passphrase []byte
	var err error
	l.network.idle(func() { passphrase, err = l.options.Passphrase(ctx, name) })
	if err != nil {
		l.failed = fmt.Errorf("ask for the passphrase of a key: %w", err)
		return nil, l.failed
	}
	signer, err := ssh.ParsePrivateKeyWithPassphrase(text, passphrase)
	if err != nil {
		l.failed = fmt.Errorf("unlock a key: the passphrase is wrong: %w", fs.ErrPermission)
		return nil, l.failed
	}
	if l.unlocked == nil {
		l.unlocked = make(map[string]ssh.Signer)
	}
	l.unlocked[name] = signer
	return signer, nil
}

// askPassword asks once. A password that the server refused is not asked for again: what gives it may be a file.
func (l *sftpLogin) askPassword(ctx context.Context) ([]byte, error) {
	if l.password != nil {
		return l.password, nil
	}
	var password []byte
	var err error
	l.network.idle(func() { password, err = l.options.Password(ctx) })
	if err != nil {
		l.failed = fmt.Errorf("ask for the password of the server: %w", err)
		return nil, l.failed
	}
	l.password = password
	return password, nil
}

// answer gives the password where that alone is asked for, as servers do that have no other way.
func (l *sftpLogin) answer(ctx context.Context, questions []string, echos []bool) ([]string, error) {
	if len(questions) == 0 {
		return nil, nil
	}
	if len(questions) > 1 || echos[0] {
		l.failed = fmt.Errorf("log in: the server asks for more than a password: %w", errors.ErrUnsupported)
		return nil, l.failed
	}
	password, err := l.askPassword(ctx)
	return []string{string(password)}, err
}

// readSmall reads a file of the user's that should be short.
func readSmall(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err == nil && len(text) > maxKeyFile {
		err = fs.ErrInvalid
	}
	return text, err
}

// A lockedKey is unlocked when something is to be signed.
type lockedKey struct {
	public ssh.PublicKey
	unlock func() (ssh.Signer, error)
}

// PublicKey implements ssh.Signer.
func (k *lockedKey) PublicKey() ssh.PublicKey { return k.public }

// Sign implements ssh.Signer.
func (k *lockedKey) Sign(random io.Reader, data []byte) (*ssh.Signature, error) {
	return k.SignWithAlgorithm(random, data, "")
}

// SignWithAlgorithm implements ssh.AlgorithmSigner.
func (k *lockedKey) SignWithAlgorithm(random io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	signer, err := k.unlock()
	if err != nil {
		return nil, err
	}
	if s, ok := signer.(ssh.AlgorithmSigner); ok {
		return s.SignWithAlgorithm(random, data, algorithm)
	}
	return signer.Sign(random, data)
}
