package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"russet/records"
	"russet/repo"
)

// recordChangeMessage is one record that differs between two snapshots.
type recordChangeMessage struct {
	MessageType string   `json:"message_type" doc:"\"record_change\""`
	Kind        string   `json:"kind" doc:"contacts, calendar or reminders"`
	Modifier    string   `json:"modifier" doc:"+ new, - gone, M changed"`
	UID         string   `json:"uid" doc:"the record's"`
	Title       string   `json:"title" doc:"what people call it"`
	Container   string   `json:"container" doc:"the id of the account, calendar or list that holds it"`
	Properties  []string `json:"properties,omitempty" doc:"of a changed record: the names of what differs, as vCard and iCalendar have them; CONTAINER of one that was moved"`
	Before      string   `json:"before,omitempty" doc:"all of it in the first snapshot"`
	After       string   `json:"after,omitempty" doc:"all of it in the second snapshot"`
}

// recordChangesMessage sums up how the records of a kind differ.
type recordChangesMessage struct {
	MessageType string `json:"message_type" doc:"\"record_statistics\""`
	Kind        string `json:"kind" doc:"contacts, calendar or reminders"`
	Source      string `json:"source_snapshot" doc:"the id of the first"`
	Target      string `json:"target_snapshot" doc:"the id of the second"`
	New         int    `json:"new" doc:"records that only the second has"`
	Gone        int    `json:"gone" doc:"records that only the first has"`
	Changed     int    `json:"changed" doc:"records that differ"`
	Same        bool   `json:"same" doc:"the databases are the same, and were not read"`
	Complete    bool   `json:"complete" doc:"both could be read to the last row; else some that are new or gone are not told"`
}

// diffRecords compares two snapshots record by record.
func (p *program) diffRecords(ctx context.Context, r *repo.Repository, first, second *repo.Snapshot) error {
	before, err := phoneFiles(ctx, r, first)
	if err != nil {
		return err
	}
	after, err := phoneFiles(ctx, r, second)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(p.stdout)
	if !p.json && !p.quiet {
		fmt.Fprintf(w, "from %s to %s\n\n", nameSnapshot(first), nameSnapshot(second))
	}
	var sums []string
	var problems error
	for _, kind := range kindNames {
		m := recordChangesMessage{MessageType: "record_statistics", Kind: string(kind), Source: first.ID().String(), Target: second.ID().String(), Complete: true}
		changes, problem, err := p.compareKind(ctx, kind, before, after, &m)
		if err != nil {
			return fmt.Errorf("compare %s: %w", kind, err)
		}
		problems = errors.Join(problems, problem)
		if err := p.showRecordChanges(w, kind, changes); err != nil {
			return err
		}
		if p.json {
			if err := emitTo(w, m); err != nil {
				return err
			}
		}
		sums = append(sums, sumChanges(kind, m)...)
	}
	if !p.json && !p.quiet {
		text := strings.Join(sums, ", ")
		fmt.Fprintln(w, cmp.Or(text, "no contact, event or reminder differs"))
	}
	return errors.Join(w.Flush(), problems)
}

// compareKind compares the records of one kind and fills in m. What could not be
// read is told, and the error for it is problem.
func (p *program) compareKind(ctx context.Context, kind records.Kind, before, after fs.FS, m *recordChangesMessage) (changes []records.Change, problem, err error) {
	first, err := storeBlobs(before, kind)
	if err != nil {
		return nil, nil, err
	}
	second, err := storeBlobs(after, kind)
	if err != nil {
		return nil, nil, err
	}
	if m.Same = first == second; m.Same {
		return nil, nil, nil
	}
	sets, err := readBoth(ctx, kind, before, after)
	if err != nil {
		return nil, nil, err
	}
	for _, set := range sets {
		problem = errors.Join(problem, p.tellProblems(set))
		m.Complete = m.Complete && set.Complete
	}
	changes = records.Diff(sets[0], sets[1])
	for _, c := range changes {
		switch {
		case c.Before == nil:
			m.New++
		case c.After == nil:
			m.Gone++
		default:
			m.Changed++
		}
	}
	return changes, problem, nil
}

// readBoth reads the records of one kind in two snapshots, both at once. One without
// any database of the kind has none: a phone that never had any.
func readBoth(ctx context.Context, kind records.Kind, before, after fs.FS) (sets [2]*records.Set, err error) {
	var failed [2]error
	var both sync.WaitGroup
	for i, files := range []fs.FS{before, after} {
		both.Go(func() {
			sets[i], failed[i] = records.Read(ctx, files, kind)
			if errors.Is(failed[i], records.ErrNoStore) {
				sets[i], failed[i] = &records.Set{Kind: kind, Complete: true}, nil
			}
		})
	}
	both.Wait()
	return sets, errors.Join(failed[:]...)
}

// showRecordChanges lists what differs.
func (p *program) showRecordChanges(w *bufio.Writer, kind records.Kind, changes []records.Change) error {
	for _, c := range changes {
		modifier, rec := "M", c.After
		switch {
		case c.Before == nil:
			modifier = "+"
		case c.After == nil:
			modifier, rec = "-", c.Before
		}
		title := records.Summary(kind, *rec).Title
		if !p.json {
			what := ""
			if len(c.Properties) > 0 {
				what = "  (" + strings.Join(c.Properties, ", ") + ")"
			}
			fmt.Fprintf(w, "%s  %-9s  %s%s\n", modifier, kind, visible(title), visible(what))
			continue
		}
		m := recordChangeMessage{"record_change", string(kind), modifier, rec.UID, title, rec.Container, c.Properties, "", ""}
		if c.Before != nil {
			m.Before = string(c.Before.Object.Bytes())
		}
		if c.After != nil {
			m.After = string(c.After.Object.Bytes())
		}
		if err := emitTo(w, m); err != nil {
			return err
		}
	}
	return nil
}

// sumChanges says in words how many records of a kind differ: "3 contacts changed".
func sumChanges(kind records.Kind, m recordChangesMessage) []string {
	thing := map[records.Kind]string{records.Contacts: "contact", records.Calendar: "event", records.Reminders: "reminder"}[kind]
	var parts []string
	for _, part := range []struct {
		n    int
		what string
	}{{m.Changed, "changed"}, {m.New, "new"}, {m.Gone, "gone"}} {
		if part.n > 0 {
			parts = append(parts, plural(part.n, thing)+" "+part.what)
		}
	}
	return parts
}
