package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
)

const (
	walHeader   = 32 // bytes of a log's header, and of a frame's
	frameHeader = 24
	// maxFrames bounds what a log may hold: 16 bytes of memory each.
	maxFrames = 8 << 20
)

// ErrWAL is in errors of a write-ahead log that cannot be that of its database.
var ErrWAL = errors.New("the write-ahead log does not fit")

// WithWAL returns the database as it is once its write-ahead log is taken into
// it, and its size: pages that the log has, up to the last transaction that is
// complete, hide those of db. Nothing is written. A log that is empty, torn, or
// of an earlier time holds nothing from there on, as for SQLite itself. The
// readers must stay readable as long as the result is used, and be safe for
// concurrent use where it is used so. The layout is that of SQLite's "Database
// File Format", section 4.
func WithWAL(db io.ReaderAt, size int64, wal io.ReaderAt, walSize int64) (io.ReaderAt, int64, error) {
	l, err := readLog(wal, walSize)
	if err != nil {
		return nil, 0, fmt.Errorf("read write-ahead log: %w", err)
	}
	if l == nil || len(l.frames) == 0 {
		return db, size, nil
	}
	// A page may have been left out that was free again before it was written. A
	// size far beyond what is there would undo every limit that depends on it.
	if l.pages*l.pageSize > 2*(size+walSize)+1<<20 {
		return nil, 0, fmt.Errorf("%w: it tells of %d pages, more than there are", ErrWAL, l.pages)
	}
	if size > 0 {
		var head [18]byte
		if err := readFull(db, head[:], 0); err != nil {
			return nil, 0, fmt.Errorf("read database: %w", err)
		}
		if n := int64(binary.BigEndian.Uint16(head[16:])); n != l.pageSize && (n != 1 || l.pageSize != 65536) {
			return nil, 0, fmt.Errorf("%w: its pages have %d bytes, the database's %d", ErrWAL, l.pageSize, n)
		}
	}
	return &overlay{db: db, dbSize: size, wal: wal, log: l}, l.pages * l.pageSize, nil
}

// log is what a write-ahead log holds.
type log struct {
	pageSize int64
	pages    int64            // of the database after the last transaction
	frames   map[uint32]int64 // where the newest content of a page lies in the log
}

// readLog reads a log up to its last transaction. It is nil where there is no
// log in it.
func readLog(r io.ReaderAt, size int64) (*log, error) {
	var head [walHeader]byte
	if size < walHeader {
		return nil, nil
	}
	if err := readFull(r, head[:], 0); err != nil {
		return nil, err
	}
	const magic, version = 0x377f0682, 3007000
	big := binary.BigEndian
	if big.Uint32(head[:])&^1 != magic || big.Uint32(head[4:]) != version {
		return nil, nil
	}
	var order binary.ByteOrder = binary.LittleEndian
	if head[3]&1 == 1 {
		order = big
	}
	var sum checksum
	sum.add(order, head[:24])
	if sum != (checksum{big.Uint32(head[24:]), big.Uint32(head[28:])}) {
		return nil, nil
	}
	l := &log{pageSize: int64(big.Uint32(head[8:])), frames: map[uint32]int64{}}
	if l.pageSize < 512 || l.pageSize > 65536 || l.pageSize&(l.pageSize-1) != 0 {
		return nil, nil
	}
	return l, l.read(r, size, order, sum, [8]byte(head[16:24]))
}

// read reads the frames that follow a header with that checksum and salt.
func (l *log) read(r io.ReaderAt, size int64, order binary.ByteOrder, sum checksum, salt [8]byte) error {
	frame := make([]byte, frameHeader+l.pageSize)
	open := map[uint32]int64{} // of the transaction that is not complete yet
	big := binary.BigEndian
	at, step := int64(walHeader), int64(len(frame))
	for n := 0; at+step <= size; n++ {
		if n == maxFrames {
			return fmt.Errorf("more than %d frames", maxFrames)
		}
		if err := readFull(r, frame, at); err != nil {
			return err
		}
		page, pages := big.Uint32(frame), big.Uint32(frame[4:])
		sum.add(order, frame[:8])
		sum.add(order, frame[frameHeader:])
		if page == 0 || [8]byte(frame[8:16]) != salt || sum != (checksum{big.Uint32(frame[16:]), big.Uint32(frame[20:])}) {
			break // the rest is of an earlier time
		}
		open[page] = at + frameHeader
		at += step
		if pages > 0 {
			maps.Copy(l.frames, open)
			open = map[uint32]int64{} // clearing one that was large once takes as long each time
			l.pages = int64(pages)
		}
	}
	return nil
}

// checksum is that of a log, which runs on from frame to frame.
type checksum [2]uint32

// add adds data, a multiple of eight bytes.
func (c *checksum) add(order binary.ByteOrder, data []byte) {
	a, b := c[0], c[1]
	for ; len(data) >= 8; data = data[8:] {
		a += order.Uint32(data) + b
		b += order.Uint32(data[4:]) + a
	}
	c[0], c[1] = a, b
}

// overlay is a database with the pages of its log.
type overlay struct {
	db     io.ReaderAt
	dbSize int64
	wal    io.ReaderAt
	log    *log
}

// ReadAt implements io.ReaderAt.
func (o *overlay) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("read database: negative offset")
	}
	n := 0
	for n < len(p) {
		page := off / o.log.pageSize
		if page >= o.log.pages {
			return n, io.EOF
		}
		within := off % o.log.pageSize
		part := p[n:min(len(p), n+int(o.log.pageSize-within))]
		if err := o.readPage(part, page, within); err != nil {
			return n, err
		}
		n += len(part)
		off += int64(len(part))
	}
	return n, nil
}

// readPage fills p from a place within a page, the first of which is 0. A page
// that nobody wrote is zeros.
func (o *overlay) readPage(p []byte, page, within int64) error {
	if at, ok := o.log.frames[uint32(page+1)]; ok {
		return readFull(o.wal, p, at+within)
	}
	at := page*o.log.pageSize + within
	there := min(max(o.dbSize-at, 0), int64(len(p)))
	clear(p[there:])
	return readFull(o.db, p[:there], at)
}

// readFull fills p; that the end is there is no error.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}
