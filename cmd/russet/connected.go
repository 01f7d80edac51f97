package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"russet/device"
)

// What a verb that wants a phone may find.
var (
	errNoPhone    = errors.New("no phone is connected")
	errOtherPhone = errors.New("not connected")
)

// patience is how often a phone is asked again while its person has something
// to do, and for how long.
type patience struct{ every, atMost time.Duration }

// usualPatience leaves time to find the phone and type a passcode.
var usualPatience = patience{1500 * time.Millisecond, 5 * time.Minute}

// muxFlag is that of verbs that speak to phones.
func muxFlag() cli.Flag {
	return &cli.StringFlag{Name: "usbmuxd", Usage: "the `ADDRESS` of usbmuxd, where it is not the usual one: HOST:PORT or UNIX:PATH"}
}

// mux is the muxer that a verb speaks to.
func (p *program) mux(c *cli.Context) (*device.Mux, error) {
	address := c.String("usbmuxd")
	if address == "" {
		address = p.env("USBMUXD_SOCKET_ADDRESS")
	}
	return device.OpenMux(address)
}

// onePhone finds the phone that a verb's only argument names; without one it
// is the only one that is connected.
func (p *program) onePhone(c *cli.Context) (*device.Phone, error) {
	if c.NArg() > 1 {
		return nil, usageError{c.Command.Name + " wants one UDID at most"}
	}
	m, err := p.mux(c)
	if err != nil {
		return nil, err
	}
	return findPhone(c.Context, m, c.Args().First())
}

// findPhone finds the phone with a UDID, or a prefix of one that is enough, or
// the only phone.
func findPhone(ctx context.Context, m *device.Mux, udid string) (*device.Phone, error) {
	found, err := findPhones(ctx, m, udid)
	if err != nil {
		return nil, err
	}
	if len(found) > 1 {
		return nil, usageError{"which phone? " + listUDIDs(found) + " are connected"}
	}
	return m.Open(ctx, found[0].UDID)
}

// findPhones lists the phones whose UDID begins so, at least one.
func findPhones(ctx context.Context, m *device.Mux, udid string) ([]device.Device, error) {
	all, err := m.Devices(ctx)
	if err != nil {
		return nil, err
	}
	found := slices.DeleteFunc(slices.Clone(all), func(d device.Device) bool { return !hasUDIDPrefix(d.UDID, udid) })
	switch {
	case len(found) > 0:
		return found, nil
	case len(all) == 0:
		return nil, errNoPhone
	}
	return nil, fmt.Errorf("phone %s is %w; connected: %s", udid, errOtherPhone, listUDIDs(all))
}

// listUDIDs names phones in a sentence.
func listUDIDs(devices []device.Device) string {
	var names []string
	for _, d := range devices {
		names = append(names, d.UDID)
	}
	return strings.Join(names, ", ")
}

// hasUDIDPrefix compares as people type: case and dashes do not matter.
func hasUDIDPrefix(udid, prefix string) bool {
	return strings.HasPrefix(plainUDID(udid), plainUDID(prefix))
}

func plainUDID(s string) string { return strings.ToLower(strings.ReplaceAll(s, "-", "")) }

// untilAnswered asks a phone again and again while its person has something to
// do, and says what that is. It gives up when its patience ends.
func (p *program) untilAnswered(ctx context.Context, ask func(context.Context) error) error {
	tick := time.NewTicker(p.patience.every)
	defer tick.Stop()
	said := ""
	var since time.Time // it was first said
	for {
		err := ask(ctx)
		todo := whatToDo(err)
		if since.IsZero() {
			since = time.Now()
		}
		if todo == "" || time.Since(since) > p.patience.atMost {
			return err
		}
		if todo != said {
			p.warn("%s", todo)
			said = todo
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// whatToDo says what a person has to do at the phone; it is empty for errors
// that nobody there can mend.
func whatToDo(err error) string {
	switch {
	case errors.Is(err, device.PasswordProtected), errors.Is(err, device.EscrowLocked):
		return "the phone is locked: unlock it, and leave it unlocked"
	case errors.Is(err, device.TrustPending):
		return "the phone asks whether to trust this computer: tap Trust there, and enter its passcode"
	}
	return ""
}
