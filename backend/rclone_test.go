package backend_test

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
)

// createByRclone makes a repository through an rclone of its own.
func createByRclone(t *testing.T, remote string) backend.Backend {
	t.Helper()
	b := createAt(t, "rclone:"+remote, rcloneOptions(t))
	t.Cleanup(func() {
		if err := b.(io.Closer).Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return b
}

// rcloneOptions let rclone forget what it saw in a list, as in backendtest.RcloneServer.
func rcloneOptions(t *testing.T) backend.Options {
	t.Helper()
	return backend.Options{Rclone: backend.RcloneOptions{
		Program: backendtest.Rclone(t),
		Args:    []string{"serve", "restic", "--stdio", "--cache-objects=false"},
	}}
}

func TestRcloneMemory(t *testing.T) {
	t.Parallel()
	backendtest.Run(t, func(t *testing.T) backend.Backend { return createByRclone(t, ":memory:x") })
}

func TestRcloneRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, remote string
		o            backend.RcloneOptions
		want         error
		text         string
	}{
		{"empty", "", backend.RcloneOptions{}, fs.ErrInvalid, ""},
		{"a flag", "--config=x", backend.RcloneOptions{}, fs.ErrInvalid, ""},
		{"no program", "x:secret", backend.RcloneOptions{Program: "secret-no-such-program"}, exec.ErrNotFound, "start rclone: executable file not found"},
		{"no program there", "x:secret", backend.RcloneOptions{Program: "/secret/no/program"}, backend.ErrProgram, "start rclone: "},
		{"no remote", "secret:secret", backend.RcloneOptions{Program: backendtest.Rclone(t)}, backend.ErrProgram, "rclone has ended: Failed to create file system for ...: didn't find section in config file"},
		{"no repository", ":memory:secret", backend.RcloneOptions{Program: backendtest.Rclone(t)}, backend.ErrNoRepository, ""},
	} {
		_, err := backend.Open(t.Context(), "rclone:"+c.remote, backend.Options{Rclone: c.o})
		if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %v, want %v %s", c.name, err, c.want, c.text)
		}
		if err != nil && (backend.IsTemporary(err) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%s: got %v, temporary: %t, want a permanent one without the address", c.name, err, backend.IsTemporary(err))
		}
	}
}

// TestRcloneSlow has an rclone whose storage thinks for longer than a stall, while nothing moves between rclone and us but
// pings.
func TestRcloneSlow(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short: it waits for seconds")
	}
	const stall = time.Second
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "10")
		if strings.HasSuffix(r.URL.Path, "config") {
			<-time.After(2 * stall)
		}
		_, _ = w.Write([]byte("ten bytes."))
	}))
	defer storage.Close()
	o := rcloneOptions(t)
	o.Network = backend.NetworkOptions{Retry: 20 * time.Second, Stall: stall}
	b, err := backend.Open(t.Context(), "rclone::http,url='"+storage.URL+"/':", o)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.(io.Closer).Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}
