package chunk

import (
	"bytes"
	"encoding/binary"
	"hash/crc64"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/restic/chunker"
)

// testPol is the polynomial of restic/chunker's own tests.
const testPol = Pol(0x3DA3358B4DC173)

// noise returns n bytes that depend on the seed only.
func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// newTestCutter returns the cutter of a polynomial that is known to be good.
func newTestCutter(tb testing.TB, p Pol) *Cutter {
	tb.Helper()
	c, err := NewCutter(p)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// database returns n bytes that begin as a SQLite file of the page size does.
func database(seed byte, page, n int) []byte {
	b := noise(seed, n)
	copy(b, sqliteMagic)
	binary.BigEndian.PutUint16(b[sqlitePageSize:], uint16(page%65535))
	return b
}

func benchmarkSplitter(b *testing.B, data []byte) {
	s := newTestCutter(b, testPol).NewSplitter()
	r := bytes.NewReader(nil)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(data)
		s.Reset(r)
		for {
			if _, err := s.Next(); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkSplitter(b *testing.B) {
	b.Run("large", func(b *testing.B) { benchmarkSplitter(b, noise(1, 64<<20)) })
	b.Run("small", func(b *testing.B) { benchmarkSplitter(b, noise(1, 10<<10)) })
	b.Run("database", func(b *testing.B) { benchmarkSplitter(b, database(1, 4096, 32<<20)) })
}

// BenchmarkReference is what BenchmarkSplitter/large is compared with.
func BenchmarkReference(b *testing.B) {
	data, buf := noise(1, 64<<20), make([]byte, MaxSize)
	c := chunker.New(bytes.NewReader(nil), chunker.Pol(testPol))
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		c.Reset(bytes.NewReader(data), chunker.Pol(testPol))
		for {
			if _, err := c.Next(buf); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkPageHash(b *testing.B) {
	page := noise(1, 4096)
	b.Run("own", func(b *testing.B) {
		t := newPageHash(testPol)
		b.SetBytes(int64(len(page)))
		for b.Loop() {
			t.sum(page)
		}
	})
	b.Run("library", func(b *testing.B) {
		t := crc64.MakeTable(uint64(testPol) | 1<<63)
		b.SetBytes(int64(len(page)))
		for b.Loop() {
			crc64.Checksum(page, t)
		}
	})
}
