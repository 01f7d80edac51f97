package repo

import (
	"context"
	"errors"
	"fmt"

	"russet/chunk"
)

// ErrSkipDir is what the function given to Walk returns to leave out what lies
// below the folder it was called with.
var ErrSkipDir = errors.New("skip this directory")

// Walk calls visit for every node below the tree, parents first, in name
// order; path has no leading slash. A folder that cannot be loaded is passed
// to visit as its node with the error; the walk goes on unless visit returns
// one. It ends with ErrDamaged where trees are referred to so often that no
// folder can have been like that.
func (r *Repository) Walk(ctx context.Context, tree chunk.ID, visit func(path string, n *Node, err error) error) error {
	w := walker{r: r, visit: visit}
	return w.tree(ctx, tree, "", 0)
}

// WalkOnce is Walk for whoever needs no paths: what lies below a tree is visited
// once, however often the tree is referred to.
func (r *Repository) WalkOnce(ctx context.Context, tree chunk.ID, visit func(n *Node, err error) error) error {
	w := walker{r: r, once: true, visit: func(_ string, n *Node, err error) error { return visit(n, err) }}
	return w.tree(ctx, tree, "", 0)
}

// walker is one walk.
type walker struct {
	r      *Repository
	visit  func(path string, n *Node, err error) error
	once   bool
	visits visits
}

func (w *walker) tree(ctx context.Context, id chunk.ID, prefix string, depth int) error {
	if err := checkDepth(prefix, depth); err != nil {
		return fmt.Errorf("walk trees: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if w.once && w.visits.been(id) {
		return nil
	}
	t, err := w.r.LoadTree(ctx, id)
	if err != nil {
		return err
	}
	if err := w.visits.add(id, len(t.Nodes)); err != nil {
		return fmt.Errorf("walk trees: %w", err)
	}
	for _, n := range t.Nodes {
		path := ""
		if !w.once {
			path = prefix + n.Name
		}
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
		err = w.tree(ctx, *n.Subtree, path+"/", depth+1)
		if err != nil && ctx.Err() == nil && errors.Is(err, ErrDamaged) && !errors.Is(err, errManyVisits) {
			err = w.visit(path, n, err)
		}
		if err != nil && err != ErrSkipDir {
			return err
		}
	}
	return nil
}

const (
	// maxTreeDepth bounds how deep trees are followed, and maxPathLength how long
	// their names may be together: a hostile repository can nest them without
	// end, and no file system goes as far.
	maxTreeDepth  = 2000
	maxPathLength = 64 << 10
)

// checkDepth is asked before a tree at some path is loaded.
func checkDepth(path string, depth int) error {
	if depth > maxTreeDepth {
		return fmt.Errorf("%w: trees are nested deeper than %d", ErrDamaged, maxTreeDepth)
	}
	if len(path) > maxPathLength {
		return fmt.Errorf("%w: the path of a folder is longer than %d bytes", ErrDamaged, maxPathLength)
	}
	return nil
}

const (
	// freeVisits is how many nodes may be visited again in any case, and
	// maxRepeats how often, on average, those that there are: a year of daily
	// copies of one folder is well below.
	freeVisits = 100_000
	maxRepeats = 1000
)

// errManyVisits ends a walk: a few trees, each of which refers twice to the
// next, stand for more files than there are atoms.
var errManyVisits = fmt.Errorf("%w: its trees refer to each other too often", ErrDamaged)

// visits counts the nodes that one walk comes to, and bounds them by those that
// there are. The zero value has seen none.
type visits struct {
	seen         map[chunk.ID]struct{}
	first, again int // nodes
}

func (v *visits) been(tree chunk.ID) bool {
	_, ok := v.seen[tree]
	return ok
}

// add notes that a tree of so many nodes is visited.
func (v *visits) add(tree chunk.ID, nodes int) error {
	if !v.been(tree) {
		if v.seen == nil {
			v.seen = map[chunk.ID]struct{}{}
		}
		v.seen[tree] = struct{}{}
		v.first += nodes
		return nil
	}
	v.again += nodes
	if v.again > freeVisits && v.again/maxRepeats > v.first {
		return fmt.Errorf("%w: %d nodes were visited for %d", errManyVisits, v.first+v.again, v.first)
	}
	return nil
}
