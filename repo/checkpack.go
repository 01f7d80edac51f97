package repo

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"time"

	"golang.org/x/sync/errgroup"

	"russet/backend"
	"russet/chunk"
	"russet/crypto"
	"russet/index"
)

const (
	// readAtOnce is how much of a pack is read, hashed and opened at a time:
	// as much as stays in the processor's cache from one step to the next.
	readAtOnce = 2 << 20
	// tailSize is how much of a pack's end is read to have its header: enough
	// for 3,000 blobs.
	tailSize = 128 << 10
	// keepBuffer is how large a buffer may be to be kept for the next pack.
	keepBuffer = 16 << 20
)

// readPacks reads packs as a whole, with a worker a core. Those in which
// anything is wrong are left in c.broken.
func (c *checker) readPacks(ctx context.Context, packs []packFile) error {
	var bytes int64
	for _, p := range packs {
		bytes += p.size
	}
	if len(packs) == 0 {
		return nil
	}
	c.phase("reading packs", len(packs), bytes)
	queue := make(chan packFile)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(queue)
		for _, p := range packs {
			select {
			case queue <- p:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for range min(len(packs), c.r.readers()) {
		group.Go(func() error {
			p := newPackReader(c)
			for f := range queue {
				err := p.check(ctx, f)
				if ctx.Err() != nil {
					return ctx.Err()
				}
				c.done(1, 0)
				c.packRead(f, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// choose decides which packs are read.
func (c *checker) choose() []packFile {
	packs, read := c.present, c.opt.Read
	if c.opt.Verified != nil {
		c.opt.Verified.retain(packs)
	}
	if c.opt.MaxAge > 0 && c.opt.Verified != nil {
		packs = c.opt.Verified.due(packs, c.opt.Now, c.opt.MaxAge)
		c.res.PacksRecent = len(c.present) - len(packs)
		if read == (Subset{}) {
			read = AllPacks()
		}
	}
	return read.choose(packs)
}

// saveEvery is how often what was verified is saved.
const saveEvery = time.Minute

func (c *checker) packRead(f packFile, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.res.PacksRead++
	c.res.BytesRead += f.size
	if err != nil {
		c.broken[f.id] = brokenPack{suspect, f.size, err}
	}
	if c.opt.Verified == nil {
		return
	}
	c.opt.Verified.set(f.id, c.opt.Now, err == nil)
	if c.saved.IsZero() {
		c.saved = time.Now()
	}
	if c.opt.Save != nil && time.Since(c.saved) > saveEvery {
		c.opt.Save()
		c.saved = time.Now()
	}
}

// packReader reads packs. It belongs to one goroutine.
type packReader struct {
	c      *checker
	hash   hash.Hash
	tail   []byte // the end of the pack
	buf    []byte // another part of it
	header []byte
	s      scratch
}

func newPackReader(c *checker) *packReader { return &packReader{c: c, hash: sha256.New()} }

// resize returns a buffer of n bytes, buf if that is large enough and not wasteful.
func resize(buf []byte, n int) []byte {
	if cap(buf) < n || cap(buf) > keepBuffer && n <= keepBuffer {
		return make([]byte, n)
	}
	return buf[:n]
}

// check reads a pack from its first byte to its last, each byte once, and
// compares it with its name, its header with the index, and all blobs with
// their names. It returns the first thing that is wrong.
func (p *packReader) check(ctx context.Context, f packFile) error {
	blobs, header, err := p.readHeader(ctx, f)
	if err != nil {
		return err
	}
	if err := p.compare(f, blobs, header); err != nil {
		return err
	}
	return p.contents(ctx, f, blobs, header)
}

// contents reads all of a pack of which readHeader has read blobs, and where the
// header begins, last: it compares the blobs with their names, and the whole
// with its own. It returns the first thing that is wrong.
func (p *packReader) contents(ctx context.Context, f packFile, blobs []index.Blob, header int64) error {
	if end(blobs) != header {
		return blobsEnd(blobs, header)
	}
	p.hash.Reset()
	start := f.size - int64(len(p.tail)) // where p.tail lies in the pack
	for len(blobs) > 0 {
		n := together(blobs)
		from, to := int64(blobs[0].Offset), end(blobs[:n])
		var data []byte
		if from >= start {
			data = p.tail[from-start : to-start]
		} else {
			p.buf = resize(p.buf, int(to-from))
			if err := p.c.r.loadRange(ctx, f.id, from, p.buf); err != nil {
				return err
			}
			data = p.buf
		}
		p.hash.Write(data)
		for _, b := range blobs[:n] {
			at := int64(b.Offset) - from
			if err := p.openBlob(b, data[at:at+int64(b.Length)]); err != nil {
				return err
			}
		}
		p.c.done(0, to-from)
		blobs = blobs[n:]
	}
	p.hash.Write(p.tail[header-start:])
	p.c.done(0, f.size-header)
	var sum chunk.ID
	if p.hash.Sum(sum[:0]); sum != f.id {
		return errPackName
	}
	return nil
}

var errPackName = fmt.Errorf("%w: its bytes do not match its name", ErrDamaged)

// together is how many of blobs, which are contiguous, are read at once.
func together(blobs []index.Blob) int {
	n := 1
	for n < len(blobs) && end(blobs[:n+1])-int64(blobs[0].Offset) <= readAtOnce {
		n++
	}
	return n
}

// openBlob opens a blob in place, and checks it.
func (p *packReader) openBlob(b index.Blob, sealed []byte) error {
	opened, err := p.c.r.key.Open(sealed[crypto.NonceSize:crypto.NonceSize], sealed)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if _, err = p.c.r.unpackBlob(&p.s, b, opened); err != nil {
		return err
	}
	if cap(p.s.plain) > keepBuffer {
		p.s.plain = nil
	}
	return nil
}

// readHeader fills p.tail with the end of a pack, all of it if it is small, and
// returns what its header lists and where in the pack that begins. Where so much
// cannot be read, as a sector is bad, it reads no more than the header.
func (p *packReader) readHeader(ctx context.Context, f packFile) ([]index.Blob, int64, error) {
	n := min(f.size, tailSize)
	if f.size <= readAtOnce {
		n = f.size
	}
	const trailer = 4
	alone := false // no more is read than the header
	for {
		p.tail = resize(p.tail, int(n))
		if err := p.c.r.loadRange(ctx, f.id, f.size-n, p.tail); err != nil {
			if alone || n <= trailer || !backend.IsUnreadable(err) {
				return nil, 0, err
			}
			n, alone = trailer, true
			continue
		}
		if n < trailer {
			return nil, 0, fmt.Errorf("%w: it is too short for a pack", ErrDamaged)
		}
		length := int64(binary.LittleEndian.Uint32(p.tail[n-trailer:])) + trailer
		if length > f.size || length > maxHeader+trailer {
			return nil, 0, fmt.Errorf("%w: its header would have %d bytes", ErrDamaged, length)
		}
		if length > n {
			n = length
			continue
		}
		plain, err := p.c.r.key.Open(p.header[:0], p.tail[n-length:n-trailer])
		if err != nil {
			return nil, 0, fmt.Errorf("open pack header: %w: %w", ErrDamaged, err)
		}
		p.header = plain
		blobs, err := parseHeader(plain)
		if err != nil {
			return nil, 0, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return blobs, f.size - length, nil
	}
}

// compare compares a header, which begins at start, with the index. The lists
// are equal if each blob of the header is in the index, and their lengths give
// the size that the index gives the pack: an entry more would make it longer.
func (p *packReader) compare(f packFile, blobs []index.Blob, start int64) error {
	if end(blobs) != start {
		return blobsEnd(blobs, start)
	}
	for _, b := range blobs {
		want := index.Location{Pack: f.id, Blob: b}
		if loc, ok := p.c.r.index.Lookup(b.Handle); ok && loc == want {
			continue
		}
		if !p.c.r.index.Holds(want) {
			return errHeader
		}
	}
	return nil
}

func blobsEnd(blobs []index.Blob, header int64) error {
	return fmt.Errorf("%w: its blobs end at byte %d, and its header begins at %d", ErrDamaged, end(blobs), header)
}

var errHeader = fmt.Errorf("%w: its header and the index differ", ErrDamaged)
