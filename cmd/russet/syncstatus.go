package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"russet/merge"
	"russet/reconcile"
	"russet/repo"
)

// syncStatusMessage is where a sync stands.
type syncStatusMessage struct {
	MessageType string           `json:"message_type" doc:"\"sync\""`
	Name        string           `json:"name" doc:"its name"`
	Kind        string           `json:"kind" doc:"contacts, calendar or reminders"`
	From        string           `json:"from" doc:"the UDID of a phone, or a folder"`
	To          string           `json:"to" doc:"the target"`
	Direction   string           `json:"direction" doc:"safe, mirror or two-way"`
	Records     int              `json:"records" doc:"that both sides have"`
	Removed     int              `json:"removed" doc:"that were removed at the target, and that the source still has"`
	Orphans     int              `json:"orphans" doc:"that the source no longer has, and that stay at the target as they were edited there"`
	Conflicts   int              `json:"conflicts" doc:"that wait for a decision"`
	Snapshot    time.Time        `json:"snapshot,omitzero" doc:"the time of the snapshot that was pushed last"`
	Unfinished  bool             `json:"unfinished" doc:"a run was cut off, or is under way"`
	Runs        []syncJournalRow `json:"runs" doc:"the last ones, oldest first; of status without a name only the last"`
}

// syncJournalRow is a run in the past.
type syncJournalRow struct {
	Run     int       `json:"run" doc:"its number"`
	Time    time.Time `json:"time" doc:"when"`
	Kind    string    `json:"kind" doc:"sync, push, resolve or undo"`
	Created int       `json:"created" doc:"records"`
	Updated int       `json:"updated" doc:"records"`
	Deleted int       `json:"deleted" doc:"records"`
	Failed  int       `json:"failed" doc:"writes that were not done"`
	Cut     bool      `json:"cut" doc:"it was cut off: what it did is what the next one found of it"`
}

// syncStatus is sync status.
func (p *program) syncStatus(c *cli.Context, args []string) error {
	return p.withSyncs(c, lockRead, func(ctx context.Context, _ *repo.Repository, store *reconcile.RepoStore) error {
		if len(args) == 1 {
			st, err := store.Load(ctx, args[0])
			if err != nil {
				return fmt.Errorf("look at sync %s: %w", args[0], err)
			}
			return p.showSync(ctx, store, args[0], st.Runs)
		}
		names, err := store.Names(ctx)
		if err != nil {
			return err
		}
		if len(names) == 0 {
			p.note("there are no syncs; russet sync add makes one")
		}
		var failed error
		for _, name := range names {
			failed = errors.Join(failed, p.showSync(ctx, store, name, nil))
		}
		return failed
	})
}

// showSync prints where a sync stands, and its runs, or the last one.
func (p *program) showSync(ctx context.Context, store *reconcile.RepoStore, name string, runs []reconcile.Run) error {
	s, err := reconcile.ReadStatus(ctx, store, name)
	if err != nil {
		return err
	}
	if runs == nil && s.Last != nil {
		runs = []reconcile.Run{*s.Last}
	}
	c := &s.Config
	d := describeSync("sync", c)
	m := syncStatusMessage{
		d.MessageType, d.Name, d.Kind, d.From, d.To, d.Direction, s.Records, s.Removed, s.Orphans, s.Conflicts, s.Origin.Time, s.Unfinished > 0, []syncJournalRow{},
	}
	for i := range runs {
		m.Runs = append(m.Runs, journalRow(&runs[i]))
	}
	if p.json {
		return p.emit(m)
	}
	var text strings.Builder
	text.WriteString(visible(c.String()) + "\n")
	text.WriteString(fmt.Sprintf("  %s on both sides", plural(s.Records, "record")))
	for _, part := range []struct {
		n    int
		what string
	}{{s.Removed, "removed at the target"}, {s.Orphans, "gone from the source and kept at the target"}, {s.Conflicts, "waiting for a decision"}} {
		if part.n > 0 {
			text.WriteString(fmt.Sprintf(", %s %s", count(int64(part.n)), part.what))
		}
	}
	text.WriteString("\n")
	if s.Unfinished > 0 {
		text.WriteString(fmt.Sprintf("  run %d was cut off, or is under way; the next one goes on\n", s.Unfinished))
	}
	for _, r := range m.Runs {
		text.WriteString("  " + r.text() + "\n")
	}
	_, err = fmt.Fprint(p.stdout, text.String())
	return err
}

func journalRow(run *reconcile.Run) syncJournalRow {
	r := syncJournalRow{Run: run.Number, Time: run.Time, Kind: run.Kind, Failed: run.Failed, Cut: run.Cut}
	for _, d := range run.Done {
		switch d.Action {
		case merge.Create:
			r.Created++
		case merge.Update:
			r.Updated++
		case merge.Delete:
			r.Deleted++
		}
	}
	return r
}

// text is a run in a line.
func (r syncJournalRow) text() string {
	text := fmt.Sprintf("run %d, %s, %s: %d created, %d updated, %d deleted", r.Run, moment(r.Time, time.Local), r.Kind, r.Created, r.Updated, r.Deleted)
	if r.Failed > 0 {
		text += fmt.Sprintf(", %d failed", r.Failed)
	}
	if r.Cut {
		text += "; it was cut off"
	}
	return text
}

// syncConflicts is sync conflicts.
func (p *program) syncConflicts(c *cli.Context, args []string) error {
	what := strings.Join(args[1:min(2, len(args))], "")
	switch {
	case what != "" && what != "show" && what != "resolve" || what == "resolve" && len(args) != 3:
		return usageError{"sync conflicts takes NAME, NAME show [UID], or NAME resolve UID"}
	case what != "resolve" && (c.IsSet("take") || c.IsSet("file") || c.IsSet("plan") || c.IsSet("approve")):
		return usageError{"--take, --file, --plan and --approve are for sync conflicts NAME resolve UID"}
	case what == "resolve":
		return p.resolveConflict(c, args[0], args[2])
	}
	key := strings.Join(args[min(2, len(args)):], "")
	return p.withSyncs(c, lockRead, func(ctx context.Context, _ *repo.Repository, store *reconcile.RepoStore) error {
		st, err := store.Load(ctx, args[0])
		if err != nil {
			return fmt.Errorf("look at sync %s: %w", args[0], err)
		}
		return p.listConflicts(ctx, store, st, key, what == "show")
	})
}

// listConflicts prints the records that wait, or one of them; whole also what both
// sides have.
func (p *program) listConflicts(ctx context.Context, store *reconcile.RepoStore, st *reconcile.State, key string, whole bool) error {
	shown := 0
	for _, conflict := range st.Conflicts {
		if key != "" && !strings.EqualFold(key, conflict.Key) {
			continue
		}
		shown++
		m := syncWaitingMessage{MessageType: "conflict", UID: conflict.Key, Cause: string(conflict.Cause), Properties: conflict.Properties, Since: conflict.Time}
		for _, side := range []*string{&m.Source, &m.Target} {
			id := conflict.Source
			if side == &m.Target {
				id = conflict.Target
			}
			if id.IsZero() {
				continue
			}
			body, err := store.Body(ctx, st.Config.Name, id)
			if err != nil {
				return err
			}
			*side, m.Title = string(body), reconcile.Title(body)
		}
		if p.json {
			if err := p.emit(m); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(p.stdout, "%s  %s\n  %s: %s\n", visible(m.UID), visible(m.Title), m.Cause, visible(strings.Join(m.Properties, ", ")))
		if whole {
			fmt.Fprintf(p.stdout, "at the source:\n%sat the target:\n%s", contentLines(m.Source), contentLines(m.Target))
		}
	}
	switch {
	case key != "" && shown == 0:
		return fmt.Errorf("look for a conflict about %q: %w", key, errNotWaiting)
	case shown == 0:
		p.note("nothing waits for a decision")
	}
	return nil
}

// longestLine is how much of a content line is shown: a picture is one line.
const longestLine = 400

// contentLines makes the content lines of a record safe for a terminal, unfolded
// (RFC 5545, 3.1), each on a line of its own. Those of pictures are cut.
func contentLines(text string) string {
	text = strings.NewReplacer("\r\n ", "", "\r\n\t", "", "\n ", "", "\n\t", "").Replace(text)
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = visible(strings.TrimRight(line, "\r\n"))
		if more := len(line) - longestLine; more > 0 {
			line = fmt.Sprintf("%s... and %d bytes more", strings.ToValidUTF8(line[:longestLine], ""), more)
		}
		b.WriteString("  " + line + "\n")
	}
	return b.String()
}

// resolveConflict does what a person decides about a record that waits.
func (p *program) resolveConflict(c *cli.Context, name, key string) error {
	take := reconcile.Resolution(c.String("take"))
	var merged []byte
	switch {
	case take == "":
		return usageError{"sync conflicts resolve wants to know what counts: --take source, target, keep-both, or merged with --file"}
	case take != reconcile.TakeSource && take != reconcile.TakeTarget && take != reconcile.TakeBoth && take != reconcile.TakeMerged:
		return usageError{fmt.Sprintf("--take %q: it is source, target, merged or keep-both", take)}
	case (take == reconcile.TakeMerged) != c.IsSet("file"):
		return usageError{"--file goes with --take merged"}
	case take == reconcile.TakeMerged:
		data, err := os.ReadFile(c.String("file"))
		if err != nil {
			return fmt.Errorf("read the merged record: %w", err)
		}
		merged = data
	}
	return p.carryOut(c, order{name: name, approved: c.String("approve"), plan: func(ctx context.Context, _ *repo.Repository, s *reconcile.Sync) (*reconcile.Plan, error) {
		for _, waiting := range s.State().Conflicts {
			if strings.EqualFold(waiting.Key, key) {
				return s.PlanResolve(ctx, waiting.Key, take, merged)
			}
		}
		return nil, fmt.Errorf("look for a conflict about %q: %w", key, errNotWaiting)
	}})
}
