package main

import (
	"github.com/urfave/cli/v2"

	"russet/repo"
)

func (p *program) unpinVerb() *cli.Command {
	return &cli.Command{
		Name:        "unpin",
		Category:    groupCare,
		Usage:       "take the pins off snapshots",
		ArgsUsage:   "SNAPSHOT...",
		UsageText:   "russet unpin 1a2b3c4d",
		Description: "The next forget treats them as it does others. A snapshot's id changes.",
		Flags:       planFlags(),
		Action: func(c *cli.Context) error {
			return p.changeTags(c, c.Args().Slice(), func(tags []string) []string {
				return removeTags(tags, []string{repo.TagPinned})
			})
		},
	}
}
