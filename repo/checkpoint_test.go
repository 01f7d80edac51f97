package repo

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"runtime"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/index"
)

func saveBytes(t *testing.T, w *Writer, n int, seed byte) index.Handle {
	t.Helper()
	s, err := w.Save(t.Context(), index.Data, backendtest.Bytes(n, seed))
	if err != nil {
		t.Fatal(err)
	}
	return index.Handle{ID: s.ID, Type: index.Data}
}

// TestCheckpoint drops a session after a checkpoint: what came before is in the
// index of whoever opens the repository then, and what came after is not.
func TestCheckpoint(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	w := r.NewWriter(t.Context())
	if err := w.Checkpoint(); err != nil {
		t.Fatalf("nothing to do: %v", err)
	}
	var before []index.Handle
	for i := range 5 {
		before = append(before, saveBytes(t, w, 1000+i, byte(i)))
	}
	if err := w.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	before = append(before, saveBytes(t, w, 20_000, 99))
	if err := w.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	after := saveBytes(t, w, 3000, 100)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	again := opened(t, be)
	for i, h := range before {
		if _, err := again.Load(t.Context(), h, nil); err != nil {
			t.Errorf("blob %d: %v", i, err)
		}
	}
	if got, err := again.Load(t.Context(), before[5], nil); err != nil || !bytes.Equal(got, backendtest.Bytes(20_000, 99)) {
		t.Errorf("blob 5: other bytes, %v", err)
	}
	if again.Index().Has(after) {
		t.Error("a blob that was not flushed is in the index")
	}
	if _, err := again.Check(t.Context(), CheckOptions{}); err != nil {
		t.Error(err)
	}
}

// TestCheckpointBesideSaves makes checkpoints while others save the same blobs: after
// each of them whatever a Save has answered before is found by whoever opens the
// repository then.
func TestCheckpointBesideSaves(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	w := r.NewWriter(t.Context())
	w.indexPacks = 2
	var mu sync.Mutex
	saved := map[index.Handle]bool{}
	group, ctx := errgroup.WithContext(t.Context())
	done := make(chan struct{})
	for range 3 {
		group.Go(func() error {
			for i := 0; ; i++ {
				select {
				case <-done:
					return nil
				default:
				}
				data := backendtest.Bytes(200_000, byte(i))
				binary.LittleEndian.PutUint32(data, uint32(i/2)) // each twice, and the same by all
				s, err := w.Save(ctx, index.Data, data)
				if err != nil {
					return err
				}
				mu.Lock()
				saved[index.Handle{ID: s.ID, Type: index.Data}] = true
				mu.Unlock()
			}
		})
	}
	for range 8 {
		mu.Lock()
		before := maps.Clone(saved)
		mu.Unlock()
		if err := w.Checkpoint(); err != nil {
			t.Fatal(err)
		}
		again := opened(t, be)
		for h := range before {
			if !again.Index().Has(h) {
				t.Fatalf("blob %v of %d is in no index after a checkpoint", h.ID, len(before))
			}
		}
	}
	close(done)
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkClean(t, be)
}

// lateIndex is a place in which the second pack comes to lie while the first index file is
// written, which takes so long that a checkpoint which does not wait for it is over before.
type lateIndex struct {
	backend.Backend
	mu                          sync.Mutex
	packs, indexes              int
	held, begun, over, lookedAt chan struct{}
}

func (l *lateIndex) Save(ctx context.Context, f backend.File, data []byte) error {
	l.mu.Lock()
	switch f.Kind {
	case backend.Data:
		l.packs++
	case backend.Index:
		l.indexes++
	}
	second, first := f.Kind == backend.Data && l.packs == 2, f.Kind == backend.Index && l.indexes == 1
	l.mu.Unlock()
	if second {
		close(l.held)
		<-l.begun
	}
	if first {
		close(l.begun)
		for range 100_000 {
			select {
			case <-l.over:
				<-l.lookedAt
				return l.Backend.Save(ctx, f, data)
			default:
				runtime.Gosched()
			}
		}
	}
	return l.Backend.Save(ctx, f, data)
}

// TestCheckpointWaitsForIndex makes a checkpoint while the session goes on, and a pack that
// came later has an index file written that names one of before, too.
func TestCheckpointWaitsForIndex(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	late := &lateIndex{Backend: be}
	for _, ch := range []*chan struct{}{&late.held, &late.begun, &late.over, &late.lookedAt} {
		*ch = make(chan struct{})
	}
	w := on(initRepo(t, be, 2), late).NewWriter(t.Context())
	defer w.Close()
	w.indexPacks = 2
	const alone = 9 << 20 // a pack has room for one of them
	before := []index.Handle{saveBytes(t, w, alone, 1), saveBytes(t, w, alone, 2)}
	ended := make(chan error)
	go func() { ended <- w.Checkpoint() }()
	<-late.held
	for i := range dataPacks + 1 { // one pack is full then
		saveBytes(t, w, alone, byte(10+i))
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	close(late.over)
	then, err := backendtest.Copy(t.Context(), be)
	close(late.lookedAt)
	if err != nil {
		t.Fatal(err)
	}
	again := opened(t, then)
	for i, h := range before {
		if !again.Index().Has(h) {
			t.Errorf("blob %d is in no index", i)
		}
	}
}

// TestCheckpointFails lets each write of a checkpoint fail: it says so, and so
// does everything after it.
func TestCheckpointFails(t *testing.T) {
	t.Parallel()
	store := backend.NewMemory()
	initRepo(t, store, 2)
	for n := 1; ; n++ {
		be, err := backendtest.Copy(t.Context(), store)
		if err != nil {
			t.Fatal(err)
		}
		faulty := backendtest.NewFaulty(be, backendtest.Faults{
			FailAt: n, Only: func(op backendtest.Op) bool { return op.Verb == backendtest.Save },
		})
		r, err := Open(t.Context(), faulty, testPassword)
		if err != nil {
			t.Fatal(err)
		}
		w := r.NewWriter(t.Context())
		saveBytes(t, w, 1000, 1)
		err = w.Checkpoint()
		if !faulty.Fired() {
			if err != nil || n != 3 {
				t.Errorf("fault %d did not happen: %v; want a pack and an index", n, err)
			}
			if err := w.Close(); err != nil {
				t.Error(err)
			}
			return
		}
		if !errors.Is(err, backendtest.ErrInjected) {
			t.Errorf("fault %d: got %v", n, err)
		}
		if err := w.Checkpoint(); !errors.Is(err, backendtest.ErrInjected) {
			t.Errorf("fault %d, again: got %v", n, err)
		}
		if err := w.Flush(context.WithoutCancel(t.Context())); err == nil {
			t.Errorf("fault %d: flushed", n)
		}
		w.Close()
	}
}

// TestOrphans lets a session fail after its packs were saved: what the next one
// takes for saved is in an index file when that one ends.
func TestOrphans(t *testing.T) {
	t.Parallel()
	store := backend.NewMemory()
	initRepo(t, store, 2)
	faulty := backendtest.NewFaulty(store, backendtest.Faults{
		FailAt: 1, Only: func(op backendtest.Op) bool { return op.Verb == backendtest.Save && op.File.Kind == backend.Index },
	})
	r, err := Open(t.Context(), faulty, testPassword)
	if err != nil {
		t.Fatal(err)
	}
	w := r.NewWriter(t.Context())
	h := saveBytes(t, w, 1000, 1)
	if err := w.Flush(t.Context()); !errors.Is(err, backendtest.ErrInjected) {
		t.Fatalf("got %v", err)
	}
	w = r.NewWriter(t.Context())
	if again := saveBytes(t, w, 1000, 1); again != h || w.Stats().DataBlobs != 0 {
		t.Error("the blob was saved again")
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	other, err := Open(t.Context(), store, testPassword)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.LoadIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !other.Index().Has(h) {
		t.Error("the blob is in no index file")
	}
}
