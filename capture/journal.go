package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"russet/chunk"
	"russet/crypto"
	"russet/internal/durable"
)

// The journal of a phone's run (docs/format.md, "A run of a phone"): frames of
// operations, each sealed with the repository's key and bound to its run and
// its place.
const (
	journalName    = "journal"
	journalVersion = 1
)

// verb is what an operation of the journal does.
type verb uint8

const (
	verbBegin    verb = 1 + iota // what the run builds on
	verbMkdir                    // a
	verbPut                      // a becomes the file
	verbMove                     // a to b
	verbRemove                   // a
	verbCopy                     // a to b
	verbAnswered                 // the phone said that the backup is complete
)

// operation is one entry of the journal.
type operation struct {
	verb  verb
	a, b  string
	file  storedFile
	held  held // what file's slot holds
	at    time.Time
	begin beginning
}

// beginning is the first operation of a run.
type beginning struct {
	repository chunk.ID
	udid       string
	parent     *chunk.ID // the root tree of the version that is built upon
	full       bool      // an empty folder is shown
	spooled    bool      // stored files go to the spool
}

var errJournal = errors.New("the journal is damaged")

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendIDs(b []byte, ids []chunk.ID) []byte {
	b = binary.AppendUvarint(b, uint64(len(ids)))
	for i := range ids {
		b = append(b, ids[i][:]...)
	}
	return b
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// append appends the operation's bytes.
func (op *operation) append(b []byte) []byte {
	b = append(b, byte(op.verb))
	switch op.verb {
	case verbBegin:
		b = append(b, journalVersion)
		b = append(b, op.begin.repository[:]...)
		b = appendText(b, op.begin.udid)
		b = appendBool(appendBool(b, op.begin.full), op.begin.spooled)
		if b = appendBool(b, op.begin.parent != nil); op.begin.parent != nil {
			b = append(b, op.begin.parent[:]...)
		}
	case verbMkdir, verbRemove:
		b = appendText(b, op.a)
	case verbMove, verbCopy:
		b = appendText(appendText(b, op.a), op.b)
	case verbPut:
		b = appendText(b, op.a)
		b = append(b, byte(op.file.place))
		b = binary.AppendUvarint(b, uint64(op.file.size))
		b = binary.AppendVarint(b, int64(op.file.modified))
		b = binary.AppendUvarint(b, op.file.ref)
		b = appendText(b, string(op.held.data))
		b = appendIDs(b, op.held.ids)
	case verbAnswered:
		b = binary.AppendVarint(b, op.at.UnixNano())
	}
	return b
}

// opReader reads operations; after the first error all it gives is zero.
type opReader struct {
	data []byte
	bad  bool
}

func (r *opReader) bytes(n uint64) []byte {
	if r.bad || n > uint64(len(r.data)) {
		r.bad = true
		return nil
	}
	b := r.data[:n]
	r.data = r.data[n:]
	return b
}

func (r *opReader) byte() byte {
	if b := r.bytes(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (r *opReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.data)
	if r.bad || n <= 0 {
		r.bad = true
		return 0
	}
	r.data = r.data[n:]
	return v
}

func (r *opReader) varint() int64 {
	v, n := binary.Varint(r.data)
	if r.bad || n <= 0 {
		r.bad = true
		return 0
	}
	r.data = r.data[n:]
	return v
}

func (r *opReader) uint64() uint64 {
	if b := r.bytes(8); len(b) == 8 {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *opReader) text() string { return string(r.bytes(r.uvarint())) }

func (r *opReader) id() (id chunk.ID) {
	copy(id[:], r.bytes(uint64(len(id))))
	return id
}

// ids reads a list of ids into the memory of dst, which must not be nil.
func (r *opReader) ids(dst []chunk.ID) []chunk.ID {
	n := r.uvarint()
	if n > uint64(len(r.data)/len(chunk.ID{})) {
		r.bad = true
		return nil
	}
	dst = slices.Grow(dst[:0], int(n))
	for range n {
		dst = append(dst, r.id())
	}
	return dst
}

func (r *opReader) name() string {
	s := r.text()
	if legalName(s) != nil {
		r.bad = true
	}
	return s
}

// next reads one operation.
func (r *opReader) next() (op operation, err error) {
	op.verb = verb(r.byte())
	switch op.verb {
	case verbBegin:
		if r.byte() != journalVersion {
			return op, fmt.Errorf("%w: its version is not known", errJournal)
		}
		op.begin.repository = r.id()
		op.begin.udid = r.text()
		op.begin.full, op.begin.spooled = r.byte() != 0, r.byte() != 0
		if r.byte() != 0 {
			id := r.id()
			op.begin.parent = &id
		}
	case verbMkdir, verbRemove:
		op.a = r.name()
	case verbMove, verbCopy:
		op.a, op.b = r.name(), r.name()
	case verbPut:
		r.put(&op)
	case verbAnswered:
		op.at = time.Unix(0, r.varint())
	default:
		r.bad = true
	}
	if r.bad {
		return op, errJournal
	}
	return op, nil
}

func (r *opReader) put(op *operation) {
	op.a = r.name()
	op.file.place = place(r.byte())
	op.file.size = int64(r.uvarint())
	op.file.modified = stamp(r.varint())
	op.file.ref = r.uvarint()
	op.held.data = bytes.Clone(r.bytes(r.uvarint()))
	op.held.ids = r.ids([]chunk.ID{})
	if op.file.place > lastPlace || op.file.size < 0 || op.file.place == placeMemory && int64(len(op.held.data)) != op.file.size {
		r.bad = true
	}
}

// decodeOperations calls apply for each operation in data.
func decodeOperations(data []byte, apply func(operation) error) error {
	r := &opReader{data: data}
	for len(r.data) > 0 {
		op, err := r.next()
		if err != nil {
			return err
		}
		if err := apply(op); err != nil {
			return err
		}
	}
	return nil
}

// journal is the file that is written. It is for one goroutine.
type journal struct {
	frameSeal
	root *os.Root
	f    *os.File // nil until there is a frame
}

// append makes operations durable, in one frame.
func (j *journal) append(ops []byte) error {
	if len(ops) == 0 {
		return nil
	}
	fresh := j.f == nil
	if fresh {
		var err error
		if j.f, err = j.root.OpenFile(journalName, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
			return fmt.Errorf("open journal: %w", durable.WithoutPath(err))
		}
	}
	plain := append(make([]byte, frameHead, frameHead+len(ops)), ops...)
	if n := len(plain) + crypto.Overhead; n > maxFrame {
		return fmt.Errorf("write journal: %d bytes at once are over %d", n, maxFrame)
	}
	if _, err := j.f.Write(j.seal(nil, plain)); err != nil {
		return fmt.Errorf("write journal: %w", durable.WithoutPath(err))
	}
	if err := j.f.Sync(); err != nil {
		return fmt.Errorf("write journal: %w", durable.WithoutPath(err))
	}
	if fresh {
		return durable.SyncFolder(j.root, ".")
	}
	return nil
}

func (j *journal) close() error {
	if j.f == nil {
		return nil
	}
	err := j.f.Close()
	j.f = nil
	return err
}

// open opens the journal that is there, and says how many bytes it has. Where
// there is none the error is fs.ErrNotExist.
func (j *journal) open(flag int) (f *os.File, size int64, err error) {
	f, size, err = openFrames(j.root, journalName, flag)
	switch {
	case errors.Is(err, errFrame):
		return nil, 0, fmt.Errorf("%w: %w", errJournal, err)
	case err != nil:
		return nil, 0, fmt.Errorf("read journal: %w", err)
	}
	return f, size, nil
}

// read calls apply for every operation of the journal. A last frame that was
// not written to its end is taken for what a power cut leaves: the journal goes
// on in its place. There is no journal where the error is fs.ErrNotExist;
// one that cannot be believed is errJournal.
func (j *journal) read(apply func(operation) error) error {
	f, size, err := j.open(os.O_RDWR)
	if err != nil {
		return err
	}
	defer f.Close()
	good, err := j.frames(f, size, apply)
	if err != nil {
		return err
	}
	if good == 0 {
		return fmt.Errorf("%w: it does not begin", errJournal)
	}
	if good < size {
		if err := f.Truncate(good); err != nil {
			return fmt.Errorf("mend journal: %w", durable.WithoutPath(err))
		}
	}
	return nil
}

// frames reads the frames of size bytes and returns where the last good one
// ends.
func (j *journal) frames(f io.Reader, size int64, apply func(operation) error) (good int64, err error) {
	r := newFrameReader(&j.frameSeal, f, size)
	for {
		ops, err := r.read()
		switch {
		case err == io.EOF:
			return r.good, nil
		case errors.Is(err, errFrame):
			return r.good, fmt.Errorf("%w: %w", errJournal, err)
		case err != nil:
			return r.good, fmt.Errorf("read journal: %w", durable.WithoutPath(err))
		}
		if err := decodeOperations(ops, apply); err != nil {
			return r.good, err
		}
	}
}
