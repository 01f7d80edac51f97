package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"russet/chunk"
	"russet/merge"
	"russet/records"
)

// PlanPush says what would bring chosen records, of any snapshot, to the target: a
// contact that was deleted last month comes back. It stays there although the source
// does not have it, until somebody removes it there.
func (s *Sync) PlanPush(ctx context.Context, chosen []records.Record) (*Plan, error) {
	p, err := s.newPlan(ctx, KindPush)
	if err != nil {
		return nil, err
	}
	taken := map[string]bool{}
	for _, r := range chosen {
		if taken[r.UID] {
			continue // in two containers: the first is taken, as in every run
		}
		taken[r.UID] = true
		switch {
		case r.UID == "" || r.Object == nil:
			return nil, s.planError(errors.New("a record without a UID cannot be pushed"))
		case p.views[merge.Source].unknown[r.UID]:
			return nil, s.planError(errors.New("a record cannot be pushed: the source keeps it in a container that this sync does not take, or that the target's server has"))
		case p.unknown(r.UID):
			return nil, s.planError(errors.New("a record cannot be pushed: what the target has of it cannot be read"))
		}
		for w, side := range s.sides {
			if side != nil {
				object := r.Object
				if it := p.views[w].items[r.UID]; it != nil && len(r.Unread) > 0 {
					had, err := s.objectOf(ctx, p.views[w], it)
					if err != nil {
						return nil, s.planError(err)
					}
					object = fill(object, r.Unread, had)
				}
				if err := p.put(ctx, merge.Where(w), r.UID, object.Bytes(), "chosen"); err != nil {
					return nil, s.planError(err)
				}
			}
		}
	}
	return p.special(ctx)
}

// put adds what makes a side have a body: nothing where it has that.
func (p *Plan) put(ctx context.Context, w merge.Where, key string, body []byte, why string) error {
	o := Op{Where: w, Action: merge.Create, Key: key, Why: why, body: body}
	c, own, err := p.s.decodeKind(body)
	if err != nil {
		return fmt.Errorf("check what would be written: %w", err)
	}
	uid := own // what comes back is what it was
	if it := p.views[w].items[key]; it != nil {
		if it.hash == hashOf(c) {
			p.settled = append(p.settled, key)
			return nil
		}
		o.Action, uid = merge.Update, cmp.Or(it.uid, key)
	}
	if own != uid {
		o.body = merge.WithKey(c, uid).Bytes()
	}
	return p.add(ctx, o)
}

// special finishes a plan that merge did not make.
func (p *Plan) special(ctx context.Context) (*Plan, error) {
	order := []merge.Action{merge.Create, merge.Update, merge.Delete}
	slices.SortStableFunc(p.Ops, func(a, b Op) int { return slices.Index(order, a.Action) - slices.Index(order, b.Action) })
	return p, p.finish(ctx, p.changes())
}

// Resolution is what a person decides of a record in the queue of conflicts.
type Resolution string

// The resolutions.
const (
	TakeSource Resolution = "source"
	TakeTarget Resolution = "target" // of a phone's record: the target stays as it is
	TakeMerged Resolution = "merged" // a body that the person wrote
	TakeBoth   Resolution = "keep-both"
)

// PlanResolve says what would resolve a conflict. merged is the body for TakeMerged,
// with the record's UID, and nil otherwise.
func (s *Sync) PlanResolve(ctx context.Context, key string, take Resolution, merged []byte) (*Plan, error) {
	if !slices.ContainsFunc(s.state.Conflicts, func(c Conflict) bool { return c.Key == key }) {
		return nil, s.planError(fmt.Errorf("no conflict of that name waits"))
	}
	p, err := s.newPlan(ctx, KindResolve)
	if err != nil {
		return nil, err
	}
	src, tgt := p.views[merge.Source].items[key], p.views[merge.Target].items[key]
	if src == nil || tgt == nil || p.unknown(key) {
		return nil, s.planError(fmt.Errorf("the record is not on both sides any more, so the next run decides: %w", merge.ErrChanged))
	}
	var bodies [2][]byte
	for w, it := range []*item{src, tgt} {
		if bodies[w], err = s.dataOf(ctx, p.views[w], it); err != nil {
			return nil, s.planError(err)
		}
	}
	p.settled = append(p.settled, key)
	switch take {
	case TakeSource:
		err = p.put(ctx, merge.Target, key, bodies[merge.Source], "resolved")
	case TakeTarget:
		err = p.putSource(ctx, key, bodies[merge.Target])
	case TakeMerged:
		if err = p.put(ctx, merge.Target, key, merged, "resolved"); err == nil {
			err = p.putSource(ctx, key, merged)
		}
	case TakeBoth:
		err = p.resolveBoth(ctx, key, bodies)
	default:
		err = fmt.Errorf("unknown resolution")
	}
	if err != nil {
		return nil, s.planError(err)
	}
	return p.special(ctx)
}

// putSource is put where the source can be written to, and nothing else.
func (p *Plan) putSource(ctx context.Context, key string, body []byte) error {
	if p.s.state.Config.Mode != merge.TwoWay {
		return nil
	}
	return p.put(ctx, merge.Source, key, body, "resolved")
}

// resolveBoth keeps the target's record as a second one.
func (p *Plan) resolveBoth(ctx context.Context, key string, bodies [2][]byte) error {
	tgt := p.views[merge.Target].items[key]
	c, err := p.s.objectOf(ctx, p.views[merge.Target], tgt)
	if err != nil {
		return err
	}
	copied := merge.Copy(c, key, tgt.hash)
	body := copied.Bytes()
	_, name, err := decode(body)
	if err != nil {
		return err
	}
	if err := p.put(ctx, merge.Target, name, body, "resolved"); err != nil {
		return err
	}
	if err := p.putSource(ctx, name, body); err != nil {
		return err
	}
	before := len(p.Ops)
	err = p.put(ctx, merge.Target, key, bodies[merge.Source], "resolved")
	for i := range p.Ops[before:] {
		p.Ops[before+i].needs = name
	}
	return err
}

// PlanUndo says what would bring back what a run replaced and removed, and remove
// what it created, as far as nobody has changed it since. The base takes that as
// agreed: the next run does not do it again.
func (s *Sync) PlanUndo(ctx context.Context, number int) (*Plan, error) {
	i := slices.IndexFunc(s.state.Runs, func(r Run) bool { return r.Number == number })
	if i < 0 && (s.state.Running == nil || s.state.Running.Number != number) {
		return nil, s.planError(fmt.Errorf("run %d is not in the journal", number))
	}
	p, err := s.newPlan(ctx, KindUndo)
	if err != nil {
		return nil, err
	}
	run, _ := p.cutOff(ctx)
	if i >= 0 {
		run = s.state.Runs[i]
	}
	for _, d := range slices.Backward(run.Done) {
		if err := p.undo(ctx, d); err != nil {
			return nil, s.planError(err)
		}
	}
	return p.special(ctx)
}

// undo adds what takes back one write.
func (p *Plan) undo(ctx context.Context, d Done) error {
	if p.s.sides[d.Where] == nil || p.unknown(d.Key) {
		p.Notes = append(p.Notes, named("", d.Key)+": it cannot be read now")
		return nil
	}
	now := p.views[d.Where].items[d.Key]
	asLeft := now != nil && (d.ETag != "" && now.ref.ETag == d.ETag || chunk.ID(now.hash) == d.Hash)
	switch {
	case d.Action == merge.Delete && now != nil:
		p.Notes = append(p.Notes, named("", d.Key)+": it is there again")
	case d.Action != merge.Delete && !asLeft:
		p.Notes = append(p.Notes, named("", d.Key)+": it was changed or removed since")
	case d.Action == merge.Create:
		return p.add(ctx, Op{Where: d.Where, Action: merge.Delete, Key: d.Key, Why: "created by that run"})
	case d.Before.IsZero():
		p.Notes = append(p.Notes, named("", d.Key)+": its body was not kept")
	default:
		body, err := p.s.Body(ctx, d.Before)
		if errors.Is(err, ErrState) {
			p.Notes = append(p.Notes, named("", d.Key)+": its body is not kept any more")
			return nil
		}
		if err != nil {
			return err
		}
		return p.put(ctx, d.Where, d.Key, body, "as before that run")
	}
	return nil
}
