package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"russet/backend"
	"russet/chunk"
	"russet/index"
)

// PruneOptions say how thorough a prune is.
type PruneOptions struct {
	// MaxUnused is how much that nothing needs may stay in packs that hold
	// something needed: a number of bytes, or a share of what is left. The
	// default is 5 %.
	MaxUnused Limit
	// MaxRepack is the most bytes of packs that are copied; by default all that
	// are worth it. With 0 bytes only whole packs are deleted, which needs no
	// space.
	MaxRepack Limit
	// Keep yields blobs that are needed though no snapshot leads to them, as of a
	// run that is not complete. Those that the repository does not have are
	// ignored. It may be nil.
	Keep iter.Seq2[index.Handle, error]
	// NoSnapshots: where there are no snapshots, that is meant, and all that they
	// led to may go.
	NoSnapshots bool
	Progress    *Progress
}

// PackCount is a number of packs and the bytes of their files.
type PackCount struct {
	Packs int
	Bytes int64
}

func (c *PackCount) add(bytes int64) {
	c.Packs++
	c.Bytes += bytes
}

// PrunePlan is what a prune will do, of a repository that nobody changes in
// between. Sizes are bytes.
type PrunePlan struct {
	Keep         PackCount // packs that stay as they are
	Repack       PackCount // packs of which a part is copied, and that are then deleted
	Late         PackCount // packs that stay only because there is no space for what of them is needed; the next prune may have it
	Delete       PackCount // packs in which nothing is needed
	Unreferenced PackCount // packs that no index names, left by runs that were cut off; they are deleted
	Gone         int       // packs that the index names and that are not there; nothing needs them
	Copied       int64     // of the packs that are copied, what is needed
	Unused       int64     // what is not needed and stays
	UsedBlobs    int
	UnusedBlobs  int // without the other copies of used ones
	Duplicates   int // further copies of used blobs
	IndexFiles   int // how many there are

	r            *Repository
	progress     *Progress
	index        *index.Index
	files        []chunk.ID // index files
	snapshots    []chunk.ID // all of them
	unreferenced []packFile
	fates        []fate      // by the number of the pack
	used         index.Marks // copies: of each used blob that which Lookup found
	chosen       index.Marks // copies: of each used blob that which is kept
	usable       func(pack int) bool
	mergeIndex   bool // there are many small index files
}

// Frees is by how many bytes the packs become less.
func (p *PrunePlan) Frees() int64 {
	return p.Delete.Bytes + p.Unreferenced.Bytes + p.Repack.Bytes - p.Copied
}

// Empty tells whether there is nothing to do.
func (p *PrunePlan) Empty() bool {
	return p.Repack.Packs+p.Delete.Packs+p.Unreferenced.Packs+p.Gone == 0 && !p.mergeIndex
}

// String gives the plan in a few lines.
func (p *PrunePlan) String() string {
	var b strings.Builder
	line := func(verb string, c PackCount, format string, args ...any) {
		if c.Packs > 0 {
			fmt.Fprintf(&b, "%-7s %6d packs %10s%s\n", verb, c.Packs, sizeText(c.Bytes), fmt.Sprintf(format, args...))
		}
	}
	line("keep", p.Keep, ", of which %s are not needed", sizeText(p.Unused))
	line("repack", p.Repack, ", of which %s are needed and copied", sizeText(p.Copied))
	line("leave", p.Late, ": there is no space for copies of what is needed in them, until another prune")
	line("delete", p.Delete, ": nothing in them is needed")
	line("delete", p.Unreferenced, ": no index names them")
	if p.Gone > 0 {
		fmt.Fprintf(&b, "forget  %6d packs: they are gone, and nothing of them is needed\n", p.Gone)
	}
	if p.mergeIndex {
		fmt.Fprintf(&b, "merge   %6d index files\n", p.IndexFiles)
	}
	if p.Empty() {
		b.WriteString("there is nothing to do\n")
	} else {
		fmt.Fprintf(&b, "%s will be free\n", sizeText(p.Frees()))
	}
	return b.String()
}

// sizeText writes a number of bytes as people read it.
func sizeText(n int64) string {
	const unit = 1024
	if n > -unit && n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f, prefix := float64(n), -1
	for (f >= unit-0.05 || f <= 0.05-unit) && prefix < 5 { // 1023.96 would print as 1024.0
		f /= unit
		prefix++
	}
	return fmt.Sprintf("%.1f %ciB", f, "KMGTPE"[prefix])
}

// PruneResult is what a prune did. Sizes are bytes.
type PruneResult struct {
	Deleted                  PackCount // files of packs
	Copied                   int64     // of blobs, into new packs
	IndexWritten, IndexTaken int       // files of the index that were written, and removed
	Temporary                int       // unfinished files of dead programs that were removed
}

// Apply carries the plan out, under the exclusive lock under which it was made.
// What is needed is copied, read back and named by index files before anything
// is deleted; then the index is written without what goes, read back as a whole
// and compared; then packs are deleted. Whatever fails or dies in between leaves
// a repository that is whole, and the next prune goes on from there. The
// repository's index is not loaded afterwards.
//
// Memory is 60 bytes for each copy of a blob, for the index, and a byte of marks;
// 100 bytes for each pack; 130 for each tree of the level that has most; and, while
// packs are copied, some 100 MB of those on their way, which is up to 200 MB with
// what the garbage collector has not returned.
func (p *PrunePlan) Apply(ctx context.Context) (PruneResult, error) {
	var res PruneResult
	err := p.apply(ctx, &res)
	if err != nil {
		return res, fmt.Errorf("prune: %w", err)
	}
	return res, nil
}

func (p *PrunePlan) apply(ctx context.Context, res *PruneResult) error {
	if err := p.unchanged(ctx); err != nil {
		return err
	}
	r := p.r
	r.index = p.index
	defer func() { r.index = index.New() }()
	var err error
	if res.Temporary, err = r.CleanTemporary(ctx); err != nil && ctx.Err() != nil {
		return err // else it is tried again by the next one
	}
	if !p.Empty() {
		if err := p.work(ctx, res); err != nil {
			return err
		}
	}
	if be, ok := r.place.(interface{ RestoreReserve(context.Context) error }); ok {
		_ = be.RestoreReserve(ctx) // a repository without one is a repository
	}
	return ctx.Err()
}

func (p *PrunePlan) work(ctx context.Context, res *PruneResult) error {
	if p.Repack.Packs > 0 {
		var err error
		if res.Copied, err = p.repack(ctx); err != nil {
			return err
		}
	}
	want := p.wanted()
	if err := p.complete(want); err != nil {
		return err
	}
	// Only now: a pack that no index names may hold the last good copy of what
	// could not be read.
	if err := p.deletePacks(ctx, p.unreferenced, res); err != nil {
		return err
	}
	p.progress.begin("writing the index", p.IndexFiles, 0)
	w := &indexRewrite{r: p.r, want: want, strict: true, done: func(n int) { p.progress.Add(int64(n), 0) }}
	err := w.run(ctx)
	res.IndexWritten, res.IndexTaken = w.wrote, w.removed
	if err != nil {
		return err
	}
	var doomed []packFile
	number := 0
	for id, size := range p.r.index.Packs() {
		if number < len(p.fates) && (p.fates[number] == fateRepack || p.fates[number] == fateDelete) {
			doomed = append(doomed, packFile{id, size})
		}
		number++
	}
	return p.deletePacks(ctx, doomed, res)
}

// unchanged looks whether the repository is still that of the plan.
func (p *PrunePlan) unchanged(ctx context.Context) error {
	if err := confirmLock(ctx); err != nil {
		return err
	}
	for _, k := range []struct {
		kind backend.Kind
		ids  []chunk.ID
	}{{backend.Snapshot, p.snapshots}, {backend.Index, p.files}} {
		if err := p.r.unchanged(ctx, k.kind, k.ids); err != nil {
			return err
		}
	}
	return nil
}

// wanted is the packs that stay and those that were added since, which have no
// fate.
func (p *PrunePlan) wanted() *index.Marks {
	want := new(index.Marks)
	for _, pack := range p.r.index.Described() {
		number, _ := p.r.index.PackNumber(pack.ID)
		if number >= len(p.fates) || p.fates[number] == fateKeep {
			want.Add(number)
		}
	}
	return want
}

// complete is the last look before anything is deleted: each used blob has a
// copy that stays.
func (p *PrunePlan) complete(want *index.Marks) error {
	var copies []index.Copy
	number := 0
	for loc := range p.r.index.Blobs() {
		if p.used.Has(number) {
			stays := false
			copies = p.r.index.AppendCopies(copies[:0], loc.Handle)
			for _, c := range copies {
				stays = stays || want.Has(c.Pack) && (c.Pack >= len(p.fates) || p.chosen.Has(c.Number))
			}
			if !stays {
				return fmt.Errorf("blob %v would be lost, so nothing was deleted", loc.ID)
			}
		}
		number++
	}
	return nil
}

const (
	// deletesAtOnce is how many files are deleted at the same time.
	deletesAtOnce = 8
	// deletesPerLook is how many packs are deleted between two looks at the lock.
	deletesPerLook = 256
)

// deletePacks deletes packs that no index file names. One that cannot be deleted
// does not keep the others: it is found by the next prune.
func (p *PrunePlan) deletePacks(ctx context.Context, packs []packFile, res *PruneResult) error {
	if len(packs) == 0 {
		return nil
	}
	p.progress.begin("deleting packs", len(packs), 0)
	var mu sync.Mutex // guards errs, res
	var errs []error
	for some := range slices.Chunk(packs, deletesPerLook) {
		if err := confirmLock(ctx); err != nil {
			return err
		}
		group, gctx := errgroup.WithContext(ctx)
		group.SetLimit(deletesAtOnce)
		for _, f := range some {
			group.Go(func() error {
				err := p.r.be.Remove(gctx, packName(f.id))
				p.progress.Add(1, 0)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					res.Deleted.add(f.size)
				} else if !errors.Is(err, fs.ErrNotExist) && len(errs) < maxErrors {
					errs = append(errs, err)
				}
				return gctx.Err()
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}

// maxErrors is how many errors of one kind are told.
const maxErrors = 10
