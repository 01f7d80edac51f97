package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"russet/backend"
	"russet/chunk"
	"russet/repo"
)

// repairPacksPlanMessage is what a repair will save from damaged packs.
type repairPacksPlanMessage struct {
	MessageType string           `json:"message_type" doc:"\"plan\""`
	Looked      int              `json:"packs" doc:"that were read"`
	Damaged     []damagedMessage `json:"damaged_packs" doc:"what becomes of each"`
	SaveBytes   int64            `json:"save_bytes" doc:"of content that can be saved, as stored"`
	Remove      int              `json:"remove_packs" doc:"damaged packs of which nothing is lost"`
	Leave       int              `json:"leave_packs" doc:"damaged packs that stay, named by no index, until a prune"`
	Affected    int              `json:"num_affected" doc:"files and folders of snapshots that miss something"`
}

// damagedMessage is one damaged pack of the plan.
type damagedMessage struct {
	Pack      string `json:"pack" doc:"its id"`
	Gone      bool   `json:"gone" doc:"it is not there"`
	Save      int    `json:"save" doc:"pieces of content that can be saved"`
	Lost      int    `json:"lost" doc:"pieces that can be read nowhere"`
	Elsewhere int    `json:"elsewhere" doc:"pieces that could be read elsewhere"`
}

// repairPacksMessage is what a repair of packs did.
type repairPacksMessage struct {
	MessageType   string  `json:"message_type" doc:"\"summary\""`
	Saved         int     `json:"saved" doc:"pieces of content that lay nowhere else"`
	SavedBytes    int64   `json:"saved_bytes" doc:"of those, as stored"`
	Removed       int     `json:"removed_packs" doc:""`
	TotalDuration float64 `json:"total_duration" doc:"seconds"`
}

// repairSnapshotsPlanMessage is what a repair will make of damaged snapshots.
type repairSnapshotsPlanMessage struct {
	MessageType string                  `json:"message_type" doc:"\"plan\""`
	Looked      int                     `json:"snapshots" doc:"that were looked into"`
	Unreadable  int                     `json:"unreadable_snapshots" doc:"files of snapshots that cannot be read; with --forget they are removed"`
	Damaged     []lostInSnapshotMessage `json:"damaged_snapshots" doc:"what is left of each"`
}

// lostInSnapshotMessage is one damaged snapshot of the plan.
type lostInSnapshotMessage struct {
	SnapshotID string `json:"snapshot_id" doc:""`
	Nothing    bool   `json:"nothing_left" doc:"its first folder cannot be read"`
	Exists     bool   `json:"exists" doc:"the repaired snapshot is there already"`
	Cut        int    `json:"files_cut" doc:"files of which a part is left, under a name that ends in .repaired"`
	Dropped    int    `json:"files_gone" doc:"files of which nothing is left"`
	Emptied    int    `json:"folders_emptied" doc:"folders that cannot be read"`
}

// savedSnapshotsMessage is what a repair of snapshots, or a recovery, did.
type savedSnapshotsMessage struct {
	MessageType   string   `json:"message_type" doc:"\"summary\""`
	Saved         []string `json:"saved_snapshots" doc:"the ids of the new ones"`
	Removed       int      `json:"removed_snapshots" doc:"damaged ones, with --forget"`
	TotalDuration float64  `json:"total_duration" doc:"seconds"`
}

// planned is a plan that was shown and can be carried out.
type planned interface {
	fmt.Stringer
	Empty() bool
}

// showAndApply makes a plan, shows what it costs and the plan, and carries it
// out unless that was all that was asked for, or there is nothing to do. prepare
// gives the plan and its message, apply what was done as a message and in words.
func (p *program) showAndApply(
	counted *repo.Progress, planOnly bool,
	prepare func(report func(repo.Problem)) (plan planned, message any, err error), apply func() (message any, text string, err error),
) error {
	show := p.startProgress(func() progress { return progressOf(counted.State()) })
	defer show.stop()
	var failed error // to print a loss
	plan, message, err := prepare(func(problem repo.Problem) { failed = errors.Join(failed, p.showProblem(problem)) })
	show.stop()
	if err == nil {
		err = failed
	}
	if err == nil {
		err = p.showPlan(plan, message, planOnly)
	}
	if err != nil || planOnly || plan.Empty() && !p.json {
		return err
	}
	show = p.startProgress(func() progress { return progressOf(counted.State()) })
	defer show.stop()
	message, text, err := apply()
	show.stop()
	switch {
	case err != nil:
		return err
	case p.json:
		return p.emit(message)
	case p.quiet:
		return nil
	}
	_, err = fmt.Fprint(p.stdout, text)
	return err
}

func (p *program) repairPacks(ctx context.Context, r *repo.Repository, names []string, planOnly bool) error {
	opt := repo.RepairPacksOptions{Progress: new(repo.Progress)}
	for _, name := range names {
		id, err := chunk.ParseID(name)
		if err != nil {
			return usageError{fmt.Sprintf("%q is not the id of a pack, as russet check prints it", name)}
		}
		opt.Packs = append(opt.Packs, id)
	}
	start := time.Now()
	var plan *repo.RepairPacksPlan
	err := p.showAndApply(opt.Progress, planOnly, func(report func(repo.Problem)) (_ planned, _ any, err error) {
		opt.Report = report
		if plan, err = r.PlanRepairPacks(ctx, opt); err != nil {
			return nil, nil, indexFirst(err)
		}
		m := repairPacksPlanMessage{"plan", plan.Looked, []damagedMessage{}, plan.SaveBytes, plan.Remove, plan.Leave, plan.Affected}
		for _, d := range plan.Packs {
			m.Damaged = append(m.Damaged, damagedMessage{d.ID.String(), d.Gone, d.Save, d.Lost, d.Elsewhere})
		}
		return plan, m, nil
	}, func() (any, string, error) {
		res, err := plan.Apply(ctx)
		retakeReserve(ctx, r)
		return repairPacksMessage{"summary", res.Saved, res.SavedBytes, res.Removed, time.Since(start).Seconds()},
			fmt.Sprintf("saved %s of content, removed %s\n", size(res.SavedBytes), plural(res.Removed, "damaged pack")), err
	})
	if err == nil && !planOnly && plan.Affected > 0 {
		err = situation{fmt.Errorf("repair packs: %d files and folders of snapshots are %w", plan.Affected, errIncomplete), errLostContent}
	}
	return err
}

func (p *program) repairSnapshots(ctx context.Context, r *repo.Repository, names []string, forget, planOnly bool) error {
	opt := repo.RepairSnapshotsOptions{Forget: forget, Progress: new(repo.Progress)}
	for _, name := range names {
		if !strings.HasPrefix(name, latestName) {
			id, err := r.FindSnapshotID(ctx, name) // also of one that cannot be read
			if err != nil {
				return err
			}
			opt.Snapshots = append(opt.Snapshots, id)
			continue
		}
		s, err := findSnapshot(ctx, r, name)
		if err != nil {
			return err
		}
		opt.Snapshots = append(opt.Snapshots, s.ID())
	}
	start := time.Now()
	var plan *repo.RepairSnapshotsPlan
	err := p.showAndApply(opt.Progress, planOnly, func(report func(repo.Problem)) (_ planned, _ any, err error) {
		opt.Report = report
		if plan, err = r.PlanRepairSnapshots(ctx, opt); err != nil {
			if !backend.IsUnreadable(err) {
				err = indexFirst(err)
			}
			return nil, nil, err
		}
		m := repairSnapshotsPlanMessage{"plan", plan.Looked, len(plan.Unreadable), []lostInSnapshotMessage{}}
		for _, s := range plan.Snapshots {
			m.Damaged = append(m.Damaged, lostInSnapshotMessage{s.ID.String(), s.Nothing, s.Exists, s.Cut, s.Dropped, s.Emptied})
		}
		return plan, m, nil
	}, func() (any, string, error) {
		res, err := plan.Apply(ctx)
		retakeReserve(ctx, r)
		message, text := describeSaved(res.Saved, res.Removed, time.Since(start))
		return message, text, err
	})
	if err == nil && !planOnly {
		err = notWhole(plan)
	}
	return err
}

// notWhole is the error of a repair of snapshots that gave something up, or could
// not read one.
func notWhole(plan *repo.RepairSnapshotsPlan) error {
	n := len(plan.Unreadable)
	for _, s := range plan.Snapshots {
		if s.Nothing || s.Losses != (repo.Losses{}) {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("repair snapshots: what is left of %s is %w", plural(n, "damaged snapshot"), errIncomplete)
}

// indexFirst is the error of a plan that begins with the index, and refuses where
// that is damaged or does not name all packs.
func indexFirst(err error) error {
	if errors.Is(err, repo.ErrDamaged) {
		err = situation{err, errBadIndex}
	}
	return err
}

// describeSaved is the snapshots that were saved, as a message and in words.
func describeSaved(saved []chunk.ID, removed int, took time.Duration) (savedSnapshotsMessage, string) {
	m := savedSnapshotsMessage{"summary", []string{}, removed, took.Seconds()}
	var text strings.Builder
	for _, id := range saved {
		m.Saved = append(m.Saved, id.String())
		fmt.Fprintf(&text, "saved snapshot %.8s\n", id)
	}
	if removed > 0 {
		fmt.Fprintf(&text, "removed %s\n", plural(removed, "damaged snapshot"))
	}
	return m, text.String()
}
