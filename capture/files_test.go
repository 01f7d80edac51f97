package capture

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"russet/internal/durable"
	"russet/repo"
)

// keptVersion is the version of a simulated phone's backup.
func keptVersion(t *testing.T) *Version {
	t.Helper()
	p := newPhone(t, false)
	r := newRepo(t)
	v, err := Open(t.Context(), r, keep(t, r, p.dir, Options{}).Snapshot)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// A restore of files that is run again writes what is not there, leaves what is
// there and right, and replaces nothing.
func TestRestoreFilesAgain(t *testing.T) {
	t.Parallel()
	v := keptVersion(t)
	dir := t.TempDir()
	root := openRoot(t, dir)
	first, err := v.RestoreFiles(t.Context(), root, RestoreOptions{})
	if err != nil || first.Left != 0 {
		t.Fatalf("the first: %+v, %v", first, err)
	}
	again, err := v.RestoreFiles(t.Context(), root, RestoreOptions{})
	if err != nil || again.Left != first.Files || again.Files != first.Files || !again.Original {
		t.Errorf("the second: got %+v, %v; want all %d files left", again, err, first.Files)
	}

	const edited, blocked = "HomeDomain/Library/SMS/sms.db", "CameraRollDomain"
	gone := anotherFile(t, root, edited, blocked)
	err = errors.Join(os.Remove(filepath.Join(dir, gone)), os.WriteFile(filepath.Join(dir, edited), []byte("mine"), 0o600),
		os.RemoveAll(filepath.Join(dir, blocked)), os.WriteFile(filepath.Join(dir, blocked), []byte("mine"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	res, err := v.RestoreFiles(t.Context(), root, RestoreOptions{Failed: func(p string, err error) {
		if told = append(told, p); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: got %v, want fs.ErrExist", p, err)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(told, edited) || !slices.Contains(told, blocked) || len(told) < 4 || !slices.Equal(told, res.Failed) || res.Original || res.Bytes >= first.Bytes {
		t.Errorf("got %+v, told of %q; want %s, %s and what lies in it", res, told, edited, blocked)
	}
	if _, err := root.Stat(gone); err != nil {
		t.Errorf("what was not there: %v", err)
	}
	for _, name := range []string{edited, blocked} {
		if got, err := root.ReadFile(name); err != nil || string(got) != "mine" {
			t.Errorf("%s: what was there is %q now, %v", name, got, err)
		}
	}
}

// anotherFile finds a file that was restored, elsewhere than at those names.
func anotherFile(t *testing.T, root *os.Root, not ...string) string {
	t.Helper()
	var found string
	err := fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if slices.Contains(not, p) && d.IsDir() {
			return fs.SkipDir
		}
		if err == nil && d.Type().IsRegular() && !slices.Contains(not, p) {
			found = p
		}
		return err
	})
	if err != nil || found == "" {
		t.Fatalf("no other file: %v", err)
	}
	return found
}

// Making thousands of folders takes seconds, and may be cancelled.
func TestRestoreFilesCancelled(t *testing.T) {
	t.Parallel()
	v := keptVersion(t)
	asked := 0
	p := new(repo.Progress)
	count := func(string, bool) bool {
		if asked++; p.State().Phase == "" {
			t.Error("nothing says what is done meanwhile")
		}
		return true
	}
	if _, err := v.RestoreFiles(t.Context(), openRoot(t, t.TempDir()), RestoreOptions{Select: count, Progress: p}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	last := func(string, bool) bool {
		if asked--; asked == 0 {
			cancel()
		}
		return true
	}
	dir := t.TempDir()
	if _, err := v.RestoreFiles(ctx, openRoot(t, dir), RestoreOptions{Select: last}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if made, err := os.ReadDir(dir); err != nil || len(made) > 0 {
		t.Errorf("%d folders were made, %v; want none", len(made), err)
	}
}

// What a restore that was killed has left is removed by the next one.
func TestRestoreFilesLeftovers(t *testing.T) {
	t.Parallel()
	v := keptVersion(t)
	root := openRoot(t, t.TempDir())
	const folder = "HomeDomain/Library/SMS"
	if err := root.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	sms, err := root.OpenRoot(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer sms.Close()
	f, name, err := durable.CreatePartial(sms, 0o600)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	res, err := v.RestoreFiles(t.Context(), root, RestoreOptions{})
	if err != nil || res.Left > 0 || len(res.Failed) > 0 {
		t.Errorf("got %+v, %v", res, err)
	}
	if _, err := sms.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: got %v, want it removed", name, err)
	}
	if _, err := sms.Lstat("sms.db"); err != nil {
		t.Error(err)
	}
}
