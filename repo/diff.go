package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"russet/chunk"
	"russet/index"
)

// Change is one difference between two trees.
type Change struct {
	// Modifier is restic's: + and - for what only the second or the first tree
	// has; M for a file with other content; T for what is of another type, with an
	// M behind it if it is a file with other content; U for what has only other
	// metadata.
	Modifier string
	// Path has no leading slash; that of a folder ends in one.
	Path string
	// Old and New are the nodes. That which the modifier excludes is nil.
	Old, New *Node
}

// DiffStats sums a difference up, as restic does.
type DiffStats struct {
	ChangedFiles   int
	Added, Removed DiffCount
}

// DiffCount counts what one of two trees has and the other has not. Files,
// folders and others are counted by their paths, blobs by their content: one
// that the other tree has at another place is not counted.
type DiffCount struct {
	Files, Dirs, Others  int
	DataBlobs, TreeBlobs int
	Bytes                int64 // of the blobs, not compressed
}

func (c *DiffCount) node(n *Node) {
	switch n.Type {
	case TypeFile:
		c.Files++
	case TypeDir:
		c.Dirs++
	default:
		c.Others++
	}
}

// DiffOptions say what a Diff looks for.
type DiffOptions struct {
	Metadata bool // tell of changes in metadata, too
}

// Diff calls visit for each difference of two trees, in the order of their
// paths, and sums them up. What both share is only loaded where the sum needs it.
func (r *Repository) Diff(ctx context.Context, first, second chunk.ID, opt DiffOptions, visit func(Change) error) (DiffStats, error) {
	d := differ{
		r: r, opt: opt, visit: visit,
		before: blobSet{}, after: blobSet{}, common: blobSet{},
	}
	d.before.tree(first)
	d.after.tree(second)
	err := d.trees(ctx, "", first, second, 0)
	if err == nil {
		d.count(&d.stats.Removed, d.before, d.after)
		d.count(&d.stats.Added, d.after, d.before)
	}
	return d.stats, err
}

// blobSet is a set of blobs.
type blobSet map[index.Handle]struct{}

func (s blobSet) tree(id chunk.ID) { s[index.Handle{ID: id, Type: index.Tree}] = struct{}{} }

func (s blobSet) node(n *Node) {
	for _, id := range n.Content {
		s[index.Handle{ID: id, Type: index.Data}] = struct{}{}
	}
	if n.Type == TypeDir && n.Subtree != nil {
		s.tree(*n.Subtree)
	}
}

// differ is one Diff.
type differ struct {
	r                     *Repository
	opt                   DiffOptions
	visit                 func(Change) error
	stats                 DiffStats
	before, after, common blobSet // common: below trees that both have at one place
	visits                visits
}

func (d *differ) count(c *DiffCount, has, hasNot blobSet) {
	for h := range has {
		_, there := hasNot[h]
		if _, common := d.common[h]; there || common {
			continue
		}
		if h.Type == index.Tree {
			c.TreeBlobs++
		} else {
			c.DataBlobs++
		}
		size, _ := d.r.index.Size(h)
		c.Bytes += size
	}
}

// load loads a tree at a path as its nodes by name.
func (d *differ) load(ctx context.Context, path string, id chunk.ID, depth int) (map[string]*Node, error) {
	if err := checkDepth(path, depth); err != nil {
		return nil, fmt.Errorf("compare trees: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t, err := d.r.LoadTree(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := d.visits.add(id, len(t.Nodes)); err != nil {
		return nil, fmt.Errorf("compare trees: %w", err)
	}
	nodes := make(map[string]*Node, len(t.Nodes))
	for _, n := range t.Nodes {
		nodes[n.Name] = n
	}
	return nodes, nil
}

func (d *differ) trees(ctx context.Context, prefix string, first, second chunk.ID, depth int) error {
	if first == second {
		return d.collect(ctx, first)
	}
	olds, err := d.load(ctx, prefix, first, depth)
	if err != nil {
		return err
	}
	news, err := d.load(ctx, prefix, second, depth)
	if err != nil {
		return err
	}
	all := maps.Clone(olds)
	maps.Copy(all, news)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		n, m := olds[name], news[name]
		if n != nil {
			d.before.node(n)
		}
		if m != nil {
			d.after.node(m)
		}
		switch path := prefix + name; {
		case m == nil:
			err = d.only(ctx, Change{"-", path, n, nil}, depth)
		case n == nil:
			err = d.only(ctx, Change{"+", path, nil, m}, depth)
		default:
			err = d.both(ctx, path, n, m, depth)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// both compares what stands at one path.
func (d *differ) both(ctx context.Context, path string, n, m *Node, depth int) error {
	if m.Type == TypeDir {
		path += "/"
	}
	modifier := ""
	if n.Type != m.Type {
		modifier = "T"
	}
	switch {
	case n.Type == TypeFile && m.Type == TypeFile && !slices.Equal(n.Content, m.Content):
		modifier += "M"
		d.stats.ChangedFiles++
	case d.opt.Metadata && !bytes.Equal(n.appendTo(nil), m.appendTo(nil)):
		modifier += "U"
	}
	if modifier != "" {
		if err := d.visit(Change{modifier, path, n, m}); err != nil {
			return err
		}
	}
	if n.Type != TypeDir || m.Type != TypeDir || n.Subtree == nil || m.Subtree == nil {
		return nil
	}
	return d.trees(ctx, path, *n.Subtree, *m.Subtree, depth+1)
}

// only tells of what one tree alone has, and of all below it.
func (d *differ) only(ctx context.Context, c Change, depth int) error {
	n, count, blobs := c.New, &d.stats.Added, d.after
	if n == nil {
		n, count, blobs = c.Old, &d.stats.Removed, d.before
	}
	if n.Type == TypeDir {
		c.Path += "/"
	}
	count.node(n)
	blobs.node(n)
	if err := d.visit(c); err != nil {
		return err
	}
	if n.Type != TypeDir || n.Subtree == nil {
		return nil
	}
	nodes, err := d.load(ctx, c.Path, *n.Subtree, depth+1)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(nodes)) {
		below := Change{Modifier: c.Modifier, Path: c.Path + name}
		if c.New == nil {
			below.Old = nodes[name]
		} else {
			below.New = nodes[name]
		}
		if err := d.only(ctx, below, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// collect notes what lies below a tree that both have. What cannot be loaded of
// it makes the sum wrong and hides no difference.
func (d *differ) collect(ctx context.Context, tree chunk.ID) error {
	h := index.Handle{ID: tree, Type: index.Tree}
	if _, ok := d.common[h]; ok {
		return nil
	}
	d.common[h] = struct{}{}
	err := d.r.WalkOnce(ctx, tree, func(n *Node, err error) error {
		if err != nil {
			return nil
		}
		if n.Type == TypeDir && n.Subtree != nil {
			if _, ok := d.common[index.Handle{ID: *n.Subtree, Type: index.Tree}]; ok {
				return ErrSkipDir
			}
		}
		d.common.node(n)
		return nil
	})
	if errors.Is(err, ErrDamaged) {
		return nil
	}
	return err
}
