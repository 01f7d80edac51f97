package index

import (
	"encoding/binary"
	"iter"

	"russet/chunk"
)

// entries is a list of copies of blobs, each with the number of its pack. It
// takes the 32 bytes of an id and some two to six for the place: the blobs of a
// pack follow one another, so that the lengths say where each begins, and
// numbers are stored in as many bytes as they need.
//
// Entries are never moved: the list grows without copying them.
type entries struct {
	blocks []block
	count  uint32
	last   place // of the entry added last
}

const (
	// blockEntries is as many ids as fill an allocation of 32 KiB, which Go's
	// allocator does not round up.
	blockEntries = 1024
	// groupEntries is how many places are read at most to find one.
	groupEntries = 16
	// maxEntries is how many entries the slots of a table can tell apart, and more
	// packs than that are none either.
	maxEntries = 1 << 30
)

// block is some of the entries, the ids apart from the places.
type block struct {
	ids    *[blockEntries]chunk.ID
	starts [blockEntries / groupEntries]uint16 // in places, of each group of entries
	places []byte                              // 20 bytes an entry at most
}

// place is an entry without its id. In a block it is a number whose lowest bits
// are the flags and whose others are the length; then, if the flags say so, the
// length of the plaintext, and the number of the pack and the offset.
type place struct {
	pack                      uint32
	kind                      BlobType
	offset, length, rawLength uint32
}

const (
	flagTree       = 1 << iota
	flagCompressed // rawLength is not 0, and follows
	flagElsewhere  // it does not lie behind the entry before it: pack and offset follow
	flagBits       = iota
)

// append adds an entry; its number is the count before.
func (l *entries) append(pack uint32, b Blob) {
	if l.count == maxEntries {
		panic("index: too many blobs")
	}
	k := l.count % blockEntries
	if k == 0 {
		l.grow()
	}
	at := &l.blocks[len(l.blocks)-1]
	at.ids[k] = b.ID
	head := uint64(b.Length) << flagBits
	if b.Type == Tree {
		head |= flagTree
	}
	if b.RawLength != 0 {
		head |= flagCompressed
	}
	if k%groupEntries == 0 {
		at.starts[k/groupEntries] = uint16(len(at.places))
	}
	if k%groupEntries == 0 || pack != l.last.pack || b.Offset != l.last.offset+l.last.length {
		head |= flagElsewhere
	}
	at.places = binary.AppendUvarint(at.places, head)
	if head&flagCompressed != 0 {
		at.places = binary.AppendUvarint(at.places, uint64(b.RawLength))
	}
	if head&flagElsewhere != 0 {
		at.places = binary.AppendUvarint(at.places, uint64(pack))
		at.places = binary.AppendUvarint(at.places, uint64(b.Offset))
	}
	l.last = place{pack: pack, offset: b.Offset, length: b.Length}
	l.count++
}

// grow adds an empty block. The places of the one before it are complete: they
// move to memory of their size, and the new block goes on in theirs.
func (l *entries) grow() {
	var buffer []byte
	if n := len(l.blocks); n > 0 {
		full := &l.blocks[n-1]
		buffer, full.places = full.places[:0], append([]byte(nil), full.places...)
	}
	l.blocks = append(l.blocks, block{ids: new([blockEntries]chunk.ID), places: buffer})
}

func (l *entries) id(number uint32) *chunk.ID {
	return &l.blocks[number/blockEntries].ids[number%blockEntries]
}

// at returns an entry, which must exist.
func (l *entries) at(number uint32) (pack uint32, b Blob) {
	r := l.from(number)
	for range number%groupEntries + 1 {
		r.next()
	}
	return r.pack, r.blob(l.id(number))
}

// few yields a few entries, the first of which has the given number; none if
// there is no such entry.
func (l *entries) few(first uint32) iter.Seq2[uint32, Blob] {
	return func(yield func(uint32, Blob) bool) {
		if first >= l.count {
			return
		}
		r := l.from(first)
		number := first - first%groupEntries
		for end := min(number+groupEntries, l.count); number < end; number++ {
			r.next()
			if number >= first && !yield(r.pack, r.blob(l.id(number))) {
				return
			}
		}
	}
}

// from returns a reader of the places of the group that the entry is in.
func (l *entries) from(number uint32) placeReader {
	at := &l.blocks[number/blockEntries]
	return placeReader{rest: at.places[at.starts[number%blockEntries/groupEntries]:]}
}

// placeReader reads the places of a group, one after the other.
type placeReader struct {
	place
	rest []byte
}

func (r *placeReader) next() {
	head := r.number()
	r.offset += r.length
	r.length, r.rawLength, r.kind = uint32(head>>flagBits), 0, Data
	if head&flagTree != 0 {
		r.kind = Tree
	}
	if head&flagCompressed != 0 {
		r.rawLength = uint32(r.number())
	}
	if head&flagElsewhere != 0 {
		r.pack, r.offset = uint32(r.number()), uint32(r.number())
	}
}

// number reads what AppendUvarint has written.
func (r *placeReader) number() uint64 {
	n := uint64(r.rest[0])
	if n < 0x80 {
		r.rest = r.rest[1:]
		return n
	}
	n &= 0x7f
	for i := 1; ; i++ {
		c := uint64(r.rest[i])
		n |= c & 0x7f << (7 * i & 63)
		if c < 0x80 {
			r.rest = r.rest[i+1:]
			return n
		}
	}
}

func (p *place) blob(id *chunk.ID) Blob {
	return Blob{Handle: Handle{ID: *id, Type: p.kind}, Offset: p.offset, Length: p.length, RawLength: p.rawLength}
}
