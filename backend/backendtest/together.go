package backendtest

import (
	"bytes"
	"errors"
	"io/fs"
	"sync"
	"testing"

	"russet/backend"
)

// checkSameName saves the same file from many sides while it is listed and loaded: it is there as a whole or not at all.
func checkSameName(t *testing.T, b backend.Backend) {
	const savers, watchers = 8, 4
	data := Bytes(300_000, 0)
	f := Named(backend.Data, data)
	var saving, watching sync.WaitGroup
	done := make(chan struct{})
	for range watchers {
		watching.Go(func() {
			for {
				watch(t, b, f, data)
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for range savers {
		saving.Go(func() {
			if err := b.Save(t.Context(), f, data); err != nil {
				t.Errorf("Save: %v", err)
			}
		})
	}
	saving.Wait()
	close(done)
	watching.Wait()
	wantData(t, b, f, data)
	wantSizes(t, b, backend.Data, map[string]int64{f.Name: int64(len(data))})
}

func watch(t *testing.T, b backend.Backend, f backend.File, data []byte) {
	for info, err := range b.List(t.Context(), f.Kind) {
		if err != nil || info.Size != int64(len(data)) {
			t.Errorf("List during Save: got %d bytes, %v, want %d", info.Size, err, len(data))
		}
	}
	dst := make([]byte, len(data)+1)
	n, err := b.Load(t.Context(), f, 0, dst)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil || !bytes.Equal(dst[:n], data) {
		t.Errorf("Load during Save: got %d bytes, %v, want all %d", n, err, len(data))
	}
}

// checkTogether has many workers save, load, list and remove files of their own.
func checkTogether(t *testing.T, b backend.Backend) {
	const workers, rounds = 8, 12
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			k := kinds[worker%len(kinds)]
			for round := range rounds {
				workOnce(t, b, k, Bytes(2000+round, byte(worker)), round%3 == 0)
			}
		})
	}
	group.Wait()
	total := 0
	for _, k := range kinds {
		total += len(sizes(t, b, k))
	}
	if want := workers * rounds * 2 / 3; total != want {
		t.Errorf("after all: got %d files, want %d", total, want)
	}
}

func workOnce(t *testing.T, b backend.Backend, k backend.Kind, data []byte, remove bool) {
	f := Named(k, data)
	if err := b.Save(t.Context(), f, data); err != nil {
		t.Errorf("Save: %v", err)
		return
	}
	dst := make([]byte, len(data)+1)
	if n, err := b.Load(t.Context(), f, 0, dst); err != nil || !bytes.Equal(dst[:n], data) {
		t.Errorf("Load: got %d bytes, %v, want %d", n, err, len(data))
	}
	found := false
	for info, err := range b.List(t.Context(), k) {
		if err != nil {
			t.Errorf("List: %v", err)
		}
		found = found || info.Name == f.Name
	}
	if !found {
		t.Errorf("List: %s is missing", f)
	}
	if remove {
		if err := b.Remove(t.Context(), f); err != nil {
			t.Errorf("Remove: %v", err)
		}
	}
}
