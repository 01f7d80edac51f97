package backend_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
)

func closeLater(t *testing.T, b backend.Backend) {
	t.Cleanup(func() {
		if err := b.(io.Closer).Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

// openSFTP opens a place that tries nothing again, and closes it in the end.
func openSFTP(t *testing.T, s *backendtest.SSHD, folder string, o backend.Options) backend.Backend {
	t.Helper()
	b, err := tryOpen(t, s, folder, o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func tryOpen(t *testing.T, s *backendtest.SSHD, folder string, o backend.Options) (backend.Backend, error) {
	t.Helper()
	b, err := backend.OpenSFTP(t.Context(), strings.TrimPrefix(s.Address(folder), "sftp:"), o, false)
	if err == nil {
		closeLater(t, b)
		return b, nil
	}
	for _, private := range []string{s.Host, s.Port, s.User, s.Folder} {
		if strings.Contains(err.Error(), private) {
			t.Errorf("the error holds %q: %v", private, err)
		}
	}
	return nil, err
}

// aRepository makes a folder that SFTP may open, without a server.
func aRepository(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	writeFile(t, filepath.Join(folder, "config"), "config")
	return folder
}

func TestSFTP(t *testing.T) {
	t.Parallel()
	s := backendtest.StartSSHD(t)
	backendtest.Run(t, func(t *testing.T) backend.Backend {
		b, err := backend.Create(t.Context(), s.Address(t.TempDir()), s.Options())
		if err != nil {
			t.Fatal(err)
		}
		closeLater(t, b)
		return b
	})
}

// sftpServer is OpenSSH's server without its sshd.
func sftpServer(t *testing.T, args ...string) backend.Options {
	t.Helper()
	for _, name := range []string{"/usr/lib/openssh/sftp-server", "/usr/libexec/sftp-server", "/usr/lib/ssh/sftp-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return backend.Options{SFTP: backend.SFTPOptions{Command: append([]string{path}, args...)}}
		}
	}
	t.Skip("judge missing: sftp-server")
	return backend.Options{}
}

// TestSFTPWithoutExtensions runs the suite on a server that knows no more than the draft of the protocol.
func TestSFTPWithoutExtensions(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short: the suite runs on a server that has them")
	}
	o := sftpServer(t, "-P", "posix-rename,statvfs,fstatvfs,hardlink,fsync,lsetstat,limits,expand-path,copy-data")
	backendtest.Run(t, func(t *testing.T) backend.Backend {
		b, err := backend.Create(t.Context(), "sftp:host:"+t.TempDir(), o)
		if err != nil {
			t.Fatal(err)
		}
		closeLater(t, b)
		if _, err := b.(freer).Free(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("Free: got %v, want %v", err, errors.ErrUnsupported)
		}
		return b
	})
}

type lacker interface {
	Lacks(ctx context.Context, k backend.Kind) (bool, error)
}

type freer interface {
	Free(ctx context.Context) (int64, error)
}

func TestSFTPAddresses(t *testing.T) {
	t.Parallel()
	o := sftpServer(t)
	folder := t.TempDir()
	for _, address := range []string{"sftp:me@host:" + folder + "/a/b", "sftp://me@host:22/" + folder + "/a/c"} {
		if _, err := backend.Open(t.Context(), address, o); !errors.Is(err, backend.ErrNoRepository) {
			t.Errorf("Open of nothing: got %v, want %v", err, backend.ErrNoRepository)
		}
		b, err := backend.Create(t.Context(), address, o)
		if err != nil {
			t.Fatal(err)
		}
		closeLater(t, b)
		if _, err := backend.Open(t.Context(), address, o); !errors.Is(err, backend.ErrNoRepository) {
			t.Errorf("Open without config: got %v, want %v", err, backend.ErrNoRepository)
		}
		f := mustSave(t, b, backend.Config, "config")
		if _, err := backend.Create(t.Context(), address, o); !errors.Is(err, fs.ErrExist) {
			t.Errorf("Create again: got %v, want %v", err, fs.ErrExist)
		}
		again, err := backend.Open(t.Context(), address, o)
		if err != nil {
			t.Fatal(err)
		}
		closeLater(t, again)
		if got, err := backendtest.Read(t.Context(), again, f); err != nil || string(got) != "config" {
			t.Errorf("Load: got %q, %v", got, err)
		}
	}
	if _, err := backend.Create(t.Context(), "sftp:host", o); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("Create without a folder: got %v, want %v", err, fs.ErrInvalid)
	}
	if info, err := os.Stat(filepath.Join(folder, "a", "b")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: got %v, %v, want it private", info.Mode(), err)
	}
}

// TestSFTPProgram goes through the program ssh, which is given as a command and with arguments.
func TestSFTPProgram(t *testing.T) {
	t.Parallel()
	s := backendtest.StartSSHD(t)
	folder := aRepository(t)
	command := s.Command()
	inner := command[1:slices.Index(command, "-p")] // what the address does not say
	for _, o := range []backend.SFTPOptions{{Command: command}, {Args: inner}} {
		b := openSFTP(t, s, folder, backend.Options{SFTP: o})
		f := mustSave(t, b, backend.Data, "data")
		if _, _, err := backend.Sum(t.Context(), b, f); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("Sum: got %v, want %v", err, errors.ErrUnsupported)
		}
	}
	for _, command := range [][]string{{"/no/such/program"}, {"false"}, {"cat"}} {
		if _, err := tryOpen(t, s, folder, backend.Options{SFTP: backend.SFTPOptions{Command: command}}); !errors.Is(err, backend.ErrProgram) || backend.IsTemporary(err) {
			t.Errorf("%q: got %v, want %v for good", command, err, backend.ErrProgram)
		}
	}
}

// TestSFTPAppendOnly has a server that removes nothing, and one that does not write.
func TestSFTPAppendOnly(t *testing.T) {
	t.Parallel()
	folder := aRepository(t)
	open := func(args ...string) backend.Backend {
		b, err := backend.OpenSFTP(t.Context(), "host:"+folder, sftpServer(t, args...), false)
		if err != nil {
			t.Fatal(err)
		}
		closeLater(t, b)
		return b
	}
	b := open("-P", "remove,rmdir")
	f := mustSave(t, b, backend.Data, "data")
	if err := b.Remove(t.Context(), f); !errors.Is(err, fs.ErrPermission) || backend.IsTemporary(err) {
		t.Errorf("Remove: got %v, want %v", err, fs.ErrPermission)
	}
	if got, err := backendtest.Read(t.Context(), b, f); err != nil || string(got) != "data" {
		t.Errorf("Load: got %q, %v", got, err)
	}
	other := backendtest.Named(backend.Data, []byte("other"))
	if err := open("-R").Save(t.Context(), other, []byte("other")); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("Save: got %v, want %v", err, fs.ErrPermission)
	}
}

func TestSFTPCleanTemporary(t *testing.T) {
	t.Parallel()
	folder := aRepository(t)
	b, err := backend.OpenSFTP(t.Context(), "host:"+folder, sftpServer(t), false)
	if err != nil {
		t.Fatal(err)
	}
	closeLater(t, b)
	f := mustSave(t, b, backend.Data, "data")
	old, recent := place(folder, f)+"-tmp-1", place(folder, f)+"-tmp-2"
	for _, name := range []string{old, recent} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	yesterday := time.Now().Add(-25 * time.Hour)
	if err := errors.Join(os.Chtimes(old, yesterday, yesterday), os.Chtimes(place(folder, f), yesterday, yesterday)); err != nil {
		t.Fatal(err)
	}
	n, err := b.(interface {
		CleanTemporary(ctx context.Context) (int, error)
	}).CleanTemporary(t.Context())
	if n != 1 || err != nil {
		t.Errorf("got %d, %v, want 1", n, err)
	}
	if _, err := os.Stat(old); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old one: got %v, want it gone", err)
	}
	if _, err := os.Stat(recent); err != nil {
		t.Errorf("the recent one: %v", err)
	}
	if got := listed(t, b, backend.Data); !slices.Equal(got, []string{f.Name}) {
		t.Errorf("List: got %q, want the pack alone", got)
	}
}

// TestSFTPMissingFolders takes folders away, as programs do that copy no empty ones.
func TestSFTPMissingFolders(t *testing.T) {
	t.Parallel()
	folder := aRepository(t)
	b, err := backend.OpenSFTP(t.Context(), "host:"+folder, sftpServer(t), false)
	if err != nil {
		t.Fatal(err)
	}
	closeLater(t, b)
	lacks := func() (bool, error) {
		return b.(lacker).Lacks(t.Context(), backend.Snapshot)
	}
	mustSave(t, b, backend.Data, "data")
	mustSave(t, b, backend.Snapshot, "snapshot")
	if gone, err := lacks(); gone || err != nil {
		t.Errorf("Lacks: got %t, %v, want false", gone, err)
	}
	if err := errors.Join(os.RemoveAll(filepath.Join(folder, "data")), os.RemoveAll(filepath.Join(folder, "snapshots"))); err != nil {
		t.Fatal(err)
	}
	if gone, err := lacks(); !gone || err != nil {
		t.Errorf("Lacks: got %t, %v, want true", gone, err)
	}
	for _, k := range []backend.Kind{backend.Data, backend.Snapshot} {
		if got := listed(t, b, k); len(got) > 0 {
			t.Errorf("List: got %q, want none", got)
		}
		mustSave(t, b, k, "text")
	}
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	for _, err := range b.List(t.Context(), backend.Key) {
		if !errors.Is(err, fs.ErrNotExist) || backend.IsTemporary(err) {
			t.Errorf("List of what is gone: got %v, want %v", err, fs.ErrNotExist)
		}
	}
	if err := b.Save(t.Context(), backendtest.Named(backend.Key, nil), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Save into what is gone: got %v, want %v", err, fs.ErrNotExist)
	}
}

// TestSFTPReplaces saves over a file that is damaged, with both kinds of rename.
func TestSFTPReplaces(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"-P", "posix-rename"}} {
		folder := aRepository(t)
		b, err := backend.OpenSFTP(t.Context(), "host:"+folder, sftpServer(t, args...), false)
		if err != nil {
			t.Fatal(err)
		}
		closeLater(t, b)
		f := mustSave(t, b, backend.Data, "data")
		for _, damage := range []string{"", "dada", "longer than it was"} {
			if err := os.WriteFile(place(folder, f), []byte(damage), 0o600); err != nil {
				t.Fatal(err)
			}
			mustSave(t, b, backend.Data, "data")
			if got, err := os.ReadFile(place(folder, f)); err != nil || !bytes.Equal(got, []byte("data")) {
				t.Errorf("%q, saved over %q: got %q, %v", args, damage, got, err)
			}
		}
	}
}
