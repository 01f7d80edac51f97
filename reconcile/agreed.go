package reconcile

import (
	"context"

	"russet/chunk"
	"russet/internal/vobject"
	"russet/merge"
)

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

// ownWrite is what both sides agreed on by a write of which nobody knew whether it was
// done: a run was cut off, or a reply was lost.
type ownWrite struct {
	merge.Agreed
	body  chunk.ID // of what it brought over; zero where what it wrote means the same
	short bool     // the server cut it short: Leads says whose form it has the rest of
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
