package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"russet/device/sim/phone"
)

// watched is what `devices --watch --json` tells.
type watched struct {
	t     *testing.T
	lines *bufio.Scanner
}

func (w *watched) next(event, udid string) {
	w.t.Helper()
	if !w.lines.Scan() {
		w.t.Fatalf("the watch ended before %s", event)
	}
	var m deviceMessage
	if err := json.Unmarshal(w.lines.Bytes(), &m); err != nil {
		w.t.Fatal(err)
	}
	if m.Event != event || m.Device != udid {
		w.t.Errorf("got %+v, want %s of %s", m, event, udid)
	}
}

// TestWatch: phones that come and go are told of, also those that the muxer
// takes with it when it ends, and after it has come back.
func TestWatch(t *testing.T) {
	t.Parallel()
	state, records := t.TempDir(), t.TempDir()
	ph, err := phone.New(state, phone.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer ph.Close()
	begin := func(address string) (l net.Listener, m *phone.Muxer, end func()) {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if m, err = phone.NewMuxer(records); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- m.Serve(ctx, l) }()
		if err := m.Add(ph); err != nil {
			t.Fatal(err)
		}
		return l, m, func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			_ = m.Close()
		}
	}
	l, m, end := begin("127.0.0.1:0")
	address := l.Addr().String()
	pr, pw := io.Pipe()
	defer pr.Close()
	p := newProgram(noEnv, strings.NewReader(""), pw, io.Discard)
	p.patience = patience{10 * time.Millisecond, time.Second}
	ctx, cancel := context.WithCancel(t.Context())
	code := make(chan int, 1)
	go func() {
		code <- p.report(p.dispatch(ctx, []string{"russet", "devices", "--watch", "--json", "--usbmuxd", address}))
		pw.Close()
	}()
	w := &watched{t, bufio.NewScanner(pr)}
	w.next("attached", ph.UDID())
	m.Remove(ph)
	w.next("detached", ph.UDID())
	if err := m.Add(ph); err != nil {
		t.Fatal(err)
	}
	w.next("attached", ph.UDID())
	end()
	w.next("detached", ph.UDID())
	_, _, end = begin(address)
	w.next("attached", ph.UDID())
	cancel()
	if got := <-code; got != codeCancelled {
		t.Errorf("got exit code %d, want %d", got, codeCancelled)
	}
	end()
}
