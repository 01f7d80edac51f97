package repo

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
	"russet/crypto"
	"russet/index"
)

// cached is r at the far end of a line, with a cache in folder, and the log of what is asked there.
func cached(t *testing.T, r *Repository, folder string) (*Repository, *backendtest.Faulty) {
	t.Helper()
	counted := backendtest.NewFaulty(r.place, backendtest.Faults{})
	c, err := backend.OpenCache(counted, folder, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	copied := distant(r)
	copied.place = counted
	copied.UseCache(c)
	return copied, counted
}

// saveAll saves pieces and returns their ids.
func saveAll(t *testing.T, ctx context.Context, w *Writer, pieces ...[]byte) (ids []chunk.ID) {
	t.Helper()
	for _, piece := range pieces {
		saved, err := w.Save(ctx, index.Data, piece)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, saved.ID)
	}
	return ids
}

// readNear reads a file as every run does.
func readNear(t *testing.T, r *Repository, ids []chunk.ID, want []byte) {
	t.Helper()
	got, err := r.ReadFile(Near(t.Context()), ids, 1<<30)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %d bytes and error %v, want %d", len(got), err, len(want))
	}
}

// loadsOf are the sizes of the loads of packs.
func loadsOf(b *backendtest.Faulty) (sizes []int) {
	for _, op := range b.Ops() {
		if op.Verb == backendtest.Load && op.File.Kind == backend.Data {
			sizes = append(sizes, op.Size)
		}
	}
	return sizes
}

// What every run reads is here when it was saved here; lost, it comes whole where it is most of a pack, and alone where it is
// not.
func TestNear(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		beside int // bytes of other data in the pack
		whole  bool
	}{{"alone", 0, true}, {"beside much", 4 << 20, false}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			base, _, _ := lockRepo(t, backendtest.Faults{})
			r, counted := cached(t, base, t.TempDir())
			w := r.NewWriter(t.Context())
			near, other := backendtest.Bytes(100_000, 1), backendtest.Bytes(c.beside+1, 2)
			ids := saveAll(t, Near(t.Context()), w, near)
			if c.beside > 0 {
				saveAll(t, t.Context(), w, other)
			}
			if err := w.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			readNear(t, r, ids, near)
			if got := loadsOf(counted); len(got) != 0 {
				t.Errorf("what was saved here is loaded: %d bytes", got)
			}
			lost, counted := cached(t, r, t.TempDir())
			readNear(t, lost, ids, near)
			readNear(t, lost, ids, near)
			got := loadsOf(counted)
			if c.whole && (len(got) != 1 || got[0] < 1<<20) || !c.whole && (len(got) != 2 || got[0] > 200_000) {
				t.Errorf("loads of %d bytes, want the pack once: %t", got, c.whole)
			}
			checkWhole(t, base)
		})
	}
}

func checkWhole(t *testing.T, r *Repository) {
	t.Helper()
	if _, err := r.Check(t.Context(), CheckOptions{Read: AllPacks()}); err != nil {
		t.Error(err)
	}
}

// On a drive what every run reads lies among the rest.
func TestNearOnADrive(t *testing.T) {
	t.Parallel()
	r, _, _ := lockRepo(t, backendtest.Faults{})
	w := r.NewWriter(t.Context())
	saveAll(t, Near(t.Context()), w, backendtest.Bytes(1000, 1))
	saveAll(t, t.Context(), w, backendtest.Bytes(1000, 2))
	if w.open[nearLane][0] != nil {
		t.Error("it has a pack of its own")
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// most counts how many calls run at once.
type most struct {
	mu        sync.Mutex
	now, seen int
}

// during is a Before that takes a second of those that counts accepts.
func (m *most) during(counts func(backendtest.Op) bool) func(context.Context, backendtest.Op) error {
	return func(_ context.Context, op backendtest.Op) error {
		if !counts(op) {
			return nil
		}
		m.mu.Lock()
		m.now++
		m.seen = max(m.seen, m.now)
		m.mu.Unlock()
		<-time.After(time.Second)
		m.mu.Lock()
		m.now--
		m.mu.Unlock()
		return nil
	}
}

// At the far end of a line as many packs are on their way as there are connections, and so are files that are read.
func TestConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		base, be, _ := lockRepo(t, backendtest.Faults{})
		var packs, files most
		faulty := backendtest.NewFaulty(be, backendtest.Faults{Before: packs.during(func(op backendtest.Op) bool {
			return op.Verb == backendtest.Save && op.File.Kind == backend.Data
		})})
		r := distant(on(base, faulty))
		w := r.NewWriter(t.Context())
		var trees []chunk.ID
		for i := range 6 {
			p := &pack{lane: treeLane}
			tree := (&Tree{Nodes: []*Node{{Name: string(rune('a' + i)), Type: TypeDir, Subtree: &chunk.ID{1}}}}).Append(nil)
			s := new(scratch)
			raw, err := r.seal(s, index.Tree, tree)
			if err != nil {
				t.Fatal(err)
			}
			h := index.Handle{ID: chunk.Sum(tree), Type: index.Tree}
			p.add(h, s.sealed, raw)
			trees = append(trees, h.ID)
			w.mu.Lock()
			w.depart(p)
			w.mu.Unlock()
			if err := w.enqueue(p); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if packs.seen != 5 {
			t.Errorf("%d packs were on their way at once, want 5", packs.seen)
		}
		for _, tree := range trees {
			if _, err := r.SaveSnapshot(t.Context(), &Snapshot{Time: time.Now(), Tree: &tree}); err != nil {
				t.Fatal(err)
			}
		}
		slow := backendtest.NewFaulty(be, backendtest.Faults{Before: files.during(func(op backendtest.Op) bool {
			return op.Verb == backendtest.Load && op.File.Kind == backend.Snapshot
		})})
		all, err := distant(on(base, slow)).AllSnapshots(t.Context())
		if err != nil || len(all) != len(trees) || files.seen != 5 {
			t.Errorf("%d snapshots with error %v, %d read at once: want %d and 5", len(all), err, files.seen, len(trees))
		}
	})
}

// The key of the last time is asked for without a listing; where it is of no use the others are tried.
func TestOpenByKey(t *testing.T) {
	t.Parallel()
	base, be, _ := lockRepo(t, backendtest.Faults{})
	other, err := base.AddKey(t.Context(), "other", crypto.Cost{N: 2, R: 1, P: 1}, Owner{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		last     chunk.ID
		password string
		listed   bool
		want     chunk.ID
	}{
		{"right", base.keyID, testPassword, false, base.keyID},
		{"of another password", base.keyID, "other", true, other},
		{"gone", chunk.ID{1}, testPassword, true, base.keyID},
		{"unknown", chunk.ID{}, testPassword, true, base.keyID},
	} {
		counted := backendtest.NewFaulty(be, backendtest.Faults{})
		r, err := OpenByKey(t.Context(), counted, c.password, c.last)
		if err != nil || r.KeyID() != c.want {
			t.Fatalf("%s: %v", c.name, err)
		}
		listed := false
		for _, op := range counted.Ops() {
			listed = listed || op.Verb == backendtest.List
		}
		if listed != c.listed {
			t.Errorf("%s: listed is %t, want %t", c.name, listed, c.listed)
		}
	}
	if _, err := OpenByKey(t.Context(), be, "wrong", base.keyID); err == nil {
		t.Error("a wrong password opens it")
	}
}
