package chunk

import (
	"encoding/binary"
	"hash/crc64"
	"math/bits"
)

// The cuts of SQLite files. All numbers are part of the format, fixed for ever.
//
// A group of pages ends after the first page at which it holds at least min bytes and either the low bits of the page's
// keyed CRC-64 are clear or it holds at least max bytes. Groups that start farther than farOffset into the file are
// larger, because every chunk costs room in the index and in its file's list of chunks.
const (
	farOffset = 256 << 20

	nearMin, nearMax, nearMask = 4 << 10, 8 << 10, 1
	farMin, farMax, farMask    = 32 << 10, 48 << 10, 3

	// maxPage is the largest page of SQLite, and no group is larger: all sizes are powers of two.
	maxPage = 64 << 10
)

// The beginning of the header: "SQLite format 3", NUL, and the page size (sqlite.org/fileformat2.html, section 1.3).
const (
	sqliteMagic    = "SQLite format 3\x00"
	sqlitePageSize = len(sqliteMagic)
	sqliteHeader   = sqlitePageSize + 2
)

// pageSize returns the page size in bytes if b begins as a SQLite file does, otherwise 0.
func pageSize(b []byte) int {
	if len(b) < sqliteHeader || string(b[:len(sqliteMagic)]) != sqliteMagic {
		return 0
	}
	n := int(binary.BigEndian.Uint16(b[sqlitePageSize:]))
	if n == 1 { // 65536 does not fit into two bytes
		return maxPage
	}
	if n < 512 || bits.OnesCount(uint(n)) != 1 {
		return 0
	}
	return n
}

// pageHash is the keyed CRC-64 of pages: that of hash/crc64 for crc64.MakeTable(pol | 1<<63). The standard library would
// make the seven additional tables for every page anew, as it keeps them for its own two polynomials only.
type pageHash [8]crc64.Table

func newPageHash(p Pol) pageHash {
	var t pageHash
	t[0] = *crc64.MakeTable(uint64(p) | 1<<63)
	for i := range t[0] {
		crc := t[0][i]
		for k := 1; k < len(t); k++ {
			crc = t[0][byte(crc)] ^ crc>>8
			t[k][i] = crc
		}
	}
	return t
}

// sum returns the checksum of a page, whose length must be a multiple of eight.
func (t *pageHash) sum(page []byte) uint64 {
	crc := ^uint64(0)
	for ; len(page) >= 8; page = page[8:] {
		crc ^= binary.LittleEndian.Uint64(page)
		crc = t[7][byte(crc)] ^ t[6][byte(crc>>8)] ^ t[5][byte(crc>>16)] ^ t[4][byte(crc>>24)] ^
			t[3][byte(crc>>32)] ^ t[2][byte(crc>>40)] ^ t[1][byte(crc>>48)] ^ t[0][byte(crc>>56)]
	}
	return ^crc
}

// group returns the length of the group of pages at the beginning of b, which lies offset bytes into the file. If b ends
// before the group does, it is what b holds of whole pages, and 0 if b is shorter than one.
func (t *pageHash) group(b []byte, page int, offset int64) int {
	low, high, mask := nearMin, nearMax, uint64(nearMask)
	if offset >= farOffset {
		low, high, mask = farMin, farMax, farMask
	}
	n := 0
	for len(b)-n >= page {
		n += page
		if n >= high || n >= low && t.sum(b[n-page:n])&mask == 0 {
			break
		}
	}
	return n
}
