package index

import (
	"iter"
	"math/bits"

	"russet/chunk"
)

// Marks is a set of places of an index: of copies of blobs, or of packs, by
// their numbers. It takes a bit for each, and is not safe for concurrent use.
// The zero value is empty.
type Marks struct{ words []uint64 }

// Add adds a number and reports whether it was not there.
func (m *Marks) Add(number int) bool {
	word, bit := number/64, uint64(1)<<(number%64)
	for word >= len(m.words) {
		m.words = append(m.words, 0)
	}
	fresh := m.words[word]&bit == 0
	m.words[word] |= bit
	return fresh
}

// Drop takes a number out.
func (m *Marks) Drop(number int) {
	if word := number / 64; word < len(m.words) {
		m.words[word] &^= 1 << (number % 64)
	}
}

// Has reports whether a number is in the set.
func (m *Marks) Has(number int) bool {
	word := number / 64
	return word < len(m.words) && m.words[word]>>(number%64)&1 != 0
}

// Len is how many numbers there are.
func (m *Marks) Len() int {
	n := 0
	for _, w := range m.words {
		n += bits.OnesCount64(w)
	}
	return n
}

// Number returns the number of the copy of a blob that Lookup finds. Numbers
// count the copies in the order of Blobs, from 0; they do not change, but the
// copy that is found does when a later one is added.
func (x *Index) Number(h Handle) (int, bool) {
	x.lockLinked()
	defer x.mu.RUnlock()
	number, ok := x.table.find(&x.entries, h)
	return int(number), ok
}

// Copy is one copy of a blob: its number, and that of its pack.
type Copy struct{ Number, Pack int }

// AppendCopies appends all copies of a blob to dst, the one added last first.
func (x *Index) AppendCopies(dst []Copy, h Handle) []Copy {
	x.lockLinked()
	defer x.mu.RUnlock()
	for number := range x.copies(h) {
		pack, _ := x.entries.at(number)
		dst = append(dst, Copy{int(number), int(pack)})
	}
	return dst
}

// At returns the place of the copy with that number, which must be one.
func (x *Index) At(number int) Location {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.location(uint32(number))
}

// PackNumber returns the number of a pack. Numbers count the packs in the order
// of Packs, from 0.
func (x *Index) PackNumber(id chunk.ID) (int, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	number, ok := x.byPack[id]
	return int(number), ok
}

// Describes reports whether the pack is known with the same blobs, in any order.
func (x *Index) Describes(p Pack) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	number, ok := x.byPack[p.ID]
	if !ok {
		return false
	}
	var sum uint64
	for _, b := range p.Blobs {
		sum += fingerprint(x.table.hash(b.ID), b)
	}
	return x.packs[number].sum == sum
}

// Described yields every pack with its blobs, which are valid until the next
// one comes, and the number of its first blob. Of a pack that is in Conflicts it may yield
// several parts, and it leaves out packs without blobs.
func (x *Index) Described() iter.Seq2[int, Pack] {
	return func(yield func(int, Pack) bool) {
		var p Pack
		number := 0
		for loc := range x.Blobs() {
			if len(p.Blobs) > 0 && loc.Pack != p.ID {
				if !yield(number-len(p.Blobs), p) {
					return
				}
				p.Blobs = p.Blobs[:0]
			}
			p.ID = loc.Pack
			p.Blobs = append(p.Blobs, loc.Blob)
			number++
		}
		if len(p.Blobs) > 0 {
			yield(number-len(p.Blobs), p)
		}
	}
}
