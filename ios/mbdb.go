package ios

import (
	"errors"
	"fmt"
	"iter"

	"russet/internal/plist"
)

// Manifest.mbdb is the manifest up to iOS 9 (docs/format.md): a header, then records of fields in a fixed order.
// Numbers are big-endian; a string is its length in two bytes and its bytes, and the length 0xffff stands for none.
const (
	mbdbHeader = "mbdb\x05\x00"
	noString   = 0xffff
)

var errMBDB = errors.New("truncated record")

// ParseMBDB yields the records of a Manifest.mbdb in their order. They alias data. Where the file is damaged the
// sequence ends with ErrUnreadable, since nothing tells where the next record begins.
func ParseMBDB(data []byte) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		if len(data) < len(mbdbHeader) || string(data[:len(mbdbHeader)]) != mbdbHeader {
			yield(Record{}, fmt.Errorf("read manifest: %w: no header", ErrUnreadable))
			return
		}
		d := mbdbReader{rest: data[len(mbdbHeader):]}
		for n := int64(1); len(d.rest) > 0; n++ {
			from := d.rest
			var e mbdbEntry
			if d.entry(&e); d.short {
				yield(Record{}, fmt.Errorf("read manifest: %w: %w", ErrUnreadable, &RowError{Row: n, Err: errMBDB}))
				return
			}
			rec := Record{
				FileID: FileID(e.domain, e.path), Domain: e.domain, RelativePath: e.path,
				Flags: recordFlags(e.mode), Blob: from[: len(from)-len(d.rest) : len(from)-len(d.rest)], mbdb: true,
			}
			if !yield(rec, nil) {
				return
			}
		}
	}
}

// recordFlags returns the Flags of a record with a st_mode. Of another type of file than the three there is none.
func recordFlags(mode uint16) int64 {
	switch mode & 0o170000 {
	case 0o100000:
		return RegularFile
	case 0o040000:
		return Directory
	case 0o120000:
		return Symlink
	}
	return 0
}

// mbdbEntry is one record.
type mbdbEntry struct {
	domain, path, target string
	digest, key          []byte
	mode                 uint16
	inode                uint64
	uid, gid             uint32
	mtime, ctime, birth  int32
	size                 int64
	class                uint8
	attributes           []byte // pairs of strings
}

// mbdbReader reads fields one after the other.
type mbdbReader struct {
	rest  []byte
	short bool // a field went beyond the end
}

func (d *mbdbReader) entry(e *mbdbEntry) {
	e.domain, e.path, e.target = string(d.str()), string(d.str()), string(d.str())
	e.digest, e.key = d.str(), d.str()
	e.mode = uint16(d.number(2))
	e.inode = d.number(8)
	e.uid, e.gid = uint32(d.number(4)), uint32(d.number(4))
	e.mtime, e.ctime, e.birth = int32(d.number(4)), int32(d.number(4)), int32(d.number(4))
	e.size = int64(d.number(8))
	e.class = uint8(d.number(1))
	count := d.number(1)
	from := d.rest
	for range 2 * count {
		d.str()
	}
	e.attributes = from[:len(from)-len(d.rest)]
}

// number reads a number of n bytes, which uintBE knows.
func (d *mbdbReader) number(n int) uint64 { return uintBE(d.take(n)) }

// str reads a string; nil stands for none.
func (d *mbdbReader) str() []byte {
	n := d.number(2)
	if n == noString {
		return nil
	}
	return d.take(int(n))
}

// take reads n bytes; beyond the end it returns none.
func (d *mbdbReader) take(n int) []byte {
	if n > len(d.rest) {
		d.rest, d.short = nil, true
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

// parseMBDBRecord reads the Blob of a record that ParseMBDB yielded.
func parseMBDBRecord(blob []byte, f *File) error {
	d := mbdbReader{rest: blob}
	var e mbdbEntry
	if d.entry(&e); d.short || len(d.rest) > 0 {
		return fmt.Errorf("parse file record: %w", errMBDB)
	}
	*f = File{
		RelativePath: e.path, Target: e.target, Mode: uint32(e.mode), UserID: e.uid, GroupID: e.gid, Inode: e.inode,
		LastModified: int64(e.mtime), LastStatusChange: int64(e.ctime), Birth: int64(e.birth), Size: e.size,
		ProtectionClass: uint32(e.class), EncryptionKey: e.key, Digest: e.digest,
	}
	if len(e.attributes) == 0 {
		return nil
	}
	attributes := make(map[string][]byte)
	for d := (mbdbReader{rest: e.attributes}); len(d.rest) > 0; {
		name := string(d.str())
		attributes[name] = d.str()
	}
	var err error
	f.ExtendedAttributes, err = plist.Marshal(attributes, plist.Binary)
	return err
}
