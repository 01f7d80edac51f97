package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"russet/repo"
)

// statsMessage is how much the snapshots of one device hold, or those of all.
// Where a name of restic's fits, it is used.
type statsMessage struct {
	MessageType string `json:"message_type" doc:"\"stats\""`
	Name        string `json:"name,omitempty" doc:"of the device, with its UDID; absent in the sum of all, which comes last"`
	Snapshots   int    `json:"snapshots_count" doc:""`
	Files       int64  `json:"total_file_count" doc:"files, counted in each snapshot that has them"`
	FileBytes   int64  `json:"total_size" doc:"of those: what restoring each of the snapshots would write"`
	Blobs       int64  `json:"total_blob_count" doc:"pieces of content and folders, each counted once"`
	BlobBytes   int64  `json:"total_uncompressed_size" doc:"of those"`
	StoredBytes int64  `json:"total_stored_size" doc:"the same as they are stored"`
	PackBytes   int64  `json:"pack_bytes,omitempty" doc:"of all packs; absent but in the sum of all snapshots"`
}

func (p *program) statsVerb() *cli.Command {
	return &cli.Command{
		Name:      "stats",
		Category:  groupLook,
		Usage:     "say how much the snapshots hold",
		ArgsUsage: "[SNAPSHOT...]",
		UsageText: "russet stats\n" +
			"russet stats latest 1a2b3c4d --json",
		Description: "Tells for each device, and for all, how many files its snapshots hold and how large they\n" +
			"would be if each was restored by itself; then how much of that is different content, and how\n" +
			"much room it takes. Content that two devices share is counted for both and once in the sum.\n" +
			"Without names it looks at all snapshots; one that cannot be read is named, and not counted\n" +
			"(exit code 22).",
		Flags: readFlags(),
		Action: func(c *cli.Context) error {
			return p.withRepository(c, lockRead, func(ctx context.Context, r *repo.Repository) error {
				var damaged error
				snaps, err := p.namedSnapshots(ctx, r, c.Args().Slice())
				if err == nil && c.NArg() == 0 {
					snaps, damaged, err = allSnapshots(ctx, r)
				}
				if err == nil {
					err = loadIndex(ctx, r)
				}
				if err != nil {
					return err
				}
				return errors.Join(damaged, p.stats(ctx, r, snaps, c.NArg() == 0))
			})
		},
	}
}

func (p *program) stats(ctx context.Context, r *repo.Repository, snaps []*repo.Snapshot, all bool) error {
	groupOf := byDevice(snaps)
	members := map[string][]*repo.Snapshot{}
	var names []string
	for _, s := range snaps {
		if isState(s) { // little, and no device's
			continue
		}
		name := groupOf(s).Name
		if members[name] == nil {
			names = append(names, name)
		}
		members[name] = append(members[name], s)
	}
	slices.Sort(names)
	m := r.NewMeter()
	var list []statsMessage
	for _, name := range names {
		u, err := m.Measure(ctx, members[name])
		if err != nil {
			return err
		}
		list = append(list, describeUsage(name, u))
	}
	total := describeUsage("", m.Total())
	if all {
		for _, bytes := range r.Index().Packs() {
			total.PackBytes += bytes
		}
	}
	return p.showStats(append(list, total))
}

func describeUsage(name string, u repo.Usage) statsMessage {
	return statsMessage{
		MessageType: "stats", Name: name, Snapshots: u.Snapshots, Files: u.Files, FileBytes: u.FileBytes,
		Blobs: u.Blobs, BlobBytes: u.BlobBytes, StoredBytes: u.StoredBytes,
	}
}

// showStats prints the lines, the last of which is the sum.
func (p *program) showStats(list []statsMessage) error {
	t := table{head: []string{"device", " snapshots", " files", " to restore", " different", " stored"}}
	for i, m := range list {
		if p.json {
			if err := p.emit(m); err != nil {
				return err
			}
			continue
		}
		if i == len(list)-1 {
			m.Name = "all"
		}
		t.add(m.Name, count(int64(m.Snapshots)), count(m.Files), size(m.FileBytes), size(m.BlobBytes), size(m.StoredBytes))
	}
	if p.json {
		return nil
	}
	var b strings.Builder
	b.WriteString(t.String())
	if total := list[len(list)-1]; total.PackBytes > 0 && !p.quiet {
		fmt.Fprintf(&b, "the packs take %s, of which the snapshots need %s\n", size(total.PackBytes), size(total.StoredBytes))
	}
	_, err := fmt.Fprint(p.stdout, b.String())
	return err
}
