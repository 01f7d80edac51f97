package repo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"

	"russet/backend"
	"russet/chunk"
	"russet/crypto"
	"russet/index"
)

// indexReader reads index files, one after the other, in memory that it keeps.
// Only the sealed bytes of one are in memory as a whole: its JSON, some four
// times as much, is read while it is decompressed. It is not safe for
// concurrent use.
type indexReader struct {
	r       *Repository
	sealed  []byte
	frame   *zstd.Decoder // nil until something compressed comes
	decoder index.Decoder
}

// indexReaders returns a pool of them, for workers that read many files together.
func (r *Repository) indexReaders() *sync.Pool {
	return &sync.Pool{New: func() any { return &indexReader{r: r} }}
}

// read loads an index file, checks its name and opens it, and calls yield for
// each pack, whose blobs are valid during the call only; also for those that
// stand before damage. An error of yield ends the reading and is returned as it
// is.
func (x *indexReader) read(ctx context.Context, id chunk.ID, yield func(index.Pack) error) error {
	if len(x.sealed) == 0 {
		x.expect(0) // in few requests, if nobody knows how long it is
	}
	sealed, err := x.r.loadSealed(ctx, backend.Index, id, x.sealed)
	if err != nil {
		return err
	}
	x.sealed = sealed[:cap(sealed)]
	f := backend.File{Kind: backend.Index, Name: id.String()}
	opened, err := x.r.key.Open(sealed[crypto.NonceSize:crypto.NonceSize], sealed)
	if err != nil {
		return fmt.Errorf("open %v: %w: %w", f, ErrDamaged, err)
	}
	text, done, err := x.text(opened)
	if err != nil {
		return fmt.Errorf("open %v: %w: %w", f, ErrDamaged, err)
	}
	defer done()
	var stopped error
	err = x.decoder.Decode(text, func(p index.Pack) error {
		stopped = yield(p)
		return stopped
	})
	if err != nil && stopped == nil {
		err = fmt.Errorf("read %v: %w: %w", f, ErrDamaged, err)
	}
	return err
}

// expect makes room for a file of that size, so that memory does not grow by
// steps to twice of what is needed.
func (x *indexReader) expect(size int64) {
	const step = 256 << 10
	size = min(max(size, 0), maxExpected)/step*step + step // more than size
	if size > int64(len(x.sealed)) {
		x.sealed = make([]byte, size)
	}
}

// maxExpected bounds, in bytes, what is made on the word of a listing. It is more
// than restic and Russet write.
const maxExpected = 16 << 20

// text returns the JSON of an opened file, and what must be called when it was
// read. While a piece of it is looked at, the next one is decompressed.
func (x *indexReader) text(opened []byte) (_ io.Reader, done func(), err error) {
	body, compressed, err := x.r.unpackedBody(opened)
	if err != nil || !compressed {
		return bytes.NewReader(body), func() {}, err
	}
	if x.frame == nil {
		x.frame, err = newFrameReader()
	}
	if err == nil {
		err = x.frame.Reset(bytes.NewReader(body))
	}
	if err != nil {
		return nil, nil, fmt.Errorf("decompress: %w", err)
	}
	from, to := io.Pipe()
	var work sync.WaitGroup
	work.Go(func() {
		_, err := io.Copy(to, x.frame)
		to.CloseWithError(err)
	})
	return io.LimitReader(from, maxUnpackedRaw), func() { _ = from.Close(); work.Wait() }, nil
}
