package repo

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
	"russet/index"
)

// What a repository's keys say of a password, and what of themselves.
func TestPasswordOrDamage(t *testing.T) {
	t.Parallel()
	keys := func(op backendtest.Op) bool { return op.Verb == backendtest.Load && op.File.Kind == backend.Key }
	for name, c := range map[string]struct {
		password string
		spoil    bool // the key file
		second   bool // there is another, whole one
		faults   backendtest.Faults
		want     []error
		not      []error
	}{
		"right":                 {password: testPassword},
		"right, damaged other":  {password: "second", spoil: true, second: true},
		"wrong":                 {password: "wrong", want: []error{ErrWrongPassword}, not: []error{ErrDamaged}},
		"damaged":               {password: testPassword, spoil: true, want: []error{ErrDamaged}, not: []error{ErrWrongPassword}},
		"wrong or damaged":      {password: testPassword, spoil: true, second: true, want: []error{ErrDamaged}, not: []error{ErrWrongPassword}},
		"store fails":           {password: testPassword, faults: backendtest.Faults{FailAt: 1, FailCount: -1, Only: keys}, want: []error{backendtest.ErrInjected}, not: []error{ErrDamaged, ErrWrongPassword}},
		"removed meanwhile":     {password: "wrong", second: true, faults: backendtest.Faults{FailAt: 1, Err: os.ErrNotExist, Only: keys}, want: []error{ErrWrongPassword}, not: []error{ErrDamaged}},
		"flipped once underway": {password: testPassword, faults: backendtest.Faults{Corrupt: flipOnce()}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := backend.NewMemory()
			r := initRepo(t, store, 2)
			if c.second {
				if _, err := r.AddKey(t.Context(), "second", cheap, Owner{}); err != nil {
					t.Fatal(err)
				}
			}
			if c.spoil {
				spoil(t, store, backend.File{Kind: backend.Key, Name: r.keyID.String()})
			}
			_, err := Open(t.Context(), backendtest.NewFaulty(store, c.faults), c.password)
			if (err == nil) != (c.want == nil) {
				t.Errorf("open: %v, want %v", err, c.want)
			}
			for _, want := range c.want {
				if !errors.Is(err, want) {
					t.Errorf("open: %v, want %v", err, want)
				}
			}
			for _, not := range c.not {
				if errors.Is(err, not) {
					t.Errorf("open: %v, which is no %v", err, not)
				}
			}
		})
	}
}

// flipOnce changes a byte of the first key file that is loaded.
func flipOnce() func(backend.File, int64, []byte) []byte {
	done := false
	return func(f backend.File, _ int64, data []byte) []byte {
		if f.Kind == backend.Key && len(data) > 10 && !done {
			done = true
			data[10] ^= 1
		}
		return data
	}
}

// spoil changes a byte of a stored file.
func spoil(t *testing.T, be backend.Backend, f backend.File) {
	t.Helper()
	data, err := loadAll(t.Context(), be, f, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := be.Remove(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if err := be.Save(t.Context(), f, data); err != nil {
		t.Fatal(err)
	}
}

// Junk among the keys costs no derivations: the owner's is found behind more of
// it than are ever derived.
func TestKeyBehindJunk(t *testing.T) {
	t.Parallel()
	store := backend.NewMemory()
	initRepo(t, store, 2)
	for i := range 5 * maxKeys {
		junk := []byte(strings.Repeat("j", i))
		if err := store.Save(t.Context(), backend.File{Kind: backend.Key, Name: chunk.Sum(junk).String()}, junk); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(t.Context(), store, testPassword); err != nil {
		t.Error(err)
	}
}

// An index may claim blobs of any size. No memory is made for what no writer
// makes, and a true copy is still found.
func TestHugeBlobs(t *testing.T) { // not parallel: it looks at the process's memory
	r, _ := smallRepo(t)
	blob := func(n byte, offset, length, raw uint32) index.Blob {
		return index.Blob{Handle: index.Handle{ID: chunk.ID{n}, Type: index.Data}, Offset: offset, Length: length, RawLength: raw}
	}
	lies := []index.Blob{blob(1, 0, 1<<32-1, 0), blob(2, 0, 100, 1<<32-1)}
	text := index.Handle{ID: chunk.Sum([]byte("hello")), Type: index.Data}
	lies = append(lies, index.Blob{Handle: text, Length: 1<<32 - 1})
	r.Index().Add(index.Pack{ID: chunk.ID{9}, Blobs: lies})

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for n := byte(1); n <= 2; n++ {
		id := chunk.ID{n}
		h := index.Handle{ID: id, Type: index.Data}
		if _, err := r.Load(t.Context(), h, nil); !errors.Is(err, ErrDamaged) {
			t.Errorf("load: %v, want ErrDamaged", err)
		}
		err := r.NewLoader().Load(t.Context(), []index.Handle{h}, func(_ int, _ []byte, err error) error { return err })
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("loader: %v, want ErrDamaged", err)
		}
		if _, err := r.NewFileReader(t.Context(), []chunk.ID{id}); !errors.Is(err, ErrDamaged) {
			t.Errorf("reader: %v, want ErrDamaged", err)
		}
		out := []Output{{Path: "f", Content: []chunk.ID{id}}}
		if err := r.WriteFiles(t.Context(), root, out, OutputOptions{}); !errors.Is(err, ErrDamaged) {
			t.Errorf("write: %v, want ErrDamaged", err)
		}
	}
	if got, err := r.Load(t.Context(), text, nil); err != nil || string(got) != "hello" {
		t.Errorf("the true copy: %q, %v", got, err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 256<<20 {
		t.Errorf("%d bytes were allocated", got)
	}
}

// A config that lacks what it had has changed.
func TestCheckEmptyConfig(t *testing.T) {
	t.Parallel()
	r, be := smallRepo(t)
	f := backend.File{Kind: backend.Config}
	if err := be.Remove(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if err := be.Save(t.Context(), f, r.key.Seal(nil, []byte("{}"))); err != nil {
		t.Fatal(err)
	}
	_, found, err := check(t, r)
	if !errors.Is(err, ErrDamaged) && len(ofKind(found, BadConfig)) == 0 {
		t.Errorf("check: %v, %v, want BadConfig", err, found)
	}
}

// An index may list one damaged blob any number of times: it is not read as
// often.
func TestManyCopies(t *testing.T) {
	t.Parallel()
	r, be := smallRepo(t)
	h := index.Handle{ID: chunk.Sum([]byte("nowhere")), Type: index.Data}
	for n := range 1000 {
		r.Index().Add(index.Pack{ID: chunk.Sum(payload(uint64(n), 8)), Blobs: []index.Blob{{Handle: h, Length: 40}}})
	}
	counting := backendtest.NewFaulty(be, backendtest.Faults{})
	if _, err := on(r, counting).Load(t.Context(), h, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("load: %v, want ErrDamaged", err)
	}
	if got := len(counting.Ops()); got > 2*maxCopies {
		t.Errorf("%d loads", got)
	}
}
