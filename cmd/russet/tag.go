package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"russet/chunk"
	"russet/repo"
)

// tagPlanMessage is how tag, pin, unpin or note are going to change tags.
type tagPlanMessage struct {
	MessageType string           `json:"message_type" doc:"\"plan\""`
	Changes     []tagPlanChanges `json:"changes" doc:"of the snapshots that have not got these tags already"`
}

// tagPlanChanges is one snapshot of it.
type tagPlanChanges struct {
	ID      string   `json:"id" doc:""`
	ShortID string   `json:"short_id" doc:""`
	Added   []string `json:"added,omitempty" doc:"tags that it gets; absent where there are none"`
	Removed []string `json:"removed,omitempty" doc:"tags that it loses; absent where there are none"`
}

// tagChangedMessage is a snapshot that was saved again, under restic's names.
type tagChangedMessage struct {
	MessageType string `json:"message_type" doc:"\"changed\""`
	Old         string `json:"old_snapshot_id" doc:"that it had"`
	New         string `json:"new_snapshot_id" doc:"that it has now"`
}

// tagSummaryMessage sums it up, under restic's names.
type tagSummaryMessage struct {
	MessageType string `json:"message_type" doc:"\"summary\""`
	Changed     int    `json:"changed_snapshots" doc:""`
}

func (p *program) tagVerb() *cli.Command {
	return &cli.Command{
		Name:      "tag",
		Category:  groupCare,
		Usage:     "change the tags of snapshots",
		ArgsUsage: "SNAPSHOT...",
		UsageText: "russet tag --add before-repair latest\n" +
			"russet tag --remove one,two 1a2b3c4d",
		Description: "Saves the snapshots again with other tags, as restic's tag does: their ids change, nothing\n" +
			"else. A tag holds no comma. Some tags mean something to Russet: pinned, note=… and those\n" +
			"that tell what a backup is, such as ios-18.1; pin, unpin and note are there for the first two.",
		Flags: append([]cli.Flag{
			&cli.StringSliceFlag{Name: "add", Usage: "put the `TAGS` on, given as one,two"},
			&cli.StringSliceFlag{Name: "remove", Usage: "take the `TAGS` off"},
			&cli.StringSliceFlag{Name: "set", Usage: "have the `TAGS` and no others; none where that is empty"},
		}, planFlags()...),
		Action: func(c *cli.Context) error {
			add, remove, set := tagsOf(c, "add"), tagsOf(c, "remove"), tagsOf(c, "set")
			switch {
			case c.IsSet("set") && len(add)+len(remove) > 0:
				return usageError{"--set is given beside --add or --remove; which one is meant?"}
			case !c.IsSet("set") && len(add)+len(remove) == 0:
				return usageError{"tag wants to be told what to change, such as --add before-repair"}
			}
			return p.changeTags(c, c.Args().Slice(), func(tags []string) []string {
				if c.IsSet("set") {
					return set
				}
				return addTags(removeTags(tags, remove), add)
			})
		},
	}
}

// tagsOf reads the lists of a flag.
func tagsOf(c *cli.Context, name string) []string {
	var tags []string
	for _, list := range c.StringSlice(name) {
		tags = addTags(tags, splitTags(list))
	}
	return slices.DeleteFunc(tags, func(tag string) bool { return tag == "" })
}

func addTags(tags, add []string) []string {
	tags = slices.Clone(tags)
	for _, tag := range add {
		if !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	return tags
}

func removeTags(tags, remove []string) []string {
	return slices.DeleteFunc(slices.Clone(tags), func(tag string) bool { return slices.Contains(remove, tag) })
}

// changeTags changes the tags of snapshots that a person names.
func (p *program) changeTags(c *cli.Context, names []string, change func([]string) []string) error {
	if len(names) == 0 {
		return usageError{c.Command.Name + " wants to be told which snapshots"}
	}
	kind := lockExclusive
	if c.Bool("plan") {
		kind = lockShared
	}
	return p.withRepository(c, kind, func(ctx context.Context, r *repo.Repository) error {
		snaps, err := p.changedSnapshots(ctx, r, names)
		if err != nil {
			return err
		}
		plan := repo.PlanTags(snaps, change)
		if c.Bool("plan") || !p.quiet {
			if err := p.showTagPlan(plan); err != nil || c.Bool("plan") {
				return err
			}
		}
		return p.applyTags(ctx, r, plan)
	})
}

func (p *program) showTagPlan(plan *repo.TagPlan) error {
	if !p.json {
		return p.printPlan(plan)
	}
	m := tagPlanMessage{MessageType: "plan", Changes: []tagPlanChanges{}}
	for _, c := range plan.Changes {
		m.Changes = append(m.Changes, tagPlanChanges{c.Snapshot.ID().String(), shortID(c.Snapshot), c.Added(), c.Removed()})
	}
	return p.emit(m)
}

func (p *program) applyTags(ctx context.Context, r *repo.Repository, plan *repo.TagPlan) error {
	err := plan.Apply(ctx, r, func(c repo.TagChange, id chunk.ID) error {
		switch {
		case p.json:
			return p.emit(tagChangedMessage{"changed", c.Snapshot.ID().String(), id.String()})
		case p.quiet:
			return nil
		}
		_, err := fmt.Fprintf(p.stdout, "snapshot %s is now %.8s\n", shortID(c.Snapshot), id)
		return err
	})
	if err != nil || !p.json {
		return err
	}
	return p.emit(tagSummaryMessage{"summary", len(plan.Changes)})
}
