package reconcile

import (
	"slices"
	"strings"

	"russet/chunk"
	"russet/merge"
)

// row returns the base's row of a key, nil where there is none.
func (s *Sync) row(key string) *Row {
	i, ok := slices.BinarySearchFunc(s.state.Rows, key, func(r Row, k string) int { return strings.Compare(r.Key, k) })
	if !ok {
		return nil
	}
	return &s.state.Rows[i]
}

// noteMatches puts what was matched into the base, as nothing that was agreed on yet:
// a match that is in conflict, or whose run is cut off, must not be forgotten, for by
// then the two may have no name in common any more.
func (r *run) noteMatches() {
	st := r.s.state
	for _, m := range r.p.Matches {
		it := r.p.views[merge.Target].items[m.Source]
		st.Rows = append(st.Rows, Row{Key: m.Source, Target: Place{Href: it.ref.Href, UID: it.uid}, State: merge.Held})
	}
	slices.SortFunc(st.Rows, func(a, b Row) int { return strings.Compare(a.Key, b.Key) })
}

// matchedAll tells whether all that both sides had could be matched: what a run did not
// get to see, or to do, may be the same as something that has another key.
func (r *run) matchedAll() bool {
	if r.p.Kind != KindSync || r.stopped || r.hidden || len(r.unsure) > 0 {
		return false
	}
	source := r.p.views[merge.Source]
	for key := range source.unknown {
		if source.items[key] != nil {
			return false // what it is was not known
		}
	}
	return !source.incomplete
}

// index settles the rows of keys, but not of those of which an op failed.
func (r *run) index(settled map[string]bool) {
	keep := r.s.state.Rows[:0:0]
	places := r.places()
	for i := range r.s.state.Rows {
		row := &r.s.state.Rows[i]
		if settled[row.Key] && !r.failed[row.Key] {
			continue
		}
		r.freshen(row, places)
		keep = append(keep, *row)
	}
	for key := range settled {
		if r.failed[key] {
			continue
		}
		if row, ok := r.row(key); ok {
			keep = append(keep, row)
		}
	}
	slices.SortFunc(keep, func(a, b Row) int { return strings.Compare(a.Key, b.Key) })
	r.s.state.Rows = keep
}

// places are the keys of what lies at each href of the sides.
func (r *run) places() (at [2]map[string]string) {
	for w, v := range r.p.views {
		at[w] = make(map[string]string, len(v.items))
		for key, it := range v.items {
			at[w][it.ref.Href] = key
		}
	}
	return at
}

// freshen takes a new etag, or a new name, of an item that says what the base says,
// and the name of one at whose place another lies now.
func (r *run) freshen(row *Row, places [2]map[string]string) {
	for w, v := range r.p.views {
		it, p := v.items[row.Key], row.place(merge.Where(w))
		other, taken := places[w][p.Href]
		switch {
		case it != nil && p.Href != "" && chunk.ID(it.hash) == p.Hash:
			p.Href, p.ETag = it.ref.Href, it.ref.ETag
			if it.data != nil {
				p.Body = r.s.keep(it.data)
			}
		case taken && other != row.Key:
			p.Href, p.ETag = "", ""
		}
	}
}

// row is the base's row of what both sides have now; not ok where neither has it.
func (r *run) row(key string) (row Row, ok bool) {
	row.Key = key
	s, t := r.p.views[merge.Source].items[key], r.p.views[merge.Target].items[key]
	switch {
	case s == nil && t == nil:
		return row, false
	case t == nil:
		row.State = merge.Removed
	case s == nil:
		row.State = merge.Orphan
	}
	if s != nil && t != nil && s.hash != t.hash {
		row.Leads = r.leads(key, s, t)
	}
	if t != nil {
		row.Target = r.place(merge.Target, t)
	}
	if s != nil {
		row.Source = r.place(merge.Source, s)
		if r.s.sides[merge.Source] != nil || t == nil || s.hash != t.hash {
			r.body(&row.Source, merge.Source, s)
		}
	}
	return row, true
}

// leads tells of which side's form the other's was made, where they differ.
func (r *run) leads(key string, s, t *item) merge.Lead {
	old, wrote := r.s.row(key), r.wrote[key]
	switch {
	case wrote[merge.Target] != nil && wrote[merge.Target].hash == s.hash:
		return merge.SourceLeads
	case wrote[merge.Source] != nil && wrote[merge.Source].hash == t.hash:
		return merge.TargetLeads
	case r.p.own[key].short:
		return r.p.own[key].Leads
	case old == nil:
		return merge.Neither
	case r.p.Kind == KindSync && r.s.state.Config.Mode == merge.TwoWay, // each got what the other changed
		old.Source.Hash == chunk.ID(s.hash) && old.Target.Hash == chunk.ID(t.hash):
		return old.Leads
	}
	return merge.Neither
}

func (r *run) place(w merge.Where, it *item) Place {
	p := Place{Href: it.ref.Href, ETag: it.ref.ETag, UID: it.uid, Hash: chunk.ID(it.hash)}
	if w == merge.Target {
		r.body(&p, w, it)
	}
	return p
}

// body keeps the content of a place.
func (r *run) body(p *Place, w merge.Where, it *item) {
	switch {
	case it.data != nil:
		p.Body = r.s.keep(it.data)
	case !it.body.IsZero():
		p.Body = it.body
	case r.s.sides[w] == nil:
		p.Body = r.s.keep(it.object.Bytes())
	}
}
