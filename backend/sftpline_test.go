package backend_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

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

// untilItPasses tries as often as it takes: how often depends on how busy the machine is.
func untilItPasses(t *testing.T, try func() error) {
	for {
		err := try()
		if err == nil {
			return
		}
		if !backend.IsTemporary(err) {
			t.Errorf("after a cut: got %v, want an error that may pass", err)
			return
		}
	}
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

// A holding lets nobody read before the end.
type holding struct {
	asked chan struct{} // gets a value for each who wants to
	end   chan struct{}
}

func (h holding) Fileread(*sftp.Request) (io.ReaderAt, error) { return h, nil }

func (h holding) ReadAt([]byte, int64) (int, error) {
	h.asked <- struct{}{}
	<-h.end
	return 0, io.EOF
}

// openHolding opens a place whose files are listed and never come.
func openHolding(t *testing.T, stall time.Duration) (backend.Backend, holding) {
	t.Helper()
	h := holding{make(chan struct{}, 100), make(chan struct{})}
	s := startServer(t, &ssh.ServerConfig{NoClientAuth: true}, func(channel ssh.Channel) {
		handlers := sftp.InMemHandler()
		handlers.FileList, handlers.FileGet = &gathering{}, h
		_ = sftp.NewRequestServer(channel, handlers).Serve()
	})
	t.Cleanup(func() { close(h.end) })
	s.options.Network.Stall = stall
	b, err := backend.OpenSFTP(t.Context(), s.address+"/repo", s.options, false)
	if err != nil {
		t.Fatal(err)
	}
	closeLater(t, b)
	return b, h
}

// TestSFTPCancelled cancels what the server would answer only after an hour.
func TestSFTPCancelled(t *testing.T) {
	t.Parallel()
	b, h := openHolding(t, time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		<-h.asked
		cancel()
	}()
	if _, err := backendtest.Read(ctx, b, backend.File{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if lacks, err := b.(lacker).Lacks(t.Context(), backend.Key); lacks || err != nil { // on a new connection
		t.Errorf("Lacks: got %t, %v, want false", lacks, err)
	}
}

// TestSFTPStalls gives up what the server does not answer.
func TestSFTPStalls(t *testing.T) {
	t.Parallel()
	b, _ := openHolding(t, 100*time.Millisecond)
	_, err := backendtest.Read(t.Context(), b, backend.File{})
	if !backend.IsTemporary(err) || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("got %v, want that the server does not answer, which may pass", err)
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

// sparing gives less than it is asked for, as the protocol allows.
type sparing []byte

func (s sparing) Fileread(*sftp.Request) (io.ReaderAt, error) { return s, nil }

func (s sparing) ReadAt(p []byte, offset int64) (int, error) {
	n, err := bytes.NewReader(s).ReadAt(p[:min(len(p), 1000)], offset)
	return n, err
}

// TestSFTPShort reads a file that comes in small pieces: none of them is its end.
func TestSFTPShort(t *testing.T) {
	t.Parallel()
	want := bytes.Repeat([]byte("0123456789"), 10_000)
	s := startServer(t, &ssh.ServerConfig{NoClientAuth: true}, func(channel ssh.Channel) {
		handlers := sftp.InMemHandler()
		handlers.FileList, handlers.FileGet = &gathering{}, sparing(want)
		_ = sftp.NewRequestServer(channel, handlers).Serve()
	})
	b, err := backend.OpenSFTP(t.Context(), s.address+"/repo", s.options, false)
	if err != nil {
		t.Fatal(err)
	}
	closeLater(t, b)
	got := make([]byte, len(want)+100)
	if n, err := b.Load(t.Context(), backend.File{}, 0, got); err != nil || !bytes.Equal(got[:n], want) {
		t.Errorf("got %d bytes, %v, want %d", n, err, len(want))
	}
}

// TestSFTPClosed closes a place that is in use.
func TestSFTPClosed(t *testing.T) {
	t.Parallel()
	o := sftpServer(t)
	b, err := backend.OpenSFTP(t.Context(), "host:"+aRepository(t), o, false)
	if err != nil {
		t.Fatal(err)
	}
	var users sync.WaitGroup
	begun := make(chan struct{}, 1)
	for range 8 {
		users.Go(func() {
			for {
				_, err := backendtest.Read(t.Context(), b, backend.File{})
				if errors.Is(err, fs.ErrClosed) {
					return
				}
				if err != nil && !backend.IsTemporary(err) {
					t.Errorf("Load: got %v, want %v", err, fs.ErrClosed)
					return
				}
				select {
				case begun <- struct{}{}:
				default:
				}
			}
		})
	}
	<-begun
	if err := b.(io.Closer).Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	users.Wait()
}
