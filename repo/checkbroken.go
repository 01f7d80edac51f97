package repo

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"russet/chunk"
	"russet/index"
)

// brokenPack is a pack that must be looked into blob by blob.
type brokenPack struct {
	state packState
	size  int64 // by the index
	err   error // why it is here
}

type packState uint8

const (
	suspect packState = iota // read wrongly once
	resized                  // not as long as the index says, which was reported
	gone                     // not there, which was reported
)

// examineAtOnce bounds the packs whose blobs are held in memory.
const examineAtOnce = 256

// examineBroken looks into the packs of c.broken, and finds out what of them
// can be read nowhere.
func (c *checker) examineBroken(ctx context.Context) error {
	if len(c.broken) == 0 {
		return nil
	}
	ids := make([]chunk.ID, 0, len(c.broken))
	for id := range c.broken {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, chunk.ID.Compare)
	c.phase("examining damage", len(ids), 0)
	p := newPackReader(c)
	for some := range slices.Chunk(ids, examineAtOnce) {
		blobs := c.blobsOf(some)
		for _, id := range some {
			bad := c.examine(ctx, p, id, blobs[id])
			for h, err := range bad {
				if _, again := c.r.Load(ctx, h, nil); again != nil { // else there is another copy
					c.lose(h, err)
				}
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			c.done(1, 0)
		}
	}
	return nil
}

// blobsOf collects what the index says of some packs, in the order in which the
// blobs lie there.
func (c *checker) blobsOf(ids []chunk.ID) map[chunk.ID][]index.Blob {
	blobs := make(map[chunk.ID][]index.Blob, len(ids))
	for _, id := range ids {
		blobs[id] = nil
	}
	for loc := range c.r.index.Blobs() {
		if list, ok := blobs[loc.Pack]; ok {
			blobs[loc.Pack] = append(list, loc.Blob)
		}
	}
	for _, list := range blobs {
		slices.SortFunc(list, func(a, b index.Blob) int { return cmp.Compare(a.Offset, b.Offset) })
	}
	return blobs
}

// examine reads a pack once more, reports what is wrong with it and returns the
// blobs that cannot be read from it. What it reports is worthless once ctx is
// cancelled.
func (c *checker) examine(ctx context.Context, p *packReader, id chunk.ID, blobs []index.Blob) map[index.Handle]error {
	b := c.broken[id]
	bad := map[index.Handle]error{}
	if b.state == gone {
		for _, blob := range blobs {
			bad[blob.Handle] = fmt.Errorf("%w: its pack is gone", ErrDamaged)
		}
		return bad
	}
	sum, size, whole := p.sum(ctx, id)
	if whole != nil {
		size = b.size // what can still be read is
	}
	for _, blob := range blobs {
		if err := p.blob(ctx, id, size, blob); err != nil {
			bad[blob.Handle] = err
		}
	}
	if b.state == suspect {
		if whole == nil && sum != id {
			whole = errPackName
		}
		if whole == nil {
			whole = p.headerAgain(ctx, packFile{id, b.size}, blobs)
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	if b.state == suspect {
		p := Problem{Kind: PackDamaged, File: packName(id), Err: cmp.Or(whole, b.err)}
		if whole == nil && len(bad) == 0 {
			p.Kind = NoteTransient
		}
		c.report(p)
	}
	for _, blob := range blobs {
		if err := bad[blob.Handle]; err != nil {
			c.report(Problem{Kind: BlobDamaged, File: packName(id), Blob: blob.Handle, Err: err})
		}
	}
	return bad
}

// blob reads one blob from a pack of the given size.
func (p *packReader) blob(ctx context.Context, id chunk.ID, size int64, b index.Blob) error {
	if int64(b.Offset)+int64(b.Length) > size {
		return fmt.Errorf("%w: it would lie behind the end of its pack", ErrDamaged)
	}
	if err := checkSize(b); err != nil {
		return err
	}
	p.buf = resize(p.buf, int(b.Length))
	if err := p.c.r.loadRange(ctx, id, int64(b.Offset), p.buf); err != nil {
		return err
	}
	return p.openBlob(b, p.buf)
}

// sum returns the hash and the length of a pack.
func (p *packReader) sum(ctx context.Context, id chunk.ID) (sum chunk.ID, size int64, err error) {
	p.hash.Reset()
	p.buf = resize(p.buf, readAtOnce)
	for {
		n, err := p.c.r.be.Load(ctx, packName(id), size, p.buf)
		if err != nil {
			noteGivenUp(ctx, err)
			return sum, size, fmt.Errorf("load pack: %w", err)
		}
		p.hash.Write(p.buf[:n])
		if size += int64(n); n < len(p.buf) {
			break
		}
	}
	p.hash.Sum(sum[:0])
	return sum, size, nil
}

func (p *packReader) headerAgain(ctx context.Context, f packFile, blobs []index.Blob) error {
	listed, start, err := p.readHeader(ctx, f)
	if err == nil {
		err = p.compare(f, listed, start)
	}
	if err == nil && !sameBlobs(listed, blobs) {
		err = errHeader
	}
	return err
}
