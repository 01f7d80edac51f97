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
// eight blobs if they are larger. It is safe for concurrent use.
type FileReader struct {
	ctx     context.Context // of the file's opening: io.ReaderAt has none
	content []index.Handle
	ends    []int64 // ends[i] is the offset after blob i

	mu    sync.Mutex // guards what follows
	l     *Loader
	cache []window
	clock int
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
	start := int64(0)
	if from > 0 {
		start = f.ends[from-1]
	}
	to := from + 1
	for to < len(f.ends) && f.ends[to]-start <= windowSize {
		to++
	}
	w := f.evict()
	*w = window{from: from, to: to, start: start, used: f.clock, data: w.data}
	if err := f.load(w); err != nil {
		w.start, w.data = 0, w.data[:0]
		return nil, err
	}
	return w, nil
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

func (f *FileReader) load(w *window) error {
	size := int(f.ends[w.to-1] - w.start)
	if cap(w.data) < size {
		w.data = make([]byte, size)
	}
	w.data = w.data[:size]
	return f.l.Load(f.ctx, f.content[w.from:w.to], func(i int, plain []byte, err error) error {
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
