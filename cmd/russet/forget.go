package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"russet/capture"
	"russet/repo"
)

// forgetPlanMessage is what forget is going to do.
type forgetPlanMessage struct {
	MessageType string               `json:"message_type" doc:"\"plan\""`
	Groups      []forgetGroupMessage `json:"groups" doc:"the snapshots that the policy looks at together: those of a device"`
	Keep        int                  `json:"keep" doc:"snapshots that stay"`
	Forget      int                  `json:"forget" doc:"snapshots that are removed"`
}

// forgetGroupMessage is the snapshots of one device, or of anything else.
type forgetGroupMessage struct {
	Name      string                  `json:"name" doc:"of the device, with its UDID; empty where the snapshots were named one by one"`
	State     bool                    `json:"state" doc:"it is no device's, but what Russet itself has to remember: the newest stays, whatever the policy says"`
	Snapshots []forgetDecisionMessage `json:"snapshots" doc:"newest first"`
}

// forgetDecisionMessage is what becomes of one snapshot.
type forgetDecisionMessage struct {
	ID      string    `json:"id" doc:""`
	ShortID string    `json:"short_id" doc:""`
	Time    time.Time `json:"time" doc:"when the phone was backed up"`
	Keep    bool      `json:"keep" doc:"it stays"`
	Reasons []string  `json:"reasons,omitempty" doc:"why, in restic's words where they fit; absent where it does not stay"`
}

// forgetMessage sums a forget up.
type forgetMessage struct {
	MessageType string `json:"message_type" doc:"\"summary\""`
	Kept        int    `json:"kept" doc:"snapshots"`
	Removed     int    `json:"removed" doc:"snapshots"`
}

// keepCounts and keepSpans are the parts of a policy: the flag, what it counts,
// and where that is put.
var keepCounts = []struct {
	name, what string
	of         func(*repo.Policy) *int
}{
	{"last", "the `N` newest snapshots", func(p *repo.Policy) *int { return &p.Last }},
	{"hourly", "the newest of each of the last `N` hours that have any", func(p *repo.Policy) *int { return &p.Hourly }},
	{"daily", "the same of `N` days", func(p *repo.Policy) *int { return &p.Daily }},
	{"weekly", "the same of `N` weeks", func(p *repo.Policy) *int { return &p.Weekly }},
	{"monthly", "the same of `N` months", func(p *repo.Policy) *int { return &p.Monthly }},
	{"yearly", "the same of `N` years", func(p *repo.Policy) *int { return &p.Yearly }},
}

var keepSpans = []struct {
	name, what string
	of         func(*repo.Policy) *repo.Span
}{
	{"within", "all that are at most so much older than the newest: a `SPAN` such as 1y6m, 30d or 12h", func(p *repo.Policy) *repo.Span { return &p.Within }},
	{"within-hourly", "of those within the `SPAN` the newest of each hour", func(p *repo.Policy) *repo.Span { return &p.WithinHourly }},
	{"within-daily", "the same of each day of the `SPAN`", func(p *repo.Policy) *repo.Span { return &p.WithinDaily }},
	{"within-weekly", "the same of each week of the `SPAN`", func(p *repo.Policy) *repo.Span { return &p.WithinWeekly }},
	{"within-monthly", "the same of each month of the `SPAN`", func(p *repo.Policy) *repo.Span { return &p.WithinMonthly }},
	{"within-yearly", "the same of each year of the `SPAN`", func(p *repo.Policy) *repo.Span { return &p.WithinYearly }},
}

func (p *program) forgetVerb() *cli.Command {
	var flags []cli.Flag
	for _, k := range keepCounts {
		flags = append(flags, &cli.StringFlag{Name: "keep-" + k.name, Usage: "keep " + k.what})
	}
	for _, k := range keepSpans {
		flags = append(flags, &cli.StringFlag{Name: "keep-" + k.name, Usage: "keep " + k.what})
	}
	flags = append(flags,
		&cli.StringSliceFlag{Name: "keep-tag", Usage: "keep those that have all of the `TAGS`, given as one,two"},
		&cli.BoolFlag{Name: "keep-ios-updates", Usage: "keep the newest of each version of iOS"},
		&cli.StringFlag{Name: "device", Usage: "the phone whose `UDID` begins so, and no other"},
		&cli.BoolFlag{Name: "pinned", Usage: "forget the snapshots that are named even if they are pinned"})
	return &cli.Command{
		Name:      "forget",
		Category:  groupCare,
		Usage:     "remove snapshots by a policy, or by name",
		ArgsUsage: "[SNAPSHOT...]",
		UsageText: "russet forget --keep-daily 14 --keep-weekly 8 --keep-monthly 24 --plan\n" +
			"russet forget --keep-within 30d --keep-monthly unlimited --keep-ios-updates\n" +
			"russet forget 1a2b3c4d                   # exactly this one",
		Description: "Looks at the snapshots of each device by itself, and removes all that no --keep flag keeps.\n" +
			"It shows what becomes of each and why, and then does just that; with --plan it stops there.\n" +
			"Hours, days, weeks, months and years are counted from the newest snapshot, and those without\n" +
			"one are not counted, as in restic. N may be unlimited.\n" +
			"\n" +
			"Whatever the policy says, pinned snapshots stay, and so do those that are dated in the\n" +
			"future, which take nobody's place. A policy that would leave of a device no snapshot, or none\n" +
			"but those of the future, is refused. The space of what was removed is not free before a prune.",
		Flags: append(flags, planFlags()...),
		Action: func(c *cli.Context) error {
			policy, err := policyOf(c)
			if err != nil {
				return err
			}
			switch {
			case c.NArg() == 0 && policy.IsZero():
				return usageError{"forget wants to be told what to keep, such as --keep-daily 14, or the snapshots to remove"}
			case c.NArg() > 0 && (!policy.IsZero() || c.IsSet("device")):
				return usageError{"snapshots are named, and a policy is given, too; which one is meant?"}
			case c.IsSet("device") && c.String("device") == "":
				return usageError{"--device is empty: give the beginning of a UDID, or leave it out for all devices"}
			case c.NArg() == 0 && c.Bool("pinned"):
				return usageError{"--pinned is for snapshots that are named: a policy keeps all that are pinned"}
			}
			kind := lockExclusive
			if c.Bool("plan") {
				kind = lockShared
			}
			return p.withRepository(c, kind, func(ctx context.Context, r *repo.Repository) error {
				plan, err := p.planForget(ctx, c, r, policy)
				if err != nil {
					return err
				}
				return p.forget(ctx, r, plan, c.Bool("plan"))
			})
		},
	}
}

// policyOf reads the --keep flags.
func policyOf(c *cli.Context) (repo.Policy, error) {
	var policy repo.Policy
	for _, k := range keepCounts {
		text := c.String("keep-" + k.name)
		n, err := strconv.Atoi(cmp.Or(text, "0"))
		if text == "unlimited" {
			n, err = repo.KeepAll, nil
		}
		if err != nil || n < repo.KeepAll {
			return policy, usageError{fmt.Sprintf("--keep-%s: %q is neither a number nor unlimited", k.name, text)}
		}
		*k.of(&policy) = n
	}
	for _, k := range keepSpans {
		text := c.String("keep-" + k.name)
		if text == "" {
			continue
		}
		span, err := repo.ParseSpan(text)
		if err != nil {
			return policy, usageError{fmt.Sprintf("--keep-%s: %v", k.name, err)}
		}
		*k.of(&policy) = span
	}
	for _, list := range c.StringSlice("keep-tag") {
		policy.Tags = append(policy.Tags, splitTags(list))
	}
	if c.Bool("keep-ios-updates") {
		policy.EachTag = []string{capture.TagIOS}
	}
	return policy, nil
}

// splitTags splits a list of tags as restic does.
func splitTags(list string) []string {
	tags := strings.Split(list, ",")
	for i := range tags {
		tags[i] = strings.TrimSpace(tags[i])
	}
	return tags
}

func (p *program) planForget(ctx context.Context, c *cli.Context, r *repo.Repository, policy repo.Policy) (*repo.ForgetPlan, error) {
	if c.NArg() > 0 {
		snaps, err := p.changedSnapshots(ctx, r, c.Args().Slice())
		if err != nil {
			return nil, err
		}
		for _, s := range snaps {
			if s.HasTag(repo.TagPinned) && !c.Bool("pinned") {
				return nil, fmt.Errorf("forget snapshot %s: %w", shortID(s), errPinned)
			}
		}
		return repo.PlanForgetThese(snaps, time.Local), nil
	}
	snaps, err := r.AllSnapshots(ctx)
	if err != nil {
		return nil, badSnapshot(err) // what cannot be read may be what counts
	}
	if c.IsSet("device") {
		if snaps, err = ofDevice(snaps, c.String("device")); err != nil {
			return nil, err
		}
	}
	plan, err := repo.PlanForget(snaps, repo.ForgetOptions{Policy: policy, Now: time.Now(), Group: byDevice(snaps), Zone: time.Local})
	if err != nil {
		err = situation{err, errKeepsNone}
	}
	return plan, err
}

// changedSnapshots are namedSnapshots for verbs that change or remove them. While
// one cannot be read it may be the latest: an older one is not taken for it.
func (p *program) changedSnapshots(ctx context.Context, r *repo.Repository, names []string) ([]*repo.Snapshot, error) {
	if err := latestUnknown(ctx, r, names...); err != nil {
		return nil, err
	}
	return p.namedSnapshots(ctx, r, names)
}

// namedSnapshots loads snapshots that a person names, each once.
func (p *program) namedSnapshots(ctx context.Context, r *repo.Repository, names []string) ([]*repo.Snapshot, error) {
	var snaps []*repo.Snapshot
	for _, name := range names {
		s, err := findSnapshot(ctx, r, name)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(snaps, func(o *repo.Snapshot) bool { return o.ID() == s.ID() }) {
			snaps = append(snaps, s)
		}
	}
	return snaps, nil
}

// byDevice groups snapshots by the device that they are of; the others as restic
// does, by host and paths. snaps, oldest first, tell what the devices are called.
func byDevice(snaps []*repo.Snapshot) func(*repo.Snapshot) repo.ForgetGroup {
	names := map[string]string{}
	for _, s := range snaps {
		if udid, ok := capture.UDID(s); ok {
			names[udid] = phoneName(s.Hostname, udid)
		}
	}
	return func(s *repo.Snapshot) repo.ForgetGroup {
		if isState(s) {
			return repo.ForgetGroup{Name: s.Paths[0], State: true}
		}
		if udid, ok := capture.UDID(s); ok {
			return repo.ForgetGroup{Name: names[udid]}
		}
		return repo.ForgetGroup{Name: fmt.Sprintf("%s: %q", s.Hostname, s.Paths)}
	}
}

// forget shows a plan and then, unless only that was asked for, does it.
func (p *program) forget(ctx context.Context, r *repo.Repository, plan *repo.ForgetPlan, only bool) error {
	if only || !p.quiet {
		if err := p.showForgetPlan(plan); err != nil || only {
			return err
		}
	}
	counted := new(repo.Progress)
	show := p.startProgress(func() progress { return progressOf(counted.State()) })
	removed, err := plan.Apply(ctx, r, counted)
	show.stop()
	retakeReserve(ctx, r)
	if err != nil {
		return fmt.Errorf("%s removed: %w", plural(removed, "snapshot"), err)
	}
	keep, _ := plan.Count()
	switch {
	case p.json:
		return p.emit(forgetMessage{"summary", keep, removed})
	case p.quiet:
		return nil
	}
	_, err = fmt.Fprintf(p.stdout, "removed %s\n", plural(removed, "snapshot"))
	return err
}

func (p *program) showForgetPlan(plan *repo.ForgetPlan) error {
	if !p.json {
		return p.printPlan(plan)
	}
	m := forgetPlanMessage{MessageType: "plan", Groups: []forgetGroupMessage{}}
	m.Keep, m.Forget = plan.Count()
	for _, g := range plan.Groups {
		of := forgetGroupMessage{Name: g.Name, State: g.State}
		for _, d := range g.Decisions {
			of.Snapshots = append(of.Snapshots, forgetDecisionMessage{d.Snapshot.ID().String(), shortID(d.Snapshot), d.Snapshot.Time, d.Keep, d.Reasons})
		}
		m.Groups = append(m.Groups, of)
	}
	return p.emit(m)
}

// printPlan prints what is going to be done, for people.
func (p *program) printPlan(plan fmt.Stringer) error {
	var b strings.Builder
	for line := range strings.Lines(plan.String()) {
		b.WriteString(visible(strings.TrimSuffix(line, "\n")) + "\n")
	}
	_, err := fmt.Fprint(p.stdout, b.String())
	return err
}
