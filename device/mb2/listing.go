package mb2

import (
	"encoding/binary"
	"math"
	"time"
	"unicode/utf16"
)

// The message that answers DLContentsOfDirectory is written here without a
// property list's library: a phone reads the listings of all its files twice in
// each run, and this takes a twentieth of the time. The format is that of Apple's
// CFBinaryPList.c: "bplist00", objects, a table of their offsets, a trailer.

// Objects of the message, by their number. Those of the entries follow, four
// for each: its name, its dictionary, its size and its time.
const (
	listingArray = iota
	listingMessage
	listingStatus
	listingText
	listingDict
	listingTypeKey
	listingSizeKey
	listingTimeKey
	listingDirectory
	listingRegular
	listingEntries
	objectsPerEntry = 4
)

// listing is a binary property list that is being written.
type listing struct {
	b       []byte
	offsets []int
	ref     int // length of a reference to an object, in bytes
}

// encodeListing returns the DLMessageStatusResponse with these entries.
func encodeListing(entries []Entry) []byte {
	objects := listingEntries + objectsPerEntry*len(entries)
	l := listing{
		b: append(make([]byte, 0, 256+128*len(entries)), "bplist00"...), offsets: make([]int, 0, objects),
		ref: width(objects),
	}
	l.object()
	l.head(0xA0, listingDict-listingArray)
	for i := listingMessage; i <= listingDict; i++ {
		l.reference(i)
	}
	l.text("DLMessageStatusResponse")
	l.integer(int64(StatusOK))
	l.text(Text)
	l.object()
	l.head(0xD0, len(entries))
	for _, part := range []int{0, 1} { // first all keys, then all values
		for i := range entries {
			l.reference(listingEntries + objectsPerEntry*i + part)
		}
	}
	for _, s := range []string{
		"DLFileType", "DLFileSize", "DLFileModificationDate", "DLFileTypeDirectory", "DLFileTypeRegular",
	} {
		l.text(s)
	}
	for i, e := range entries {
		l.entry(listingEntries+objectsPerEntry*i, e)
	}
	return l.end()
}

// entry writes the four objects of an entry, the first of which has this number.
func (l *listing) entry(number int, e Entry) {
	kind := listingRegular
	if e.Dir {
		kind = listingDirectory
	}
	l.text(e.Name)
	l.object()
	l.head(0xD0, 3)
	for _, n := range []int{listingTypeKey, listingSizeKey, listingTimeKey, kind, number + 2, number + 3} {
		l.reference(n)
	}
	l.integer(max(e.Size, 0))
	l.object()
	l.b = append(l.b, 0x33)
	epoch := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	seconds := float64(e.ModTime.Unix()-epoch) + float64(e.ModTime.Nanosecond())/1e9
	l.b = binary.BigEndian.AppendUint64(l.b, math.Float64bits(seconds))
}

// end writes the table of offsets and the trailer.
func (l *listing) end() []byte {
	table := len(l.b)
	size := width(table)
	for _, o := range l.offsets {
		l.b = appendUint(l.b, uint64(o), size)
	}
	l.b = append(l.b, 0, 0, 0, 0, 0, 0, byte(size), byte(l.ref))
	for _, n := range []int{len(l.offsets), listingArray, table} {
		l.b = binary.BigEndian.AppendUint64(l.b, uint64(n))
	}
	return l.b
}

// object begins the next object.
func (l *listing) object() { l.offsets = append(l.offsets, len(l.b)) }

// head writes the byte that tells an object's kind and how many it holds.
func (l *listing) head(kind byte, n int) {
	if n < 15 {
		l.b = append(l.b, kind|byte(n))
		return
	}
	l.b = append(l.b, kind|15)
	l.number(uint64(n))
}

// number writes a number that is not negative in the shortest form.
func (l *listing) number(n uint64) {
	switch {
	case n < 1<<8:
		l.b = appendUint(append(l.b, 0x10), n, 1)
	case n < 1<<16:
		l.b = appendUint(append(l.b, 0x11), n, 2)
	case n < 1<<32:
		l.b = appendUint(append(l.b, 0x12), n, 4)
	default:
		l.b = appendUint(append(l.b, 0x13), n, 8)
	}
}

func (l *listing) integer(n int64) {
	l.object()
	l.number(uint64(n))
}

func (l *listing) reference(n int) { l.b = appendUint(l.b, uint64(n), l.ref) }

// text writes a string: ASCII where it is that, else UTF-16.
func (l *listing) text(s string) {
	l.object()
	for i := range len(s) {
		if s[i] >= 0x80 {
			units := utf16.Encode([]rune(s))
			l.head(0x60, len(units))
			for _, u := range units {
				l.b = binary.BigEndian.AppendUint16(l.b, u)
			}
			return
		}
	}
	l.head(0x50, len(s))
	l.b = append(l.b, s...)
}

// width returns how many bytes a number up to n takes: 1, 2, 4 or 8.
func width(n int) int {
	switch {
	case n < 1<<8:
		return 1
	case n < 1<<16:
		return 2
	case int64(n) < 1<<32:
		return 4
	}
	return 8
}

func appendUint(b []byte, n uint64, size int) []byte {
	for i := size - 1; i >= 0; i-- {
		b = append(b, byte(n>>(8*i)))
	}
	return b
}
