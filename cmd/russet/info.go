package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

func (p *program) infoVerb() *cli.Command {
	return &cli.Command{
		Name:      "info",
		Category:  groupPhone,
		Usage:     "say what a connected phone tells of itself",
		ArgsUsage: "[UDID]",
		UsageText: "russet info\n" +
			"russet info 00008020 --json",
		Description: "Asks one phone about itself, and whether it can be backed up as it is. A phone that is not\n" +
			"paired says little. Without a UDID it is the only phone that is connected; the beginning of\n" +
			"one is enough.",
		Flags: []cli.Flag{muxFlag()},
		Action: func(c *cli.Context) error {
			ph, err := p.onePhone(c)
			if err != nil {
				return err
			}
			m := deviceMessage{MessageType: "device", Device: ph.UDID()}
			if err := m.ask(c.Context, ph); err != nil {
				return fmt.Errorf("ask %s: %w", ph.UDID(), err)
			}
			if p.json {
				return p.emit(m)
			}
			_, err = fmt.Fprint(p.stdout, m.text())
			return err
		},
	}
}

// text is everything about a phone, a line each.
func (m *deviceMessage) text() string {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-13s %s\n", name+":", visible(value))
		}
	}
	line("name", m.Name)
	line("model", m.ProductType)
	line("iOS", strings.TrimSuffix(m.Version+" ("+m.Build+")", " ()"))
	line("UDID", m.Device)
	line("serial", m.Serial)
	line("connected by", m.Connection)
	line("paired", yesNo(m.Paired))
	line("locked", yesNo(m.Locked))
	line("encrypts", yesNo(m.Encrypts))
	if m.Capacity > 0 {
		line("storage", fmt.Sprintf("%s free of %s", size(m.Free), size(m.Capacity)))
	}
	if m.Paired != nil && !*m.Paired {
		fmt.Fprintln(&b, "It has to trust this computer before it can be backed up: russet pair")
	}
	if m.Encrypts != nil && !*m.Encrypts {
		fmt.Fprintln(&b, "Its backups are not encrypted, so they hold no passwords, Health data or call history.")
	}
	return b.String()
}
