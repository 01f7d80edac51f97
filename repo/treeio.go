package repo

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"russet/chunk"
	"russet/index"
)

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
