package mb2_test

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"russet/device/mb2"
)

// twin is a folder that does everything with another one, and keeps beside it
// what a plain folder would hold: the bytes of each file.
type twin struct {
	mb2.Folder
	files map[string][]byte
}

type twinFile struct {
	mb2.File
	w    *twin
	name string
	data bytes.Buffer
}

// Write implements io.Writer.
func (f *twinFile) Write(b []byte) (int, error) {
	f.data.Write(b)
	return f.File.Write(b)
}

func (f *twinFile) Commit() error {
	err := f.File.Commit()
	if err == nil {
		f.w.files[f.name] = f.data.Bytes()
	}
	return err
}

func (w *twin) Create(ctx context.Context, name string) (mb2.File, error) {
	f, err := w.Folder.Create(ctx, name)
	return &twinFile{File: f, w: w, name: name}, err
}

// below are the names of a file, or of those in a folder.
func (w *twin) below(name string) []string {
	return slices.DeleteFunc(slices.Collect(maps.Keys(w.files)), func(n string) bool {
		return n != name && !strings.HasPrefix(n, name+"/")
	})
}

func (w *twin) Move(ctx context.Context, from, to string) error {
	err := w.Folder.Move(ctx, from, to)
	if err == nil {
		for _, n := range w.below(from) {
			w.files[to+strings.TrimPrefix(n, from)] = w.files[n]
			delete(w.files, n)
		}
	}
	return err
}

func (w *twin) Remove(ctx context.Context, name string) error {
	err := w.Folder.Remove(ctx, name)
	if err == nil {
		for _, n := range w.below(name) {
			delete(w.files, n)
		}
	}
	return err
}

func (w *twin) Copy(ctx context.Context, from, to string) error {
	err := w.Folder.Copy(ctx, from, to)
	if err == nil {
		for _, n := range w.below(from) {
			w.files[to+strings.TrimPrefix(n, from)] = w.files[n]
		}
	}
	return err
}

// equals fails the test where a folder is not the twin's, but for Info.plist,
// which the host writes.
func (w *twin) equals(t *testing.T, dir string) {
	t.Helper()
	want := maps.Clone(w.files)
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == "Info.plist" {
			return err
		}
		rel, err := filepath.Rel(filepath.Dir(dir), name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		got, err := os.ReadFile(name)
		if !bytes.Equal(got, want[rel]) {
			t.Errorf("%s has other bytes: %d, want %d", rel, len(got), len(want[rel]))
		}
		if _, ok := want[rel]; !ok {
			t.Errorf("%s is too much", rel)
		}
		delete(want, rel)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	for name := range want {
		t.Errorf("%s is missing", name)
	}
}

var (
	_ mb2.Folder = (*twin)(nil)
	_ io.Writer  = (*twinFile)(nil)
)
