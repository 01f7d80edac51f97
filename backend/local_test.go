package backend_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
)

func mustSave(t *testing.T, b backend.Backend, k backend.Kind, data string) backend.File {
	t.Helper()
	f := backendtest.Named(k, []byte(data))
	if err := b.Save(t.Context(), f, []byte(data)); err != nil {
		t.Fatal(err)
	}
	return f
}

func wantContent(t *testing.T, b backend.Backend, f backend.File, want string) {
	t.Helper()
	got, err := backendtest.Read(t.Context(), b, f)
	if err != nil || string(got) != want {
		t.Errorf("%s: got %q, %v, want %q", f, got, err, want)
	}
}

// place is where the restic design document puts a file.
func place(folder string, f backend.File) string {
	switch f.Kind {
	case backend.Config:
		return filepath.Join(folder, "config")
	case backend.Data:
		return filepath.Join(folder, "data", f.Name[:2], f.Name)
	default:
		return filepath.Join(folder, f.Kind.String(), f.Name)
	}
}

func wantMode(t *testing.T, name string, want fs.FileMode) {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode(); got != want && runtime.GOOS != "windows" {
		t.Errorf("%s: got mode %v, want %v", filepath.Base(name), got, want)
	}
}

func listed(t *testing.T, b backend.Backend, k backend.Kind) (names []string) {
	t.Helper()
	for info, err := range b.List(t.Context(), k) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, info.Name)
	}
	return names
}

func TestLayout(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "above", "repository")
	l, err := backend.CreateLocal(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, name := range []string{"keys", "locks", "snapshots", "index", "data", "data/00", "data/5f", "data/ff", "spool"} {
		wantMode(t, filepath.Join(folder, name), fs.ModeDir|0o700)
	}
	if entries, err := os.ReadDir(filepath.Join(folder, "data")); err != nil || len(entries) != 256 {
		t.Errorf("data: got %d entries, %v, want 256", len(entries), err)
	}
	for k := backend.Config; k <= backend.Data; k++ {
		f := mustSave(t, l, k, "x"+k.String())
		got, err := os.ReadFile(place(folder, f))
		if err != nil || string(got) != "x"+k.String() {
			t.Errorf("%s: got %q, %v", f, got, err)
		}
		wantMode(t, place(folder, f), 0o400)
	}
}

// TestGroup follows restic: a config that the group may read opens new files for it.
func TestGroup(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	mustSave(t, createLocal(t, folder), backend.Config, "config")
	if err := os.Chmod(filepath.Join(folder, "config"), 0o440); err != nil {
		t.Fatal(err)
	}
	l, err := backend.OpenLocal(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	wantMode(t, place(folder, mustSave(t, l, backend.Data, "pack")), 0o440)
}

// TestCreateKeepsFiles lays a repository into a folder in use, twice, as after an init that was killed.
func TestCreateKeepsFiles(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	mine := filepath.Join(folder, "mine")
	if err := os.WriteFile(mine, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := mustSave(t, createLocal(t, folder), backend.Key, "key")
	wantContent(t, createLocal(t, folder), f, "key")
	if got, err := os.ReadFile(mine); err != nil || string(got) != "x" {
		t.Errorf("got %q, %v, want x", got, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func() error{
		"open":   func() error { _, err := backend.OpenLocal(file); return err },
		"create": func() error { _, err := backend.CreateLocal(t.Context(), file); return err },
	} {
		err := open()
		if err == nil || errors.Is(err, backend.ErrNoRepository) || errors.Is(err, fs.ErrExist) {
			t.Errorf("%s a file: got %v, want another error", name, err)
		} else if strings.Contains(err.Error(), file) {
			t.Errorf("%s a file: the error names it: %v", name, err)
		}
	}
}

// TestStrangers puts things into the folders that are no files of a repository.
func TestStrangers(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	l := createLocal(t, folder)
	pack := mustSave(t, l, backend.Data, "pack")
	key := mustSave(t, l, backend.Key, "key")
	other := strings.Repeat("ab", 32)
	for _, name := range []string{
		"config-tmp-1", "keys/README", "keys/" + other + "-tmp-77", "data/stray", "data/" + other, "data/cd/" + other,
		"data/ab/" + other + "-tmp-1", "data/ab/" + other[:63], "data/ab/" + strings.ToUpper(other),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("stranger"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"keys/" + strings.Repeat("cd", 32), "data/parity", "data/ab/" + strings.Repeat("abc0", 16)} {
		if err := os.Mkdir(filepath.Join(folder, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if got := listed(t, l, backend.Data); len(got) != 1 || got[0] != pack.Name {
		t.Errorf("data: got %q, want %q", got, pack.Name)
	}
	if got := listed(t, l, backend.Key); len(got) != 1 || got[0] != key.Name {
		t.Errorf("keys: got %q, want %q", got, key.Name)
	}
	if got := listed(t, l, backend.Config); got != nil {
		t.Errorf("config: got %q, want none", got)
	}
}

// TestMissingFolders removes empty folders, as a program that copies only files does.
func TestMissingFolders(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	l := createLocal(t, folder)
	mustSave(t, l, backend.Config, "config")
	for _, k := range []backend.Kind{backend.Lock, backend.Data} {
		if err := os.RemoveAll(filepath.Join(folder, k.String())); err != nil {
			t.Fatal(err)
		}
		if got := listed(t, l, k); got != nil {
			t.Errorf("%s: got %q, want none", k, got)
		}
		f := mustSave(t, l, k, "again")
		wantContent(t, l, f, "again")
		wantMode(t, filepath.Dir(place(folder, f)), fs.ModeDir|0o700)
	}
}

// TestPulledOut takes everything away, as it looks when a drive was pulled out: that is not an empty repository.
func TestPulledOut(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	l := createLocal(t, folder)
	mustSave(t, l, backend.Config, "config")
	for _, name := range []string{"snapshots", "data", "config"} {
		if err := os.RemoveAll(filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range []backend.Kind{backend.Snapshot, backend.Data} {
		var last error
		for _, err := range l.List(t.Context(), k) {
			last = err
		}
		if last == nil {
			t.Errorf("List %s: no error", k)
		}
	}
}

// TestHeals saves over a file that was damaged behind our back, while an older handle on it is kept.
func TestHeals(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	l := createLocal(t, folder)
	for _, k := range []backend.Kind{backend.Data, backend.Index} {
		for _, damaged := range []string{"", "conten", "cOntent", "content and more"} {
			f := mustSave(t, l, k, "content")
			wantContent(t, l, f, "content")
			name := place(folder, f)
			if err := errors.Join(os.Chmod(name, 0o600), os.WriteFile(name, []byte(damaged), 0o600)); err != nil {
				t.Fatal(err)
			}
			wantContent(t, l, f, damaged)
			mustSave(t, l, k, "content")
			wantContent(t, l, f, "content")
			wantMode(t, name, 0o400)
		}
	}
}

// TestManyPacks reads more packs than are kept open, from many sides, while some are removed.
func TestManyPacks(t *testing.T) {
	t.Parallel()
	l := createLocal(t, t.TempDir())
	var files []backend.File
	for i := range 40 {
		files = append(files, mustSave(t, l, backend.Data, strings.Repeat("x", i+1)))
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i := range 400 {
				n, err := l.Load(t.Context(), files[i%len(files)], 0, make([]byte, 100))
				if gone := i%len(files) < 10 && errors.Is(err, fs.ErrNotExist); !gone && (err != nil || n != i%len(files)+1) {
					t.Errorf("Load %d: got %d, %v", i%len(files), n, err)
				}
			}
		})
	}
	for _, f := range files[:10] {
		if err := l.Remove(t.Context(), f); err != nil {
			t.Errorf("Remove: %v", err)
		}
	}
	group.Wait()
	for _, f := range files[:10] {
		if _, err := l.Load(t.Context(), f, 0, make([]byte, 1)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Load of what is removed: got %v, want %v", err, fs.ErrNotExist)
		}
	}
}

// TestLinksOut replaces folders and files with symbolic links that lead out of the repository.
func TestLinksOut(t *testing.T) {
	t.Parallel()
	folder, outside := t.TempDir(), t.TempDir()
	l := createLocal(t, folder)
	mustSave(t, l, backend.Config, "config")
	pack := mustSave(t, l, backend.Data, "pack")
	secret := filepath.Join(outside, pack.Name)
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, link := range []struct{ at, to string }{
		{place(folder, pack), secret},
		{filepath.Dir(place(folder, pack)), outside},
		{filepath.Join(folder, "data"), filepath.Dir(outside)},
	} {
		if err := os.RemoveAll(link.at); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(link.to, link.at); err != nil {
			t.Skipf("not here: symbolic links: %v", err)
		}
		if n, err := l.Load(t.Context(), pack, 0, make([]byte, 10)); err == nil {
			t.Errorf("Load through %s: got %d bytes", filepath.Base(link.at), n)
		}
		for info, err := range l.List(t.Context(), backend.Data) {
			if err == nil {
				t.Errorf("List through %s: got %s", filepath.Base(link.at), info.Name)
			}
		}
		_ = l.Save(t.Context(), pack, []byte("pack")) // may replace the link, must not follow it
		_ = l.Remove(t.Context(), pack)
		if got, err := os.ReadFile(secret); err != nil || string(got) != "secret" {
			t.Fatalf("outside: got %q, %v, want it untouched", got, err)
		}
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 1 {
		t.Errorf("outside: got %d files, %v, want 1", len(entries), err)
	}
}

func TestCleanTemporary(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	l := createLocal(t, folder)
	kept := mustSave(t, l, backend.Data, "pack")
	name := strings.Repeat("ab", 32)
	old := time.Now().Add(-25 * time.Hour)
	for file, modified := range map[string]time.Time{
		"config-tmp-1": old, "keys/" + name + "-tmp-2": old, "data/ab/" + name + "-tmp-12345": old, "data/ab/" + name + "-tmp-ff": old,
		"index/" + name + "-tmp-3": time.Now().Add(-23 * time.Hour), "index/mine-tmp-4": old, "mine-tmp-5": old, "data/ab/" + name: old,
		"data/cd/" + name + "-tmp-6": old, "mirror.json-tmp-7": old, "keys/mirror.json-tmp-8": old,
		"spool/verified-tmp-9": old, "spool/verified": old, "spool/phone-tmp-1.lock": old, "spool/verified-tmp-a": time.Now(),
	} {
		file = filepath.Join(folder, file)
		if err := errors.Join(os.WriteFile(file, nil, 0o400), os.Chtimes(file, modified, modified)); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := l.CleanTemporary(t.Context()); n != 6 || err != nil {
		t.Errorf("got %d, %v, want 6", n, err)
	}
	if n, err := l.CleanTemporary(t.Context()); n != 0 || err != nil {
		t.Errorf("again: got %d, %v, want 0", n, err)
	}
	wantContent(t, l, kept, "pack")
	for _, file := range []string{
		"index/" + name + "-tmp-3", "index/mine-tmp-4", "mine-tmp-5", "data/ab/" + name, "keys/mirror.json-tmp-8",
		"spool/verified", "spool/phone-tmp-1.lock", "spool/verified-tmp-a",
	} {
		if _, err := os.Stat(filepath.Join(folder, file)); err != nil {
			t.Errorf("removed too much: %v", err)
		}
	}
}

func TestFree(t *testing.T) {
	t.Parallel()
	free, err := createLocal(t, t.TempDir()).Free(t.Context())
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skipf("not here: the free space: %v", err)
	}
	if err != nil || free <= 0 {
		t.Errorf("got %d, %v, want some", free, err)
	}
}
