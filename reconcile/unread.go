package reconcile

import (
	"context"
	"slices"

	"russet/chunk"
	"russet/internal/vobject"
	"russet/merge"
)

// keepUnread gives records of the phone what they had of the properties that could not
// be read this time: else a picture would be removed at the target because a database
// is damaged. Where it is not known what they had, the record is left alone.
func (p *Plan) keepUnread(ctx context.Context) {
	v := p.views[merge.Source]
	for key, it := range v.items {
		if len(it.unread) == 0 {
			continue
		}
		row := p.s.row(key)
		if row != nil && chunk.ID(it.hash) == row.Source.Hash {
			continue
		}
		had, err := p.had(ctx, row, key)
		if err != nil {
			v.problem("a part of a record cannot be read, nor what it had before")
			v.unknown[key] = true
			continue
		}
		if filled := fill(it.object, it.unread, had); filled != it.object {
			it.object, it.hash = filled, hashOf(filled)
		}
	}
}

// had is what the phone had by the base, or the target has where there is none; nil
// where neither is.
func (p *Plan) had(ctx context.Context, row *Row, key string) (*vobject.Component, error) {
	switch {
	case row == nil || row.Source.Hash.IsZero():
		if t := p.views[merge.Target].items[key]; t != nil {
			return p.s.objectOf(ctx, p.views[merge.Target], t)
		}
		return nil, nil
	case !row.Source.Body.IsZero():
		return p.s.object(ctx, row.Source.Body)
	}
	return p.s.object(ctx, row.Target.Body)
}

// fill returns c with what had has of the named properties in the place of what c has
// of them, which may be a rest or spoilt. Of a property that had has nothing of, and in
// a component that only one of them has, c stays as it is.
func fill(c *vobject.Component, names []string, had *vobject.Component) *vobject.Component {
	if had == nil {
		return c
	}
	type place struct{ part, name string }
	says, parts, kept := vobject.Canonical(c), map[string]bool{}, map[place]bool{}
	for _, p := range says {
		parts[p.Part] = true
	}
	var remove, add []vobject.Property
	for _, p := range vobject.Canonical(had) {
		if parts[p.Part] && slices.Contains(names, p.Name) {
			add = append(add, p)
			kept[place{p.Part, p.Name}] = true
		}
	}
	for _, p := range says {
		if kept[place{p.Part, p.Name}] {
			remove = append(remove, p)
		}
	}
	if len(add) == 0 {
		return c
	}
	return vobject.Apply(c, remove, add, had)
}
