package chunk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/restic/chunker"
)

// lengths returns the lengths of the chunks of a stream, after it has compared their content with data.
func lengths(tb testing.TB, s *Splitter, r io.Reader, data []byte) []int {
	tb.Helper()
	var got []int
	rest := data
	s.Reset(r)
	for {
		b, err := s.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			tb.Fatalf("chunk %d: %v", len(got), err)
		}
		if len(b) == 0 || len(b) > MaxSize || !bytes.HasPrefix(rest, b) {
			tb.Fatalf("chunk %d of %d bytes at %d is not the stream's", len(got), len(b), len(data)-len(rest))
		}
		rest = rest[len(b):]
		got = append(got, len(b))
		clear(b[:cap(b)]) // the caller's; must not harm what follows
	}
	if len(rest) != 0 {
		tb.Fatalf("the last %d of %d bytes are missing", len(rest), len(data))
	}
	if b, err := s.Next(); len(b) != 0 || err != io.EOF {
		tb.Fatalf("Next after the end = %d bytes, %v", len(b), err)
	}
	return got
}

// reference returns the lengths of restic's chunks.
func reference(tb testing.TB, p Pol, data []byte) []int {
	tb.Helper()
	c := chunker.NewBase(chunker.Pol(p))
	var want []int
	for len(data) > 0 {
		n := c.NextSplitPoint(data)
		if n < 0 {
			n = len(data)
		}
		want = append(want, n)
		data = data[n:]
	}
	return want
}

// join returns the parts as one.
func join(parts ...[]byte) []byte { return slices.Concat(parts...) }

func TestSameCutsAsRestic(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	inputs := map[string][]byte{
		"random":          noise(1, 16*mib),
		"text":            bytes.Repeat([]byte("the quick brown fox jumps over the lazy dog\n"), 3*mib/44),
		"zeros":           make([]byte, 3*mib+5),
		"constant":        bytes.Repeat([]byte{0xa5}, 9*mib),
		"zeros, random":   join(make([]byte, mib+77), noise(2, 2*mib), make([]byte, 3*mib)),
		"random, zeros":   join(noise(3, 600_001), make([]byte, mib+77), noise(4, 700_000)),
		"period 64":       bytes.Repeat(noise(5, 64), 5*mib/64),
		"period 4096":     bytes.Repeat(noise(6, 4096), 5*mib/4096),
		"period 1000003":  bytes.Repeat(noise(7, 1_000_003), 5),
		"few bits":        fewBits(4 * mib),
		"almost database": join([]byte("SQLite format 3\x00\x10\x01"), noise(8, 3*mib)),
	}
	pols := []Pol{testPol}
	for range 3 {
		p, err := RandomPol()
		if err != nil {
			t.Fatal(err)
		}
		pols = append(pols, p)
	}
	for name, data := range inputs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i, p := range pols {
				part := data[i*(len(data)/16):] // one content, other places
				got := lengths(t, newTestCutter(t, p).NewSplitter(), bytes.NewReader(part), part)
				if want := reference(t, p, part); !slices.Equal(got, want) {
					t.Errorf("polynomial %v: chunks of %v bytes, want %v", p, got, want)
				}
			}
		})
	}
}

// fewBits returns data in which windows with a fingerprint of zero are common: mostly zeros.
func fewBits(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range n / 50 {
		b[i*50+r.IntN(50)] = 1 << r.IntN(8)
	}
	return b
}

// Many polynomials, at the length where it costs little.
func TestManyPolynomials(t *testing.T) {
	t.Parallel()
	data := join(noise(1, MinSize), fewBits(MinSize), noise(2, MinSize))
	for range 10 {
		p, err := RandomPol()
		if err != nil {
			t.Fatal(err)
		}
		got := lengths(t, newTestCutter(t, p).NewSplitter(), bytes.NewReader(data), data)
		if want := reference(t, p, data); !slices.Equal(got, want) {
			t.Errorf("polynomial %v: chunks of %v bytes, want %v", p, got, want)
		}
	}
}

// A window of zeros has the fingerprint zero, so it makes a cut wherever it is put: at every lane, at its edges, and twice.
func TestCutAnywhere(t *testing.T) {
	t.Parallel()
	const most = 6 * 4 * laneSize
	s := newTestCutter(t, testPol).NewSplitter()
	base := bytes.Repeat([]byte{0xa5}, MinSize+most)
	if got := lengths(t, s, bytes.NewReader(base), base); len(got) != 1 {
		t.Fatalf("the base is cut: %v", got)
	}
	var places []int
	for at := MinSize - windowSize; at < MinSize+most; at += 1021 {
		places = append(places, at)
	}
	for at := MinSize - 2; at < MinSize+most-3; at += laneSize {
		places = append(places, at, at+1, at+2, at+3)
	}
	data := make([]byte, len(base))
	for i, at := range places {
		copy(data, base)
		clear(data[at-windowSize : at])
		second := places[(i*7)%len(places)]
		clear(data[second-windowSize : second])
		got := lengths(t, s, bytes.NewReader(data), data)
		if want := reference(t, testPol, data); !slices.Equal(got, want) {
			t.Fatalf("zeros before %d and %d: chunks of %v bytes, want %v", at, second, got, want)
		}
	}
}

// A stream in memory is cut as one that is read, whatever came before it, and no byte of it is copied.
func TestResetBytes(t *testing.T) {
	t.Parallel()
	read, whole := newTestCutter(t, testPol).NewSplitter(), newTestCutter(t, testPol).NewSplitter()
	database := append([]byte("SQLite format 3\x00\x10\x00"), noise(1, 3*MinSize)...)
	for _, data := range [][]byte{nil, {7}, noise(2, 3*MaxSize), database, noise(3, MinSize), make([]byte, 2*MaxSize+1)} {
		want := lengths(t, read, bytes.NewReader(data), data)
		whole.ResetBytes(data)
		rest := data
		for i, n := range append(want, 0) {
			b, err := whole.Next()
			if len(b) != n || (err == io.EOF) != (i == len(want)) || n > 0 && &b[0] != &rest[0] {
				t.Fatalf("chunk %d of %d bytes: got %d, %v, or a copy; want %d", i, len(data), len(b), err, n)
			}
			rest = rest[n:]
		}
		kept := bytes.Clone(data)
		lengths(t, whole, bytes.NewReader(database), database)
		if !bytes.Equal(data, kept) {
			t.Fatal("what lay in memory is written to by the next stream")
		}
	}
}

func TestEdgeSizes(t *testing.T) {
	t.Parallel()
	s := newTestCutter(t, testPol).NewSplitter()
	for _, data := range [][]byte{bytes.Repeat([]byte{0xa5}, MaxSize+MinSize), make([]byte, 2*MinSize+9), noise(1, 2*MinSize+9)} {
		for _, size := range []int{
			0, 1, 63, 64, 65, firstBuffer - 1, firstBuffer, firstBuffer + 1, MinSize - 65, MinSize - 64, MinSize - 1, MinSize,
			MinSize + 1, MinSize + 63, MinSize + 64, 2*MinSize - 1, 2 * MinSize, 2*MinSize + 1, MaxSize - 1, MaxSize, MaxSize + 1,
			MaxSize + MinSize,
		} {
			if size > len(data) {
				continue
			}
			got := lengths(t, s, bytes.NewReader(data[:size]), data[:size])
			if want := reference(t, testPol, data[:size]); !slices.Equal(got, want) {
				t.Errorf("%d bytes of %x: chunks of %v bytes, want %v", size, data[0], got, want)
			}
		}
	}
}

// shortReader returns few bytes at a time, sometimes none, and the end together with the last ones or after them.
type shortReader struct {
	data []byte
	most int
	rand *rand.Rand
}

func (r *shortReader) Read(p []byte) (int, error) {
	if len(r.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), r.rand.IntN(r.most+1))], r.data)
	r.data = r.data[n:]
	if len(r.data) == 0 && r.rand.IntN(2) == 0 {
		return n, io.EOF
	}
	return n, nil
}

func TestReadersThatReturnLittle(t *testing.T) {
	t.Parallel()
	for name, data := range map[string][]byte{
		"ordinary": join(noise(1, 3<<20), make([]byte, 1<<20)),
		"database": database(1, 4096, 2<<20+100),
		"small":    noise(1, 1000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newTestCutter(t, testPol)
			want := lengths(t, c.NewSplitter(), bytes.NewReader(data), data)
			for most := 1; most <= 1<<20; most *= 31 {
				r := &shortReader{data, most, rand.New(rand.NewPCG(1, uint64(most)))}
				if most == 1 {
					r.data = data[:min(len(data), 10_000)]
				}
				got := lengths(t, c.NewSplitter(), r, r.data)
				if most > 1 && !slices.Equal(got, want) {
					t.Errorf("reads of at most %d bytes: chunks of %v bytes, want %v", most, got, want)
				}
			}
			for name, r := range map[string]io.Reader{
				"half":     iotest.HalfReader(bytes.NewReader(data)),
				"with end": iotest.DataErrReader(bytes.NewReader(data)),
			} {
				if got := lengths(t, c.NewSplitter(), r, data); !slices.Equal(got, want) {
					t.Errorf("%s: chunks of %v bytes, want %v", name, got, want)
				}
			}
		})
	}
}

func TestReadError(t *testing.T) {
	t.Parallel()
	s := newTestCutter(t, testPol).NewSplitter()
	if _, err := s.Next(); err == nil || err == io.EOF {
		t.Errorf("Next before Reset = %v, want an error", err)
	}
	broken := errors.New("cable pulled")
	for _, before := range [][]byte{nil, noise(1, 100), noise(1, 3*MinSize), database(1, 4096, 100_000), database(1, 4096, 4096)} {
		s.Reset(io.MultiReader(bytes.NewReader(before), iotest.ErrReader(broken)))
		total := 0
		for {
			b, err := s.Next()
			total += len(b)
			if err == io.EOF {
				t.Fatalf("%d bytes and an error end like a whole file", len(before))
			}
			if err != nil {
				if err != broken {
					t.Errorf("after %d bytes: %v, want %v", len(before), err, broken)
				}
				break
			}
		}
		if total > len(before) {
			t.Errorf("%d bytes of %d", total, len(before))
		}
		if b, err := s.Next(); len(b) != 0 || err != broken {
			t.Errorf("Next after the error = %d bytes, %v", len(b), err)
		}
	}
	s.Reset(readerFunc(func([]byte) (int, error) { return 0, nil }))
	if _, err := s.Next(); err != io.ErrNoProgress {
		t.Errorf("a reader that returns nothing gives %v, want %v", err, io.ErrNoProgress)
	}
	data := noise(1, 100)
	if got := lengths(t, s, bytes.NewReader(data), data); len(got) != 1 {
		t.Errorf("after errors and Reset: chunks of %v bytes", got)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Most files are small: they must not cost what large ones do.
func TestBufferAndReads(t *testing.T) {
	t.Parallel()
	s := newTestCutter(t, testPol).NewSplitter()
	for _, step := range []struct {
		size, buffer, reads int
	}{
		{0, firstBuffer, 1},
		{10_000, firstBuffer, 2},
		{firstBuffer - 1, firstBuffer, 2},
		{MinSize - 1, 1 << 20, 4}, // the buffer grows twice on the way
		{MinSize - 1, 1 << 20, 2},
		{10_000, 1 << 20, 2},
		{2*MaxSize + 1, MaxSize, 40},
		{10_000, MaxSize, 2},
	} {
		data := bytes.Repeat([]byte{0xa5}, step.size)
		r, reads := bytes.NewReader(data), 0
		lengths(t, s, readerFunc(func(p []byte) (int, error) { reads++; return r.Read(p) }), data)
		if len(s.buf) != step.buffer || reads > step.reads {
			t.Errorf("%d bytes: a buffer of %d bytes and %d reads, want %d and at most %d",
				step.size, len(s.buf), reads, step.buffer, step.reads)
		}
	}

	// A database of a few groups must not live in the smallest buffer, moving nearly all of it for every group.
	data, reads := database(1, 4096, 4<<20), 0
	r := bytes.NewReader(data)
	lengths(t, newTestCutter(t, testPol).NewSplitter(), readerFunc(func(p []byte) (int, error) { reads++; return r.Read(p) }), data)
	if reads > 30 {
		t.Errorf("%d reads for a database of %d bytes", reads, len(data))
	}
}

func TestAllocations(t *testing.T) { // not parallel: it counts those of the whole process
	s := newTestCutter(t, testPol).NewSplitter()
	data, r := noise(1, 200_000), bytes.NewReader(nil)
	if n := testing.AllocsPerRun(10, func() { r.Reset(data); lengths(t, s, r, data) }); n > 1 {
		t.Errorf("%v allocations a file, want only the test's own", n)
	}
}

// A phone does not send lengths, and files grow: what was cut before must not depend on what comes after.
func TestCutsDoNotDependOnLength(t *testing.T) {
	t.Parallel()
	s := newTestCutter(t, testPol).NewSplitter()
	for name, data := range map[string][]byte{"ordinary": noise(1, 4<<20), "database": database(1, 1024, 300_000)} {
		whole := lengths(t, s, bytes.NewReader(data), data)
		for i := range 16 {
			short := data[:len(data)-i*i*971]
			got := lengths(t, s, bytes.NewReader(short), short)
			same := 0
			for same < len(got) && got[same] == whole[same] {
				same++
			}
			// What differs is one unfinished chunk, and behind unfinished pages the odd tail.
			if len(got)-same > 2 {
				t.Errorf("%s, %d bytes of %d: chunks of %v bytes, want %v", name, len(short), len(data), got, whole)
			}
		}
	}
}

// FuzzSplitter cuts what arises from repeating a piece: no byte may be lost, and the cuts must be the reference's.
func FuzzSplitter(f *testing.F) {
	f.Add([]byte(""), uint16(1), uint16(1))
	f.Add([]byte("a"), uint16(60000), uint16(4096))
	f.Add(noise(1, 1000), uint16(2000), uint16(999))
	f.Add(database(1, 512, 5000), uint16(3), uint16(512))
	f.Add(database(1, 65536, 100), uint16(3000), uint16(7777))
	f.Add(join([]byte(strings.Repeat("x", 700)), make([]byte, 64)), uint16(1500), uint16(60000))
	c, err := NewCutter(testPol)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, piece []byte, times, most uint16) {
		if len(piece)*int(times) > 3<<20 {
			t.Skip(fmt.Sprint("too long: ", len(piece), times))
		}
		data := bytes.Repeat(piece, int(times))
		want := reference(t, testPol, data)
		if page := pageSize(data); page != 0 {
			want = referencePages(testPol, page, data)
		}
		s := c.NewSplitter()
		if got := lengths(t, s, bytes.NewReader(data), data); !slices.Equal(got, want) {
			t.Errorf("chunks of %v bytes, want %v", got, want)
		}
		r := &shortReader{data, max(100, int(most)), rand.New(rand.NewPCG(1, uint64(most)))}
		if got := lengths(t, s, r, data); !slices.Equal(got, want) {
			t.Errorf("short reads: chunks of %v bytes, want %v", got, want)
		}
	})
}
