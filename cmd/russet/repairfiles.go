package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"russet/internal/durable"
	"russet/repo"
)

// healPlanMessage is what of lost content stands in files that somebody has.
type healPlanMessage struct {
	MessageType string `json:"message_type" doc:"\"plan\""`
	Missing     int    `json:"missing" doc:"pieces of content that snapshots need and the repository lacks"`
	Found       int    `json:"found" doc:"of these, pieces that the files hold"`
	FoundBytes  int64  `json:"found_bytes" doc:"of those"`
	Files       int    `json:"files" doc:"that were read"`
	Unread      int    `json:"files_unread" doc:"that could not be"`
}

// healMessage is what was stored again.
type healMessage struct {
	MessageType   string  `json:"message_type" doc:"\"summary\""`
	Stored        int     `json:"stored" doc:"pieces of content"`
	Missing       int     `json:"still_missing" doc:"pieces that no file held"`
	TotalDuration float64 `json:"total_duration" doc:"seconds"`
}

func (p *program) repairFiles(ctx context.Context, r *repo.Repository, folder string, planOnly bool) (err error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return fmt.Errorf("open %s: %w", folder, durable.WithoutPath(err))
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	counted, start := new(repo.Progress), time.Now()
	var plan *repo.HealPlan
	err = p.showAndApply(counted, planOnly, func(func(repo.Problem)) (_ planned, _ any, err error) {
		if plan, err = r.PlanHeal(ctx, root.FS(), counted); err != nil {
			return nil, nil, indexFirst(err)
		}
		return plan, healPlanMessage{"plan", plan.Missing, plan.Found, plan.Bytes, plan.Files, plan.Unread}, nil
	}, func() (any, string, error) {
		stored, err := plan.Apply(ctx)
		return healMessage{"summary", stored, plan.Missing - stored, time.Since(start).Seconds()},
			fmt.Sprintf("stored %s of lost content again; %d are missing still\n", plural(stored, "piece"), plan.Missing-stored), err
	})
	if err == nil && !planOnly && plan.Missing > plan.Found {
		err = fmt.Errorf("repair files: snapshots are %w", errIncomplete)
	}
	return err
}
