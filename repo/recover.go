package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"russet/backend"
	"russet/chunk"
	"russet/index"
)

const (
	// TagRecovered marks snapshots that a recovery made.
	TagRecovered = "recovered"
	// recoveredPath holds what a recovery found and can give no better name. It
	// has two parts so that nobody takes it for a device's.
	recoveredPath = "/" + statePrefix + "recovered/"
	// statePrefix begins the folders of state, of which an old one must not pass
	// for the newest.
	statePrefix = "russet-"
)

// RecoverOptions say who recovers, and when.
type RecoverOptions struct {
	Owner    Owner
	Version  string // of the program, noted in the snapshots
	Progress *Progress
	// Report, if not nil, is called for each file and folder that cannot be had
	// whole, never concurrently. Its snapshots are the ids of trees.
	Report func(Problem)
}

// RecoveredTree is a folder with nothing above it.
type RecoveredTree struct {
	ID      chunk.ID
	Entries int
	// Name is that of the only folder in it, as in a snapshot of one folder at
	// the root: it becomes such a snapshot again. Otherwise it is empty.
	Name string
	Time time.Time // of that folder
	Losses
	tree chunk.ID // what is left of it: its own id where nothing is lost
}

// RecoverPlan is what a recovery will make of folders that no snapshot leads to.
type RecoverPlan struct {
	Looked  int // trees
	Damaged int // of these, trees that cannot be read
	Trees   []RecoveredTree

	r     *Repository
	opt   RecoverOptions
	mends map[chunk.ID][]byte // trees to save
}

// Empty tells whether there is nothing to do.
func (p *RecoverPlan) Empty() bool { return len(p.Trees) == 0 }

// String gives the plan in a few lines. It holds the names of folders.
func (p *RecoverPlan) String() string {
	var b strings.Builder
	if p.Damaged > 0 {
		fmt.Fprintf(&b, "%d folders cannot be read\n", p.Damaged)
	}
	if p.Empty() {
		fmt.Fprintf(&b, "some snapshot leads to each of %d folders: there is nothing to do\n", p.Looked)
		return b.String()
	}
	others := 0
	for _, t := range p.Trees {
		if t.Name == "" {
			others++
			continue
		}
		fmt.Fprintf(&b, "%.8s becomes a snapshot of %q of %s", t.ID.String(), "/"+t.Name, t.Time.Format(time.DateTime))
		if t.Losses != (Losses{}) {
			fmt.Fprintf(&b, ": %v", t.Losses)
		}
		b.WriteByte('\n')
	}
	if others > 0 {
		fmt.Fprintf(&b, "%d other folders become one snapshot\n", others)
	}
	return b.String()
}

// PlanRecover looks for folders that no other folder and no snapshot refers to:
// what is left of snapshots that were removed, or whose files are damaged. It
// changes nothing but the loaded index. Where a pack that no index names holds
// what they miss, the error wraps ErrDamaged: the index is to be repaired first.
//
// Hold an exclusive lock from before the plan to after Apply.
func (r *Repository) PlanRecover(ctx context.Context, opt RecoverOptions) (*RecoverPlan, error) {
	p := &RecoverPlan{r: r, opt: opt, mends: map[chunk.ID][]byte{}}
	if err := p.plan(ctx); err != nil {
		return nil, fmt.Errorf("plan recovery: %w", err)
	}
	return p, nil
}

func (p *RecoverPlan) plan(ctx context.Context) error {
	ctx = backend.WithoutCache(ctx)
	below := map[chunk.ID]bool{} // trees that something refers to
	for s, err := range p.r.Snapshots(ctx) {
		switch {
		case err == nil:
			below[*s.Tree] = true
		case !errors.Is(err, ErrDamaged):
			return err
		}
	}
	if err := p.r.LoadIndex(ctx); err != nil {
		return err
	}
	unnamed, err := p.r.unnamedPacks(ctx)
	if err != nil {
		return err
	}
	if _, err := p.r.DropLost(ctx); err != nil {
		return err
	}
	var all []index.Handle
	seen := map[chunk.ID]bool{}
	for loc := range p.r.index.Blobs() {
		if loc.Type == index.Tree && !seen[loc.ID] {
			seen[loc.ID] = true
			all = append(all, loc.Handle)
		}
	}
	p.Looked = len(all)
	p.opt.Progress.begin("looking into folders", len(all), 0)
	found := map[chunk.ID]RecoveredTree{}
	err = p.r.NewLoader().Load(ctx, all, func(i int, plain []byte, err error) error {
		p.opt.Progress.Add(1, 0)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return p.look(all[i].ID, plain, err, found, below)
	})
	if err != nil {
		return err
	}
	for id, t := range found {
		if !below[id] && t.Entries > 0 {
			p.Trees = append(p.Trees, t)
		}
	}
	slices.SortFunc(p.Trees, func(a, b RecoveredTree) int { return a.ID.Compare(b.ID) })
	return p.mend(ctx, below, unnamed)
}

// mend leaves out of the trees what is lost, and leaves out those of which what
// is left belongs to a snapshot: a repair made it.
func (p *RecoverPlan) mend(ctx context.Context, below map[chunk.ID]bool, unnamed []packFile) error {
	c := &checker{r: p.r, opt: CheckOptions{Progress: p.opt.Progress, Report: p.opt.Report}, lost: map[index.Handle]error{}}
	m := &mender{r: p.r, c: c, done: map[chunk.ID]mended{}, trees: p.mends}
	var kept []RecoveredTree
	var roots []*Snapshot
	for _, t := range p.Trees {
		made, err := m.tree(ctx, t.ID, 0)
		if err != nil {
			return err
		}
		if made.gone || made.id != t.ID && below[made.id] {
			continue
		}
		t.tree, t.Losses = made.id, made.losses
		kept = append(kept, t)
		roots = append(roots, &Snapshot{Tree: &t.ID, id: t.ID})
	}
	p.Trees = kept
	if err := c.refuseUnnamed(ctx, unnamed); err != nil {
		return err
	}
	return c.locate(ctx, roots)
}

// look notes a tree, and what it refers to.
func (p *RecoverPlan) look(id chunk.ID, plain []byte, err error, found map[chunk.ID]RecoveredTree, below map[chunk.ID]bool) error {
	var t *Tree
	if err == nil {
		if t, err = DecodeTree(plain); err != nil {
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	if errors.Is(err, ErrDamaged) {
		p.Damaged++
		return nil
	}
	if err != nil {
		return err
	}
	tree := RecoveredTree{ID: id, Entries: len(t.Nodes)}
	for _, n := range t.Nodes {
		if n.Type == TypeDir && n.Subtree != nil {
			below[*n.Subtree] = true
		}
	}
	if n := only(t); n != nil {
		tree.Name, tree.Time = n.Name, n.ModTime
	}
	found[id] = tree
	return nil
}

// only is the one folder of the tree that a snapshot of it would have at its
// root.
func only(t *Tree) *Node {
	if len(t.Nodes) != 1 {
		return nil
	}
	n := t.Nodes[0]
	if n.Type != TypeDir || n.Subtree == nil || n.ModTime.IsZero() || !fs.ValidPath(n.Name) || strings.Contains(n.Name, "/") || n.Name == "." ||
		strings.HasPrefix(n.Name, statePrefix) {
		return nil
	}
	return n
}

// RecoverResult is what a recovery did.
type RecoverResult struct {
	Saved []chunk.ID // new snapshots
}

// Apply saves the snapshots: one for each tree that looks like one, and one that
// holds all other trees under their ids.
func (p *RecoverPlan) Apply(ctx context.Context) (RecoverResult, error) {
	var res RecoverResult
	if p.Empty() {
		return res, nil
	}
	if err := p.apply(ctx, &res); err != nil {
		return res, fmt.Errorf("recover: %w", err)
	}
	return res, nil
}

func (p *RecoverPlan) apply(ctx context.Context, res *RecoverResult) error {
	if err := confirmLock(ctx); err != nil {
		return err
	}
	others := new(Tree)
	now := p.opt.Owner.Time
	if err := p.r.saveTrees(ctx, p.mends); err != nil {
		return err
	}
	for _, t := range p.Trees {
		if t.Name != "" {
			s := p.snapshot(t.tree, t.Time, "/"+t.Name)
			id, err := p.r.saveReadBack(ctx, s)
			if err != nil {
				return err
			}
			res.Saved = append(res.Saved, id)
			continue
		}
		others.Nodes = append(others.Nodes, &Node{
			Name: t.ID.String(), Type: TypeDir, Mode: uint32(fs.ModeDir | 0o755),
			ModTime: now, AccessTime: now, ChangeTime: now, Subtree: &t.tree,
		})
	}
	if len(others.Nodes) == 0 {
		return nil
	}
	others.Sort()
	plain := others.Append(nil)
	tree := chunk.Sum(plain)
	if err := p.r.saveTrees(ctx, map[chunk.ID][]byte{tree: plain}); err != nil {
		return err
	}
	id, err := p.r.saveReadBack(ctx, p.snapshot(tree, now, recoveredPath+now.UTC().Format("20060102-150405")))
	if err == nil {
		res.Saved = append(res.Saved, id)
	}
	return err
}

func (p *RecoverPlan) snapshot(tree chunk.ID, at time.Time, path string) *Snapshot {
	return &Snapshot{
		Time: at, Tree: &tree, Paths: []string{path}, Hostname: p.opt.Owner.Hostname, Username: p.opt.Owner.Username,
		Tags: []string{TagRecovered}, ProgramVersion: p.opt.Version,
	}
}
