package mb2

import (
	"context"
	"errors"
	"math"
	"net"
	"strings"
	"testing"
)

func TestVersions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		own         int
		phone, want int64
	}{{0, 400, 300}, {0, 300, 300}, {0, 100, 100}, {400, 400, 400}, {400, 300, 300}, {400, 500, 400}} {
		err := converse(t, Options{Version: c.own}, func(p *phone) {
			if got := p.greet(c.phone); got != c.want {
				t.Errorf("own %d, phone %d: announced %d, want %d", c.own, c.phone, got, c.want)
			}
			p.farewell()
		}, func(context.Context, *Session) error { return nil })
		if err != nil {
			t.Error(err)
		}
	}
}

func TestHandshakeRefused(t *testing.T) {
	t.Parallel()
	version := func(p *phone) {
		p.say("DLMessageVersionExchange", uint64(300), uint64(0))
		p.hear("DLMessageVersionExchange")
	}
	hello := func(p *phone) {
		version(p)
		p.say("DLMessagePing", "wait for a migration")
		p.say("DLMessageDeviceReady")
		p.hear(processMessage)
	}
	for name, c := range map[string]struct {
		script func(*phone)
		want   error
	}{
		"gone at once":      {func(*phone) {}, ErrDisconnected},
		"gone after hello":  {hello, ErrDisconnected},
		"disconnect":        {func(p *phone) { version(p); p.say(disconnect, Text) }, ErrDisconnected},
		"another message":   {func(p *phone) { p.say("DLMessageDeviceReady") }, ErrDesync},
		"version is text":   {func(p *phone) { p.say("DLMessageVersionExchange", "300") }, ErrDesync},
		"no version":        {func(p *phone) { p.say("DLMessageVersionExchange") }, ErrDesync},
		"negative version":  {func(p *phone) { p.say("DLMessageVersionExchange", int64(-1)) }, ErrDesync},
		"huge version":      {func(p *phone) { p.say("DLMessageVersionExchange", uint64(math.MaxInt64)) }, ErrDesync},
		"noise":             {func(p *phone) { p.raw([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }, ErrDesync},
		"empty unit":        {func(p *phone) { p.raw(AppendUnit(nil)) }, ErrDesync},
		"no answer's shape": {func(p *phone) { hello(p); p.say(processMessage, "Response") }, ErrDesync},
		"no number": {func(p *phone) {
			hello(p)
			p.say(processMessage, map[string]any{"MessageName": "Response", "ErrorCode": "0"})
		}, ErrDesync},
		"refused": {func(p *phone) { hello(p); p.respond(1) }, &PhoneError{Code: 1}},
	} {
		err := converse(t, Options{}, c.script, func(context.Context, *Session) error { return nil })
		if e, ok := errors.AsType[*PhoneError](err); ok {
			err = e
			if want, ok := errors.AsType[*PhoneError](c.want); !ok || *want != *e {
				t.Errorf("%s: got %v, want %v", name, err, c.want)
			}
		} else if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

// Where Start fails, the connection is closed.
func TestStartCloses(t *testing.T) {
	t.Parallel()
	host, far := net.Pipe()
	go func() { _ = WriteMessage(far, "DLMessageDeviceReady") }()
	if s, err := Start(t.Context(), host, Options{}); err == nil || s != nil {
		t.Errorf("got %v, %v", s, err)
	}
	if _, err := host.Write([]byte{0}); err == nil {
		t.Error("the connection is open")
	}
}

func TestEndsWithoutAnswer(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]func(*phone){
		"gone":       func(*phone) {},
		"disconnect": func(p *phone) { p.say(disconnect, "bye") },
		"in a unit":  func(p *phone) { p.raw([]byte{0, 0, 1, 0, 'b'}) },
		"while it is written to": func(p *phone) {
			p.say("DLMessageDownloadFiles", []any{udid + "/big"})
			_, err := ReadUnit(p.conn, nil, MaxName)
			p.must(err)
		},
	} {
		f := newFolder(t, udid+"/big", strings.Repeat("x", 1<<20))
		err := converse(t, Options{}, func(p *phone) { p.request(); script(p) }, backup(f))
		if !errors.Is(err, ErrDisconnected) || errors.Is(err, ErrDesync) {
			t.Errorf("%s: got %v, want ErrDisconnected", name, err)
		}
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	texts := map[string]int{}
	for code := int64(-2); code < 310; code++ {
		dict := map[string]any{"MessageName": "Response", "ErrorCode": code, "ErrorDescription": "Couldn't read /private/a\x1b\nb"}
		err := answer(arguments{dict})
		if code == 0 {
			if err != nil {
				t.Errorf("got %v for 0", err)
			}
			continue
		}
		e, ok := errors.AsType[*PhoneError](err)
		if !ok || e.Code != int(code) || e.Description != "Couldn't read /private/ab" {
			t.Errorf("got %#v for %d", err, code)
			continue
		}
		if text := e.Error(); strings.Contains(text, "private") {
			t.Errorf("the error tells names: %s", text)
		}
		text, _, _ := strings.Cut(e.Error(), " (")
		texts[text]++
	}
	// Some have the same meaning: 300 to 399, and numbers without a meaning.
	if len(texts) != len(phoneErrors)+1 {
		t.Errorf("got %d sentences for %d meanings", len(texts), len(phoneErrors))
	}
	for code, want := range map[int]bool{208: true, 14: true, 3: true, 105: false, 205: false, 207: false, 211: false, 202: false, 999: false} {
		if got := (&PhoneError{Code: code}).Retryable(); got != want {
			t.Errorf("Retryable of %d is %t", code, got)
		}
	}
	minusSix := map[string]any{"MessageName": "Response", "ErrorCode": uint64(1<<64 - 6)}
	if e, ok := errors.AsType[*PhoneError](answer(arguments{minusSix})); !ok || e.Code != -6 {
		t.Errorf("got %v for minus six without a sign", e)
	}
	long := map[string]any{"MessageName": "Response", "ErrorCode": int64(1), "ErrorDescription": strings.Repeat("\u00e9", 5000)}
	if e, ok := errors.AsType[*PhoneError](answer(arguments{long})); !ok || len(e.Description) != maxDescription {
		t.Errorf("got a description of %d bytes", len(e.Description))
	}
}

func TestShown(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain": "plain", "a\tb\r\nc\x7f": "abc", "\u202egnp.exe": "gnp.exe", "\u061cx\u2028y": "xy", "caf\u00e9": "caf\u00e9", "\xff": "\ufffd", "\u009b31m": "31m",
	} {
		if got := shown(in, 100); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	if got := shown("\u00e9\u00e9", 3); got != "\u00e9" {
		t.Errorf("got %q: a character was cut", got)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	r := roots{target: udid, source: "other"}
	for _, name := range []string{
		udid, udid + "/ab/cd", "other/x", udid + "-20260102-030405/x", "other-20260102-030405", unbackRoot + "/a b/c", udid + "/...", udid + "/a\nb",
	} {
		if rule := r.broken(name); rule != "" {
			t.Errorf("%q: refused for %s", name, rule)
		}
	}
	for _, name := range []string{
		"", "/", "/" + udid, "x/y", udid + "-x", udid + "-20260102-0304055/x", udid + "/..", udid + "/", "_unback_x", strings.ToLower(udid), "../" + udid,
	} {
		if r.broken(name) == "" {
			t.Errorf("%q was taken", name)
		}
	}
	if (roots{target: udid}).broken("-20260102-030405/x") == "" {
		t.Error("an empty source counts as an identifier")
	}
}

// brokenConn is a connection that cannot be closed without a complaint, as TLS
// to a phone that is gone.
type brokenConn struct{ net.Conn }

func (c brokenConn) Close() error { return errors.Join(errDisk, c.Conn.Close()) }

// That the phone is gone already is no failure of a call that it answered.
func TestCloseOfAGonePhone(t *testing.T) {
	t.Parallel()
	host, far := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer far.Close()
		p := &phone{t, far}
		p.request()
		p.respond(0)
	}()
	s, err := Start(t.Context(), brokenConn{host}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(t.Context(), newFolder(t), udid, false); err != nil {
		t.Error(err)
	}
	<-done
	if err := s.Close(); err != nil {
		t.Errorf("got %v", err)
	}
}
