package index

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"russet/internal/jsontext"
)

// maxPackBlobs is the number of blobs that fit into the header of a pack, which
// is limited to 16 MiB. More would be an attempt to use up memory.
const maxPackBlobs = (16 << 20) / entryLength

var (
	errType    = errors.New("unknown blob type")
	errTwice   = errors.New("key given twice")
	errMissing = errors.New("key missing")
	errCount   = errors.New("more blobs than a pack can hold")
	errBounds  = errors.New("blob lies outside of a pack")
	errShort   = errors.New("blob is shorter than its seal")
)

// Keys of a blob, as bits.
const (
	keyID = 1 << iota
	keyType
	keyOffset
	keyLength
	keyRawLength
	keyBlobs
)

// Decoder reads index files, one after the other, each of them bit by bit in
// memory that it keeps. The zero value is ready for use. It is not safe for
// concurrent use.
type Decoder struct {
	s       jsontext.Scanner
	pack    Pack
	yield   func(Pack) error
	stopped error // what yield returned
}

// Decode reads an index file and calls yield for each pack. The blobs of a pack
// are only valid during the call. An error of yield ends the reading and is
// returned as it is.
//
// Unknown keys are skipped, as are supersedes, packs_to_delete and what else
// others have put there. The error is not nil when src gives one, when what it
// gives is not JSON, when an id or a type is not one, or when a length or place
// is impossible; packs that stand before the fault have been given to yield by
// then.
func (d *Decoder) Decode(src io.Reader, yield func(Pack) error) error {
	d.yield, d.stopped = yield, nil
	d.s.ResetReader(src)
	for d.s.Object(); d.s.More(); {
		if string(d.s.Key()) == "packs" {
			d.packs()
		} else {
			d.s.Skip()
		}
	}
	if err := d.s.End(); d.stopped == nil && err != nil {
		return fmt.Errorf("decode index: %w", err)
	}
	return d.stopped
}

func (d *Decoder) packs() {
	if d.s.Null() {
		return // an index without packs, as restic writes it
	}
	for d.s.Array(); d.s.More(); {
		if !d.readPack() {
			return
		}
		if err := d.yield(d.pack); err != nil {
			d.stopped = err
			d.s.Fail(err)
			return
		}
	}
}

// once notes that key was seen in the object whose keys are seen.
func (d *Decoder) once(seen *int, key int) {
	if *seen&key != 0 {
		d.s.Fail(errTwice)
	}
	*seen |= key
}

// readPack reads a pack into d.pack and reports whether there was no error.
func (d *Decoder) readPack() bool {
	d.pack.Blobs = d.pack.Blobs[:0]
	var seen int
	for d.s.Object(); d.s.More(); {
		switch string(d.s.Key()) {
		case "id":
			d.once(&seen, keyID)
			d.s.Hex(d.pack.ID[:])
		case "blobs":
			d.once(&seen, keyBlobs)
			d.blobs()
		default:
			d.s.Skip()
		}
	}
	if d.s.Err() == nil && seen&keyID == 0 {
		d.s.Fail(errMissing)
	}
	return d.s.Err() == nil
}

func (d *Decoder) blobs() {
	if d.s.Null() {
		return
	}
	for d.s.Array(); d.s.More(); {
		if len(d.pack.Blobs) == maxPackBlobs {
			d.s.Fail(errCount)
			return
		}
		d.pack.Blobs = append(d.pack.Blobs, Blob{})
		d.blob(&d.pack.Blobs[len(d.pack.Blobs)-1])
	}
}

func (d *Decoder) blob(b *Blob) {
	var seen int
	for d.s.Object(); d.s.More(); {
		switch string(d.s.Key()) {
		case "id":
			d.once(&seen, keyID)
			d.s.Hex(b.ID[:])
		case "type":
			d.once(&seen, keyType)
			b.Type = d.blobType()
		case "offset":
			d.once(&seen, keyOffset)
			b.Offset = uint32(d.s.Uint(math.MaxUint32))
		case "length":
			d.once(&seen, keyLength)
			b.Length = uint32(d.s.Uint(math.MaxUint32))
		case "uncompressed_length":
			d.once(&seen, keyRawLength)
			b.RawLength = uint32(d.s.Uint(math.MaxUint32))
		default:
			d.s.Skip()
		}
	}
	const needed = keyID | keyType | keyOffset | keyLength
	switch {
	case d.s.Err() != nil:
	case seen&needed != needed:
		d.s.Fail(errMissing)
	case b.Length < sealOverhead:
		d.s.Fail(errShort)
	case b.Length > math.MaxUint32-b.Offset:
		d.s.Fail(errBounds)
	}
}

func (d *Decoder) blobType() BlobType {
	switch string(d.s.Text()) {
	case "data":
		return Data
	case "tree":
		return Tree
	}
	d.s.Fail(errType)
	return Data
}

// Append appends an index file that describes packs to dst, byte for byte as
// restic writes it, with a newline at the end.
func Append(dst []byte, packs []Pack) []byte {
	dst = append(dst, `{"packs":[`...)
	for i, p := range packs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"id":"`...)
		dst = p.ID.AppendHex(dst)
		dst = append(dst, `","blobs":[`...)
		for j, b := range p.Blobs {
			if j > 0 {
				dst = append(dst, ',')
			}
			dst = appendBlob(dst, b)
		}
		dst = append(dst, "]}"...)
	}
	return append(dst, "]}\n"...)
}

func appendBlob(dst []byte, b Blob) []byte {
	dst = append(dst, `{"id":"`...)
	dst = b.ID.AppendHex(dst)
	dst = append(dst, `","type":"`...)
	dst = append(dst, b.Type.String()...)
	dst = append(dst, `","offset":`...)
	dst = strconv.AppendUint(dst, uint64(b.Offset), 10)
	dst = append(dst, `,"length":`...)
	dst = strconv.AppendUint(dst, uint64(b.Length), 10)
	if b.RawLength != 0 {
		dst = append(dst, `,"uncompressed_length":`...)
		dst = strconv.AppendUint(dst, uint64(b.RawLength), 10)
	}
	return append(dst, '}')
}
