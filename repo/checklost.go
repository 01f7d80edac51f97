package repo

import (
	"context"
	"errors"
	"maps"
	"slices"

	"russet/chunk"
	"russet/index"
)

// locate names the files and folders of all snapshots that need what is lost.
func (c *checker) locate(ctx context.Context, snaps []*Snapshot) error {
	if len(c.lost) == 0 {
		return nil
	}
	c.phase("finding affected files", 0, 0)
	l := &locator{c: c, dirty: map[chunk.ID]bool{}}
	var roots []variant
	for _, s := range snaps {
		roots = addVariant(roots, *s.Tree, []chunk.ID{s.id})
	}
	err := l.folder(ctx, "/", roots, 0)
	if errors.Is(err, errManyVisits) {
		return nil // the damage is reported; there is no end of what it costs
	}
	return err
}

// maxAffected bounds how many files and folders a check names: a hostile
// repository can hold one damaged file under more paths than there are atoms.
const maxAffected = 100_000

// locator walks all snapshots at once, path by path, through folders that hold
// damage.
type locator struct {
	c     *checker
	dirty map[chunk.ID]bool // what holds was found out about trees
	// Bounds where maxAffected is not reached: visits is that of every walk, and
	// idle counts folders since the affected ones became more. Each folder that is
	// entered holds damage, so an honest tree has some no more than its depth away.
	visits   visits
	idle     int
	affected int
}

// variant is a tree at some path, and the snapshots that have it there.
type variant struct {
	tree      chunk.ID
	snapshots []chunk.ID
}

func addVariant(all []variant, tree chunk.ID, snapshots []chunk.ID) []variant {
	for i := range all {
		if all[i].tree == tree {
			all[i].snapshots = append(all[i].snapshots, snapshots...)
			return all
		}
	}
	return append(all, variant{tree, slices.Clone(snapshots)})
}

// holds tells whether a tree is lost, or needs anything below it that is.
func (l *locator) holds(ctx context.Context, tree chunk.ID, depth int) (bool, error) {
	if dirty, known := l.dirty[tree]; known {
		return dirty, nil
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	dirty := l.c.lost[index.Handle{ID: tree, Type: index.Tree}] != nil
	if t, err := l.c.r.LoadTree(ctx, tree); err == nil && depth <= maxTreeDepth {
		for _, n := range t.Nodes {
			dirty = dirty || l.missing(n) != nil
			if n.Type != TypeDir || n.Subtree == nil {
				continue
			}
			below, err := l.holds(ctx, *n.Subtree, depth+1)
			if err != nil {
				return false, err
			}
			dirty = dirty || below
		}
	} else if ctx.Err() != nil {
		return false, ctx.Err()
	}
	l.dirty[tree] = dirty
	return dirty, nil
}

// missing says why a file cannot be had whole.
func (l *locator) missing(n *Node) error {
	for _, id := range n.Content {
		if err := l.c.lost[index.Handle{ID: id, Type: index.Data}]; err != nil {
			return err
		}
	}
	return nil
}

// lostFile is a file of one folder.
type lostFile struct {
	snapshots []chunk.ID
	err       error
}

// folder reports what is lost at and below a path.
func (l *locator) folder(ctx context.Context, path string, variants []variant, depth int) error {
	if checkDepth(path, depth) != nil || l.c.affected() > maxAffected {
		return nil
	}
	if n := l.c.affected(); n != l.affected {
		l.affected, l.idle = n, 0
	}
	if l.idle++; l.idle > 2*maxTreeDepth {
		return errManyVisits
	}
	files, folders := map[string]lostFile{}, map[string][]variant{}
	for _, v := range variants {
		dirty, err := l.holds(ctx, v.tree, depth)
		if err != nil {
			return err
		}
		if !dirty {
			continue
		}
		if err := l.c.lost[index.Handle{ID: v.tree, Type: index.Tree}]; err != nil {
			l.c.report(Problem{Kind: LostFolder, Path: path, Snapshots: v.snapshots, Err: err})
		}
		t, err := l.c.r.LoadTree(ctx, v.tree)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			continue
		}
		if err := l.visits.add(v.tree, len(t.Nodes)); err != nil {
			return err
		}
		for _, n := range t.Nodes {
			if err := l.missing(n); err != nil {
				f := files[n.Name]
				files[n.Name] = lostFile{append(f.snapshots, v.snapshots...), err}
			}
			if n.Type == TypeDir && n.Subtree != nil {
				folders[n.Name] = addVariant(folders[n.Name], *n.Subtree, v.snapshots)
			}
		}
	}
	if depth > 0 {
		path += "/"
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f := files[name]
		l.c.report(Problem{Kind: LostFile, Path: path + name, Snapshots: f.snapshots, Err: f.err})
	}
	for _, name := range slices.Sorted(maps.Keys(folders)) {
		if err := l.folder(ctx, path+name, folders[name], depth+1); err != nil {
			return err
		}
	}
	return nil
}
