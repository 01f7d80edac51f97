package repo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"russet/index"
)

// How much is copied, in bytes as stored, before the snapshots that it completes
// are saved: an index for each small one would leave as many small packs. The
// newest goes by itself; then the batches grow, so that a drive that becomes full
// has about half of what it could have.
const (
	copyBatch      = 256 << 20
	copyBatchLeast = packTarget
)

// CopyResult is what a copy did.
type CopyResult struct {
	Snapshots int
	Stats     // of the blobs that travelled
	// Lost says which snapshots were not copied, or whose copies were not healed, as
	// this repository does not have them whole.
	Lost []error
}

// Apply copies what the plan says: blobs, an index of them, and the snapshots
// that they complete. The context must be that of the other repository's lock.
// After an error, and also after the process was killed, a new plan does not
// hold again what the other repository has by then.
//
// The error wraps ErrDamaged when some snapshots could not be copied whole; the
// others are.
func (p *CopyPlan) Apply(ctx context.Context, progress *Progress) (res CopyResult, err error) {
	w := p.to.NewWriter(ctx)
	defer func() {
		closed := w.Close()
		if err == nil {
			err = closed
		}
		res.Stats = w.Stats()
	}()
	if progress != nil {
		progress.SetPhase("copying")
		progress.SetTotal(0, p.Bytes)
	}
	if err := w.saveIndex(ctx, p.adopt); err != nil {
		return res, err
	}
	c := &copier{from: p.from, w: w, progress: progress, bad: map[index.Handle]error{}}
	res.Lost = slices.Clone(p.Lost)
	copied := int64(0)
	for rest := p.parts; len(rest) > 0; {
		n, size := p.batch(rest, copied)
		err := c.blobs(ctx, rest[:n])
		if err == nil {
			err = w.Checkpoint()
		}
		if err != nil {
			return res, err
		}
		for _, part := range rest[:n] {
			if err := c.snapshot(ctx, part, &res); err != nil {
				return res, err
			}
		}
		rest = rest[n:]
		copied += size
	}
	if len(res.Lost) > 0 {
		return res, fmt.Errorf("copy: %d snapshots are not whole here: %w", len(res.Lost), ErrDamaged)
	}
	return res, nil
}

// batch is how many of parts, from the first, are copied together, and how many
// bytes they have. before is how many were copied before them.
func (p *CopyPlan) batch(parts []copyPart, before int64) (n int, size int64) {
	enough := int64(0)
	if before > 0 {
		enough = min(copyBatch, max(copyBatchLeast, before))
	}
	for n, part := range parts {
		if n > 0 && size >= enough && len(part.blobs) > 0 {
			return n, size
		}
		for _, h := range part.blobs {
			loc, _ := p.from.index.Lookup(h)
			size += int64(loc.Length)
		}
	}
	return len(parts), size
}

// copier copies blobs into a Writer.
type copier struct {
	from     *Repository
	w        *Writer
	progress *Progress

	mu  sync.Mutex
	bad map[index.Handle]error // what could not be loaded
}

// snapshot saves a copy of a snapshot all of whose blobs are there, or notes
// that they are not.
func (c *copier) snapshot(ctx context.Context, part copyPart, res *CopyResult) error {
	s := part.snapshot
	if s == nil {
		return nil
	}
	if len(c.bad) > 0 {
		err := c.from.whole(ctx, part, c.bad)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			res.Lost = append(res.Lost, err)
			return nil
		}
	}
	if part.kept {
		return nil
	}
	// restic's way: a parent is of no use elsewhere, and original leads back.
	twin, origin := *s, s.origin()
	twin.Parent, twin.Original = nil, &origin
	if _, err := c.w.r.SaveSnapshot(ctx, &twin); err != nil {
		return err
	}
	res.Snapshots++
	return nil
}

// blobs copies the blobs of some parts, in the order in which they lie here,
// with a worker a core or connection.
func (c *copier) blobs(ctx context.Context, parts []copyPart) error {
	var at []wanted
	for _, part := range parts {
		for _, h := range part.blobs {
			loc, ok := c.from.index.Lookup(h)
			if !ok {
				return fmt.Errorf("copy %v: %w: it is in no index", h, ErrDamaged)
			}
			if checkSize(loc.Blob) == nil {
				at = append(at, wanted{Location: loc})
				continue
			}
			plain, err := c.from.Load(ctx, h, nil) // another copy, perhaps
			if err := c.blob(ctx, loc.Blob, nil, plain, err); err != nil {
				return err
			}
		}
	}
	slices.SortFunc(at, func(a, b wanted) int {
		return cmp.Or(a.Pack.Compare(b.Pack), cmp.Compare(a.Offset, b.Offset))
	})
	runs := make(chan []wanted)
	group, within := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(runs)
		for rest := at; len(rest) > 0; {
			n := run(rest)
			select {
			case runs <- rest[:n]:
			case <-within.Done():
				return within.Err()
			}
			rest = rest[n:]
		}
		return nil
	})
	for range c.from.readers() {
		group.Go(func() error {
			l := c.from.NewLoader()
			for r := range runs {
				err := l.loadRun(within, r, func(w wanted, opened, plain []byte, err error) error {
					return c.blob(within, w.Blob, opened, plain, err)
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := group.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// blob copies one blob that was loaded, or notes that it is bad. opened is nil
// where the form in which it lies here is not at hand.
func (c *copier) blob(ctx context.Context, b index.Blob, opened, plain []byte, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, ErrDamaged):
		c.mu.Lock()
		c.bad[b.Handle] = err
		c.mu.Unlock()
	case err != nil:
		return err
	default:
		if err := c.w.saveOpened(ctx, b, opened, plain); err != nil {
			return err
		}
	}
	if c.progress != nil {
		c.progress.Add(0, int64(b.Length))
	}
	return nil
}

// saveOpened adds a blob of another repository, which was opened and checked:
// plain is what it holds, and opened, if not nil, the same as it was compressed
// there. Where that is a form that we would store, it is sealed as it is, without
// a second compression.
func (w *Writer) saveOpened(ctx context.Context, b index.Blob, opened, plain []byte) error {
	asItIs := w.r.config.Version >= 2 && opened != nil && len(plain) > 0 && (b.RawLength > 0 || b.Type == index.Data && !worthwhile(plain))
	if !asItIs {
		_, err := w.Save(ctx, b.Type, plain)
		return err
	}
	_, err := w.add(ctx, b.Handle, len(plain), func(s *scratch) (int, error) {
		s.sealed = w.r.key.Seal(s.sealed[:0], opened)
		if err := w.r.key.Verify(s.sealed, opened); err != nil {
			return 0, fmt.Errorf("verify: %w: %w", errMemory, err)
		}
		return int(b.RawLength), nil
	})
	return err
}
