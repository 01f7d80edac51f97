package reconcile

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strings"

	"russet/chunk"
	"russet/merge"
)

// manyChanges is how long a listing of changes may grow before a run in which
// nothing else changed saves the state for a new token.
const manyChanges = 200

// maxDoubt is after how many runs it is given up to find out whether a write was
// done: by then nobody has the record, or it is in conflict.
const maxDoubt = 20

// end makes the base what both sides have now, and saves the state if that, or
// anything else that counts, is not as it was.
func (r *run) end(ctx context.Context) error {
	st := r.s.state
	settled := map[string]bool{}
	for _, key := range r.p.settled {
		settled[key] = true
	}
	for key := range r.wrote {
		settled[key] = true
	}
	r.index(settled)
	st.Intents, st.Running = r.unsure, nil
	for _, in := range r.older {
		if (r.failed[in.Key] || !settled[in.Key]) && in.Run > r.number-maxDoubt {
			st.Intents = append(st.Intents, in)
		}
	}
	r.queue(settled)
	r.sweep()
	r.see()
	r.ownChanges(ctx)
	r.noteSides()
	if len(r.p.Ops) > 0 {
		st.Runs = append(st.Runs, Run{
			Number: r.number, Time: r.s.opt.Time, Plan: r.p.ID, Kind: r.p.Kind, Done: r.done, Failed: len(r.res.Failed),
		})
		r.res.Run = r.number
	}
	st.trim(r.s.opt.Time)
	r.res.Conflicts = len(st.Conflicts)
	if digest(st) == r.s.saved && !r.manyChanges() {
		return nil
	}
	// Also after ctx was cancelled: the state should say what was done.
	return r.s.save(context.WithoutCancel(ctx))
}

// manyChanges tells whether a new token saves much.
func (r *run) manyChanges() bool {
	return slices.ContainsFunc(r.p.views[:], func(v *view) bool { return v.changes > manyChanges })
}

// sweep takes out of the attic what is still where it was.
func (r *run) sweep() {
	type at struct {
		where merge.Where
		key   string
	}
	there := map[at]bool{}
	for i := range r.p.Ops {
		if r.undone[i] {
			there[at{r.p.Ops[i].Where, r.p.Ops[i].Key}] = true
		}
	}
	r.s.state.Attic = slices.DeleteFunc(r.s.state.Attic, func(k Kept) bool { return k.Run == r.number && there[at{k.Where, k.Key}] })
}

// queue makes the queue of conflicts: those of the plan, and of earlier ones what
// this run says nothing of.
func (r *run) queue(settled map[string]bool) {
	st := r.s.state
	old := map[string]Conflict{}
	for _, c := range st.Conflicts {
		old[c.Key] = c
	}
	var now []Conflict
	waits := map[string]merge.Cause{}
	for _, c := range r.p.Conflicts {
		n := Conflict{Key: c.Key, Cause: c.Cause, Properties: c.Properties, Run: r.number, Time: r.s.opt.Time}
		var places [2]Place
		for w, v := range r.p.views {
			r.body(&places[w], merge.Where(w), v.items[c.Key])
		}
		n.Source, n.Target = places[merge.Source].Body, places[merge.Target].Body
		if o, ok := old[c.Key]; ok && o.Cause == n.Cause && o.Source == n.Source && o.Target == n.Target {
			n = o
		}
		now, waits[c.Key] = append(now, n), c.Cause
	}
	for _, c := range st.Conflicts {
		if _, again := waits[c.Key]; !again && (r.failed[c.Key] || r.p.unknown(c.Key) || r.p.Kind != KindSync && !settled[c.Key]) {
			now, waits[c.Key] = append(now, c), c.Cause
		}
	}
	slices.SortFunc(now, func(a, b Conflict) int { return strings.Compare(a.Key, b.Key) })
	st.Conflicts = now
	for i := range st.Rows {
		row := &st.Rows[i]
		if waits[row.Key] == merge.Differ {
			row.State = merge.Held
		} else if row.State == merge.Held {
			row.State = merge.Synced
		}
	}
}

// see notes what lies in the collections otherwise than the base says.
func (r *run) see() {
	st := r.s.state
	st.Seen, st.Unreadable = nil, nil
	waits := map[string]bool{}
	for _, c := range st.Conflicts {
		waits[c.Key] = true
	}
	for w, v := range r.p.views {
		if r.s.sides[w] == nil {
			continue
		}
		all, there := slices.Clone(v.foreign), v.hrefs()
		st.Unreadable = append(st.Unreadable, v.unreadable...)
		for key, it := range v.items {
			row := r.s.row(key)
			if row == nil {
				seen, kept := v.stranger(it), Place{}
				if waits[key] {
					r.body(&kept, v.where, it)
				}
				seen.Body = kept.Body
				all = append(all, seen)
				continue
			}
			if p := row.place(v.where); p.Href != it.ref.Href || p.ETag != it.ref.ETag || p.Hash != chunk.ID(it.hash) {
				seen := Place{}
				r.body(&seen, v.where, it)
				all = append(all, Seen{Where: v.where, Href: it.ref.Href, ETag: it.ref.ETag, Key: key, UID: it.uid, Hash: chunk.ID(it.hash), Body: seen.Body})
			}
		}
		for i := range st.Rows {
			row := &st.Rows[i]
			if p := row.place(v.where); p.Href != "" && !there[p.Href] {
				all = append(all, Seen{Where: v.where, Href: p.Href, Gone: true})
			}
		}
		slices.SortFunc(all, func(a, b Seen) int { return strings.Compare(a.Href, b.Href) })
		st.Seen = append(st.Seen, all...)
	}
}

// ownChanges asks sides that list changes for those since the token of this run. Where
// they are what this run wrote and nothing else, the token after them is kept: the
// next run need not look at them again.
func (r *run) ownChanges(ctx context.Context) {
	for w, v := range r.p.views {
		side := r.s.sides[w]
		if side == nil || v.token == "" || !v.clean || r.stopped || r.unseen[w] || !r.wroteTo(merge.Where(w)) {
			continue
		}
		l, err := side.List(ctx, v.token)
		if err == nil && l.Changes && l.Token != "" && v.explains(l) {
			v.token = l.Token
		}
	}
}

func (r *run) wroteTo(w merge.Where) bool {
	return slices.ContainsFunc(r.done, func(d Done) bool { return d.Where == w })
}

// explains tells whether the view has what a listing of changes names as that says.
func (v *view) explains(l merge.Listing) bool {
	etags := make(map[string]string, len(v.items)+len(v.foreign))
	for _, f := range v.foreign {
		etags[f.Href] = f.ETag
	}
	for _, it := range v.items {
		etags[it.ref.Href] = it.ref.ETag
	}
	for _, ref := range l.Refs {
		if ref.ETag == "" || etags[ref.Href] != ref.ETag {
			return false
		}
	}
	return !slices.ContainsFunc(l.Removed, func(href string) bool { _, there := etags[href]; return there })
}

// noteSides notes what the sides said of themselves.
func (r *run) noteSides() {
	st := r.s.state
	for w, v := range r.p.views {
		if r.p.ids[w] != "" {
			st.Identity[w] = r.p.ids[w]
		}
		switch {
		case r.unseen[w] || !v.clean && v.changes < 0:
			st.Token[w] = "" // everything is listed next time
		case v.clean:
			st.Token[w] = v.token
		}
	}
	if r.s.source.Side == nil && r.p.Kind == KindSync {
		st.Origin = r.s.source.Origin
		r.noteUnread()
	}
	st.Print = ""
	if r.p.Kind == KindSync && r.allSettled() {
		st.Print = r.s.source.Print
	}
	st.Matched = st.Matched || r.matchedAll()
}

// save saves the state.
func (s *Sync) save(ctx context.Context) error {
	if err := s.store.Save(ctx, s.state, s.fresh); err != nil {
		return err
	}
	clear(s.fresh)
	return nil
}

// digest tells states apart by what counts: another token, or the snapshot that was read,
// is saved when something else is.
func digest(st *State) [sha256.Size]byte {
	h := sha256.New()
	enc := json.NewEncoder(h)
	for _, v := range []any{st.Config, st.Canonical, st.Identity, st.Matched, st.Rows, st.Seen, st.Unreadable, st.Conflicts, len(st.Attic), len(st.Runs), st.Intents, st.Running, st.Print == "", st.Unread} {
		if err := enc.Encode(v); err != nil {
			panic("reconcile: a state cannot be encoded: " + err.Error())
		}
	}
	return [sha256.Size]byte(h.Sum(nil))
}
