package index

import (
	"bytes"
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"russet/chunk"
)

// model is what an Index must be like: lists and maps, and no more.
type model struct {
	all       []Location // in the order in which they were added
	packs     map[chunk.ID][]Blob
	order     []chunk.ID
	conflicts map[chunk.ID]bool
}

func (m *model) add(p Pack) {
	known, there := m.packs[p.ID]
	if !there {
		m.order = append(m.order, p.ID)
		m.packs[p.ID] = slices.Clone(p.Blobs)
		for _, b := range p.Blobs {
			m.all = append(m.all, Location{p.ID, b})
		}
		return
	}
	if sameBlobs(known, p.Blobs) {
		return
	}
	m.conflicts[p.ID] = true
	for _, b := range p.Blobs {
		loc := Location{p.ID, b}
		if !slices.Contains(m.all, loc) && len(m.copies(b.Handle)) <= 16 {
			m.all = append(m.all, loc)
		}
	}
}

func sameBlobs(a, b []Blob) bool {
	compare := func(a, b Blob) int {
		return cmp.Or(a.ID.Compare(b.ID), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Offset, b.Offset),
			cmp.Compare(a.Length, b.Length), cmp.Compare(a.RawLength, b.RawLength))
	}
	return slices.Equal(slices.SortedFunc(slices.Values(a), compare), slices.SortedFunc(slices.Values(b), compare))
}

// copies returns the numbers of all copies of a blob, the latest first.
func (m *model) copies(h Handle) []int {
	var numbers []int
	for i, loc := range m.all {
		if loc.Handle == h {
			numbers = append(numbers, i)
		}
	}
	slices.Reverse(numbers)
	return numbers
}

func (m *model) check(t *testing.T, x *Index, h Handle) {
	t.Helper()
	numbers := m.copies(h)
	var places []Location
	var copies []Copy
	for _, n := range numbers {
		places = append(places, m.all[n])
		copies = append(copies, Copy{n, slices.Index(m.order, m.all[n].Pack)})
	}
	if got := x.Locations(h); !slices.Equal(got, places) {
		t.Fatalf("%v: locations %v, want %v", h, got, places)
	}
	if got := x.AppendCopies(nil, h); !slices.Equal(got, copies) {
		t.Fatalf("%v: copies %v, want %v", h, got, copies)
	}
	loc, found := x.Lookup(h)
	number, numbered := x.Number(h)
	if there := len(numbers) > 0; found != there || numbered != there || x.Has(h) != there {
		t.Fatalf("%v: found %v and %v, want %v", h, found, numbered, there)
	} else if there && (loc != places[0] || number != numbers[0] || !x.Holds(loc)) {
		t.Fatalf("%v: got %v with number %d, want %v with %d", h, loc, number, places[0], numbers[0])
	}
}

func (m *model) checkAll(t *testing.T, x *Index) {
	t.Helper()
	if got := slices.Collect(x.Blobs()); !slices.Equal(got, m.all) || x.Len() != len(m.all) {
		t.Fatalf("got %d blobs: %v, want %d: %v", x.Len(), got, len(m.all), m.all)
	}
	for i, loc := range m.all {
		if got := x.At(i); got != loc {
			t.Fatalf("number %d: got %v, want %v", i, got, loc)
		}
	}
	var order []chunk.ID
	for id := range x.Packs() {
		order = append(order, id)
	}
	if !slices.Equal(order, m.order) {
		t.Fatalf("packs %v, want %v", order, m.order)
	}
	for _, id := range x.Conflicts() {
		if !m.conflicts[id] {
			t.Fatalf("no conflict: %v", id)
		}
	}
	if got := len(x.Conflicts()); got != len(m.conflicts) {
		t.Fatalf("%d conflicts, want %d", got, len(m.conflicts))
	}
}

// somePack makes a pack as they are, or as no program writes them: with gaps,
// out of order, of both types, with large numbers, with blobs of other packs. Its
// first blob lies at begin, perhaps.
func somePack(r *rand.Rand, ids int, begin uint32) Pack {
	p := Pack{ID: name(-1 - r.IntN(60))}
	odd := r.IntN(4) == 0
	end := begin
	for range r.IntN(90) {
		length := 32 + r.Uint32N(1<<r.IntN(20))
		b := Blob{Handle: Handle{name(r.IntN(ids)), Data}, Offset: min(end, math.MaxUint32-length), Length: length}
		if r.IntN(2) == 0 {
			b.RawLength = r.Uint32N(1 << r.IntN(31))
		}
		if odd && r.IntN(3) == 0 {
			b.Offset = r.Uint32()
			b.Length = min(32+r.Uint32()>>r.IntN(32), math.MaxUint32-b.Offset)
			b.Type = Tree
		}
		end = b.Offset + b.Length
		p.Blobs = append(p.Blobs, b)
	}
	return p
}

// Whatever is added in whatever order, and looked up in between or not, an index
// says what lists and maps say.
func TestLikeModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 1))
		ids := 1 << (2 * seed) // from nothing but copies to hardly any
		x, m := New(), &model{packs: map[chunk.ID][]Blob{}, conflicts: map[chunk.ID]bool{}}
		for range 80 {
			var begin uint32
			if len(m.all) > 0 && r.IntN(2) == 0 { // as if it were the last pack that goes on
				last := m.all[len(m.all)-1]
				begin = last.Offset + last.Length
			}
			p := somePack(r, ids, begin)
			if blobs, known := m.packs[p.ID]; known && r.IntN(2) == 0 {
				p.Blobs = slices.Clone(blobs) // the same again
				slices.Reverse(p.Blobs)
			}
			x.Add(p)
			m.add(p)
			if number, ok := x.PackNumber(p.ID); !ok || m.order[number] != p.ID {
				t.Fatalf("seed %d: pack %v has number %d, %v", seed, p.ID, number, ok)
			}
			if got, want := x.Describes(p), sameBlobs(m.packs[p.ID], p.Blobs); got != want {
				t.Fatalf("seed %d: describes %v: %v", seed, p.ID, got)
			}
			for range r.IntN(3) {
				m.check(t, x, Handle{name(r.IntN(ids + 1)), BlobType(r.IntN(2))})
			}
		}
		m.checkAll(t, x)
		for id := range min(ids, 300) + 1 {
			m.check(t, x, Handle{name(id), Data})
			m.check(t, x, Handle{name(id), Tree})
		}
	}
}

// The table is made anew a few times while blobs come one by one, and finds each
// all the while.
func TestTableGrows(t *testing.T) {
	t.Parallel()
	x := New()
	sizes := map[uint64]bool{}
	const n = 60_000
	for i := range n {
		x.Add(Pack{name(-1 - i), []Blob{{Handle{name(i), Data}, uint32(i), 40, 0}}})
		if !x.Has(Handle{name(i), Data}) || !x.Has(Handle{name(i / 2), Data}) || x.Has(Handle{name(i + 1), Data}) {
			t.Fatalf("blob %d was lost, or the next one found", i)
		}
		sizes[x.table.size()] = true
	}
	if size := x.table.size(); len(sizes) < 3 || len(sizes) > 20 || size > 2*n {
		t.Errorf("%d slots after %d sizes", size, len(sizes))
	}
	for i := range n {
		if loc, ok := x.Lookup(Handle{name(i), Data}); !ok || loc.Offset != uint32(i) || loc.Pack != name(-1-i) {
			t.Fatalf("blob %d: got %v, %v", i, loc, ok)
		}
	}
}

// FuzzEntries adds any possible packs and wants them back.
func FuzzEntries(f *testing.F) {
	f.Add([]byte("some pack and its blobs, and another one of them"))
	f.Add(bytes.Repeat([]byte{0xff, 0, 0x20, 1}, 200))
	f.Add(bytes.Repeat([]byte{1, 0xff}, 500))
	f.Fuzz(func(t *testing.T, data []byte) {
		x := New()
		var want []Location
		for _, p := range packsOf(data) {
			x.Add(p)
			for _, b := range p.Blobs {
				want = append(want, Location{p.ID, b})
			}
		}
		if got := slices.Collect(x.Blobs()); !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		for i, loc := range want {
			if got := x.At(i); got != loc || !slices.Contains(x.Locations(loc.Handle), loc) {
				t.Fatalf("%d: got %v, want %v", i, got, loc)
			}
		}
	})
}
