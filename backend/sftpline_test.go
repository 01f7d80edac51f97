package backend_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
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

func TestSFTPSum(t *testing.T) {
	t.Parallel()
	s := backendtest.StartSSHD(t)
	for _, name := range []string{"plain", `a 'b" $(touch c)`, "-c", "d\\e `f`"} {
		folder := filepath.Join(t.TempDir(), name)
		l, err := backend.CreateSmall(t.Context(), folder)
		if err != nil {
			t.Fatal(err)
		}
		mustSave(t, l, backend.Config, "config")
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		b, err := backend.OpenSFTP(t.Context(), s.User+"@nas:"+folder, aliasFor(t, s), false)
		if err != nil {
			t.Fatal(err)
		}
		closeLater(t, b)
		f := mustSave(t, b, backend.Data, "data")
		sum, how, err := backend.Sum(t.Context(), b, f)
		if err != nil || how != backend.ProofRead || hex.EncodeToString(sum[:]) != f.Name {
			t.Errorf("%s: got %x, %q, %v, want %s", name, sum, how, err, f.Name)
		}
		if err := os.WriteFile(place(folder, f), []byte("rotten"), 0o600); err != nil {
			t.Fatal(err)
		}
		if sum, _, err = backend.Sum(t.Context(), b, f); err != nil || sum != sha256.Sum256([]byte("rotten")) {
			t.Errorf("%s, damaged: got %x, %v", name, sum, err)
		}
		_, _, err = backend.Sum(t.Context(), b, backendtest.Named(backend.Data, []byte("absent")))
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s, absent: got %v, want %v", name, err, fs.ErrNotExist)
		}
	}
}

// aliasFor reaches a server under the name "nas", so that an address need not be a URL.
func aliasFor(t *testing.T, s *backendtest.SSHD) backend.Options {
	t.Helper()
	o := s.Options()
	config := filepath.Join(t.TempDir(), "config")
	writeFile(t, config, "Host nas\nHostName "+s.Host+"\nPort "+s.Port+"\n")
	o.SFTP.Config = []string{config}
	return o
}

// TestSFTPNoSum has accounts that run no program but SFTP, and one whose programs see other files.
func TestSFTPNoSum(t *testing.T) {
	t.Parallel()
	folder := aRepository(t)
	for _, c := range []struct{ rule, folder string }{
		{"ForceCommand internal-sftp", folder},
		{"MaxSessions 1", folder},
		{"Subsystem sftp internal-sftp -d " + filepath.Dir(folder), filepath.Base(folder)},
	} {
		s := backendtest.StartSSHD(t, c.rule)
		b, err := backend.OpenSFTP(t.Context(), s.User+"@nas:"+c.folder, aliasFor(t, s), false)
		if err != nil {
			t.Fatal(err)
		}
		closeLater(t, b)
		f := mustSave(t, b, backend.Data, "data")
		for range 2 {
			if _, _, err := backend.Sum(t.Context(), b, f); !errors.Is(err, errors.ErrUnsupported) || backend.IsTemporary(err) {
				t.Errorf("%s: got %v, want %v", c.rule, err, errors.ErrUnsupported)
			}
		}
		if got, err := backendtest.Read(t.Context(), b, f); err != nil || string(got) != "data" {
			t.Errorf("%s: Load: got %q, %v", c.rule, got, err)
		}
		if s.Accepted() != 1 {
			t.Errorf("%s: got %d connections, want 1", c.rule, s.Accepted())
		}
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
