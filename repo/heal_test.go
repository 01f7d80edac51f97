package repo

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
	"russet/index"
)

// harm changes every data pack of a repository in one way.
func harm(t *testing.T, be backend.Backend, change func(f backend.File, data []byte) []byte) {
	t.Helper()
	var packs []backend.File
	for info, err := range be.List(t.Context(), backend.Data) {
		if err != nil {
			t.Fatal(err)
		}
		packs = append(packs, backend.File{Kind: backend.Data, Name: info.Name})
	}
	for _, f := range packs {
		err := backendtest.Damage(t.Context(), be, f, func(data []byte) []byte { return change(f, data) })
		if err != nil {
			t.Fatal(err)
		}
	}
}

// What the index promises and the drive does not hold is stored again, by a
// run that looks whether the packs are there.
func TestDropLost(t *testing.T) {
	t.Parallel()
	for name, hurt := range map[string]func(t *testing.T, be backend.Backend){
		"gone": func(t *testing.T, be backend.Backend) {
			for info := range be.List(t.Context(), backend.Data) {
				if err := be.Remove(t.Context(), backend.File{Kind: backend.Data, Name: info.Name}); err != nil {
					t.Fatal(err)
				}
			}
		},
		"cut short": func(t *testing.T, be backend.Backend) {
			harm(t, be, func(_ backend.File, data []byte) []byte { return data[:len(data)/2] })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			be := backend.NewMemory()
			r := initRepo(t, be, 2)
			files := map[string][]byte{"a": payload(1, 5000), "b": payload(2, 5000)}
			saveFiles(t, r, files)
			var blobs []index.Handle
			for loc := range r.Index().Blobs() {
				blobs = append(blobs, loc.Handle)
			}
			if lost, err := r.DropLost(t.Context()); lost != 0 || err != nil {
				t.Fatalf("of a whole repository: got %d, %v, want 0", lost, err)
			}
			hurt(t, be)
			if err := r.LoadIndex(t.Context()); err != nil {
				t.Fatal(err)
			}
			packs := 0
			for range r.Index().Packs() {
				packs++
			}
			if lost, err := r.DropLost(t.Context()); lost != packs || err != nil {
				t.Fatalf("got %d, %v, want %d", lost, err, packs)
			}
			if n := r.Index().Len(); n != 0 {
				t.Errorf("%d blobs are still believed in", n)
			}
			saveFiles(t, r, files)
			fresh, err := Open(t.Context(), be, testPassword)
			if err != nil {
				t.Fatal(err)
			}
			if err := fresh.LoadIndex(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, h := range blobs {
				if _, err := fresh.Load(t.Context(), h, nil); err != nil {
					t.Errorf("a blob of the first snapshot: %v", err)
				}
			}
		})
	}
}

// A pack that is whole is kept when another is dropped.
func TestDropLostKeepsTheRest(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	saveFiles(t, r, map[string][]byte{"a": payload(1, 5000)})
	kept := map[chunk.ID]bool{}
	for id := range r.Index().Packs() {
		kept[id] = true
	}
	before := r.Index().Len()
	saveFiles(t, r, map[string][]byte{"b": payload(2, 5000)})
	for id := range r.Index().Packs() {
		if !kept[id] {
			if err := be.Remove(t.Context(), packName(id)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if lost, err := r.DropLost(t.Context()); lost != 2 || err != nil {
		t.Fatalf("got %d, %v, want 2", lost, err)
	}
	if got := r.Index().Len(); got != before {
		t.Errorf("%d blobs are left, want %d", got, before)
	}
	if _, err := r.DropLost(t.Context()); err != nil {
		t.Fatal(err)
	}
	for loc := range r.Index().Blobs() {
		if _, err := r.Load(t.Context(), loc.Handle, nil); err != nil {
			t.Error(err)
		}
	}
}

// A writer that distrusts the repository stores again what a drive has changed
// without a word, and only that, and only once.
func TestDistrust(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	bad, good := payload(1, 5000), payload(2, 5000)
	w := r.NewWriter(t.Context())
	first, err := w.Save(t.Context(), index.Data, bad)
	if err == nil {
		_, err = w.Save(t.Context(), index.Data, good)
	}
	if err := errors.Join(err, w.Flush(t.Context())); err != nil {
		t.Fatal(err)
	}
	at, _ := r.Index().Lookup(index.Handle{ID: first.ID, Type: index.Data})
	harm(t, be, func(_ backend.File, data []byte) []byte {
		data = bytes.Clone(data)
		data[at.Offset+at.Length/2] ^= 1
		return data
	})
	for _, distrust := range []bool{false, true} {
		w := r.NewWriter(t.Context())
		if distrust {
			w.Distrust()
		}
		for i := range 3 {
			for _, plain := range [][]byte{bad, good} {
				saved, err := w.Save(t.Context(), index.Data, plain)
				if err != nil {
					t.Fatal(err)
				}
				if want := distrust && i == 0 && saved.ID == first.ID; saved.New != want {
					t.Errorf("distrust %t, time %d: stored %t, want %t", distrust, i, saved.New, want)
				}
			}
		}
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	got, err := r.Load(t.Context(), index.Handle{ID: first.ID, Type: index.Data}, nil)
	if err != nil || !bytes.Equal(got, bad) {
		t.Errorf("after a repair: %v", err)
	}
}

// Right before a snapshot is saved a lock that has gone is noticed, though the
// next refresh is minutes away; one that the drive does not give is forgiven
// for as long as nobody may take it for stale.
func TestLockIsConfirmed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool // the refresher reads it
		r, be, _ := lockRepo(t, backendtest.Faults{Before: func(_ context.Context, op backendtest.Op) error {
			if down.Load() && op.File.Kind == backend.Lock {
				return errors.New("down")
			}
			return nil
		}})
		l := take(t, r, false)
		tree := saveFiles(t, r, map[string][]byte{"a": payload(1, 100)}).Tree
		commit := func() error {
			_, err := r.SaveSnapshot(l.Context(), &Snapshot{Time: testTime(), Tree: tree, Paths: []string{"/x"}})
			return err
		}
		if err := commit(); err != nil {
			t.Fatalf("a lock that is there: %v", err)
		}
		down.Store(true)
		if err := commit(); err != nil {
			t.Errorf("a lock that cannot be read for a moment: %v", err)
		}
		down.Store(false)
		time.Sleep(time.Hour + time.Minute) // refreshed meanwhile, and not at this very moment
		if err := commit(); err != nil {
			t.Errorf("an hour later: %v", err)
		}
		for id := range locks(t, r, be) {
			if err := be.Remove(t.Context(), backend.File{Kind: backend.Lock, Name: id.String()}); err != nil {
				t.Fatal(err)
			}
		}
		if err := commit(); !errors.Is(err, ErrLockLost) || !errors.Is(err, errLockGone) {
			t.Errorf("a lock that is gone: got %v, want %v", err, ErrLockLost)
		}
		if l.Context().Err() == nil {
			t.Error("the work goes on without a lock")
		}
		if err := l.Unlock(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
