package reconcile

import (
	"context"
	"fmt"

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

// told is the op without what it took to do it: bodies are large.
func (o *Op) told() Op {
	done := *o
	done.body, done.item = nil, nil
	return done
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
			lists[w] = append(lists[w], merge.Record{Key: key, Hash: it.hash, Object: merge.Outline(c)})
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

// changes are the plan as package merge counts it.
func (p *Plan) changes() *merge.Changes {
	c := new(merge.Changes)
	for i := range p.Ops {
		c.Ops = append(c.Ops, merge.Op{Where: p.Ops[i].Where, Action: p.Ops[i].Action, Key: p.Ops[i].Key})
	}
	for _, w := range p.Conflicts {
		c.Conflicts = append(c.Conflicts, w.Conflict)
	}
	return c
}

// Deletions is how many records the plan removes, on either side.
func (p *Plan) Deletions() int { return p.changes().Deletions() }
