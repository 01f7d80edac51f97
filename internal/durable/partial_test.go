package durable_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"russet/internal/durable"
)

// partial is a file that is written and closed, and has no name yet.
func partial(t *testing.T, root *os.Root, text string) string {
	t.Helper()
	f, name, err := durable.CreatePartial(root, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(durable.Write(f, []byte(text)), f.Close()); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestGiveName(t *testing.T) {
	t.Parallel()
	root := openRoot(t, t.TempDir())
	long := strings.Repeat("n", 255)
	for _, name := range []string{"f", long} {
		if err := durable.GiveName(root, partial(t, root, "first"), name, new(sync.Mutex)); err != nil {
			t.Fatalf("%.8s: %v", name, err)
		}
		wantFile(t, root, name, "first")
	}
	second := partial(t, root, "second")
	if err := durable.GiveName(root, second, "f", new(sync.Mutex)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a name that is taken: got %v, want fs.ErrExist", err)
	}
	wantFile(t, root, "f", "first")
	wantFile(t, root, second, "second")
	wantNames(t, root, ".", second, "f", long)
}

// Folders have no hard links on any system: they are renamed as files are where
// the file system has none. An empty folder would replace another one.
func TestGiveNameWithoutLinks(t *testing.T) {
	t.Parallel()
	root := openRoot(t, t.TempDir())
	var alone sync.Mutex
	var named, refused atomic.Int32
	var group sync.WaitGroup
	const many = 40
	for i := range many {
		temporary := fmt.Sprint("temporary", i)
		if err := root.Mkdir(temporary, 0o700); err != nil {
			t.Fatal(err)
		}
		group.Go(func() {
			switch err := durable.GiveName(root, temporary, fmt.Sprint("folder", i%4), &alone); {
			case err == nil:
				named.Add(1)
			case errors.Is(err, fs.ErrExist):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	group.Wait()
	if named.Load() != 4 || refused.Load() != many-4 {
		t.Errorf("%d of %d got one of 4 names, %d were refused", named.Load(), many, refused.Load())
	}
}

// Only what a process that is gone has begun is removed.
func TestRemovePartial(t *testing.T) {
	t.Parallel()
	root := openRoot(t, t.TempDir())
	if err := durable.Mkdir(root, "a", 0o700); err != nil {
		t.Fatal(err)
	}
	folder := openRoot(t, root.Name()+"/a")
	dead := partial(t, folder, "half of")
	sealed := partial(t, folder, "whole")
	f, alive, err := durable.CreatePartial(folder, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	const digits = ".russet-partial-"
	theirs := []string{
		digits, digits + "0123", digits + "0123456789ABCDEF", digits + "0123456789abcdef0", digits + "0123456789abcdeg",
		"0123456789abcdef", "a" + digits + "0123456789abcdef",
	}
	for _, name := range theirs {
		if err := folder.WriteFile(name, nil, 0o600); err != nil && runtime.GOOS != "windows" {
			t.Fatal(err)
		}
	}
	err = errors.Join(folder.Chmod(sealed, 0), folder.Mkdir(digits+"0000000000000000", 0o700), folder.WriteFile("target", nil, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" {
		theirs = append(theirs, digits+"1111111111111111")
		if err := folder.Symlink("target", digits+"1111111111111111"); err != nil {
			t.Fatal(err)
		}
	}
	durable.RemovePartial(root, "a")
	durable.RemovePartial(root, "nothing")
	for _, name := range append(theirs, alive, digits+"0000000000000000", "target") {
		if _, err := folder.Lstat(name); err != nil {
			t.Errorf("%s is gone: %v", name, err)
		}
	}
	for _, name := range []string{dead, sealed} {
		if _, err := folder.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: got %v, want it removed", name, err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	durable.RemovePartial(root, "a")
	if _, err := folder.Lstat(alive); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was given up: got %v, want it removed", err)
	}
}
