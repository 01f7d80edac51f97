package repo

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"russet/backend"
	"russet/chunk"
	"russet/index"
)

// repairedSuffix ends the name of a file of which a part is left, as in restic.
const repairedSuffix = ".repaired"

// maxName is the longest name that file systems take, in bytes.
const maxName = 255

// mender makes trees without what is lost. It keeps what it made of each tree.
type mender struct {
	r     *Repository
	c     *checker // takes what is lost
	done  map[chunk.ID]mended
	trees map[chunk.ID][]byte // new ones

	unread error // of the first tree that the drive could not read
}

// mended is what was made of a tree.
type mended struct {
	id     chunk.ID // of the new one; the old one's where nothing is lost
	losses Losses   // of it and all below
	gone   bool     // it cannot be read
	lossy  bool     // it, or one below, was made anew and held what this program does not know
}

// tree mends a tree and all below it. The error is one that tells nothing about
// the tree.
func (m *mender) tree(ctx context.Context, id chunk.ID, depth int) (mended, error) {
	if was, ok := m.done[id]; ok {
		return was, nil
	}
	if err := ctx.Err(); err != nil {
		return mended{}, err
	}
	made := mended{id: id}
	t, err := m.r.LoadTree(ctx, id)
	if err == nil && depth > maxTreeDepth {
		err = fmt.Errorf("%w: trees are nested deeper than %d", ErrDamaged, maxTreeDepth)
	}
	switch {
	case err == nil:
		made, err = m.nodes(ctx, id, t, depth)
		if err != nil {
			return mended{}, err
		}
	case errors.Is(err, ErrDamaged):
		if m.unread == nil && backend.IsUnreadable(err) {
			m.unread = err
		}
		m.c.lose(index.Handle{ID: id, Type: index.Tree}, err)
		made.gone = true
	default:
		return mended{}, err
	}
	m.done[id] = made
	return made, nil
}

// nodes mends a tree that could be loaded.
func (m *mender) nodes(ctx context.Context, id chunk.ID, t *Tree, depth int) (mended, error) {
	made, changed := mended{id: id}, t.Validate() != nil
	fresh, taken := new(Tree), map[string]bool{}
	for _, n := range t.Nodes {
		taken[n.Name] = true
	}
	used := map[string]bool{}
	for _, n := range t.Nodes {
		keep, err := m.node(ctx, n, taken, &made, depth)
		if err != nil {
			return made, err
		}
		if keep != nil && used[keep.Name] { // a second one of the name
			keep = renamed(keep, taken)
		}
		if keep != n {
			changed = true
		}
		if keep == nil || keep.validate() != nil {
			if keep != nil {
				made.losses.Dropped++
			}
			continue
		}
		used[keep.Name] = true
		fresh.Nodes = append(fresh.Nodes, keep)
	}
	if !changed {
		return made, nil
	}
	fresh.Sort()
	made.lossy = made.lossy || t.Lossy
	made.id = m.add(fresh)
	return made, nil
}

// add keeps a new tree.
func (m *mender) add(t *Tree) chunk.ID {
	plain := t.Append(nil)
	id := chunk.Sum(plain)
	m.trees[id] = plain
	return id
}

// node mends one node: it returns the same where nothing is lost, and nil where
// all is.
func (m *mender) node(ctx context.Context, n *Node, taken map[string]bool, made *mended, depth int) (*Node, error) {
	switch n.Type {
	case TypeFile:
		return m.file(n, taken, made), nil
	case TypeDir:
	default:
		return n, nil
	}
	sub := mended{gone: true}
	if n.Subtree != nil && !n.Subtree.IsZero() {
		var err error
		if sub, err = m.tree(ctx, *n.Subtree, depth+1); err != nil {
			return nil, err
		}
		made.losses.add(sub.losses)
		made.lossy = made.lossy || sub.lossy
	}
	if sub.gone {
		made.losses.Emptied++
		sub.id = m.add(new(Tree))
	} else if sub.id == *n.Subtree {
		return n, nil
	}
	kept := *n
	kept.Subtree = &sub.id
	return &kept, nil
}

// file leaves out of a file what is in no pack.
func (m *mender) file(n *Node, taken map[string]bool, made *mended) *Node {
	kept := *n
	kept.Content, kept.Size = []chunk.ID{}, 0
	for _, id := range n.Content {
		h := index.Handle{ID: id, Type: index.Data}
		size, ok := m.r.index.Size(h)
		if !ok {
			m.c.lose(h, fmt.Errorf("%w: it is in no index", ErrDamaged))
			continue
		}
		kept.Content = append(kept.Content, id)
		kept.Size += uint64(size)
	}
	switch {
	case n.Content != nil && len(kept.Content) == len(n.Content):
		return n
	case len(kept.Content) == 0:
		made.losses.Dropped++
		return nil
	}
	made.losses.Cut++
	return renamed(&kept, taken)
}

// renamed returns the node under a name that says that it is not what it was.
func renamed(n *Node, taken map[string]bool) *Node {
	kept := *n
	for i := 1; ; i++ {
		suffix := repairedSuffix
		if i > 1 {
			suffix += "-" + strconv.Itoa(i)
		}
		kept.Name = n.Name[:min(len(n.Name), maxName-len(suffix))] + suffix
		if !taken[kept.Name] {
			taken[kept.Name] = true
			return &kept
		}
	}
}
