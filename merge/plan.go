package merge

import (
	"errors"
	"fmt"

	"russet/internal/vobject"
)

// Plan says what makes source and target agree, by the table of docs/sync.md,
// section "The table". It is pure: the same lists give the same plan. Each list
// may be in any order; a key that stands twice in one is an error.
func Plan(base []Agreed, source, target []Record, policy Policy) (*Changes, error) {
	p := planner{policy: policy, base: base, lists: [2][]Record{source, target}, c: new(Changes)}
	if err := p.join(); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	for _, e := range p.entries {
		s, t := p.record(Source, e), p.record(Target, e)
		switch {
		case e.base > 0 && base[e.base-1].none() && s != nil:
			p.unknown(s.Key, s, t)
		case e.base > 0:
			p.known(&base[e.base-1], s, t)
		case s != nil:
			p.unknown(s.Key, s, t)
		default:
			p.unknown(t.Key, s, t)
		}
	}
	p.c.sort()
	return p.c, nil
}

// entry says where a key stands in the three lists, counted from 1.
type entry struct {
	base  int32
	sides [2]int32
}

// join finds each key in the three lists.
func (p *planner) join() error {
	n := max(len(p.base), len(p.lists[Source]), len(p.lists[Target]))
	p.at, p.entries = make(map[string]int32, n), make([]entry, 0, n)
	of := func(key string) *entry {
		i, ok := p.at[key]
		if !ok {
			i = int32(len(p.entries))
			p.at[key], p.entries = i, append(p.entries, entry{})
		}
		return &p.entries[i]
	}
	for i := range p.base {
		e := of(p.base[i].Key)
		if e.base > 0 {
			return errors.New("a key stands twice in the base")
		}
		e.base = int32(i + 1)
	}
	for w, list := range p.lists {
		for i := range list {
			e := of(list[i].Key)
			if e.sides[w] > 0 {
				return fmt.Errorf("a key stands twice in the %v", Where(w))
			}
			e.sides[w] = int32(i + 1)
		}
	}
	return nil
}

// record is that of a side; nil where it has none.
func (p *planner) record(w Where, e entry) *Record {
	if e.sides[w] == 0 {
		return nil
	}
	return &p.lists[w][e.sides[w]-1]
}

// Why an op is done, as plans show it.
const (
	whyNew      = "new"
	whyChanged  = "changed"
	whyGone     = "deleted"
	whyEdited   = "changed after the other side deleted it"
	whyMirror   = "not as the source has it"
	whyMerged   = "changed on both sides"
	whyConflict = "conflict: the other side's counts"
	whyCopy     = "conflict: the target's is kept beside it"
)

type planner struct {
	policy  Policy
	base    []Agreed
	lists   [2][]Record
	at      map[string]int32 // of each key its entry
	entries []entry
	c       *Changes
}

func (p *planner) write(w Where, a Action, key, why string) {
	p.c.Ops = append(p.c.Ops, Op{Where: w, Action: a, Key: key, Why: why})
}

func (p *planner) settle(key string) { p.c.Settled = append(p.c.Settled, key) }

// unknown plans a record that no sync has left on both sides.
func (p *planner) unknown(key string, s, t *Record) {
	switch {
	case t == nil:
		p.write(Target, Create, key, whyNew)
	case s == nil && p.policy.twoWay():
		p.write(Source, Create, key, whyNew)
	case s == nil: // not ours
	case s.Hash == t.Hash:
		p.settle(key)
	case p.policy.mirror():
		p.write(Target, Update, key, whyMirror)
	default:
		p.both(key, &Agreed{}, s, t)
	}
}

// known plans a record of the base.
func (p *planner) known(o *Agreed, s, t *Record) {
	sourceSame := s != nil && s.Hash == o.Source || s == nil && o.State == Orphan
	targetSame := t != nil && t.Hash == o.Target || t == nil && o.State == Removed
	switch {
	case s == nil && t == nil:
		p.settle(o.Key)
	case s == nil && p.policy.Incomplete:
		p.c.Unchanged++ // nobody knows
	case s == nil && o.none():
		p.settle(o.Key)
	case s == nil:
		p.sourceGone(o, sourceSame, targetSame)
	case t == nil:
		p.targetGone(o, sourceSame, targetSame)
	case sourceSame && targetSame && o.State == Synced:
		p.c.Unchanged++
	case sourceSame && targetSame, s.Hash == t.Hash:
		p.settle(o.Key)
	case targetSame:
		p.carry(Target, o, s, t)
	case p.policy.mirror():
		p.write(Target, Update, o.Key, whyMirror)
	case sourceSame && p.policy.twoWay():
		p.carry(Source, o, t, s)
	case sourceSame:
		p.c.Conflicts = append(p.c.Conflicts, Conflict{Key: o.Key, Cause: Edited, Properties: ChangedNames(o.Object, t.Object)})
	default:
		p.both(o.Key, o, s, t)
	}
}

// sourceGone plans a record that only the target has.
func (p *planner) sourceGone(o *Agreed, agreed, targetSame bool) {
	switch {
	case p.policy.mirror():
		p.write(Target, Delete, o.Key, whyGone)
	case targetSame && !agreed && o.apart() && !p.policy.twoWay():
		p.settle(o.Key) // what the target has of its own stays
	case targetSame && !agreed:
		p.write(Target, Delete, o.Key, whyGone)
	case targetSame:
		p.c.Unchanged++
	case p.policy.twoWay():
		p.write(Source, Create, o.Key, whyEdited)
	default:
		p.settle(o.Key)
	}
}

// targetGone plans a record that only the source has.
func (p *planner) targetGone(o *Agreed, sourceSame, agreed bool) {
	switch {
	case !sourceSame:
		p.write(Target, Create, o.Key, whyEdited)
	case p.policy.mirror():
		p.write(Target, Create, o.Key, whyMirror)
	case agreed:
		p.c.Unchanged++
	case p.policy.twoWay():
		p.write(Source, Delete, o.Key, whyGone)
	default:
		p.c.Vanished++
		p.settle(o.Key)
	}
}

// carry plans to bring to w what only the other side changed: from has it, to is
// what w has. Where w's form is not just what w made of the other side's, only the
// change is made.
func (p *planner) carry(w Where, o *Agreed, from, to *Record) {
	op := Op{Where: w, Action: Update, Key: o.Key, Why: whyChanged}
	if !o.leads(w.Other()) {
		s, t := ordered(w, to, from), ordered(w, from, to)
		if from.Object == nil || to.Object == nil || o.form(Source) == nil || o.form(Target) == nil {
			p.both(o.Key, o, s, t)
			return
		}
		m := threeWay(o.form(w.Other()), from.Object, o.form(w), to.Object, o.apart())
		if len(m.differ) > 0 {
			p.both(o.Key, o, s, t)
			return
		}
		if op.Object = m.apply(to.Object, from.Object, true); vobject.HashOf(vobject.Canonical(op.Object)) == to.Hash {
			p.settle(o.Key)
			return
		}
	}
	p.c.Ops = append(p.c.Ops, op)
}

// ordered is source where w is that, else target.
func ordered(w Where, source, target *Record) *Record {
	if w == Source {
		return source
	}
	return target
}

// form is what a side had; nil where it cannot be had.
func (o *Agreed) form(w Where) *vobject.Component {
	if w == Source && o.Given != nil {
		return o.Given
	}
	if w == Source && o.Source != o.Target {
		return nil
	}
	return o.Object
}
