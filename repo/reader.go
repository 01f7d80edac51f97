package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sort"
	"sync"

	"russet/chunk"
	"russet/index"
)

const (
	// windowSize is how much of a file is loaded around a byte that is read:
	// files of small blobs would otherwise cost a request a blob.
	windowSize = 1 << 20
	// windows is how many of these one reader keeps.
	windows = 8
)

// FileReader reads a file of a snapshot at any offset. It keeps up to 8 MiB, or
// eight blobs if they are larger. Where it is read from front to back, the MiB or the
// blob that comes next is loaded while what is there is used, which may end only after
// the last read. It is safe for concurrent use.
type FileReader struct {
	ctx     context.Context // of the file's opening: io.ReaderAt has none
	content []index.Handle
	ends    []int64 // ends[i] is the offset after blob i

	mu     sync.Mutex // guards what follows
	l      *Loader
	cache  []window
	clock  int
	next   int     // the blob after the window that was loaded last
	ahead  *ahead  // the window that may be wanted next; nil where there is none
	beside *Loader // of ahead
	room   []byte  // for ahead
}

// ahead is a window that is loaded before it is asked for.
type ahead struct {
	window
	err  error
	done chan struct{} // closed when the others are set
}

// window is a run of whole blobs.
type window struct {
	from, to int // blobs
	start    int64
	data     []byte
	used     int
}

// NewFileReader reads the file whose content is the given data blobs. All of
// them must be in the index.
func (r *Repository) NewFileReader(ctx context.Context, content []chunk.ID) (*FileReader, error) {
	f := &FileReader{ctx: ctx, l: r.NewLoader()}
	var size int64
	packs := map[chunk.ID]int64{}
	for _, id := range content {
		h := index.Handle{ID: id, Type: index.Data}
		loc, ok := r.index.Lookup(h)
		if !ok {
			return nil, fmt.Errorf("open file: blob %v: %w: it is in no index", id, ErrDamaged)
		}
		if err := checkSize(loc.Blob); err != nil {
			return nil, fmt.Errorf("open file: blob %v: %w", id, err)
		}
		size += loc.Size()
		packs[loc.Pack] += int64(loc.Length)
		f.content = append(f.content, h)
		f.ends = append(f.ends, size)
	}
	if isNear(ctx) {
		f.l.whole = r.mostOf(packs)
	}
	return f, nil
}

// Size is the file's length in bytes.
func (f *FileReader) Size() int64 {
	if len(f.ends) == 0 {
		return 0
	}
	return f.ends[len(f.ends)-1]
}

// ReadAt implements io.ReaderAt.
func (f *FileReader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("read file: negative offset")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for n < len(p) {
		if off >= f.Size() {
			return n, io.EOF
		}
		w, err := f.window(off)
		if err != nil {
			return n, err
		}
		m := copy(p[n:], w.data[off-w.start:])
		n += m
		off += int64(m)
	}
	return n, nil
}

// window returns the window that holds off. f.mu is held.
func (f *FileReader) window(off int64) (*window, error) {
	f.clock++
	for i := range f.cache {
		if w := &f.cache[i]; w.start <= off && off < w.start+int64(len(w.data)) {
			w.used = f.clock
			return w, nil
		}
	}
	from := sort.Search(len(f.ends), func(i int) bool { return f.ends[i] > off })
	w := f.evict()
	if !f.taken(from, w) {
		f.place(w, from)
		if err := f.load(f.l, w); err != nil {
			w.start, w.data = 0, w.data[:0]
			return nil, err
		}
	}
	w.used = f.clock
	if from == f.next && from > 0 && w.to < len(f.ends) {
		f.loadAhead(w.to)
	}
	f.next = w.to
	return w, nil
}

// place makes w the window that begins with a blob.
func (f *FileReader) place(w *window, from int) {
	*w = window{from: from, to: from + 1, data: w.data}
	if from > 0 {
		w.start = f.ends[from-1]
	}
	for w.to < len(f.ends) && f.ends[w.to]-w.start <= windowSize {
		w.to++
	}
}

// taken makes w the window that was loaded ahead, if that is the one that begins with a
// blob.
func (f *FileReader) taken(from int, w *window) bool {
	a := f.ahead
	if a == nil || a.from != from {
		return false
	}
	<-a.done
	f.ahead = nil
	if a.err != nil { // to be met by who asks
		return false
	}
	f.room, *w = w.data, a.window
	return true
}

// loadAhead begins to load the window that begins with a blob, unless another one is
// being loaded.
func (f *FileReader) loadAhead(from int) {
	if a := f.ahead; a != nil {
		select {
		case <-a.done:
			f.room = a.data
		default:
			return
		}
	}
	a := &ahead{window: window{data: f.room}, done: make(chan struct{})}
	f.ahead, f.room = a, nil
	f.place(&a.window, from)
	if f.beside == nil {
		f.beside = &Loader{r: f.l.r, whole: f.l.whole}
	}
	go func() {
		defer close(a.done)
		a.err = f.load(f.beside, &a.window)
	}()
}

// evict returns the window to load over.
func (f *FileReader) evict() *window {
	if len(f.cache) < windows {
		f.cache = append(f.cache, window{})
		return &f.cache[len(f.cache)-1]
	}
	oldest := &f.cache[0]
	for i := range f.cache {
		if f.cache[i].used < oldest.used {
			oldest = &f.cache[i]
		}
	}
	return oldest
}

func (f *FileReader) load(l *Loader, w *window) error {
	size := int(f.ends[w.to-1] - w.start)
	if cap(w.data) < size {
		w.data = make([]byte, size)
	}
	w.data = w.data[:size]
	return l.Load(f.ctx, f.content[w.from:w.to], func(i int, plain []byte, err error) error {
		if err != nil {
			return err
		}
		at := int64(0)
		if k := w.from + i; k > 0 {
			at = f.ends[k-1]
		}
		copy(w.data[at-w.start:], plain)
		return nil
	})
}

// ContentSize is the length of the file whose content is the given data blobs,
// as far as the index knows them.
func (r *Repository) ContentSize(content []chunk.ID) int64 {
	var sum int64
	for _, id := range content {
		n, _ := r.index.Size(index.Handle{ID: id, Type: index.Data})
		sum += n
	}
	return sum
}
