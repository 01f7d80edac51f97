// Package index knows where each blob lies: in which pack, at which place, how
// long.
//
//	x := index.New()
//	var d index.Decoder
//	err := d.Decode(src, func(p index.Pack) error { x.Add(p); return nil })
//	loc, ok := x.Lookup(index.Handle{ID: id, Type: index.Data})
//
// The JSON of index files is that of restic's design document, section
// "Indexing". The package has never heard of keys or of files: it is given
// decrypted bytes, and what it gives back must still be sealed.
package index

import (
	"fmt"

	"russet/chunk"
)

// BlobType tells the two kinds of blobs apart. The same bytes as data and as a
// tree are two blobs.
type BlobType uint8

// The types of blobs: content of files, and lists of nodes.
const (
	Data BlobType = iota
	Tree
)

// String returns the type as index files spell it.
func (t BlobType) String() string {
	switch t {
	case Data:
		return "data"
	case Tree:
		return "tree"
	}
	return fmt.Sprintf("BlobType(%d)", uint8(t))
}

// MarshalText returns the type as index files spell it.
func (t BlobType) MarshalText() ([]byte, error) {
	if t > Tree {
		return nil, fmt.Errorf("marshal blob type %d: unknown", uint8(t))
	}
	return []byte(t.String()), nil
}

// Handle names a blob.
type Handle struct {
	ID   chunk.ID
	Type BlobType
}

// String returns the type and the start of the id, for messages.
func (h Handle) String() string {
	return fmt.Sprintf("%v/%.8s", h.Type, h.ID)
}

// Blob is a blob and its place in a pack, in bytes. Length is that of the
// sealed blob. RawLength is the length of the plaintext of a compressed blob,
// and 0 for one that is stored as it is.
type Blob struct {
	Handle
	Offset    uint32
	Length    uint32
	RawLength uint32
}

// What a pack holds beside the plaintext (restic's design document, section
// "Pack Format"): the nonce and the tag around each sealed part, the length of
// the header at the end, and for each blob a header entry, which is longer for
// a compressed one.
const (
	sealOverhead         = 32
	trailerLength        = 4
	entryLength          = 37
	compressedEntryDelta = 4
)

// Size returns the length of the blob's plaintext in bytes.
func (b Blob) Size() int64 {
	if b.RawLength != 0 {
		return int64(b.RawLength)
	}
	return int64(b.Length) - sealOverhead
}

// packedSize returns by how much the blob makes its pack longer.
func (b Blob) packedSize() int64 {
	size := int64(b.Length) + entryLength
	if b.RawLength != 0 {
		size += compressedEntryDelta
	}
	return size
}

// Pack is a pack file and what it holds.
type Pack struct {
	ID    chunk.ID
	Blobs []Blob
}

// Location is where one copy of a blob lies.
type Location struct {
	Pack chunk.ID
	Blob
}
