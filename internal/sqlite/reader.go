package sqlite

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"sync"
	"sync/atomic"
	"time"
)

// fileName is the one file that SQLite sees. It is absolute so that SQLite does not ask for the working directory.
const fileName = "/database"

// readAhead is how much is read at once where SQLite reads page after page, as it does through a whole table.
const readAhead = 128 << 10

// reader is an fs.FS with one file.
type reader struct {
	r    io.ReaderAt
	size int64

	budget budget

	mu  sync.Mutex
	err error // the first that r returned
}

// budget bounds the reads of Open. The pages of a schema, and of the statistics that SQLite reads with it, can refer to
// each other without end. What SQLite has in its cache it does not read again, so while the budget counts, the file's
// header suggests a cache of one page.
type budget struct {
	counts atomic.Bool
	left   atomic.Int64
}

var errEndless = errors.New("its schema has more pages than there are")

// begin allows several reads for each page that a database of size bytes may have.
func (b *budget) begin(size int64) {
	b.left.Store(10_000 + size/128)
	b.counts.Store(true)
}

// end tells whether the budget was exceeded.
func (b *budget) end() bool {
	b.counts.Store(false)
	return b.left.Load() < 0
}

// spend counts a read, which filled p from off.
func (b *budget) spend(p []byte, off int64) error {
	if !b.counts.Load() {
		return nil
	}
	if b.left.Add(-1) < 0 {
		return errEndless
	}
	const suggested = 48 // SQLite's "Database File Format", section 1.3.7
	for i, c := range [4]byte{0, 0, 0, 1} {
		if at := suggested + int64(i) - off; 0 <= at && at < int64(len(p)) {
			p[at] = c
		}
	}
	return nil
}

// Open implements fs.FS.
func (r *reader) Open(name string) (fs.File, error) {
	if path.Base(name) != path.Base(fileName) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist} // a journal
	}
	return &file{reader: r}, nil
}

func (r *reader) failed() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// readAt fills p from off, and keeps the error.
func (r *reader) readAt(p []byte, off int64) error {
	n, err := r.r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF // it is shorter than it was said to be
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
	}
	return err
}

// file is one connection's view of the database. SQLite uses it from one goroutine at a time.
type file struct {
	*reader
	off     int64
	next    int64  // where the last read ended
	ahead   []byte // what was read from aheadAt on
	aheadAt int64
	buf     []byte // the memory of ahead
}

// Stat implements fs.File.
func (f *file) Stat() (fs.FileInfo, error) { return info{f.size}, nil }

// Close implements fs.File.
func (f *file) Close() error { return nil }

// Seek implements io.Seeker, as far as SQLite needs it: from the start.
func (f *file) Seek(offset int64, whence int) (int64, error) {
	if whence != io.SeekStart || offset < 0 {
		return 0, fs.ErrInvalid
	}
	f.off = offset
	return offset, nil
}

// Read implements fs.File.
func (f *file) Read(p []byte) (int, error) {
	off := f.off
	n, err := f.read(p)
	if err == nil {
		err = f.budget.spend(p[:n], off)
	}
	if err != nil {
		return 0, err
	}
	return n, nil
}

func (f *file) read(p []byte) (int, error) {
	if f.off >= f.size {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), f.size-f.off)]
	at := f.off - f.aheadAt
	if at < 0 || at+int64(len(p)) > int64(len(f.ahead)) {
		if f.off != f.next || len(p) >= readAhead {
			if err := f.readAt(p, f.off); err != nil {
				return 0, err
			}
			f.off += int64(len(p))
			f.next = f.off
			return len(p), nil
		}
		if f.buf == nil {
			f.buf = make([]byte, readAhead)
		}
		f.ahead, f.aheadAt = nil, f.off
		ahead := f.buf[:min(readAhead, f.size-f.off)]
		if err := f.readAt(ahead, f.off); err != nil {
			return 0, err
		}
		f.ahead, at = ahead, 0
	}
	n := copy(p, f.ahead[at:])
	f.off += int64(n)
	f.next = f.off
	return n, nil
}

// info describes the one file.
type info struct{ size int64 }

func (i info) Name() string       { return path.Base(fileName) }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return 0o400 }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return false }
func (i info) Sys() any           { return nil }
