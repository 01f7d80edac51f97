package backend_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
)

// TestSFTPCut cuts connections while files are saved and loaded by many: what fails may pass, and passes; what was
// reported saved is there.
func TestSFTPCut(t *testing.T) {
	t.Parallel()
	s := backendtest.StartSSHD(t)
	folder := aRepository(t)
	b := openSFTP(t, s, folder, s.Options())
	const workers, rounds = 3, 6
	saved := make(chan struct{})
	var group, cutter sync.WaitGroup
	cutter.Go(func() {
		for range saved {
			s.Cut()
		}
	})
	for worker := range workers {
		group.Go(func() {
			for round := range rounds {
				data := backendtest.Bytes(100_000+round, byte(worker))
				f := backendtest.Named(backend.Data, data)
				untilItPasses(t, func() error { return b.Save(t.Context(), f, data) })
				select {
				case saved <- struct{}{}:
				default:
				}
				var got []byte
				untilItPasses(t, func() (err error) {
					got, err = backendtest.Read(t.Context(), b, f)
					return err
				})
				if !bytes.Equal(got, data) {
					t.Errorf("Load: got %d bytes, want %d others", len(got), len(data))
				}
			}
		})
	}
	group.Wait()
	close(saved)
	cutter.Wait()
	if got := s.Accepted(); got < 2 {
		t.Errorf("got %d connections, want more: nothing was cut", got)
	}
	var names []string
	untilItPasses(t, func() error {
		names = nil
		for info, err := range b.List(t.Context(), backend.Data) {
			if err != nil {
				return err
			}
			names = append(names, info.Name)
		}
		return nil
	})
	if len(names) != workers*rounds {
		t.Errorf("got %d files, want %d", len(names), workers*rounds)
	}
}

func untilItPasses(t *testing.T, try func() error) {
	for range 100 {
		err := try()
		if err == nil {
			return
		}
		if !backend.IsTemporary(err) {
			t.Errorf("after a cut: got %v, want an error that may pass", err)
			return
		}
	}
	t.Error("100 tries are not enough")
}

// TestSFTPAway stops the server, and starts it again.
func TestSFTPAway(t *testing.T) {
	t.Parallel()
	s := backendtest.StartSSHD(t)
	folder := aRepository(t)
	b := openSFTP(t, s, folder, s.Options())
	s.Stop()
	for range 2 { // the connection that there was, and a new one
		if _, err := backendtest.Read(t.Context(), b, backend.File{}); !backend.IsTemporary(err) {
			t.Errorf("Load: got %v, want an error that may pass", err)
		}
	}
	if _, err := tryOpen(t, s, folder, s.Options()); !backend.IsTemporary(err) {
		t.Errorf("Open: got %v, want an error that may pass", err)
	}
	s.Start(t)
	if got, err := backendtest.Read(t.Context(), b, backend.File{}); err != nil || string(got) != "config" {
		t.Errorf("Load: got %q, %v", got, err)
	}
}

// TestSFTPNotOffered logs in at a server without SFTP.
func TestSFTPNotOffered(t *testing.T) {
	t.Parallel()
	s := backendtest.StartSSHD(t, "Subsystem other internal-sftp")
	if _, err := tryOpen(t, s, aRepository(t), s.Options()); !errors.Is(err, errors.ErrUnsupported) || backend.IsTemporary(err) {
		t.Errorf("got %v, want %v", err, errors.ErrUnsupported)
	}
}

// TestSFTPHangs cancels what a server does not answer: its SFTP is a program that only reads.
func TestSFTPHangs(t *testing.T) {
	t.Parallel()
	started := filepath.Join(t.TempDir(), "started")
	s := backendtest.StartSSHD(t, "Subsystem sftp touch "+started+"; exec cat 3>&1 >"+os.DevNull) // its output stays open
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := backend.OpenSFTP(ctx, strings.TrimPrefix(s.Address("/x"), "sftp:"), s.Options(), false)
		done <- err
	}()
	waitFor(t, started)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// waitFor waits until a file is there.
func waitFor(t *testing.T, name string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(name); err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatalf("%s never comes", name)
		}
	}
}
