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
	slots  []uint32
	width  int               // of the number in a slot, in bits: less than 32
	linked uint32            // how many entries are in it: all before this one
	older  map[uint32]uint32 // of an entry: that of the copy of its blob before it
}

func newTable() table {
	return table{seed: maphash.MakeSeed(), older: map[uint32]uint32{}}
}

func (t *table) hash(id chunk.ID) uint64 { return maphash.Bytes(t.seed, id[:]) }

// minSlots is what an index that is filled bit by bit begins with.
const minSlots = 1024

// link takes in the entries that came since it was last called. The table is
// made anew when nine tenths of it are in use, a quarter larger than what is
// there: looking at a few slots more, which lie side by side, costs little
// beside fetching the id from another place of memory.
func (t *table) link(l *entries) {
	if uint64(l.count)*10 > uint64(len(t.slots))*9 {
		size := max(uint64(l.count)+uint64(l.count)/4, minSlots)
		t.slots = nil // before there is another
		t.slots = make([]uint32, size)
		t.width = bits.Len64(size)
		t.linked = 0
	}
	for t.linked < l.count {
		for _, b := range l.few(t.linked) {
			t.put(l, b.Handle, t.linked)
			t.linked++
		}
	}
}

// put makes the entry the latest copy of the blob.
func (t *table) put(l *entries, h Handle, number uint32) {
	at, mark, there := t.probe(l, h)
	if there {
		t.older[number] = t.entry(at)
	}
	t.slots[at] = mark | (number + 1)
}

// find returns the number of the latest copy of a blob.
func (t *table) find(l *entries, h Handle) (number uint32, ok bool) {
	if len(t.slots) == 0 {
		return 0, false
	}
	at, _, ok := t.probe(l, h)
	if !ok {
		return 0, false
	}
	return t.entry(at), true
}

// entry returns the number of the entry in a slot that is not free.
func (t *table) entry(at int) uint32 { return t.slots[at]&(1<<t.width-1) - 1 }

// probe returns the slot of a blob, or the free one where it would be, and what
// it holds beside the number.
func (t *table) probe(l *entries, h Handle) (at int, mark uint32, there bool) {
	hash := t.hash(h.ID)
	mark = (uint32(hash)<<1 | uint32(h.Type)) << t.width
	high, _ := bits.Mul64(hash, uint64(len(t.slots)))
	for at = int(high); t.slots[at] != 0; {
		if t.slots[at]>>t.width<<t.width == mark && *l.id(t.entry(at)) == h.ID {
			return at, mark, true
		}
		if at++; at == len(t.slots) {
			at = 0
		}
	}
	return at, mark, false
}
