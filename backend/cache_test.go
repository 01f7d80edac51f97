package backend_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
)

func openCache(t *testing.T, b backend.Backend, folder string) *backend.Cache {
	t.Helper()
	c, err := backend.OpenCache(b, folder, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestCache(t *testing.T) {
	t.Parallel()
	backendtest.Run(t, func(t *testing.T) backend.Backend { return openCache(t, backend.NewMemory(), t.TempDir()) })
}

// treesOnly makes packs of trees of all packs.
type treesOnly struct{ *backend.Cache }

func (b treesOnly) Save(ctx context.Context, f backend.File, data []byte) error {
	if f.Kind != backend.Data {
		return b.Cache.Save(ctx, f, data)
	}
	return backend.SaveTrees(ctx, b.Cache, f, data)
}

func (b treesOnly) Load(ctx context.Context, f backend.File, offset int64, dst []byte) (int, error) {
	if f.Kind != backend.Data {
		return b.Cache.Load(ctx, f, offset, dst)
	}
	return backend.LoadTrees(ctx, b.Cache, f, offset, dst)
}

func TestCacheOfTrees(t *testing.T) {
	t.Parallel()
	backendtest.Run(t, func(t *testing.T) backend.Backend {
		return treesOnly{openCache(t, backend.NewMemory(), t.TempDir())}
	})
}

// logged is a place with files, and a log of what is asked of it.
type logged struct {
	*backendtest.Faulty
	place *backend.Memory
	data  map[backend.Kind][]byte
	file  map[backend.Kind]backend.File
}

func newFar(t *testing.T, faults backendtest.Faults) logged {
	t.Helper()
	f := logged{place: backend.NewMemory(), data: map[backend.Kind][]byte{}, file: map[backend.Kind]backend.File{}}
	for k := backend.Key; k <= backend.Data; k++ {
		f.data[k] = backendtest.Bytes(5000, byte(k))
		f.file[k] = backendtest.Named(k, f.data[k])
		if err := f.place.Save(t.Context(), f.file[k], f.data[k]); err != nil {
			t.Fatal(err)
		}
	}
	f.Faulty = backendtest.NewFaulty(f.place, faults)
	return f
}

// loads counts the loads of files of a kind.
func (f logged) loads(k backend.Kind) int {
	n := 0
	for _, op := range f.Ops() {
		if op.Verb == backendtest.Load && op.File.Kind == k {
			n++
		}
	}
	return n
}

// read loads the file of a kind through a cache, packs as packs of trees.
func (f logged) read(t *testing.T, b backend.Backend, k backend.Kind, offset, n int) []byte {
	t.Helper()
	load := b.Load
	if k == backend.Data {
		load = func(ctx context.Context, f backend.File, offset int64, dst []byte) (int, error) {
			return backend.LoadTrees(ctx, b, f, offset, dst)
		}
	}
	buf := make([]byte, n)
	n, err := load(t.Context(), f.file[k], int64(offset), buf)
	if err != nil {
		t.Fatalf("load %v: %v", k, err)
	}
	return buf[:n]
}

func (f logged) wantRead(t *testing.T, b backend.Backend, k backend.Kind) {
	t.Helper()
	if got := f.read(t, b, k, 0, 6000); !bytes.Equal(got, f.data[k]) {
		t.Fatalf("load %v: got %d bytes, want %d other ones", k, len(got), len(f.data[k]))
	}
	if got := f.read(t, b, k, 100, 50); !bytes.Equal(got, f.data[k][100:150]) {
		t.Fatalf("load a part of %v: got %d bytes, want 50 other ones", k, len(got))
	}
	if got := f.read(t, b, k, 5000, 10); len(got) != 0 {
		t.Fatalf("load behind the end of %v: got %d bytes, want 0", k, len(got))
	}
}

func listKept(t *testing.T, b backend.Backend) {
	t.Helper()
	for _, k := range []backend.Kind{backend.Snapshot, backend.Index} {
		for _, err := range b.List(t.Context(), k) {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Each file is fetched once, by one process of all; others are asked for each time.
func TestCacheFetchesOnce(t *testing.T) {
	t.Parallel()
	f, folder := newFar(t, backendtest.Faults{}), t.TempDir()
	for range 3 {
		c := openCache(t, f, folder)
		listKept(t, c)
		for k := backend.Key; k <= backend.Data; k++ {
			f.wantRead(t, c, k)
		}
	}
	for k, want := range map[backend.Kind]int{backend.Key: 9, backend.Lock: 9, backend.Snapshot: 1, backend.Index: 1, backend.Data: 1} {
		if got := f.loads(k); got != want {
			t.Errorf("%v was loaded %d times, want %d", k, got, want)
		}
	}
}

// What a cache saves it does not fetch.
func TestCacheKeepsWhatItSaves(t *testing.T) {
	t.Parallel()
	f, folder := newFar(t, backendtest.Faults{}), t.TempDir()
	empty := backend.NewMemory()
	c := openCache(t, empty, folder)
	for _, k := range []backend.Kind{backend.Snapshot, backend.Index} {
		if err := c.Save(t.Context(), f.file[k], f.data[k]); err != nil {
			t.Fatal(err)
		}
	}
	if err := backend.SaveTrees(t.Context(), c, f.file[backend.Data], f.data[backend.Data]); err != nil {
		t.Fatal(err)
	}
	if got, err := backendtest.Read(t.Context(), empty, f.file[backend.Data]); err != nil || !bytes.Equal(got, f.data[backend.Data]) {
		t.Fatalf("the pack at the place: got %d bytes and error %v, want it whole", len(got), err)
	}
	next := openCache(t, f, folder)
	listKept(t, next)
	for _, k := range []backend.Kind{backend.Snapshot, backend.Index, backend.Data} {
		f.wantRead(t, next, k)
		if got := f.loads(k); got != 0 {
			t.Errorf("%v was loaded %d times, want 0", k, got)
		}
	}
}

// A file that is gone at the place is gone, whatever the folder holds.
func TestCacheHidesNoLoss(t *testing.T) {
	t.Parallel()
	f, folder := newFar(t, backendtest.Faults{}), t.TempDir()
	c := openCache(t, f, folder)
	listKept(t, c)
	f.wantRead(t, c, backend.Index)
	if err := f.place.Remove(t.Context(), f.file[backend.Index]); err != nil {
		t.Fatal(err)
	}
	next := openCache(t, f, folder)
	_, err := next.Load(t.Context(), f.file[backend.Index], 0, make([]byte, 10))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before a listing: got error %v, want fs.ErrNotExist", err)
	}
	listKept(t, c)
	listKept(t, next)
	for _, c := range []*backend.Cache{c, next} {
		_, err = c.Load(t.Context(), f.file[backend.Index], 0, make([]byte, 10))
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after a listing: got error %v, want fs.ErrNotExist", err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(folder, "index", "*")); len(left) > 0 {
		t.Errorf("the folder still has %d index files", len(left))
	}
}

// A listing that was not read to its end removes nothing.
func TestCacheHalfAListing(t *testing.T) {
	t.Parallel()
	f, folder := newFar(t, backendtest.Faults{}), t.TempDir()
	c := openCache(t, f, folder)
	listKept(t, c)
	f.wantRead(t, c, backend.Index)
	more := backendtest.Bytes(100, 9)
	if err := f.place.Save(t.Context(), backendtest.Named(backend.Index, more), more); err != nil {
		t.Fatal(err)
	}
	next := openCache(t, f, folder)
	for range next.List(t.Context(), backend.Index) {
		break
	}
	broken := backendtest.NewFaulty(f, backendtest.Faults{FailAt: 1, FailCount: -1})
	for range openCache(t, broken, folder).List(t.Context(), backend.Index) {
	}
	listKept(t, next)
	f.wantRead(t, next, backend.Index)
	if got := f.loads(backend.Index); got != 1 {
		t.Errorf("the index was loaded %d times, want 1", got)
	}
}

// What lies damaged in the folder is fetched again.
func TestCacheDamagedHere(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func([]byte) []byte{
		"bit":   func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"short": func(b []byte) []byte { return b[:len(b)-1] },
		"long":  func(b []byte) []byte { return append(b, 0) },
		"empty": func([]byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, folder := newFar(t, backendtest.Faults{}), t.TempDir()
			read := func() {
				c := openCache(t, f, folder)
				listKept(t, c)
				for _, k := range []backend.Kind{backend.Snapshot, backend.Index, backend.Data} {
					f.wantRead(t, c, k)
				}
			}
			read()
			files, err := filepath.Glob(filepath.Join(folder, "*", strings.Repeat("?", 64)))
			if err != nil || len(files) != 3 {
				t.Fatalf("the folder has %d files, want 3", len(files))
			}
			for _, file := range files {
				data, err := os.ReadFile(file)
				if err == nil {
					err = os.WriteFile(file, damage(data), 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			read()
			read()
			if got := f.loads(backend.Data); got != 2 {
				t.Errorf("the pack was loaded %d times, want 2", got)
			}
		})
	}
}

// What is damaged at the place is passed on as it is, and not kept.
func TestCacheDamagedThere(t *testing.T) {
	t.Parallel()
	f, folder := newFar(t, backendtest.Faults{}), t.TempDir()
	for _, k := range []backend.Kind{backend.Index, backend.Data} {
		err := backendtest.Damage(t.Context(), f.place, f.file[k], func(b []byte) []byte { b[7] ^= 1; return b })
		if err != nil {
			t.Fatal(err)
		}
		f.data[k] = bytes.Clone(f.data[k])
		f.data[k][7] ^= 1
	}
	c := openCache(t, f, folder)
	listKept(t, c)
	f.wantRead(t, c, backend.Index)
	f.wantRead(t, c, backend.Data)
	if left, _ := filepath.Glob(filepath.Join(folder, "*", strings.Repeat("?", 64))); len(left) > 0 {
		t.Errorf("the folder has %d files, want none", len(left))
	}
}

// Under WithoutCache the place is asked.
func TestWithoutCache(t *testing.T) {
	t.Parallel()
	f := newFar(t, backendtest.Faults{})
	c := openCache(t, f, t.TempDir())
	listKept(t, c)
	f.wantRead(t, c, backend.Index)
	f.wantRead(t, c, backend.Data)
	ctx := backend.WithoutCache(t.Context())
	buf := make([]byte, 10)
	if _, err := c.Load(ctx, f.file[backend.Index], 0, buf); err != nil {
		t.Fatal(err)
	}
	if _, err := backend.LoadTrees(ctx, c, f.file[backend.Data], 0, buf); err != nil {
		t.Fatal(err)
	}
	if index, data := f.loads(backend.Index), f.loads(backend.Data); index != 2 || data != 2 {
		t.Errorf("the index was loaded %d times and the pack %d, want 2 and 2", index, data)
	}
}

// Many readers of a pack wait for one fetch; where that fails another one fetches.
func TestCacheFetchesTogether(t *testing.T) {
	t.Parallel()
	for _, fail := range []int{0, 1} {
		folder := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			f := newFar(t, backendtest.Faults{FailAt: fail, Before: func(context.Context, backendtest.Op) error {
				<-time.After(time.Second)
				return nil
			}})
			c := openCache(t, f, folder)
			var wg sync.WaitGroup
			var mu sync.Mutex
			failed := 0
			for i := range 20 {
				wg.Go(func() {
					buf := make([]byte, 10)
					n, err := backend.LoadTrees(t.Context(), c, f.file[backend.Data], int64(i), buf)
					mu.Lock()
					defer mu.Unlock()
					if err != nil {
						failed++
					} else if !bytes.Equal(buf[:n], f.data[backend.Data][i:i+10]) {
						t.Errorf("reader %d got other bytes", i)
					}
				})
			}
			wg.Wait()
			if got := f.loads(backend.Data); got != 1+fail || failed != fail {
				t.Errorf("the pack was loaded %d times and %d readers failed, want %d and %d", got, failed, 1+fail, fail)
			}
		})
		if err := os.RemoveAll(filepath.Join(folder, "data")); err != nil {
			t.Fatal(err)
		}
	}
}

// A pack that is larger than usual comes whole.
func TestCacheLargePack(t *testing.T) {
	t.Parallel()
	f := newFar(t, backendtest.Faults{})
	data := backendtest.Bytes(17<<20+5, 1)
	f.file[backend.Data], f.data[backend.Data] = backendtest.Named(backend.Data, data), data
	if err := f.place.Save(t.Context(), f.file[backend.Data], data); err != nil {
		t.Fatal(err)
	}
	c := openCache(t, f, t.TempDir())
	if got := f.read(t, c, backend.Data, 17<<20, 10); !bytes.Equal(got, data[17<<20:]) {
		t.Errorf("the end: got %d bytes, want %d other ones", len(got), 5)
	}
	if got := f.read(t, c, backend.Data, 1000, 10); !bytes.Equal(got, data[1000:1010]) {
		t.Error("got other bytes")
	}
	if got := f.loads(backend.Data); got != 2 {
		t.Errorf("the pack was loaded %d times, want 2", got)
	}
}

// A folder that cannot be written is no reason to fail.
func TestCacheUnwritable(t *testing.T) {
	t.Parallel()
	f, folder := newFar(t, backendtest.Faults{}), t.TempDir()
	for _, name := range []string{"index", "data", "snapshots"} {
		if err := os.WriteFile(filepath.Join(folder, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := openCache(t, f, folder)
	listKept(t, c)
	for _, k := range []backend.Kind{backend.Snapshot, backend.Index, backend.Data} {
		f.wantRead(t, c, k)
	}
	for _, op := range f.Ops() {
		if op.Verb == backendtest.Load && op.File.Kind == backend.Data && op.Size > 6000 {
			t.Error("a whole pack was fetched that cannot be kept")
		}
	}
}

// Packs that nobody uses go, and so do the caches of repositories that nobody does, with nothing else.
func TestCacheAges(t *testing.T) {
	t.Parallel()
	f, all := newFar(t, backendtest.Faults{}), t.TempDir()
	names := []string{strings.Repeat("a", 64), strings.Repeat("b", 64), strings.Repeat("c", 64)}
	for _, name := range names {
		c := openCache(t, f, filepath.Join(all, name))
		listKept(t, c)
		f.wantRead(t, c, backend.Index)
		f.wantRead(t, c, backend.Data)
	}
	if err := os.WriteFile(filepath.Join(all, names[1], "spool"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(backend.CacheAge + time.Hour)
	c, err := backend.OpenCache(f, filepath.Join(all, names[2]), later)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := backend.RemoveOldCaches(all, later); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(all, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, name := range left {
		name, _ = filepath.Rel(all, name)
		got = append(got, name[:1]+filepath.ToSlash(name[64:]))
	}
	if got, want := strings.Join(got, " "), "b/spool c/CACHEDIR.TAG c/data c/index c/snapshots"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	f.wantRead(t, c, backend.Data)
	if got := f.loads(backend.Data); got != 4 {
		t.Errorf("the packs were loaded %d times, want 4", got)
	}
}
