package backend

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strings"

	"github.com/kevinburke/ssh_config"

	"russet/internal/durable"
)

// An sftpTarget is a server as it is reached: what the address, the files of ssh_config and the options say of it
// together.
type sftpTarget struct {
	user, host, port string
	known            string // the host and port that known hosts have it under
	keyFiles         []string
	knownHosts       []string
	agent            string // the agent's socket; empty is none
	identitiesOnly   bool
}

// address is the server's, for dialling.
func (t sftpTarget) address() string { return net.JoinHostPort(t.host, t.port) }

// maxJumps is more servers than anybody goes through.
const maxJumps = 8

// route gives the servers on the way to the one of an address, which is the last.
func (o SFTPOptions) route(a sftpAddress) ([]sftpTarget, error) {
	configs, err := o.readConfigs()
	if err != nil {
		return nil, err
	}
	last := o.target(configs, a)
	if via := configs.get(a.host, "ProxyCommand"); via != "" && via != "none" {
		return nil, fmt.Errorf("reach the server: ssh_config has a ProxyCommand for it, which the program ssh alone runs: %w", errors.ErrUnsupported)
	}
	var route []sftpTarget
	if via := configs.get(a.host, "ProxyJump"); via != "" && via != "none" {
		jumps := strings.Split(via, ",")
		if len(jumps) > maxJumps {
			return nil, fmt.Errorf("reach the server: ssh_config leads through %d others: %w", len(jumps), fs.ErrInvalid)
		}
		for _, jump := range jumps {
			// A folder makes an address of it.
			at, err := parseSFTP("//" + strings.TrimPrefix(strings.TrimSpace(jump), "ssh://") + "/")
			if err != nil {
				return nil, fmt.Errorf("read ProxyJump in ssh_config: %w", err)
			}
			route = append(route, o.target(configs, at))
		}
	}
	return append(route, last), nil
}

// target says how one server is reached. What the address says comes first, then ssh_config, then the options.
func (o SFTPOptions) target(configs sshConfigs, a sftpAddress) sftpTarget {
	first := func(values ...string) string {
		for _, v := range values {
			if v != "" {
				return v
			}
		}
		return ""
	}
	t := sftpTarget{
		user:           first(a.user, configs.get(a.host, "User"), o.User),
		port:           first(a.port, configs.get(a.host, "Port"), "22"),
		host:           first(strings.NewReplacer("%%", "%", "%h", a.host).Replace(configs.get(a.host, "HostName")), a.host),
		keyFiles:       o.KeyFiles,
		knownHosts:     o.KnownHosts,
		agent:          o.AgentSocket,
		identitiesOnly: strings.EqualFold(configs.get(a.host, "IdentitiesOnly"), "yes"),
	}
	t.known = t.address()
	if alias := configs.get(a.host, "HostKeyAlias"); alias != "" {
		t.known = net.JoinHostPort(alias, "22") // which stands for itself there, whatever the port is
	}
	// The tokens of ssh_config(5) that name files.
	expand := strings.NewReplacer("%%", "%", "%d", o.Home, "%u", o.User, "%h", t.host, "%n", a.host, "%p", t.port, "%r", t.user)
	file := func(name string) string {
		name = expand.Replace(strings.Trim(name, `"`))
		if below, ok := strings.CutPrefix(name, "~/"); ok {
			return filepath.Join(o.Home, below)
		}
		return name
	}
	if names := configs.all(a.host, "IdentityFile"); len(names) > 0 {
		t.keyFiles = nil
		for _, name := range names {
			t.keyFiles = append(t.keyFiles, file(name))
		}
	}
	if names := configs.get(a.host, "UserKnownHostsFile"); names != "" {
		t.knownHosts = nil
		for name := range strings.FieldsSeq(names) {
			t.knownHosts = append(t.knownHosts, file(name))
		}
	}
	switch socket := configs.get(a.host, "IdentityAgent"); socket {
	case "", "SSH_AUTH_SOCK":
	case "none":
		t.agent = ""
	default:
		t.agent = file(socket)
	}
	return t
}

// sshConfigs are files of ssh_config; the first value counts.
type sshConfigs []*ssh_config.Config

// readConfigs reads the files that are there.
func (o SFTPOptions) readConfigs() (sshConfigs, error) {
	var configs sshConfigs
	for _, name := range o.Config {
		text, err := readSmall(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var config *ssh_config.Config
		if err == nil {
			config, err = ssh_config.DecodeBytes(text)
		}
		if err != nil {
			return nil, fmt.Errorf("read ssh_config: %w", durable.WithoutPath(err))
		}
		configs = append(configs, config)
	}
	return configs, nil
}

func (c sshConfigs) get(host, key string) string {
	for _, config := range c {
		if value, err := config.Get(host, key); err == nil && value != "" {
			return value
		}
	}
	return ""
}

func (c sshConfigs) all(host, key string) (values []string) {
	for _, config := range c {
		found, _ := config.GetAll(host, key) // what it cannot give, it does not have
		values = append(values, found...)
	}
	return values
}
