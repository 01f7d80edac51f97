package reconcile

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"russet/merge"
	"russet/records"
)

// Config is what a person chose for a sync. It holds no secrets: they are asked
// for in every run.
type Config struct {
	Name string       `json:"name"` // of a-z, 0-9, _ and -, at most 64
	Kind records.Kind `json:"kind"`
	// Device is the UDID of the phone that is the source; "" where Source is a
	// collection.
	Device string `json:"device,omitempty"`
	// Containers are the IDs of the containers that are taken; nil: those that their
	// own Synced says.
	Containers []string `json:"containers,omitempty"`
	// Source and Target are collections: carddav: or caldav: and a URL without
	// password, or folder: and its name.
	Source string `json:"source,omitempty"`
	Target string `json:"target"`
	// SourceUser and User are the names by which servers know the person.
	SourceUser string       `json:"source_user,omitempty"`
	User       string       `json:"user,omitempty"`
	Mode       merge.Mode   `json:"mode"`
	Choice     merge.Choice `json:"choice"`
	// SameServer pushes also what the phone itself syncs with the target's server,
	// which makes two of each there.
	SameServer bool `json:"same_server,omitempty"`
}

const maxConfigText = 4096 // bytes of each text

// Validate says what is wrong with a configuration.
func (c *Config) Validate() error {
	bad := func(text string) error { return errors.New("configuration of a sync: " + text) }
	switch {
	case c.Name == "" || len(c.Name) > 64 || strings.Trim(c.Name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != "":
		return bad("a name has 1 to 64 characters of a-z, 0-9, _ and -")
	case !slices.Contains([]records.Kind{records.Contacts, records.Calendar, records.Reminders}, c.Kind):
		return bad("unknown kind of records")
	case (c.Device == "") == (c.Source == ""):
		return bad("the source is a device or a collection")
	case c.Target == "":
		return bad("there is no target")
	case c.Target == c.Source:
		return bad("source and target are the same collection")
	case !slices.Contains([]merge.Mode{merge.Safe, merge.Mirror, merge.TwoWay}, c.Mode):
		return bad("unknown mode")
	case !slices.Contains([]merge.Choice{merge.Ask, merge.SourceWins, merge.TargetWins, merge.KeepBoth}, c.Choice):
		return bad("unknown choice in conflicts")
	case c.Mode == merge.TwoWay && c.Device != "":
		return bad("a phone cannot be written to, so its sync goes one way")
	}
	for _, s := range slices.Concat([]string{c.Device, c.Source, c.Target, c.SourceUser, c.User}, c.Containers) {
		if len(s) > maxConfigText {
			return bad("a text is too long")
		}
	}
	for _, s := range []string{c.Source, c.Target} {
		if u, err := address(s); err == nil && u.User != nil {
			if _, secret := u.User.Password(); secret {
				return bad("an address must not hold a password")
			}
		}
	}
	return nil
}

// address is the URL of a collection, without the sort of collection that stands
// before it.
func address(place string) (*url.URL, error) {
	u, err := url.Parse(place)
	if err == nil && u.Opaque != "" {
		return url.Parse(u.Opaque)
	}
	return u, err
}

// sameServer tells whether a container that the phone syncs with host is at the
// target's server already.
func (c *Config) sameServer(host string) bool {
	u, err := address(c.Target)
	if err != nil || host == "" || u.Hostname() == "" {
		return false
	}
	a, b := strings.ToLower(host), strings.ToLower(u.Hostname())
	below := func(a, b string) bool { return a == b || strings.HasSuffix(a, "."+b) }
	const cloud = "icloud.com" // an account of which lives on a host with a number in its name
	return below(a, b) || below(b, a) || below(a, cloud) && below(b, cloud)
}

// policy is how the sync plans.
func (c *Config) policy() merge.Policy { return merge.Policy{Mode: c.Mode, Choice: c.Choice} }

// String says in a line what the sync does.
func (c *Config) String() string {
	from, arrow := c.Source, "->"
	if c.Device != "" {
		from = "device " + c.Device
	}
	if c.Mode == merge.TwoWay {
		arrow = "<->"
	}
	return fmt.Sprintf("%s: %s of %s %s %s (%s, %s)", c.Name, c.Kind, from, arrow, c.Target, c.Mode, c.Choice)
}
