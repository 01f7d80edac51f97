package merge

import (
	"encoding/hex"
	"slices"

	"russet/internal/vobject"
)

// both plans a record that both sides changed, or that both have and no base: by
// property where the objects can be had.
func (p *planner) both(key string, o *Agreed, s, t *Record) {
	known := o.Key != ""
	if s.Object == nil || t.Object == nil || known && (o.form(Source) == nil || o.form(Target) == nil) {
		p.conflict(key, s, t, ChangedNames(s.Object, t.Object), whole{s, t, p.policy})
		return
	}
	m := twoSides{s: s, t: t, toTarget: threeWay(o.form(Source), s.Object, o.form(Target), t.Object, o.apart())}
	differ := m.toTarget.differ
	if p.policy.twoWay() {
		back := threeWay(o.form(Target), t.Object, o.form(Source), s.Object, o.apart())
		differ = slices.Concat(differ, back.differ)
		back.differ, m.toSource = differ, &back
	}
	if m.toTarget.differ = differ; len(differ) > 0 {
		p.conflict(key, s, t, labels(differ), m)
		return
	}
	p.emit(key, whyMerged, m.results(Target))
}

// resolver gives what each side shall have when one of them wins; nil where it
// stays as it is.
type resolver interface {
	results(winner Where) [2]*Op
}

// conflict plans by the choice.
func (p *planner) conflict(key string, s, t *Record, names []string, r resolver) {
	switch p.policy.Choice {
	case SourceWins:
		p.emit(key, whyConflict, r.results(Source))
	case TargetWins:
		p.emit(key, whyConflict, r.results(Target))
	case KeepBoth:
		name, ok := p.keepCopy(key, t)
		if !ok {
			p.c.Conflicts = append(p.c.Conflicts, Conflict{Key: key, Cause: Differ, Properties: names})
			return
		}
		ops := r.results(Source)
		if ops[Target] != nil {
			ops[Target].Needs = name
		}
		p.emit(key, whyConflict, ops)
	default:
		p.c.Conflicts = append(p.c.Conflicts, Conflict{Key: key, Cause: Differ, Properties: names})
	}
}

// emit plans the updates of both sides of a record.
func (p *planner) emit(key, why string, ops [2]*Op) {
	some := false
	for w, op := range ops {
		if op != nil {
			op.Where, op.Action, op.Key, op.Why = Where(w), Update, key, why
			p.c.Ops = append(p.c.Ops, *op)
			some = true
		}
	}
	if !some {
		p.settle(key)
	}
}

// twoSides resolves by property.
type twoSides struct {
	s, t     *Record
	toTarget merged
	toSource *merged // nil one way
}

func (m twoSides) results(winner Where) (ops [2]*Op) {
	ops[Target] = written(m.toTarget.apply(m.t.Object, m.s.Object, winner == Source), m.t, m.s)
	if m.toSource != nil {
		ops[Source] = written(m.toSource.apply(m.s.Object, m.t.Object, winner == Target), m.s, m.t)
	}
	return ops
}

// written is the op that makes a side's record c: nil where it says that already.
func written(c *vobject.Component, has, other *Record) *Op {
	switch vobject.HashOf(vobject.Canonical(c)) {
	case has.Hash:
		return nil
	case other.Hash:
		return &Op{}
	}
	return &Op{Object: c}
}

// whole resolves where properties cannot be told.
type whole struct {
	s, t   *Record
	policy Policy
}

func (w whole) results(winner Where) (ops [2]*Op) {
	if winner == Source {
		ops[Target] = &Op{}
	} else if w.policy.twoWay() {
		ops[Source] = &Op{}
	}
	return ops
}

// keepCopy plans to keep the target's record under a name of its own, made of what
// it says: planned again after a run that was cut off, it is the same. It returns
// that name. It is not ok where that cannot be done.
func (p *planner) keepCopy(key string, t *Record) (name string, ok bool) {
	if t.Object == nil {
		return "", false
	}
	copied := Copy(t.Object, key, t.Hash)
	name, _ = vobject.Key(copied)
	if i, known := p.at[name]; known {
		there := false
		for _, w := range []Where{Source, Target} {
			if r := p.record(w, p.entries[i]); r != nil && r.Hash != vobject.HashOf(vobject.Canonical(copied)) {
				return "", false // somebody else's
			} else if r != nil {
				there = true
			}
		}
		if there {
			return name, true // of a run that was cut off: planned as what it is
		}
	}
	p.c.Ops = append(p.c.Ops, Op{Where: Target, Action: Create, Key: name, Object: copied, Why: whyCopy})
	if p.policy.twoWay() {
		p.c.Ops = append(p.c.Ops, Op{Where: Source, Action: Create, Key: name, Object: copied, Why: whyCopy})
	}
	return name, true
}

// copySuffix tells people which of two records is the copy.
const copySuffix = " (conflict)"

// Copy is a record's object as a second record beside it, with a key made of the
// record's key and what it says, and a name that tells it from the first.
func Copy(c *vobject.Component, key string, h vobject.Hash) *vobject.Component {
	c = WithKey(c, key+"-"+hex.EncodeToString(h[:4]))
	name := "FN"
	if c.Name == "VCALENDAR" {
		name = "SUMMARY"
	}
	for _, part := range append([]*vobject.Component{c}, c.Parts...) {
		if l, ok := part.Get(name); ok {
			part.Set(vobject.NewLine(name, vobject.Text(vobject.Unescape(l.Value)+copySuffix), l.Params...))
		}
	}
	return c
}

// WithKey returns a copy of an object under another key: its UID, in a calendar
// object that of each component that has one.
func WithKey(c *vobject.Component, key string) *vobject.Component {
	c = vobject.Apply(c, nil, nil, c) // a copy
	if c.Name != "VCALENDAR" {
		c.Set(vobject.NewLine("UID", vobject.Text(key)))
		return c
	}
	for _, part := range c.Parts {
		if part.Name != "VTIMEZONE" {
			part.Set(vobject.NewLine("UID", vobject.Text(key)))
		}
	}
	return c
}
