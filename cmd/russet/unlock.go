package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"russet/repo"
)

// unlockMessage tells how many locks were removed.
type unlockMessage struct {
	MessageType string `json:"message_type" doc:"\"unlocked\""`
	Removed     int    `json:"removed" doc:"locks"`
	Cleaned     int    `json:"removed_unfinished" doc:"files that programs had begun when they were killed"`
}

func (p *program) unlockVerb() *cli.Command {
	return &cli.Command{
		Name:     "unlock",
		Category: groupCare,
		Usage:    "remove the locks that killed programs left behind",
		UsageText: "russet unlock -r /media/drive/repo\n" +
			"russet unlock -r /media/drive/repo --remove-all   # when you know that nobody uses it",
		Description: "Removes locks that are stale: older than 30 minutes, or of a program on this computer\n" +
			"that no longer runs. The locks are restic's, so this frees restic as well. A lock that\n" +
			"Russet itself left on this computer since it was started needs no unlock: the next verb\n" +
			"removes it (not on Windows). Files that a program had begun to write when it was killed\n" +
			"(NAME-tmp-…) are removed too, once they are older than a day; so they are by russet backup.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "remove-all", Usage: "remove every lock, those of running programs and unreadable ones too"},
		},
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			return p.withRepository(c, lockNone, func(ctx context.Context, r *repo.Repository) error {
				now := time.Now()
				n, err := r.Unlock(ctx, repo.UnlockOptions{
					All: c.Bool("remove-all"), Hostname: owner(now).Hostname, Boot: repo.ThisBoot(), Now: now,
					Kept: func(held *repo.LockedError) { p.note("left: %v", held) },
				})
				switch {
				case appendOnly(err):
					err = situation{err, errAppendOnly}
				case errors.Is(err, repo.ErrDamaged):
					err = situation{err, errBadLock}
				}
				if err != nil {
					return err
				}
				cleaned, err := r.CleanTemporary(ctx)
				if err != nil {
					return err
				}
				switch {
				case p.json:
					return p.emit(unlockMessage{"unlocked", n, cleaned})
				case p.quiet:
					return nil
				}
				text := fmt.Sprintf("removed %s\n", plural(n, "lock"))
				if cleaned > 0 {
					text += fmt.Sprintf("removed %s that killed programs had begun\n", plural(cleaned, "file"))
				}
				_, err = fmt.Fprint(p.stdout, text)
				return err
			})
		},
	}
}
