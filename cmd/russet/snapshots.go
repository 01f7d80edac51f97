package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"russet/capture"
	"russet/repo"
)

// snapshotMessage is a snapshot, under restic's names.
type snapshotMessage struct {
	MessageType    string                `json:"message_type" doc:"\"snapshot\""`
	ID             string                `json:"id" doc:"its name; it changes when a program changes the snapshot's tags"`
	ShortID        string                `json:"short_id" doc:"enough of it to type"`
	Time           time.Time             `json:"time" doc:"when the phone was backed up"`
	Tree           string                `json:"tree" doc:"the id of its root folder"`
	Parent         string                `json:"parent,omitempty" doc:"the id of the snapshot it was built upon"`
	Device         string                `json:"udid,omitempty" doc:"of the phone; in a snapshot of anything else the name of the one folder that it holds, and absent where that is not one"`
	Hostname       string                `json:"hostname" doc:"the phone's name"`
	Username       string                `json:"username,omitempty" doc:"who ran the program"`
	Paths          []string              `json:"paths" doc:"what it holds: a folder named by the UDID"`
	Tags           []string              `json:"tags,omitempty" doc:"iOS version, model, kind of backup; docs/format.md lists them"`
	Note           string                `json:"note,omitempty" doc:"what a person noted about it, which stands in its tags, too; absent where that is nothing"`
	ProgramVersion string                `json:"program_version,omitempty" doc:"what made it"`
	Summary        *repo.SnapshotSummary `json:"summary,omitempty" doc:"what the run that made it did, in restic's fields"`
}

func (p *program) snapshotsVerb() *cli.Command {
	return &cli.Command{
		Name:     "snapshots",
		Category: groupLook,
		Usage:    "list what is kept",
		UsageText: "russet snapshots -r /media/drive/repo\n" +
			"russet snapshots -r /media/drive/repo --json",
		Description: "Lists all snapshots, oldest first: the id that names each in other verbs, when the phone\n" +
			"was backed up (in this computer's time zone), the phone's name and UDID, the size of the\n" +
			"backup, and tags: the iOS version, the model, and whether it is encrypted, incomplete or\n" +
			"sealed (kept unread, as its password was not known), or pinned (no policy forgets it). Where\n" +
			"notes were written, they stand at the end.",
		Flags: readFlags(),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			return p.withRepository(c, lockRead, p.listSnapshots)
		},
	}
}

// allSnapshots loads all snapshots. Where some cannot be loaded, damaged says so
// beside those that can: verbs that only read show these, and end with it.
func allSnapshots(ctx context.Context, r *repo.Repository) (snaps []*repo.Snapshot, damaged, err error) {
	snaps, damaged = r.AllSnapshots(ctx)
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	return snaps, badSnapshot(damaged), nil
}

// badSnapshot is an error of loading snapshots, with what can be done about one
// that is damaged.
func badSnapshot(err error) error {
	if errors.Is(err, repo.ErrDamaged) {
		err = situation{err, errBadSnapshot}
	}
	return err
}

func (p *program) listSnapshots(ctx context.Context, r *repo.Repository) error {
	all, damaged, err := allSnapshots(ctx, r)
	if err != nil {
		return err
	}
	t := table{head: []string{"id", "time", "name", "device", " size", "tags"}}
	noted := slices.ContainsFunc(all, func(s *repo.Snapshot) bool { return s.Note() != "" })
	if noted {
		t.head = append(t.head, "note")
	}
	for _, s := range all {
		if p.json {
			if err := p.emit(describeSnapshot(s)); err != nil {
				return err
			}
			continue
		}
		what, ok := capture.UDID(s)
		if !ok {
			what = strings.Join(s.Paths, " ")
		}
		bytes := ""
		if s.Summary != nil {
			bytes = size(int64(s.Summary.TotalBytesProcessed))
		}
		tags := slices.DeleteFunc(slices.Clone(s.Tags), repo.IsNote)
		row := []string{shortID(s), moment(s.Time, time.Local), s.Hostname, what, bytes, strings.Join(tags, " ")}
		if noted {
			row = append(row, s.Note())
		}
		t.add(row...)
	}
	if !p.json {
		text := t.String()
		if !p.quiet {
			text += plural(len(all), "snapshot") + "\n"
		}
		if _, err := fmt.Fprint(p.stdout, text); err != nil {
			return err
		}
	}
	return damaged
}

func describeSnapshot(s *repo.Snapshot) snapshotMessage {
	m := snapshotMessage{
		MessageType: "snapshot", ID: s.ID().String(), ShortID: shortID(s), Time: s.Time, Tree: s.Tree.String(),
		Hostname: s.Hostname, Username: s.Username, Paths: s.Paths, Tags: s.Tags, Note: s.Note(),
		ProgramVersion: s.ProgramVersion, Summary: s.Summary,
	}
	m.Device, _ = capture.UDID(s)
	if s.Parent != nil {
		m.Parent = s.Parent.String()
	}
	return m
}
