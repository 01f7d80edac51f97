package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"russet/internal/vobject"
	"russet/merge"
)

// addAll adds the ops of merge's plan. A record that cannot be written is left alone,
// and told.
func (p *Plan) addAll(ctx context.Context, c *merge.Changes) error {
	bad := map[string]bool{}
	for i := range c.Ops {
		err := p.addPlanned(ctx, &c.Ops[i])
		if e, ok := errors.AsType[*unwritable](err); ok {
			bad[c.Ops[i].Key] = true
			p.Problems = append(p.Problems, Problem{Where: c.Ops[i].Where, Text: e.Error()})
		} else if err != nil {
			return err
		}
	}
	p.without(bad)
	return nil
}

// without takes the ops of keys, and those that need them, out of the plan.
func (p *Plan) without(bad map[string]bool) {
	for i := range p.Ops {
		if bad[p.Ops[i].needs] {
			bad[p.Ops[i].Key] = true
		}
	}
	p.Ops = slices.DeleteFunc(p.Ops, func(o Op) bool { return bad[o.Key] })
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

// unwritable is the error of a record that could not be read again once it was written,
// as it is too long.
type unwritable struct{ cause error }

func (e *unwritable) Error() string { return "a record cannot be written: " + e.cause.Error() }

func (e *unwritable) Unwrap() error { return e.cause }
