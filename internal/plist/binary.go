package plist

import (
	"errors"
	"fmt"
)

// The binary format: "bplist00", objects, a table of their offsets, and a trailer of 32 bytes (CFBinaryPList.c of
// Apple's CoreFoundation describes it).
const (
	headerSize  = 8
	trailerSize = 32
)

// Kinds of object: the upper half of the byte that opens one.
const (
	kindSimple = 0x0
	kindInt    = 0x1
	kindReal   = 0x2
	kindDate   = 0x3
	kindData   = 0x4
	kindASCII  = 0x5
	kindUTF16  = 0x6
	kindUID    = 0x8
	kindArray  = 0xa
	kindDict   = 0xd
)

var (
	errTruncated = errors.New("truncated binary property list")
	errCycle     = errors.New("collection holds itself")
	errDepth     = fmt.Errorf("nested deeper than %d", maxDepth)
	errValues    = fmt.Errorf("more than %d values", maxValues)
	errOverlap   = errors.New("objects overlap")
)

// extent is what is known of one object.
type extent struct {
	height int32 // levels of collections below and with it; -1 while it is being measured, 0 before
	values int32 // values that decoding it makes
}

// graph walks a binary property list before anything is built from it.
type graph struct {
	data     []byte // up to the offset table
	table    []byte
	offsets  int // bytes of an offset
	refs     int // bytes of a reference
	objects  []extent
	consumed int // bytes of all objects so far: more than there are when they overlap
}

// checkBinary returns an error where decoding data could recurse too deep or allocate out of proportion: references
// may form cycles, and an object that is referred to twice is decoded twice, at every level.
func checkBinary(data []byte) error {
	if len(data) < headerSize+trailerSize {
		return errTruncated
	}
	trailer := data[len(data)-trailerSize:]
	g := graph{offsets: int(trailer[6]), refs: int(trailer[7])}
	count, top, start := number(trailer[8:16]), number(trailer[16:24]), number(trailer[24:32])
	end := uint64(len(data) - trailerSize)
	switch {
	case g.offsets < 1 || g.offsets > 8 || g.refs < 1 || g.refs > 8:
		return errTruncated
	case start < headerSize || start > end || count > (end-start)/uint64(g.offsets) || top >= count:
		return errTruncated
	case count > maxValues:
		return errValues
	}
	g.data, g.table = data[:start], data[start:end]
	g.objects = make([]extent, count)
	_, err := g.measure(top, 0)
	return err
}

// number reads a big-endian number of up to 8 bytes.
func number(b []byte) uint64 {
	var n uint64
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n
}

// measure visits an object that stands under depth collections, and all below it.
func (g *graph) measure(ref uint64, depth int) (extent, error) {
	if ref >= uint64(len(g.objects)) {
		return extent{}, errTruncated
	}
	e := &g.objects[ref]
	switch {
	case e.height < 0:
		return extent{}, errCycle
	case e.height > 0:
		if depth+int(e.height) > maxDepth {
			return extent{}, errDepth
		}
		return *e, nil
	case depth >= maxDepth:
		return extent{}, errDepth
	}
	e.height = -1
	items, err := g.open(ref)
	if err != nil {
		return extent{}, err
	}
	height, values := int32(0), int32(1)
	for ; len(items) > 0; items = items[g.refs:] {
		child, err := g.measure(number(items[:g.refs]), depth+1)
		if err != nil {
			return extent{}, err
		}
		height = max(height, child.height)
		if values += child.values; values > maxValues { // both are at most maxValues: no overflow
			return extent{}, errValues
		}
	}
	*e = extent{height: height + 1, values: values}
	return *e, nil
}

// open checks that an object lies inside the file, and returns the references that it holds.
func (g *graph) open(ref uint64) ([]byte, error) {
	at := number(g.table[int(ref)*g.offsets:][:g.offsets])
	if at < headerSize || at >= uint64(len(g.data)) {
		return nil, errTruncated
	}
	kind, low := g.data[at]>>4, uint64(g.data[at]&0xf)
	at++
	var size uint64
	switch kind {
	case kindSimple:
	case kindInt, kindReal, kindDate:
		size = 1 << low
	case kindUID:
		size = low + 1
	case kindData, kindASCII, kindUTF16, kindArray, kindDict:
		var err error
		if low, at, err = g.count(low, at); err != nil {
			return nil, err
		}
		size = low * g.itemSize(kind)
	default:
		return nil, fmt.Errorf("object of unknown kind %#x", kind)
	}
	if size > uint64(len(g.data))-at {
		return nil, errTruncated
	}
	if g.consumed += 1 + int(size); g.consumed > len(g.data) {
		return nil, errOverlap
	}
	if kind == kindArray || kind == kindDict {
		return g.data[at:][:size], nil
	}
	return nil, nil
}

// count returns the number of items of an object and where they start: a small number stands in the first byte, a
// larger one in an integer behind it. It is at most the length of the file.
func (g *graph) count(low, at uint64) (n, start uint64, err error) {
	if low < 0xf {
		return low, at, nil
	}
	if at >= uint64(len(g.data)) || g.data[at]>>4 != kindInt || g.data[at]&0xf > 3 {
		return 0, 0, errTruncated
	}
	size := uint64(1) << (g.data[at] & 0xf)
	at++
	if size > uint64(len(g.data))-at {
		return 0, 0, errTruncated
	}
	if n = number(g.data[at:][:size]); n > uint64(len(g.data)) {
		return 0, 0, errTruncated
	}
	return n, at + size, nil
}

// itemSize returns how many bytes an item takes: a byte, a character, a reference, a key and a value.
func (g *graph) itemSize(kind byte) uint64 {
	switch kind {
	case kindUTF16:
		return 2
	case kindArray:
		return uint64(g.refs)
	case kindDict:
		return 2 * uint64(g.refs)
	}
	return 1
}
