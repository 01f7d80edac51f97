package reconcile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"russet/chunk"
	"russet/internal/vobject"
	"russet/merge"
)

// Kinds of runs.
const (
	KindSync    = "sync"
	KindPush    = "push"
	KindResolve = "resolve"
	KindUndo    = "undo"
)

// Plan is what a run would do. It is made by Sync.Plan, PlanPush, PlanResolve and
// PlanUndo, which write nothing, and done by Apply.
type Plan struct {
	// ID is a hash of all that would be done, and to what: what has the same ID does
	// the same.
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Kind      string          `json:"kind"`
	Ops       []Op            `json:"ops"` // in the order in which they are done
	Matches   []Match         `json:"matches,omitempty"`
	Conflicts []Waiting       `json:"conflicts,omitempty"`
	Guards    []merge.Finding `json:"guards,omitempty"`
	Problems  []Problem       `json:"problems,omitempty"`
	Notes     []string        `json:"notes,omitempty"` // what an undo leaves alone, and why
	Unchanged int             `json:"unchanged"`
	// Skipped is how many records the phone syncs with the target's server itself.
	Skipped int `json:"skipped,omitempty"`

	s        *Sync
	views    [2]*view
	asBefore bool     // nothing changed on either side: what the phone has was not read
	settled  []string // keys that need no write
	own      map[string]ownWrite
	ids      [2]string // of the sides, where they were asked for
}

// ownWrite is what both sides agreed on by a write of which nobody knew whether it was
// done: a run was cut off, or a reply was lost.
type ownWrite struct {
	merge.Agreed
	body  chunk.ID // of what it brought over; zero where what it wrote means the same
	short bool     // the server cut it short: Leads says whose form it has the rest of
}

// Op is one write of a plan.
type Op struct {
	Where      merge.Where  `json:"where"`
	Action     merge.Action `json:"action"`
	Key        string       `json:"key"`
	Title      string       `json:"title"` // of the record, as people know it
	Why        string       `json:"why"`
	Properties []string     `json:"properties,omitempty"` // that change

	needs string
	body  []byte
	hash  vobject.Hash // of what body says
	item  *item        // what is there; nil of a creation
}

// Match is a record of each side that a first run takes for the same.
type Match struct {
	Title string `json:"title"`
	merge.Pair
}

// Waiting is a record for which a person decides.
type Waiting struct {
	Title string `json:"title"`
	merge.Conflict
}

// Plan observes both sides and says what would be done.
func (s *Sync) Plan(ctx context.Context) (*Plan, error) {
	p, err := s.newPlan(ctx, KindSync)
	if err != nil {
		return nil, err
	}
	if p.asBefore {
		p.Unchanged = len(s.state.Rows)
		return p, p.finish(ctx, new(merge.Changes))
	}
	if err := p.match(ctx); err != nil {
		return nil, s.planError(err)
	}
	base, source, target, err := p.lists(ctx)
	if err != nil {
		return nil, s.planError(err)
	}
	policy := s.state.Config.policy()
	policy.Incomplete = p.views[merge.Source].incomplete
	changes, err := merge.Plan(base, source, target, policy)
	if err != nil {
		return nil, s.planError(err)
	}
	if s.opt.flaws.plan != nil {
		s.opt.flaws.plan(policy, changes)
	}
	if err := p.addAll(ctx, changes); err != nil {
		return nil, s.planError(err)
	}
	p.settled, p.Unchanged = changes.Settled, changes.Unchanged
	for _, c := range changes.Conflicts {
		p.Conflicts = append(p.Conflicts, Waiting{p.title(ctx, c.Key), c})
	}
	return p, p.finish(ctx, changes)
}

func (s *Sync) planError(err error) error {
	return fmt.Errorf("plan sync %s: %w", s.state.Config.Name, err)
}

// newPlan observes both sides.
func (s *Sync) newPlan(ctx context.Context, kind string) (*Plan, error) {
	p := &Plan{Name: s.state.Config.Name, Kind: kind, s: s, Ops: []Op{}, own: map[string]ownWrite{}}
	for w, side := range s.sides {
		if side == nil {
			continue
		}
		v, err := s.observe(ctx, merge.Where(w))
		if err != nil {
			return nil, s.planError(err)
		}
		p.views[w] = v
	}
	if s.sides[merge.Source] == nil {
		if kind == KindSync && s.sameSource(p.views[merge.Target]) {
			p.views[merge.Source], p.asBefore = s.viewBase(), true
		} else {
			set, err := s.set(ctx)
			if err != nil {
				return nil, s.planError(err)
			}
			p.views[merge.Source] = s.viewSet(set)
			p.keepUnread(ctx)
		}
	}
	for _, v := range p.views {
		p.Problems = append(p.Problems, v.problems...)
		p.Skipped += v.skipped
	}
	return p, nil
}

// unknown tells keys of which this run knows too little.
func (p *Plan) unknown(key string) bool {
	return p.views[merge.Source].unknown[key] || p.views[merge.Target].unknown[key]
}

// match pairs records of a first run that are the same under two keys: from then on
// the target's is known by the source's key.
func (p *Plan) match(ctx context.Context) error {
	if p.s.state.Matched {
		return nil
	}
	var lists [2][]merge.Record
	for w, v := range p.views {
		for key, it := range v.items {
			if p.s.row(key) != nil || p.unknown(key) {
				continue
			}
			c, err := p.s.objectOf(ctx, v, it)
			if err != nil {
				return err
			}
			lists[w] = append(lists[w], merge.Record{Key: key, Hash: it.hash, Object: c})
		}
	}
	target := p.views[merge.Target].items
	for _, pair := range merge.Match(lists[merge.Source], lists[merge.Target]) {
		it := target[pair.Target]
		delete(target, pair.Target)
		it.key, it.uid = pair.Source, pair.Target
		target[pair.Source] = it
		p.Matches = append(p.Matches, Match{p.title(ctx, pair.Source), pair})
	}
	return nil
}

// lists are what merge.Plan compares.
func (p *Plan) lists(ctx context.Context) (base []merge.Agreed, source, target []merge.Record, err error) {
	if err := p.findOwn(ctx); err != nil {
		return nil, nil, nil, err
	}
	vs, vt := p.views[merge.Source], p.views[merge.Target]
	for key, it := range vs.items {
		if !p.unknown(key) {
			source = append(source, merge.Record{Key: key, Hash: it.hash})
		}
	}
	for key, it := range vt.items {
		if !p.unknown(key) {
			target = append(target, merge.Record{Key: key, Hash: it.hash})
		}
	}
	for i := range p.s.state.Rows {
		row := &p.s.state.Rows[i]
		if _, known := p.own[row.Key]; !known && !p.unknown(row.Key) {
			base = append(base, merge.Agreed{Key: row.Key, Source: vobject.Hash(row.Source.Hash), Target: vobject.Hash(row.Target.Hash), State: row.State, Leads: row.Leads})
		}
	}
	for _, own := range p.own {
		base = append(base, own.Agreed)
	}
	if err := p.objects(ctx, base, source, target); err != nil {
		return nil, nil, nil, err
	}
	return base, source, target, nil
}

// findOwn finds our own writes: where a side has what we meant to write, that is no
// edit of anybody's.
func (p *Plan) findOwn(ctx context.Context) error {
	for _, in := range p.s.state.Intents { // of two of a key the later one counts
		it, other := p.views[in.Where].items[in.Key], p.views[in.Where.Other()]
		if it == nil || in.From.IsZero() || p.unknown(in.Key) {
			continue
		}
		if wrote, err := p.isWrite(ctx, &in, it); err != nil {
			return err
		} else if !wrote {
			continue
		}
		if p.s.sides[other.where] != nil && other.items[in.Key] == nil {
			continue // perhaps it was not listed: nobody can be asked
		}
		// It is held, so that it is settled though nothing is to be written.
		a := merge.Agreed{Key: in.Key, Source: vobject.Hash(in.From), Target: it.hash, State: merge.Held}
		if in.Where == merge.Source {
			a.Source, a.Target = a.Target, a.Source
		}
		short := chunk.ID(it.hash) != in.Hash
		switch row := p.s.row(in.Key); {
		case short && in.Where == merge.Source:
			a.Leads = merge.TargetLeads
		case short:
			a.Leads = merge.SourceLeads
		case row != nil && p.s.state.Config.Mode == merge.TwoWay:
			a.Leads = row.Leads
		}
		p.own[in.Key] = ownWrite{a, in.FromBody, short}
	}
	return nil
}

// isWrite tells whether an item is what an intent meant to write, or what is left of
// that at a server which cuts values short, and of which nobody has read it back.
func (p *Plan) isWrite(ctx context.Context, in *Intent, it *item) (bool, error) {
	from := p.views[in.Where.Other()]
	other := from.items[in.Key]
	switch {
	case chunk.ID(it.hash) == in.Hash:
		return true, nil
	case in.From != in.Hash || other == nil || chunk.ID(other.hash) != in.From:
		return false, nil // what was meant is not to be had
	}
	written, err := p.s.objectOf(ctx, from, other)
	if err != nil {
		return false, err
	}
	read, err := p.s.objectOf(ctx, p.views[in.Where], it)
	if err != nil {
		return false, err
	}
	return merge.CutShort(written, read), nil
}

// objects gives the records whose properties are compared their objects.
func (p *Plan) objects(ctx context.Context, base []merge.Agreed, source, target []merge.Record) error {
	of := make(map[string]*merge.Agreed, len(base))
	for i := range base {
		of[base[i].Key] = &base[i]
	}
	wanted := func(key string) bool {
		s, t, o := p.views[merge.Source].items[key], p.views[merge.Target].items[key], of[key]
		switch {
		case s == nil || t == nil || s.hash == t.hash:
			return false
		case o == nil:
			return true
		}
		return s.hash != o.Source || t.hash != o.Target
	}
	for w, list := range [][]merge.Record{source, target} {
		for i := range list {
			key, v := list[i].Key, p.views[w]
			if !wanted(key) {
				continue
			}
			c, err := p.s.objectOf(ctx, v, v.items[key])
			if err != nil {
				return err
			}
			list[i].Object, list[i].Hash = c, v.items[key].hash
			if of[key] != nil {
				p.agreed(ctx, of[key], merge.Where(w), list[i])
			}
		}
	}
	return ctx.Err()
}

// agreed gives a record of the base the object of a side, which has now. A body that
// is lost or damaged cannot be had: the record may then be in conflict.
func (p *Plan) agreed(ctx context.Context, a *merge.Agreed, w merge.Where, now merge.Record) {
	hash, object := a.Source, &a.Given
	if w == merge.Target {
		hash, object = a.Target, &a.Object
	}
	id := chunk.ID{}
	if row := p.s.row(a.Key); row != nil && vobject.Hash(row.place(w).Hash) == hash {
		id = row.place(w).Body
	} else {
		id = p.own[a.Key].body
	}
	switch {
	case hash == now.Hash:
		*object = now.Object
	case id.IsZero():
	default:
		if c, err := p.s.object(ctx, id); err == nil && hashOf(c) == hash {
			*object = c
		}
	}
}

// addPlanned adds an op of merge's plan.
func (p *Plan) addPlanned(ctx context.Context, m *merge.Op) error {
	o := Op{Where: m.Where, Action: m.Action, Key: m.Key, Why: m.Why, needs: m.Needs}
	from := p.views[m.Where.Other()].items[m.Key]
	if m.Action == merge.Delete {
		return p.add(ctx, o)
	}
	uid := m.Key
	if it := p.views[m.Where].items[m.Key]; it != nil && it.uid != "" {
		uid = it.uid
	}
	object, data := m.Object, []byte(nil)
	if object == nil {
		own := from.key
		if from.uid != "" {
			own = from.uid
		}
		var err error
		if data, err = p.s.dataOf(ctx, p.views[m.Where.Other()], from); err != nil {
			return err
		}
		if own != uid {
			if object, err = p.s.objectOf(ctx, p.views[m.Where.Other()], from); err != nil {
				return err
			}
		}
	}
	if object != nil {
		data = merge.WithKey(object, uid).Bytes()
	}
	o.body = data
	return p.add(ctx, o)
}

// add completes an op and adds it. Its body says what is written.
func (p *Plan) add(ctx context.Context, o Op) error {
	v := p.views[o.Where]
	if o.Action != merge.Create {
		o.item = v.items[o.Key]
	}
	var was, is *vobject.Component
	var err error
	if o.item != nil {
		planned := o.item.hash
		if was, err = p.s.objectOf(ctx, v, o.item); err == nil && o.item.hash != planned {
			err = fmt.Errorf("read an item of the %v: %w", o.Where, merge.ErrChanged) // since it was listed
		}
		if err != nil {
			return err
		}
	}
	if o.body != nil {
		now, err := p.s.decodeItem(merge.Item{Body: o.body})
		if err != nil {
			return &unwritable{err}
		}
		is, o.hash = now.object, now.hash
		if silent := quiet(is); silent != is {
			o.body = silent.Bytes()
			if _, _, err := decode(o.body); err != nil {
				return &unwritable{err}
			}
		}
	}
	o.Properties = merge.ChangedNames(was, is)
	if o.Title = title(is); is == nil {
		o.Title = title(was)
	}
	p.Ops = append(p.Ops, o)
	return nil
}

// finish evaluates the guards and names the plan.
func (p *Plan) finish(ctx context.Context, c *merge.Changes) error {
	st := p.s.state
	f := merge.Facts{LastIdentity: st.Identity}
	for i := range st.Rows {
		if s := st.Rows[i].State; s != merge.Removed && s != merge.Orphan {
			f.Base++
		}
	}
	f.Source, f.Target = p.views[merge.Source].count(), p.views[merge.Target].count()
	if p.s.source.Side == nil {
		f.Device, f.LastDevice = p.s.source.Origin.UDID, st.Config.Device
		if p.Kind == KindSync {
			f.At, f.LastAt = p.s.source.Origin.Time, st.Origin.Time
			f.Unread, f.LastUnread, f.Doubtful = p.s.unread(), st.Unread, p.doubtful()
		}
	}
	for w, side := range p.s.sides {
		// A token that the side knows is the collection's own.
		if side == nil || p.views[w].changes >= 0 && len(p.Ops) == 0 {
			continue
		}
		id, err := side.Identity(ctx)
		if err != nil {
			return p.s.planError(fmt.Errorf("identify the %v: %w", merge.Where(w), err))
		}
		p.ids[w], f.Identity[w] = id, id
	}
	p.Guards = merge.Guard(c, f)
	p.ID = p.hash()
	return nil
}

// count is how many records a side has, as far as it is known.
func (v *view) count() int { return len(v.items) + len(v.unknown) + len(v.foreign) }

// hash names the plan by its content.
func (p *Plan) hash() string {
	h := sha256.New()
	enc := json.NewEncoder(h)
	put := func(v any) {
		if err := enc.Encode(v); err != nil {
			panic("reconcile: a plan cannot be encoded: " + err.Error())
		}
	}
	put([]any{p.Name, p.Kind, p.ids, p.s.state.Config, p.Guards, p.Conflicts, p.Matches})
	for i := range p.Ops {
		o := &p.Ops[i]
		var has merge.Ref
		if o.item != nil {
			has = o.item.ref
		}
		put([]any{o.Where, o.Action, o.Key, has, chunk.Sum(o.body)})
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// title is how people know the record of a key.
func (p *Plan) title(ctx context.Context, key string) string {
	for _, v := range p.views {
		if it := v.items[key]; it != nil {
			if c, err := p.s.objectOf(ctx, v, it); err == nil {
				return title(c)
			}
		}
	}
	return ""
}
