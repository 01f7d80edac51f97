package backend_test

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	backendtest.Run(t, func(*testing.T) backend.Backend { return backend.NewMemory() })
}

func TestLocal(t *testing.T) {
	t.Parallel()
	backendtest.Run(t, func(t *testing.T) backend.Backend { return createLocal(t, t.TempDir()) })
}

// TestFaultyIsTransparent runs the suite through a wrapper without faults.
func TestFaultyIsTransparent(t *testing.T) {
	t.Parallel()
	backendtest.Run(t, func(*testing.T) backend.Backend {
		return backendtest.NewFaulty(backend.NewMemory(), backendtest.Faults{})
	})
}

// TestRecorderIsTransparent runs the suite through a recorder.
func TestRecorderIsTransparent(t *testing.T) {
	t.Parallel()
	backendtest.Run(t, func(t *testing.T) backend.Backend {
		r, err := backendtest.NewRecorder(t.Context(), backend.NewMemory())
		if err != nil {
			t.Fatal(err)
		}
		return r
	})
}

// createLocal spares the disk the full reserve.
func createLocal(t *testing.T, folder string) *backend.Local {
	t.Helper()
	l, err := backend.CreateSmall(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return l
}

func TestAddress(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "a", "b:c")
	if _, err := backend.Open(t.Context(), folder, backend.Options{}); !errors.Is(err, backend.ErrNoRepository) {
		t.Errorf("Open of nothing: got %v, want %v", err, backend.ErrNoRepository)
	}
	b, err := backend.Create(t.Context(), "local:"+folder, backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := backend.Open(t.Context(), folder, backend.Options{}); !errors.Is(err, backend.ErrNoRepository) {
		t.Errorf("Open without config: got %v, want %v", err, backend.ErrNoRepository)
	}
	if err := b.Save(t.Context(), backend.File{}, []byte("config")); err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{folder, "local:" + folder} {
		if _, err := backend.Open(t.Context(), address, backend.Options{}); err != nil {
			t.Errorf("Open %s: %v", address, err)
		}
		if _, err := backend.Create(t.Context(), address, backend.Options{}); !errors.Is(err, fs.ErrExist) {
			t.Errorf("Create %s again: got %v, want %v", address, err, fs.ErrExist)
		}
	}
	if _, err := backend.Create(t.Context(), "mem:", backend.Options{}); err != nil {
		t.Errorf("Create mem: %v", err)
	}
	if _, err := backend.Open(t.Context(), "mem:", backend.Options{}); !errors.Is(err, backend.ErrNoRepository) {
		t.Errorf("Open mem: got %v, want %v", err, backend.ErrNoRepository)
	}
}

func TestAddressRefused(t *testing.T) {
	t.Parallel()
	for _, open := range []func(context.Context, string, backend.Options) (backend.Backend, error){backend.Open, backend.Create} {
		for _, address := range []string{"swift+x:", "gs:me:secret@host:/"} {
			_, err := open(t.Context(), address, backend.Options{})
			if !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("%s: got %v, want %v", address, err, errors.ErrUnsupported)
			}
			wantMisspelt(t, address, err)
		}
		for _, address := range []string{
			"sftp:secret", "sftp://me:secret@host/x", "s3:secret", "s3:https://me:secret@host/bucket", "s3:host/secret_", "rest:secret", "rclone:-secret",
		} {
			_, err := open(t.Context(), address, backend.Options{})
			wantMisspelt(t, address, err)
		}
		for _, address := range []string{"", "local:"} {
			if _, err := open(t.Context(), address, backend.Options{}); !errors.Is(err, fs.ErrInvalid) {
				t.Errorf("%q: got %v, want %v", address, err, fs.ErrInvalid)
			}
		}
	}
}

// wantMisspelt wants an error that says no more than that an address is misspelt, and how.
func wantMisspelt(t *testing.T, address string, err error) {
	t.Helper()
	if !errors.Is(err, backend.ErrAddress) {
		t.Fatalf("%s: got %v, want %v", address, err, backend.ErrAddress)
	}
	for _, text := range []string{"secret", fs.ErrInvalid.Error(), errors.ErrUnsupported.Error(), backend.ErrAddress.Error()} {
		if strings.Contains(err.Error(), text) {
			t.Errorf("%s: the error holds %q: %v", address, text, err)
		}
	}
}

func TestFileString(t *testing.T) {
	t.Parallel()
	name := strings.Repeat("ab", 32)
	for _, c := range []struct {
		file backend.File
		want string
	}{
		{backend.File{}, "config"},
		{backend.File{Kind: backend.Data, Name: name}, "data/" + name},
		{backend.File{Kind: backend.Key, Name: "../x\n"}, `keys/"../x\n"`},
		{backend.File{Kind: 9, Name: name}, "kind 9/" + name},
	} {
		if got := c.file.String(); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}
