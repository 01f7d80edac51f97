package repo

import (
	"context"
	"fmt"
	"math"

	"russet/chunk"
	"russet/index"
)

// Usage is how much some snapshots hold. Sizes are bytes.
type Usage struct {
	Snapshots int
	// Files and FileBytes are what restoring each snapshot by itself would write:
	// a file that is in ten of them counts ten times.
	Files, FileBytes int64
	// Blobs and their sizes count each piece of content once, and folders too: as
	// it is, and as it is stored.
	Blobs, BlobBytes, StoredBytes int64
	// Lost is how many blobs are in no index.
	Lost int64
}

// Meter adds up what snapshots hold, by groups and in all. A tree that several
// snapshots of a group have is looked at once. It is not safe for concurrent use.
type Meter struct {
	r     *Repository
	blobs map[index.Handle]int // the group that met it last
	sums  map[chunk.ID]treeSum
	total Usage
	group int
}

// treeSum is what restoring a tree would write.
type treeSum struct{ files, bytes int64 }

func (s *treeSum) add(o treeSum) {
	// A hostile repository can hold more than there are numbers for.
	s.files, s.bytes = addSizes(s.files, o.files), addSizes(s.bytes, o.bytes)
}

func addSizes(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// NewMeter makes a Meter that has seen nothing.
func (r *Repository) NewMeter() *Meter {
	return &Meter{r: r, blobs: map[index.Handle]int{}, sums: map[chunk.ID]treeSum{}}
}

// Measure adds up what a group of snapshots holds.
func (m *Meter) Measure(ctx context.Context, snaps []*Snapshot) (Usage, error) {
	m.group++
	u := Usage{Snapshots: len(snaps)}
	var all treeSum
	for _, s := range snaps {
		sum, err := m.tree(ctx, *s.Tree, &u, 0)
		if err != nil {
			return u, fmt.Errorf("measure snapshot %.8s: %w", s.ID(), err)
		}
		all.add(sum)
	}
	u.Files, u.FileBytes = all.files, all.bytes
	m.total.Snapshots += u.Snapshots
	m.total.Files, m.total.FileBytes = addSizes(m.total.Files, u.Files), addSizes(m.total.FileBytes, u.FileBytes)
	return u, nil
}

// Total is what all groups hold that were measured. Blobs that several of them
// have count once.
func (m *Meter) Total() Usage { return m.total }

// blob counts a blob, and tells whether the group met it for the first time.
func (m *Meter) blob(h index.Handle, u *Usage) bool {
	last := m.blobs[h]
	if last == m.group {
		return false
	}
	m.blobs[h] = m.group
	loc, ok := m.r.index.Lookup(h)
	for _, u := range []*Usage{u, &m.total} {
		if u == &m.total && last != 0 {
			continue
		}
		if !ok {
			u.Lost++
			continue
		}
		u.Blobs++
		u.BlobBytes += loc.Size()
		u.StoredBytes += int64(loc.Length)
	}
	return true
}

func (m *Meter) tree(ctx context.Context, id chunk.ID, u *Usage, depth int) (treeSum, error) {
	if !m.blob(index.Handle{ID: id, Type: index.Tree}, u) {
		return m.sums[id], nil // 0 while a tree is being added up that holds itself, which none can
	}
	if err := checkDepth("", depth); err != nil {
		return treeSum{}, err
	}
	if err := ctx.Err(); err != nil {
		return treeSum{}, err
	}
	t, err := m.r.LoadTree(ctx, id)
	if err != nil {
		return treeSum{}, err
	}
	var sum treeSum
	for _, n := range t.Nodes {
		switch {
		case n.Type == TypeFile:
			sum.add(treeSum{1, int64(min(n.Size, math.MaxInt64))})
			for _, id := range n.Content {
				m.blob(index.Handle{ID: id, Type: index.Data}, u)
			}
		case n.Type == TypeDir && n.Subtree != nil:
			below, err := m.tree(ctx, *n.Subtree, u, depth+1)
			if err != nil {
				return treeSum{}, err
			}
			sum.add(below)
		}
	}
	m.sums[id] = sum
	return sum, nil
}
