package repo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"russet/backend"
	"russet/chunk"
	"russet/index"
)

// RepairIndexOptions say how much is believed of the index that is there.
type RepairIndexOptions struct {
	// ReadAllPacks has the header of every pack read, also of those that the
	// index describes with the right length.
	ReadAllPacks bool
	Progress     *Progress
}

// RepairIndexPlan is what a repair will make of the index.
type RepairIndexPlan struct {
	Packs      PackCount // that the new index describes
	Added      PackCount // of these, packs that no index file describes now
	Changed    PackCount // of these, packs that are described wrongly, or in two ways
	Gone       int       // packs that the index describes and that are not there: they are left out
	Hurt       int       // of the added ones, packs that are damaged, and hold what can be read nowhere else
	Damaged    PackCount // packs without a header that can be read: what the index says of them, if anything, stays
	Useless    PackCount // damaged packs that no index file describes, and that hold nothing of this kind: they stay so
	Unreadable int       // index files that cannot be read: they are removed
	Twice      int       // packs that several index files describe

	r        *Repository
	progress *Progress
	files    []chunk.ID   // index files
	index    *index.Index // as it will be
}

// Empty tells whether there is nothing to do.
func (p *RepairIndexPlan) Empty() bool {
	return p.Added.Packs+p.Changed.Packs+p.Gone+p.Unreadable+p.Twice == 0
}

// String gives the plan in a few lines.
func (p *RepairIndexPlan) String() string {
	var b strings.Builder
	line := func(verb string, n int, size string, why string) {
		if n > 0 {
			fmt.Fprintf(&b, "%-7s %6d %s\n", verb, n, strings.TrimSpace("packs "+size)+": "+why)
		}
	}
	if p.Unreadable > 0 {
		fmt.Fprintf(&b, "remove  %6d index files: they cannot be read\n", p.Unreadable)
	}
	line("add", p.Added.Packs, sizeText(p.Added.Bytes), "no index names them")
	if p.Hurt > 0 {
		fmt.Fprintf(&b, "of these %d are damaged, and hold what no other pack does: packs are to be repaired next\n", p.Hurt)
	}
	line("mend", p.Changed.Packs, sizeText(p.Changed.Bytes), "the index describes them wrongly")
	line("forget", p.Gone, "", "they are gone")
	line("merge", p.Twice, "", "several index files describe them")
	line("leave", p.Damaged.Packs, sizeText(p.Damaged.Bytes), "what they hold does not say what it is")
	line("leave", p.Useless.Packs, sizeText(p.Useless.Bytes), "they are damaged, and all that can be read of them lies elsewhere")
	if p.Empty() {
		b.WriteString("there is nothing to do\n")
	}
	return b.String()
}

// PlanRepairIndex compares the index with the packs that are there, and reads
// those that it does not describe to their ends: a repair of packs leaves damaged
// ones in no index, and they must not come back. Of others whose length is not
// that of the index it reads the headers. It changes nothing. Where nothing would
// be left in an index that names packs it is an error: they are on a drive which
// is away. Memory is 120 bytes for each copy of a blob.
//
// Hold an exclusive lock from before the plan to after Apply.
func (r *Repository) PlanRepairIndex(ctx context.Context, opt RepairIndexOptions) (*RepairIndexPlan, error) {
	p := &indexPlanner{
		RepairIndexPlan: &RepairIndexPlan{r: r, progress: opt.Progress, index: index.New()},
		opt:             opt, old: index.New(),
	}
	if err := whileAnswered(ctx, p.run); err != nil {
		return nil, fmt.Errorf("plan repair of the index: %w", err)
	}
	return p.RepairIndexPlan, nil
}

// indexPlanner makes one plan.
type indexPlanner struct {
	*RepairIndexPlan
	opt       RepairIndexOptions
	old       *index.Index
	conflicts map[chunk.ID]bool // packs that index files describe in two ways

	mu      sync.Mutex // guards what follows and the counts of the plan
	damaged map[chunk.ID]bool
	doubted []doubtedPack
}

// doubtedPack is a damaged pack that no index file describes.
type doubtedPack struct {
	index.Pack
	size int64
}

func (p *indexPlanner) run(ctx context.Context) (err error) {
	ctx = backend.WithoutCache(ctx)
	if p.files, err = p.r.listIDs(ctx, backend.Index); err != nil {
		return err
	}
	p.progress.begin("reading the index", len(p.files), 0)
	files, err := p.r.readIndexFiles(ctx, p.files, p.old.Add)
	if err != nil {
		return err
	}
	described := 0
	for _, f := range files {
		described += f.packs
		if f.err != nil {
			p.Unreadable++
		}
	}
	sizes := map[chunk.ID]int64{}
	for f, err := range p.r.packFiles(ctx) {
		if err != nil {
			return err
		}
		sizes[f.id] = f.size
	}
	p.conflicts = map[chunk.ID]bool{}
	for _, id := range p.old.Conflicts() {
		p.conflicts[id] = true
	}
	trusted := map[chunk.ID]bool{}
	for id, size := range p.old.Packs() {
		described--
		have, here := sizes[id]
		if !here {
			p.Gone++
		} else if have == size && !p.conflicts[id] && !p.opt.ReadAllPacks {
			trusted[id] = true
			p.Packs.add(size)
		}
	}
	p.Twice = max(described-len(p.conflicts), 0)
	if err := p.readPacks(ctx, sizes, trusted); err != nil {
		return err
	}
	// A damaged pack, as one that was cut short, keeps its description: without
	// it nobody could save what is left in it.
	for _, pack := range p.old.Described() {
		if trusted[pack.ID] || p.damaged[pack.ID] && !p.conflicts[pack.ID] {
			p.index.Add(pack)
		}
	}
	if err := p.settle(ctx); err != nil {
		return err
	}
	if p.Gone == 0 || len(p.damaged) > 0 {
		return nil
	}
	for range p.index.Packs() {
		return nil
	}
	return packsAway(p.old)
}

// readPacks reads all packs but the trusted ones, with a worker a core or connection.
func (p *indexPlanner) readPacks(ctx context.Context, sizes map[chunk.ID]int64, trusted map[chunk.ID]bool) error {
	p.damaged = map[chunk.ID]bool{}
	var bytes int64
	for id, size := range sizes {
		if !p.old.HasPack(id) {
			bytes += size
		}
	}
	p.progress.begin("reading packs", len(sizes)-len(trusted), bytes)
	queue := make(chan packFile)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(queue)
		for id, size := range sizes {
			if trusted[id] {
				continue
			}
			select {
			case queue <- packFile{id, size}:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for range p.r.readers() {
		group.Go(func() error {
			reader := newPackReader(&checker{r: p.r, opt: CheckOptions{Progress: p.opt.Progress}})
			for f := range queue {
				if err := p.readPack(ctx, reader, f); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// readPack takes what the header of a pack lists, after all of the pack was read
// where nobody has described it. The error is not one of the pack.
func (p *indexPlanner) readPack(ctx context.Context, reader *packReader, f packFile) error {
	known := p.old.HasPack(f.id)
	var blobs []index.Blob
	var header, contents error // what is wrong with them
	for range 2 {              // a transient fault of the path here is not damage there
		var start int64
		if blobs, start, header = reader.readHeader(ctx, f); header == nil && end(blobs) != start {
			header = blobsEnd(blobs, start)
		}
		if header == nil && !known {
			contents = reader.contents(ctx, f, blobs, start)
		}
		if header == nil && contents == nil {
			break
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if err := cmp.Or(header, contents); err != nil && !errors.Is(err, ErrDamaged) && !answers(ctx, p.r.be) {
		return fmt.Errorf("read pack %.8s: %w", f.id.String(), err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.progress.Add(1, 0)
	pack := index.Pack{ID: f.id, Blobs: blobs}
	switch {
	case header != nil:
		p.damaged[f.id] = true
		p.Damaged.add(f.size)
		return nil
	case contents != nil:
		p.doubted = append(p.doubted, doubtedPack{pack, f.size})
		return nil
	case !known:
		p.Added.add(f.size)
	case !p.old.Describes(pack) || p.conflicts[f.id]:
		p.Changed.add(f.size)
	}
	p.Packs.add(f.size)
	p.index.Add(pack)
	return nil
}

// settle decides about damaged packs that nobody describes. One that holds what
// can be read nowhere else is taken, so that a repair of packs can save that. One
// of which such a repair has saved what there was is not.
func (p *indexPlanner) settle(ctx context.Context) error {
	slices.SortFunc(p.doubted, func(a, b doubtedPack) int { return a.ID.Compare(b.ID) })
	others := *p.r
	others.index = p.index
	reader := newPackReader(&checker{r: p.r})
	for _, d := range p.doubted {
		needed := slices.ContainsFunc(d.Blobs, func(b index.Blob) bool {
			if reader.blob(ctx, d.ID, d.size, b) != nil {
				return false
			}
			_, err := others.Load(ctx, b.Handle, nil)
			return err != nil
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !needed {
			p.Useless.add(d.size)
			continue
		}
		p.Hurt++
		p.Added.add(d.size)
		p.Packs.add(d.size)
		p.index.Add(d.Pack)
	}
	return nil
}

// RepairIndexResult is what a repair did.
type RepairIndexResult struct {
	IndexWritten, IndexTaken int // files of the index that were written, and removed
}

// Apply writes the index as planned, under the exclusive lock under which the
// plan was made. Old index files are removed after what they say, as far as it is
// right, stands in new ones that were read back. The repository's index is not
// loaded afterwards.
func (p *RepairIndexPlan) Apply(ctx context.Context) (res RepairIndexResult, err error) {
	if p.Empty() {
		return res, nil
	}
	if err := p.r.unchanged(ctx, backend.Index, p.files); err != nil {
		return res, fmt.Errorf("repair index: %w", err)
	}
	p.r.index = p.index
	defer func() { p.r.index = index.New() }()
	want := new(index.Marks)
	for _, pack := range p.index.Described() {
		number, _ := p.index.PackNumber(pack.ID)
		want.Add(number)
	}
	p.progress.begin("writing the index", len(p.files), 0)
	w := &indexRewrite{r: p.r, want: want, done: func(n int) { p.progress.Add(int64(n), 0) }}
	err = w.run(ctx)
	res.IndexWritten, res.IndexTaken = w.wrote, w.removed
	if err != nil {
		return res, fmt.Errorf("repair index: %w", err)
	}
	return res, nil
}
