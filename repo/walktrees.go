package repo

import (
	"context"
	"fmt"
	"sync"

	"russet/chunk"
	"russet/index"
)

// WalkTrees calls visit for each tree that the given ones lead to, themselves too:
// once, in no order and never concurrently. refers are the blobs that the tree
// names, trees among them, valid until visit returns; of a tree that cannot be
// loaded err says why. Trees are loaded level by level, by a worker a core.
func (r *Repository) WalkTrees(ctx context.Context, trees []chunk.ID, visit func(tree chunk.ID, refers []index.Handle, err error) error) error {
	var mu sync.Mutex // guards what follows, and is held while visit runs
	var failed error
	seen := map[chunk.ID]bool{}
	add := func(level []chunk.ID, id chunk.ID) []chunk.ID {
		if seen[id] {
			return level
		}
		seen[id] = true
		return append(level, id)
	}
	var level []chunk.ID
	for _, id := range trees {
		level = add(level, id)
	}
	levels := newTreeLevels(r)
	for depth := 0; len(level) > 0; depth++ {
		if err := checkDepth("", depth); err != nil {
			return fmt.Errorf("walk trees: %w", err)
		}
		below, err := levels.scan(ctx, level, func(h index.Handle, refers []index.Handle, err error) (below []chunk.ID) {
			mu.Lock()
			defer mu.Unlock()
			if failed == nil {
				failed = visit(h.ID, refers, err)
			}
			if failed != nil {
				return nil
			}
			for _, ref := range refers {
				if ref.Type == index.Tree {
					below = add(below, ref.ID)
				}
			}
			return below
		})
		if err == nil {
			err = failed
		}
		if err != nil {
			return err
		}
		level = below
	}
	return nil
}
