package main

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"russet/repo"
)

// nodeMessage is a file or folder of a snapshot, under restic's names.
type nodeMessage struct {
	MessageType string    `json:"message_type" doc:"\"node\""`
	Name        string    `json:"name" doc:"bytes that are no UTF-8 are replaced by U+FFFD, here and in path"`
	Type        string    `json:"type" doc:"file, dir, symlink, dev, chardev, fifo or socket"`
	Path        string    `json:"path" doc:"in the snapshot, with a slash in front"`
	UID         uint32    `json:"uid" doc:"of the owner, on the phone"`
	GID         uint32    `json:"gid" doc:"of the group, on the phone"`
	Size        uint64    `json:"size,omitempty" doc:"of a file"`
	Mode        uint32    `json:"mode" doc:"the bits of a Go fs.FileMode"`
	Permissions string    `json:"permissions" doc:"the same, as ls -l writes it: lrwxr-xr-x"`
	ModTime     time.Time `json:"mtime" doc:"when the content was changed, on the phone"`
	LinkTarget  string    `json:"linktarget,omitempty" doc:"of a symlink"`
}

func (p *program) lsVerb() *cli.Command {
	return &cli.Command{
		Name:      "ls",
		Category:  groupLook,
		Usage:     "list the files in a snapshot",
		ArgsUsage: "SNAPSHOT [PATH]",
		UsageText: "russet ls latest                            # the backup's own folder\n" +
			"russet ls latest Files                      # the domains: apps, camera roll, settings\n" +
			"russet ls latest -l HomeDomain/Library/SMS\n" +
			"russet ls latest:00008030 --recursive --json",
		Description: "SNAPSHOT is the beginning of an id, latest, or latest:UDID, of which the beginning is\n" +
			"enough, for the newest of one device. PATH is looked for in the backup, then among its\n" +
			"Files; one that begins with a slash is looked for from the snapshot's root. A folder's\n" +
			"name ends in a slash. What a terminal would not show is written as \\n, \\x1b or \\u202e.",
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "long", Aliases: []string{"l"}, Usage: "show mode, size and time, too"},
			&cli.BoolFlag{Name: "recursive", Aliases: []string{"R"}, Usage: "list what lies in the folders, too"},
		}, readFlags()...),
		Action: func(c *cli.Context) error {
			if n := c.NArg(); n < 1 || n > 2 {
				return usageError{"ls wants a snapshot and perhaps a path"}
			}
			return p.withRepository(c, lockRead, func(ctx context.Context, r *repo.Repository) error {
				s, err := p.loadSnapshot(ctx, r, c.Args().First())
				if err != nil {
					return err
				}
				full, n, err := findNode(ctx, r, s, c.Args().Get(1))
				if err != nil {
					return err
				}
				l := lister{p: p, w: bufio.NewWriter(p.stdout), long: c.Bool("long"), deep: c.Bool("recursive")}
				if err := l.list(ctx, r, full, n); err != nil {
					return err
				}
				return l.w.Flush()
			})
		},
	}
}

// lister prints nodes.
type lister struct {
	p          *program
	w          *bufio.Writer
	long, deep bool
}

func (l *lister) list(ctx context.Context, r *repo.Repository, full string, n *repo.Node) error {
	if n.Type != repo.TypeDir || n.Subtree == nil {
		return l.print(full, path.Base(full), n)
	}
	return r.Walk(ctx, *n.Subtree, func(name string, n *repo.Node, err error) error {
		if err == nil {
			err = l.print(strings.TrimPrefix(full+"/"+name, "/"), name, n)
		}
		if err == nil && n.Type == repo.TypeDir && !l.deep {
			err = repo.ErrSkipDir
		}
		return err
	})
}

// print writes a node: for people its name from the folder that is listed.
func (l *lister) print(full, name string, n *repo.Node) error {
	mode := fs.FileMode(n.Mode)
	if l.p.json {
		return emitTo(l.w, nodeMessage{
			MessageType: "node", Name: n.Name, Type: n.Type, Path: "/" + full, UID: n.UID, GID: n.GID,
			Size: n.Size, Mode: n.Mode, Permissions: permissions(mode), ModTime: n.ModTime, LinkTarget: n.LinkTarget,
		})
	}
	line := visible(name)
	if n.Type == repo.TypeDir {
		line += "/"
	}
	if l.long {
		if n.Type == repo.TypeSymlink {
			line += " -> " + visible(n.LinkTarget)
		}
		line = fmt.Sprintf("%s %12s %s %s", permissions(mode), strconv.FormatUint(n.Size, 10), moment(n.ModTime, time.Local), line)
	}
	_, err := l.w.WriteString(line + "\n")
	return err
}
