package backend_test

import (
	"os"
	"syscall"
	"testing"

	"russet/backend"
)

// TestPipe puts a pipe in the place of each kind of file: nobody waits for what may come out of it.
func TestPipe(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	l := createLocal(t, folder)
	for k := backend.Config; k <= backend.Data; k++ {
		f := mustSave(t, l, k, "text")
		if err := os.Remove(place(folder, f)); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(place(folder, f), 0o600); err != nil {
			t.Skipf("not here: pipes: %v", err)
		}
		if _, err := l.Load(t.Context(), f, 0, make([]byte, 10)); err == nil {
			t.Errorf("%v: loaded", k)
		}
		if got := listed(t, l, k); len(got) > 0 {
			t.Errorf("%v: listed %q", k, got)
		}
	}
}
