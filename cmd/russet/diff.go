package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"russet/capture"
	"russet/chunk"
	"russet/repo"
)

// changeMessage is one difference, under restic's names.
type changeMessage struct {
	MessageType string `json:"message_type" doc:"\"change\""`
	Path        string `json:"path" doc:"in the snapshot that has it, with a slash in front; a folder's ends in one"`
	Modifier    string `json:"modifier" doc:"+ added, - removed, M other content, T other type, U only other metadata"`
	OldSize     uint64 `json:"old_size,omitempty" doc:"of a file in the first snapshot"`
	NewSize     uint64 `json:"new_size,omitempty" doc:"of a file in the second snapshot"`
}

// statisticsMessage sums differences up, under restic's names.
type statisticsMessage struct {
	MessageType  string           `json:"message_type" doc:"\"statistics\""`
	Source       string           `json:"source_snapshot" doc:"the id of the first"`
	Target       string           `json:"target_snapshot" doc:"the id of the second"`
	ChangedFiles int              `json:"changed_files" doc:"files with other content"`
	Added        diffCountMessage `json:"added" doc:"what only the second has"`
	Removed      diffCountMessage `json:"removed" doc:"what only the first has"`
}

// diffCountMessage is what one snapshot has and the other has not.
type diffCountMessage struct {
	Files     int   `json:"files" doc:""`
	Dirs      int   `json:"dirs" doc:"folders"`
	Others    int   `json:"others" doc:"links and special files"`
	DataBlobs int   `json:"data_blobs" doc:"pieces of content that the other has nowhere"`
	TreeBlobs int   `json:"tree_blobs" doc:"the same of folders' lists of names"`
	Bytes     int64 `json:"bytes" doc:"of both, not compressed"`
}

func (p *program) diffVerb() *cli.Command {
	return &cli.Command{
		Name:      "diff",
		Category:  groupLook,
		Usage:     "say what changed from one snapshot to another",
		ArgsUsage: "SNAPSHOT SNAPSHOT",
		UsageText: "russet diff 1a2b3c4d latest\n" +
			"russet diff 1a2b3c4d 5e6f7a8b --metadata --json\n" +
			"russet diff 1a2b3c4d latest --records    # which contacts, events and reminders",
		Description: "Lists, with their sizes before and after:\n" +
			"\n" +
			"  +  what was added\n" +
			"  -  what was removed\n" +
			"  M  files whose content was changed\n" +
			"  T  what is of another type: a file that became a link\n" +
			"  U  what has only other times, rights and the like (with --metadata)\n" +
			"\n" +
			"Names are those of the phone: DOMAIN/PATH. Snapshots of two devices can be compared, too.\n" +
			"\n" +
			"With --records the contacts, events and reminders in both are compared instead, one by one,\n" +
			"whatever databases they lie in. Databases that are the same in both are not read.",
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "metadata", Usage: "tell of changes in metadata, too"},
			&cli.BoolFlag{Name: "records", Usage: "compare contacts, events and reminders instead of files"},
		}, readFlags()...),
		Action: func(c *cli.Context) error {
			if c.NArg() != 2 {
				return usageError{"diff wants two snapshots"}
			}
			if c.Bool("records") && c.Bool("metadata") {
				return usageError{"--metadata is about files, and --records about what is in them; which one is meant?"}
			}
			return p.withRepository(c, lockRead, func(ctx context.Context, r *repo.Repository) error {
				first, err := findSnapshot(ctx, r, c.Args().Get(0))
				if err != nil {
					return err
				}
				second, err := p.loadSnapshot(ctx, r, c.Args().Get(1))
				if err != nil {
					return err
				}
				if c.Bool("records") {
					return p.diffRecords(ctx, r, first, second)
				}
				return p.diff(ctx, r, first, second, repo.DiffOptions{Metadata: c.Bool("metadata")})
			})
		},
	}
}

// side is a snapshot that is compared.
type side struct {
	s    *repo.Snapshot
	udid string
	at   string   // the path of what is compared, with a slash behind it
	tree chunk.ID // of that
}

// compared says what of two snapshots is compared: of two devices their folders,
// whose names differ, and else all.
func compared(ctx context.Context, r *repo.Repository, first, second *repo.Snapshot) (a, b side, err error) {
	a, b = side{s: first, tree: *first.Tree}, side{s: second, tree: *second.Tree}
	a.udid, _ = capture.UDID(first)
	b.udid, _ = capture.UDID(second)
	if a.udid == b.udid || a.udid == "" || b.udid == "" {
		return a, b, nil
	}
	for _, s := range []*side{&a, &b} {
		n, err := r.Find(ctx, s.tree, s.udid)
		if err != nil {
			return a, b, err
		}
		if n.Subtree == nil {
			return a, b, fmt.Errorf("compare snapshot %s: %w", shortID(s.s), errNoSuchPath)
		}
		s.at, s.tree = s.udid+"/", *n.Subtree
	}
	return a, b, nil
}

func (p *program) diff(ctx context.Context, r *repo.Repository, first, second *repo.Snapshot, opt repo.DiffOptions) error {
	a, b, err := compared(ctx, r, first, second)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(p.stdout)
	if !p.json && !p.quiet {
		fmt.Fprintf(w, "from %s to %s\n\n", nameSnapshot(first), nameSnapshot(second))
	}
	stats, err := r.Diff(ctx, a.tree, b.tree, opt, func(c repo.Change) error {
		of := b
		if c.New == nil {
			of = a
		}
		full := of.at + c.Path
		if p.json {
			return emitTo(w, changeMessage{"change", "/" + full, c.Modifier, fileSize(c.Old), fileSize(c.New)})
		}
		_, err := fmt.Fprintf(w, "%-2s %10s %10s  %s\n", c.Modifier, sizeOf(c.Old), sizeOf(c.New), visible(logicalPath(of.udid, full)))
		return err
	})
	if err == nil {
		err = p.showDiffStats(w, first, second, stats)
	}
	if err != nil {
		return fmt.Errorf("compare %s with %s: %w", shortID(first), shortID(second), err)
	}
	return w.Flush()
}

func (p *program) showDiffStats(w *bufio.Writer, first, second *repo.Snapshot, stats repo.DiffStats) error {
	switch {
	case p.json:
		return emitTo(w, statisticsMessage{
			"statistics", first.ID().String(), second.ID().String(), stats.ChangedFiles,
			diffCountMessage(stats.Added), diffCountMessage(stats.Removed),
		})
	case p.quiet:
		return nil
	}
	a, b := stats.Added, stats.Removed
	_, err := fmt.Fprintf(w, "\nfiles    %s new, %s removed, %s changed\nfolders  %s new, %s removed\ncontent  %s new, %s removed\n",
		count(int64(a.Files+a.Others)), count(int64(b.Files+b.Others)), count(int64(stats.ChangedFiles)),
		count(int64(a.Dirs)), count(int64(b.Dirs)), size(a.Bytes), size(b.Bytes))
	return err
}

// nameSnapshot is a snapshot as people know it.
func nameSnapshot(s *repo.Snapshot) string {
	return fmt.Sprintf("%s (%s, %s)", shortID(s), visible(s.Hostname), moment(s.Time, time.Local))
}

// fileSize is that of a file, and 0 for anything else.
func fileSize(n *repo.Node) uint64 {
	if n == nil || n.Type != repo.TypeFile {
		return 0
	}
	return n.Size
}

// sizeOf writes the size of a file, and nothing for anything else.
func sizeOf(n *repo.Node) string {
	if n == nil || n.Type != repo.TypeFile {
		return ""
	}
	return size(int64(min(n.Size, 1<<62)))
}

// logicalPath is a full path as findNode takes it, too: without the device's
// folder and, for a file of the phone, without Files.
func logicalPath(udid, full string) string {
	if udid == "" {
		return full
	}
	inside, ok := strings.CutPrefix(full, udid+"/")
	if !ok || inside == "" {
		return full
	}
	if file, ok := strings.CutPrefix(inside, "Files/"); ok && file != "" {
		return file
	}
	return inside
}
