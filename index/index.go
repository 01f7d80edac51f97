package index

import (
	"iter"
	"slices"
	"sync"

	"russet/chunk"
)

// Index says where blobs lie. It is safe for concurrent use, and takes about 40
// bytes of memory for each copy of a blob, and 100 for each pack.
type Index struct {
	mu        sync.RWMutex // guards all below
	entries   entries
	table     table // of the entries before table.linked
	packs     []packEntry
	byPack    map[chunk.ID]uint32
	conflicts map[uint32]struct{} // packs that were described in two ways
}

type packEntry struct {
	id   chunk.ID
	size int64
	sum  uint64 // of the fingerprints of its blobs: the same in any order
}

// New returns an empty index.
func New() *Index {
	return &Index{
		table:     newTable(),
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
		sum += fingerprint(x.table.hash(b.ID), b)
	}
	number, known := x.byPack[p.ID]
	if !known {
		number = uint32(len(x.packs))
		if len(x.packs) == maxEntries {
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
		x.table.link(&x.entries)
		if !x.described(number, b) {
			x.insert(number, b)
		}
	}
}

// fingerprint mixes the place of a blob into the hash of its id. Which blobs
// have the same one, nobody can tell who does not know the seed.
func fingerprint(hash uint64, b Blob) uint64 {
	const odd = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio
	hash = (hash ^ uint64(b.Offset)<<32 ^ uint64(b.Length)) * odd
	hash = (hash ^ hash>>29 ^ uint64(b.RawLength)<<1 ^ uint64(b.Type)) * odd
	return hash ^ hash>>32
}

func (x *Index) insert(pack uint32, b Blob) {
	x.entries.append(pack, b)
	x.packs[pack].size += b.packedSize()
}

// lockLinked is RLock for those who look blobs up. What was added since is put
// into the table now, not one by one when it comes: after an index was loaded
// that is all of it, and the table gets the size that fits.
func (x *Index) lockLinked() {
	x.mu.RLock()
	for x.table.linked < x.entries.count {
		x.mu.RUnlock()
		x.mu.Lock()
		x.table.link(&x.entries)
		x.mu.Unlock()
		x.mu.RLock()
	}
}

// copies yields the numbers of the entries of a blob, the latest first.
func (x *Index) copies(h Handle) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		number, ok := x.table.find(&x.entries, h)
		for ok && yield(number) {
			number, ok = x.table.older[number]
		}
	}
}

// described reports whether the pack is known to have this blob at this place.
// Beyond sixteen copies one more would be no use, and looking for it could be
// made to take for ever.
func (x *Index) described(pack uint32, b Blob) bool {
	seen := 0
	for number := range x.copies(b.Handle) {
		if seen++; seen > 16 {
			return true
		}
		if in, known := x.entries.at(number); in == pack && known == b {
			return true
		}
	}
	return false
}

// Holds reports whether the blob is known to lie there. It gives every place
// of a blob that has more than sixteen copies the benefit of the doubt, as to
// look at all of them for each of them could be made to take for ever.
func (x *Index) Holds(loc Location) bool {
	x.lockLinked()
	defer x.mu.RUnlock()
	number, known := x.byPack[loc.Pack]
	return known && x.described(number, loc.Blob)
}

func (x *Index) location(number uint32) Location {
	pack, b := x.entries.at(number)
	return Location{Pack: x.packs[pack].id, Blob: b}
}

// Has reports whether the blob is in any pack.
func (x *Index) Has(h Handle) bool {
	x.lockLinked()
	defer x.mu.RUnlock()
	_, ok := x.table.find(&x.entries, h)
	return ok
}

// Lookup returns where the copy of the blob lies that was added last.
func (x *Index) Lookup(h Handle) (Location, bool) {
	x.lockLinked()
	defer x.mu.RUnlock()
	number, ok := x.table.find(&x.entries, h)
	if !ok {
		return Location{}, false
	}
	return x.location(number), true
}

// Locations returns where all copies of the blob lie, the one added last in
// front.
func (x *Index) Locations(h Handle) []Location {
	x.lockLinked()
	defer x.mu.RUnlock()
	var all []Location
	for number := range x.copies(h) {
		all = append(all, x.location(number))
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
	return int(x.entries.count)
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
	for pack, b := range x.entries.few(from) {
		dst = append(dst, Location{Pack: x.packs[pack].id, Blob: b})
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

// PackSize returns the size in bytes that a pack's file must have.
func (x *Index) PackSize(id chunk.ID) (int64, bool) {
	number, ok := x.PackNumber(id)
	if !ok {
		return 0, false
	}
	_, size, ok := x.packAt(number)
	return size, ok
}

func (x *Index) packAt(number int) (chunk.ID, int64, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if number >= len(x.packs) {
		return chunk.ID{}, 0, false
	}
	return x.packs[number].id, x.packs[number].size, true
}
