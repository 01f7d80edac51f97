package repo

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

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

// treesAtOnce is how many trees one worker loads in one go: neighbours in a
// pack come with one request.
const treesAtOnce = 128

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
	loaders := make([]*Loader, runtime.GOMAXPROCS(0))
	for i := range loaders {
		loaders[i] = c.r.NewLoader()
	}
	for depth := 0; len(level) > 0; depth++ {
		if depth > maxTreeDepth {
			err := fmt.Errorf("%w: trees are nested deeper than %d", ErrDamaged, maxTreeDepth)
			c.report(Problem{Kind: BadTree, Blob: index.Handle{ID: level[0], Type: index.Tree}, Err: err})
			return nil
		}
		below, err := c.treeLevel(ctx, loaders, level)
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

// treeLevel checks trees, and returns those right below them.
func (c *checker) treeLevel(ctx context.Context, loaders []*Loader, ids []chunk.ID) ([]chunk.ID, error) {
	batches := c.byPlace(ids)
	below := make([][]chunk.ID, len(batches))
	next := make(chan int)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(next)
		for i := range batches {
			select {
			case next <- i:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for _, l := range loaders[:min(len(loaders), len(batches))] {
		group.Go(func() error {
			for i := range next {
				err := l.Load(ctx, batches[i], func(k int, plain []byte, err error) error {
					if ctx.Err() != nil {
						return ctx.Err()
					}
					below[i] = append(below[i], c.tree(batches[i][k], plain, err)...)
					c.done(1, 0)
					return nil
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := group.Wait()
	return slices.Concat(below...), err
}

// byPlace groups trees that lie side by side.
func (c *checker) byPlace(ids []chunk.ID) [][]index.Handle {
	type place struct {
		index.Location
		h index.Handle
	}
	places := make([]place, len(ids))
	for i, id := range ids {
		h := index.Handle{ID: id, Type: index.Tree}
		loc, _ := c.r.index.Lookup(h)
		places[i] = place{loc, h}
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(a.Pack.Compare(b.Pack), cmp.Compare(a.Offset, b.Offset))
	})
	var batches [][]index.Handle
	share := max(1, min(treesAtOnce, len(places)/runtime.GOMAXPROCS(0)))
	for some := range slices.Chunk(places, share) {
		batch := make([]index.Handle, len(some))
		for i, p := range some {
			batch[i] = p.h
		}
		batches = append(batches, batch)
	}
	return batches
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
		c.report(Problem{Kind: BadTree, Blob: h, Err: err})
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
