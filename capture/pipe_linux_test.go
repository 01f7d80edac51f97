package capture

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A pipe in the place of a file does not hold up a capture.
func TestPipes(t *testing.T) {
	t.Parallel()
	for _, name := range topNames() {
		p := newPhone(t, false)
		path := filepath.Join(p.dir, name)
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Skip("not here: pipes")
		}
		if _, err := Folder(t.Context(), newRepo(t), openRoot(t, p.dir), "x", Options{}); err == nil {
			t.Errorf("%s: kept", name)
		}
	}
	p := newPhone(t, false)
	if err := syscall.Mkfifo(filepath.Join(p.dir, "aa", "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if res := keep(t, newRepo(t), p.dir, Options{}); res.Summary.Unreadable != 0 {
		t.Errorf("%+v", res.Summary)
	}
}
