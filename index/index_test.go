package index

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"russet/chunk"
)

// somePacks makes packs of n blobs in all, every tenth of them a copy of an
// earlier one.
func somePacks(n, perPack int) []Pack {
	var packs []Pack
	for i := range n {
		if i%perPack == 0 {
			packs = append(packs, Pack{ID: name(-1 - i)})
		}
		p := &packs[len(packs)-1]
		b := Blob{Handle: Handle{name(i), BlobType(i / perPack & 1)}, Length: uint32(32 + i%1000), RawLength: uint32(i % 3)}
		if i%10 == 9 && i > 2*perPack {
			b.Handle = Handle{name(i / 2 * 2 / 5), BlobType(i & 1)}
		}
		if len(p.Blobs) > 0 {
			last := p.Blobs[len(p.Blobs)-1]
			b.Offset = last.Offset + last.Length
		}
		p.Blobs = append(p.Blobs, b)
	}
	return packs
}

func TestIndex(t *testing.T) {
	t.Parallel()
	packs := somePacks(20000, 70)
	x := New()
	if x.Len() != 0 || x.Has(packs[0].Blobs[0].Handle) || x.HasPack(packs[0].ID) {
		t.Fatal("not empty at first")
	}
	want := map[Handle][]Location{}
	for i, p := range packs {
		x.Add(p)
		if i%3 == 0 { // the same again, in another order
			slices.Reverse(p.Blobs)
			x.Add(p)
			slices.Reverse(p.Blobs)
		}
		for _, b := range p.Blobs {
			want[b.Handle] = append(want[b.Handle], Location{p.ID, b})
		}
	}
	if x.Len() != 20000 {
		t.Errorf("%d blobs", x.Len())
	}
	for h, all := range want {
		loc, ok := x.Lookup(h)
		size, sized := x.Size(h)
		if !ok || !sized || !x.Has(h) || loc != all[len(all)-1] || size != loc.Size() {
			t.Fatalf("%v: got %v, %v, %d", h, loc, ok, size)
		}
		slices.Reverse(all)
		if got := x.Locations(h); !slices.Equal(got, all) {
			t.Fatalf("%v: got %v, want %v", h, got, all)
		}
		other := Handle{h.ID, 1 - h.Type}
		if _, there := want[other]; x.Has(other) != there {
			t.Fatalf("%v: found %v", other, !there)
		}
	}
	if _, ok := x.Size(Handle{name(1 << 30), Data}); ok || x.Locations(Handle{name(1 << 30), Data}) != nil {
		t.Error("found what was never added")
	}
	if got := x.Conflicts(); got != nil {
		t.Errorf("conflicts %v", got)
	}
	checkSequences(t, x, packs)
}

func checkSequences(t *testing.T, x *Index, packs []Pack) {
	t.Helper()
	var all []Location
	for loc := range x.Blobs() {
		all = append(all, loc)
	}
	n := 0
	for _, p := range packs {
		for _, b := range p.Blobs {
			if all[n] != (Location{p.ID, b}) {
				t.Fatalf("blob %d: got %v, want %v", n, all[n], b)
			}
			n++
		}
	}
	if n != len(all) {
		t.Errorf("%d locations, want %d", len(all), n)
	}
	n = 0
	for id, size := range x.Packs() {
		want := int64(36)
		for _, b := range packs[n].Blobs {
			want += int64(b.Length) + 37
			if b.RawLength != 0 {
				want += 4
			}
		}
		if id != packs[n].ID || size != want || !x.HasPack(id) {
			t.Fatalf("pack %d: got %v of %d bytes, want %d", n, id, size, want)
		}
		n++
	}
	if n != len(packs) {
		t.Errorf("%d packs, want %d", n, len(packs))
	}
	for range x.Blobs() {
		break
	}
	for range x.Packs() {
		break
	}
}

func TestConflicts(t *testing.T) {
	t.Parallel()
	blob := func(n int, offset, length, raw uint32) Blob { return Blob{Handle{name(n), Data}, offset, length, raw} }
	a, b, c := blob(1, 0, 40, 0), blob(2, 40, 50, 60), blob(3, 90, 32, 0)
	for _, second := range [][]Blob{
		{a, b, c},
		{a},
		{},
		{a, a},
		{b, a, a},
		{a, c},
		{a, blob(2, 41, 50, 60)},
		{a, blob(2, 40, 51, 60)},
		{a, blob(2, 40, 50, 61)},
		{a, blob(3, 40, 50, 60)},
		{a, {Handle{b.ID, Tree}, 40, 50, 60}},
		{blob(2, 0, 40, 0), blob(1, 40, 50, 60)},
	} {
		x := New()
		x.Add(Pack{name(9), []Blob{a, b}})
		x.Add(Pack{name(9), []Blob{b, a}})
		if x.Conflicts() != nil || x.Len() != 2 {
			t.Fatalf("order matters: %v, %d", x.Conflicts(), x.Len())
		}
		x.Add(Pack{name(7), []Blob{a, b}})
		x.Add(Pack{name(7), second})
		x.Add(Pack{name(7), second})
		if got := x.Conflicts(); !slices.Equal(got, []chunk.ID{name(7)}) {
			t.Errorf("%v: conflicts %v", second, got)
		}
		for _, one := range append(second, a, b) {
			if !slices.Contains(x.Locations(one.Handle), Location{name(7), one}) {
				t.Errorf("%v: %v is lost", second, one)
			}
		}
		distinct := map[Blob]bool{a: true, b: true}
		for _, one := range second {
			distinct[one] = true
		}
		if x.Len() != 2+len(distinct) {
			t.Errorf("%v: %d blobs, want %d", second, x.Len(), 2+len(distinct))
		}
	}
}

// A hostile index repeats one blob without end, or uses ids that are alike.
func TestHostileIDs(t *testing.T) {
	t.Parallel()
	start := time.Now()
	same := Pack{ID: name(1), Blobs: make([]Blob, 25_000)}
	alike := Pack{ID: name(2), Blobs: make([]Blob, 200_000)}
	for i := range same.Blobs {
		same.Blobs[i] = Blob{Handle{name(0), Data}, uint32(i), 32, 0}
	}
	for i := range alike.Blobs {
		alike.Blobs[i] = Blob{Handle{chunk.ID{29: byte(i >> 16), 30: byte(i >> 8), 31: byte(i)}, Tree}, uint32(i), 32, 0}
	}
	x := New()
	x.Add(same)
	x.Add(alike)
	same.Blobs[7].Length = 33
	x.Add(same)
	for _, b := range alike.Blobs {
		if loc, ok := x.Lookup(b.Handle); !ok || loc.Blob != b {
			t.Fatalf("%v: got %v, %v", b, loc, ok)
		}
	}
	if got := len(x.Conflicts()); got != 1 {
		t.Errorf("%d conflicts", got)
	}
	// It takes a tenth of a second. Quadratic, it would be minutes.
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestConcurrent(t *testing.T) {
	t.Parallel()
	packs := somePacks(5000, 50)
	x := New()
	var wg sync.WaitGroup
	for worker := range 3 {
		wg.Go(func() {
			for i := range packs {
				x.Add(packs[(i*7+worker)%len(packs)])
			}
		})
		wg.Go(func() {
			for _, p := range packs {
				loc, ok := x.Lookup(p.Blobs[0].Handle)
				if ok && loc.Length < 32 {
					t.Error("half an entry")
				}
				x.HasPack(p.ID)
			}
			for range x.Blobs() {
			}
			for id := range x.Packs() {
				x.HasPack(id)
			}
		})
	}
	wg.Wait()
	if x.Len() != 5000 || x.Conflicts() != nil {
		t.Errorf("%d blobs, conflicts %v", x.Len(), x.Conflicts())
	}
	for loc := range x.Blobs() { // nothing is locked meanwhile
		x.Add(Pack{ID: loc.ID})
	}
}

func TestMemory(t *testing.T) {
	const n = 400_000
	p := Pack{Blobs: make([]Blob, 2000)}
	random := rand.NewChaCha8([32]byte{})
	var before, after runtime.MemStats
	x := New()
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range n / len(p.Blobs) {
		random.Read(p.ID[:])
		var end uint32
		for i := range p.Blobs {
			random.Read(p.Blobs[i].ID[:])
			length := 1000 + binary.LittleEndian.Uint32(p.Blobs[i].ID[:])%12000
			p.Blobs[i].Offset, p.Blobs[i].Length, p.Blobs[i].RawLength = end, length, 2*length
			end += length
		}
		x.Add(p)
	}
	x.Has(Handle{})
	runtime.GC()
	runtime.ReadMemStats(&after)
	if each := float64(after.HeapAlloc-before.HeapAlloc) / n; each > 45 {
		t.Errorf("%.1f bytes a blob", each)
	}
	h := p.Blobs[3].Handle
	if allocs := testing.AllocsPerRun(100, func() {
		if loc, ok := x.Lookup(h); !ok || !x.Has(h) || loc.ID != h.ID {
			t.Error("lost")
		}
	}); allocs != 0 {
		t.Errorf("%v allocations in a lookup", allocs)
	}
}

func TestDecodeAllocations(t *testing.T) {
	data := Append(nil, somePacks(10000, 500))
	allocs := testing.AllocsPerRun(3, func() {
		if err := new(Decoder).Decode(bytes.NewReader(data), func(Pack) error { return nil }); err != nil {
			t.Error(err)
		}
	})
	if allocs > 40 {
		t.Errorf("%v allocations for 10000 blobs", allocs)
	}
	packs, err := decodeAll(data)
	if err != nil || !reflect.DeepEqual(packs, somePacks(10000, 500)) {
		t.Errorf("not the same, %v", err)
	}
}

func BenchmarkDecode(b *testing.B) {
	data := Append(nil, somePacks(50000, 500))
	b.SetBytes(int64(len(data)))
	var d Decoder
	for b.Loop() {
		x := New()
		if err := d.Decode(bytes.NewReader(data), func(p Pack) error { x.Add(p); return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	packs := somePacks(50000, 500)
	var buf []byte
	for b.Loop() {
		buf = Append(buf[:0], packs)
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkLookup(b *testing.B) {
	x := New()
	packs := somePacks(1<<18, 500)
	for _, p := range packs {
		x.Add(p)
	}
	n := 0
	for b.Loop() {
		p := packs[n%len(packs)]
		n += 7
		if !x.Has(p.Blobs[n%len(p.Blobs)].Handle) {
			b.Fatal("lost")
		}
	}
}

func TestHolds(t *testing.T) {
	t.Parallel()
	x := New()
	h := Handle{ID: name(1)}
	b := Blob{Handle: h, Offset: 50, Length: 40}
	x.Add(Pack{ID: name(-1), Blobs: []Blob{b, {Handle: h, Length: 50}}})
	other := b
	other.RawLength = 7
	for _, c := range []struct {
		loc  Location
		want bool
	}{
		{Location{name(-1), b}, true},
		{Location{name(-1), Blob{Handle: h, Length: 50}}, true},
		{Location{name(-1), other}, false},
		{Location{name(-2), b}, false},
		{Location{name(-1), Blob{Handle: Handle{ID: name(2)}, Offset: 50, Length: 40}}, false},
	} {
		if got := x.Holds(c.loc); got != c.want {
			t.Errorf("%v: %v, want %v", c.loc, got, c.want)
		}
	}
}
