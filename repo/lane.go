package repo

import (
	"context"

	"russet/chunk"
	"russet/index"
)

// A lane is what the blobs of a pack have in common.
type lane int

const (
	dataLane lane = iota
	treeLane
	nearLane // data that every run reads
	lanes
)

// nearKey is under which a context is one of Near.
type nearKey struct{}

// Near returns a context for what every run reads beside trees, such as the
// manifest of the last backup. In a repository that lies far away, what is saved
// under it goes into packs that are stored and cached as those of trees are, and
// what is loaded under it comes from there.
func Near(ctx context.Context) context.Context { return context.WithValue(ctx, nearKey{}, true) }

func isNear(ctx context.Context) bool { return ctx.Value(nearKey{}) != nil }

// lane is where a blob goes that is saved under ctx.
func (r *Repository) lane(ctx context.Context, t index.BlobType) lane {
	switch {
	case t == index.Tree:
		return treeLane
	case r.connections > 0 && isNear(ctx):
		return nearLane
	}
	return dataLane
}

func emptyLanes() [lanes][]*pack {
	return [lanes][]*pack{dataLane: make([]*pack, dataPacks), treeLane: make([]*pack, 1), nearLane: make([]*pack, 1)}
}

// closePacks takes the open packs to be handed on, small ones of a type put together: to those
// of nearLane data is added, which then is kept without need, for a request less. It is
// called with w.mu held.
func (w *Writer) closePacks() (closed []*pack) {
	open := w.open
	w.open = emptyLanes()
	for _, packs := range [][]*pack{append(open[nearLane], open[dataLane]...), open[treeLane]} {
		var first *pack
		for _, p := range packs {
			switch {
			case p == nil:
			case first == nil:
				first = p
			case len(first.buf)+len(p.buf) <= packTarget && len(first.blobs)+len(p.blobs) <= maxEntries:
				first.merge(p)
				w.reclaim(p)
			default:
				closed = append(closed, p)
			}
		}
		if first != nil {
			closed = append(closed, first)
		}
	}
	for _, p := range closed {
		w.depart(p)
	}
	return closed
}

// merge appends the blobs of q.
func (p *pack) merge(q *pack) {
	for _, b := range q.blobs {
		p.add(b.Handle, q.buf[b.Offset:b.Offset+b.Length], int(b.RawLength))
	}
}

// wholeShare is the part of a pack, one in so many bytes, from which on all of it
// is fetched.
const wholeShare = 8

// mostOf returns the packs of which at least a wholeShare is wanted, in bytes.
func (r *Repository) mostOf(wanted map[chunk.ID]int64) map[chunk.ID]bool {
	most := map[chunk.ID]bool{}
	for id, n := range wanted {
		if size, ok := r.index.PackSize(id); ok && n*wholeShare >= size {
			most[id] = true
		}
	}
	return most
}
