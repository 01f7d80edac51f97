package repo

import (
	"context"
	"errors"
	"strings"

	"russet/chunk"
)

// PathFinder looks up paths in many trees. A folder that several of them share
// is looked at once for each path. It is not safe for concurrent use.
type PathFinder struct {
	r     *Repository
	known map[pathKey]*Node // nil: nothing is there
}

// pathKey is a path from a tree on.
type pathKey struct {
	tree chunk.ID
	rest string
}

// NewPathFinder makes a PathFinder.
func (r *Repository) NewPathFinder() *PathFinder {
	return &PathFinder{r: r, known: map[pathKey]*Node{}}
}

// Find returns the node at a slash-separated path below a tree. It is nil where
// nothing is, and must not be changed.
func (f *PathFinder) Find(ctx context.Context, tree chunk.ID, path string) (*Node, error) {
	name, rest, deeper := strings.Cut(strings.Trim(path, "/"), "/")
	key := pathKey{tree, path}
	if n, ok := f.known[key]; ok {
		return n, nil
	}
	n, err := f.r.Find(ctx, tree, name)
	if errors.Is(err, ErrNotFound) {
		n, err = nil, nil
	}
	if err != nil {
		return nil, err
	}
	if n != nil && deeper {
		if n.Type == TypeDir && n.Subtree != nil {
			n, err = f.Find(ctx, *n.Subtree, rest)
		} else {
			n = nil
		}
	}
	if err == nil {
		f.known[key] = n
	}
	return n, err
}
