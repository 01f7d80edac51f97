package backendtest

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"sync"
	"testing"

	"russet/backend"
)

// checkFaults lets each operation of a small work fail, and the process die at each write: whatever was reported saved is
// there whole, what was reported removed is not, and nothing has a part of its bytes.
func checkFaults(t *testing.T, b backend.Backend) {
	for n := 1; ; n++ {
		fired := false
		for seed, faults := range []Faults{{FailAt: n}, {FailAt: n, Late: true}, {FailAt: n, FailCount: -1}, {DieAt: n}} {
			faulty := NewFaulty(b, faults)
			w := faultyWork{t, faulty, make(map[backend.File][]byte), make(map[backend.File][]byte)}
			w.run(byte(4*n + seed))
			fired = fired || faulty.Fired()
			w.compare(b)
		}
		if !fired {
			return
		}
	}
}

// faultyWork saves and removes files on a place that fails.
type faultyWork struct {
	t     *testing.T
	b     backend.Backend
	there map[backend.File][]byte // by what was reported
	maybe map[backend.File][]byte // an error was reported: there as a whole, or not
}

func (w faultyWork) run(seed byte) {
	for i, k := range []backend.Kind{backend.Data, backend.Index, backend.Lock} {
		data := append(Bytes(3000+i, seed), seed)
		f := Named(k, data)
		if err := w.b.Save(w.t.Context(), f, data); err != nil {
			w.maybe[f] = data
		} else {
			w.there[f] = data
		}
	}
	for f, data := range maps.Clone(w.there) {
		if f.Kind != backend.Lock && f.Kind != backend.Data {
			continue
		}
		delete(w.there, f)
		if err := w.b.Remove(w.t.Context(), f); err != nil {
			w.maybe[f] = data
		}
	}
}

// compare looks at the place without its faults, and empties it.
func (w faultyWork) compare(b backend.Backend) {
	w.t.Helper()
	for _, k := range kinds {
		for name := range sizes(w.t, b, k) {
			f := backend.File{Kind: k, Name: name}
			data, err := Read(w.t.Context(), b, f)
			want, ok := w.there[f]
			if !ok {
				want, ok = w.maybe[f]
			}
			if err != nil || !ok || !bytes.Equal(data, want) {
				w.t.Errorf("after a fault %s has %d bytes, %v, want %d (or none: %t)", f, len(data), err, len(want), !ok)
			}
			delete(w.there, f)
			if err := b.Remove(w.t.Context(), f); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	for f := range w.there {
		w.t.Errorf("%s was reported saved, and is not there", f)
	}
}

// checkRecorded records what many do at once: the storage can be made again as it is at the end, and at no moment does a
// file have anything but the bytes that it was saved with.
func checkRecorded(t *testing.T, b backend.Backend) {
	r, err := NewRecorder(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for worker := range 3 {
		group.Go(func() {
			for round := range 4 {
				workOnce(t, r, kinds[(worker+round)%len(kinds)], Bytes(2000+round, byte(worker)), round == 3)
			}
		})
	}
	group.Wait()
	crashes := 0
	for c := range r.Crashes() {
		crashes++
		m, err := r.State(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if err := wantWhole(t.Context(), m, c.named); err != nil {
			t.Fatalf("%v: %v", c, err)
		}
		if r.Complete(c) {
			for _, k := range kinds {
				wantSizes(t, m, k, sizes(t, b, k))
			}
		}
	}
	if want := 2 * len(r.Changes()); crashes < want {
		t.Errorf("got %d crashes of %d changes, want %d", crashes, len(r.Changes()), want)
	}
}

// wantWhole wants every file's bytes to be those of its name, but for one pack.
func wantWhole(ctx context.Context, b backend.Backend, but bool) error {
	for _, k := range kinds {
		for info, err := range b.List(ctx, k) {
			if err != nil {
				return err
			}
			f := backend.File{Kind: k, Name: info.Name}
			data, err := Read(ctx, b, f)
			if err != nil {
				return err
			}
			if Named(k, data) != f && (k != backend.Data || !but) {
				return errors.New("a file has other bytes than it was saved with")
			}
		}
	}
	return nil
}
