package reconcile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"russet/chunk"
	"russet/merge"
)

// Approval is a person's yes to a plan that a guard holds back.
type Approval struct {
	// Plan is the ID of the plan that the person saw. Where it is not "" and another
	// plan's, nothing is done.
	Plan string
	// Deletions is the number of deletions, typed: for more than one run ever makes.
	Deletions int
}

// Allowed says whether the guards let the plan run with that approval.
func (p *Plan) Allowed(a Approval) error {
	if a.Plan != "" && a.Plan != p.ID {
		return fmt.Errorf("apply plan %s: %w: now it would be plan %s", a.Plan, ErrOutdated, p.ID)
	}
	for _, g := range p.Guards {
		if g.Refused || a.Plan != p.ID || g.Guard == merge.GuardTooMany && a.Deletions != p.Deletions() {
			return fmt.Errorf("apply plan %s: %w: %s", p.ID, ErrGuard, g.Text)
		}
	}
	return nil
}

// Refused tells whether a guard refuses the plan, whoever approves of it.
func (p *Plan) Refused() bool {
	for _, g := range p.Guards {
		if g.Refused {
			return true
		}
	}
	return false
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
