package main

import (
	"bufio"
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
	"russet/repo"
)

// matchMessage is a file or folder of one snapshot that was looked for, under
// restic's names.
type matchMessage struct {
	MessageType string    `json:"message_type" doc:"\"match\""`
	Snapshot    string    `json:"snapshot" doc:"the id of the snapshot"`
	Path        string    `json:"path" doc:"in it, with a slash in front; bytes that are no UTF-8 are replaced by U+FFFD"`
	Type        string    `json:"type" doc:"file, dir, symlink, dev, chardev, fifo or socket"`
	Size        uint64    `json:"size,omitempty" doc:"of a file"`
	Mode        uint32    `json:"mode" doc:"the bits of a Go fs.FileMode"`
	Permissions string    `json:"permissions" doc:"the same, as ls -l writes it"`
	ModTime     time.Time `json:"mtime" doc:"when the content was changed, on the phone"`
}

func (p *program) findVerb() *cli.Command {
	return &cli.Command{
		Name:      "find",
		Category:  groupLook,
		Usage:     "look for files in all snapshots",
		ArgsUsage: "PATTERN...",
		UsageText: "russet find sms.db\n" +
			"russet find \"IMG_00[0-4]?.HEIC\" --ignore-case\n" +
			"russet find \"HomeDomain/Library/**/*.plist\" --device 00008030 --json",
		Description: "Looks for names in all snapshots, or in some. In a PATTERN * stands for anything but a\n" +
			"slash, ? for one letter, [a-d] for one of some, and ** for any number of folders. It may\n" +
			"match any part of a path: one name, or several with slashes between them; what lies in a\n" +
			"folder that it matches is found, too. With a slash in front it begins at the snapshot's\n" +
			"root. So does restic's find.\n" +
			"\n" +
			"Each version of a file is listed once, with the first and the last snapshot that has it and\n" +
			"how many do; with --json each snapshot has lines of its own. A snapshot that cannot be read\n" +
			"is named, and passed over (exit code 22); one that is sealed has no names to look for.",
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "ignore-case", Usage: "take capitals and small letters for the same"},
			&cli.StringSliceFlag{Name: "snapshot", Aliases: []string{"s"}, Usage: "look in the `SNAPSHOT`"},
			&cli.StringFlag{Name: "device", Usage: "the phone whose `UDID` begins so, and no other"},
		}, readFlags()...),
		Action: func(c *cli.Context) error {
			if c.NArg() == 0 {
				return usageError{"find wants to be told what to look for"}
			}
			for _, pattern := range c.Args().Slice() {
				if _, err := repo.ParseGlob(pattern); err != nil {
					return usageError{err.Error()}
				}
			}
			return p.withRepository(c, lockRead, func(ctx context.Context, r *repo.Repository) error {
				snaps, damaged, err := p.chosenSnapshots(ctx, r, c.StringSlice("snapshot"), c.String("device"))
				if err == nil {
					err = loadIndex(ctx, r)
				}
				if err != nil {
					return err
				}
				f, err := r.NewFinder(c.Bool("ignore-case"), c.Args().Slice()...)
				if err != nil {
					return err
				}
				return errors.Join(damaged, p.find(ctx, f, snaps))
			})
		},
	}
}

// chosenSnapshots are those that are named, or else all versions, of one device
// or of any; oldest first. damaged names those that cannot be loaded, as
// allSnapshots has it.
func (p *program) chosenSnapshots(ctx context.Context, r *repo.Repository, names []string, device string) (snaps []*repo.Snapshot, damaged, err error) {
	if len(names) > 0 {
		snaps, err = p.namedSnapshots(ctx, r, names)
		repo.SortSnapshots(snaps)
		return snaps, nil, err
	}
	if snaps, damaged, err = allSnapshots(ctx, r); err != nil {
		return nil, nil, err
	}
	if device == "" {
		return slices.DeleteFunc(snaps, isState), damaged, nil
	}
	if snaps, err = ofDevice(snaps, device); err != nil {
		return nil, nil, errors.Join(damaged, err)
	}
	return snaps, damaged, nil
}

// ofDevice leaves of snaps those of the device whose UDID begins so. That there
// are none is an error.
func ofDevice(snaps []*repo.Snapshot, begin string) ([]*repo.Snapshot, error) {
	snaps = slices.DeleteFunc(snaps, func(s *repo.Snapshot) bool { return !isOf(s, begin) })
	if len(snaps) == 0 {
		return nil, fmt.Errorf("look for snapshots of the device %q: %w", begin, repo.ErrNotFound)
	}
	return snaps, nil
}

// match is one version of something that was found.
type match struct {
	path, device string
	node         *repo.Node
	first, last  *repo.Snapshot // that have it
	n            int            // how many have it
}

func (p *program) find(ctx context.Context, f *repo.Finder, snaps []*repo.Snapshot) error {
	w := bufio.NewWriter(p.stdout)
	found := map[string]*match{}     // by path and version
	known := map[*repo.Node]*match{} // the same, as what snapshots share comes as the same node
	var damaged error
	for _, s := range snaps {
		udid, _ := capture.UDID(s)
		bad := func(path string, err error) {
			p.warn("snapshot %s: %s: %v", shortID(s), visible(logicalPath(udid, path)), err)
			damaged = fmt.Errorf("find in snapshot %s: %w", shortID(s), err)
		}
		err := f.Find(ctx, *s.Tree, bad, func(path string, n *repo.Node) error {
			if p.json {
				return emitTo(w, matchMessage{
					"match", s.ID().String(), "/" + path, n.Type, fileSize(n), n.Mode, permissions(fs.FileMode(n.Mode)), n.ModTime,
				})
			}
			m := known[n]
			if m == nil {
				key := versionKey(path, n)
				if m = found[key]; m == nil {
					m = &match{path: logicalPath(udid, path), device: udid, node: n, first: s}
					found[key] = m
				}
				known[n] = m
			}
			m.last = s
			m.n++
			return nil
		})
		if err != nil {
			return err
		}
	}
	if sealed := countSealed(snaps); sealed > 0 {
		p.note("%s %s sealed: nothing in there is found", plural(sealed, "snapshot"), isAre(sealed))
	}
	if !p.json {
		p.listMatches(w, found)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return damaged
}

func countSealed(snaps []*repo.Snapshot) (n int) {
	for _, s := range snaps {
		if s.HasTag(capture.TagSealed) {
			n++
		}
	}
	return n
}

// versionKey is equal for one version of what stands at a path. Folders have
// one: what changes is in them.
func versionKey(path string, n *repo.Node) string {
	if n.Type == repo.TypeDir {
		return path + "\x00" + n.Type
	}
	var ids []byte
	for _, id := range n.Content {
		ids = append(ids, id[:]...)
	}
	return fmt.Sprintf("%s\x00%s %d %d %s %s", path, n.Type, n.Size, n.ModTime.UnixNano(), chunk.Sum(ids), n.LinkTarget)
}

// listMatches prints what was found, device by device and by path.
func (p *program) listMatches(w *bufio.Writer, found map[string]*match) {
	if len(found) == 0 {
		p.note("nothing was found")
		return
	}
	var list []*match
	for _, m := range found {
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b *match) int {
		return cmp.Or(strings.Compare(a.device, b.device), strings.Compare(a.path, b.path), a.first.Time.Compare(b.first.Time), a.node.ModTime.Compare(b.node.ModTime))
	})
	for len(list) > 0 {
		n := 1
		for n < len(list) && list[n].device == list[0].device {
			n++
		}
		if device := list[0].device; device != "" {
			fmt.Fprintf(w, "%s\n", phoneName(list[n-1].last.Hostname, device))
		}
		t := table{head: []string{" size", "modified", "in", "path"}}
		for _, m := range list[:n] {
			in := shortID(m.first)
			if m.n > 1 {
				in += fmt.Sprintf(" … %s (%d)", shortID(m.last), m.n)
			}
			name := m.path
			if m.node.Type == repo.TypeDir {
				name += "/"
			}
			t.add(sizeOf(m.node), moment(m.node.ModTime, time.Local), in, name)
		}
		fmt.Fprint(w, t.String())
		if list = list[n:]; len(list) > 0 {
			fmt.Fprintln(w)
		}
	}
}
