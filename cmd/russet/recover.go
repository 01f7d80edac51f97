package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"russet/repo"
)

// recoverPlanMessage is what a recovery will make of folders that no snapshot
// leads to.
type recoverPlanMessage struct {
	MessageType string             `json:"message_type" doc:"\"plan\""`
	Looked      int                `json:"trees" doc:"folders that were looked at"`
	Damaged     int                `json:"damaged_trees" doc:"folders that cannot be read"`
	Found       []recoveredMessage `json:"found" doc:"what becomes of each"`
}

// recoveredMessage is one folder of the plan.
type recoveredMessage struct {
	Tree    string `json:"tree" doc:"its id"`
	Path    string `json:"path,omitempty" doc:"of the snapshot that it becomes; absent where it becomes a part of one"`
	Time    string `json:"time,omitempty" doc:"of that snapshot"`
	Entries int    `json:"entries" doc:"files and folders right in it"`
	Cut     int    `json:"files_cut" doc:"files of which a part is left, under a name that ends in .repaired"`
	Dropped int    `json:"files_gone" doc:"files of which nothing is left"`
	Emptied int    `json:"folders_emptied" doc:"folders that cannot be read"`
}

func (p *program) recoverVerb() *cli.Command {
	return &cli.Command{
		Name:     "recover",
		Category: groupCare,
		Usage:    "find versions whose snapshot is gone or damaged",
		UsageText: "russet recover -r /media/drive/repo --plan   # shows what would be done\n" +
			"russet recover -r /media/drive/repo",
		Description: "Looks for folders to which no snapshot leads. Those that were a version of a phone become\n" +
			"a snapshot again, with the tag recovered; any others come into one snapshot, each under its\n" +
			"id. So versions come back that were forgotten and not yet pruned, or whose snapshot file the\n" +
			"drive has damaged. What they miss is left out and named, as russet repair snapshots does.\n" +
			"\n" +
			"It holds the lock that keeps everybody else out.",
		Flags: planFlags(),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			return p.withRepository(c, lockExclusive, func(ctx context.Context, r *repo.Repository) error {
				return p.recover(ctx, r, c.Bool("plan"))
			})
		},
	}
}

func (p *program) recover(ctx context.Context, r *repo.Repository, planOnly bool) error {
	start := time.Now()
	opt := repo.RecoverOptions{Owner: owner(start), Version: "russet " + thisVersion().Version, Progress: new(repo.Progress)}
	var plan *repo.RecoverPlan
	err := p.showAndApply(opt.Progress, planOnly, func(report func(repo.Problem)) (_ planned, _ any, err error) {
		opt.Report = report
		if plan, err = r.PlanRecover(ctx, opt); err != nil {
			return nil, nil, indexFirst(err)
		}
		m := recoverPlanMessage{"plan", plan.Looked, plan.Damaged, []recoveredMessage{}}
		for _, t := range plan.Trees {
			found := recoveredMessage{Tree: t.ID.String(), Entries: t.Entries, Cut: t.Cut, Dropped: t.Dropped, Emptied: t.Emptied}
			if t.Name != "" {
				found.Path, found.Time = "/"+t.Name, t.Time.Format(time.RFC3339)
			}
			m.Found = append(m.Found, found)
		}
		return plan, m, nil
	}, func() (any, string, error) {
		res, err := plan.Apply(ctx)
		message, text := describeSaved(res.Saved, 0, time.Since(start))
		return message, text, err
	})
	if err == nil && !planOnly && slices.ContainsFunc(plan.Trees, func(t repo.RecoveredTree) bool { return t.Losses != repo.Losses{} }) {
		err = fmt.Errorf("recover: what was found is %w", errIncomplete)
	}
	return err
}
