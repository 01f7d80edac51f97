package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"russet/internal/vobject"
	"russet/records"
	"russet/repo"
)

// recordMessage is a contact, an event or a reminder.
type recordMessage struct {
	MessageType   string              `json:"message_type" doc:"\"record\""`
	Kind          string              `json:"kind" doc:"contacts, calendar or reminders"`
	UID           string              `json:"uid" doc:"the same in every snapshot"`
	Container     string              `json:"container" doc:"the id of the account, calendar or list that holds it"`
	ContainerName string              `json:"container_name" doc:"as people see it"`
	Title         string              `json:"title" doc:"what people call it"`
	When          time.Time           `json:"when,omitzero" doc:"when an event begins or a reminder is due"`
	Modified      time.Time           `json:"modified,omitzero" doc:"when the phone says that it was changed last"`
	Fields        map[string][]string `json:"fields" doc:"what the table shows, by the names of its columns"`
	Object        string              `json:"object" doc:"all of it, as a vCard or an iCalendar object"`
}

// recordsMessage sums up what was read of a kind.
type recordsMessage struct {
	MessageType string             `json:"message_type" doc:"\"summary\""`
	Kind        string             `json:"kind" doc:"contacts, calendar or reminders"`
	Snapshot    string             `json:"snapshot" doc:"the id of the snapshot"`
	Shown       int                `json:"shown" doc:"records that were listed; with --since an event that repeats counts each time"`
	Records     int                `json:"records" doc:"how many there are in all"`
	Problems    int                `json:"problems" doc:"what could not be read or understood"`
	Complete    bool               `json:"complete" doc:"all databases could be read to their last row"`
	Readers     []string           `json:"readers" doc:"which layouts the databases have"`
	Containers  []containerMessage `json:"containers" doc:"accounts, calendars and lists"`
}

// containerMessage is an account, a calendar or a list.
type containerMessage struct {
	ID      string `json:"id" doc:"the same in every snapshot"`
	Name    string `json:"name" doc:"as people see it"`
	Account string `json:"account,omitempty" doc:"whose it is; absent where it is the phone's own"`
	Type    string `json:"type" doc:"local, carddav, caldav, exchange, subscribed, birthdays, suggested or other"`
	Host    string `json:"host,omitempty" doc:"the server that the phone syncs it with, where that is known"`
	Synced  bool   `json:"synced" doc:"a sync takes it unless it is told otherwise"`
	Records int    `json:"records" doc:"how many it holds"`
}

func (p *program) showVerb() *cli.Command {
	return &cli.Command{
		Name:      "show",
		Category:  groupLook,
		Usage:     "list the contacts, events or reminders in a snapshot",
		ArgsUsage: joinKindsBy("|") + " [SNAPSHOT]",
		UsageText: "russet show contacts\n" +
			"russet show contacts latest:00008030 --search miller\n" +
			"russet show calendar --since 2026-11-01\n" +
			"russet show reminders 1a2b3c4d --in Family --json",
		Description: "Reads the phone's databases in a snapshot, the latest if none is named, and lists what they\n" +
			"hold. Nothing is copied to this computer. What cannot be read is said, and the rest is shown\n" +
			"(exit code 3).\n" +
			"\n" +
			"--since takes events that happen on that day or later, each time that one that repeats\n" +
			"does (a year ahead at most), and contacts and reminders that were changed since.",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "search", Usage: "those that hold `TEXT`, whatever the case"},
			&cli.StringFlag{Name: "since", Usage: "those since `DAY`, such as 2026-03-31"},
			containerFlag("those"),
		}, readFlags()...),
		BashComplete: completeKinds,
		Action: func(c *cli.Context) error {
			kind, err := kindArgument(c)
			if err != nil {
				return err
			}
			since, err := parseDay("since", c.String("since"))
			if err != nil {
				return err
			}
			return p.withRecords(c, kind, func(_ context.Context, s *repo.Snapshot, set *records.Set) error {
				m := describeSet(s, set)
				if err := chooseContainers(set, c.StringSlice("in")); err != nil {
					return err
				}
				shown, err := p.listRecords(set, since, c.String("search"))
				if err != nil {
					return err
				}
				m.Problems = len(set.Problems)
				err = p.tellProblems(set)
				return errors.Join(p.sumRecords(s, m, shown), err)
			})
		},
	}
}

// shownRecord is a record with its row; of an event that repeats there may be
// several.
type shownRecord struct {
	record *records.Record
	row    records.Row
}

// ahead bounds how far into the future an event that repeats is followed.
const ahead = 366 * 24 * time.Hour

// selectRecords are the records that a person asks for, in the order of a table:
// events and reminders by time, contacts by name.
func selectRecords(set *records.Set, since time.Time, search string) []shownRecord {
	var list []shownRecord
	for i := range set.Records {
		rec := &set.Records[i]
		row := records.Summary(set.Kind, *rec)
		if search != "" && !row.Matches(search) {
			continue
		}
		switch {
		case since.IsZero():
			list = append(list, shownRecord{rec, row})
		case set.Kind == records.Calendar:
			times, err := records.Occurrences(rec.Object, since, since.Add(ahead))
			if err != nil {
				set.Problems = append(set.Problems, records.Problem{Text: "an event is shown once only: " + err.Error()})
				list = append(list, shownRecord{rec, row})
			}
			for _, o := range times {
				list = append(list, shownRecord{rec, at(records.Summary(set.Kind, *rec), o)})
			}
		case !rec.Modified.Before(since):
			list = append(list, shownRecord{rec, row})
		}
	}
	slices.SortStableFunc(list, func(a, b shownRecord) int {
		return cmp.Or(a.row.When.Compare(b.row.When), strings.Compare(strings.ToLower(a.row.Title), strings.ToLower(b.row.Title)))
	})
	return list
}

// at makes the row of an event that of one time at which it takes place.
func at(row records.Row, o records.Occurrence) records.Row {
	row.When = o.Start
	begin, end := o.Start.Format(time.RFC3339), o.End.Format(time.RFC3339)
	if o.AllDay {
		begin, end = o.Start.Format(time.DateOnly), o.End.AddDate(0, 0, -1).Format(time.DateOnly)
	}
	row.Fields[0], row.Fields[1] = []string{begin}, []string{end}
	if title := vobject.Unescape(o.Event.Value("SUMMARY")); title != "" {
		row.Title, row.Fields[2] = title, []string{title}
	}
	return row
}

// listRecords prints the records that are asked for, and returns them.
func (p *program) listRecords(set *records.Set, since time.Time, search string) ([]shownRecord, error) {
	list := selectRecords(set, since, search)
	names, columns := containerNames(set), records.Columns(set.Kind)
	if p.json {
		for _, s := range list {
			if err := p.emit(describeRecord(set.Kind, s, names, columns)); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	if len(list) == 0 {
		p.note("nothing was found")
		return nil, nil
	}
	t := table{head: append(slices.Clone(columns[:shownColumns]), "in")}
	for _, s := range list {
		t.add(append(shortened(s.row.Text()[:shownColumns]), names[s.record.Container])...)
	}
	_, err := fmt.Fprint(p.stdout, t.String())
	return list, err
}

// shownColumns is how many of a record's columns a table has: the first ones say
// what people look for, and all stand in CSV and JSON.
const shownColumns = 5

// maxCell is the width in columns of what stands in one cell of a table of records.
const maxCell = 40

// shortened makes texts fit into a table.
func shortened(texts []string) []string {
	for i, text := range texts {
		line, rest, _ := strings.Cut(strings.TrimSpace(text), "\n")
		if rest != "" {
			line += " …"
		}
		texts[i] = elide(visible(line), maxCell)
	}
	return texts
}

func describeRecord(kind records.Kind, s shownRecord, names map[string]string, columns []string) recordMessage {
	fields := map[string][]string{}
	for i, values := range s.row.Fields {
		if len(values) > 0 {
			fields[columns[i]] = values
		}
	}
	return recordMessage{
		"record", string(kind), s.record.UID, s.record.Container, names[s.record.Container],
		s.row.Title, s.row.When, s.record.Modified, fields, string(s.record.Object.Bytes()),
	}
}

// describeSet says what a snapshot holds of a kind.
func describeSet(s *repo.Snapshot, set *records.Set) recordsMessage {
	m := recordsMessage{
		MessageType: "summary", Kind: string(set.Kind), Snapshot: s.ID().String(), Records: len(set.Records),
		Complete: set.Complete, Readers: set.Readers, Containers: []containerMessage{},
	}
	held := map[string]int{}
	for _, r := range set.Records {
		held[r.Container]++
	}
	for _, c := range set.Containers {
		m.Containers = append(m.Containers, containerMessage{c.ID, c.Name, c.Account, c.Type, c.Host, c.Synced, held[c.ID]})
	}
	return m
}

// sumRecords says how much was shown, and what else there is.
func (p *program) sumRecords(s *repo.Snapshot, m recordsMessage, list []shownRecord) error {
	m.Shown = len(list)
	if p.json {
		return p.emit(m)
	}
	if p.quiet {
		return nil
	}
	distinct := map[*records.Record]bool{}
	for _, r := range list {
		distinct[r.record] = true
	}
	text := plural(len(distinct), "entry")
	if len(distinct) != 1 {
		text = count(int64(len(distinct))) + " entries"
	}
	text += " of " + count(int64(m.Records))
	if len(distinct) < len(list) {
		text += " at " + plural(len(list), "time")
	}
	_, err := fmt.Fprintf(p.stdout, "%s, snapshot %s\n", text, nameSnapshot(s))
	return err
}
