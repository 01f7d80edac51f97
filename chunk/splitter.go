package chunk

import (
	"errors"
	"io"
)

// Cutter knows where the files of one repository are cut. It may be used by several goroutines at once.
type Cutter struct {
	rabin rabin
	pages pageHash
}

// NewCutter returns the cutter for a repository's polynomial, which must be irreducible and of degree 53.
func NewCutter(p Pol) (*Cutter, error) {
	if err := p.valid(); err != nil {
		return nil, err
	}
	return &Cutter{rabin: newRabin(p), pages: newPageHash(p)}, nil
}

// NewSplitter returns a splitter without a stream; Reset gives it one.
func (c *Cutter) NewSplitter() *Splitter {
	return &Splitter{c: c, err: errNoStream}
}

var errNoStream = errors.New("chunk: Next before Reset")

// The buffer begins small, as most files are, and grows to MaxSize when a file needs it.
const (
	firstBuffer = 64 << 10
	// readSize is about as much as is read ahead: the less, the less is moved to the front when a chunk has been cut.
	readSize = 512 << 10
	// maxEmptyReads is how often a reader may return nothing at all before it is given up, as in package bufio.
	maxEmptyReads = 100
)

// Splitter cuts one stream after the other. It is used by one goroutine at a time, and keeps a buffer of at most MaxSize
// bytes for the next stream.
type Splitter struct {
	c   *Cutter
	src io.Reader
	err error // what src said at last; buffered bytes come first if it is io.EOF

	own     []byte // the buffer that is kept
	buf     []byte // own, or all of a stream that lies in memory
	r, w    int    // buf[r:w] is read but not yet returned
	offset  int64  // of buf[r] in the stream
	started bool   // the first bytes have been looked at
	page    int    // page size of a database, 0 for everything else
}

// Reset makes the splitter begin with a new stream, whatever has become of the one before. The splitter does not close it.
func (s *Splitter) Reset(src io.Reader) {
	*s = Splitter{c: s.c, own: s.own, buf: s.own, src: src}
}

// ResetBytes is Reset for a stream that lies in memory whole. Its chunks are parts of data, of which no copy is made.
func (s *Splitter) ResetBytes(data []byte) {
	*s = Splitter{c: s.c, own: s.own, buf: data, w: len(data), err: io.EOF}
}

// Next returns the next chunk of the stream, and io.EOF after the last one; the chunks, joined, are the stream. No chunk
// is empty, so an empty stream gives io.EOF at once. The chunk is valid until the next call of Next or Reset, and the
// caller may change it. If reading fails Next returns the reader's error and stays with it.
func (s *Splitter) Next() ([]byte, error) {
	if !s.started {
		s.fill()
		s.started = true
		s.page = pageSize(s.buf[s.r:s.w])
	}
	n := 0
	if s.page != 0 {
		n = s.cutPages()
	}
	if n == 0 {
		n = s.cutBytes()
	}
	if s.err != nil && s.err != io.EOF {
		return nil, s.err
	}
	if n == 0 {
		return nil, io.EOF
	}
	b := s.buf[s.r : s.r+n : s.r+n]
	s.r += n
	s.offset += int64(n)
	return b, nil
}

// cutPages returns the length of the next group of pages, and 0 if not even one whole page is left.
func (s *Splitter) cutPages() int {
	for s.err == nil && s.w-s.r < maxPage {
		s.fill()
	}
	return s.c.pages.group(s.buf[s.r:s.w], s.page, s.offset)
}

// cutBytes returns the length of the next chunk by its content, and 0 at the end of the stream.
func (s *Splitter) cutBytes() int {
	seen := MinSize - 1 // no chunk ends before or here
	for {
		b := s.buf[s.r:min(s.w, s.r+MaxSize)]
		all := s.err != nil || len(b) == MaxSize
		if len(b) > seen {
			var n int
			if n, seen = s.c.rabin.find(b, seen, all); n != 0 {
				return n
			}
		}
		if all {
			return len(b)
		}
		s.fill()
	}
}

// fill reads on until about readSize bytes more are there, the buffer is full or the stream ends. It moves what is
// buffered to the front first, and makes the buffer larger if that leaves little room.
func (s *Splitter) fill() {
	if s.err != nil {
		return
	}
	s.w = copy(s.buf, s.buf[s.r:s.w])
	s.r = 0
	if len(s.buf)-s.w <= len(s.buf)/4 {
		s.grow()
	}
	room := s.buf[s.w:min(len(s.buf), s.w+readSize)]
	for empty := 0; len(room) > 0 && s.err == nil; {
		var n int
		n, s.err = s.src.Read(room)
		if n < 0 || n > len(room) {
			panic("chunk: reader returned an impossible count")
		}
		s.w += n
		room = room[n:]
		if empty++; n > 0 {
			empty = 0
		}
		if empty == maxEmptyReads && s.err == nil {
			s.err = io.ErrNoProgress
		}
	}
}

// grow makes the buffer larger, up to MaxSize. Small ones grow faster, so that a file meets few sizes.
func (s *Splitter) grow() {
	if len(s.buf) == MaxSize {
		return
	}
	factor := 2
	if len(s.buf) < readSize {
		factor = 4
	}
	buf := make([]byte, min(max(firstBuffer, factor*len(s.buf)), MaxSize))
	copy(buf, s.buf[:s.w])
	s.own, s.buf = buf, buf
}
