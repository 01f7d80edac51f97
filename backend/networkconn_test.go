package backend

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipe returns two ends: ours with the limits of o, and that of a server.
func pipe(t *testing.T, o NetworkOptions) (ours, theirs net.Conn) {
	t.Helper()
	c, theirs := net.Pipe()
	ours = o.watched(c)
	t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
	return ours, theirs
}

func wantStalled(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, errStalled) || !IsTemporary(err) {
		t.Errorf("%s: got error %v, want a temporary %v", what, err, errStalled)
	}
}

func TestConnStalls(t *testing.T) {
	t.Parallel()
	for _, write := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c, _ := pipe(t, NetworkOptions{Stall: 40 * time.Second})
			begun := time.Now()
			move := c.Read
			if write {
				move = c.Write
			}
			_, err := move(make([]byte, 10))
			wantStalled(t, fmt.Sprintf("write %t", write), err)
			if got := time.Since(begun); got != 40*time.Second {
				t.Errorf("write %t: given up after %v, want 40s", write, got)
			}
			_, err = move(make([]byte, 10))
			wantStalled(t, "the next one", err)
		})
	}
}

// TestConnIdle lets a connection wait for longer than a stall: it is given up only when an operation has waited for so long.
func TestConnIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := NetworkOptions{}
		o.link = o.newLink()
		c, _ := pipe(t, o)
		begun := time.Now()
		var group sync.WaitGroup
		defer group.Wait()
		group.Go(func() {
			_, err := c.Read(make([]byte, 1))
			wantStalled(t, "read", err)
			if got, want := time.Since(begun), 12*time.Hour+defaultStall; got != want {
				t.Errorf("given up after %v, want %v", got, want)
			}
		})
		time.Sleep(time.Hour)
		_ = o.busy(func() error {
			time.Sleep(defaultStall - 1)
			o.idle(func() { time.Sleep(12*time.Hour - time.Hour - defaultStall + 1) })
			time.Sleep(2 * defaultStall)
			return nil
		})
	})
}

// TestConnBusy begins one operation after the other, none of which gets an answer.
func TestConnBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := NetworkOptions{}
		o.link = o.newLink()
		c, _ := pipe(t, o)
		begun := time.Now()
		var group sync.WaitGroup
		defer group.Wait()
		for n := range time.Duration(5) {
			group.Go(func() {
				time.Sleep(n * 20 * time.Second)
				_ = o.busy(func() error { time.Sleep(time.Hour); return nil })
			})
		}
		_, err := c.Read(make([]byte, 1))
		wantStalled(t, "read", err)
		if got := time.Since(begun); got != defaultStall {
			t.Errorf("given up after %v, want %v", got, defaultStall)
		}
	})
}

// TestConnHeld waits for its turn and then for the other side, each for less than a stall.
func TestConnHeld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, server := pipe(t, NetworkOptions{Upload: minPiece / 50})
		var group sync.WaitGroup
		defer group.Wait()
		group.Go(func() { wantMoved(t, 2*minPiece, func() (int, error) { return c.Write(make([]byte, 2*minPiece)) }) })
		wantMoved(t, minPiece, func() (int, error) { return io.ReadFull(server, make([]byte, minPiece)) })
		time.Sleep(100 * time.Second)
		wantMoved(t, minPiece, func() (int, error) { return io.ReadFull(server, make([]byte, minPiece)) })
	})
}

// TestConnSlow moves a byte now and then, which is no stall.
func TestConnSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, server := pipe(t, NetworkOptions{})
		var group sync.WaitGroup
		defer group.Wait()
		group.Go(func() {
			for range 20 {
				time.Sleep(defaultStall - 1)
				if _, err := server.Write([]byte("x")); err != nil {
					t.Errorf("Write: %v", err)
				}
			}
			_ = server.Close()
		})
		got, err := io.ReadAll(c)
		if len(got) != 20 || err != nil {
			t.Errorf("got %d bytes, %v, want 20", len(got), err)
		}
	})
}

// TestConnLimits moves bytes over many connections at once: together they take as long as the limit says, and however long
// one waits for its turn, it is no stall.
func TestConnLimits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		up, down    int64
		connections int
		size        int // of each, each way
		want        time.Duration
	}{
		{0, 0, 2, 1 << 20, 0},
		{10_000, 0, 1, 101_000, 10 * time.Second},
		{0, 10_000, 1, 101_000, 10 * time.Second},
		{10_000, 20_000, 4, 50_250, 20 * time.Second},
		{100, 100, 20, 10_240, 2038 * time.Second}, // but for the first piece, which goes at once
		{1 << 20, 1 << 20, 2, 5 << 20, 10 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			o := NetworkOptions{Upload: c.up, Download: c.down}
			o.link = o.newLink()
			begun := time.Now()
			var group sync.WaitGroup
			for range c.connections {
				ours, theirs := pipe(t, o)
				for _, end := range []net.Conn{ours, theirs} {
					group.Go(func() { wantMoved(t, c.size, func() (int, error) { return end.Write(make([]byte, c.size)) }) })
					group.Go(func() { wantMoved(t, c.size, func() (int, error) { return io.ReadFull(end, make([]byte, c.size)) }) })
				}
			}
			_ = o.busy(func() error { group.Wait(); return nil })
			if took := time.Since(begun); (took - c.want).Abs() > c.want/50 {
				t.Errorf("%+v: took %v", c, took)
			}
		})
	}
}

func wantMoved(t *testing.T, want int, move func() (int, error)) {
	if got, err := move(); got != want || err != nil {
		t.Errorf("moved %d bytes, %v, want %d", got, err, want)
	}
}

// TestConnClosed closes a connection on which a write waits for its turn.
func TestConnClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		c := NetworkOptions{Upload: 1}.limited(r, w, func() error { return errors.Join(r.Close(), w.Close()) })
		var group sync.WaitGroup
		defer group.Wait()
		group.Go(func() {
			begun := time.Now()
			_, err := c.Write(make([]byte, 10*minPiece))
			if !IsTemporary(err) || !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("Write: got error %v, want a temporary %v", err, io.ErrClosedPipe)
			}
			if took := time.Since(begun); took != 5*time.Second {
				t.Errorf("Write ended after %v, want 5s", took)
			}
		})
		group.Go(func() { _, _ = r.Read(make([]byte, minPiece)) })
		time.Sleep(5 * time.Second)
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := c.Close(); err != nil {
			t.Errorf("Close again: %v", err)
		}
		time.Sleep(10 * defaultStall) // nothing looks at it any more
	})
}

// brokenConn fails with an error that holds an address, as those of package net do.
type brokenConn struct {
	net.Conn
	err error
}

func (c brokenConn) Read([]byte) (int, error)  { return 0, c.err }
func (c brokenConn) Write([]byte) (int, error) { return 0, c.err }
func (c brokenConn) Close() error              { return nil }

func TestConnErrors(t *testing.T) {
	t.Parallel()
	secret := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 77), Port: 4711}
	for _, inner := range []error{
		errors.New("connection reset"), &net.DNSError{Err: "x", Name: "192.0.2.77", Server: "4711"},
		&net.DNSError{Err: "x", Name: "192.0.2.77", Server: "4711", IsNotFound: true},
		&net.AddrError{Err: "invalid port", Addr: "4711"},
	} {
		c := NetworkOptions{}.watched(brokenConn{err: &net.OpError{Op: "read", Net: "tcp", Source: secret, Addr: secret, Err: inner}})
		_, errRead := c.Read(nil)
		_, errWrite := c.Write(nil)
		for _, err := range []error{errRead, errWrite} {
			if !IsTemporary(err) || strings.Contains(err.Error(), "192.0.2.77") || strings.Contains(err.Error(), "4711") || strings.Contains(err.Error(), "lookup") {
				t.Errorf("got %v, want a temporary error without an address", err)
			}
		}
		_ = c.Close()
	}
	c := NetworkOptions{}.watched(brokenConn{err: io.EOF})
	defer c.Close()
	if _, err := c.Read(nil); err != io.EOF {
		t.Errorf("at the end: got %v, want %v itself", err, io.EOF)
	}
}
