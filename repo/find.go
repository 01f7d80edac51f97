package repo

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"russet/chunk"
)

// Glob is a pattern for paths as restic's find takes it: parts between slashes,
// each with *, ? and [a-z], and ** for any number of folders. It matches what
// some of a path's parts, one behind the other, match, and all that lies below;
// with a slash in front these are the first parts.
type Glob struct {
	parts  []string
	rooted bool
}

// ParseGlob reads a pattern.
func ParseGlob(text string) (Glob, error) {
	if text == "" {
		return Glob{}, fmt.Errorf("the pattern is empty")
	}
	clean := path.Clean(text)
	g := Glob{rooted: strings.HasPrefix(clean, "/")}
	if clean = strings.Trim(clean, "/"); clean != "" {
		g.parts = strings.Split(clean, "/")
	}
	for _, part := range g.parts {
		if _, err := path.Match(part, ""); err != nil {
			return Glob{}, fmt.Errorf("the pattern %q is wrong: a [ is not closed, or a \\ ends it", text)
		}
	}
	return g, nil
}

// globState is which places in a pattern the parts of a path so far can lead
// to; the last place is its end.
type globState []bool

func (g Glob) start() globState {
	s := make(globState, len(g.parts)+1)
	s[0] = true
	g.skip(s)
	return s
}

// skip lets every ** stand for nothing.
func (g Glob) skip(s globState) {
	for i, part := range g.parts {
		if s[i] && part == "**" {
			s[i+1] = true
		}
	}
}

// next is the state one part of the path further down.
func (g Glob) next(s globState, name string) globState {
	to := make(globState, len(s))
	for i, part := range g.parts {
		if !s[i] {
			continue
		}
		if part == "**" {
			to[i] = true
		} else if ok, _ := path.Match(part, name); ok { // was checked when it was parsed
			to[i+1] = true
		}
	}
	to[len(g.parts)] = to[len(g.parts)] || s[len(g.parts)]
	to[0] = to[0] || !g.rooted
	g.skip(to)
	return to
}

// matched tells whether the path matches, and so does all that lies below.
func (s globState) matched() bool { return s[len(s)-1] }

// hopeless tells that nothing below can match.
func (s globState) hopeless() bool { return !slices.Contains(s, true) }

// Finder looks for names in many snapshots. A tree that several of them have at
// one place is looked at once. It is not safe for concurrent use.
type Finder struct {
	r      *Repository
	globs  []Glob
	fold   bool
	known  map[finderKey]*branch
	visits visits
}

// finderKey is a tree at a place: what matches in it depends on both.
type finderKey struct {
	tree chunk.ID
	path string
}

// branch is what was found in one tree: nodes, and branches of folders in which
// something was, in the order of their names.
type branch struct {
	items []found
}

// found is a node that matches, or else a branch.
type found struct {
	path string
	node *Node
	in   *branch
}

// NewFinder makes a Finder for paths that match any of the patterns. With fold
// the case of letters makes no difference.
func (r *Repository) NewFinder(fold bool, patterns ...string) (*Finder, error) {
	f := &Finder{r: r, fold: fold, known: map[finderKey]*branch{}}
	for _, text := range patterns {
		if fold {
			text = strings.ToLower(text)
		}
		g, err := ParseGlob(text)
		if err != nil {
			return nil, err
		}
		f.globs = append(f.globs, g)
	}
	return f, nil
}

// Find calls visit for every node below the tree whose path matches, in the
// order of the paths, which have no leading slash. The same node of several
// snapshots may be the same pointer, and must not be changed. Folders that are
// damaged are told to bad, if it is not nil, once for each tree and place.
func (f *Finder) Find(ctx context.Context, tree chunk.ID, bad func(path string, err error), visit func(path string, n *Node) error) error {
	states := make([]globState, len(f.globs))
	for i, g := range f.globs {
		states[i] = g.start()
	}
	b, err := f.tree(ctx, tree, "", states, bad, 0)
	if err != nil {
		return err
	}
	return b.each(visit)
}

func (b *branch) each(visit func(path string, n *Node) error) error {
	for _, item := range b.items {
		err := error(nil)
		if item.node != nil {
			err = visit(item.path, item.node)
		}
		if item.in != nil && err == nil {
			err = item.in.each(visit)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *Finder) tree(ctx context.Context, id chunk.ID, prefix string, states []globState, bad func(string, error), depth int) (*branch, error) {
	key := finderKey{id, prefix}
	if b := f.known[key]; b != nil {
		return b, nil
	}
	if err := checkDepth(prefix, depth); err != nil {
		return nil, fmt.Errorf("find: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t, err := f.r.LoadTree(ctx, id)
	if ctx.Err() != nil {
		return nil, err
	}
	b := new(branch)
	f.known[key] = b
	if err != nil {
		if bad == nil {
			return nil, err
		}
		bad(strings.TrimSuffix(prefix, "/"), err)
		return b, nil
	}
	if err := f.visits.add(id, len(t.Nodes)); err != nil {
		return nil, fmt.Errorf("find: %w", err)
	}
	for _, n := range t.Nodes {
		item := found{path: prefix + n.Name}
		below, matched, hopeless := f.step(states, n.Name)
		if matched {
			item.node = n
		}
		if n.Type == TypeDir && n.Subtree != nil && !hopeless {
			if item.in, err = f.tree(ctx, *n.Subtree, item.path+"/", below, bad, depth+1); err != nil {
				return nil, err
			}
		}
		if item.node != nil || item.in != nil && len(item.in.items) > 0 {
			b.items = append(b.items, item)
		}
	}
	return b, nil
}

// step takes all patterns one name further.
func (f *Finder) step(states []globState, name string) (below []globState, matched, hopeless bool) {
	if f.fold {
		name = strings.ToLower(name)
	}
	hopeless = true
	below = make([]globState, len(states))
	for i, g := range f.globs {
		below[i] = g.next(states[i], name)
		matched = matched || below[i].matched()
		hopeless = hopeless && below[i].hopeless()
	}
	return below, matched, hopeless
}
