package reconcile

import (
	"context"
	"fmt"
	"slices"

	"russet/chunk"
	"russet/internal/vobject"
	"russet/merge"
	"russet/records"
)

// set is what the phone has; it is read now if it was not yet.
func (s *Sync) set(ctx context.Context) (*records.Set, error) {
	if s.source.Set == nil {
		set, err := s.source.Read(ctx)
		if err != nil {
			return nil, err
		}
		s.source.Set = set
	}
	if set, kind := s.source.Set, s.state.Config.Kind; set.Kind != kind {
		return nil, fmt.Errorf("its records are %s, not %s", set.Kind, kind)
	}
	return s.source.Set, nil
}

// sameSource tells whether a phone's databases are those that the last run read, all
// of them settled, and the target is as that run left it: then nothing is to be done.
func (s *Sync) sameSource(target *view) bool {
	st := s.state
	if s.source.Set != nil || s.source.Print == "" || s.source.Print != st.Print || len(target.unknown)+len(target.problems)+len(st.Intents)+len(st.Conflicts) > 0 {
		return false
	}
	for i := range st.Rows {
		row := &st.Rows[i]
		it := target.items[row.Key]
		if row.State == merge.Held || (it == nil) != (row.State == merge.Removed) || it != nil && chunk.ID(it.hash) != row.Target.Hash {
			return false
		}
	}
	return true
}

// viewBase is what a phone has by the base.
func (s *Sync) viewBase() *view {
	v := newView(merge.Source)
	for i := range s.state.Rows {
		if row := &s.state.Rows[i]; row.State != merge.Orphan {
			v.items[row.Key] = &item{key: row.Key, hash: vobject.Hash(row.Source.Hash)}
		}
	}
	return v
}

// viewSet is what a phone has, of the containers that were chosen. What stands in
// another is neither there nor gone.
func (s *Sync) viewSet(set *records.Set) *view {
	c := &s.state.Config
	v := newView(merge.Source)
	if v.incomplete = !set.Complete; v.incomplete {
		v.problem("the source could not be read to its end, so that nothing is taken for deleted there")
	}
	taken, own := map[string]bool{}, map[string]bool{}
	for _, in := range set.Containers {
		taken[in.ID] = in.Synced && c.Containers == nil || slices.Contains(c.Containers, in.ID)
		own[in.ID] = !c.SameServer && c.sameServer(in.Host)
	}
	for _, r := range set.Records {
		switch {
		case own[r.Container] && taken[r.Container]:
			v.skipped++
			v.unknown[r.UID] = true
		case !taken[r.Container]:
			v.unknown[r.UID] = true
		case r.UID == "" || r.Object == nil:
			v.problem("a record has no UID")
		case v.items[r.UID] != nil:
			v.problem("two records have one UID; the first is taken")
		default:
			v.items[r.UID] = &item{key: r.UID, hash: hashOf(r.Object), object: r.Object, unread: r.Unread}
		}
	}
	for key := range v.items {
		delete(v.unknown, key)
	}
	return v
}

// allSettled tells whether the base has all that a phone has, as it is now: then the
// base is enough to know what the phone has, as long as its databases are the same.
func (r *run) allSettled() bool {
	v := r.p.views[merge.Source]
	if r.s.source.Side != nil || r.stopped || v.incomplete || len(v.problems)+len(r.failed)+len(r.unsure)+len(r.s.state.Conflicts) > 0 {
		return false
	}
	for key, it := range v.items {
		if row := r.s.row(key); row == nil || row.Source.Hash != chunk.ID(it.hash) {
			return false
		}
	}
	return true
}
