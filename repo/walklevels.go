package repo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"russet/chunk"
	"russet/index"
)

// WalkLevels is Walk for whoever does not mind the order: trees are loaded level
// by level, side by side, by a worker a core or connection. A folder that cannot be loaded is
// passed to visit by its path alone, without a node, with the error; of the first
// tree it is the walk's. visit is not called concurrently.
func (r *Repository) WalkLevels(ctx context.Context, tree chunk.ID, visit func(path string, n *Node, err error) error) error {
	w := levelWalker{visit: visit, below: map[chunk.ID][]string{tree: {""}}}
	l := newTreeLevels(r)
	for depth := 0; len(w.below) > 0; depth++ {
		if err := checkDepth("", depth); err != nil {
			return fmt.Errorf("walk trees: %w", err)
		}
		w.at, w.below = w.below, map[chunk.ID][]string{}
		_, err := l.load(ctx, slices.Collect(maps.Keys(w.at)), func(h index.Handle, plain []byte, err error) []chunk.ID {
			w.tree(h.ID, plain, err)
			return nil
		})
		if w.err != nil {
			return w.err
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// levelWalker is one WalkLevels.
type levelWalker struct {
	visit func(path string, n *Node, err error) error
	at    map[chunk.ID][]string // the trees of a level, by all their places

	mu     sync.Mutex            // guards what follows, and is held while visit runs
	below  map[chunk.ID][]string // those of the next level
	visits visits
	err    error // ends the walk
}

// tree visits what a tree holds, at all its places.
func (w *levelWalker) tree(id chunk.ID, plain []byte, err error) {
	var t *Tree
	if err == nil {
		if t, err = DecodeTree(plain); err != nil {
			err = fmt.Errorf("decode tree %.8s: %w: %w", id.String(), ErrDamaged, err)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, at := range w.at[id] {
		switch {
		case w.err != nil:
			return
		case err == nil:
			w.err = w.folder(id, at, t)
		case at == "" || !errors.Is(err, ErrDamaged):
			w.err = err
		default:
			w.err = w.unlisted(at, err)
		}
	}
}

// unlisted tells visit of a folder that cannot be loaded; at ends with a slash.
func (w *levelWalker) unlisted(at string, err error) error {
	if err := w.visit(at[:len(at)-1], nil, err); err != ErrSkipDir {
		return err
	}
	return nil
}

// folder visits the nodes of a tree at one place.
func (w *levelWalker) folder(id chunk.ID, at string, t *Tree) error {
	if err := w.visits.add(id, len(t.Nodes)); err != nil {
		return fmt.Errorf("walk trees: %w", err)
	}
	for _, n := range t.Nodes {
		path := at + n.Name
		err := w.visit(path, n, nil)
		if err == ErrSkipDir {
			continue
		}
		if err != nil {
			return err
		}
		if n.Type != TypeDir || n.Subtree == nil {
			continue
		}
		if err := checkDepth(path, 0); err != nil {
			if err := w.unlisted(path+"/", err); err != nil {
				return err
			}
			continue
		}
		w.below[*n.Subtree] = append(w.below[*n.Subtree], path+"/")
	}
	return nil
}
