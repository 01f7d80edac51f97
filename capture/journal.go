package capture

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
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
	// maxFrame bounds one frame as stored: operations between two checkpoints,
	// the longest of which lists the blobs of a file of a terabyte.
	maxFrame = 64 << 20
	// frameHead is the run and the number of the frame, before its operations.
	frameHead = 16 + 8
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
		b = binary.AppendUvarint(b, uint64(len(op.held.ids)))
		for _, id := range op.held.ids {
			b = append(b, id[:]...)
		}
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

func (r *opReader) text() string { return string(r.bytes(r.uvarint())) }

func (r *opReader) id() (id chunk.ID) {
	copy(id[:], r.bytes(uint64(len(id))))
	return id
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
	n := r.uvarint()
	if n > uint64(len(r.data)/len(chunk.ID{})) || op.file.place > lastPlace || op.file.size < 0 {
		r.bad = true
		return
	}
	op.held.ids = make([]chunk.ID, n)
	for i := range op.held.ids {
		op.held.ids[i] = r.id()
	}
	if op.file.place == placeMemory && int64(len(op.held.data)) != op.file.size {
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
	root *os.Root
	key  *crypto.Key
	run  [16]byte
	next uint64   // number of the next frame
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
	plain := make([]byte, 0, frameHead+len(ops))
	plain = append(plain, j.run[:]...)
	plain = binary.BigEndian.AppendUint64(plain, j.next)
	plain = append(plain, ops...)
	n := len(plain) + crypto.Overhead
	if n > maxFrame {
		return fmt.Errorf("write journal: %d bytes at once are over %d", n, maxFrame)
	}
	frame := j.key.Seal(binary.BigEndian.AppendUint32(nil, uint32(n)), plain)
	if _, err := j.f.Write(frame); err != nil {
		return fmt.Errorf("write journal: %w", durable.WithoutPath(err))
	}
	if err := j.f.Sync(); err != nil {
		return fmt.Errorf("write journal: %w", durable.WithoutPath(err))
	}
	j.next++
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
	info, err := j.root.Lstat(journalName)
	if err == nil && !info.Mode().IsRegular() {
		return nil, 0, errJournal
	}
	if err == nil {
		f, err = j.root.OpenFile(journalName, flag, 0)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read journal: %w", durable.WithoutPath(err))
	}
	return f, info.Size(), nil
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
	r := bufio.NewReaderSize(f, 1<<20)
	var head [4]byte
	var frame, plain []byte
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return good, onlyEnd(err)
		}
		n := int64(binary.BigEndian.Uint32(head[:]))
		end := good + int64(len(head)) + n
		if end > size {
			return good, nil // cut
		}
		if n > maxFrame {
			return good, fmt.Errorf("%w: a frame of %d bytes", errJournal, n)
		}
		if int64(cap(frame)) < n {
			frame = make([]byte, n)
		}
		frame = frame[:n]
		if _, err := io.ReadFull(r, frame); err != nil {
			return good, onlyEnd(err)
		}
		plain, err = j.key.Open(plain[:0], frame)
		if err != nil && end == size {
			return good, nil // its length was written, its bytes were not
		}
		if err != nil || len(plain) < frameHead {
			return good, fmt.Errorf("%w: a frame does not open", errJournal)
		}
		if j.next == 0 {
			copy(j.run[:], plain)
		}
		if !bytes.Equal(plain[:16], j.run[:]) || binary.BigEndian.Uint64(plain[16:]) != j.next {
			return good, fmt.Errorf("%w: a frame is not in its place", errJournal)
		}
		if err := decodeOperations(plain[frameHead:], apply); err != nil {
			return good, err
		}
		j.next++
		good = end
	}
}

func onlyEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return fmt.Errorf("read journal: %w", durable.WithoutPath(err))
}
