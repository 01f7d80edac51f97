package repo

import (
	"bytes"
	"context"
	"errors"
	"testing"

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
	again, err := Open(t.Context(), be, testPassword)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.LoadIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
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
