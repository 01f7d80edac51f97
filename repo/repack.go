package repo

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"russet/chunk"
	"russet/index"
)

// numbered is a copy of a blob, and its number in the index.
type numbered struct {
	index.Blob
	number int
}

// packBlobs is some copies in one pack, in the order in which they lie there.
type packBlobs struct {
	pack  int // its number
	id    chunk.ID
	blobs []numbered
}

// eachPack calls do, with a worker a core or connection, for each pack of which wanted takes
// any copies.
func (p *PrunePlan) eachPack(ctx context.Context, wanted func(pack, number int) bool, do func(ctx context.Context, s *sealedReader, some packBlobs) error) error {
	jobs := make(chan packBlobs)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(jobs)
		for first, pack := range p.index.Described() {
			some := packBlobs{id: pack.ID}
			some.pack, _ = p.index.PackNumber(pack.ID)
			for i, b := range pack.Blobs {
				if wanted(some.pack, first+i) {
					some.blobs = append(some.blobs, numbered{b, first + i})
				}
			}
			if len(some.blobs) == 0 {
				continue
			}
			slices.SortFunc(some.blobs, func(a, b numbered) int { return cmp.Compare(a.Offset, b.Offset) })
			select {
			case jobs <- some:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for range p.r.readers() {
		group.Go(func() error {
			s := &sealedReader{r: p.r}
			for some := range jobs {
				if err := do(ctx, s, some); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// sealedReader reads blobs as they lie in packs, and proves that they open. It
// belongs to one goroutine.
type sealedReader struct {
	r   *Repository
	buf []byte
	s   scratch
}

// read calls yield for each of blobs, which lie in one pack in this order, with
// its sealed bytes, valid until yield returns, or with the error why they are not what
// they must be. What looks damaged was read twice.
func (s *sealedReader) read(ctx context.Context, pack chunk.ID, blobs []numbered, yield func(b numbered, sealed []byte, err error) error) error {
	for len(blobs) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := checkSize(blobs[0].Blob); err != nil { // before memory is made for it
			if err := yield(blobs[0], nil, err); err != nil {
				return err
			}
			blobs = blobs[1:]
			continue
		}
		n, size := sealedRun(blobs)
		start := int64(blobs[0].Offset)
		s.buf = resize(s.buf, size)
		err := s.r.loadRange(ctx, pack, start, s.buf)
		for _, b := range blobs[:n] {
			sealed, why := []byte(nil), err
			if err == nil {
				sealed = s.buf[int64(b.Offset)-start:][:b.Length]
				why = s.open(b, sealed)
			}
			if why != nil {
				sealed, why = s.again(ctx, pack, b)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := yield(b, sealed, why); err != nil {
				return err
			}
		}
		blobs = blobs[n:]
	}
	return nil
}

// sealedRun is how many of blobs are read at once, and how many bytes that is.
func sealedRun(blobs []numbered) (n, size int) {
	start, stop := int64(blobs[0].Offset), int64(blobs[0].Offset)+int64(blobs[0].Length)
	for n = 1; n < len(blobs); n++ {
		from, to := int64(blobs[n].Offset), int64(blobs[n].Offset)+int64(blobs[n].Length)
		if from < stop || from > stop+maxGap || to-start > readAtOnce {
			break
		}
		stop = to
	}
	return n, int(stop - start)
}

func (s *sealedReader) open(b numbered, sealed []byte) error {
	if err := checkSize(b.Blob); err != nil {
		return err
	}
	_, err := s.r.openBlob(&s.s, b.Blob, sealed)
	if max(cap(s.s.opened), cap(s.s.plain)) > keepBuffer {
		s.s = scratch{}
	}
	return err
}

// again reads one blob by itself.
func (s *sealedReader) again(ctx context.Context, pack chunk.ID, b numbered) ([]byte, error) {
	if err := checkSize(b.Blob); err != nil {
		return nil, err
	}
	sealed := make([]byte, b.Length)
	if err := s.r.loadRange(ctx, pack, int64(b.Offset), sealed); err != nil {
		return nil, err
	}
	return sealed, s.open(b, sealed)
}

// repack copies the chosen blobs of the packs to repack into new packs, as they
// are sealed. Each is opened and compared with its name on the way; the new packs are
// read back before an index file names them.
func (p *PrunePlan) repack(ctx context.Context) (copied int64, err error) {
	p.progress.begin("copying", p.Repack.Packs, p.Copied)
	w := p.r.NewWriter(ctx)
	w.proof = p.r.readBack
	defer w.Close()
	wanted := func(pack, number int) bool {
		return pack < len(p.fates) && p.fates[pack] == fateRepack && p.chosen.Has(number)
	}
	var total atomic.Int64
	err = p.eachPack(ctx, wanted, func(ctx context.Context, s *sealedReader, some packBlobs) error {
		defer p.progress.Add(1, 0)
		return s.read(ctx, some.id, some.blobs, func(b numbered, sealed []byte, err error) error {
			rawLength := b.RawLength
			if errors.Is(err, ErrDamaged) {
				sealed, rawLength, err = p.otherCopy(ctx, s, b, err)
			}
			if err != nil {
				return fmt.Errorf("copy blob %.8s of pack %.8s: %w", b.ID.String(), some.id.String(), err)
			}
			total.Add(stored(b.Blob))
			p.progress.Add(0, stored(b.Blob))
			return w.enqueue(w.append(w.r.lane(ctx, b.Type), b.Handle, sealed, int(rawLength), int(b.Size())))
		})
	})
	if err == nil {
		err = w.Flush(ctx)
	}
	if err != nil {
		return total.Load(), fmt.Errorf("%w; nothing was deleted", err)
	}
	return total.Load(), nil
}

// otherCopy looks for a copy of a blob that opens, in packs that are there, or
// returns why that in front of it does not.
func (p *PrunePlan) otherCopy(ctx context.Context, s *sealedReader, b numbered, why error) ([]byte, uint32, error) {
	copies := p.index.AppendCopies(nil, b.Handle)
	for _, c := range copies[:min(len(copies), maxCopies)] {
		if c.Number == b.number || c.Pack >= len(p.fates) || !p.usable(c.Pack) {
			continue
		}
		loc := p.index.At(c.Number)
		if sealed, err := s.again(ctx, loc.Pack, numbered{loc.Blob, c.Number}); err == nil {
			return sealed, loc.RawLength, nil
		}
	}
	return nil, 0, why
}

// readBack compares a pack that was just saved with its name, which is the hash
// of bytes that were proven before.
func (r *Repository) readBack(ctx context.Context, f packFile) error {
	hash := sha256.New()
	buf := make([]byte, min(f.size, readAtOnce))
	for at := int64(0); at < f.size; at += int64(len(buf)) {
		buf = buf[:min(f.size-at, int64(len(buf)))]
		if err := r.loadRange(ctx, f.id, at, buf); err != nil {
			return fmt.Errorf("read new pack back: %w", err)
		}
		hash.Write(buf)
	}
	var sum chunk.ID
	if hash.Sum(sum[:0]); sum != f.id {
		return fmt.Errorf("read new pack back: %v: %w", packName(f.id), errPackName)
	}
	return nil
}
