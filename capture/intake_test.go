package capture

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"russet/chunk"
)

// Lists of all lengths come back as they are, also where one fills a room or
// has one for itself.
func TestHoldings(t *testing.T) {
	t.Parallel()
	h := new(holdings)
	var want []held
	next := 0
	for round := range 3 {
		for _, n := range []int{-1, 0, 1, 2, roomIDs - 3, roomIDs, 0, 1, 3 * roomIDs, -1, 0, roomIDs - 1, 2, 0} {
			v := held{sum: uint64(round*100 + n)}
			if n >= 0 {
				v.ids = []chunk.ID{}
			}
			for range n {
				v.ids = append(v.ids, chunk.ID{byte(next), byte(next >> 8), byte(next >> 16)})
				next++
			}
			if n == 0 {
				v.data = []byte{byte(round)}
			}
			if got := h.add(v); got != uint32(len(want)) {
				t.Fatalf("slot %d: got %d", len(want), got)
			}
			want = append(want, v)
		}
	}
	last := held{ids: []chunk.ID{{1}}, sum: 7}
	h.set(1, last)
	last.data = want[1].data // which stays
	want[1] = last
	for i, w := range want {
		got := h.at(uint32(i))
		if !slices.Equal(got.ids, w.ids) || (got.ids == nil) != (w.ids == nil) || got.sum != w.sum || !slices.Equal(got.data, want[i].data) {
			t.Errorf("slot %d: got %d ids, sum %d, want %d, %d", i, len(got.ids), got.sum, len(w.ids), w.sum)
		}
	}
}

// Memory of whole files grows with them, keeps what is in it, and is used again
// for files of any length.
func TestSpareBuffers(t *testing.T) {
	t.Parallel()
	var s spareBuffers
	for i, n := range spares {
		s[i] = make(chan []byte, n)
	}
	for _, part := range []int{1, 700, 16 << 10, 100 << 10, 200 << 10, wholeFile} {
		var b, want []byte
		for i := 0; len(b)+part <= wholeFile && i < 40; i++ {
			piece := bytes.Repeat([]byte{byte(i + 1)}, part)
			b = append(s.grown(b, part), piece...)
			want = append(want, piece...)
			if !slices.Contains(bufferSizes[:], cap(b)) {
				t.Fatalf("parts of %d: got memory of %d bytes", part, cap(b))
			}
		}
		if !bytes.Equal(b, want) {
			t.Errorf("parts of %d: other bytes", part)
		}
		s.give(b)
	}
	for i := range s {
		if len(s[i]) == 0 {
			t.Errorf("no memory of %d bytes was kept", bufferSizes[i])
		}
	}
}

// A time of any year has a stamp, and one that is the same whenever it is taken.
func TestStamp(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"0001-01-01T00:00:00Z", "1600-01-01T00:00:00Z", "1970-01-01T00:00:00.000000001Z", "2025-03-01T08:00:00.123456789Z", "9999-12-31T23:59:59Z"} {
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			t.Fatal(err)
		}
		s := stampOf(at)
		if again := stampOf(s.time()); again != s {
			t.Errorf("%s: got %d, then %d", text, s, again)
		}
		if y := at.Year(); 1700 < y && y < 2200 && !s.time().Equal(at) {
			t.Errorf("%s: got %v", text, s.time())
		}
	}
}
