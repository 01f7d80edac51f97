package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"russet/offsite"
	"russet/repo"
)

// offsiteStatusMessage is where a copy stands.
type offsiteStatusMessage struct {
	MessageType string                   `json:"message_type" doc:"\"offsite\""`
	Name        string                   `json:"name" doc:"its name"`
	Kind        string                   `json:"kind" doc:"twin or mirror"`
	To          string                   `json:"to" doc:"its address"`
	LastRun     time.Time                `json:"last_run,omitzero" doc:"when it was last brought up to date; absent: never"`
	LastVerify  time.Time                `json:"last_verify,omitzero" doc:"when it was last verified; absent: never"`
	Cut         bool                     `json:"cut,omitempty" doc:"the last run did not come to its end"`
	Stale       bool                     `json:"stale,omitempty" doc:"it was not brought up to date for --max-age"`
	Snapshots   []offsiteStandingMessage `json:"snapshots" doc:"of the repository's that stand there"`
	Proven      int                      `json:"proven" doc:"of those, all of whose packs are proven"`
	ProvenSince time.Time                `json:"proven_since,omitzero" doc:"as of when the one of these is proven that was longest ago"`
	Broken      int                      `json:"broken" doc:"snapshots that need what is damaged or missing there"`
	Waiting     []string                 `json:"waiting" doc:"the ids of snapshots that are wanted there and are not there yet"`
	Elsewhere   int                      `json:"elsewhere" doc:"snapshots that stand there and that the repository has not, or that are not wanted"`
	Packs       int                      `json:"packs" doc:"of the copy"`
	Bytes       int64                    `json:"bytes" doc:"of those"`
	NeverProven int                      `json:"never_proven" doc:"packs that no run has proven yet"`
	Bad         int                      `json:"bad" doc:"packs that are damaged or missing"`
	Oldest      time.Time                `json:"oldest_proof,omitzero" doc:"of all packs that are proven"`
	Runs        []offsiteJournalMessage  `json:"runs,omitempty" doc:"the last ones, oldest first, of a copy that is named"`
}

// offsiteStandingMessage is a snapshot on a copy.
type offsiteStandingMessage struct {
	Path   string    `json:"path" doc:"of the device"`
	Time   time.Time `json:"time" doc:"of the snapshot"`
	Tree   string    `json:"tree" doc:"the id of its tree, which is the same on the copy"`
	Proven time.Time `json:"proven,omitzero" doc:"as of when all that it needs there is proven; absent: not yet"`
	Broken bool      `json:"broken,omitempty" doc:"something that it needs is damaged or missing there"`
}

// offsiteJournalMessage is a run in the past.
type offsiteJournalMessage struct {
	Time      time.Time `json:"time" doc:"when it began"`
	Action    string    `json:"action" doc:"run or verify"`
	Snapshots int       `json:"snapshots" doc:"that were put there"`
	Packs     int       `json:"packs" doc:"that were put there, or proven"`
	Bytes     int64     `json:"bytes" doc:"that were put there, or read"`
	Bad       int       `json:"bad" doc:"packs that were damaged or missing"`
	Cut       bool      `json:"cut,omitempty" doc:"it did not come to its end"`
}

// offsiteStatus is offsite status.
func (p *program) offsiteStatus(c *cli.Context, args []string) error {
	age := time.Duration(0)
	if c.IsSet("max-age") {
		var err error
		if age, err = parseAge("--max-age", c.String("max-age")); err != nil {
			return err
		}
	}
	now := time.Now()
	return p.withCopies(c, lockRead, func(ctx context.Context, r *repo.Repository, store *offsite.Store) error {
		all, damaged := r.AllSnapshots(ctx)
		if damaged != nil && !errors.Is(damaged, repo.ErrDamaged) {
			return damaged
		}
		return errors.Join(badSnapshot(damaged), p.eachCopy(ctx, store, args, func(st *offsite.State) error {
			s := st.Status(all)
			stale := age > 0 && now.Sub(s.LastRun) > age
			if err := p.showStanding(st, s, stale, len(args) > 0); err != nil {
				return err
			}
			switch {
			case s.Bad > 0:
				return badCopy(&st.Config, fmt.Errorf("%s damaged or missing: %w", plural(s.Bad, "pack"), offsite.ErrBad))
			case stale && s.LastRun.IsZero():
				return fmt.Errorf("no run has come to its end yet: %w", errStale)
			case stale:
				return fmt.Errorf("the last run was %s: %w", moment(s.LastRun, time.Local), errStale)
			}
			return nil
		}))
	})
}

// showStanding prints where a copy stands; whole also each snapshot and run.
func (p *program) showStanding(st *offsite.State, s offsite.Status, stale, whole bool) error {
	if !p.json {
		return p.printStanding(st, s, whole)
	}
	m := offsiteStatusMessage{
		MessageType: "offsite", Name: st.Config.Name, Kind: string(st.Config.Kind), To: shown(st.Config.Address), LastRun: s.LastRun, LastVerify: s.LastVerify,
		Cut: s.Cut, Stale: stale, Snapshots: []offsiteStandingMessage{}, Proven: s.Proven, ProvenSince: s.Since, Broken: s.Broken, Waiting: []string{},
		Elsewhere: s.Elsewhere, Packs: s.Packs, Bytes: s.Bytes, NeverProven: s.NeverProven, Bad: s.Bad, Oldest: s.Oldest,
	}
	for _, row := range s.Snapshots {
		m.Snapshots = append(m.Snapshots, offsiteStandingMessage{row.Path, row.Time, row.Tree.String(), row.Proven, row.Broken})
	}
	for _, sn := range s.Waiting {
		m.Waiting = append(m.Waiting, sn.ID().String())
	}
	if whole {
		for _, run := range st.Runs {
			m.Runs = append(m.Runs, offsiteJournalMessage{run.Time, string(run.Action), run.Snapshots, run.Packs, run.Bytes, run.Bad, run.Cut})
		}
	}
	return p.emit(m)
}

// printStanding is showStanding for people.
func (p *program) printStanding(st *offsite.State, s offsite.Status, whole bool) error {
	day := func(t time.Time) string {
		if t.IsZero() {
			return "never"
		}
		return moment(t, time.Local)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n  last run %s, last verified %s\n", copyLine(&st.Config), day(s.LastRun), day(s.LastVerify))
	if s.Cut {
		b.WriteString("  the last one was cut off; the next one goes on\n")
	}
	fmt.Fprintf(&b, "  %s there, %s not yet", plural(len(s.Snapshots), "snapshot"), count(int64(len(s.Waiting))))
	if s.Elsewhere > 0 {
		fmt.Fprintf(&b, ", %s there alone", count(int64(s.Elsewhere)))
	}
	fmt.Fprintf(&b, "\n  %s proven", count(int64(s.Proven)))
	if s.Proven > 0 {
		fmt.Fprintf(&b, ", as of %s or later", day(s.Since))
	}
	if s.Broken > 0 {
		fmt.Fprintf(&b, "; %s broken", count(int64(s.Broken)))
	}
	fmt.Fprintf(&b, "\n  %s, %s: %s never proven", plural(s.Packs, "pack"), size(s.Bytes), count(int64(s.NeverProven)))
	if s.Bad > 0 {
		fmt.Fprintf(&b, ", %s damaged or missing", count(int64(s.Bad)))
	}
	if !s.Oldest.IsZero() {
		fmt.Fprintf(&b, ", the oldest proof of %s", day(s.Oldest))
	}
	b.WriteString("\n")
	if whole {
		printRows(&b, st, s, day)
	}
	_, err := fmt.Fprint(p.stdout, b.String())
	return err
}

// printRows prints each snapshot that stands there or does not yet, and each run.
func printRows(b *strings.Builder, st *offsite.State, s offsite.Status, day func(time.Time) string) {
	for _, row := range s.Snapshots {
		proof := "not proven"
		switch {
		case row.Broken:
			proof = "broken"
		case !row.Proven.IsZero():
			proof = "proven " + day(row.Proven)
		}
		fmt.Fprintf(b, "  %s  %s  %s\n", moment(row.Time, time.Local), visible(strings.TrimPrefix(row.Path, "/")), proof)
	}
	for _, sn := range s.Waiting {
		fmt.Fprintf(b, "  %s  %s  not there yet\n", moment(sn.Time, time.Local), visible(strings.TrimPrefix(strings.Join(sn.Paths, " "), "/")))
	}
	for _, run := range st.Runs {
		fmt.Fprintf(b, "  %s %s: %s, %s", run.Action, day(run.Time), plural(run.Packs, "pack"), size(run.Bytes))
		if run.Snapshots > 0 {
			fmt.Fprintf(b, ", %s", plural(run.Snapshots, "snapshot"))
		}
		if run.Bad > 0 {
			fmt.Fprintf(b, ", %s bad", plural(run.Bad, "pack"))
		}
		if run.Cut {
			b.WriteString("; cut off")
		}
		b.WriteString("\n")
	}
}
