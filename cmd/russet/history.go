package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"russet/capture"
	"russet/repo"
)

// historyMessage is what happened to a file or folder from one snapshot of a
// device to the next.
type historyMessage struct {
	MessageType string     `json:"message_type" doc:"\"history\""`
	Event       string     `json:"event" doc:"appeared, changed or vanished"`
	Snapshot    string     `json:"snapshot" doc:"the id of the first snapshot in which it was so"`
	Time        time.Time  `json:"time" doc:"of that snapshot"`
	Device      string     `json:"udid,omitempty" doc:"of the phone; absent for snapshots of anything else"`
	Path        string     `json:"path,omitempty" doc:"in the snapshot, with a slash in front; absent when it vanished"`
	Type        string     `json:"type,omitempty" doc:"file, dir, symlink, dev, chardev, fifo or socket; absent when it vanished"`
	Size        uint64     `json:"size,omitempty" doc:"of a file"`
	ModTime     *time.Time `json:"mtime,omitempty" doc:"when the content was changed, on the phone; absent when it vanished"`
	LastSeen    string     `json:"last_snapshot,omitempty" doc:"the id of the last snapshot in which it was still so; absent when it vanished"`
}

func (p *program) historyVerb() *cli.Command {
	return &cli.Command{
		Name:      "history",
		Category:  groupLook,
		Usage:     "list all versions of one file",
		ArgsUsage: "PATH",
		UsageText: "russet history HomeDomain/Library/SMS/sms.db\n" +
			"russet history CameraRollDomain/Media/DCIM --device 00008030",
		Description: "Tells in which snapshot of each device a file appeared, in which its content was another\n" +
			"one, and in which it was no longer there. PATH is as ls takes it. A snapshot that is sealed\n" +
			"is passed over, and so is one that is incomplete and lacks the file: neither tells whether\n" +
			"it was on the phone. One whose file is damaged\n" +
			"is named, and passed over, too (exit code 22). russet restore and russet cat get a version\n" +
			"back.",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "device", Usage: "the phone whose `UDID` begins so, and no other"},
		}, readFlags()...),
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 || strings.Trim(c.Args().First(), "/") == "" {
				return usageError{"history wants a path"}
			}
			return p.withRepository(c, lockRead, func(ctx context.Context, r *repo.Repository) error {
				snaps, damaged, err := p.chosenSnapshots(ctx, r, nil, c.String("device"))
				if err == nil {
					err = loadIndex(ctx, r)
				}
				if err != nil {
					return err
				}
				return errors.Join(damaged, p.history(ctx, r, snaps, c.Args().First()))
			})
		},
	}
}

// event is a change in a file's history.
type event struct {
	what        string
	first, last *repo.Snapshot
	path        string
	node        *repo.Node // nil: it vanished
}

func (p *program) history(ctx context.Context, r *repo.Repository, snaps []*repo.Snapshot, path string) error {
	groupOf := byDevice(snaps)
	events := map[string][]event{}
	places := r.NewPathFinder()
	sealed := 0
	for _, s := range snaps {
		full, n, err := findVersion(ctx, places, s, path)
		if errors.Is(err, errSealed) {
			sealed++
		}
		if errors.Is(err, errSealed) || errors.Is(err, errIncomplete) {
			continue
		}
		if err != nil {
			return fmt.Errorf("look for %q in snapshot %s: %w", path, shortID(s), err)
		}
		name := groupOf(s).Name
		events[name] = noteVersion(events[name], s, full, n)
	}
	found := false
	for _, name := range slices.Sorted(maps.Keys(events)) {
		if len(events[name]) == 0 {
			continue
		}
		if err := p.showHistory(name, events[name], found); err != nil {
			return err
		}
		found = true
	}
	switch {
	case found:
		return nil
	case sealed == len(snaps) && sealed > 0:
		return fmt.Errorf("look for %q: %w", path, errSealed)
	case sealed > 0:
		return fmt.Errorf("look for %q: it is in none of %s that can be read; of %s: %w", path, plural(len(snaps)-sealed, "snapshot"), plural(sealed, "other"), errSealed)
	}
	return fmt.Errorf("look for %q in %s: %w", path, plural(len(snaps), "snapshot"), errNoSuchPath)
}

// findVersion looks up a path as findNode does. Nothing there is no error,
// unless the snapshot cannot tell.
func findVersion(ctx context.Context, places *repo.PathFinder, s *repo.Snapshot, path string) (string, *repo.Node, error) {
	for _, try := range fullPaths(s, path) {
		if n, err := places.Find(ctx, *s.Tree, try); n != nil || err != nil {
			return try, n, err
		}
	}
	udid, ok := capture.UDID(s)
	if !ok {
		return "", nil, nil
	}
	if s.HasTag(capture.TagIncomplete) {
		return "", nil, errIncomplete
	}
	files, err := places.Find(ctx, *s.Tree, udid+"/Files")
	if files != nil || err != nil {
		return "", nil, err
	}
	sealed, err := places.Find(ctx, *s.Tree, udid+"/Sealed")
	if sealed != nil && err == nil {
		err = errSealed
	}
	return "", nil, err
}

// noteVersion adds what a snapshot has to the events of those before it.
func noteVersion(list []event, s *repo.Snapshot, path string, n *repo.Node) []event {
	was := event{}
	if len(list) > 0 {
		was = list[len(list)-1]
	}
	what := ""
	switch {
	case n == nil && was.node == nil:
		return list
	case n == nil:
		what = "vanished"
	case was.node == nil:
		what = "appeared"
	case !sameContent(was.node, n):
		what = "changed"
	default:
		list[len(list)-1].last = s
		return list
	}
	return append(list, event{what, s, s, path, n})
}

// sameContent tells whether two nodes are the same version of something.
func sameContent(a, b *repo.Node) bool {
	return a.Type == b.Type && slices.Equal(a.Content, b.Content) && a.LinkTarget == b.LinkTarget && a.Device == b.Device &&
		(a.Subtree == nil) == (b.Subtree == nil) && (a.Subtree == nil || *a.Subtree == *b.Subtree)
}

func (p *program) showHistory(name string, events []event, further bool) error {
	t := table{head: []string{"event", "snapshot", "time", " size", "modified"}}
	for _, e := range events {
		if !p.json {
			row := []string{e.what, shortID(e.first), moment(e.first.Time, time.Local), sizeOf(e.node), ""}
			if e.node != nil {
				row[4] = moment(e.node.ModTime, time.Local)
			}
			t.add(row...)
			continue
		}
		m := historyMessage{MessageType: "history", Event: e.what, Snapshot: e.first.ID().String(), Time: e.first.Time}
		m.Device, _ = capture.UDID(e.first)
		if e.node != nil {
			m.Path, m.Type, m.Size, m.ModTime, m.LastSeen = "/"+e.path, e.node.Type, fileSize(e.node), &e.node.ModTime, e.last.ID().String()
		}
		if err := p.emit(m); err != nil {
			return err
		}
	}
	if p.json {
		return nil
	}
	text := visible(name) + "\n" + t.String()
	if further {
		text = "\n" + text
	}
	_, err := fmt.Fprint(p.stdout, text)
	return err
}
