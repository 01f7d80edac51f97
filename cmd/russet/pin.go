package main

import (
	"github.com/urfave/cli/v2"

	"russet/repo"
)

func (p *program) pinVerb() *cli.Command {
	return &cli.Command{
		Name:      "pin",
		Category:  groupCare,
		Usage:     "have snapshots stay, whatever a policy says",
		ArgsUsage: "SNAPSHOT...",
		UsageText: "russet pin latest",
		Description: "A pinned snapshot has the tag pinned, and no forget removes it: neither by a policy nor,\n" +
			"without --pinned, by its name. Stock restic has to be told: --keep-tag pinned. The\n" +
			"snapshot's id changes.",
		Flags: planFlags(),
		Action: func(c *cli.Context) error {
			return p.changeTags(c, c.Args().Slice(), func(tags []string) []string {
				return addTags(tags, []string{repo.TagPinned})
			})
		},
	}
}
