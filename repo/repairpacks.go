package repo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"russet/backend"
	"russet/chunk"
	"russet/index"
)

// RepairPacksOptions say which packs are looked into.
type RepairPacksOptions struct {
	Packs    []chunk.ID // these alone; without any, all that the index names
	Progress *Progress
	// Report, if not nil, is called for each damage as it is found, and last for
	// each file and folder that it costs, never concurrently.
	Report func(Problem)
}

// DamagedPack is what a repair makes of a pack. Counts are of blobs.
type DamagedPack struct {
	ID        chunk.ID
	Bytes     int64 // that it should have
	Gone      bool  // it is not there
	Save      int   // can be read, and will be copied
	Elsewhere int   // could not be read from it, and could from another pack, or when tried again
	Lost      int   // can be read nowhere
}

// RepairPacksPlan is what a repair will save from damaged packs. Sizes are bytes.
type RepairPacksPlan struct {
	Looked    int // packs that were read
	Packs     []DamagedPack
	SaveBytes int64 // stored form of what is copied
	Remove    int   // packs of which nothing is lost, so they are removed
	Leave     int   // packs of which something is: they stay, in no index, until a prune
	Affected  int   // files and folders of snapshots that miss something

	r        *Repository
	progress *Progress
	index    *index.Index // as it was when the plan was made
	files    []chunk.ID   // of the index
	save     map[chunk.ID][]index.Blob
}

// Empty tells whether there is nothing to do.
func (p *RepairPacksPlan) Empty() bool { return len(p.Packs) == 0 }

// maxLines is how many things of a kind a plan names.
const maxLines = 20

// String gives the plan in a few lines.
func (p *RepairPacksPlan) String() string {
	var b strings.Builder
	if p.Empty() {
		fmt.Fprintf(&b, "of %d packs none is damaged: there is nothing to do\n", p.Looked)
		return b.String()
	}
	fmt.Fprintf(&b, "%d packs are damaged\n", len(p.Packs))
	for i, d := range p.Packs {
		if i == maxLines {
			fmt.Fprintf(&b, "  and %d more\n", len(p.Packs)-i)
			break
		}
		fmt.Fprintf(&b, "  %.8s: ", d.ID.String())
		if d.Gone {
			b.WriteString("it is gone; ")
		}
		fmt.Fprintf(&b, "%d blobs can be saved, %d are lost, %d more could be read elsewhere\n", d.Save, d.Lost, d.Elsewhere)
	}
	fmt.Fprintf(&b, "write   %s of blobs that can be saved into new packs\n", sizeText(p.SaveBytes))
	b.WriteString("take    the damaged packs out of the index\n")
	if p.Remove > 0 {
		fmt.Fprintf(&b, "remove  %d packs: nothing of them is lost\n", p.Remove)
	}
	if p.Leave > 0 {
		fmt.Fprintf(&b, "leave   %d packs, of which something is lost, until a prune\n", p.Leave)
	}
	if p.Affected > 0 {
		fmt.Fprintf(&b, "%d files and folders of snapshots miss something\n", p.Affected)
	}
	return b.String()
}

// PlanRepairPacks reads packs, and finds out what of the damaged ones can be
// saved. What looks damaged is read a second time before it is believed. It
// changes nothing. The index is read anew, and must be readable. Where all packs
// are gone it is an error: that is a drive which is away.
//
// Hold an exclusive lock from before the plan to after Apply.
func (r *Repository) PlanRepairPacks(ctx context.Context, opt RepairPacksOptions) (*RepairPacksPlan, error) {
	p := &RepairPacksPlan{r: r, progress: opt.Progress, save: map[chunk.ID][]index.Blob{}}
	if err := whileAnswered(ctx, func(ctx context.Context) error { return p.plan(ctx, opt) }); err != nil {
		return nil, fmt.Errorf("plan repair of packs: %w", err)
	}
	return p, nil
}

func (p *RepairPacksPlan) plan(ctx context.Context, opt RepairPacksOptions) (err error) {
	ctx = backend.WithoutCache(ctx)
	copied := *p.r
	copied.index = index.New()
	damaged := map[chunk.ID]bool{}
	c := &checker{r: &copied, broken: map[chunk.ID]brokenPack{}, lost: map[index.Handle]error{}}
	c.opt.Progress = opt.Progress
	c.opt.Report = func(found Problem) {
		switch found.Kind {
		case PackMissing, PackSize, PackDamaged, BlobDamaged:
			id, _ := chunk.ParseID(found.File.Name)
			damaged[id] = true
		}
		if opt.Report != nil && !found.Kind.Note() {
			opt.Report(found)
		}
	}
	ids, err := p.r.listIDs(ctx, backend.Snapshot)
	if err != nil {
		return err
	}
	if p.files, err = p.r.listIDs(ctx, backend.Index); err != nil {
		return err
	}
	if err := c.indexes(ctx); err != nil {
		return err
	}
	if c.res.Errors > 0 {
		return fmt.Errorf("an index file must be repaired before packs can be: %w", cmp.Or(c.first, ErrDamaged))
	}
	if err := copied.packsThere(ctx); err != nil {
		return err
	}
	if err := c.packs(ctx); err != nil {
		return err
	}
	if err := c.only(opt.Packs, damaged); err != nil {
		return err
	}
	if err := c.readPacks(ctx, c.present); err != nil {
		return err
	}
	p.Looked, p.index = len(c.present)+len(damaged), copied.index
	if err := p.examine(ctx, c, damaged); err != nil {
		return err
	}
	snaps, err := c.snapshots(ctx, ids)
	if err != nil {
		return err
	}
	err = c.locate(ctx, snaps)
	p.Affected = c.res.Affected
	return err
}

// only leaves out all packs but the wanted ones.
func (c *checker) only(wanted []chunk.ID, damaged map[chunk.ID]bool) error {
	if len(wanted) == 0 {
		return nil
	}
	keep := map[chunk.ID]bool{}
	for _, id := range wanted {
		if !c.r.index.HasPack(id) {
			return fmt.Errorf("no index file names pack %v", id)
		}
		keep[id] = true
	}
	c.present = slices.DeleteFunc(c.present, func(f packFile) bool { return !keep[f.id] })
	for id := range c.broken {
		if !keep[id] {
			delete(c.broken, id)
			delete(damaged, id)
		}
	}
	return nil
}

// examine looks into the packs in which something was wrong, blob by blob.
func (p *RepairPacksPlan) examine(ctx context.Context, c *checker, damaged map[chunk.ID]bool) error {
	ids := slices.SortedFunc(maps.Keys(c.broken), chunk.ID.Compare)
	c.phase("examining damage", len(ids), 0)
	reader := newPackReader(c)
	for some := range slices.Chunk(ids, examineAtOnce) {
		blobs := c.blobsOf(some)
		for _, id := range some {
			bad := c.examine(ctx, reader, id, blobs[id])
			if ctx.Err() != nil {
				return ctx.Err()
			}
			for _, err := range bad {
				if !errors.Is(err, ErrDamaged) && !answers(ctx, p.r.be) {
					return fmt.Errorf("read pack %.8s: %w", id.String(), err)
				}
			}
			c.done(1, 0)
			if damaged[id] {
				p.add(ctx, c, id, blobs[id], bad)
			}
		}
	}
	return nil
}

// add notes what becomes of a damaged pack.
func (p *RepairPacksPlan) add(ctx context.Context, c *checker, id chunk.ID, blobs []index.Blob, bad map[index.Handle]error) {
	d := DamagedPack{ID: id, Bytes: c.broken[id].size, Gone: c.broken[id].state == gone}
	for _, b := range blobs {
		err, isBad := bad[b.Handle]
		if isBad {
			if _, again := c.r.Load(ctx, b.Handle, nil); again != nil {
				d.Lost++
				c.lose(b.Handle, err)
				continue
			}
		}
		// Where it was read from, another pack or this one the next time, does not
		// matter: saving it anew costs nothing where a whole copy lies elsewhere.
		p.save[id] = append(p.save[id], b)
		if isBad {
			d.Elsewhere++
			continue
		}
		d.Save++
		p.SaveBytes += int64(b.Length)
	}
	switch {
	case d.Gone:
	case d.Lost > 0:
		p.Leave++
	default:
		p.Remove++
	}
	p.Packs = append(p.Packs, d)
}

// RepairPacksResult is what a repair of packs did.
type RepairPacksResult struct {
	Saved      int   // blobs that had no other copy
	SavedBytes int64 // stored form of those
	Removed    int   // packs
}

// Apply saves what can be saved: first all blobs that can be read lie in new
// packs, which were read back; then the index forgets the damaged ones; last
// those of which nothing is lost are removed. The repository is valid at every
// instant, and a repair that is cut off is done again.
func (p *RepairPacksPlan) Apply(ctx context.Context) (RepairPacksResult, error) {
	var res RepairPacksResult
	if p.Empty() {
		return res, nil
	}
	if err := p.apply(ctx, &res); err != nil {
		return res, fmt.Errorf("repair packs: %w", err)
	}
	return res, nil
}

func (p *RepairPacksPlan) apply(ctx context.Context, res *RepairPacksResult) error {
	if err := confirmLock(ctx); err != nil {
		return err
	}
	if err := p.r.unchanged(ctx, backend.Index, p.files); err != nil {
		return err
	}
	damaged := map[chunk.ID]bool{}
	for _, d := range p.Packs {
		damaged[d.ID] = true
	}
	old := *p.r // reads the damaged packs
	old.index = p.index
	p.r.index = without(p.index, damaged)
	if err := p.copySaved(ctx, &old, res); err != nil {
		return err
	}
	all, want := *p.r, new(index.Marks)
	all.index = index.New() // the damaged packs are known to it, and not wanted
	for _, x := range []*index.Index{p.index, p.r.index} {
		for _, pack := range x.Described() {
			all.index.Add(pack)
			if number, _ := all.index.PackNumber(pack.ID); !damaged[pack.ID] {
				want.Add(number)
			}
		}
	}
	p.progress.begin("writing the index", len(p.files), 0)
	w := &indexRewrite{r: &all, want: want, strict: true, done: func(n int) { p.progress.Add(int64(n), 0) }}
	if err := w.run(ctx); err != nil {
		return err
	}
	return p.remove(ctx, res)
}

// copySaved copies what can be saved into new packs.
func (p *RepairPacksPlan) copySaved(ctx context.Context, old *Repository, res *RepairPacksResult) error {
	p.progress.begin("saving", len(p.save), p.SaveBytes)
	w := p.r.NewWriter(ctx)
	w.proof = p.r.readBack
	w.Distrust() // a copy that seems to be there must be whole
	defer w.Close()
	for _, d := range p.Packs {
		for _, b := range p.save[d.ID] {
			plain, err := old.loadCopy(ctx, index.Location{Pack: d.ID, Blob: b}, nil)
			if err != nil && ctx.Err() == nil {
				plain, err = old.Load(ctx, b.Handle, nil)
			}
			var saved Saved
			if err == nil {
				saved, err = w.Save(ctx, b.Type, plain)
			}
			if err != nil {
				return fmt.Errorf("save blob %.8s of pack %.8s: %w; nothing was removed", b.ID.String(), d.ID.String(), err)
			}
			if saved.New {
				res.Saved++
				res.SavedBytes += int64(saved.Stored)
			}
			p.progress.Add(0, int64(b.Length))
		}
		p.progress.Add(1, 0)
	}
	if err := w.Flush(ctx); err != nil {
		return fmt.Errorf("%w; nothing was removed", err)
	}
	for _, d := range p.Packs {
		for _, b := range p.save[d.ID] {
			if !p.r.index.Has(b.Handle) {
				return fmt.Errorf("blob %v would be lost, so nothing was removed", b.ID)
			}
		}
	}
	return nil
}

// remove removes the packs of which nothing is lost.
func (p *RepairPacksPlan) remove(ctx context.Context, res *RepairPacksResult) error {
	p.progress.begin("removing packs", p.Remove, 0)
	for _, d := range p.Packs {
		if d.Gone || d.Lost > 0 {
			continue
		}
		if err := confirmLock(ctx); err != nil {
			return err
		}
		if err := p.r.be.Remove(ctx, packName(d.ID)); err != nil {
			return err
		}
		res.Removed++
		p.progress.Add(1, 0)
	}
	return nil
}
