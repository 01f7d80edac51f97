package backend_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
)

// TestSFTPFull fills the drive of a server, with bytes and with names. Where the server does not tell what is free, the
// error cannot say that it is full.
func TestSFTPFull(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, options string
		size          int
		full          bool
		args          []string
	}{
		{"bytes", "size=1m", 100_000, true, nil},
		{"names", "size=1m,nr_inodes=12", 100, true, nil},
		{"not told", "size=1m", 100_000, false, []string{"-P", "statvfs"}},
	} {
		folder := t.TempDir()
		if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, c.options); err != nil {
			t.Skipf("not here: a drive that is full, without the right to mount one: %v", err)
		}
		t.Cleanup(func() {
			if err := syscall.Unmount(folder, syscall.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
		writeFile(t, filepath.Join(folder, "config"), "config")
		b, err := backend.OpenSFTP(t.Context(), "host:"+folder, sftpServer(t, c.args...), false)
		if err != nil {
			t.Fatal(err)
		}
		closeLater(t, b)
		saved := 0
		for err == nil {
			data := backendtest.Bytes(c.size, byte(saved))
			if err = b.Save(t.Context(), backendtest.Named(backend.Key, data), data); err == nil {
				saved++
			}
		}
		if saved == 0 || backend.IsFull(err) != c.full || backend.IsTemporary(err) {
			t.Errorf("%s: got %v after %d files, want full %t", c.name, err, saved, c.full)
		}
		if names := listed(t, b, backend.Key); len(names) != saved {
			t.Errorf("%s: got %d files, want %d", c.name, len(names), saved)
		}
		left, err := filepath.Glob(filepath.Join(folder, "keys", "*-tmp-*"))
		if err != nil || len(left) > 0 {
			t.Errorf("%s: got unfinished files %q, %v, want none", c.name, left, err)
		}
		if free, err := b.(freer).Free(t.Context()); c.full && (err != nil || free > int64(c.size)) || !c.full && !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: Free: got %d, %v", c.name, free, err)
		}
		if err := os.Remove(filepath.Join(folder, "config")); err != nil {
			t.Fatal(err)
		}
	}
}
