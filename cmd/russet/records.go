package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"russet/capture"
	"russet/chunk"
	"russet/records"
	"russet/repo"
)

// kindNames are the kinds of records, as people name them.
var kindNames = []records.Kind{records.Contacts, records.Calendar, records.Reminders}

// recordProblemMessage is something in a phone's database that could not be read.
type recordProblemMessage struct {
	MessageType string `json:"message_type" doc:"\"problem\""`
	Kind        string `json:"kind" doc:"contacts, calendar or reminders"`
	Store       string `json:"store,omitempty" doc:"the database, as DOMAIN/PATH; absent where it is about one record"`
	Row         int64  `json:"row,omitempty" doc:"of the database; absent where it is about more than one"`
	Text        string `json:"text" doc:"what is wrong"`
	Lost        bool   `json:"lost" doc:"a record, or a part of one, is missing because of it"`
}

// parseKind reads a kind of records.
func parseKind(text string) (records.Kind, error) {
	for _, kind := range kindNames {
		if string(kind) == text || string(kind) == text+"s" {
			return kind, nil
		}
	}
	return "", usageError{fmt.Sprintf("%q is no kind of records; there are %s", text, joinKinds())}
}

func joinKinds() string { return enumerate(kindWords(), "and") }

func kindWords() []string {
	var names []string
	for _, kind := range kindNames {
		names = append(names, string(kind))
	}
	return names
}

// joinKindsBy names the kinds in one word.
func joinKindsBy(separator string) string { return strings.Join(kindWords(), separator) }

// kindArgument reads the arguments KIND [SNAPSHOT].
func kindArgument(c *cli.Context) (records.Kind, error) {
	if c.NArg() < 1 || c.NArg() > 2 {
		verb := c.Command.Name
		return "", usageError{fmt.Sprintf("%s wants to know what to %s: %s; and, after that, at most one snapshot", verb, verb, enumerate(kindWords(), "or"))}
	}
	return parseKind(c.Args().First())
}

// withRecords reads the records of a kind in the snapshot that is the second argument,
// or in the latest.
func (p *program) withRecords(c *cli.Context, kind records.Kind, work func(context.Context, *repo.Snapshot, *records.Set) error) error {
	return p.withRepository(c, lockRead, func(ctx context.Context, r *repo.Repository) error {
		s, err := p.loadSnapshot(ctx, r, cmp.Or(c.Args().Get(1), latestName))
		if err != nil {
			return err
		}
		set, err := readRecords(ctx, r, s, kind)
		if err != nil {
			return err
		}
		return work(ctx, s, set)
	})
}

// completeKinds offers the kinds.
func completeKinds(c *cli.Context) {
	for _, kind := range kindWords() {
		fmt.Fprintln(c.App.Writer, kind)
	}
}

// phoneFiles are the phone's files in a snapshot, readable.
func phoneFiles(ctx context.Context, r *repo.Repository, s *repo.Snapshot) (fs.FS, error) {
	if err := unreadable(ctx, r, s); err != nil {
		return nil, fmt.Errorf("read snapshot %s: %w", shortID(s), err)
	}
	v, err := capture.Open(ctx, r, s)
	if err != nil {
		return nil, err
	}
	return fs.Sub(v.FS(ctx), "Files")
}

// readRecords reads the records of one kind in a snapshot.
func readRecords(ctx context.Context, r *repo.Repository, s *repo.Snapshot, kind records.Kind) (*records.Set, error) {
	files, err := phoneFiles(ctx, r, s)
	if err != nil {
		return nil, err
	}
	set, err := records.Read(ctx, files, kind)
	switch {
	case errors.Is(err, records.ErrNoStore):
		err = situation{err, errNoRecords}
	case errors.Is(err, records.ErrUnknownLayout):
		err = situation{err, errUnknownLayout}
	}
	if err != nil {
		return nil, fmt.Errorf("read snapshot %s: %w", shortID(s), err)
	}
	return set, nil
}

// storeBlobs name the content of all databases of a kind in a snapshot: where they
// are the same, so are the records.
func storeBlobs(files fs.FS, kind records.Kind) (string, error) {
	names, err := records.Stores(files, kind)
	if err != nil {
		return "", err
	}
	var ids []byte
	for _, name := range names {
		info, err := fs.Stat(files, name)
		if err != nil {
			return "", err
		}
		n, ok := info.Sys().(*repo.Node)
		if !ok {
			return "", fmt.Errorf("look at %s: it is not in a repository", name)
		}
		ids = append(append(ids, name...), 0)
		for _, id := range n.Content {
			ids = append(ids, id[:]...)
		}
	}
	return chunk.Sum(ids).String(), nil
}

// tellProblems says what could not be read, and returns an error where records
// are missing because of it.
func (p *program) tellProblems(set *records.Set) error {
	lost := !set.Complete
	for _, problem := range set.Problems {
		lost = lost || problem.Lost
		if p.json {
			err := p.emit(recordProblemMessage{"problem", string(set.Kind), problem.Store, problem.Row, problem.Text, problem.Lost})
			if err != nil {
				return err
			}
			continue
		}
		p.warn("%s", problemText(problem))
	}
	if lost {
		return fmt.Errorf("read %s: some of it cannot be read: %w", set.Kind, errIncomplete)
	}
	return nil
}

// problemText is a problem as people read it, with its place.
func problemText(problem records.Problem) string {
	text := visible(problem.Text)
	if problem.Store == "" {
		return text
	}
	where := visible(problem.Store)
	if problem.Row != 0 {
		where += fmt.Sprintf(", row %d", problem.Row)
	}
	return where + ": " + text
}

// containerFlag chooses accounts, calendars and lists.
func containerFlag(what string) cli.Flag {
	return &cli.StringSliceFlag{Name: "in", Usage: what + " of the account, calendar or list `NAME` alone"}
}

// chooseContainers leaves of a set the records in the containers that are named.
func chooseContainers(set *records.Set, names []string) error {
	if len(names) == 0 {
		return nil
	}
	ids, err := containerIDs(set, names)
	if err != nil {
		return err
	}
	set.Records = slices.DeleteFunc(set.Records, func(r records.Record) bool { return !slices.Contains(ids, r.Container) })
	return nil
}

// containerIDs are the ids of the containers that are named by their name, their
// account's name, both as they are shown, or their id.
func containerIDs(set *records.Set, names []string) ([]string, error) {
	var ids []string
	shown := containerNames(set)
	for _, name := range names {
		n := len(ids)
		for _, c := range set.Containers {
			if strings.EqualFold(c.Name, name) || strings.EqualFold(c.Account, name) || strings.EqualFold(shown[c.ID], name) || c.ID == name {
				ids = append(ids, c.ID)
			}
		}
		if len(ids) == n {
			return nil, fmt.Errorf("look for %q among accounts, calendars and lists: %w", name, errNoSuchContainer)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// containerNames names containers by their ids, with their accounts where a name
// is not enough.
func containerNames(set *records.Set) map[string]string {
	names := map[string]string{}
	for _, c := range set.Containers {
		name := cmp.Or(c.Name, c.Account, c.ID)
		if c.Account != "" && c.Account != name {
			name = c.Account + "/" + name
		}
		names[c.ID] = name
	}
	return names
}

// parseDay reads a day, or a moment, as people write it. Nothing is no time.
func parseDay(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, "2006-01-02 15:04", time.DateTime, time.RFC3339} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usageError{fmt.Sprintf("--%s: %q is no day; 2026-03-31 is one, and so is \"2026-03-31 14:00\"", flag, text)}
}
