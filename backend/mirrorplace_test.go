package backend_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
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

func TestMirrorPlace(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(t *testing.T) mirrorPlace{
		"memory": func(*testing.T) mirrorPlace { return backend.NewMemory() },
		"local": func(t *testing.T) mirrorPlace {
			l, err := backend.CreateLocal(t.Context(), filepath.Join(t.TempDir(), "repo"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			return l
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Run("Mark", func(t *testing.T) { checkMark(t, open(t)) })
			t.Run("Aside", func(t *testing.T) { checkAside(t, open(t)) })
		})
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
	if l.IsMirror() {
		t.Error("a mirror without a mark")
	}
	if err := l.SaveMark(ctx, []byte("mark")); err != nil || !l.IsMirror() {
		t.Errorf("no mirror: %v", err)
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
	if err := l.RemoveMark(ctx); err != nil || l.IsMirror() {
		t.Errorf("still a mirror: %v", err)
	}
	if err := l.RemoveMark(ctx); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
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
	run, err := one.Occupy()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := two.Occupy(); !errors.Is(err, durable.ErrInUse) {
		t.Errorf("a second run: got %v, want %v", err, durable.ErrInUse)
	}
	if err := run.Close(); err != nil {
		t.Fatal(err)
	}
	if run, err = two.Occupy(); err != nil {
		t.Fatalf("after the first: %v", err)
	}
	if err := run.Close(); err != nil {
		t.Error(err)
	}
}
