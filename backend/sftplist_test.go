package backend_test

import (
	"encoding/binary"
	"io"
	"io/fs"
	"sync"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"russet/backend"
)

// A gathering lists no folder before so many others are asked for.
type gathering struct {
	mu     sync.Mutex
	asked  int
	enough chan struct{} // closed when many are
}

// gathered is less than the server reads ahead.
const gathered = 6

func (g *gathering) ask() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.asked++; g.asked == gathered {
		close(g.enough)
	}
}

// Filelist has a repository of 16 folders of packs.
func (g *gathering) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	switch {
	case r.Method != "List":
		return folders{"config"}, nil
	case r.Filepath == "/repo/data":
		var all folders
		for _, c := range "0123456789abcdef" {
			all = append(all, "a"+string(c))
		}
		return all, nil
	default:
		return waiting{g}, nil
	}
}

type waiting struct{ g *gathering }

func (w waiting) ListAt([]fs.FileInfo, int64) (int, error) {
	<-w.g.enough
	return 0, io.EOF
}

type folders []string

func (f folders) ListAt(to []fs.FileInfo, offset int64) (n int, err error) {
	for ; n < len(to) && int(offset)+n < len(f); n++ {
		to[n] = folderInfo(f[int(offset)+n])
	}
	if n < len(to) {
		err = io.EOF
	}
	return n, err
}

type folderInfo string

func (f folderInfo) Name() string     { return string(f) }
func (folderInfo) Size() int64        { return 0 }
func (folderInfo) Mode() fs.FileMode  { return fs.ModeDir | 0o700 }
func (folderInfo) ModTime() time.Time { return time.Unix(0, 0) }
func (folderInfo) IsDir() bool        { return true }
func (folderInfo) Sys() any           { return nil }

// A tapped stream shows each packet that is read from it before it passes.
type tapped struct {
	io.ReadWriteCloser
	seen func(packet []byte) // from its type on
	left []byte
}

func (t *tapped) Read(p []byte) (int, error) {
	if len(t.left) == 0 {
		size := make([]byte, 4)
		if _, err := io.ReadFull(t.ReadWriteCloser, size); err != nil {
			return 0, err
		}
		t.left = append(size, make([]byte, binary.BigEndian.Uint32(size))...)
		if _, err := io.ReadFull(t.ReadWriteCloser, t.left[len(size):]); err != nil {
			return 0, err
		}
		t.seen(t.left[len(size):])
	}
	n := copy(p, t.left)
	t.left = t.left[n:]
	return n, nil
}

// TestSFTPListsTogether wants many folders to be asked for before the first one is there.
func TestSFTPListsTogether(t *testing.T) {
	t.Parallel()
	g := &gathering{enough: make(chan struct{})}
	s := startServer(t, &ssh.ServerConfig{NoClientAuth: true}, func(channel ssh.Channel) {
		handlers := sftp.InMemHandler()
		handlers.FileList = g
		const opendir = 11
		_ = sftp.NewRequestServer(&tapped{ReadWriteCloser: channel, seen: func(packet []byte) {
			if packet[0] == opendir {
				g.ask()
			}
		}}, handlers).Serve()
	})
	s.options.SFTP.Connections = 1
	b, err := backend.OpenSFTP(t.Context(), s.address+"/repo", s.options, false)
	if err != nil {
		t.Fatal(err)
	}
	closeLater(t, b)
	if got := listed(t, b, backend.Data); len(got) > 0 {
		t.Errorf("got %q, want none", got)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.asked != 17 {
		t.Errorf("asked for %d folders, want 16 and the one that they are in", g.asked)
	}
}
