package backend_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/internal/durable"
)

// mirrorPlace is what a place for a mirror does beside a backend.
type mirrorPlace interface {
	backend.Backend
	LoadMark(ctx context.Context) ([]byte, error)
	SaveMark(ctx context.Context, data []byte) error
	SetAside(ctx context.Context, f backend.File, day time.Time) error
	DropAside(ctx context.Context, before time.Time) (int, error)
}

// markedPlace is a mirrorPlace that outlives a process.
type markedPlace interface {
	mirrorPlace
	IsMirror(ctx context.Context) (bool, error)
	RemoveMark(ctx context.Context) error
	Occupy(ctx context.Context) (within context.Context, release func(), err error)
}

func TestMirrorPlace(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(t *testing.T) (open func(t *testing.T) mirrorPlace){
		"memory": func(*testing.T) func(*testing.T) mirrorPlace {
			return func(*testing.T) mirrorPlace { return backend.NewMemory() }
		},
		"local": func(*testing.T) func(*testing.T) mirrorPlace {
			return func(t *testing.T) mirrorPlace {
				return createMirror(t, filepath.Join(t.TempDir(), "repo"), backend.Options{})
			}
		},
		"sftp": func(t *testing.T) func(*testing.T) mirrorPlace {
			s := backendtest.StartSSHD(t)
			return func(t *testing.T) mirrorPlace { return createMirror(t, s.Address(t.TempDir()), s.Options()) }
		},
		"s3": func(t *testing.T) func(*testing.T) mirrorPlace {
			s := backendtest.VersityGW(t, os.UserCacheDir)
			var n atomic.Int64
			return func(t *testing.T) mirrorPlace {
				return createMirror(t, s.Address("bucket/place"+strconv.FormatInt(n.Add(1), 10)), s3Options(s))
			}
		},
		"s3 locked": func(t *testing.T) func(*testing.T) mirrorPlace {
			s := backendtest.VersityGW(t, os.UserCacheDir)
			o := s3Options(s)
			o.S3.LockMode, o.S3.LockPeriod, o.S3.ListObjectsV1 = "governance", time.Hour, true
			var n atomic.Int64
			return func(t *testing.T) mirrorPlace {
				return createMirror(t, s.Address("locked/place"+strconv.FormatInt(n.Add(1), 10)), o)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			open := start(t)
			t.Run("Mark", func(t *testing.T) { checkMark(t, open(t)) })
			t.Run("Aside", func(t *testing.T) { checkAside(t, open(t)) })
			if _, ok := open(t).(markedPlace); ok {
				t.Run("Marked", func(t *testing.T) { checkMarked(t, open(t).(markedPlace)) })
			}
		})
	}
}

// createMirror makes a place that closes with the test.
func createMirror(t *testing.T, address string, o backend.Options) mirrorPlace {
	t.Helper()
	b := createAt(t, address, o)
	closeLater(t, b)
	return b.(mirrorPlace)
}

// checkMarked is what else a place does that outlives a process.
func checkMarked(t *testing.T, p markedPlace) {
	ctx := t.Context()
	is := func(want bool) {
		t.Helper()
		if got, err := p.IsMirror(ctx); err != nil || got != want {
			t.Errorf("a mirror: got %v, %v, want %v", got, err, want)
		}
	}
	is(false)
	if err := p.SaveMark(ctx, []byte("mark")); err != nil {
		t.Fatal(err)
	}
	mustSave(t, p, backend.Config, "config")
	is(true)
	for range 2 { // and again, after it was given back
		within, release, err := p.Occupy(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := p.Occupy(ctx); !errors.Is(err, durable.ErrInUse) {
			t.Errorf("a second run: got %v, want %v", err, durable.ErrInUse)
		}
		if err := p.SaveMark(within, []byte("of the run")); err != nil {
			t.Error(err)
		}
		release()
	}
	if err := p.RemoveMark(ctx); err != nil {
		t.Error(err)
	}
	is(false)
	if err := p.RemoveMark(ctx); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("removed again: got %v, want %v", err, fs.ErrNotExist)
	}
}

func checkMark(t *testing.T, p mirrorPlace) {
	ctx := t.Context()
	if _, err := p.LoadMark(ctx); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want no mark", err)
	}
	for _, want := range []string{"one", "", "two"} {
		if err := p.SaveMark(ctx, []byte(want)); err != nil {
			t.Fatal(err)
		}
		if got, err := p.LoadMark(ctx); err != nil || string(got) != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := p.LoadMark(cancelled); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := p.SaveMark(cancelled, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func checkAside(t *testing.T, p mirrorPlace) {
	ctx := t.Context()
	day := time.Date(2026, 3, 1, 23, 0, 0, 0, time.UTC)
	if err := p.Save(ctx, backend.File{Kind: backend.Config}, []byte("config")); err != nil {
		t.Fatal(err)
	}
	var files []backend.File
	for i, kind := range []backend.Kind{backend.Key, backend.Snapshot, backend.Index, backend.Data} {
		data := backendtest.Bytes(100, byte(i))
		f := backendtest.Named(kind, data)
		files = append(files, f)
		for range 2 { // it may come back, and go again on the same day
			if err := p.Save(ctx, f, data); err != nil {
				t.Fatal(err)
			}
			if err := p.SetAside(ctx, f, day); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := backendtest.Read(ctx, p, f); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v: got %v", f, err)
		}
		for info, err := range p.List(ctx, kind) {
			t.Errorf("%v is listed: %v", info, err)
		}
		if err := p.SetAside(ctx, f, day); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v again: got %v", f, err)
		}
	}
	if err := p.SetAside(ctx, backend.File{Kind: backend.Config}, day); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("config: got %v", err)
	}
	for _, name := range backendtest.HostileNames() {
		if err := p.SetAside(ctx, backend.File{Kind: backend.Data, Name: name}, day); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%q: got %v", name, err)
		}
	}
	for _, c := range []struct {
		hours, want int
	}{{-48, 0}, {0, 0}, {1, len(files)}, {100, 0}} {
		if n, err := p.DropAside(ctx, day.Add(time.Duration(c.hours)*time.Hour)); err != nil || n != c.want {
			t.Errorf("%d hours on: got %d, %v, want %d", c.hours, n, err, c.want)
		}
	}
}

func TestLocalMirror(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	folder := filepath.Join(t.TempDir(), "repo")
	l, err := backend.CreateLocal(ctx, folder)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Save(ctx, backend.File{Kind: backend.Config}, []byte("config")); err != nil {
		t.Fatal(err)
	}
	// Where it lies, and that nothing else is removed there.
	data := backendtest.Bytes(100, 1)
	f := backendtest.Named(backend.Data, data)
	if err := l.Save(ctx, f, data); err != nil {
		t.Fatal(err)
	}
	day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	if err := l.SetAside(ctx, f, day); err != nil {
		t.Fatal(err)
	}
	aside := filepath.Join(folder, "quarantine", "2026-03-01", "data")
	if got, err := os.ReadFile(filepath.Join(aside, f.Name)); err != nil || !bytes.Equal(got, data) {
		t.Errorf("not set aside: %v", err)
	}
	others := []string{filepath.Join(aside, "note.txt"), filepath.Join(folder, "quarantine", "2026-02-01"), filepath.Join(folder, "quarantine", "old")}
	for _, name := range others {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := l.DropAside(ctx, day.AddDate(0, 0, 5)); err != nil || n != 1 {
		t.Errorf("got %d, %v", n, err)
	}
	for _, name := range others {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
}

func TestOccupy(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	one := createLocal(t, folder)
	mustSave(t, one, backend.Config, "config")
	two, err := backend.OpenLocal(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer two.Close()
	_, release, err := one.Occupy(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := two.Occupy(t.Context()); !errors.Is(err, durable.ErrInUse) {
		t.Errorf("a second run: got %v, want %v", err, durable.ErrInUse)
	}
	release()
	if _, release, err = two.Occupy(t.Context()); err != nil {
		t.Fatalf("after the first: %v", err)
	}
	release()
}
