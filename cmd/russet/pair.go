package main

import (
	"context"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"russet/device"
)

// pairingMessage says how a phone and this computer stand.
type pairingMessage struct {
	MessageType string `json:"message_type" doc:"\"pairing\""`
	Device      string `json:"udid" doc:"of the phone"`
	Name        string `json:"name,omitempty" doc:"the phone's, as far as it says"`
	Paired      bool   `json:"paired" doc:"the phone trusts this computer now"`
}

func (p *program) pairVerb() *cli.Command {
	return &cli.Command{
		Name:      "pair",
		Category:  groupPhone,
		Usage:     "ask a phone to trust this computer",
		ArgsUsage: "[UDID]",
		UsageText: "russet pair\n" +
			"russet pair 00008020",
		Description: "Asks the phone, by cable, and waits up to five minutes for the person who holds it: it\n" +
			"wants to be unlocked, then \"Trust\" to be tapped and the passcode to be entered. Whoever\n" +
			"has been trusted can read the phone from then on, so usbmuxd keeps the pairing in files\n" +
			"that only the system may read. A phone that is paired already is not asked again.\n" +
			"Without a UDID it is the only phone that is connected; the beginning of one is enough.",
		Flags: []cli.Flag{muxFlag()},
		Action: func(c *cli.Context) error {
			ph, err := p.onePhone(c)
			if err != nil {
				return err
			}
			if err := p.pair(c.Context, ph); err != nil {
				return err
			}
			return p.showPairing(c.Context, ph, true, "is paired with this computer")
		},
	}
}

// pair asks until the person has answered.
func (p *program) pair(ctx context.Context, ph *device.Phone) error {
	err := p.untilAnswered(ctx, func(ctx context.Context) error { return ph.Pair(ctx, time.Now()) })
	if err != nil {
		return fmt.Errorf("pair with %s: %w", ph.UDID(), err)
	}
	return nil
}

// showPairing prints how a phone and this computer stand.
func (p *program) showPairing(ctx context.Context, ph *device.Phone, paired bool, words string) error {
	m := pairingMessage{MessageType: "pairing", Device: ph.UDID(), Paired: paired}
	if f, err := ph.Facts(ctx); err == nil { // the name is for decoration
		m.Name = f.Name
	}
	switch {
	case p.json:
		return p.emit(m)
	case p.quiet:
		return nil
	}
	_, err := fmt.Fprintf(p.stdout, "%s %s\n", phoneName(m.Name, m.Device), words)
	return err
}

// phoneName is a phone as people know it.
func phoneName(name, udid string) string {
	if name == "" {
		return visible(udid)
	}
	return fmt.Sprintf("%s (%s)", visible(name), visible(udid))
}
