package repo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"russet/chunk"
	"russet/index"
)

// maxTreeDepth bounds how deep trees are followed: a hostile repository can
// nest them without end, and no file system goes as deep.
const maxTreeDepth = 2000

func (r *Repository) hasTree(id chunk.ID) bool {
	return r.index.Has(index.Handle{ID: id, Type: index.Tree})
}

// LoadTree loads and decodes a tree.
func (r *Repository) LoadTree(ctx context.Context, id chunk.ID) (*Tree, error) {
	plain, err := r.Load(ctx, index.Handle{ID: id, Type: index.Tree}, nil)
	if err != nil {
		return nil, err
	}
	t, err := DecodeTree(plain)
	if err != nil {
		return nil, fmt.Errorf("decode tree %.8s: %w: %w", id.String(), ErrDamaged, err)
	}
	return t, nil
}

// Sort puts the nodes in the order that the format asks for: by name, as bytes.
func (t *Tree) Sort() {
	slices.SortFunc(t.Nodes, func(a, b *Node) int { return strings.Compare(a.Name, b.Name) })
}

// SaveTree encodes and saves a tree, whose nodes must be sorted by name.
func (w *Writer) SaveTree(ctx context.Context, t *Tree) (Saved, error) {
	if err := t.Validate(); err != nil {
		return Saved{}, fmt.Errorf("save tree: %w", err)
	}
	return w.Save(ctx, index.Tree, t.Append(nil))
}

// ErrSkipDir is what the function given to Walk returns to leave out what lies
// below the folder it was called with.
var ErrSkipDir = errors.New("skip this directory")

// Walk calls visit for every node below the tree, parents first, in name
// order; path has no leading slash. A folder that cannot be loaded is passed
// to visit as its node with the error; the walk goes on unless visit returns
// one.
func (r *Repository) Walk(ctx context.Context, tree chunk.ID, visit func(path string, n *Node, err error) error) error {
	return r.walk(ctx, tree, "", 0, visit)
}

func (r *Repository) walk(ctx context.Context, id chunk.ID, prefix string, depth int, visit func(string, *Node, error) error) error {
	if depth > maxTreeDepth {
		return fmt.Errorf("walk trees: %w: nested deeper than %d", ErrDamaged, maxTreeDepth)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	t, err := r.LoadTree(ctx, id)
	if err != nil {
		return err
	}
	for _, n := range t.Nodes {
		path := prefix + n.Name
		err := visit(path, n, nil)
		if err == ErrSkipDir {
			continue
		}
		if err != nil {
			return err
		}
		if n.Type != TypeDir || n.Subtree == nil {
			continue
		}
		err = r.walk(ctx, *n.Subtree, path+"/", depth+1, visit)
		if err != nil && ctx.Err() == nil && errors.Is(err, ErrDamaged) {
			err = visit(path, n, err)
		}
		if err != nil && err != ErrSkipDir {
			return err
		}
	}
	return nil
}

// Find looks up the node at a slash-separated path below a tree. The error is
// ErrNotFound when nothing is there.
func (r *Repository) Find(ctx context.Context, tree chunk.ID, path string) (*Node, error) {
	node := &Node{Type: TypeDir, Subtree: &tree}
	for name := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if name == "" || name == "." {
			continue
		}
		if node.Type != TypeDir || node.Subtree == nil {
			return nil, fmt.Errorf("find %q: %w", path, ErrNotFound)
		}
		t, err := r.LoadTree(ctx, *node.Subtree)
		if err != nil {
			return nil, err
		}
		if node = t.Find(name); node == nil {
			return nil, fmt.Errorf("find %q: %w", path, ErrNotFound)
		}
	}
	return node, nil
}
