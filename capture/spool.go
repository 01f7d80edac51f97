package capture

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"russet/crypto"
	"russet/internal/durable"
)

// The spool of a phone's run (docs/format.md, "A run of a phone"): the stored
// files of an encrypted backup, in order of arrival, until its manifest tells
// their keys. Pieces are sealed once more with the repository's key, each bound
// to its place, so that damage shows and nothing in the spool is ever plain,
// whatever the phone sends.
const (
	segmentPrefix = "segment-"
	// segmentSize is where a segment ends, in bytes as stored.
	segmentSize = 1 << 30
	// pieceSize is the content of a piece.
	pieceSize = 256 << 10
	// pieceHead is the run and the place of a piece, before its content.
	pieceHead = 16 + 8
)

var errSpool = errors.New("the spool is damaged")

// spool is for one goroutine, but for open, which any may call after flush.
type spool struct {
	root  *os.Root
	key   *crypto.Key
	run   [16]byte
	limit int64 // segmentSize

	segment uint32 // being written; 0 if none was
	size    int64  // of it
	f       *os.File
	w       *bufio.Writer
	fresh   bool   // the name of a segment is not durable yet
	dirty   bool   // something is not durable yet
	piece   []byte // of the file that is received
	first   uint64 // the place of its first piece
	pieces  int    // of it
	frame   []byte
}

// A place in the spool is the number of a segment and an offset in it.
func spoolPlace(segment uint32, offset int64) uint64 { return uint64(segment)<<32 | uint64(offset) }

func segmentName(n uint32) string { return fmt.Sprintf("%s%06d", segmentPrefix, n) }

// segments lists the segments that are there and their sizes.
func (s *spool) segments() (map[uint32]int64, error) {
	names, err := readNames(s.root)
	if err != nil {
		return nil, fmt.Errorf("list spool: %w", durable.WithoutPath(err))
	}
	found := map[uint32]int64{}
	for _, name := range names {
		text, ok := strings.CutPrefix(name, segmentPrefix)
		n, err := strconv.ParseUint(text, 10, 31)
		if !ok || err != nil || n == 0 || segmentName(uint32(n)) != name {
			continue
		}
		info, err := s.root.Lstat(name)
		if err != nil {
			return nil, fmt.Errorf("list spool: %w", durable.WithoutPath(err))
		}
		if info.Mode().IsRegular() {
			found[uint32(n)] = info.Size()
		}
	}
	return found, nil
}

// begin starts a file.
func (s *spool) begin() { s.piece, s.pieces, s.first = s.piece[:0], 0, 0 }

func (s *spool) write(p []byte) error {
	for len(p) > 0 {
		n := min(len(p), pieceSize-len(s.piece))
		s.piece = append(s.piece, p[:n]...)
		p = p[n:]
		if len(s.piece) == pieceSize {
			if err := s.put(); err != nil {
				return err
			}
		}
	}
	return nil
}

// end ends a file and returns where it begins.
func (s *spool) end() (uint64, error) {
	if len(s.piece) > 0 {
		if err := s.put(); err != nil {
			return 0, err
		}
	}
	return s.first, nil
}

// put writes one piece.
func (s *spool) put() error {
	n := pieceHead + len(s.piece) + crypto.Overhead
	if s.f == nil || s.size > 0 && s.size+int64(4+n) > s.limit {
		if err := s.rotate(); err != nil {
			return err
		}
	}
	at := spoolPlace(s.segment, s.size)
	plain := make([]byte, 0, pieceHead+len(s.piece))
	plain = binary.BigEndian.AppendUint64(append(plain, s.run[:]...), at)
	plain = append(plain, s.piece...)
	s.frame = s.key.Seal(binary.BigEndian.AppendUint32(s.frame[:0], uint32(n)), plain)
	if _, err := s.w.Write(s.frame); err != nil {
		return fmt.Errorf("write spool: %w", durable.WithoutPath(err))
	}
	s.dirty = true
	s.size += int64(len(s.frame))
	if s.pieces++; s.pieces == 1 {
		s.first = at
	}
	s.piece = s.piece[:0]
	return nil
}

// rotate starts the next segment.
func (s *spool) rotate() error {
	if err := s.close(); err != nil {
		return err
	}
	if s.segment == math.MaxInt32 {
		return errors.New("write spool: it has as many segments as there can be")
	}
	f, err := s.root.OpenFile(segmentName(s.segment+1), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write spool: %w", durable.WithoutPath(err))
	}
	s.segment++
	s.f, s.w, s.size, s.fresh = f, bufio.NewWriterSize(f, 1<<20), 0, true
	return nil
}

// flush hands everything to the system, so that it can be read.
func (s *spool) flush() error {
	if s.f == nil {
		return nil
	}
	if err := s.w.Flush(); err != nil {
		return fmt.Errorf("write spool: %w", durable.WithoutPath(err))
	}
	return nil
}

// sync makes everything durable.
func (s *spool) sync() error {
	if s.f == nil || !s.dirty && !s.fresh {
		return nil
	}
	if err := s.flush(); err != nil {
		return err
	}
	if err := s.f.Sync(); err != nil {
		return fmt.Errorf("write spool: %w", durable.WithoutPath(err))
	}
	s.dirty = false
	if s.fresh {
		if err := durable.SyncFolder(s.root, "."); err != nil {
			return err
		}
		s.fresh = false
	}
	return nil
}

// close makes everything durable and closes the segment.
func (s *spool) close() error {
	if s.f == nil {
		return nil
	}
	err := s.sync()
	if cerr := s.f.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("write spool: %w", durable.WithoutPath(cerr))
	}
	s.f, s.w = nil, nil
	return err
}

// removeBelow removes the segments before that of a place.
func (s *spool) removeBelow(at uint64) error {
	found, err := s.segments()
	if err != nil {
		return err
	}
	for n := range found {
		if uint64(n) < at>>32 {
			if err := s.root.Remove(segmentName(n)); err != nil {
				return fmt.Errorf("remove segment of spool: %w", durable.WithoutPath(err))
			}
		}
	}
	return nil
}

// holds tells whether the segments can hold a file of size bytes at a place.
func (s *spool) holds(found map[uint32]int64, at uint64, size int64) bool {
	segment, offset := uint32(at>>32), int64(at&math.MaxUint32)
	for size > 0 {
		have, ok := found[segment]
		if !ok || have <= offset {
			return false
		}
		size -= have - offset
		segment, offset = segment+1, 0
	}
	return true
}

// open opens a file of size bytes at a place.
func (s *spool) open(at uint64, size int64) *spoolFile {
	return &spoolFile{s: s, size: size, places: []uint64{at}, segments: map[uint32]*os.File{}}
}

// spoolFile is one file of the spool, opened. It is an io.ReaderAt, safe for
// concurrent use.
type spoolFile struct {
	s    *spool
	size int64

	mu       sync.Mutex // guards all below
	places   []uint64   // of the pieces found so far, and where the next one is
	segments map[uint32]*os.File
	cache    [8]cachedPiece
	clock    int
	sealed   []byte
}

// cachedPiece is a piece that was opened.
type cachedPiece struct {
	number int64
	plain  []byte // nil: empty
	used   int
}

// ReadAt implements io.ReaderAt.
func (f *spoolFile) ReadAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for n < len(p) {
		if off >= f.size {
			return n, io.EOF
		}
		piece, err := f.piece(off / pieceSize)
		if err != nil {
			return n, fmt.Errorf("read spool: %w", durable.WithoutPath(err))
		}
		m := copy(p[n:], piece[off%pieceSize:])
		n += m
		off += int64(m)
	}
	return n, nil
}

// piece returns the content of a piece.
func (f *spoolFile) piece(number int64) ([]byte, error) {
	f.clock++
	oldest := &f.cache[0]
	for i := range f.cache {
		c := &f.cache[i]
		if c.plain != nil && c.number == number {
			c.used = f.clock
			return c.plain[pieceHead:], nil
		}
		if c.used < oldest.used {
			oldest = c
		}
	}
	for int64(len(f.places)) <= number {
		at, n, err := f.head(f.places[len(f.places)-1])
		if err != nil {
			return nil, err
		}
		f.places = append(f.places, at+4+uint64(n))
	}
	plain, err := f.load(f.places[number], oldest.plain[:0])
	if err != nil {
		oldest.plain = nil
		return nil, err
	}
	oldest.plain, oldest.number, oldest.used = plain, number, f.clock
	if int64(len(plain)-pieceHead) != min(pieceSize, f.size-number*pieceSize) {
		oldest.plain = nil
		return nil, errSpool
	}
	return plain[pieceHead:], nil
}

// head reads the length of the piece at a place. It may be the first of the
// next segment: the place is returned, too.
func (f *spoolFile) head(at uint64) (uint64, uint32, error) {
	var head [4]byte
	for range 2 {
		segment, err := f.segment(uint32(at >> 32))
		if err != nil {
			return 0, 0, err
		}
		_, err = segment.ReadAt(head[:], int64(at&math.MaxUint32))
		if err == nil {
			break
		}
		if err != io.EOF {
			return 0, 0, err
		}
		at = spoolPlace(uint32(at>>32)+1, 0)
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < pieceHead+crypto.Overhead+1 || n > pieceHead+crypto.Overhead+pieceSize {
		return 0, 0, errSpool
	}
	return at, n, nil
}

func (f *spoolFile) segment(n uint32) (*os.File, error) {
	if f.segments[n] == nil {
		opened, err := f.s.root.Open(segmentName(n))
		if err != nil {
			return nil, err
		}
		f.segments[n] = opened
	}
	return f.segments[n], nil
}

// load reads and opens the piece at a place.
func (f *spoolFile) load(at uint64, dst []byte) ([]byte, error) {
	at, n, err := f.head(at)
	if err != nil {
		return nil, err
	}
	f.sealed = slices.Grow(f.sealed[:0], int(n))[:n]
	if _, err := f.segments[uint32(at>>32)].ReadAt(f.sealed, int64(at&math.MaxUint32)+4); err != nil {
		if err == io.EOF {
			err = errSpool
		}
		return nil, err
	}
	plain, err := f.s.key.Open(dst, f.sealed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSpool, err)
	}
	want := binary.BigEndian.AppendUint64(bytes.Clone(f.s.run[:]), at)
	if !bytes.HasPrefix(plain, want) {
		return nil, errSpool
	}
	return plain, nil
}

// Close implements io.Closer.
func (f *spoolFile) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for n, opened := range f.segments {
		errs = append(errs, opened.Close())
		delete(f.segments, n)
	}
	return errors.Join(errs...)
}
