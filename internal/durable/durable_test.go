package durable_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"russet/internal/durable"
)

// writer is a function that writes a file.
type writer func(root *os.Root, name string, data []byte, perm fs.FileMode) error

func openRoot(t *testing.T, folder string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root
}

func wantFile(t *testing.T, root *os.Root, name, want string) {
	t.Helper()
	got, err := root.ReadFile(name)
	if err != nil || string(got) != want {
		t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
	}
}

// wantNames fails unless the folder holds exactly these names.
func wantNames(t *testing.T, root *os.Root, folder string, want ...string) {
	t.Helper()
	entries, err := fs.ReadDir(root.FS(), folder)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", folder, got, want)
	}
}

func TestWriteFile(t *testing.T) {
	t.Parallel()
	root := openRoot(t, t.TempDir())
	if err := durable.Mkdir(root, "a", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "first", "the second", strings.Repeat("x", 1<<20), "3"} {
		for _, name := range []string{"top", "a/b"} {
			for _, write := range []writer{durable.WriteFile, durable.WriteUncached} {
				if err := write(root, name, []byte(text), 0o400); err != nil {
					t.Fatalf("write %s: %v", name, err)
				}
				wantFile(t, root, name, text)
				text += "." // other bytes, in the same place
			}
		}
	}
	wantNames(t, root, ".", "a", "top")
	wantNames(t, root, "a", "b")
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("not here: permission bits")
	}
	root := openRoot(t, t.TempDir())
	for _, perm := range []fs.FileMode{0o400, 0o440, 0o600, 0o666} {
		for _, write := range []writer{durable.WriteFile, durable.WriteUncached, durable.CreateFile} {
			if err := write(root, "f", nil, perm); err != nil {
				t.Fatal(err)
			}
			info, err := root.Stat("f")
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode() != perm {
				t.Errorf("got mode %v, want %v", info.Mode(), perm)
			}
			if err := root.Remove("f"); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestCreateFile(t *testing.T) {
	t.Parallel()
	root := openRoot(t, t.TempDir())
	if err := durable.CreateFile(root, "f", []byte("first"), 0o400); err != nil {
		t.Fatal(err)
	}
	if err := durable.CreateFile(root, "f", []byte("second"), 0o400); !errors.Is(err, fs.ErrExist) {
		t.Errorf("the second time: got %v, want %v", err, fs.ErrExist)
	}
	wantFile(t, root, "f", "first")
	wantNames(t, root, ".", "f")
}

func TestCreateFileRace(t *testing.T) {
	t.Parallel()
	root := openRoot(t, t.TempDir())
	for round := range 20 {
		name := fmt.Sprint(round)
		var mu sync.Mutex
		var winners []string
		var group sync.WaitGroup
		for i := range 4 {
			group.Go(func() {
				text := fmt.Sprint("by ", i)
				switch err := durable.CreateFile(root, name, []byte(text), 0o400); {
				case err == nil:
					mu.Lock()
					defer mu.Unlock()
					winners = append(winners, text)
				case !errors.Is(err, fs.ErrExist):
					t.Errorf("got %v, want %v", err, fs.ErrExist)
				}
			})
		}
		group.Wait()
		if len(winners) != 1 {
			t.Fatalf("got %d winners, want 1", len(winners))
		}
		wantFile(t, root, name, winners[0])
	}
	if entries, err := fs.ReadDir(root.FS(), "."); err != nil || len(entries) != 20 {
		t.Errorf("got %d files, %v, want 20", len(entries), err)
	}
}

func TestErrorsLeaveNothing(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	root := openRoot(t, folder)
	if err := root.Mkdir("taken", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := root.WriteFile("taken/x", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"into no folder":  durable.WriteFile(root, "no/f", []byte("x"), 0o600),
		"over a folder":   durable.WriteFile(root, "taken", []byte("x"), 0o600),
		"create a folder": durable.CreateFile(root, "taken", []byte("x"), 0o600),
		"out":             durable.WriteFile(root, "../f", []byte("x"), 0o600),
		"make again":      durable.Mkdir(root, "taken", 0o700),
		"make below none": durable.Mkdir(root, "no/f", 0o700),
		"sync none":       durable.SyncFile(root, "no"),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), folder) {
			t.Errorf("%s: the error names the folder: %v", name, err)
		}
	}
	wantNames(t, root, ".", "taken")
	err := durable.WriteFile(root, "no/f", nil, 0o600)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("WriteFile into no folder: got %v, want %v", err, fs.ErrNotExist)
	}
}

func TestSymbolicLinks(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	folder := t.TempDir()
	root := openRoot(t, folder)
	if err := os.Symlink(outside, filepath.Join(folder, "link")); err != nil {
		t.Skipf("not here: symbolic links: %v", err)
	}
	if err := durable.WriteFile(root, "link/f", []byte("x"), 0o600); err == nil {
		t.Error("WriteFile through a link that leads out: no error")
	}
	// A link in the last place is replaced, not followed.
	if err := os.Symlink(filepath.Join(outside, "victim"), filepath.Join(folder, "f")); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(root, "f", []byte("x"), 0o600); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 0 {
		t.Errorf("outside: got %v, %v, want nothing", entries, err)
	}
}

func TestConcurrentWrites(t *testing.T) {
	t.Parallel()
	root := openRoot(t, t.TempDir())
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			data := bytes.Repeat([]byte{byte('a' + i)}, 50_000)
			for range 5 {
				if err := durable.WriteFile(root, "f", data, 0o600); err != nil {
					t.Errorf("WriteFile: %v", err)
				}
				wantUniform(t, root, 50_000)
			}
		})
	}
	group.Wait()
	wantNames(t, root, ".", "f")
}

// wantUniform fails unless the file "f" is one of the versions, whole.
func wantUniform(t *testing.T, root *os.Root, size int) {
	t.Helper()
	got, err := root.ReadFile("f")
	if err != nil || len(got) != size || bytes.Count(got, got[:1]) != size {
		t.Errorf("got %d bytes of several writers, %v", len(got), err)
	}
}

func TestIsTemporary(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, final string
		ok          bool
	}{
		{"a-tmp-1", "a", true},
		{"a-tmp-1-tmp-2", "a", true},
		{"a", "a", false},
		{"-tmp-1", "", false},
		{"a-tmp-", "a", false},
		{"a-tmp", "a-tmp", false},
	} {
		if final, ok := durable.IsTemporary(c.name); final != c.final || ok != c.ok {
			t.Errorf("%s: got %q, %v, want %q, %v", c.name, final, ok, c.final, c.ok)
		}
	}
}

func TestWithoutPath(t *testing.T) {
	t.Parallel()
	other := errors.New("another error")
	for _, c := range []struct{ err, want error }{
		{&fs.PathError{Op: "open", Path: "secret", Err: fs.ErrNotExist}, fs.ErrNotExist},
		{fmt.Errorf("secret: %w", &os.LinkError{Op: "rename", Old: "secret", New: "secret", Err: fs.ErrExist}), fs.ErrExist},
		{other, other},
		{nil, nil},
	} {
		if got := durable.WithoutPath(c.err); got != c.want {
			t.Errorf("%v: got %v, want %v", c.err, got, c.want)
		}
	}
}

func TestTryLock(t *testing.T) {
	t.Parallel()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	first, err := durable.TryLock(root, "lock")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := durable.TryLock(root, "lock"); !errors.Is(err, durable.ErrInUse) {
		t.Errorf("second lock: got %v, want %v", err, durable.ErrInUse)
	}
	other, err := durable.TryLock(root, "other")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(first.Close(), other.Close()); err != nil {
		t.Fatal(err)
	}
	again, err := durable.TryLock(root, "lock")
	if err != nil {
		t.Fatalf("after it was given up: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// Of many that take a lock and give it up, which removes its file, never two hold it.
func TestTryLockTogether(t *testing.T) {
	t.Parallel()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var holders, taken atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 500 {
				l, err := durable.TryLock(root, "lock")
				if errors.Is(err, durable.ErrInUse) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				taken.Add(1)
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d hold it", n)
				}
				runtime.Gosched()
				holders.Add(-1)
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if taken.Load() == 0 {
		t.Error("nobody ever got it")
	}
}
