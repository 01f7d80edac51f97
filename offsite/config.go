package offsite

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"russet/chunk"
	"russet/repo"
)

// Kind says what a copy is.
type Kind string

// The kinds of copies.
const (
	Twin   Kind = "twin"   // an independent repository, with a key of its own
	Mirror Kind = "mirror" // the same files, which the source's passwords open
)

// Config is what a person chose for a copy. It holds no secrets.
type Config struct {
	Name    string `json:"name"` // of a-z, 0-9, _ and -, at most 64
	Kind    Kind   `json:"kind"`
	Address string `json:"address"` // without password
	// Repository is the id of the copy: another one at its address is not written to.
	Repository chunk.ID `json:"repository"`
	// Last, if above 0, is how many snapshots of each device are wanted, the newest
	// ones; Devices, if any, those whose UDID begins so; Tags, if any, those that have
	// one of them. A mirror is of all.
	Last    int      `json:"last,omitempty"`
	Devices []string `json:"devices,omitempty"`
	Tags    []string `json:"tags,omitempty"`
}

const (
	maxText = 4096 // bytes of each text
	maxList = 1000 // devices, and tags
)

// Validate says what is wrong with a configuration.
func (c *Config) Validate() error {
	bad := func(text string) error { return errors.New("configuration of an offsite copy: " + text) }
	switch {
	case c.Name == "" || len(c.Name) > 64 || strings.Trim(c.Name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != "":
		return bad("a name has 1 to 64 characters of a-z, 0-9, _ and -")
	case c.Kind != Twin && c.Kind != Mirror:
		return bad("unknown kind of copy")
	case c.Address == "":
		return bad("there is no address")
	case holdsPassword(c.Address):
		return bad("an address must not hold a password")
	case c.Last < 0:
		return bad("a negative number of snapshots")
	case c.Kind == Mirror && (c.Last > 0 || len(c.Devices) > 0 || len(c.Tags) > 0):
		return bad("a mirror is of all snapshots")
	case len(c.Devices) > maxList || len(c.Tags) > maxList:
		return bad("too many devices or tags")
	}
	for _, s := range slices.Concat([]string{c.Address}, c.Devices, c.Tags) {
		if len(s) > maxText {
			return bad("a text is too long")
		}
	}
	return nil
}

var (
	// rcloneSetting finds the settings that rclone takes within an address, but for
	// switches: "remote,NAME=VALUE:path", or ":type,NAME=VALUE:path".
	rcloneSetting = regexp.MustCompile(`,(\w+)=(?:(?:true|false)\b)?([^,:]?)`)
	// secretSetting are the names of those that hold secrets, of all its kinds of storage.
	secretSetting = regexp.MustCompile(`(?i)pass|secret|token|key|auth|cred|sas|cookie|header`)
)

// holdsPassword tells whether there is a password in an address: between its "//" and
// the "@" before its host, or in a setting of rclone's. That of a folder may hold
// anything.
func holdsPassword(address string) bool {
	if remote, ok := strings.CutPrefix(address, "rclone:"); ok {
		for _, m := range rcloneSetting.FindAllStringSubmatch(remote, -1) {
			if m[2] != "" && secretSetting.MatchString(m[1]) && !strings.HasSuffix(m[1], "_file") {
				return true
			}
		}
	}
	_, rest, ok := strings.Cut(address, "//")
	if scheme, _, found := strings.Cut(address, ":"); !ok || !found || strings.ContainsAny(scheme, `/\`) {
		return false
	}
	host, _, _ := strings.Cut(rest, "/")
	at := strings.LastIndex(host, "@")
	return at >= 0 && strings.Contains(host[:at], ":")
}

// String says in a line what the copy is.
func (c *Config) String() string {
	text := fmt.Sprintf("%s: %s at %s", c.Name, c.Kind, c.Address)
	var of []string
	if c.Last > 0 {
		of = append(of, fmt.Sprintf("the newest %d of each device", c.Last))
	}
	if len(c.Devices) > 0 {
		of = append(of, "of "+strings.Join(c.Devices, ", "))
	}
	if len(c.Tags) > 0 {
		of = append(of, "tagged "+strings.Join(c.Tags, ", "))
	}
	if len(of) > 0 {
		text += " (" + strings.Join(of, ", ") + ")"
	}
	return text
}

// Choose returns those of the source's snapshots that the copy is to have, oldest
// first. State of other kinds is among them whatever is wanted, the newest of each;
// that of copies never is.
func (c *Config) Choose(all []*repo.Snapshot) []*repo.Snapshot {
	all = slices.Clone(all)
	repo.SortSnapshots(all)
	var chosen []*repo.Snapshot
	count := map[string]int{}
	for _, s := range slices.Backward(all) {
		if OfCopy(s) {
			continue
		}
		group := strings.Join(s.Paths, "\x00")
		most := c.Last
		if isState(s) && c.Kind == Twin {
			most = 1
		} else if !c.wants(s) {
			continue
		}
		if count[group]++; most == 0 || count[group] <= most {
			chosen = append(chosen, s)
		}
	}
	slices.Reverse(chosen)
	return chosen
}

// OfCopy tells snapshots that hold the state of a copy. They say of the repository in
// which they lie what is elsewhere, and belong in no other one.
func OfCopy(s *repo.Snapshot) bool {
	_, own := s.StateName(stateKind)
	return own
}

// isState tells snapshots that hold state of any kind, known or not.
func isState(s *repo.Snapshot) bool {
	return len(s.Paths) == 1 && strings.HasPrefix(s.Paths[0], "/russet-")
}

// wants tells whether a device's snapshot is of the devices and tags that are wanted.
func (c *Config) wants(s *repo.Snapshot) bool {
	of := func(device string) bool {
		return slices.ContainsFunc(s.Paths, func(p string) bool {
			return strings.HasPrefix(strings.ToLower(p), "/"+strings.ToLower(device))
		})
	}
	return (len(c.Devices) == 0 || slices.ContainsFunc(c.Devices, of)) &&
		(len(c.Tags) == 0 || slices.ContainsFunc(c.Tags, s.HasTag))
}
