package phone

import (
	"net"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"russet/device"
)

// A pipe that somebody left in the media folder would keep a host waiting.
func TestPipesAreNotOpened(t *testing.T) {
	t.Parallel()
	p, _, c, _ := newFiles(t)
	if err := syscall.Mkfifo(filepath.Join(p.media.Name(), "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.status(t, device.AFCDenied, device.AFCFileOpen, 1, "/pipe")
	c.status(t, device.AFCDenied, device.AFCTruncate, 1, "/pipe")
	c.status(t, device.AFCNotFound, device.AFCReadDir, "/pipe")
}

func TestRemovedPhoneListensNoMore(t *testing.T) {
	t.Parallel()
	m, err := NewMuxer(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	addr := loopback(4)
	p, _ := newPhone(t, t.TempDir(), Options{Network: addr})
	if err := m.Add(p); err != nil {
		t.Fatal(err)
	}
	at := net.JoinHostPort(addr.String(), strconv.Itoa(device.LockdownPort))
	if l, err := net.Listen("tcp", at); err == nil {
		l.Close()
		t.Error("an attached phone does not listen")
	}
	m.Remove(p)
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}
