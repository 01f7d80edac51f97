package reconcile

import (
	"context"
	"errors"
	"slices"

	"russet/merge"
)

// unwritable is the error of a record that could not be read again once it was written,
// as it is too long.
type unwritable struct{ cause error }

func (e *unwritable) Error() string { return "a record cannot be written: " + e.cause.Error() }

func (e *unwritable) Unwrap() error { return e.cause }

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
