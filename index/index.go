package index

import (
	"hash/maphash"
	"iter"
	"slices"
	"sync"

	"russet/chunk"
)

// Index says where blobs lie. It is safe for concurrent use, and takes about 60
// bytes of memory for each copy of a blob.
type Index struct {
	seed maphash.Seed // ids may be chosen to collide, but not without knowing this

	mu sync.RWMutex // guards all below
	// Entries are never moved: the table grows without copying them, and its
	// garbage is small.
	blocks    []*[blockEntries]entry
	count     uint32   // of the entries
	buckets   []uint32 // 1 + the number of the latest entry, 0 if there is none
	packs     []packEntry
	byPack    map[chunk.ID]uint32
	conflicts map[uint32]struct{} // packs that were described in two ways
}

// blockEntries is a compromise: an empty index is small, and ten million blobs
// need ten thousand blocks.
const blockEntries = 1024

type entry struct {
	id        chunk.ID
	next      uint32 // as in buckets
	pack      uint32 // twice the number of the pack, plus the type of the blob
	offset    uint32
	length    uint32
	rawLength uint32
}

type packEntry struct {
	id   chunk.ID
	size int64
	sum  uint64 // of the fingerprints of its blobs: the same in any order
}

// maxEntries is how many entries, and half as many packs, the numbers in
// entries can tell apart.
const maxEntries = 1<<32 - 2

// New returns an empty index.
func New() *Index {
	return &Index{
		seed:      maphash.MakeSeed(),
		buckets:   make([]uint32, blockEntries),
		byPack:    map[chunk.ID]uint32{},
		conflicts: map[uint32]struct{}{},
	}
}

// Add adds a pack, whose blobs must be possible, as those of Decode are. A
// pack that is known and has the same blobs, in any order, is not added again.
// One that has others is remembered for Conflicts; what it adds can be looked
// up, since two halves of a description are better than one.
func (x *Index) Add(p Pack) {
	x.mu.Lock()
	defer x.mu.Unlock()
	var sum uint64
	for _, b := range p.Blobs {
		sum += fingerprint(x.hash(b.ID), b)
	}
	number, known := x.byPack[p.ID]
	if !known {
		number = uint32(len(x.packs))
		if len(x.packs) > maxEntries/2 {
			panic("index: too many packs")
		}
		x.byPack[p.ID] = number
		x.packs = append(x.packs, packEntry{id: p.ID, size: trailerLength + sealOverhead, sum: sum})
		for _, b := range p.Blobs {
			x.insert(number, b)
		}
		return
	}
	if x.packs[number].sum == sum {
		return
	}
	x.conflicts[number] = struct{}{}
	for _, b := range p.Blobs {
		if !x.described(number, b) {
			x.insert(number, b)
		}
	}
}

func (x *Index) hash(id chunk.ID) uint64 { return maphash.Bytes(x.seed, id[:]) }

// fingerprint mixes the place of a blob into the hash of its id. Which blobs
// have the same one, nobody can tell who does not know the seed.
func fingerprint(hash uint64, b Blob) uint64 {
	const odd = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio
	hash = (hash ^ uint64(b.Offset)<<32 ^ uint64(b.Length)) * odd
	hash = (hash ^ hash>>29 ^ uint64(b.RawLength)<<1 ^ uint64(b.Type)) * odd
	return hash ^ hash>>32
}

func (x *Index) at(number uint32) *entry {
	return &x.blocks[number/blockEntries][number%blockEntries]
}

func (x *Index) insert(pack uint32, b Blob) {
	if x.count == maxEntries {
		panic("index: too many blobs")
	}
	if int(x.count) == 2*len(x.buckets) {
		x.grow()
	}
	if x.count%blockEntries == 0 {
		x.blocks = append(x.blocks, new([blockEntries]entry))
	}
	e := x.at(x.count)
	*e = entry{
		id:   b.ID,
		pack: pack<<1 | uint32(b.Type),

		offset: b.Offset, length: b.Length, rawLength: b.RawLength,
	}
	x.count++
	x.link(e, x.count)
	x.packs[pack].size += b.packedSize()
}

// link puts an entry, whose number is one less than ref, in front of its
// bucket.
func (x *Index) link(e *entry, ref uint32) {
	bucket := &x.buckets[x.hash(e.id)&uint64(len(x.buckets)-1)]
	e.next = *bucket
	*bucket = ref
}

func (x *Index) grow() {
	x.buckets = make([]uint32, 2*len(x.buckets))
	for number := range x.count {
		x.link(x.at(number), number+1)
	}
}

// copies yields the numbers and entries of a blob, the latest first.
func (x *Index) copies(h Handle) iter.Seq2[uint32, *entry] {
	return func(yield func(uint32, *entry) bool) {
		ref := x.buckets[x.hash(h.ID)&uint64(len(x.buckets)-1)]
		for ref != 0 {
			e := x.at(ref - 1)
			if e.id == h.ID && BlobType(e.pack&1) == h.Type && !yield(ref-1, e) {
				return
			}
			ref = e.next
		}
	}
}

// described reports whether the pack is known to have this blob at this place.
// Beyond sixteen copies one more would be no use, and looking for it could be
// made to take for ever.
func (x *Index) described(pack uint32, b Blob) bool {
	seen := 0
	for _, e := range x.copies(b.Handle) {
		if seen++; seen > 16 || e.pack>>1 == pack && x.location(e).Blob == b {
			return true
		}
	}
	return false
}

// Holds reports whether the blob is known to lie there. It gives every place
// of a blob that has more than sixteen copies the benefit of the doubt, as to
// look at all of them for each of them could be made to take for ever.
func (x *Index) Holds(loc Location) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	number, known := x.byPack[loc.Pack]
	return known && x.described(number, loc.Blob)
}

func (x *Index) location(e *entry) Location {
	return Location{
		Pack: x.packs[e.pack>>1].id,
		Blob: Blob{
			Handle:    Handle{ID: e.id, Type: BlobType(e.pack & 1)},
			Offset:    e.offset,
			Length:    e.length,
			RawLength: e.rawLength,
		},
	}
}

// Has reports whether the blob is in any pack.
func (x *Index) Has(h Handle) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for range x.copies(h) {
		return true
	}
	return false
}

// Lookup returns where the copy of the blob lies that was added last.
func (x *Index) Lookup(h Handle) (Location, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, e := range x.copies(h) {
		return x.location(e), true
	}
	return Location{}, false
}

// Locations returns where all copies of the blob lie, the one added last in
// front.
func (x *Index) Locations(h Handle) []Location {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var all []Location
	for _, e := range x.copies(h) {
		all = append(all, x.location(e))
	}
	return all
}

// Size returns the length of the blob's plaintext in bytes.
func (x *Index) Size(h Handle) (int64, bool) {
	loc, ok := x.Lookup(h)
	if !ok {
		return 0, false
	}
	return loc.Size(), true
}

// Len returns the number of blobs, each of its copies counted.
func (x *Index) Len() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return int(x.count)
}

// HasPack reports whether a pack was added.
func (x *Index) HasPack(id chunk.ID) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	_, ok := x.byPack[id]
	return ok
}

// Conflicts returns the packs that were added more than once with different
// blobs, sorted.
func (x *Index) Conflicts() []chunk.ID {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var ids []chunk.ID
	for number := range x.conflicts {
		ids = append(ids, x.packs[number].id)
	}
	slices.SortFunc(ids, chunk.ID.Compare)
	return ids
}

// Blobs yields every copy of every blob, in the order in which they were added.
// The index is not locked between two of them: what is added meanwhile may be
// left out.
func (x *Index) Blobs() iter.Seq[Location] {
	return func(yield func(Location) bool) {
		var some []Location
		for from := uint32(0); ; from += uint32(len(some)) {
			some = x.appendLocations(some[:0], from)
			if len(some) == 0 {
				return
			}
			for _, loc := range some {
				if !yield(loc) {
					return
				}
			}
		}
	}
}

// appendLocations appends a few locations, beginning with that of the entry
// with the given number.
func (x *Index) appendLocations(dst []Location, from uint32) []Location {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for number := from; number < x.count && number-from < 128; number++ {
		dst = append(dst, x.location(x.at(number)))
	}
	return dst
}

// Packs yields every pack and the size in bytes that its file must have, in the
// order in which they were added. The index is not locked meanwhile.
func (x *Index) Packs() iter.Seq2[chunk.ID, int64] {
	return func(yield func(chunk.ID, int64) bool) {
		for number := 0; ; number++ {
			id, size, ok := x.packAt(number)
			if !ok || !yield(id, size) {
				return
			}
		}
	}
}

func (x *Index) packAt(number int) (chunk.ID, int64, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if number >= len(x.packs) {
		return chunk.ID{}, 0, false
	}
	return x.packs[number].id, x.packs[number].size, true
}
