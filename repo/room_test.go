package repo

import (
	"bytes"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
	"russet/index"
)

// TestIndexPacks kills a session that stores large blobs and makes no
// checkpoint: nearly all that was stored is found by the next one.
func TestIndexPacks(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	w := initRepo(t, be, 2).NewWriter(t.Context())
	defer w.Close()
	w.indexPacks = 2
	var saved []index.Handle
	for i := range 12 {
		saved = append(saved, saveBytes(t, w, 6<<20, byte(i)))
	}
	if err := w.ended(w.flight); err != nil {
		t.Fatal(err)
	}
	again := opened(t, be)
	found := 0
	for _, h := range saved {
		if again.Index().Has(h) {
			found++
		}
	}
	// Two packs of two blobs are open, and one may be in no index yet.
	if found < len(saved)-6 {
		t.Errorf("got %d of %d blobs", found, len(saved))
	}
}

// TestPackGrows fills packs with blobs of many sizes: the buffer keeps what is
// in it, and is no larger than it need be.
func TestPackGrows(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 1000, firstRoom, firstRoom + 1, 3 << 20, packTarget, packRoom + 1} {
		p := new(pack)
		var want []byte
		for i := 0; p.takes(n) && i < 300; i++ {
			blob := bytes.Repeat([]byte{byte(i)}, n)
			p.add(index.Handle{ID: chunk.ID{byte(i)}}, blob, 0)
			want = append(want, blob...)
		}
		if !bytes.Equal(p.buf, want) {
			t.Errorf("blobs of %d bytes: the pack holds something else", n)
		}
		if limit := max(packRoom, n); cap(p.buf) > limit {
			t.Errorf("blobs of %d bytes: room for %d, over %d", n, cap(p.buf), limit)
		}
		if len(want) <= 1000 && cap(p.buf) > firstRoom {
			t.Errorf("a small pack has room for %d bytes", cap(p.buf))
		}
	}
}

// TestDropBuffers gives back what full packs leave, and goes on.
func TestDropBuffers(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	w := r.NewWriter(t.Context())
	first := saveBytes(t, w, 1<<20, 1)
	if err := w.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	w.DropBuffers()
	if n := len(w.free); n != 0 {
		t.Errorf("%d buffers are kept", n)
	}
	second := saveBytes(t, w, 1<<20, 2)
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, h := range []index.Handle{first, second} {
		got, err := r.Load(t.Context(), h, nil)
		if err != nil || !bytes.Equal(got, backendtest.Bytes(1<<20, byte(i+1))) {
			t.Errorf("blob %d: %v", i, err)
		}
	}
}
