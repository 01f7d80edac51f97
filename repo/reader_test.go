package repo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
	"russet/index"
)

// manyBlobs saves a file of blobs of a few KiB, as databases have them.
func manyBlobs(t *testing.T, r *Repository, n int) (data []byte, content []chunk.ID) {
	t.Helper()
	w := r.NewWriter(t.Context())
	for i := range n {
		piece := backendtest.Bytes(4000+i%7*300, byte(i))
		s, err := w.Save(t.Context(), index.Data, append(piece, byte(i>>8)))
		if err != nil {
			t.Fatal(err)
		}
		data, content = append(data, append(piece, byte(i>>8))...), append(content, s.ID)
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	return data, content
}

// TestFileReader reads a file from front to back, back to front, anywhere, and by several
// at once: it is always the same.
func TestFileReader(t *testing.T) {
	t.Parallel()
	r := initRepo(t, backend.NewMemory(), 2)
	data, content := manyBlobs(t, r, 2500)
	open := func() *FileReader {
		f, err := r.NewFileReader(t.Context(), content)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	got, err := io.ReadAll(io.NewSectionReader(open(), 0, int64(len(data))))
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("front to back: other bytes, %v", err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	at := func(f *FileReader, off int64) {
		buf := make([]byte, 10_000)
		n, err := f.ReadAt(buf, off)
		if want := data[off:min(len(data), int(off)+len(buf))]; !bytes.Equal(buf[:n], want) || (err == io.EOF) != (len(want) < len(buf)) {
			t.Errorf("at %d: other bytes, %v", off, err)
		}
	}
	f := open()
	for off := int64(len(data) - 1); off > 0; off -= 700_001 {
		at(f, off)
	}
	for range 50 {
		off := random.Int64N(int64(len(data)))
		at(f, off)
		at(f, min(off+windowSize, int64(len(data)-1))) // what may be loaded ahead
	}
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			for off := int64(i); off < int64(len(data)); off += 350_003 {
				at(f, off)
			}
		})
	}
	wg.Wait()
}

// TestFileReaderAhead lets each load fail, once or from then on, also those ahead: who
// reads there loads once more, and is told only what fails then.
func TestFileReaderAhead(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	data, content := manyBlobs(t, r, 1000)
	for first, fired := 1, true; fired; first++ {
		for _, times := range []int{1, 1 << 20} {
			loads := 0
			var mu sync.Mutex
			faulty := backendtest.NewFaulty(be, backendtest.Faults{Before: func(_ context.Context, op backendtest.Op) error {
				mu.Lock()
				defer mu.Unlock()
				if loads++; loads >= first && loads < first+times {
					return backendtest.ErrInjected
				}
				return nil
			}})
			f, err := on(r, faulty).NewFileReader(t.Context(), content)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(io.NewSectionReader(f, 0, int64(len(data))))
			fired = loads >= first
			switch {
			case times == 1 || !fired:
				if err != nil || !bytes.Equal(got, data) {
					t.Errorf("load %d fails once: other bytes, %v", first, err)
				}
			case !errors.Is(err, backendtest.ErrInjected) || !bytes.HasPrefix(data, got) || len(got) == len(data):
				t.Errorf("no answer from load %d on: got %d bytes, %v", first, len(got), err)
			}
		}
	}
}
