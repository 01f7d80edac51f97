package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"russet/backend"
	"russet/capture"
	"russet/internal/durable"
	"russet/repo"
)

// prunePlanMessage is what a prune will do.
type prunePlanMessage struct {
	MessageType       string `json:"message_type" doc:"\"plan\""`
	KeepPacks         int    `json:"keep_packs" doc:"packs that stay as they are"`
	KeepBytes         int64  `json:"keep_bytes" doc:"of those"`
	RepackPacks       int    `json:"repack_packs" doc:"packs of which what is needed is copied; then they are deleted"`
	RepackBytes       int64  `json:"repack_bytes" doc:"of those"`
	CopiedBytes       int64  `json:"copied_bytes" doc:"what of those is needed"`
	LatePacks         int    `json:"late_packs" doc:"packs that stay only as there is no space for copies of what of them is needed"`
	LateBytes         int64  `json:"late_bytes" doc:"of those"`
	DeletePacks       int    `json:"delete_packs" doc:"packs in which nothing is needed"`
	DeleteBytes       int64  `json:"delete_bytes" doc:"of those"`
	UnreferencedPacks int    `json:"unreferenced_packs" doc:"packs that no index names, left by runs that were cut off; they are deleted"`
	UnreferencedBytes int64  `json:"unreferenced_bytes" doc:"of those"`
	GonePacks         int    `json:"gone_packs" doc:"packs that the index names, that are not there, and of which nothing is needed"`
	UsedBlobs         int    `json:"used_blobs" doc:"pieces of content that snapshots need"`
	UnusedBlobs       int    `json:"unused_blobs" doc:"pieces that nothing needs"`
	DuplicateBlobs    int    `json:"duplicate_blobs" doc:"further copies of pieces that are needed"`
	UnusedBytes       int64  `json:"unused_bytes" doc:"not needed, and stays: copying would cost more than it is worth, see --max-unused"`
	FreedBytes        int64  `json:"freed_bytes" doc:"by how much the repository becomes smaller"`
}

// pruneMessage is what a prune did.
type pruneMessage struct {
	MessageType   string  `json:"message_type" doc:"\"summary\""`
	DeletedPacks  int     `json:"deleted_packs" doc:""`
	DeletedBytes  int64   `json:"deleted_bytes" doc:"of those"`
	CopiedBytes   int64   `json:"copied_bytes" doc:"into new packs"`
	FreedBytes    int64   `json:"freed_bytes" doc:"by how much the repository became smaller"`
	IndexWritten  int     `json:"index_files_written" doc:""`
	IndexRemoved  int     `json:"index_files_removed" doc:""`
	Temporary     int     `json:"removed_unfinished" doc:"files that programs had begun when they were killed"`
	TotalDuration float64 `json:"total_duration" doc:"seconds"`
}

func (p *program) pruneVerb() *cli.Command {
	return &cli.Command{
		Name:     "prune",
		Category: groupCare,
		Usage:    "give back the space of what no snapshot needs",
		UsageText: "russet prune -r /media/drive/repo --plan          # shows what would be done\n" +
			"russet prune -r /media/drive/repo\n" +
			"russet prune -r /media/drive/repo --max-unused 0  # frees all that can be freed: takes longer\n" +
			"russet prune -r /media/drive/repo --max-repack 0  # on a full drive: copies nothing",
		Description: "Content that no snapshot needs any more, after russet forget, still lies in packs, mostly\n" +
			"beside content that is needed. Packs in which nothing is needed are deleted. Of others the\n" +
			"needed content is copied into new packs, and they are deleted: those with most rubbish\n" +
			"first, until at most 5 % of what stays is rubbish. What is copied is opened and compared\n" +
			"with its hash; nothing is deleted before the new packs and the new index were read back.\n" +
			"Damage in what is needed ends the prune before anything is deleted. A prune that is cut off\n" +
			"leaves the repository whole, and the next one goes on from there. On a drive that is nearly\n" +
			"full as much is copied as there is space for; run again it goes on. With --max-repack 0 it\n" +
			"wants no more space than a lock and an index file: for these 32 MiB lie ready in the folder\n" +
			"spool of the repository, where the drive had them to spare. What a phone's backup\n" +
			"that was cut off has stored stays, so that it can go on.\n" +
			"\n" +
			"Where there are no snapshots at all, they may have been lost: nothing is deleted then, unless\n" +
			"--no-snapshots says that all were forgotten on purpose.\n" +
			"\n" +
			"It holds the lock that keeps everybody else out.",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "max-unused", Usage: "how much rubbish may stay (5% where it is not given): `X%, SIZE or unlimited`"},
			&cli.BoolFlag{Name: "no-snapshots", Usage: "there are no snapshots any more, and that is meant: delete all content"},
			&cli.StringFlag{Name: "max-repack", Aliases: []string{"max-repack-size"}, Usage: "copy from packs of at most `SIZE` in all, such as 10G; 0 copies nothing"},
		}, planFlags()...),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			opt, err := pruneOptions(c)
			if err != nil {
				return err
			}
			place, err := p.repository(c)
			if err != nil {
				return err
			}
			return p.withRepository(c, lockExclusive, func(ctx context.Context, r *repo.Repository) error {
				spool, err := p.existingSpool(place, r.ID().String())
				if err != nil {
					return err
				}
				if spool != nil {
					defer spool.Close()
					opt.Keep = capture.PendingBlobs(spool, r)
				}
				return p.prune(ctx, r, opt, c.Bool("plan"))
			})
		},
	}
}

// existingSpool opens the spool beside the repository, or returns nil where there
// is none.
func (p *program) existingSpool(address, id string) (*os.Root, error) {
	dir, err := p.spoolFolder(address, id, "")
	if err != nil {
		return nil, nil // no folder, so nothing lies there
	}
	spool, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the spool: %w", durable.WithoutPath(err))
	}
	return spool, nil
}

func pruneOptions(c *cli.Context) (opt repo.PruneOptions, err error) {
	opt.NoSnapshots = c.Bool("no-snapshots")
	if text := c.String("max-unused"); text != "" {
		if opt.MaxUnused, err = repo.ParseLimit(text); err != nil {
			return opt, usageError{"--max-unused: " + err.Error()}
		}
	}
	switch text := c.String("max-repack"); text {
	case "":
	case "0":
		opt.MaxRepack = repo.LimitBytes(0)
	default:
		n, err := parseSize(text)
		if err != nil {
			return opt, usageError{"--max-repack: " + err.Error()}
		}
		opt.MaxRepack = repo.LimitBytes(n)
	}
	return opt, nil
}

// prune shows the plan and, unless that was all that was asked for, carries it
// out.
func (p *program) prune(ctx context.Context, r *repo.Repository, opt repo.PruneOptions, planOnly bool) error {
	counted := new(repo.Progress)
	opt.Progress = counted
	start := time.Now()
	show := p.startProgress(func() progress { return progressOf(counted.State()) })
	defer show.stop()
	plan, err := r.PlanPrune(ctx, opt)
	show.stop()
	if errors.Is(err, repo.ErrDamaged) {
		err = situation{err, errCannotPrune}
		if _, damaged := r.AllSnapshots(ctx); errors.Is(damaged, repo.ErrDamaged) {
			err = badSnapshot(err)
		}
	}
	if _, ok := errors.AsType[*repo.NoSnapshotsError](err); ok {
		err = situation{err, errNoSnapshots}
	}
	if err == nil {
		err = p.showPlan(plan, describePrune(plan), planOnly)
	}
	if err != nil || planOnly {
		return err
	}
	show = p.startProgress(func() progress { return progressOf(counted.State()) })
	defer show.stop()
	res, err := plan.Apply(ctx)
	show.stop()
	switch {
	case errors.Is(err, repo.ErrDamaged):
		err = situation{err, errCannotPrune}
	case backend.IsFull(err) && plan.Repack.Packs > 0:
		err = situation{err, errPruneFull}
	}
	if err != nil {
		return err
	}
	return p.showPruned(res, time.Since(start))
}

// showPlan prints a plan: in words, or as its message. With --quiet it does so
// only where the plan is all that is wanted.
func (p *program) showPlan(plan fmt.Stringer, message any, planOnly bool) error {
	if p.json {
		return p.emit(message)
	}
	if p.quiet && !planOnly {
		return nil
	}
	return p.printPlan(plan)
}

func describePrune(plan *repo.PrunePlan) prunePlanMessage {
	return prunePlanMessage{
		"plan", plan.Keep.Packs, plan.Keep.Bytes, plan.Repack.Packs, plan.Repack.Bytes, plan.Copied, plan.Late.Packs, plan.Late.Bytes,
		plan.Delete.Packs, plan.Delete.Bytes, plan.Unreferenced.Packs, plan.Unreferenced.Bytes, plan.Gone,
		plan.UsedBlobs, plan.UnusedBlobs, plan.Duplicates, plan.Unused, plan.Frees(),
	}
}

func (p *program) showPruned(res repo.PruneResult, took time.Duration) error {
	freed := res.Deleted.Bytes - res.Copied
	switch {
	case p.json:
		return p.emit(pruneMessage{
			"summary", res.Deleted.Packs, res.Deleted.Bytes, res.Copied, freed,
			res.IndexWritten, res.IndexTaken, res.Temporary, took.Seconds(),
		})
	case p.quiet:
		return nil
	}
	text := ""
	if res.Deleted.Packs > 0 || res.IndexWritten > 0 {
		text = fmt.Sprintf("deleted %s, copied %s, freed %s in %s\n", plural(res.Deleted.Packs, "pack"), size(res.Copied), size(freed), duration(took))
	}
	if res.Temporary > 0 {
		text += fmt.Sprintf("removed %s that killed programs had begun\n", plural(res.Temporary, "file"))
	}
	_, err := fmt.Fprint(p.stdout, text)
	return err
}
