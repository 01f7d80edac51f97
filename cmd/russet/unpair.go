package main

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

func (p *program) unpairVerb() *cli.Command {
	return &cli.Command{
		Name:      "unpair",
		Category:  groupPhone,
		Usage:     "make a phone and this computer forget each other",
		ArgsUsage: "[UDID]",
		UsageText: "russet unpair 00008020",
		Description: "The phone forgets this computer, and usbmuxd the phone. Snapshots stay what they are.\n" +
			"Without a UDID it is the only phone that is connected; the beginning of one is enough.",
		Flags: []cli.Flag{muxFlag()},
		Action: func(c *cli.Context) error {
			ph, err := p.onePhone(c)
			if err != nil {
				return err
			}
			if err := ph.Unpair(c.Context); err != nil {
				return fmt.Errorf("unpair from %s: %w", ph.UDID(), err)
			}
			return p.showPairing(c.Context, ph, false, "is no longer paired with this computer")
		},
	}
}
