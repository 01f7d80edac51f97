package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"russet/backend"
	"russet/offsite"
	"russet/repo"
)

// offsiteRunMessage is what a run has put to a copy.
type offsiteRunMessage struct {
	MessageType string                  `json:"message_type" doc:"\"offsite_run\""`
	Name        string                  `json:"name" doc:"of the copy"`
	Nothing     bool                    `json:"nothing,omitempty" doc:"there was nothing to do"`
	Snapshots   int                     `json:"snapshots" doc:"that stand there now, of those that are wanted"`
	Waiting     int                     `json:"waiting" doc:"that are wanted and do not"`
	Packs       int                     `json:"packs" doc:"that were put there"`
	Bytes       int64                   `json:"bytes" doc:"of those"`
	Problems    []offsiteProblemMessage `json:"problems,omitempty" doc:"packs that are not what was put there"`
}

// offsiteProblemMessage is a file of a copy that is not as it should be.
type offsiteProblemMessage struct {
	MessageType string `json:"message_type,omitempty" doc:"\"problem\", of offsite verify"`
	Name        string `json:"name" doc:"of the copy"`
	File        string `json:"file" doc:"of the copy's repository"`
	Result      string `json:"result" doc:"damaged or missing"`
}

func describeProblem(name string, problem offsite.Problem) offsiteProblemMessage {
	return offsiteProblemMessage{Name: name, File: problem.File.String(), Result: problem.Result.String()}
}

// offsiteRun is offsite run.
func (p *program) offsiteRun(c *cli.Context, args []string) error {
	kind := lockShared
	if c.Bool("plan") {
		kind = lockRead
	}
	return p.withCopies(c, kind, func(ctx context.Context, r *repo.Repository, store *offsite.Store) error {
		return p.eachCopy(ctx, store, args, func(st *offsite.State) error {
			if !p.quiet && !p.json {
				fmt.Fprintf(p.stdout, "%s\n", copyLine(&st.Config))
			}
			if st.Config.Kind == offsite.Mirror {
				return p.runMirror(ctx, c, r, store, st)
			}
			return p.runTwin(ctx, c, r, store, st)
		})
	})
}

// runTwin copies what a twin lacks. ctx is that of the source's lock.
func (p *program) runTwin(ctx context.Context, c *cli.Context, r *repo.Repository, store *offsite.Store, st *offsite.State) error {
	kind := lockShared
	if c.Bool("plan") {
		kind = lockRead
	}
	all, damaged := r.AllSnapshots(ctx)
	if damaged != nil && !errors.Is(damaged, repo.ErrDamaged) {
		return damaged
	}
	return errors.Join(badSnapshot(damaged), p.withCopy(ctx, c, r, &st.Config, kind, func(within context.Context, to *repo.Repository) error {
		twin, err := store.Attach(st, to)
		if err != nil {
			return err
		}
		plan, err := repo.PlanCopy(within, r, to, st.Config.Choose(all))
		if err != nil {
			return err
		}
		nothing := len(plan.Snapshots) == 0 && plan.Blobs == 0 && plan.Found == 0
		if c.Bool("plan") || !nothing {
			if err := p.showCopyPlan(plan, c.Bool("plan")); err != nil || c.Bool("plan") {
				return err
			}
		}
		start := time.Now()
		res, err := p.applyCopy(within, to, plan)
		var lost error // what is not whole here
		if errors.Is(err, repo.ErrDamaged) && len(res.Lost) > 0 {
			lost, err = errors.Join(append(res.Lost, err)...), nil
		}
		if err != nil {
			return p.cutOff(ctx, store, st, start, err)
		}
		return errors.Join(lost, p.recordRun(ctx, within, store, twin, start, nothing, all))
	}))
}

// cutOff notes that a run did not come to its end. What it has put there is found by
// the next one.
func (p *program) cutOff(ctx context.Context, store *offsite.Store, st *offsite.State, start time.Time, err error) error {
	st.Cut(start)
	ctx, done := lasting(ctx, stopGrace)
	defer done()
	if failed := store.Save(ctx, st); failed != nil {
		p.warn("that the run was cut off could not be noted: %v", failed)
	}
	return err
}

// recordRun notes what a run has put to a copy, and shows it. ctx is that of the source's
// lock, within that of the copy's.
func (p *program) recordRun(ctx, within context.Context, store *offsite.Store, copied *offsite.Copy, start time.Time, nothing bool, all []*repo.Snapshot) error {
	st := copied.State
	runs := len(st.Runs)
	var problems []offsite.Problem
	if !nothing || !st.Noted(start) {
		var changed bool
		var err error
		problems, changed, err = copied.Record(within, offsite.Run{Time: start})
		if err == nil && changed {
			err = store.Save(ctx, st)
		}
		if err != nil {
			return err
		}
	}
	status := st.Status(all)
	m := offsiteRunMessage{
		MessageType: "offsite_run", Name: st.Config.Name, Nothing: nothing, Snapshots: len(status.Snapshots), Waiting: len(status.Waiting),
	}
	if n := len(st.Runs); n > runs {
		m.Packs, m.Bytes = st.Runs[n-1].Packs, st.Runs[n-1].Bytes
	}
	for _, problem := range problems {
		m.Problems = append(m.Problems, describeProblem(st.Config.Name, problem))
	}
	if err := p.showOffsiteRun(m, time.Since(start)); err != nil || len(problems) == 0 {
		return err
	}
	return badCopy(&st.Config, fmt.Errorf("%s: %w", plural(len(problems), "pack"), offsite.ErrBad))
}

func (p *program) showOffsiteRun(m offsiteRunMessage, took time.Duration) error {
	switch {
	case p.json:
		return p.emit(m)
	case p.quiet && len(m.Problems) == 0:
		return nil
	}
	var b strings.Builder
	switch {
	case m.Nothing:
		b.WriteString("  nothing to do: ")
	case m.Packs > 0:
		fmt.Fprintf(&b, "  put %s, %s there in %s: ", plural(m.Packs, "pack"), size(m.Bytes), duration(took))
	default: // files of a mirror, or snapshots whose content was there
		b.WriteString("  ")
	}
	fmt.Fprintf(&b, "%s of the repository's are there", plural(m.Snapshots, "snapshot"))
	if m.Waiting > 0 {
		fmt.Fprintf(&b, ", %s not", count(int64(m.Waiting)))
	}
	b.WriteString("\n")
	for _, problem := range m.Problems {
		fmt.Fprintf(&b, "  %s: %s\n", problem.Result, problem.File)
	}
	_, err := fmt.Fprint(p.stdout, b.String())
	return err
}

// runMirror makes a mirror equal to its source. ctx is that of the source's lock.
func (p *program) runMirror(ctx context.Context, c *cli.Context, r *repo.Repository, store *offsite.Store, st *offsite.State) error {
	at, err := p.mirrorPlace(c, st.Config.Address)
	if err != nil {
		return err
	}
	to, err := p.reachMirror(ctx, at, backend.OpenMirror)
	if err != nil {
		return err
	}
	defer closeBackend(to)
	within := ctx
	if !c.Bool("plan") {
		var done func()
		if within, done, err = occupy(ctx, at, to); err != nil {
			return err
		}
		defer done()
	}
	start := time.Now()
	err = p.mirror(within, c, r.Backend(), to, 0)
	if c.Bool("plan") {
		return err
	}
	if err != nil && !errors.Is(err, repo.ManyRemovals) {
		return p.cutOff(ctx, store, st, start, err)
	}
	m, failed := r.OpenMirror(ctx, to)
	if failed != nil {
		return errors.Join(err, at.named(failed))
	}
	mirrored, failed := store.Attach(st, m)
	if failed != nil {
		return errors.Join(err, failed)
	}
	all, failed := r.AllSnapshots(ctx)
	if failed != nil {
		return errors.Join(err, badSnapshot(failed))
	}
	return errors.Join(err, p.recordRun(ctx, ctx, store, mirrored, start, false, all))
}

// badCopy is the error of a copy that is damaged, with what can be done about it.
func badCopy(config *offsite.Config, err error) error {
	at := shown(config.Address)
	hint := "your repository is whole as it was; mend the copy from it: russet repair packs -r " + at + ", then russet repair index -r " + at +
		", then russet offsite run " + config.Name
	if isRemote(config.Address) {
		hint += "; where nothing may be removed this wants other credentials"
	}
	if config.Kind == offsite.Mirror {
		hint = "your repository is whole as it was; mend the copy from it: remove the files that are named in " + at + ", then russet offsite run " + config.Name
	}
	return remedied{err, hint}
}
