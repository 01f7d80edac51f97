package repo

import (
	"context"
	"fmt"
	"slices"

	"russet/backend"
	"russet/chunk"
	"russet/index"
)

// snapshots loads all snapshots, and returns those that could be.
func (c *checker) snapshots(ctx context.Context, ids []chunk.ID) ([]*Snapshot, error) {
	var snaps []*Snapshot
	err := c.each(ctx, backend.Snapshot, BadSnapshot, ids, func(ctx context.Context, id chunk.ID) error {
		s, err := c.r.LoadSnapshot(ctx, id)
		if err != nil {
			return err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		snaps = append(snaps, s)
		return nil
	})
	SortSnapshots(snaps)
	c.res.Snapshots = len(snaps)
	return snaps, err
}

// lostSnapshots reports that the place has no folder for snapshots, though there
// is what they led to. An empty folder may be meant.
func (c *checker) lostSnapshots(ctx context.Context, ids []chunk.ID) error {
	be, ok := c.r.place.(interface {
		Lacks(ctx context.Context, k backend.Kind) (bool, error)
	})
	if !ok || len(ids) > 0 {
		return nil
	}
	trees := countTrees(c.r.index)
	if trees == 0 {
		return nil
	}
	gone, err := be.Lacks(ctx, backend.Snapshot)
	if err != nil {
		return err
	}
	if gone {
		c.report(Problem{Kind: SnapshotsMissing, Err: fmt.Errorf("%w: their folder is gone, and the index names %d folders that they led to", ErrDamaged, trees)})
	}
	return nil
}

// countTrees counts the copies of trees that an index names.
func countTrees(x *index.Index) int {
	n := 0
	for loc := range x.Blobs() {
		if loc.Type == index.Tree {
			n++
		}
	}
	return n
}

// trees checks every tree that a snapshot leads to, once, level by level.
func (c *checker) trees(ctx context.Context, snaps []*Snapshot) error {
	seen := map[chunk.ID]struct{}{}
	unseen := func(ids []chunk.ID) []chunk.ID {
		return slices.DeleteFunc(ids, func(id chunk.ID) bool {
			_, ok := seen[id]
			seen[id] = struct{}{}
			return ok
		})
	}
	var roots []chunk.ID
	for _, s := range snaps {
		roots = append(roots, *s.Tree)
	}
	level := unseen(roots)
	c.phase("checking trees", 0, 0)
	levels := newTreeLevels(c.r)
	for depth := 0; len(level) > 0; depth++ {
		if depth > maxTreeDepth {
			err := fmt.Errorf("%w: trees are nested deeper than %d", ErrDamaged, maxTreeDepth)
			c.report(Problem{Kind: BadTree, Blob: index.Handle{ID: level[0], Type: index.Tree}, Err: err})
			return nil
		}
		below, err := levels.load(ctx, level, func(h index.Handle, plain []byte, err error) []chunk.ID {
			below := c.tree(h, plain, err)
			c.done(1, 0)
			return below
		})
		if err != nil {
			return err
		}
		c.mu.Lock()
		c.res.Trees += len(level)
		c.mu.Unlock()
		level = unseen(below)
	}
	return nil
}

// tree checks one tree, of which err says why it could not be loaded, and
// returns the trees right below.
func (c *checker) tree(h index.Handle, plain []byte, err error) []chunk.ID {
	var t *Tree
	if err == nil {
		if t, err = DecodeTree(plain); err != nil {
			err = fmt.Errorf("decode tree: %w: %w", ErrDamaged, err)
		}
	}
	if err != nil {
		c.lose(h, err)
		kind := BadTree
		if !c.r.index.Has(h) {
			kind = BlobMissing
		}
		c.report(Problem{Kind: kind, Blob: h, Err: err})
		return nil
	}
	if err := t.Validate(); err != nil {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
		c.lose(h, err)
		c.report(Problem{Kind: BadTree, Blob: h, Err: err})
	}
	var below []chunk.ID
	for _, n := range t.Nodes {
		for _, id := range n.Content {
			c.content(index.Handle{ID: id, Type: index.Data})
		}
		if n.Type == TypeDir && n.Subtree != nil && !n.Subtree.IsZero() {
			below = append(below, *n.Subtree)
		}
	}
	return below
}

// content checks that a file's blob is known, and reports it once if not.
func (c *checker) content(h index.Handle) {
	if c.r.index.Has(h) {
		return
	}
	c.mu.Lock()
	_, known := c.lost[h]
	err := fmt.Errorf("%w: it is in no index", ErrDamaged)
	c.lost[h] = err
	c.mu.Unlock()
	if !known {
		c.report(Problem{Kind: BlobMissing, Blob: h, Err: err})
	}
}
