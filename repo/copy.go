package repo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"russet/backend"
	"russet/chunk"
	"russet/index"
)

// CopyPlan is what is to be copied from one repository into another, an
// independent one with a key of its own. Nothing has happened yet.
type CopyPlan struct {
	// Snapshots are those to be copied, newest first: a copy that is cut off has
	// what matters most. Kept is how many of the wanted ones the other has.
	Snapshots []*Snapshot
	Kept      int
	// Blobs and Bytes are what the other lacks, as it is stored here. Found is
	// how many blobs of earlier runs that were cut off lie there in packs that no
	// index names yet, and Missing how many of Blobs are of snapshots that were
	// copied before: they have been lost there since.
	Blobs   int
	Bytes   int64
	Found   int
	Missing int
	// Lost says which snapshots cannot be copied whole, and therefore are not; and
	// which that were copied before cannot give their copies what those have lost.
	Lost []error

	from, to *Repository
	adopt    []index.Pack
	parts    []copyPart
}

// copyPart is a snapshot to be copied, and what is needed for it beside what the
// parts before it bring.
type copyPart struct {
	snapshot *Snapshot // nil where that is lost
	kept     bool      // it was copied before, and only what has been lost there is wanted
	blobs    []index.Handle
}

// PlanCopy finds out what of the given snapshots of from is missing in to, by the
// difference of the two indexes, which it loads: the snapshots must have been
// listed before. Both repositories must be locked, to in the context given here.
//
// A snapshot counts as copied, as in restic, when the other repository has one
// that is equal in all but parent and original, and that goes back to the same
// one.
func PlanCopy(ctx context.Context, from, to *Repository, snapshots []*Snapshot) (*CopyPlan, error) {
	if from.ID() == to.ID() {
		return nil, errors.New("plan copy: both are the same repository, or one is a mirror of the other")
	}
	there, err := to.AllSnapshots(ctx)
	if err != nil && !errors.Is(err, ErrDamaged) {
		return nil, fmt.Errorf("plan copy: %w", err)
	}
	for _, r := range []*Repository{from, to} {
		if err := r.LoadIndex(ctx); err != nil {
			return nil, fmt.Errorf("plan copy: %w", err)
		}
	}
	gone, err := to.DropLost(ctx)
	if err != nil {
		return nil, fmt.Errorf("plan copy: %w", err)
	}
	p := &CopyPlan{from: from, to: to}
	var kept []*Snapshot
	for _, s := range snapshots {
		if slices.ContainsFunc(there, s.isCopy) {
			p.Kept++
			kept = append(kept, s)
		} else {
			p.Snapshots = append(p.Snapshots, s)
		}
	}
	SortSnapshots(p.Snapshots)
	slices.Reverse(p.Snapshots)
	if err := whileAnswered(ctx, func(ctx context.Context) error { return p.survey(ctx, kept, gone > 0) }); err != nil {
		return nil, fmt.Errorf("plan copy: %w", err)
	}
	return p, nil
}

// isCopy tells whether the other snapshot, of another repository, was copied
// from s, or both from the same one.
func (s *Snapshot) isCopy(other *Snapshot) bool {
	return (other.origin() == s.origin() || other.id == s.origin()) &&
		other.Time.Equal(s.Time) && *other.Tree == *s.Tree && other.Hostname == s.Hostname && other.Username == s.Username &&
		other.UID == s.UID && other.GID == s.GID && slices.Equal(other.Paths, s.Paths) &&
		slices.Equal(other.Excludes, s.Excludes) && slices.Equal(other.Tags, s.Tags)
}

// String tells what would be done, in a few lines.
func (p *CopyPlan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "copy %6d snapshots: %d blobs are not there yet, %s\n", len(p.Snapshots), p.Blobs, sizeText(p.Bytes))
	if p.Kept > 0 {
		fmt.Fprintf(&b, "keep %6d snapshots: they were copied before\n", p.Kept)
	}
	if p.Missing > 0 {
		fmt.Fprintf(&b, "heal these: %d blobs of them have been lost there, and are copied again\n", p.Missing)
	}
	if p.Found > 0 {
		fmt.Fprintf(&b, "use  %6d blobs that a copy that was cut off has brought there\n", p.Found)
	}
	for _, err := range p.Lost {
		fmt.Fprintf(&b, "not whole: %v\n", err)
	}
	return b.String()
}

// survey fills the plan: it walks the trees of the snapshots in turn, each tree
// once, also those that the other repository has: of what lies below them it may
// lack something, after a copy that was cut off. For those of kept, which were
// copied, only what has been lost there since is copied: by damage, or as a
// repair took a pack out of the index. hurt tells that packs are gone there.
func (p *CopyPlan) survey(ctx context.Context, kept []*Snapshot, hurt bool) error {
	w := &copyWalk{
		p: p, levels: newTreeLevels(p.from),
		seen: map[chunk.ID]struct{}{}, wanted: map[index.Handle]struct{}{}, bad: map[index.Handle]error{},
	}
	for _, s := range p.Snapshots {
		blobs, err := w.snapshot(ctx, s)
		if err != nil {
			return err
		}
		p.parts = append(p.parts, copyPart{s, false, blobs})
	}
	if !hurt && w.lacksNothing() {
		kept = nil
	}
	for _, s := range kept {
		blobs, err := w.snapshot(ctx, s)
		if err != nil {
			return err
		}
		p.parts = append(p.parts, copyPart{s, true, blobs})
	}
	if err := p.dropLost(ctx, w.bad); err != nil {
		return err
	}
	if err := p.findStored(ctx); err != nil {
		return err
	}
	for _, part := range p.parts {
		if p.Blobs += len(part.blobs); part.kept {
			p.Missing += len(part.blobs)
		}
		for _, h := range part.blobs {
			loc, _ := p.from.index.Lookup(h)
			p.Bytes += int64(loc.Length)
		}
	}
	return nil
}

// lacksNothing tells whether the other repository has, but for what is to be
// copied, all that this one has: then whatever was copied is whole there, and
// need not be walked.
func (w *copyWalk) lacksNothing() bool {
	for loc := range w.p.from.index.Blobs() {
		if _, ok := w.wanted[loc.Handle]; !ok && !w.p.to.index.Has(loc.Handle) {
			return false
		}
	}
	return true
}

// dropLost takes out of the plan the snapshots that need what is bad.
func (p *CopyPlan) dropLost(ctx context.Context, bad map[index.Handle]error) error {
	if len(bad) == 0 {
		return nil
	}
	parts := p.parts
	p.parts, p.Snapshots = nil, nil
	for _, part := range parts {
		err := p.from.whole(ctx, part, bad)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		switch {
		case err != nil:
			p.Lost = append(p.Lost, err)
			// What it brings to others is copied with them.
			part.snapshot = nil
		case !part.kept:
			p.Snapshots = append(p.Snapshots, part.snapshot)
		}
		part.blobs = slices.DeleteFunc(part.blobs, func(h index.Handle) bool { return bad[h] != nil })
		p.parts = append(p.parts, part)
	}
	return nil
}

// whole returns an error where the snapshot of a part needs any of what is bad.
func (r *Repository) whole(ctx context.Context, part copyPart, bad map[index.Handle]error) error {
	err := r.needs(ctx, *part.snapshot.Tree, bad)
	switch {
	case err == nil:
		return nil
	case part.kept:
		return fmt.Errorf("snapshot %.8s, which was copied before, is not whole here, and cannot heal its copy: %w", part.snapshot.id.String(), err)
	}
	return fmt.Errorf("snapshot %.8s: %w", part.snapshot.id.String(), err)
}

// needs returns the error of the first bad blob that a tree leads to.
func (r *Repository) needs(ctx context.Context, tree chunk.ID, bad map[index.Handle]error) error {
	if err := bad[index.Handle{ID: tree, Type: index.Tree}]; err != nil {
		return err
	}
	return r.WalkOnce(ctx, tree, func(n *Node, err error) error {
		for _, id := range n.Content {
			if err := bad[index.Handle{ID: id, Type: index.Data}]; err != nil {
				return err
			}
		}
		return err
	})
}

// copyWalk finds what a copy needs.
type copyWalk struct {
	p      *CopyPlan
	levels *treeLevels
	seen   map[chunk.ID]struct{} // trees

	mu     sync.Mutex
	wanted map[index.Handle]struct{} // that the other repository lacks
	blobs  []index.Handle            // the same, of the snapshot at hand
	bad    map[index.Handle]error    // that this repository has lost
}

// snapshot returns what is to be copied for a snapshot.
func (w *copyWalk) snapshot(ctx context.Context, s *Snapshot) ([]index.Handle, error) {
	w.blobs = nil
	level := w.unseen([]chunk.ID{*s.Tree})
	for depth := 0; len(level) > 0; depth++ {
		if depth > maxTreeDepth {
			return nil, fmt.Errorf("%w: trees are nested deeper than %d", ErrDamaged, maxTreeDepth)
		}
		below, err := w.levels.scan(ctx, level, w.tree)
		if err != nil {
			return nil, err
		}
		level = w.unseen(below)
	}
	return w.blobs, nil
}

func (w *copyWalk) unseen(ids []chunk.ID) []chunk.ID {
	return slices.DeleteFunc(ids, func(id chunk.ID) bool {
		_, ok := w.seen[id]
		w.seen[id] = struct{}{}
		return ok
	})
}

// tree notes a tree and what its files need, and returns the trees right below.
func (w *copyWalk) tree(h index.Handle, found []index.Handle, err error) []chunk.ID {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.bad[h] = err
		return nil
	}
	w.want(h)
	var below []chunk.ID
	for _, child := range found {
		if child.Type == index.Tree {
			below = append(below, child.ID) // which notes itself
		} else {
			w.want(child)
		}
	}
	return below
}

// want notes a blob, unless the other repository has it. w.mu is held.
func (w *copyWalk) want(h index.Handle) {
	if _, ok := w.wanted[h]; ok || w.p.to.index.Has(h) {
		return
	}
	w.wanted[h] = struct{}{}
	if !w.p.from.index.Has(h) {
		w.bad[h] = fmt.Errorf("load %v: %w: it is in no index", h, ErrDamaged)
		return
	}
	w.blobs = append(w.blobs, h)
}

// findStored looks in packs that no index of the other repository names for what
// the plan would copy: a copy that was killed has left them. Their headers are
// sealed with that repository's key, so an index of them is all that is missing,
// where they are whole: each is read to its end first, as a repair leaves damaged
// ones in no index as well.
func (p *CopyPlan) findStored(ctx context.Context) error {
	wanted := map[index.Handle]bool{}
	for _, part := range p.parts {
		for _, h := range part.blobs {
			wanted[h] = true
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	reader := newPackReader(&checker{r: p.to})
	for info, err := range p.to.be.List(ctx, backend.Data) {
		if err != nil {
			return fmt.Errorf("list packs: %w", err)
		}
		id, err := chunk.ParseID(info.Name)
		if err != nil || p.to.index.HasPack(id) {
			continue
		}
		f := packFile{id: id, size: info.Size}
		blobs, start, err := reader.readHeader(ctx, f)
		useful := err == nil && slices.ContainsFunc(blobs, func(b index.Blob) bool { return wanted[b.Handle] })
		if useful {
			err = reader.contents(ctx, f, blobs, start)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil || !useful { // one that is damaged, or gone since, is left to a check
			continue
		}
		p.adopt = append(p.adopt, index.Pack{ID: id, Blobs: slices.Clone(blobs)})
		for _, b := range blobs {
			if wanted[b.Handle] {
				delete(wanted, b.Handle)
				p.Found++
			}
		}
	}
	if p.Found == 0 {
		return nil
	}
	for i := range p.parts {
		p.parts[i].blobs = slices.DeleteFunc(p.parts[i].blobs, func(h index.Handle) bool { return !wanted[h] })
	}
	return nil
}
