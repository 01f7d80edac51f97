package main

import (
	"context"
	"fmt"
	"slices"
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
	HurtPacks       int    `json:"added_damaged_packs" doc:"of the added ones, damaged packs that hold what no other does"`
	UselessPacks    int    `json:"left_packs" doc:"damaged packs that no index file describes, and that hold nothing of the kind"`
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

// What repair can repair.
const (
	repairsIndex     = "index"
	repairsPacks     = "packs"
	repairsFiles     = "files"
	repairsSnapshots = "snapshots"
)

func (p *program) repairVerb() *cli.Command {
	return &cli.Command{
		Name:     "repair",
		Category: groupCare,
		Usage:    "mend a damaged repository",
		UsageText: "russet repair index -r /media/drive/repo --plan   # shows what would be done\n" +
			"russet repair index -r /media/drive/repo\n" +
			"russet repair packs -r /media/drive/repo          # reads all of it: takes long\n" +
			"russet repair files ~/Restored -r /media/drive/repo\n" +
			"russet repair snapshots -r /media/drive/repo --forget",
		ArgsUsage: "index | packs [PACK...] | files DIR | snapshots [SNAPSHOT...]",
		Description: "index: makes the index of what lies where anew, where index files are damaged or gone, name\n" +
			"packs that are gone, or do not name some that are there. Every pack says at its end what it\n" +
			"holds. Packs that the index describes with their right length are believed, unless\n" +
			"--read-all-packs is given; those that it does not name are read whole, and one that is damaged\n" +
			"is named only if it holds what no other does. No pack is changed or removed.\n" +
			"\n" +
			"packs: reads the given packs, or all, saves what can be read of damaged ones into new packs,\n" +
			"and takes the damaged ones out of the index. They are removed when nothing of them is lost;\n" +
			"others stay until a prune. Files that miss something are named; the next russet backup stores\n" +
			"again what the computer still has, and the snapshots are whole again.\n" +
			"\n" +
			"files: reads all files in a folder, such as one that russet restore --as files once wrote, and\n" +
			"stores again what of them snapshots miss, whatever the files are called. What was restored as a\n" +
			"backup folder is given to russet backup instead.\n" +
			"\n" +
			"snapshots: of each snapshot that misses something, or of the given ones, saves another without\n" +
			"what is lost, with the tag repaired. A file of which a part is left stands in it under a name\n" +
			"that ends in .repaired; a folder that cannot be read is empty. With --forget the damaged\n" +
			"snapshot is removed then, and one that cannot be read at all; without, they stay, and a later\n" +
			"backup may still make a snapshot whole.\n" +
			"\n" +
			"A mirror holds the same files: what russet check names here is put back from there before\n" +
			"anything is repaired. A second repository gives back what it has of lost content with\n" +
			"russet copy -r SECOND --to THIS.\n" +
			"\n" +
			"The order is index, packs, backup, copy or files, snapshots. While a pack that no index names\n" +
			"holds what is missing, snapshots are not repaired. Where none of the packs is there, index,\n" +
			"packs and snapshots refuse: their folder, or a drive that belongs there, is away. Where\n" +
			"something is lost, packs, files and snapshots end with exit code 3.\n" +
			"\n" +
			"It holds the lock that keeps everybody else out.",
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "read-all-packs", Usage: "index: ask every pack what it holds, not only those that the index does not know"},
			&cli.BoolFlag{Name: "forget", Usage: "snapshots: remove the damaged ones of which a repaired one is saved, and those that cannot be read"},
		}, planFlags()...),
		Action: func(c *cli.Context) error {
			what, names := c.Args().First(), c.Args().Tail()
			if err := repairUsage(c, what, names); err != nil {
				return err
			}
			return p.withRepository(c, lockExclusive, func(ctx context.Context, r *repo.Repository) error {
				plan := c.Bool("plan")
				switch what {
				case repairsPacks:
					return p.repairPacks(ctx, r, names, plan)
				case repairsFiles:
					return p.repairFiles(ctx, r, names[0], plan)
				case repairsSnapshots:
					return p.repairSnapshots(ctx, r, names, c.Bool("forget"), plan)
				}
				return p.repairIndex(ctx, r, repo.RepairIndexOptions{ReadAllPacks: c.Bool("read-all-packs")}, plan)
			})
		},
	}
}

// repairUsage finds mistakes in the arguments.
func repairUsage(c *cli.Context, what string, names []string) error {
	switch {
	case what == "":
		return usageError{"what is to be repaired? index, packs, files or snapshots"}
	case !slices.Contains([]string{repairsIndex, repairsPacks, repairsFiles, repairsSnapshots}, what):
		return usageError{fmt.Sprintf("%q is nothing that can be repaired; index, packs, files and snapshots are", what)}
	case what == repairsFiles && len(names) != 1:
		return usageError{"repair files wants one folder"}
	case what == repairsIndex && len(names) > 0:
		return usageError{fmt.Sprintf("%q is one argument too many", names[0])}
	case what != repairsIndex && c.Bool("read-all-packs"):
		return usageError{"--read-all-packs is for repair index"}
	case what != repairsSnapshots && c.Bool("forget"):
		return usageError{"--forget is for repair snapshots"}
	}
	return nil
}

// repairIndex shows the plan and, unless that was all that was asked for, carries
// it out.
func (p *program) repairIndex(ctx context.Context, r *repo.Repository, opt repo.RepairIndexOptions, planOnly bool) error {
	opt.Progress = new(repo.Progress)
	start := time.Now()
	var plan *repo.RepairIndexPlan
	return p.showAndApply(opt.Progress, planOnly, func(func(repo.Problem)) (_ planned, _ any, err error) {
		if plan, err = r.PlanRepairIndex(ctx, opt); err != nil {
			return nil, nil, err
		}
		return plan, repairIndexPlanMessage{
			"plan", plan.Packs.Packs, plan.Added.Packs, plan.Changed.Packs, plan.Gone, plan.Damaged.Packs,
			plan.Hurt, plan.Useless.Packs, plan.Unreadable, plan.Twice,
		}, nil
	}, func() (any, string, error) {
		res, err := plan.Apply(ctx)
		return repairIndexMessage{"summary", res.IndexWritten, res.IndexTaken, time.Since(start).Seconds()},
			fmt.Sprintf("wrote %s for %s; russet check tells whether anything is missing\n",
				plural(res.IndexWritten, "index file"), plural(plan.Packs.Packs, "pack")), err
	})
}
