package backend_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/internal/durable"
)

// aMirror makes a marked place on a server.
func aMirror(t *testing.T, s *backendtest.SSHD) (p markedPlace, folder string) {
	t.Helper()
	folder = t.TempDir()
	p = createMirror(t, s.Address(folder), s.Options()).(markedPlace)
	mustSave(t, p, backend.Config, "config")
	if err := p.SaveMark(t.Context(), []byte("mark")); err != nil {
		t.Fatal(err)
	}
	return p, folder
}

// TestSFTPMirrorLayout: what is set aside lies where a folder has it, and nothing else is removed there.
func TestSFTPMirrorLayout(t *testing.T) {
	t.Parallel()
	s := backendtest.StartSSHD(t)
	p, folder := aMirror(t, s)
	f := mustSave(t, p, backend.Data, "pack")
	day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	if err := p.SetAside(t.Context(), f, day); err != nil {
		t.Fatal(err)
	}
	aside := filepath.Join(folder, "quarantine", "2026-03-01", "data")
	if got, err := os.ReadFile(filepath.Join(aside, f.Name)); err != nil || string(got) != "pack" {
		t.Errorf("set aside: got %q, %v", got, err)
	}
	others := []string{filepath.Join(aside, "note.txt"), filepath.Join(folder, "quarantine", "2026-02-01"), filepath.Join(folder, "quarantine", "old")}
	for _, name := range others {
		writeFile(t, name, "")
	}
	if n, err := p.DropAside(t.Context(), day.AddDate(0, 0, 5)); err != nil || n != 1 {
		t.Errorf("got %d, %v, want 1", n, err)
	}
	for _, name := range others {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
	if err := os.Remove(others[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := p.DropAside(t.Context(), day.AddDate(0, 0, 5)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Dir(aside)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder of the day: got %v, want %v", err, fs.ErrNotExist)
	}
}

// TestSFTPMirrorHostile: a mark and a lock that are no files, or too large ones, cost an error and no memory.
func TestSFTPMirrorHostile(t *testing.T) {
	t.Parallel()
	s := backendtest.StartSSHD(t)
	p, folder := aMirror(t, s)
	mark, lock := filepath.Join(folder, "mirror.json"), filepath.Join(folder, "mirror.lock")
	if err := os.Truncate(mark, 1<<40); err != nil {
		t.Fatal(err)
	}
	if _, err := p.LoadMark(t.Context()); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("a large mark: got %v, want %v", err, fs.ErrInvalid)
	}
	if err := os.Remove(mark); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("config", mark); err != nil {
		t.Fatal(err)
	}
	if _, err := p.LoadMark(t.Context()); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("a link: got %v, want %v", err, fs.ErrInvalid)
	}
	writeFile(t, lock, strings.Repeat("x", 1000))
	if _, _, err := p.Occupy(t.Context()); err == nil {
		t.Error("a large lock was taken over")
	}
}

// TestSFTPMirrorLock: a lock that nobody has renewed for long, by the server's clock, goes over to one of those that ask
// for it, and its holder saves no mark any more.
func TestSFTPMirrorLock(t *testing.T) {
	t.Parallel()
	s := backendtest.StartSSHD(t)
	one, folder := aMirror(t, s)
	within, release, err := one.Occupy(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	lock := filepath.Join(folder, "mirror.lock")
	age := func(by time.Duration) {
		t.Helper()
		if err := os.Chtimes(lock, time.Time{}, time.Now().Add(-by)); err != nil {
			t.Fatal(err)
		}
	}
	type answer struct {
		release func()
		err     error
	}
	var heirs []markedPlace
	for range 4 {
		b, err := backend.Open(t.Context(), s.Address(folder), s.Options())
		if err != nil {
			t.Fatal(err)
		}
		closeLater(t, b)
		heirs = append(heirs, b.(markedPlace))
	}
	age(29 * time.Minute)
	if _, _, err := heirs[0].Occupy(t.Context()); !errors.Is(err, durable.ErrInUse) {
		t.Fatalf("held: got %v, want %v", err, durable.ErrInUse)
	}
	age(31 * time.Minute)
	answers := make(chan answer)
	for _, heir := range heirs {
		go func() {
			_, release, err := heir.Occupy(t.Context())
			answers <- answer{release, err}
		}()
	}
	taken := 0
	for range heirs {
		switch a := <-answers; {
		case a.err == nil:
			taken++
			defer a.release()
		case !errors.Is(a.err, durable.ErrInUse):
			t.Errorf("got %v, want %v", a.err, durable.ErrInUse)
		}
	}
	if taken != 1 {
		t.Errorf("%d have it, want 1", taken)
	}
	if err := one.SaveMark(within, []byte("late")); !errors.Is(err, durable.ErrInUse) {
		t.Errorf("SaveMark: got %v, want %v", err, durable.ErrInUse)
	}
}

// TestMirrorBegun opens what is marked and has no config yet, where a mirror is meant, and nowhere else.
func TestMirrorBegun(t *testing.T) {
	t.Parallel()
	s, far := backendtest.StartSSHD(t), backendtest.VersityGW(t, os.UserCacheDir)
	for _, c := range []struct {
		address string
		o       backend.Options
	}{{t.TempDir(), backend.Options{}}, {s.Address(t.TempDir()), s.Options()}, {far.Address("bucket/begun"), s3Options(far)}} {
		openMirror := func() error {
			b, err := backend.OpenMirror(t.Context(), c.address, c.o)
			if err == nil {
				closeLater(t, b)
			}
			return err
		}
		if err := openMirror(); !errors.Is(err, backend.ErrNoRepository) {
			t.Errorf("empty: got %v, want %v", err, backend.ErrNoRepository)
		}
		p := createMirror(t, c.address, c.o)
		if err := openMirror(); !errors.Is(err, backend.ErrNoRepository) {
			t.Errorf("unmarked: got %v, want %v", err, backend.ErrNoRepository)
		}
		if err := p.SaveMark(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if err := openMirror(); err != nil {
			t.Errorf("marked: %v", err)
		}
		if _, err := backend.Open(t.Context(), c.address, c.o); !errors.Is(err, backend.ErrNoRepository) {
			t.Errorf("opened as a repository: got %v, want %v", err, backend.ErrNoRepository)
		}
	}
}

// TestSFTPMirrorWants a server that replaces a file at once.
func TestSFTPMirrorWants(t *testing.T) {
	t.Parallel()
	p := createMirror(t, "sftp:host:"+t.TempDir(), sftpServer(t, "-P", "posix-rename"))
	if err := p.SaveMark(t.Context(), nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v, want %v", err, errors.ErrUnsupported)
	}
}

// TestHoldsMirrors says of addresses what the places behind them do.
func TestHoldsMirrors(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"/folder": true, "local:/folder": true, "sftp:host:/folder": true, "s3:host/bucket": true, "rest:http://host/": false, "rclone:remote:": false,
	} {
		if got := backend.HoldsMirrors(address); got != want {
			t.Errorf("%s: got %v, want %v", address, got, want)
		}
	}
	var place backend.Backend = backend.Persistent(backend.NetworkOptions{}, backend.NewMemory())
	if _, ok := place.(interface {
		LoadMark(ctx context.Context) ([]byte, error)
	}); ok {
		t.Error("any place on a network seems to hold mirrors")
	}
}
