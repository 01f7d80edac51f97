package repo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"sync"

	"golang.org/x/sync/errgroup"

	"russet/backend"
	"russet/chunk"
	"russet/index"
)

// PlanPrune finds out what nothing needs, and decides what becomes of it. It
// changes nothing. All snapshots, all their trees, and all index files must be
// readable, and every pack that is needed must be there, with the length that the
// index gives it; else the error wraps ErrDamaged. Where there is no snapshot, but
// was one, it is a *NoSnapshotsError. Of a blob that several packs hold one
// copy is read, and only one that opens is relied upon.
//
// Hold an exclusive lock from before the plan to after Apply.
func (r *Repository) PlanPrune(ctx context.Context, opt PruneOptions) (*PrunePlan, error) {
	copied := *r
	copied.index = index.New()
	p := &planner{
		PrunePlan: &PrunePlan{r: r, progress: opt.Progress, index: copied.index},
		r:         &copied, opt: opt,
	}
	if err := p.run(ctx); err != nil {
		return nil, fmt.Errorf("plan prune: %w", err)
	}
	return p.PrunePlan, nil
}

// planner makes one plan.
type planner struct {
	*PrunePlan
	r    *Repository // a copy, with the index of the plan
	opt  PruneOptions
	pack []packUse // by the number of the pack

	multi index.Marks // copies found by Lookup, of used blobs of which there are others
	proof index.Marks // chosen copies that must be read, as others are given up for them
	bad   index.Marks // copies that cannot be read

	mu sync.Mutex // guards used and fail while trees are loaded, bad while copies are
	// fail is the first thing that makes a prune impossible.
	fail error
}

func (p *planner) run(ctx context.Context) error {
	// Snapshots before the index, as always.
	roots, err := p.loadSnapshots(ctx)
	if err != nil {
		return err
	}
	if err := p.loadIndex(ctx); err != nil {
		return err
	}
	if err := p.listPacks(ctx); err != nil {
		return err
	}
	if err := p.confirmEmpty(); err != nil {
		return err
	}
	if err := p.markUsed(ctx, roots); err != nil {
		return err
	}
	if err := p.choose(ctx); err != nil {
		return err
	}
	p.count()
	p.fates, p.Late = selectPacks(p.pack, p.opt.MaxUnused, p.opt.MaxRepack, p.space(ctx))
	p.sum()
	return ctx.Err()
}

// space is how many bytes of copies the place has room for, as far as it can
// tell. The reserve is not for them.
func (p *planner) space(ctx context.Context) int64 {
	be, ok := p.r.place.(interface {
		Free(ctx context.Context) (int64, error)
	})
	if !ok {
		return math.MaxInt64
	}
	free, err := be.Free(ctx)
	if err != nil {
		return math.MaxInt64
	}
	return max(free-spareSpace, 0)
}

func (p *planner) loadSnapshots(ctx context.Context) (roots []chunk.ID, err error) {
	if p.snapshots, err = p.r.listIDs(ctx, backend.Snapshot); err != nil {
		return nil, err
	}
	p.progress.begin("reading snapshots", len(p.snapshots), 0)
	trees := make([]chunk.ID, len(p.snapshots))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(p.r.readers())
	for i, id := range p.snapshots {
		group.Go(func() error {
			s, err := p.r.LoadSnapshot(ctx, id)
			if err != nil {
				return err
			}
			trees[i] = *s.Tree
			p.progress.Add(1, 0)
			return nil
		})
	}
	return trees, group.Wait()
}

func (p *planner) loadIndex(ctx context.Context) (err error) {
	if p.files, err = p.r.listIDs(ctx, backend.Index); err != nil {
		return err
	}
	p.IndexFiles = len(p.files)
	p.progress.begin("reading the index", len(p.files), 0)
	files, err := p.r.readIndexFiles(ctx, p.files, p.index.Add)
	if err != nil {
		return err
	}
	small := 0
	for _, f := range files {
		if f.err != nil {
			return f.err
		}
		if f.blobs < smallIndex {
			small++
		}
	}
	p.mergeIndex = small >= manySmall
	if bad := p.index.Conflicts(); len(bad) > 0 {
		return fmt.Errorf("%w: index files describe pack %.8s in different ways", ErrDamaged, bad[0].String())
	}
	return nil
}

// listPacks compares the packs that are there with those of the index.
func (p *planner) listPacks(ctx context.Context) error {
	p.progress.begin("looking for packs", 0, 0)
	for id, size := range p.index.Packs() {
		p.pack = append(p.pack, packUse{id: id, size: size, state: packGone})
	}
	for f, err := range p.r.packFiles(ctx) {
		if err != nil {
			return err
		}
		number, known := p.index.PackNumber(f.id)
		switch {
		case !known:
			p.unreferenced = append(p.unreferenced, f)
			p.Unreferenced.add(f.size)
		case f.size != p.pack[number].size:
			p.pack[number].state = packResized
			p.pack[number].size = f.size
		default:
			p.pack[number].state = packHere
		}
	}
	p.usable = func(pack int) bool { return p.pack[pack].state == packHere }
	return nil
}

// NoSnapshotsError says that a prune would delete all content, since there is no
// snapshot that needs any: somebody has forgotten them all, or they were lost.
type NoSnapshotsError struct {
	Trees int // folders that the index names; 0 where there are packs and no index
}

// Error says it in words.
func (e *NoSnapshotsError) Error() string {
	if e.Trees == 0 {
		return "there are packs, and neither snapshots nor an index"
	}
	return fmt.Sprintf("there is no snapshot, and the index names %d folders that snapshots led to", e.Trees)
}

// confirmEmpty refuses what may be the loss of all snapshots.
func (p *planner) confirmEmpty() error {
	if len(p.snapshots) > 0 || p.opt.NoSnapshots {
		return nil
	}
	if trees := countTrees(p.index); trees > 0 || p.IndexFiles == 0 && len(p.unreferenced) > 0 {
		return &NoSnapshotsError{trees}
	}
	return nil
}

// markUsed marks everything that snapshots lead to, each tree once.
func (p *planner) markUsed(ctx context.Context, roots []chunk.ID) error {
	p.progress.begin("finding what is needed", 0, 0)
	var level []chunk.ID
	for _, id := range roots {
		h := index.Handle{ID: id, Type: index.Tree}
		if p.mark(h, p.number(h)) {
			level = append(level, id)
		}
	}
	levels := newTreeLevels(p.r)
	for depth := 0; len(level) > 0 && p.fail == nil; depth++ {
		if depth > maxTreeDepth {
			return fmt.Errorf("%w: trees are nested deeper than %d", ErrDamaged, maxTreeDepth)
		}
		below, err := levels.scan(ctx, level, p.tree)
		if err != nil {
			return err
		}
		level = below
	}
	if p.fail != nil {
		return p.fail
	}
	if p.opt.Keep == nil {
		return nil
	}
	for h, err := range p.opt.Keep {
		if err != nil {
			return err
		}
		if number, known := p.index.Number(h); known {
			p.used.Add(number)
		}
	}
	return nil
}

// tree marks what one tree leads to, and returns the trees right below that are
// new.
func (p *planner) tree(h index.Handle, found []index.Handle, err error) (below []chunk.ID) {
	p.progress.Add(1, 0)
	if err != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.fail = cmp.Or(p.fail, fmt.Errorf("read tree %.8s: %w", h.ID.String(), err))
		return nil
	}
	numbers := make([]int, len(found)) // outside of the lock: most of the time goes here
	for i, h := range found {
		numbers[i] = p.number(h)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, h := range found {
		if p.mark(h, numbers[i]) && h.Type == index.Tree {
			below = append(below, h.ID)
		}
	}
	return below
}

// number is that of the copy of a blob that Lookup finds, or -1.
func (p *planner) number(h index.Handle) int {
	if number, known := p.index.Number(h); known {
		return number
	}
	return -1
}

// mark marks a blob as used and reports whether that is new.
func (p *planner) mark(h index.Handle, number int) bool {
	if number < 0 {
		p.fail = cmp.Or(p.fail, fmt.Errorf("%v %v: %w: it is needed and in no index", h.Type, h.ID, ErrDamaged))
		return false
	}
	return p.used.Add(number)
}

// choose decides which copy of each used blob is kept.
func (p *planner) choose(ctx context.Context) error {
	p.weigh()
	var copies []index.Copy
	for number := range p.index.Len() {
		if !p.used.Has(number) {
			continue
		}
		if !p.multi.Has(number) {
			loc := p.index.At(number)
			if n, _ := p.index.PackNumber(loc.Pack); !p.usable(n) {
				return p.lost(loc.Handle)
			}
			p.chosen.Add(number)
			continue
		}
		if err := p.chooseCopy(number, &copies); err != nil {
			return err
		}
	}
	return p.prove(ctx)
}

// weigh notes of which used blobs there are several copies, and what of each
// pack is needed by itself and what is not needed at all.
func (p *planner) weigh() {
	for first, pack := range p.index.Described() {
		k, _ := p.index.PackNumber(pack.ID)
		use := &p.pack[k]
		for i, b := range pack.Blobs {
			number, _ := p.index.Number(b.Handle)
			switch {
			case !p.used.Has(number):
				use.unused += stored(b)
			case number != first+i:
				p.multi.Add(number)
			default:
				use.used += stored(b)
			}
		}
	}
}

// stored is how much longer a blob makes its pack.
func stored(b index.Blob) int64 {
	if b.RawLength > 0 {
		return int64(b.Length) + int64(entryCompressedSize)
	}
	return int64(b.Length) + int64(entrySize)
}

// chooseCopy chooses among several copies of a used blob: of those that are there
// and not known to be bad, the one in the pack with the smallest unused share.
// After a prune that was cut off those are the new packs, so that it goes on;
// else they are the packs that would stay anyway.
func (p *planner) chooseCopy(number int, copies *[]index.Copy) error {
	h := p.index.At(number).Handle
	*copies = p.index.AppendCopies((*copies)[:0], h)
	best, present := -1, 0
	for i, c := range *copies {
		if p.pack[c.Pack].state != packGone {
			present++
		}
		if !p.usable(c.Pack) || p.bad.Has(c.Number) {
			continue
		}
		if best < 0 || p.betterPack(c.Pack, (*copies)[best].Pack) {
			best = i
		}
	}
	if best < 0 {
		return p.lost(h)
	}
	p.chosen.Add((*copies)[best].Number)
	if present > 1 {
		p.proof.Add((*copies)[best].Number)
	}
	return nil
}

func (p *planner) betterPack(a, b int) bool {
	x, y := &p.pack[a], &p.pack[b]
	return cmp.Or(
		cmp.Compare(float64(x.unused)*float64(y.size), float64(y.unused)*float64(x.size)),
		cmp.Compare(y.used, x.used),
		cmp.Compare(y.size, x.size),
		x.id.Compare(y.id),
	) < 0
}

// lost says why no copy of a used blob will do.
func (p *planner) lost(h index.Handle) error {
	for _, c := range p.index.AppendCopies(nil, h) {
		id := p.pack[c.Pack].id.String()
		switch p.pack[c.Pack].state {
		case packGone:
			return fmt.Errorf("pack %.8s: %w: it is needed and gone", id, ErrDamaged)
		case packResized:
			return fmt.Errorf("pack %.8s: %w: it is needed, and not as long as the index says", id, ErrDamaged)
		}
	}
	return fmt.Errorf("%v %v: %w: it is needed and cannot be read", h.Type, h.ID, ErrDamaged)
}

// prove reads the chosen copies of blobs of which others will be deleted: after
// damage and a backup that healed it, one is bad. Where one is, the next is
// chosen.
func (p *planner) prove(ctx context.Context) error {
	var copies []index.Copy
	for p.proof.Len() > 0 {
		before := p.bad.Len()
		if err := p.readProofs(ctx); err != nil {
			return err
		}
		p.proof = index.Marks{}
		if p.bad.Len() == before {
			return nil
		}
		for number := range p.index.Len() {
			if !p.bad.Has(number) || !p.chosen.Has(number) {
				continue
			}
			p.chosen.Drop(number)
			if err := p.chooseCopy(number, &copies); err != nil {
				return err
			}
		}
	}
	return nil
}

// readProofs reads the copies in p.proof and marks the bad ones.
func (p *planner) readProofs(ctx context.Context) error {
	p.progress.begin("comparing copies", p.proof.Len(), 0)
	wanted := func(_, number int) bool { return p.proof.Has(number) }
	return p.eachPack(ctx, wanted, func(ctx context.Context, s *sealedReader, some packBlobs) error {
		return s.read(ctx, some.id, some.blobs, func(b numbered, _ []byte, err error) error {
			p.progress.Add(1, 0)
			if err == nil {
				return nil
			}
			if !errors.Is(err, ErrDamaged) {
				return err
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			p.bad.Add(b.number)
			p.pack[some.pack].damaged = true
			return nil
		})
	})
}

// count fills in what of each pack is used, now that that is known.
func (p *planner) count() {
	for i := range p.pack {
		p.pack[i].used, p.pack[i].unused = 0, 0
	}
	for first, pack := range p.index.Described() {
		k, _ := p.index.PackNumber(pack.ID)
		use := &p.pack[k]
		for i, b := range pack.Blobs {
			use.trees = use.trees || b.Type == index.Tree
			use.data = use.data || b.Type == index.Data
			if p.chosen.Has(first + i) {
				use.used += stored(b)
				use.usedBlobs++
				p.UsedBlobs++
				continue
			}
			use.unused += stored(b)
			use.unusedBlobs++
			if number, _ := p.index.Number(b.Handle); p.used.Has(number) {
				p.Duplicates++
			} else {
				p.UnusedBlobs++
			}
		}
	}
}

// sum adds up what becomes of packs.
func (p *planner) sum() {
	for i, f := range p.fates {
		use := p.pack[i]
		switch f {
		case fateKeep:
			p.Keep.add(use.size)
			p.PrunePlan.Unused += use.unused
		case fateRepack:
			p.Repack.add(use.size)
			p.Copied += use.used
		case fateDelete:
			p.Delete.add(use.size)
		case fateForget:
			p.Gone++
		}
	}
}
