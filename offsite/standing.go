package offsite

import (
	"context"
	"fmt"
	"slices"

	"russet/chunk"
	"russet/index"
)

// grade is since when something is proven: the time of the oldest proof that it
// needs, unproven, or broken. The smallest counts.
type grade int64

const (
	broken   grade = -1
	unproven grade = 0
	proven   grade = 1<<63 - 1 // of nothing
)

// grader grades trees, of which each stands for all below it.
type grader struct {
	c     *Copy
	own   map[chunk.ID]grade      // of a tree's own blob and the content of its files
	below map[chunk.ID][]chunk.ID // the trees right below it
	all   map[chunk.ID]grade      // of a tree with all below it
}

// measure finds out which snapshots stand on the copy, and since when they are proven.
// Their trees are read from the source, where they are there.
func (c *Copy) measure(ctx context.Context) error {
	g := &grader{c, map[chunk.ID]grade{}, map[chunk.ID][]chunk.ID{}, map[chunk.ID]grade{}}
	var here, away []chunk.ID
	for _, s := range c.there {
		if c.from.Index().Has(index.Handle{ID: *s.Tree, Type: index.Tree}) {
			here = append(here, *s.Tree)
		} else {
			away = append(away, *s.Tree)
		}
	}
	err := c.from.WalkTrees(ctx, here, func(tree chunk.ID, refers []index.Handle, err error) error {
		if err != nil { // damaged here, perhaps whole there
			away = append(away, tree)
			return ctx.Err()
		}
		g.tree(tree, refers)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read folders: %w", err)
	}
	err = c.to.WalkTrees(ctx, away, func(tree chunk.ID, refers []index.Handle, err error) error {
		if err != nil {
			g.own[tree] = broken
			return ctx.Err()
		}
		g.tree(tree, refers)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read folders of the copy: %w", err)
	}
	c.State.Snapshots = c.State.Snapshots[:0:0]
	for _, s := range c.there {
		row := standing(s)
		switch at := g.whole(*s.Tree); at {
		case broken:
			row.Broken = true
		case unproven:
		default:
			row.Proven = moment(uint32(at))
		}
		c.State.Snapshots = append(c.State.Snapshots, row)
	}
	slices.SortFunc(c.State.Snapshots, Standing.compare)
	// A snapshot that was tagged is there twice, and is one.
	c.State.Snapshots = slices.CompactFunc(c.State.Snapshots, func(a, b Standing) bool { return a.compare(b) == 0 })
	return nil
}

// tree grades what a tree itself needs.
func (g *grader) tree(id chunk.ID, refers []index.Handle) {
	own := g.blob(index.Handle{ID: id, Type: index.Tree})
	var below []chunk.ID
	for _, h := range refers {
		if h.Type == index.Tree {
			below = append(below, h.ID)
		} else {
			own = min(own, g.blob(h))
		}
	}
	g.own[id], g.below[id] = own, below
}

// blob grades a blob by the best of its copies.
func (g *grader) blob(h index.Handle) grade {
	best := broken
	for _, loc := range g.c.to.Index().Locations(h) {
		e := g.c.State.Packs[loc.Pack]
		switch e.Result {
		case Right:
			best = max(best, grade(e.Proven))
		case Unknown:
			best = max(best, unproven)
		}
	}
	return best
}

// whole grades a tree with all below it. Trees cannot hold themselves, as their names
// are their hashes.
func (g *grader) whole(id chunk.ID) grade {
	if at, ok := g.all[id]; ok {
		return at
	}
	at, ok := g.own[id]
	if !ok {
		at = broken
	}
	g.all[id] = broken
	for _, below := range g.below[id] {
		at = min(at, g.whole(below))
	}
	g.all[id] = at
	return at
}
