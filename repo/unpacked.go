package repo

import (
	"context"
	"errors"
	"fmt"
	"slices"

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
	return loadInto(ctx, be, f, make([]byte, 4<<10), limit)
}

// loadInto is loadAll with memory of the caller's.
func loadInto(ctx context.Context, be backend.Backend, f backend.File, buf []byte, limit int) ([]byte, error) {
	n := 0
	for {
		m, err := be.Load(ctx, f, int64(n), buf[n:])
		if err != nil {
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
// Damage is read a second time before it is believed, a bad sector too.
func (r *Repository) loadUnpacked(ctx context.Context, kind backend.Kind, id chunk.ID) ([]byte, error) {
	return r.loadUnpackedInto(ctx, new(scratch), kind, id)
}

// loadUnpackedInto is loadUnpacked for who loads many files: the result is valid
// until s is used again.
func (r *Repository) loadUnpackedInto(ctx context.Context, s *scratch, kind backend.Kind, id chunk.ID) ([]byte, error) {
	f := backend.File{Kind: kind, Name: id.String()}
	var bad error
	for range 2 {
		sealed, err := loadInto(ctx, r.be, f, slices.Grow(s.sealed[:0], 4<<10)[:max(cap(s.sealed), 4<<10)], maxUnpacked)
		if err != nil {
			if bad = r.badSector(ctx, err); errors.Is(bad, ErrDamaged) {
				continue
			}
			return nil, err
		}
		s.sealed = sealed
		if chunk.Sum(sealed) != id {
			bad = fmt.Errorf("load %v: %w: its bytes do not match its name", f, ErrDamaged)
			continue
		}
		plain, err := r.openUnpackedInto(s, sealed)
		if err != nil {
			return nil, fmt.Errorf("open %v: %w: %w", f, ErrDamaged, err)
		}
		return plain, nil
	}
	return nil, bad
}

func (r *Repository) openUnpacked(sealed []byte) ([]byte, error) {
	return r.openUnpackedInto(new(scratch), sealed)
}

func (r *Repository) openUnpackedInto(s *scratch, sealed []byte) ([]byte, error) {
	plain, err := r.key.Open(s.opened[:0], sealed)
	if err != nil {
		return nil, err
	}
	s.opened = plain
	if r.config.Version == 1 || len(plain) == 0 {
		return plain, nil
	}
	switch plain[0] {
	case '{', '[':
		return plain, nil
	case markCompressed:
		plain, err = r.codec.decompress(s.plain[:0], plain[1:], maxUnpackedRaw)
		if err == nil {
			s.plain = plain
		}
		return plain, err
	}
	return nil, fmt.Errorf("unknown format mark %d", plain[0])
}
