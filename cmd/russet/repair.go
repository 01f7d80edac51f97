package main

import (
	"context"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"russet/repo"
)

// repairIndexPlanMessage is what a repair will make of the index.
type repairIndexPlanMessage struct {
	MessageType     string `json:"message_type" doc:"\"plan\""`
	Packs           int    `json:"packs" doc:"that the new index describes"`
	AddedPacks      int    `json:"added_packs" doc:"of these, packs that no index file describes now"`
	ChangedPacks    int    `json:"changed_packs" doc:"of these, packs that are described wrongly"`
	GonePacks       int    `json:"gone_packs" doc:"packs that the index describes and that are not there"`
	DamagedPacks    int    `json:"damaged_packs" doc:"packs that do not say what they hold; they are left as they are"`
	UnreadableFiles int    `json:"unreadable_files" doc:"index files that cannot be read, and are removed"`
	TwicePacks      int    `json:"twice_described_packs" doc:"packs that several index files describe"`
}

// repairIndexMessage is what a repair of the index did.
type repairIndexMessage struct {
	MessageType   string  `json:"message_type" doc:"\"summary\""`
	IndexWritten  int     `json:"index_files_written" doc:""`
	IndexRemoved  int     `json:"index_files_removed" doc:""`
	TotalDuration float64 `json:"total_duration" doc:"seconds"`
}

func (p *program) repairVerb() *cli.Command {
	return &cli.Command{
		Name:     "repair",
		Category: groupCare,
		Usage:    "mend a damaged repository",
		UsageText: "russet repair index -r /media/drive/repo --plan   # shows what would be done\n" +
			"russet repair index -r /media/drive/repo",
		ArgsUsage: "index",
		Description: "index: makes the index of what lies where anew, where index files are damaged or gone, name\n" +
			"packs that are gone, or do not name some that are there. Every pack says at its end what it\n" +
			"holds. Packs that the index describes with their right length are believed, unless\n" +
			"--read-all-packs is given. No pack is changed or removed.\n" +
			"\n" +
			"It holds the lock that keeps everybody else out.",
		Flags: []cli.Flag{
			planFlag(),
			&cli.BoolFlag{Name: "read-all-packs", Usage: "index: ask every pack what it holds, not only those that the index does not know"},
		},
		Action: func(c *cli.Context) error {
			switch {
			case c.NArg() == 0:
				return usageError{"what is to be repaired? russet repair index"}
			case c.NArg() > 1:
				return usageError{fmt.Sprintf("%q is one argument too many", c.Args().Get(1))}
			case c.Args().First() != "index":
				return usageError{fmt.Sprintf("%q is nothing that can be repaired; index is", c.Args().First())}
			}
			return p.withRepository(c, lockExclusive, func(ctx context.Context, r *repo.Repository) error {
				return p.repairIndex(ctx, r, repo.RepairIndexOptions{ReadAllPacks: c.Bool("read-all-packs")}, c.Bool("plan"))
			})
		},
	}
}

// repairIndex shows the plan and, unless that was all that was asked for, carries
// it out.
func (p *program) repairIndex(ctx context.Context, r *repo.Repository, opt repo.RepairIndexOptions, planOnly bool) error {
	opt.Progress = new(repo.Progress)
	start := time.Now()
	show := p.startProgress(func() progress { return progressOf(opt.Progress.State()) })
	defer show.stop()
	plan, err := r.PlanRepairIndex(ctx, opt)
	show.stop()
	if err == nil {
		err = p.showPlan(plan, repairIndexPlanMessage{
			"plan", plan.Packs.Packs, plan.Added.Packs, plan.Changed.Packs, plan.Gone, plan.Damaged.Packs, plan.Unreadable, plan.Twice,
		})
	}
	if err != nil || planOnly {
		return err
	}
	show = p.startProgress(func() progress { return progressOf(opt.Progress.State()) })
	defer show.stop()
	res, err := plan.Apply(ctx)
	show.stop()
	if err != nil {
		return err
	}
	if p.json {
		return p.emit(repairIndexMessage{"summary", res.IndexWritten, res.IndexTaken, time.Since(start).Seconds()})
	}
	if plan.Empty() || p.quiet {
		return nil
	}
	_, err = fmt.Fprintf(p.stdout, "wrote %s that name %s; russet check tells whether anything is missing\n",
		plural(res.IndexWritten, "index file"), plural(plan.Packs.Packs, "pack"))
	return err
}
