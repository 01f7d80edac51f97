package merge

import (
	"fmt"
	"slices"
	"strings"

	"russet/internal/vobject"
)

// Plan says what makes source and target agree, by the table of docs/sync.md,
// section "The table". It is pure: the same lists give the same plan. Each list
// may be in any order; a key that stands twice in one is an error.
func Plan(base []Agreed, source, target []Record, policy Policy) (*Changes, error) {
	base, err := byKey(base, func(a Agreed) string { return a.Key })
	if err != nil {
		return nil, fmt.Errorf("plan: base: %w", err)
	}
	if source, err = byKey(source, recordKey); err != nil {
		return nil, fmt.Errorf("plan: source: %w", err)
	}
	if target, err = byKey(target, recordKey); err != nil {
		return nil, fmt.Errorf("plan: target: %w", err)
	}
	p := planner{policy: policy, source: source, target: target, c: new(Changes)}
	for len(base)+len(source)+len(target) > 0 {
		key := lowest(base, source, target)
		var o *Agreed
		if len(base) > 0 && base[0].Key == key {
			o, base = &base[0], base[1:]
		}
		s, t := head(&source, key), head(&target, key)
		if o != nil {
			p.known(o, s, t)
		} else {
			p.unknown(key, s, t)
		}
	}
	p.c.sort()
	return p.c, nil
}

func recordKey(r Record) string { return r.Key }

// byKey returns list sorted, which is left as it is.
func byKey[T any](list []T, key func(T) string) ([]T, error) {
	compare := func(a, b T) int { return strings.Compare(key(a), key(b)) }
	if !slices.IsSortedFunc(list, compare) {
		list = slices.Clone(list)
		slices.SortFunc(list, compare)
	}
	for i := 1; i < len(list); i++ {
		if key(list[i-1]) == key(list[i]) {
			return nil, fmt.Errorf("a key stands there twice")
		}
	}
	return list, nil
}

// lowest is the first key of three sorted lists, of which one is not empty.
func lowest(base []Agreed, source, target []Record) string {
	key, found := "", false
	see := func(k string) {
		if !found || k < key {
			key, found = k, true
		}
	}
	if len(base) > 0 {
		see(base[0].Key)
	}
	if len(source) > 0 {
		see(source[0].Key)
	}
	if len(target) > 0 {
		see(target[0].Key)
	}
	return key
}

// head takes the record of that key from the front of list, nil where there is none.
func head(list *[]Record, key string) *Record {
	if len(*list) == 0 || (*list)[0].Key != key {
		return nil
	}
	r := &(*list)[0]
	*list = (*list)[1:]
	return r
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
	policy         Policy
	source, target []Record // all of them, sorted
	c              *Changes
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
	case targetSame && !agreed && !p.policy.twoWay() && o.Source != o.Target && o.form(Source) != nil && o.Object != nil && hasMore(o.Object, o.form(Source)):
		p.settle(o.Key) // an earlier run merged what the target had of its own
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
		p.settle(o.Key)
	}
}

// carry plans to bring to w what only the other side changed: from has it, to is
// what w has. Where the two forms did not mean the same, because w's has more or
// less of its own, only the change is made.
func (p *planner) carry(w Where, o *Agreed, from, to *Record) {
	op := Op{Where: w, Action: Update, Key: o.Key, Why: whyChanged}
	if o.Source != o.Target {
		if from.Object == nil || to.Object == nil || o.form(Source) == nil || o.form(Target) == nil {
			p.both(o.Key, o, ordered(w, to, from), ordered(w, from, to))
			return
		}
		m := threeWay(o.form(w.Other()), from.Object, o.form(w), to.Object)
		if len(m.differ) > 0 {
			p.both(o.Key, o, ordered(w, to, from), ordered(w, from, to))
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
