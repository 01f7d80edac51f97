package phone

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"russet/device"
)

// farEnd is a service of a phone by network that nobody else speaks with.
type farEnd struct {
	m      *Muxer
	line   *line
	listen net.Listener
}

func newFarEnd(t *testing.T) *farEnd {
	t.Helper()
	m, err := NewMuxer(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	p, _ := newPhone(t, t.TempDir(), Options{})
	p.opts.Network = netip.MustParseAddr("127.0.0.1")
	l := &line{p: p, id: 1, network: true, active: map[*context.CancelFunc]struct{}{}, waiting: map[uint16]talk{}}
	m.lines = append(m.lines, l)
	ear, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ear.Close() })
	return &farEnd{m: m, line: l, listen: ear}
}

// connect has the muxer connect conn with the service, and wants the service's
// end of that to end.
func (f *farEnd) connect(t *testing.T, conn net.Conn) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var g sync.WaitGroup
	defer g.Wait()
	spawn := func(f func(context.Context)) { g.Go(func() { f(ctx) }) }
	port := uint16(f.listen.Addr().(*net.TCPAddr).Port)
	if !f.m.connect(ctx, spawn, conn, 1, &muxRequest{DeviceID: 1, PortNumber: uint64(device.MuxPort(port))}) {
		t.Error("the muxer goes on with the connection")
	}
	far, err := f.listen.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	if err := far.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := far.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("got %d bytes, %v, want the end", n, err)
	}
}

func TestConnectOfAHostThatHasGone(t *testing.T) {
	t.Parallel()
	f := newFarEnd(t)
	near, conn := net.Pipe()
	near.Close()
	f.connect(t, conn)
}

func TestConnectToALineThatIsCut(t *testing.T) {
	t.Parallel()
	f := newFarEnd(t)
	f.line.cut()
	near, conn := net.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, near)
	}()
	f.connect(t, conn)
	<-ended // conn is closed
}

// A service whose line is cut before it waits does not listen on.
func TestServiceOfALineThatIsCut(t *testing.T) {
	t.Parallel()
	f := newFarEnd(t)
	f.line.cut()
	var g sync.WaitGroup
	spawn := func(f func(context.Context)) { g.Go(func() { f(t.Context()) }) }
	if _, err := f.line.wait(spawn, func(context.Context, net.Conn) { t.Error("the service was called") }); err != nil {
		t.Fatal(err)
	}
	g.Wait()
	if f.line.open != 0 {
		t.Errorf("got %d services that listen on, want none", f.line.open)
	}
}
