package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"
)

// ForgetGroup names the snapshots that a policy looks at together.
type ForgetGroup struct {
	// Name tells people whose snapshots they are.
	Name string
	// State: each snapshot is complete by itself, and no version of anything. The
	// newest stays whatever the policy says, and no others do for it.
	State bool
}

// ForgetOptions are what a plan to forget by a policy needs to know.
type ForgetOptions struct {
	Policy Policy
	Now    time.Time
	// Group tells to which group a snapshot belongs; nil: all to one.
	Group func(*Snapshot) ForgetGroup
	// Zone is that in which the plan tells times; nil is UTC.
	Zone *time.Location
}

// ForgetPlan is what becomes of snapshots. It is made by PlanForget or
// PlanForgetThese, and done by Apply; nothing else changes by it.
type ForgetPlan struct {
	Groups []GroupPlan
	zone   *time.Location
	named  bool // it is about some snapshots, and says nothing of the others
}

// GroupPlan is what becomes of one group, its newest snapshot first.
type GroupPlan struct {
	ForgetGroup
	Decisions []Decision
}

// Forgets is how many snapshots of the group are not kept.
func (g GroupPlan) Forgets() int {
	n := 0
	for _, d := range g.Decisions {
		if !d.Keep {
			n++
		}
	}
	return n
}

// leftWithout returns the newest snapshot that is not kept, if none of those is
// that are dated up to now. One dated in the future does not stand for them:
// anybody who may only add could bring it.
func (g GroupPlan) leftWithout(now time.Time) *Snapshot {
	var newest *Snapshot
	for _, d := range g.Decisions {
		switch {
		case d.Snapshot.Time.After(now):
		case d.Keep:
			return nil
		case newest == nil:
			newest = d.Snapshot
		}
	}
	return newest
}

// PlanForget decides by a policy. A policy that asks for nothing is refused, and
// so is one that would leave of a group no snapshot but those dated in the future.
func PlanForget(snaps []*Snapshot, opt ForgetOptions) (*ForgetPlan, error) {
	if opt.Policy.IsZero() {
		return nil, errors.New("plan to forget: the policy keeps nothing")
	}
	p := &ForgetPlan{zone: opt.Zone}
	members := map[ForgetGroup][]*Snapshot{}
	for _, s := range snaps {
		var g ForgetGroup
		if opt.Group != nil {
			g = opt.Group(s)
		}
		members[g] = append(members[g], s)
	}
	for g, of := range members {
		decide := opt.Policy.Decide
		if g.State {
			decide = decideState
		}
		plan := GroupPlan{g, decide(of, opt.Now)}
		if newest := plan.leftWithout(opt.Now); newest != nil {
			return nil, fmt.Errorf("plan to forget: the policy keeps none of the snapshots of a group, of which %.8s is the newest", newest.ID())
		}
		p.Groups = append(p.Groups, plan)
	}
	slices.SortFunc(p.Groups, func(a, b GroupPlan) int { return strings.Compare(a.Name, b.Name) })
	return p, nil
}

// PlanForgetThese forgets the given snapshots, pinned ones too. Times are told in
// zone; nil is UTC.
func PlanForgetThese(snaps []*Snapshot, zone *time.Location) *ForgetPlan {
	return &ForgetPlan{Groups: []GroupPlan{{Decisions: newestFirst(snaps)}}, zone: zone, named: true}
}

// Count is how many snapshots of all groups are kept, and how many are not.
func (p *ForgetPlan) Count() (keep, forget int) {
	for _, g := range p.Groups {
		forget += g.Forgets()
		keep += len(g.Decisions) - g.Forgets()
	}
	return keep, forget
}

// String lists all snapshots by group, each with what becomes of it and why.
func (p *ForgetPlan) String() string {
	zone := p.zone
	if zone == nil {
		zone = time.UTC
	}
	var b strings.Builder
	for _, g := range p.Groups {
		if g.Name != "" {
			b.WriteString(oneLine(g.Name) + "\n")
		}
		for _, d := range g.Decisions {
			word := "forget"
			if d.Keep {
				word = "keep  "
			}
			line := fmt.Sprintf("  %s  %.8s  %s  %s", word, d.Snapshot.ID(), d.Snapshot.Time.In(zone).Format(time.DateTime), strings.Join(d.Reasons, ", "))
			b.WriteString(strings.TrimRight(oneLine(line), " ") + "\n")
		}
	}
	keep, forget := p.Count()
	if p.named {
		fmt.Fprintf(&b, "forget %d, and no others\n", forget)
		return b.String()
	}
	fmt.Fprintf(&b, "keep %d, forget %d\n", keep, forget)
	return b.String()
}

// oneLine puts a space for line breaks: a name or a tag with one in it must not
// look like a line of the plan.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r < ' ' }), " ")
}

// Apply removes the files of the snapshots that are not kept, oldest first, and
// returns how many it removed. ctx must be that of an exclusive lock. Where it
// ends early the rest is there as before, and may be planned anew.
func (p *ForgetPlan) Apply(ctx context.Context, r *Repository, progress *Progress) (int, error) {
	var gone []*Snapshot
	for _, g := range p.Groups {
		for _, d := range g.Decisions {
			if !d.Keep {
				gone = append(gone, d.Snapshot)
			}
		}
	}
	SortSnapshots(gone)
	progress.begin("forgetting", len(gone), 0)
	for n, s := range gone {
		if err := ctx.Err(); err != nil {
			return n, fmt.Errorf("forget snapshots: %w", err)
		}
		if err := confirmLock(ctx); err != nil {
			return n, fmt.Errorf("forget snapshots: %w", err)
		}
		if err := r.RemoveSnapshot(ctx, s.ID()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return n, fmt.Errorf("forget snapshot %.8s: %w", s.ID(), err)
		}
		progress.Add(1, 0)
	}
	return len(gone), nil
}
