package repo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"russet/backend"
	"russet/chunk"
	"russet/index"
)

// TagRepaired marks snapshots that a repair made, as restic marks its own.
const TagRepaired = "repaired"

// RepairSnapshotsOptions say which snapshots are looked into.
type RepairSnapshotsOptions struct {
	Snapshots []chunk.ID // these alone; without any, all
	Forget    bool       // remove those of which a repaired one was made
	Progress  *Progress
	// Report, if not nil, is called for each file and folder that cannot be had
	// whole, never concurrently.
	Report func(Problem)
}

// RepairedSnapshot is what a repair makes of a snapshot that is damaged.
type RepairedSnapshot struct {
	ID       chunk.ID // of the damaged one
	Time     time.Time
	Hostname string
	Losses        // what it misses
	Nothing  bool // its first folder cannot be read: nothing of it is left
	Exists   bool // the repaired one is there already
	Keep     bool // it stays also with Forget, since some folder holds what a newer program wrote and this one would drop
	tree     chunk.ID
	old      *Snapshot
}

// Losses counts what a tree misses.
type Losses struct {
	Cut     int // files of which a part is left, under a name that ends in .repaired
	Dropped int // files of which nothing is left
	Emptied int // folders that cannot be read: they are empty
}

// String gives the counts in words.
func (l Losses) String() string {
	return fmt.Sprintf("%d files are cut, %d files are gone, %d folders are emptied", l.Cut, l.Dropped, l.Emptied)
}

func (l *Losses) add(m Losses) {
	l.Cut += m.Cut
	l.Dropped += m.Dropped
	l.Emptied += m.Emptied
}

// RepairSnapshotsPlan is what a repair will make of damaged snapshots.
type RepairSnapshotsPlan struct {
	Looked     int        // snapshots
	Unreadable []chunk.ID // files of snapshots that cannot be read; they are removed with Forget
	Snapshots  []RepairedSnapshot
	Forget     bool

	r     *Repository
	ids   []chunk.ID // of all snapshots
	trees map[chunk.ID][]byte
}

// Empty tells whether there is nothing to do.
func (p *RepairSnapshotsPlan) Empty() bool {
	return len(p.Snapshots) == 0 && (len(p.Unreadable) == 0 || !p.Forget)
}

// String gives the plan in a few lines.
func (p *RepairSnapshotsPlan) String() string {
	var b strings.Builder
	for _, id := range p.Unreadable {
		fmt.Fprintf(&b, "%.8s cannot be read at all", id.String())
		if p.Forget {
			b.WriteString("; its file is removed")
		}
		b.WriteByte('\n')
	}
	if len(p.Unreadable) > 0 {
		b.WriteString("what a snapshot held that cannot be read is found by russet recover, until a prune\n")
	}
	if len(p.Snapshots) == 0 {
		fmt.Fprintf(&b, "of %d snapshots that can be read none misses anything\n", p.Looked)
		return b.String()
	}
	for _, s := range p.Snapshots {
		fmt.Fprintf(&b, "%.8s of %s: ", s.ID.String(), s.Time.Format(time.DateTime))
		if s.Nothing {
			b.WriteString("nothing of it is left")
		} else {
			b.WriteString(s.Losses.String())
		}
		switch {
		case s.Nothing && p.Forget:
			b.WriteString("; it is removed")
		case s.Exists:
			b.WriteString("; the repaired one is there already")
		}
		if !s.Nothing && p.Forget && !s.Keep {
			b.WriteString("; the repaired one takes its place")
		}
		b.WriteByte('\n')
	}
	if !p.Forget {
		b.WriteString("the damaged ones stay beside the repaired ones\n")
	}
	return b.String()
}

// PlanRepairSnapshots finds out which snapshots refer to content or folders that
// are in no pack, and what is left of them. It changes nothing but the loaded
// index. That what is there can be read is for a repair of packs to see to first.
// Where all packs are gone it is an error: that is a drive which is away.
// Where a pack that no index names holds what is missing, the error wraps
// ErrDamaged: then the index is to be repaired, and nothing is lost. So it does
// where the drive cannot read a folder: then packs are.
//
// Hold an exclusive lock from before the plan to after Apply.
func (r *Repository) PlanRepairSnapshots(ctx context.Context, opt RepairSnapshotsOptions) (*RepairSnapshotsPlan, error) {
	p := &RepairSnapshotsPlan{r: r, Forget: opt.Forget, trees: map[chunk.ID][]byte{}}
	if err := whileAnswered(ctx, func(ctx context.Context) error { return p.plan(ctx, opt) }); err != nil {
		return nil, fmt.Errorf("plan repair of snapshots: %w", err)
	}
	return p, nil
}

func (p *RepairSnapshotsPlan) plan(ctx context.Context, opt RepairSnapshotsOptions) (err error) {
	ctx = backend.WithoutCache(ctx)
	if p.ids, err = p.r.listIDs(ctx, backend.Snapshot); err != nil {
		return err
	}
	if err := p.r.LoadIndex(ctx); err != nil {
		return err
	}
	if err := p.r.packsThere(ctx); err != nil {
		return err
	}
	unnamed, err := p.r.unnamedPacks(ctx)
	if err != nil {
		return err
	}
	if _, err := p.r.DropLost(ctx); err != nil {
		return err
	}
	c := &checker{r: p.r, opt: CheckOptions{Progress: opt.Progress, Report: opt.Report}, lost: map[index.Handle]error{}}
	all, err := p.snapshots(ctx)
	if err != nil {
		return err
	}
	if len(opt.Snapshots) > 0 {
		p.Unreadable = slices.DeleteFunc(p.Unreadable, func(id chunk.ID) bool { return !slices.Contains(opt.Snapshots, id) })
	}
	looked := all
	if len(opt.Snapshots) > 0 {
		looked = slices.DeleteFunc(slices.Clone(all), func(s *Snapshot) bool { return !slices.Contains(opt.Snapshots, s.id) })
	}
	c.phase("looking into snapshots", len(looked), 0)
	m := &mender{r: p.r, c: c, done: map[chunk.ID]mended{}, trees: p.trees}
	for _, s := range looked {
		tree, err := m.tree(ctx, *s.Tree, 0)
		if err != nil {
			return err
		}
		c.done(1, 0)
		p.Looked++
		if tree.id == *s.Tree && !tree.gone {
			continue
		}
		p.Snapshots = append(p.Snapshots, RepairedSnapshot{
			ID: s.id, Time: s.Time, Hostname: s.Hostname, Losses: tree.losses, Nothing: tree.gone, Keep: tree.lossy,
			Exists: !tree.gone && hasRepaired(all, s, tree.id), tree: tree.id, old: s,
		})
	}
	// On a loose cable nothing is lost, and snapshots would be given up for it.
	if m.unread != nil {
		return fmt.Errorf("packs must be repaired before snapshots can be: %w", m.unread)
	}
	if err := c.refuseUnnamed(ctx, unnamed); err != nil {
		return err
	}
	return c.locate(ctx, looked)
}

// snapshots loads all that can be.
func (p *RepairSnapshotsPlan) snapshots(ctx context.Context) ([]*Snapshot, error) {
	var all []*Snapshot
	var unread error
	for _, id := range p.ids {
		s, err := p.r.LoadSnapshot(ctx, id)
		switch {
		case err == nil:
			all = append(all, s)
		case errors.Is(err, ErrDamaged):
			p.Unreadable = append(p.Unreadable, id)
			unread = err
		default:
			return nil, err
		}
	}
	if len(all) == 0 && len(p.ids) > 1 && backend.IsUnreadable(unread) {
		return nil, fmt.Errorf("not one snapshot can be read; that is the drive, and no damage of each: %w", unread)
	}
	SortSnapshots(all)
	return all, nil
}

// origin is the snapshot that s was before it was first saved again.
func (s *Snapshot) origin() chunk.ID {
	if s.Original != nil && !s.Original.IsZero() {
		return *s.Original
	}
	return s.id
}

// hasRepaired tells whether what a repair would save is there.
func hasRepaired(all []*Snapshot, s *Snapshot, tree chunk.ID) bool {
	return slices.ContainsFunc(all, func(t *Snapshot) bool {
		return *t.Tree == tree && t.Original != nil && *t.Original == s.origin()
	})
}

// RepairSnapshotsResult is what a repair of snapshots did.
type RepairSnapshotsResult struct {
	Saved   []chunk.ID // new snapshots
	Removed int        // damaged ones
}

// Apply saves the repaired snapshots, reads them back, and then, where the plan
// says so, removes the damaged ones.
func (p *RepairSnapshotsPlan) Apply(ctx context.Context) (RepairSnapshotsResult, error) {
	var res RepairSnapshotsResult
	if p.Empty() {
		return res, nil
	}
	if err := p.apply(ctx, &res); err != nil {
		return res, fmt.Errorf("repair snapshots: %w", err)
	}
	return res, nil
}

func (p *RepairSnapshotsPlan) apply(ctx context.Context, res *RepairSnapshotsResult) error {
	if err := confirmLock(ctx); err != nil {
		return err
	}
	if err := p.r.unchanged(ctx, backend.Snapshot, p.ids); err != nil {
		return err
	}
	if err := p.r.saveTrees(ctx, p.trees); err != nil {
		return err
	}
	for _, s := range p.Snapshots {
		if s.Nothing || s.Exists {
			continue
		}
		repaired := *s.old
		origin, tree := s.old.origin(), s.tree
		repaired.Original, repaired.Tree = &origin, &tree
		repaired.Tags = slices.Clone(s.old.Tags)
		if !repaired.HasTag(TagRepaired) {
			repaired.Tags = append(repaired.Tags, TagRepaired)
		}
		id, err := p.r.saveReadBack(ctx, &repaired)
		if err != nil {
			return err
		}
		res.Saved = append(res.Saved, id)
	}
	if !p.Forget {
		return nil
	}
	doomed := slices.Clone(p.Unreadable)
	for _, s := range p.Snapshots {
		if !s.Keep {
			doomed = append(doomed, s.ID)
		}
	}
	for _, id := range doomed {
		if err := confirmLock(ctx); err != nil {
			return err
		}
		if err := p.r.RemoveSnapshot(ctx, id); err != nil {
			return err
		}
		res.Removed++
	}
	return nil
}

// saveTrees saves encoded trees, and has them read back before the index names
// them.
func (r *Repository) saveTrees(ctx context.Context, trees map[chunk.ID][]byte) error {
	w := r.NewWriter(ctx)
	w.proof = r.readBack
	defer w.Close()
	for _, plain := range trees {
		if _, err := w.Save(ctx, index.Tree, plain); err != nil {
			return err
		}
	}
	return w.Flush(ctx)
}

// saveReadBack saves a snapshot and loads it and its first tree.
func (r *Repository) saveReadBack(ctx context.Context, s *Snapshot) (chunk.ID, error) {
	id, err := r.SaveSnapshot(ctx, s)
	if err != nil {
		return id, err
	}
	ctx = backend.WithoutCache(ctx)
	again, err := r.LoadSnapshot(ctx, id)
	if err == nil {
		_, err = r.LoadTree(ctx, *again.Tree)
	}
	if err != nil {
		return id, fmt.Errorf("read new snapshot back: %w", err)
	}
	return id, nil
}
