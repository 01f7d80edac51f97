package index

import (
	"hash/maphash"
	"math/bits"

	"russet/chunk"
)

// table finds entries by their blobs: a hash table with open addressing, of
// four bytes a slot. It knows the latest copy of each blob, and a map, which
// stays small, the copies before.
type table struct {
	seed maphash.Seed // ids may be chosen to collide, but not without knowing this

	// A slot is 0 if it is free. Else its lowest bits are 1 + the number of an
	// entry, the next one is the type of its blob, and those above are of the hash
	// of its id, so that few other entries are looked at.
	parts  []*[partSlots]uint32
	width  int               // of the number in a slot, in bits: less than 32
	linked uint32            // how many entries are in it: all before this one
	older  map[uint32]uint32 // of an entry: that of the copy of its blob before it
}

// partSlots is how many slots are allocated together: 32 KiB, as for the ids of
// a block, so that a table fits into whatever memory is free, and its garbage is
// of use.
const partSlots = 8192

func newTable() table {
	return table{seed: maphash.MakeSeed(), older: map[uint32]uint32{}}
}

func (t *table) hash(id chunk.ID) uint64 { return maphash.Bytes(t.seed, id[:]) }

func (t *table) size() uint64 { return uint64(len(t.parts)) * partSlots }

func (t *table) slot(at uint64) *uint32 { return &t.parts[at/partSlots][at%partSlots] }

// link takes in the entries that came since it was last called. The table is
// made anew when nine tenths of it are in use, a quarter larger than what is
// there: looking at a few slots more, which lie side by side, costs little
// beside fetching the id from another place of memory.
func (t *table) link(l *entries) {
	if uint64(l.count)*10 > t.size()*9 {
		t.grow(uint64(l.count) + uint64(l.count)/4)
	}
	for t.linked < l.count {
		for _, b := range l.few(t.linked) {
			t.put(l, b.Handle, t.linked)
			t.linked++
		}
	}
}

// grow empties the table and gives it at least so many slots.
func (t *table) grow(slots uint64) {
	for _, part := range t.parts {
		clear(part[:])
	}
	for t.size() < slots {
		t.parts = append(t.parts, new([partSlots]uint32))
	}
	t.width = bits.Len64(t.size())
	t.linked = 0
}

// put makes the entry the latest copy of the blob.
func (t *table) put(l *entries, h Handle, number uint32) {
	slot, mark := t.probe(l, h)
	if *slot != 0 {
		t.older[number] = t.entry(*slot)
	}
	*slot = mark | (number + 1)
}

// find returns the number of the latest copy of a blob.
func (t *table) find(l *entries, h Handle) (number uint32, ok bool) {
	if len(t.parts) == 0 {
		return 0, false
	}
	slot, _ := t.probe(l, h)
	return t.entry(*slot), *slot != 0
}

// entry returns the number of the entry in a slot that is not free.
func (t *table) entry(slot uint32) uint32 { return slot&(1<<t.width-1) - 1 }

// probe returns the slot of a blob, or the free one where it would be, and what
// it holds beside the number.
func (t *table) probe(l *entries, h Handle) (slot *uint32, mark uint32) {
	hash, size := t.hash(h.ID), t.size()
	mark = (uint32(hash)<<1 | uint32(h.Type)) << t.width
	for at, _ := bits.Mul64(hash, size); ; at++ {
		if at == size {
			at = 0
		}
		slot = t.slot(at)
		if *slot == 0 || *slot>>t.width<<t.width == mark && *l.id(t.entry(*slot)) == h.ID {
			return slot, mark
		}
	}
}
