package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"russet/chunk"
	"russet/crypto"
)

// A listing is what the trees of a phone's newest version say, without the trees
// (docs/format.md, "A listing"): frames of entries, and an end.
const (
	listingFormat = "russet listing 1\n"
	// listingFrame is how much comes into one frame.
	listingFrame = 256 << 10
	// maxListing bounds a listing as stored: 8 million files of one blob each.
	maxListing = 512 << 20
)

// listedKind is what an entry of a listing stands for.
type listedKind uint8

const (
	listedFolder listedKind = 1 + iota // Files itself, and each folder below it
	listedFile                         // a file below Files
	listedSealed                       // a file in Sealed
	listedOther                        // a file in Other
	listedEnd                          // nothing follows
)

// listed is one entry of a listing.
type listed struct {
	kind     listedKind
	path     string     // of a folder below Files, of another file below Other
	tree     uint64     // of a folder, as treeBegin gives it
	id       fileID     // of a stored file
	modified stamp      // of a file, as the phone was told it
	ids      []chunk.ID // of a file
}

// listingOf is the version that a listing belongs to.
type listingOf struct {
	repository chunk.ID
	udid       string
	tree       chunk.ID // the snapshot's
}

// head is what a listing begins with, but for the tree.
func (o *listingOf) head() []byte {
	b := append([]byte(listingFormat), o.repository[:]...)
	return appendText(b, o.udid)
}

var (
	errListing      = errors.New("the listing is damaged")
	errOtherVersion = errors.New("the listing is another version's")
)

// listingWriter writes a listing. Folders are added before what is in them, and
// after the folders beside them with all that those hold. After the first error
// nothing is written.
type listingWriter struct {
	frameSeal
	w     io.Writer
	plain []byte // the frame that is filled, with room for its head
	frame []byte
	size  int64
	err   error
}

func newListingWriter(w io.Writer, s frameSeal, of listingOf) *listingWriter {
	l := &listingWriter{frameSeal: s, w: w, plain: make([]byte, frameHead, listingFrame+listingFrame/16)}
	l.plain = append(append(l.plain, of.head()...), of.tree[:]...)
	return l
}

// folder adds Files, which has no name and depth 0, or a folder below it.
func (l *listingWriter) folder(depth int, name string, tree uint64) {
	b := binary.AppendUvarint(append(l.plain, byte(listedFolder)), uint64(depth))
	l.added(binary.BigEndian.AppendUint64(appendText(b, name), tree))
}

// stored adds a file that is listedFile or listedSealed.
func (l *listingWriter) stored(kind listedKind, id fileID, modified stamp, ids []chunk.ID) {
	b := append(append(l.plain, byte(kind)), id[:]...)
	l.added(appendIDs(binary.AppendVarint(b, int64(modified)), ids))
}

func (l *listingWriter) other(path string, modified stamp, ids []chunk.ID) {
	b := appendText(append(l.plain, byte(listedOther)), path)
	l.added(appendIDs(binary.AppendVarint(b, int64(modified)), ids))
}

// end must be called last.
func (l *listingWriter) end() error {
	l.plain = append(l.plain, byte(listedEnd))
	l.flush()
	return l.err
}

// added takes the frame with an entry more.
func (l *listingWriter) added(plain []byte) {
	if l.plain = plain; len(plain) >= listingFrame {
		l.flush()
	}
}

func (l *listingWriter) flush() {
	n := len(l.plain) + crypto.Overhead
	if l.size += int64(4 + n); l.err == nil && (n > maxFrame || l.size > maxListing) {
		l.err = fmt.Errorf("write listing: %d bytes are too many", l.size)
	}
	if l.err == nil {
		l.frame = l.seal(l.frame[:0], l.plain)
		_, l.err = l.w.Write(l.frame)
	}
	l.plain = l.plain[:frameHead]
}

// readListing calls visit for what a listing of size bytes holds; an entry and
// what it refers to are visit's until it returns. Nothing of it may be believed
// unless the error is nil: it is errOtherVersion, before any visit, where the
// listing belongs to another version of the same phone, and errListing where it
// is damaged or not complete.
func readListing(f io.Reader, size int64, key *crypto.Key, of listingOf, visit func(*listed) error) error {
	if size > maxListing {
		return fmt.Errorf("%w: it has %d bytes", errListing, size)
	}
	frames := newFrameReader(&frameSeal{key: key}, f, size)
	d := listingDecoder{visit: visit}
	for first := true; !d.ended; first = false {
		b, err := frames.read()
		if err != nil {
			return fmt.Errorf("%w: %w", errListing, err)
		}
		if first {
			if b, err = of.cut(b); err != nil {
				return err
			}
		}
		if err := d.entries(b); err != nil {
			return err
		}
	}
	if frames.good != size {
		return fmt.Errorf("%w: something follows it", errListing)
	}
	return nil
}

// cut takes off b what the first frame begins with.
func (o *listingOf) cut(b []byte) ([]byte, error) {
	b, ok := bytes.CutPrefix(b, o.head())
	if !ok || len(b) < len(o.tree) {
		return nil, fmt.Errorf("%w: it is not this phone's", errListing)
	}
	if chunk.ID(b[:len(o.tree)]) != o.tree {
		return nil, errOtherVersion
	}
	return b[len(o.tree):], nil
}

// listingDecoder decodes entries.
type listingDecoder struct {
	visit   func(*listed) error
	ended   bool
	folders int
	ids     []chunk.ID
	path    []byte // of the last folder
	ends    []int  // for it and each folder that it lies in, where its path ends in path
}

// entries decodes the entries of one frame.
func (d *listingDecoder) entries(b []byte) error {
	r := &opReader{data: b}
	var e listed
	for len(r.data) > 0 && !d.ended {
		e = listed{kind: listedKind(r.byte())}
		switch e.kind {
		case listedFolder:
			d.folder(r, &e)
		case listedFile, listedSealed:
			copy(e.id[:], r.bytes(uint64(len(e.id))))
			d.content(r, &e)
		case listedOther:
			e.path = r.name()
			d.content(r, &e)
		case listedEnd:
			d.ended = true
			continue
		default:
			r.bad = true
		}
		if r.bad {
			return fmt.Errorf("%w: an entry is not legal", errListing)
		}
		if err := d.visit(&e); err != nil {
			return err
		}
	}
	if len(r.data) > 0 {
		return fmt.Errorf("%w: something follows its end", errListing)
	}
	return nil
}

func (d *listingDecoder) content(r *opReader, e *listed) {
	e.modified = stamp(r.varint())
	d.ids = r.ids(slices.Grow(d.ids[:0], 1))
	e.ids = d.ids
}

// folder finds the path of a folder by that of the last one.
func (d *listingDecoder) folder(r *opReader, e *listed) {
	depth, name := r.uvarint(), r.text()
	e.tree = r.uint64()
	legal := validName(name) && !strings.Contains(name, "/")
	if depth == 0 {
		legal = name == "" && d.folders == 0
	}
	d.folders++
	if !legal || depth > uint64(len(d.ends)) || depth > maxDepth+1 || d.folders > maxPhoneFiles {
		r.bad = true
		return
	}
	d.ends = d.ends[:depth]
	d.path = d.path[:d.end()]
	if depth > 1 {
		d.path = append(d.path, '/')
	}
	d.path = append(d.path, name...)
	d.ends = append(d.ends, len(d.path))
	e.path = string(d.path)
}

// end is where the path of the innermost folder ends.
func (d *listingDecoder) end() int {
	if len(d.ends) == 0 {
		return 0
	}
	return d.ends[len(d.ends)-1]
}
