package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"russet/backend"
	"russet/offsite"
	"russet/repo"
)

// copyPlanMessage is what a copy is going to do.
type copyPlanMessage struct {
	MessageType string   `json:"message_type" doc:"\"plan\""`
	Snapshots   []string `json:"snapshots" doc:"the ids of those to be copied"`
	Kept        int      `json:"snapshots_kept" doc:"that were copied before"`
	Blobs       int      `json:"blobs" doc:"that the other repository lacks"`
	Bytes       int64    `json:"bytes" doc:"of those, as they are stored"`
	Found       int      `json:"blobs_found" doc:"that a copy which was cut off has brought there"`
	Lost        int      `json:"snapshots_lost" doc:"that are not whole: new ones are not copied, and copies that have lost something are not healed"`
}

// copyMessage sums a copy up.
type copyMessage struct {
	MessageType   string  `json:"message_type" doc:"\"summary\""`
	Snapshots     int     `json:"snapshots" doc:"that were copied"`
	Lost          int     `json:"snapshots_lost" doc:"that are not whole: new ones were not copied, and copies that have lost something were not healed"`
	Blobs         int     `json:"blobs" doc:"that were copied"`
	Bytes         int64   `json:"bytes" doc:"of those, as they are stored"`
	TotalDuration float64 `json:"total_duration" doc:"seconds"`
}

func (p *program) copyVerb() *cli.Command {
	return &cli.Command{
		Name:      "copy",
		Category:  groupCopy,
		Usage:     "copy snapshots into a second, independent repository",
		ArgsUsage: "[SNAPSHOT...]",
		UsageText: "russet init -r /media/second/repo --from-repo /media/drive/repo --copy-chunker-params  # once\n" +
			"russet copy -r /media/drive/repo --to /media/second/repo\n" +
			"russet copy -r /media/drive/repo --to /media/second/repo latest\n" +
			"russet copy -r /media/second/repo --from-repo /media/drive/repo     # the same, as restic spells it",
		Description: "The second repository has its own password and key: what is stolen, forgotten or damaged of\n" +
			"one does not touch the other, and each is pruned by itself. Only what it lacks is copied, and\n" +
			"every piece is checked on the way. A copy that is cut off may be run again, and goes on where\n" +
			"it was. Without SNAPSHOT all snapshots are copied, newest first; those that were copied\n" +
			"before, by restic too, are left out, but for what has been lost there since. So is what the\n" +
			"repository remembers of its offsite copies.\n" +
			"\n" +
			"Make the second repository with --copy-chunker-params: files are then cut at the same places,\n" +
			"and later backups into either of them share content with the copies.",
		Flags: append(append([]cli.Flag{
			&cli.StringFlag{Name: "to", Usage: "the repository to copy to: a `FOLDER`, or an address"},
			&cli.StringFlag{Name: "to-password-file", Usage: "read the password of that repository from `FILE`"},
			&cli.StringFlag{Name: "to-password-command", Usage: "take the password of that repository from what `COMMAND` prints"},
			planFlag(),
		}, fromFlags()...), readFlags()...),
		Action: p.copyAction,
	}
}

// copyAction opens and locks both repositories: the one to copy from first.
func (p *program) copyAction(c *cli.Context) error {
	source, target, err := p.copyPlaces(c)
	if err != nil {
		return err
	}
	return p.withPlace(c.Context, c, source, lockRead, func(ctx context.Context, from *repo.Repository) error {
		opened := false
		err := p.withPlace(ctx, c, target, lockShared, func(ctx context.Context, to *repo.Repository) error {
			opened = true
			err := p.copy(ctx, c, from, to)
			if backend.IsFull(err) { // only there is anything written
				err = fmt.Errorf("copy to %s: %w", target, err)
			}
			return err
		})
		if !opened && errors.Is(err, backend.ErrNoRepository) {
			err = situation{err, errNoTarget}
		}
		return err
	})
}

// copyPlaces says from where to where: --repo is the one, and the second one
// the other.
func (p *program) copyPlaces(c *cli.Context) (source, target place, err error) {
	own, err := p.mainPlace(c)
	if err != nil {
		return source, target, err
	}
	from, err := p.secondPlace(c, fromNames)
	if err != nil {
		return source, target, err
	}
	to, err := p.secondPlace(c, toNames)
	if err != nil {
		return source, target, err
	}
	fromFlag, toFlag := c.IsSet("from-repo") || c.IsSet("from-repository-file"), c.IsSet("to")
	switch { // a flag counts more than the environment
	case toFlag && !fromFlag:
		from = place{}
	case fromFlag && !toFlag:
		to = place{}
	}
	switch {
	case from.address != "" && to.address != "":
		return source, target, usageError{"--to and --from-repo are both given; which one is meant?"}
	case from.address != "":
		return from, own, nil
	case to.address != "":
		return own, to, nil
	}
	return source, target, usageError{"copy wants to know a second repository: --to, or --from-repo"}
}

func (p *program) copy(ctx context.Context, c *cli.Context, from, to *repo.Repository) error {
	p.warnOfCuts(from, to)
	snaps, damaged := p.toBeCopied(ctx, c, from)
	if damaged != nil && (c.NArg() > 0 || !errors.Is(damaged, repo.ErrDamaged)) {
		return damaged
	}
	plan, err := repo.PlanCopy(ctx, from, to, snaps)
	if err != nil {
		return err
	}
	if err := p.showCopyPlan(plan, c.Bool("plan")); err != nil || c.Bool("plan") {
		return errors.Join(err, damaged)
	}
	start := time.Now()
	res, err := p.applyCopy(ctx, to, plan)
	if err != nil && !errors.Is(err, repo.ErrDamaged) {
		return err
	}
	return errors.Join(err, damaged, p.showCopy(res, time.Since(start)))
}

// applyCopy carries a plan out.
func (p *program) applyCopy(ctx context.Context, to *repo.Repository, plan *repo.CopyPlan) (repo.CopyResult, error) {
	_, _ = to.CleanTemporary(ctx) // what a killed run left takes up space, and does no other harm
	counted := new(repo.Progress)
	show := p.startProgress(func() progress { return progressOf(counted.State()) })
	defer show.stop()
	return plan.Apply(ctx, counted)
}

// warnOfCuts says where two repositories cut files at different places.
func (p *program) warnOfCuts(from, to *repo.Repository) {
	if from.Polynomial() != to.Polynomial() {
		p.warn("the two repositories cut files at different places: backups into one share nothing with copies from the other " +
			"(a new one made with --copy-chunker-params would)")
	}
}

// toBeCopied lists the snapshots that are named, or all but the states of offsite copies.
func (p *program) toBeCopied(ctx context.Context, c *cli.Context, from *repo.Repository) ([]*repo.Snapshot, error) {
	if c.NArg() == 0 {
		all, damaged := from.AllSnapshots(ctx)
		return slices.DeleteFunc(all, offsite.OfCopy), badSnapshot(damaged)
	}
	return p.namedSnapshots(ctx, from, c.Args().Slice())
}

func (p *program) showCopyPlan(plan *repo.CopyPlan, planOnly bool) error {
	m := copyPlanMessage{"plan", []string{}, plan.Kept, plan.Blobs, plan.Bytes, plan.Found, len(plan.Lost)}
	for _, s := range plan.Snapshots {
		m.Snapshots = append(m.Snapshots, s.ID().String())
	}
	return p.showPlan(plan, m, planOnly)
}

func (p *program) showCopy(res repo.CopyResult, took time.Duration) error {
	switch {
	case p.json:
		return p.emit(copyMessage{"summary", res.Snapshots, len(res.Lost), res.DataBlobs + res.TreeBlobs, res.AddedPacked, took.Seconds()})
	case p.quiet:
		return nil
	}
	var text strings.Builder
	fmt.Fprintf(&text, "copied %s, %s in %s\n", plural(res.Snapshots, "snapshot"), size(res.AddedPacked), duration(took))
	for _, err := range res.Lost {
		fmt.Fprintf(&text, "not whole: %s\n", visible(err.Error()))
	}
	_, err := fmt.Fprint(p.stdout, text.String())
	return err
}
