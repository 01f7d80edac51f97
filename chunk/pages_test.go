package chunk

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash/crc64"
	"io"
	"slices"
	"testing"
)

// referencePages cuts a database in the plainest way.
func referencePages(p Pol, page int, data []byte) []int {
	table := crc64.MakeTable(uint64(p) | 1<<63)
	var cuts []int
	start, end := 0, 0
	for end+page <= len(data) {
		crc := crc64.Checksum(data[end:end+page], table)
		end += page
		held := end - start
		ends := held >= 4096 && crc%2 == 0 || held >= 8192
		if start >= 256<<20 {
			ends = held >= 32768 && crc%4 == 0 || held >= 49152
		}
		if ends {
			cuts = append(cuts, held)
			start = end
		}
	}
	for _, rest := range []int{end - start, len(data) - end} {
		if rest > 0 {
			cuts = append(cuts, rest)
		}
	}
	return cuts
}

func TestPageHash(t *testing.T) {
	t.Parallel()
	for i := range 20 {
		p, err := RandomPol()
		if err != nil {
			t.Fatal(err)
		}
		own, page := newPageHash(p), noise(byte(i), 512<<(i%8))
		want := crc64.Checksum(page, crc64.MakeTable(uint64(p)|1<<63))
		if got := own.sum(page); got != want {
			t.Errorf("polynomial %v, page of %d: %x, want %x", p, len(page), got, want)
		}
	}
}

func TestPageSize(t *testing.T) {
	t.Parallel()
	for size, want := range map[uint16]int{
		512: 512, 1024: 1024, 2048: 2048, 4096: 4096, 8192: 8192, 16384: 16384, 32768: 32768, 1: 65536,
		0: 0, 2: 0, 256: 0, 511: 0, 513: 0, 4097: 0, 0x1100: 0, 0xffff: 0,
	} {
		b := binary.BigEndian.AppendUint16([]byte("SQLite format 3\x00"), size)
		if got := pageSize(b); got != want {
			t.Errorf("page size field %d: %d, want %d", size, got, want)
		}
		if got := pageSize(b[:len(b)-1]); got != 0 {
			t.Errorf("header cut short: %d, want 0", got)
		}
	}
	for _, magic := range []string{"SQLite format 2\x00", "SQLite format 3 ", "sqlite format 3\x00", "\x00SQLite format 3"} {
		if got := pageSize([]byte(magic + "\x10\x00")); got != 0 {
			t.Errorf("%q: page size %d, want 0", magic, got)
		}
	}
}

func TestDatabaseCuts(t *testing.T) {
	t.Parallel()
	other, err := RandomPol()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []Pol{testPol, other} {
		s := newTestCutter(t, p).NewSplitter()
		for page := 512; page <= maxPage; page *= 2 {
			data := database(byte(page>>9), page, 1<<20)
			for _, size := range []int{
				18, 511, 512, page - 1, page, page + 1, 2*page - 1, 2 * page, 8192, 8193, firstBuffer, 300_000, 1<<20 - 1, 1 << 20,
			} {
				got := lengths(t, s, bytes.NewReader(data[:size]), data[:size])
				if want := referencePages(p, page, data[:size]); !slices.Equal(got, want) {
					t.Errorf("pages of %d, %d bytes: groups of %v bytes, want %v", page, size, got, want)
				}
			}
		}
	}
}

// What lies in the index and what an attacker sees: groups have the sizes that were meant, and the key matters.
func TestDatabaseGroupSizes(t *testing.T) {
	t.Parallel()
	data := database(1, 4096, 4<<20)
	a := lengths(t, newTestCutter(t, testPol).NewSplitter(), bytes.NewReader(data), data)
	count := map[int]int{}
	for _, n := range a {
		count[n]++
	}
	if len(count) != 2 || count[4096] < 300 || count[8192] < 300 {
		t.Errorf("groups by size: %v, want as many of 4096 as of 8192 bytes", count)
	}
	other, err := RandomPol()
	if err != nil {
		t.Fatal(err)
	}
	if b := lengths(t, newTestCutter(t, other).NewSplitter(), bytes.NewReader(data), data); slices.Equal(a, b) {
		t.Error("the cuts do not depend on the polynomial")
	}
}

// One page changed changes its group and at most the next few.
func TestDatabaseChangeIsLocal(t *testing.T) {
	t.Parallel()
	s := newTestCutter(t, testPol).NewSplitter()
	data := database(1, 4096, 4<<20)
	places := func() map[[2]int]bool {
		m, at := map[[2]int]bool{}, 0
		for _, n := range lengths(t, s, bytes.NewReader(data), data) {
			m[[2]int{at, n}] = true
			at += n
		}
		return m
	}
	before := places()
	copy(data[2<<20:], "changed")
	moved := 0
	for place := range places() {
		if !before[place] {
			moved++
		}
	}
	if moved > 20 {
		t.Errorf("%d of %d groups moved", moved, len(before))
	}
}

// repeat is an endless reader of one piece.
type repeat struct {
	piece []byte
	at    int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := copy(p, r.piece[r.at:])
	r.at = (r.at + n) % len(r.piece)
	return n, nil
}

// Beyond 256 MiB the groups are larger, and the place where they begin decides.
func TestDatabaseFar(t *testing.T) {
	t.Parallel()
	const page, size = 16 << 10, farOffset + 1<<20
	piece := database(1, page, 1<<20+page)
	s := newTestCutter(t, testPol).NewSplitter()
	s.Reset(io.LimitReader(&repeat{piece: piece}, size))
	at, near, far := 0, 0, []int(nil)
	var tail []byte
	for at < size {
		b, err := s.Next()
		if err != nil {
			t.Fatalf("at %d: %v", at, err)
		}
		if at < farOffset {
			near++
			if len(b) != page {
				t.Fatalf("%d bytes at %d, want %d", len(b), at, page)
			}
		} else {
			far, tail = append(far, len(b)), append(tail, b...)
		}
		at += len(b)
	}
	if near*page != farOffset || len(tail) != 1<<20 {
		t.Fatalf("%d near groups, then %d bytes", near, len(tail))
	}
	hash := newPageHash(testPol)
	sizes := map[int]bool{}
	for i, n := range far {
		if got := hash.group(tail, page, farOffset); got != n {
			t.Errorf("far group %d: %d bytes, want %d", i, n, got)
		}
		sizes[n] = true
		tail = tail[n:]
	}
	if !sizes[32<<10] || !sizes[48<<10] {
		t.Errorf("far groups of %v bytes, want 32 KiB and 48 KiB", far)
	}
}

// The two rules meet at 256 MiB, where the group begins.
func TestGroupOffset(t *testing.T) {
	t.Parallel()
	hash := newPageHash(testPol)
	for page := 512; page <= maxPage; page *= 2 {
		data := noise(byte(page>>9), 4*maxPage)
		for _, offset := range []int64{0, farOffset - 512, farOffset, farOffset + 512, 1 << 40} {
			low, high, mask := 4096, 8192, uint64(1)
			if offset >= 256<<20 {
				low, high, mask = 32768, 49152, 3
			}
			got := hash.group(data, page, offset)
			for n := page; n <= got; n += page {
				crc := crc64.Checksum(data[n-page:n], crc64.MakeTable(uint64(testPol)|1<<63))
				ends := n >= high || n >= low && crc&mask == 0
				if ends != (n == got) {
					t.Errorf("pages of %d at %d: group of %d bytes, and %d end one: %v", page, offset, got, n, ends)
				}
			}
			if got > maxPage || got == 0 {
				t.Errorf("pages of %d at %d: group of %d bytes", page, offset, got)
			}
		}
	}
}

// steady fills b with bytes that no version of Go will ever change: SplitMix64.
func steady(seed uint64, b []byte) {
	for i := range len(b) / 8 {
		seed += 0x9e3779b97f4a7c15
		z := (seed ^ seed>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		binary.LittleEndian.PutUint64(b[8*i:], z^z>>31)
	}
}

// tables returns a file of a database's look that never changes: pages with a header, room that is not used, and cells.
func tables(page, size int) []byte {
	data := make([]byte, size+8)
	steady(uint64(page), data)
	for at := 0; at+page <= size; at += page {
		clear(data[at+8 : at+page/2])
	}
	copy(data, database(0, page, sqliteHeader))
	return data[:size]
}

// digest returns the SHA-256 of lengths, each as 32 bits, big-endian.
func digest(lengths []int) string {
	h := sha256.New()
	for _, n := range lengths {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(n)))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// The cuts are fixed for ever: a repository that was written with others would store every file again.
func TestGoldenCuts(t *testing.T) {
	t.Parallel()
	s := newTestCutter(t, testPol).NewSplitter()
	ordinary := make([]byte, 8<<20)
	steady(0, ordinary)
	for _, c := range []struct {
		name  string
		data  []byte
		first []int
		all   string
	}{
		{
			"ordinary", ordinary,
			[]int{1285841, 609147, 536277, 939814, 759094, 1146182, 2257240, 855013},
			"d07df1c5c6f6dc68a123a102579d52cef1802c584a1f6b501c7ac7c6780c05c4",
		},
		{
			"pages of 512", tables(512, 1_000_100),
			[]int{5120, 5120, 4096, 4096, 5120, 4096, 4608, 4096},
			"2a1b330911a1c6c001d6ca327c03ae6799132dabc74d111cc6eb65f85ae32c9f",
		},
		{
			"pages of 1024", tables(1024, 1_000_100),
			[]int{8192, 6144, 4096, 4096, 6144, 4096, 7168, 5120},
			"a943609ac1b6dcb46d7830b751b17e40b69d57d3d1d8afc0ec7683dab3098db0",
		},
		{
			"pages of 4096", tables(4096, 1_000_100),
			[]int{4096, 4096, 8192, 8192, 8192, 4096, 4096, 4096},
			"312b98bf1275436d257d2635dc6b5c1b4dfb91b5b63952132b29a674c10338f7",
		},
		{
			"pages of 65536", tables(65536, 1_000_100),
			[]int{65536, 65536, 65536, 65536, 65536, 65536, 65536, 65536},
			"2ce0edf402248b3dc1229c1008233372b4a142c095195b92e9f4b163ab948f04",
		},
	} {
		got := lengths(t, s, bytes.NewReader(c.data), c.data)
		if !slices.Equal(got[:min(len(got), 8)], c.first) || digest(got) != c.all {
			t.Errorf("%s: cuts have changed: %#v, %q", c.name, got[:min(len(got), 8)], digest(got))
		}
	}
}

// The same beyond 256 MiB.
func TestGoldenFarCuts(t *testing.T) {
	t.Parallel()
	hash := newPageHash(testPol)
	for page, want := range map[int]string{
		512:   "48d456ed270a72fcdb31ffe26c3ed0f7f9c9fc73f1230eb37d16a6bfa6f0b198",
		4096:  "72ff6ab57685fb1035cfe950ad04c1999f15202641acb8a06182fe9023e93aa8",
		16384: "f74b8c4bf9aa2556814244016116157f17b755877628233875c40bfc0b13b583",
	} {
		var got []int
		for data := tables(page, 8<<20); len(data) > 0; data = data[got[len(got)-1]:] {
			got = append(got, hash.group(data, page, farOffset))
		}
		if digest(got) != want {
			t.Errorf("pages of %d: cuts have changed: %v, %q", page, got, digest(got))
		}
	}
}
