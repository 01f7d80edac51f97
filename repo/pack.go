package repo

import (
	"encoding/binary"
	"errors"
	"fmt"

	"russet/chunk"
	"russet/crypto"
	"russet/index"
)

// A pack file (restic design document, "Pack Format"):
//
//	sealed blob ... | sealed header | header length, uint32 little endian
//
// The header holds an entry a blob, in order and without gaps:
//
//	type 1 | length 4 | id 32             raw
//	type 1 | length 4 | raw length 4 | id 32   compressed
const (
	entrySize           = 1 + 4 + len(chunk.ID{})
	entryCompressedSize = entrySize + 4
	// packTarget is restic's default size of a pack. Packs end just below it,
	// so that their buffers need not grow.
	packTarget = 16 << 20
	// packRoom is what a pack's buffer grows to: blobs and the header of small
	// ones. It begins with firstRoom, since most sessions store little.
	packRoom  = packTarget + 1<<20
	firstRoom = 256 << 10
	// maxHeader is restic's limit of a header, and maxEntries what fits below it.
	maxHeader  = 16 << 20
	maxEntries = (maxHeader - crypto.Overhead) / entryCompressedSize
	// maxBlob bounds a blob's plaintext: a tree of a folder of a million files
	// has some 500 MB; data blobs end at 8 MiB.
	maxBlob = 1 << 30
	// maxSealed bounds its stored form: compression can make it a little larger.
	maxSealed = maxBlob + 1<<20
)

const (
	entryData = iota
	entryTree
	entryDataCompressed
	entryTreeCompressed
)

// pack is one pack being filled. It is not safe for concurrent use.
type pack struct {
	buf    []byte // sealed blobs so far
	blobs  []index.Blob
	lane   lane
	flight *flight // once it is handed on
}

// add appends a sealed blob. rawLength is 0 for a blob stored raw.
func (p *pack) add(h index.Handle, sealed []byte, rawLength int) {
	p.blobs = append(p.blobs, index.Blob{
		Handle: h,
		Offset: uint32(len(p.buf)), Length: uint32(len(sealed)), RawLength: uint32(rawLength),
	})
	p.buf = append(p.grown(len(sealed)), sealed...)
}

// grown returns the buffer with room for n more bytes. It grows fourfold, and
// to packRoom once a pack's blobs would fill it: the header has to follow.
func (p *pack) grown(n int) []byte {
	need := len(p.buf) + n
	if need <= cap(p.buf) {
		return p.buf
	}
	room := max(4*cap(p.buf), firstRoom)
	if room >= packTarget {
		room = packRoom
	}
	room = max(room, need)
	return append(make([]byte, 0, room), p.buf...)
}

// takes tells whether a blob of n sealed bytes still fits. One that is larger
// than any pack gets a pack for itself.
func (p *pack) takes(n int) bool {
	return len(p.blobs) == 0 || len(p.buf)+n <= packTarget && len(p.blobs) < maxEntries
}

// finish seals the header, reads it back and names the pack. The bytes are
// p.buf afterwards.
func (p *pack) finish(key *crypto.Key) (index.Pack, error) {
	header := appendHeader(make([]byte, 0, len(p.blobs)*entryCompressedSize), p.blobs)
	start := len(p.buf)
	p.buf = key.Seal(p.buf, header)
	p.buf = binary.LittleEndian.AppendUint32(p.buf, uint32(len(p.buf)-start))

	plain, err := key.Open(nil, p.buf[start:len(p.buf)-4])
	if err != nil {
		return index.Pack{}, fmt.Errorf("verify pack header: %w", errMemory)
	}
	again, err := parseHeader(plain)
	if err != nil {
		return index.Pack{}, fmt.Errorf("verify pack header: %w", err)
	}
	if !sameBlobs(again, p.blobs) || end(again) != int64(start) {
		return index.Pack{}, fmt.Errorf("verify pack header: %w", errMemory)
	}
	return index.Pack{ID: chunk.Sum(p.buf), Blobs: p.blobs}, nil
}

func appendHeader(dst []byte, blobs []index.Blob) []byte {
	for _, b := range blobs {
		typ := byte(entryData)
		if b.Type == index.Tree {
			typ = entryTree
		}
		if b.RawLength > 0 {
			typ += entryDataCompressed
		}
		dst = append(dst, typ)
		dst = binary.LittleEndian.AppendUint32(dst, b.Length)
		if b.RawLength > 0 {
			dst = binary.LittleEndian.AppendUint32(dst, b.RawLength)
		}
		dst = append(dst, b.ID[:]...)
	}
	return dst
}

// parseHeader reads an opened header; offsets follow from the lengths.
func parseHeader(h []byte) ([]index.Blob, error) {
	var blobs []index.Blob
	var offset uint64
	for len(h) > 0 {
		var b index.Blob
		switch h[0] {
		case entryData, entryDataCompressed:
			b.Type = index.Data
		case entryTree, entryTreeCompressed:
			b.Type = index.Tree
		default:
			return nil, fmt.Errorf("pack header: unknown blob type %d", h[0])
		}
		compressed := h[0] >= entryDataCompressed
		if len(h) < entrySize || compressed && len(h) < entryCompressedSize {
			return nil, errors.New("pack header: cut short")
		}
		b.Offset, b.Length = uint32(offset), binary.LittleEndian.Uint32(h[1:])
		h = h[5:]
		if compressed {
			b.RawLength = binary.LittleEndian.Uint32(h)
			h = h[4:]
		}
		h = h[copy(b.ID[:], h):]
		if b.Length < crypto.Overhead {
			return nil, fmt.Errorf("pack header: blob of %d bytes", b.Length)
		}
		if offset += uint64(b.Length); offset > 1<<32-1 {
			return nil, errors.New("pack header: pack over 4 GiB")
		}
		blobs = append(blobs, b)
	}
	return blobs, nil
}

// end is the offset at which the last of blobs ends.
func end(blobs []index.Blob) int64 {
	if len(blobs) == 0 {
		return 0
	}
	b := blobs[len(blobs)-1]
	return int64(b.Offset) + int64(b.Length)
}

func sameBlobs(a, b []index.Blob) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
