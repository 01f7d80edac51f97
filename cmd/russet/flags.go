package main

import (
	"github.com/urfave/cli/v2"
)

// globalFlags are those of every verb. What the environment may say instead
// stands in the table of env.go, which help and manual show beside them.
//
// The word in backquotes is the placeholder of the value; one with bars lists
// all values there are, and completion offers them.
func (p *program) globalFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "repo", Aliases: []string{"r"}, Usage: "the repository: a `FOLDER`, or an address as restic spells it (sftp:, s3:, rest:, rclone:)"},
		&cli.StringFlag{Name: "repository-file", Usage: "read the place of the repository from `FILE`"},
		&cli.StringFlag{Name: "password-file", Aliases: []string{"p"}, Usage: "read the repository's password from `FILE`"},
		&cli.StringFlag{Name: "password-command", Usage: "take the repository's password from what `COMMAND` prints"},
		&cli.DurationFlag{Name: "retry-lock", Usage: "wait up to `DURATION`, such as 30s or 2h, for others' locks"},
		&cli.BoolFlag{Name: "json", Usage: "print one JSON object a line, for programs"},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "no progress and no summaries"},
	}
}

// readFlags are those of verbs that only read the repository.
func readFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "no-lock", Usage: "take no lock, for a repository that cannot be written; nothing may prune it meanwhile"},
	}
}

// planFlags are those of verbs that change a repository and can show how: a plan
// alone can be had of one that cannot be written.
func planFlags() []cli.Flag {
	return []cli.Flag{
		planFlag(),
		&cli.BoolFlag{Name: "no-lock", Usage: "with --plan: take no lock, for a repository that cannot be written"},
	}
}

// planFlag is that of verbs that remove something, or write much. Its other names
// are restic's.
func planFlag() cli.Flag {
	return &cli.BoolFlag{Name: "plan", Aliases: []string{"dry-run", "n"}, Usage: "only show what would be done"}
}
