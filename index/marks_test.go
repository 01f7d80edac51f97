package index

import (
	"slices"
	"testing"

	"russet/chunk"
)

func TestMarks(t *testing.T) {
	t.Parallel()
	var m Marks
	if m.Has(5) || m.Has(1000) || m.Len() != 0 {
		t.Error("the zero value is not empty")
	}
	m.Drop(1000)
	for _, n := range []int{0, 63, 64, 1000} {
		if !m.Add(n) || m.Add(n) || !m.Has(n) {
			t.Errorf("%d was not added once", n)
		}
	}
	if m.Len() != 4 || m.Has(1) || m.Has(65) || m.Has(936) {
		t.Errorf("got %d numbers", m.Len())
	}
	m.Drop(64)
	if m.Has(64) || m.Len() != 3 {
		t.Error("64 is still there")
	}
}

// Numbers follow the order of Blobs and Packs, and find what they name.
func TestNumbers(t *testing.T) {
	t.Parallel()
	blob := func(n byte, offset uint32) Blob {
		return Blob{Handle: Handle{ID: chunk.ID{n}, Type: Data}, Offset: offset, Length: 50}
	}
	packs := []Pack{
		{ID: chunk.ID{1}, Blobs: []Blob{blob(1, 0), blob(2, 50)}},
		{ID: chunk.ID{2}},
		{ID: chunk.ID{3}, Blobs: []Blob{blob(2, 0), blob(3, 50)}},
	}
	x := New()
	for _, p := range packs {
		x.Add(p)
	}
	number := 0
	for loc := range x.Blobs() {
		if x.At(number) != loc {
			t.Errorf("%d: got %v, want %v", number, x.At(number), loc)
		}
		number++
	}
	if n, ok := x.Number(Handle{ID: chunk.ID{2}}); n != 2 || !ok {
		t.Errorf("got %d, %v", n, ok)
	}
	if _, ok := x.Number(Handle{ID: chunk.ID{2}, Type: Tree}); ok {
		t.Error("a tree was found")
	}
	if got, want := x.AppendCopies(nil, Handle{ID: chunk.ID{2}}), []Copy{{2, 2}, {1, 0}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if n, ok := x.PackNumber(chunk.ID{3}); n != 2 || !ok {
		t.Errorf("got %d, %v", n, ok)
	}
	if _, ok := x.PackNumber(chunk.ID{4}); ok {
		t.Error("an unknown pack has a number")
	}
	var firsts []int
	var got []Pack
	for first, p := range x.Described() {
		firsts = append(firsts, first)
		got = append(got, Pack{p.ID, slices.Clone(p.Blobs)})
	}
	if !slices.Equal(firsts, []int{0, 2}) || len(got) != 2 || got[0].ID != packs[0].ID || !slices.Equal(got[1].Blobs, packs[2].Blobs) {
		t.Errorf("got %v, %v", firsts, got)
	}
	for range x.Described() {
		break // which must not panic
	}
}

// Descriptions are compared as sets.
func TestDescribes(t *testing.T) {
	t.Parallel()
	a := Blob{Handle: Handle{ID: chunk.ID{1}}, Length: 50}
	b := Blob{Handle: Handle{ID: chunk.ID{2}}, Offset: 50, Length: 60}
	x := New()
	x.Add(Pack{ID: chunk.ID{9}, Blobs: []Blob{a, b}})
	longer := b
	longer.Length++
	for _, test := range []struct {
		pack Pack
		want bool
	}{
		{Pack{chunk.ID{9}, []Blob{a, b}}, true},
		{Pack{chunk.ID{9}, []Blob{b, a}}, true},
		{Pack{chunk.ID{9}, []Blob{a}}, false},
		{Pack{chunk.ID{9}, []Blob{a, longer}}, false},
		{Pack{chunk.ID{9}, []Blob{a, b, b}}, false},
		{Pack{chunk.ID{8}, []Blob{a, b}}, false},
		{Pack{chunk.ID{8}, nil}, false},
	} {
		if got := x.Describes(test.pack); got != test.want {
			t.Errorf("%v: got %v", test.pack, got)
		}
	}
}
