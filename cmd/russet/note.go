package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"russet/repo"
)

// maxNote bounds a note in bytes: snapshots are read by every verb.
const maxNote = 4 << 10

func (p *program) noteVerb() *cli.Command {
	return &cli.Command{
		Name:      "note",
		Category:  groupCare,
		Usage:     "write a note on a snapshot",
		ArgsUsage: "SNAPSHOT TEXT",
		UsageText: "russet note latest \"before the repair\"\n" +
			"russet note 1a2b3c4d \"\"                  # takes the note away",
		Description: "The note is shown by russet snapshots. A snapshot has one at most: a new one takes the\n" +
			"place of the old. It is kept as the tag note=…, in which %, commas and what cannot be\n" +
			"printed are written as %25, %2C and so on. The snapshot's id changes.",
		Flags: planFlags(),
		Action: func(c *cli.Context) error {
			if c.NArg() != 2 {
				return usageError{"note wants a snapshot and a text; quote the text if it holds spaces"}
			}
			text := strings.TrimSpace(c.Args().Get(1))
			if len(text) > maxNote {
				return usageError{fmt.Sprintf("the note is longer than %s", size(maxNote))}
			}
			return p.changeTags(c, c.Args().Slice()[:1], func(tags []string) []string { return repo.WithNote(tags, text) })
		},
	}
}
