package repo

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"russet/chunk"
	"russet/index"
)

// treesAtOnce is how many trees one worker loads in one go: neighbours in a
// pack come with one request.
const treesAtOnce = 128

// treeLevels loads many trees at once, with a worker a core: those of one level,
// then those right below. One level is loaded at a time.
type treeLevels struct {
	r        *Repository
	loaders  []*Loader
	scanners sync.Pool // of *treeScanner
}

func newTreeLevels(r *Repository) *treeLevels {
	l := &treeLevels{r: r, loaders: make([]*Loader, r.readers())}
	for i := range l.loaders {
		l.loaders[i] = r.NewLoader()
	}
	return l
}

// load calls visit for each of the trees, concurrently, with what LoadTree would
// decode or the error why it cannot be had, and returns what the calls return:
// the ids of trees below.
func (l *treeLevels) load(ctx context.Context, ids []chunk.ID, visit func(h index.Handle, plain []byte, err error) []chunk.ID) ([]chunk.ID, error) {
	batches := l.byPlace(ids)
	below := make([][]chunk.ID, len(batches))
	next := make(chan int)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(next)
		for i := range batches {
			select {
			case next <- i:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for _, loader := range l.loaders[:min(len(l.loaders), len(batches))] {
		group.Go(func() error {
			for i := range next {
				err := loader.Load(ctx, batches[i], func(k int, plain []byte, err error) error {
					if ctx.Err() != nil {
						return ctx.Err()
					}
					below[i] = append(below[i], visit(batches[i][k], plain, err)...)
					return nil
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := group.Wait()
	return slices.Concat(below...), err
}

// scan is load for who wants to know only what the trees refer to: found is that,
// valid until visit returns.
func (l *treeLevels) scan(ctx context.Context, ids []chunk.ID, visit func(h index.Handle, found []index.Handle, err error) []chunk.ID) ([]chunk.ID, error) {
	return l.load(ctx, ids, func(h index.Handle, plain []byte, err error) []chunk.ID {
		scanner, ok := l.scanners.Get().(*treeScanner)
		if !ok {
			scanner = new(treeScanner)
		}
		defer l.scanners.Put(scanner)
		var found []index.Handle
		if err == nil {
			if found, err = scanner.scan(plain); err != nil {
				err = fmt.Errorf("decode %v: %w: %w", h, ErrDamaged, err)
			}
		}
		return visit(h, found, err)
	})
}

// byPlace groups trees that lie side by side.
func (l *treeLevels) byPlace(ids []chunk.ID) [][]index.Handle {
	type place struct {
		index.Location
		h index.Handle
	}
	places := make([]place, len(ids))
	for i, id := range ids {
		h := index.Handle{ID: id, Type: index.Tree}
		loc, _ := l.r.index.Lookup(h)
		places[i] = place{loc, h}
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(a.Pack.Compare(b.Pack), cmp.Compare(a.Offset, b.Offset))
	})
	var batches [][]index.Handle
	share := max(1, min(treesAtOnce, len(places)/l.r.readers()))
	for some := range slices.Chunk(places, share) {
		batch := make([]index.Handle, len(some))
		for i, p := range some {
			batch[i] = p.h
		}
		batches = append(batches, batch)
	}
	return batches
}
