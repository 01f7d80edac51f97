package main

import (
	"context"
	"path/filepath"
	"runtime"

	"github.com/zalando/go-keyring"

	"russet/backend"
)

// keyNames are the names under which ssh looks for keys in its folder.
var keyNames = []string{"id_ed25519", "id_ecdsa", "id_ed25519_sk", "id_ecdsa_sk", "id_rsa"}

// readSSH takes what the program ssh takes: the files in the user's folder and the
// computer's own, and the agent.
func (p *program) readSSH(o *backend.SFTPOptions) {
	o.User, o.AgentSocket, o.Stderr = userName(), p.env("SSH_AUTH_SOCK"), p.console
	system := "/etc/ssh"
	if runtime.GOOS == "windows" {
		system = filepath.Join(p.env("ProgramData"), "ssh")
	}
	if o.Home = homeFolder(p.env); o.Home != "" {
		own := filepath.Join(o.Home, ".ssh")
		o.Config = append(o.Config, filepath.Join(own, "config"))
		o.KnownHosts = append(o.KnownHosts, filepath.Join(own, "known_hosts"), filepath.Join(own, "known_hosts2"))
		for _, name := range keyNames {
			o.KeyFiles = append(o.KeyFiles, filepath.Join(own, name))
		}
	}
	o.Config = append(o.Config, filepath.Join(system, "ssh_config"))
	o.KnownHosts = append(o.KnownHosts, filepath.Join(system, "ssh_known_hosts"))
}

// useSSH has the login asked where a server takes no key without: for the
// passphrase of a key, or the user's password.
func (l *login) useSSH(p *program, o *backend.SFTPOptions) {
	if l.user != "" {
		o.User = l.user
	}
	if !l.password.given() {
		// A computer without a keyring, or without this entry, has the other ways.
		l.password.value, _ = keyring.Get(keyringService, l.name())
	}
	if !l.password.given() && !p.hasTerminal() {
		return
	}
	read := func(ctx context.Context, label string) (secret []byte, err error) {
		l.text, err = l.password.read(ctx, p, label)
		return []byte(l.text), err
	}
	o.Passphrase = func(ctx context.Context, keyFile string) ([]byte, error) {
		return read(ctx, "passphrase of the key "+visible(keyFile))
	}
	o.Password = func(ctx context.Context) ([]byte, error) {
		return read(ctx, "password for "+visible(l.name()))
	}
}
