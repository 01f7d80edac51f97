package repo

import (
	"context"
	"errors"
	"fmt"

	"russet/backend"
	"russet/chunk"
)

// maxUnpacked bounds an index, snapshot or lock file as stored, and
// maxUnpackedRaw its JSON. restic's own index files stay below 10 MB; the
// largest legal ones hold some 460,000 blobs.
const (
	maxUnpacked    = 256 << 20
	maxUnpackedRaw = 512 << 20
)

// markCompressed is the first byte of a version 2 file whose JSON is compressed.
const markCompressed = 2

// loadAll reads a whole file of at most limit bytes.
func loadAll(ctx context.Context, be backend.Backend, f backend.File, limit int) ([]byte, error) {
	return loadInto(ctx, be, f, nil, limit)
}

// loadInto is loadAll with memory of the caller's, if it is enough.
func loadInto(ctx context.Context, be backend.Backend, f backend.File, buf []byte, limit int) ([]byte, error) {
	if len(buf) == 0 {
		buf = make([]byte, 4<<10)
	}
	n := 0
	for {
		m, err := be.Load(ctx, f, int64(n), buf[n:])
		if err != nil {
			noteGivenUp(ctx, err)
			return nil, err
		}
		if n += m; n < len(buf) {
			return buf[:n], nil
		}
		if n > limit {
			return nil, fmt.Errorf("load %v: %w: it is larger than %d bytes", f, ErrDamaged, limit)
		}
		buf = append(buf, make([]byte, len(buf))...)
	}
}

// saveUnpacked seals an index, snapshot or lock and saves it under the hash of
// its stored bytes, after it has been opened again and compared. When the
// backend fails the name is returned too: the file may be there.
func (r *Repository) saveUnpacked(ctx context.Context, kind backend.Kind, plain []byte) (chunk.ID, error) {
	packed := plain
	if r.config.Version >= 2 {
		packed = r.codec.compress([]byte{markCompressed}, plain)
	}
	sealed := r.key.Seal(nil, packed)
	again, err := r.openUnpacked(sealed)
	if err != nil {
		return chunk.ID{}, fmt.Errorf("verify %v: %w", kind, err)
	}
	if string(again) != string(plain) {
		return chunk.ID{}, fmt.Errorf("verify %v: %w", kind, errMemory)
	}
	id := chunk.Sum(sealed)
	f := backend.File{Kind: kind, Name: id.String()}
	return id, r.be.Save(ctx, f, sealed)
}

// errMemory: what was sealed does not open as what it was.
var errMemory = errors.New("the bytes changed in memory: this computer's memory or processor is faulty")

// loadUnpacked loads an index, snapshot or lock, checks its name and opens it.
func (r *Repository) loadUnpacked(ctx context.Context, kind backend.Kind, id chunk.ID) ([]byte, error) {
	sealed, err := r.loadSealed(ctx, kind, id, nil)
	if err != nil {
		return nil, err
	}
	plain, err := r.openUnpacked(sealed)
	if err != nil {
		return nil, fmt.Errorf("open %v: %w: %w", backend.File{Kind: kind, Name: id.String()}, ErrDamaged, err)
	}
	return plain, nil
}

// loadSealed loads an index, snapshot or lock as it is stored, into buf if it is
// large enough, and checks its name. Damage is read a second time before it is
// believed, a bad sector too.
func (r *Repository) loadSealed(ctx context.Context, kind backend.Kind, id chunk.ID, buf []byte) ([]byte, error) {
	f := backend.File{Kind: kind, Name: id.String()}
	var bad error
	for range 2 {
		sealed, err := loadInto(ctx, r.be, f, buf, maxUnpacked)
		if err != nil {
			if bad = r.badSector(ctx, err); errors.Is(bad, ErrDamaged) {
				continue
			}
			return nil, err
		}
		if chunk.Sum(sealed) == id {
			return sealed, nil
		}
		bad = fmt.Errorf("load %v: %w: its bytes do not match its name", f, ErrDamaged)
		ctx = backend.WithoutCache(ctx)
		buf = sealed[:cap(sealed)]
	}
	return nil, bad
}

func (r *Repository) openUnpacked(sealed []byte) ([]byte, error) {
	opened, err := r.key.Open(nil, sealed)
	if err != nil {
		return nil, err
	}
	body, compressed, err := r.unpackedBody(opened)
	if err != nil || !compressed {
		return body, err
	}
	return r.codec.decompress(nil, body, maxUnpackedRaw)
}

// unpackedBody returns the JSON of an opened file, and whether it is compressed
// yet.
func (r *Repository) unpackedBody(opened []byte) (body []byte, compressed bool, err error) {
	if r.config.Version == 1 || len(opened) == 0 {
		return opened, false, nil
	}
	switch opened[0] {
	case '{', '[':
		return opened, false, nil
	case markCompressed:
		return opened[1:], true, nil
	}
	return nil, false, fmt.Errorf("unknown format mark %d", opened[0])
}
