package backend_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
)

// TestRESTSettles: rclone notices a cut late, and then removes the file of which another attempt has stored all.
func TestRESTSettles(t *testing.T) {
	t.Parallel()
	files := backend.NewMemory()
	server := restServer{files: files}
	var posts, removals atomic.Int32
	address := startREST(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || !strings.HasPrefix(r.URL.Path, "/data/") {
			server.ServeHTTP(w, r)
			return
		}
		switch posts.Add(1) {
		case 1:
			panic(http.ErrAbortHandler) // cut
		case 2:
			server.ServeHTTP(w, r)
			removals.Add(1)
			f := backend.File{Kind: backend.Data, Name: r.URL.Path[len("/data/"):]}
			if err := files.Remove(r.Context(), f); err != nil {
				t.Error(err)
			}
		default:
			server.ServeHTTP(w, r)
		}
	}))
	o := backend.Options{Network: backend.Hurried(backend.NetworkOptions{Retry: time.Minute})}
	b := createAt(t, address, o)
	defer closeAt(t, b)
	data := backendtest.Bytes(1000, 1)
	f := backendtest.Named(backend.Data, data)
	if err := b.Save(t.Context(), f, data); err != nil {
		t.Fatal(err)
	}
	if got, err := backendtest.Read(t.Context(), files, f); err != nil || len(got) != len(data) || removals.Load() != 1 {
		t.Fatalf("after the server removed it %d times: got %d bytes, %v", removals.Load(), len(got), err)
	}
	// It notices later still, and then an index must not count on the file.
	if err := files.Remove(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	for _, k := range []backend.Kind{backend.Index, backend.Snapshot} {
		err := b.Save(t.Context(), backendtest.Named(k, data), data)
		if err == nil || backend.IsTemporary(err) || !strings.Contains(err.Error(), "has lost "+f.String()) {
			t.Errorf("Save %v: got %v, want that the pack is lost", k, err)
		}
	}
	if err := b.Save(t.Context(), f, data); err != nil {
		t.Fatal(err)
	}
	for _, k := range []backend.Kind{backend.Index, backend.Snapshot} {
		if err := b.Save(t.Context(), backendtest.Named(k, data), data); err != nil {
			t.Errorf("Save %v: %v", k, err)
		}
	}
}

// TestRESTSettlesNoMore: of what was saved after a cut only packs and indexes are looked for, while nobody has removed them.
func TestRESTSettlesNoMore(t *testing.T) {
	t.Parallel()
	files := backend.NewMemory()
	server := restServer{files: files}
	var tried sync.Map
	address := startREST(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, again := tried.LoadOrStore(r.URL.Path, true); r.Method == http.MethodPost && len(r.URL.Path) > 64 && !again {
			panic(http.ErrAbortHandler)
		}
		server.ServeHTTP(w, r)
	}))
	b := createAt(t, address, backend.Options{Network: backend.Hurried(backend.NetworkOptions{Retry: time.Minute})})
	defer closeAt(t, b)
	data := backendtest.Bytes(1000, 1)
	var saving sync.WaitGroup
	for k := backend.Key; k <= backend.Data; k++ {
		saving.Go(func() {
			if err := b.Save(t.Context(), backendtest.Named(k, data), data); err != nil {
				t.Errorf("Save %v: %v", k, err)
			}
		})
	}
	saving.Wait()
	for _, f := range []backend.File{backendtest.Named(backend.Data, data), backendtest.Named(backend.Index, data)} {
		if err := b.Remove(t.Context(), f); err != nil {
			t.Error(err)
		}
	}
	for _, k := range []backend.Kind{backend.Key, backend.Lock, backend.Snapshot} { // another computer does
		if err := files.Remove(t.Context(), backendtest.Named(k, data)); err != nil {
			t.Error(err)
		}
	}
	if err := b.Save(t.Context(), backendtest.Named(backend.Snapshot, nil), nil); err != nil {
		t.Error(err)
	}
}

// TestRESTSettlesPart: a server that replaces nothing refuses a file while a part of it lies there, which it removes when it
// notices the cut.
func TestRESTSettlesPart(t *testing.T) {
	t.Parallel()
	files := backend.NewMemory()
	server := restServer{files: files, appendOnly: true}
	data := backendtest.Bytes(1000, 1)
	f := backendtest.Named(backend.Data, data)
	var posts atomic.Int32
	address := startREST(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/data/") {
			switch posts.Add(1) {
			case 1:
				if err := files.Save(r.Context(), f, data[:10]); err != nil {
					t.Error(err)
				}
				panic(http.ErrAbortHandler)
			case 3:
				if err := files.Remove(r.Context(), f); err != nil {
					t.Error(err)
				}
			}
		}
		server.ServeHTTP(w, r)
	}))
	b := createAt(t, address, backend.Options{Network: backend.Hurried(backend.NetworkOptions{Retry: time.Minute})})
	defer closeAt(t, b)
	if err := b.Save(t.Context(), f, data); err != nil {
		t.Fatal(err)
	}
	if got, err := backendtest.Read(t.Context(), files, f); err != nil || len(got) != len(data) {
		t.Errorf("got %d bytes, %v, want %d", len(got), err, len(data))
	}
}
