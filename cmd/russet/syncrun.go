package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v2"

	"russet/merge"
	"russet/reconcile"
	"russet/records"
	"russet/repo"
)

// syncPlanMessage is what a run of a sync would do.
type syncPlanMessage struct {
	MessageType string               `json:"message_type" doc:"\"plan\""`
	ID          string               `json:"id" doc:"for sync apply"`
	Name        string               `json:"name" doc:"of the sync"`
	Kind        string               `json:"kind" doc:"sync, push, resolve or undo"`
	Writes      []syncWriteMessage   `json:"writes" doc:"in the order in which they are done"`
	Matches     []syncMatchMessage   `json:"matches,omitempty" doc:"of a first run: records that are taken for the same though their names differ"`
	Waiting     []syncWaitingMessage `json:"waiting,omitempty" doc:"records for which a person decides"`
	Guards      []syncGuardMessage   `json:"guards,omitempty" doc:"what keeps the plan from being done"`
	Notes       []string             `json:"notes,omitempty" doc:"what an undo leaves alone, and why"`
	Problems    []string             `json:"problems,omitempty" doc:"what keeps single records out of the run"`
	Unchanged   int                  `json:"unchanged" doc:"records that are as they were"`
	Skipped     int                  `json:"skipped" doc:"records that the phone itself syncs with that server"`
}

// syncWriteMessage is one write.
type syncWriteMessage struct {
	Where      string   `json:"where" doc:"source or target"`
	Action     string   `json:"action" doc:"create, update or delete"`
	UID        string   `json:"uid" doc:"the record's"`
	Title      string   `json:"title" doc:"what people call it"`
	Why        string   `json:"why" doc:"in words"`
	Properties []string `json:"properties,omitempty" doc:"that change, as vCard and iCalendar name them"`
	Error      string   `json:"error,omitempty" doc:"why it was not done"`
}

// syncMatchMessage is a pair of records that are taken for the same.
type syncMatchMessage struct {
	Title  string `json:"title" doc:"what people call it"`
	Source string `json:"source" doc:"its UID there"`
	Target string `json:"target" doc:"its UID there"`
	By     string `json:"by" doc:"by what"`
}

// syncWaitingMessage is a record that waits for a decision.
type syncWaitingMessage struct {
	MessageType string    `json:"message_type,omitempty" doc:"\"conflict\", of sync conflicts"`
	UID         string    `json:"uid" doc:"the record's"`
	Title       string    `json:"title" doc:"what people call it"`
	Cause       string    `json:"cause" doc:"\"conflict\": both sides changed it; \"edited\": somebody edited it at a target to which a sync goes one way"`
	Properties  []string  `json:"properties,omitempty" doc:"that differ"`
	Since       time.Time `json:"since,omitzero" doc:"of sync conflicts: when a run found it"`
	Source      string    `json:"source,omitempty" doc:"of sync conflicts: all of it, as the source has it"`
	Target      string    `json:"target,omitempty" doc:"of sync conflicts: all of it, as the target has it"`
}

// syncGuardMessage is what a guard has against a plan.
type syncGuardMessage struct {
	Guard   string `json:"guard" doc:"its name"`
	Text    string `json:"text" doc:"in words"`
	Refused bool   `json:"refused" doc:"the plan cannot be approved of"`
}

// syncRunMessage is what a run did.
type syncRunMessage struct {
	MessageType string             `json:"message_type" doc:"\"summary\""`
	Name        string             `json:"name" doc:"of the sync"`
	Run         int                `json:"run" doc:"its number, for sync undo; 0 where there was nothing to do"`
	Done        int                `json:"done" doc:"writes"`
	Failed      []syncWriteMessage `json:"failed" doc:"writes that were not done; the next run tries again"`
	Conflicts   int                `json:"conflicts" doc:"records that wait for a decision"`
}

func describePlan(plan *reconcile.Plan) syncPlanMessage {
	m := syncPlanMessage{
		MessageType: "plan", ID: planName(plan), Name: plan.Name, Kind: plan.Kind, Writes: []syncWriteMessage{}, Notes: plan.Notes,
		Unchanged: plan.Unchanged, Skipped: plan.Skipped,
	}
	for i := range plan.Ops {
		m.Writes = append(m.Writes, describeWrite(&plan.Ops[i], nil))
	}
	for _, match := range plan.Matches {
		m.Matches = append(m.Matches, syncMatchMessage{match.Title, match.Source, match.Target, match.By})
	}
	for _, w := range plan.Conflicts {
		m.Waiting = append(m.Waiting, syncWaitingMessage{UID: w.Key, Title: w.Title, Cause: string(w.Cause), Properties: w.Properties})
	}
	for _, g := range plan.Guards {
		m.Guards = append(m.Guards, syncGuardMessage{g.Guard, g.Text, g.Refused})
	}
	for _, problem := range plan.Problems {
		m.Problems = append(m.Problems, problem.String())
	}
	return m
}

func describeWrite(o *reconcile.Op, err error) syncWriteMessage {
	m := syncWriteMessage{o.Where.String(), string(o.Action), o.Key, o.Title, o.Why, o.Properties, ""}
	if err != nil {
		m.Error = err.Error()
	}
	return m
}

// planName is the id of a plan as people give it to sync apply: it says which sync
// it is of.
func planName(plan *reconcile.Plan) string { return plan.Name + ":" + plan.ID }

// showSyncPlan prints a plan.
func (p *program) showSyncPlan(plan *reconcile.Plan) error {
	if p.json {
		return p.emit(describePlan(plan))
	}
	text := plan.String()
	if len(plan.Ops) > 0 {
		text = strings.TrimSuffix(text, "plan "+plan.ID+"\n") + "plan " + planName(plan) + "\n"
	}
	for line := range strings.Lines(text) {
		if _, err := fmt.Fprintln(p.stdout, visible(strings.TrimSuffix(line, "\n"))); err != nil {
			return err
		}
	}
	return nil
}

func planSync(ctx context.Context, _ *repo.Repository, s *reconcile.Sync) (*reconcile.Plan, error) {
	return s.Plan(ctx)
}

// syncPlan is sync plan.
func (p *program) syncPlan(c *cli.Context, args []string) error {
	return p.showOnly(c, order{name: args[0], snapshot: c.String("snapshot"), plan: planSync})
}

// showOnly makes a plan and shows it.
func (p *program) showOnly(c *cli.Context, o order) error {
	return p.withSyncs(c, lockRead, func(ctx context.Context, r *repo.Repository, store *reconcile.RepoStore) error {
		_, err := p.makePlan(ctx, c, r, store, o)
		return err
	})
}

// order is what shall be planned, and done.
type order struct {
	name     string                // of the sync
	snapshot string                // whose records are the source; "" is the newest
	approved string                // the id of a plan that a person saw, and wants; "" is none
	progress func(done, total int) // called after each write; nil: nobody wants to know
	plan     func(ctx context.Context, r *repo.Repository, s *reconcile.Sync) (*reconcile.Plan, error)
}

// writeCount is how many writes of a run are done. It is safe for concurrent use.
type writeCount struct {
	done, total atomic.Int64
}

func (w *writeCount) set(done, total int) {
	w.done.Store(int64(done))
	w.total.Store(int64(total))
}

func (w *writeCount) progress() progress {
	done, total := w.done.Load(), w.total.Load()
	g := progress{Phase: "write", Current: count(done)}
	if total > 0 {
		g.Part, g.Current = float64(done)/float64(total), share(count(done), count(total), total)
	}
	return g
}

// makePlan opens a sync, plans and shows the plan.
func (p *program) makePlan(ctx context.Context, c *cli.Context, r *repo.Repository, store *reconcile.RepoStore, o order) (*reconcile.Plan, error) {
	s, err := p.openSync(ctx, c, r, store, o)
	if err != nil {
		return nil, err
	}
	show := p.startProgress(func() progress { return progress{Phase: "look at both sides"} })
	plan, err := o.plan(ctx, r, s)
	show.stop()
	if err != nil {
		return nil, err
	}
	return plan, p.showSyncPlan(plan)
}

// carryOut makes a plan, shows it and does it; with --plan it stops there.
func (p *program) carryOut(c *cli.Context, o order) error {
	if c.Bool("plan") {
		return p.showOnly(c, o)
	}
	return p.withSyncs(c, lockShared, func(ctx context.Context, r *repo.Repository, store *reconcile.RepoStore) error {
		writes := new(writeCount)
		o.progress = writes.set
		plan, err := p.makePlan(ctx, c, r, store, o)
		if err != nil {
			return err
		}
		approval := reconcile.Approval{Plan: strings.TrimPrefix(o.approved, o.name+":"), Deletions: c.Int("deletions")}
		if err := plan.Allowed(approval); err != nil {
			return heldBack(plan, err)
		}
		show := p.startProgress(writes.progress)
		result, err := plan.Apply(ctx, approval)
		show.stop()
		if result != nil {
			err = errors.Join(err, p.showRun(plan, result))
		}
		return err
	})
}

// heldBack is the error of a plan that a guard holds back, with what can be done
// about it.
func heldBack(plan *reconcile.Plan, err error) error {
	switch {
	case errors.Is(err, reconcile.ErrOutdated):
		return situation{err, errOtherPlan}
	case plan.Refused():
		return remedied{situation{err, errRefusedPlan}, refusedHint(plan)}
	}
	hint := "look at the plan; if it is what you want: russet sync apply " + planName(plan)
	if plan.Kind != reconcile.KindSync {
		hint = "look at the plan; if it is what you want, run the same command again with --approve " + plan.ID
	}
	for _, g := range plan.Guards {
		if g.Guard == merge.GuardTooMany {
			hint += " --deletions " + strconv.Itoa(plan.Deletions())
		}
	}
	return remedied{situation{err, errHeldPlan}, hint}
}

// showRun prints what a run did. The error says that it did not do all.
func (p *program) showRun(plan *reconcile.Plan, result *reconcile.Result) error {
	m := syncRunMessage{"summary", plan.Name, result.Run, len(result.Done), []syncWriteMessage{}, result.Conflicts}
	for i := range result.Failed {
		m.Failed = append(m.Failed, describeWrite(&result.Failed[i].Op, result.Failed[i].Err))
	}
	switch {
	case p.json:
		if err := p.emit(m); err != nil {
			return err
		}
	default:
		if err := p.describeRun(plan, result); err != nil {
			return err
		}
	}
	switch {
	case len(m.Failed) > 0:
		return remedied{
			fmt.Errorf("sync %s: %s not done: %w", plan.Name, plural(len(m.Failed), "write"), errIncomplete),
			"what it printed says why; run the same command again when that is mended",
		}
	case result.Conflicts > 0 && plan.Kind == reconcile.KindSync:
		return fmt.Errorf("sync %s: %w: %s", plan.Name, errConflicts, plural(result.Conflicts, "record"))
	case len(plan.Problems) > 0 && plan.Kind == reconcile.KindSync:
		return fmt.Errorf("sync %s: some records were left out: %w", plan.Name, errIncomplete)
	}
	return nil
}

// refusedHint is what can be done where a plan is refused.
func refusedHint(plan *reconcile.Plan) string {
	if slices.ContainsFunc(plan.Guards, func(g merge.Finding) bool { return g.Refused && g.Guard != merge.GuardOlder }) {
		return "nothing was changed; where the target or the phone was replaced on purpose, remove the sync and add it anew: what both have is then taken for the same"
	}
	return "nothing was changed; single records come back from any snapshot by russet sync push NAME UID --snapshot SNAPSHOT"
}

// describeRun prints for people what a run did. What was not done is part of that:
// names of records do not belong among the complaints, which end up in logs.
func (p *program) describeRun(plan *reconcile.Plan, result *reconcile.Result) error {
	var b strings.Builder
	for i := range result.Failed {
		o := &result.Failed[i].Op
		fmt.Fprintf(&b, "failed  %s  %v  %s: %v\n", o.Action, o.Where, visible(cmp.Or(o.Title, o.Key)), visible(result.Failed[i].Err.Error()))
	}
	if result.Run > 0 {
		fmt.Fprintf(&b, "run %d: %s done\n", result.Run, plural(len(result.Done), "write"))
	}
	if plan.Kind == reconcile.KindResolve && len(result.Failed) == 0 {
		fmt.Fprintf(&b, "resolved; %s still waiting for a decision\n", plural(result.Conflicts, "record"))
	}
	_, err := fmt.Fprint(p.stdout, b.String())
	return err
}

// syncRun is sync run.
func (p *program) syncRun(c *cli.Context, args []string) error {
	return p.carryOut(c, order{name: args[0], snapshot: c.String("snapshot"), plan: planSync})
}

// syncApply is sync apply.
func (p *program) syncApply(c *cli.Context, args []string) error {
	name, id, ok := strings.Cut(args[0], ":")
	if !ok {
		return usageError{fmt.Sprintf("%q is no plan: give it as sync plan shows it, NAME:ID", args[0])}
	}
	return p.carryOut(c, order{name: name, snapshot: c.String("snapshot"), approved: id, plan: planSync})
}

// syncPush is sync push.
func (p *program) syncPush(c *cli.Context, args []string) error {
	return p.carryOut(c, order{name: args[0], approved: c.String("approve"), plan: func(ctx context.Context, r *repo.Repository, s *reconcile.Sync) (*reconcile.Plan, error) {
		config := s.State().Config
		if config.Device == "" {
			return nil, usageError{"sync push is for syncs from a phone"}
		}
		snap, err := p.sourceSnapshot(ctx, r, config.Device, c.String("snapshot"))
		if err != nil {
			return nil, err
		}
		set, err := readRecords(ctx, r, snap, config.Kind)
		if err != nil {
			return nil, err
		}
		var chosen []records.Record
		for _, uid := range args[1:] {
			i := slices.IndexFunc(set.Records, func(rec records.Record) bool { return strings.EqualFold(rec.UID, uid) })
			if i < 0 {
				return nil, fmt.Errorf("look for the record %q in snapshot %s: %w", uid, shortID(snap), errNoSuchRecord)
			}
			chosen = append(chosen, set.Records[i])
		}
		return s.PlanPush(ctx, chosen)
	}})
}

// syncUndo is sync undo.
func (p *program) syncUndo(c *cli.Context, args []string) error {
	number, err := strconv.Atoi(args[1])
	if err != nil || number < 1 {
		return usageError{fmt.Sprintf("%q is no run: sync status NAME lists their numbers", args[1])}
	}
	return p.carryOut(c, order{name: args[0], approved: c.String("approve"), plan: func(ctx context.Context, _ *repo.Repository, s *reconcile.Sync) (*reconcile.Plan, error) {
		return s.PlanUndo(ctx, number)
	}})
}
