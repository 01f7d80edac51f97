package reconcile

import (
	"context"
	"slices"

	"russet/chunk"
	"russet/internal/vobject"
	"russet/merge"
)

// keepUnread gives records of the phone what they had of the properties that could not
// be read this time: else a picture would be removed at the target because a database
// is damaged. Where it is not known what they had, the record is left alone.
func (p *Plan) keepUnread(ctx context.Context) {
	v := p.views[merge.Source]
	for key, it := range v.items {
		if len(it.unread) == 0 {
			continue
		}
		row := p.s.row(key)
		if row != nil && chunk.ID(it.hash) == row.Source.Hash {
			continue
		}
		had, err := p.had(ctx, row, key)
		if err != nil {
			v.problem("a part of a record cannot be read, nor what it had before")
			v.unknown[key] = true
			continue
		}
		if filled := fill(it.object, it.unread, had); filled != it.object {
			it.object, it.hash = filled, hashOf(filled)
		}
	}
}

// had is what the phone had by the base, or the target has where there is none; nil
// where neither is.
func (p *Plan) had(ctx context.Context, row *Row, key string) (*vobject.Component, error) {
	switch {
	case row == nil || row.Source.Hash.IsZero():
		if t := p.views[merge.Target].items[key]; t != nil {
			return p.s.objectOf(ctx, p.views[merge.Target], t)
		}
		return nil, nil
	case !row.Source.Body.IsZero():
		return p.s.object(ctx, row.Source.Body)
	}
	return p.s.object(ctx, row.Target.Body)
}

// fill returns c with what had has of the named properties in the place of what c has
// of them, which may be a rest or spoilt. Of a property that had has nothing of, and in
// a component that only one of them has, c stays as it is.
func fill(c *vobject.Component, names []string, had *vobject.Component) *vobject.Component {
	if had == nil {
		return c
	}
	type place struct{ part, name string }
	says, parts, kept := vobject.Canonical(c), map[string]bool{}, map[place]bool{}
	for _, p := range says {
		parts[p.Part] = true
	}
	var remove, add []vobject.Property
	for _, p := range vobject.Canonical(had) {
		if parts[p.Part] && slices.Contains(names, p.Name) {
			add = append(add, p)
			kept[place{p.Part, p.Name}] = true
		}
	}
	for _, p := range says {
		if kept[place{p.Part, p.Name}] {
			remove = append(remove, p)
		}
	}
	if len(add) == 0 {
		return c
	}
	return vobject.Apply(c, remove, add, had)
}

// unread is how many things are missing because a part of the phone's databases could
// not be read; as in the last run where they were not read now.
func (s *Sync) unread() int {
	if s.source.Set == nil {
		return s.state.Unread
	}
	n := 0
	for _, problem := range s.source.Set.Problems {
		if problem.Lost {
			n++
		}
	}
	return n
}

// doubtful is how many ops would do to the target what Row.Doubtful warns of. What is
// created there overwrites nothing.
func (p *Plan) doubtful() int {
	n := 0
	for i := range p.Ops {
		if row := p.s.row(p.Ops[i].Key); row != nil && row.Doubtful && p.Ops[i].Action != merge.Create {
			n++
		}
	}
	return n
}

// noteUnread makes what could not be read no news for the next run. A change that may
// be only that, and that this run held back, as it is in conflict or failed, is marked:
// else the next run would bring it to the target and ask nobody.
func (r *run) noteUnread() {
	st, phone := r.s.state, r.p.views[merge.Source].items
	more := r.s.unread() > st.Unread
	for i := range st.Rows {
		row := &st.Rows[i]
		it := phone[row.Key]
		agreed := row.Source.Hash.IsZero() || it != nil && chunk.ID(it.hash) == row.Source.Hash
		row.Doubtful = !agreed && (row.Doubtful || more)
	}
	st.Unread = r.s.unread()
}
