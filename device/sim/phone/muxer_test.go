package phone

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"sync/atomic"
	"testing"

	"russet/device"
	"russet/internal/plist"
)

func pemOf(b []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b})
}

// next reads an event.
func next(t *testing.T, conn net.Conn) map[string]any {
	t.Helper()
	var e map[string]any
	if tag, err := device.ReadMux(conn, &e); err != nil || tag != 0 {
		t.Fatalf("event: tag %d, %v", tag, err)
	}
	return e
}

func TestMuxer(t *testing.T) {
	t.Parallel()
	m, err := NewMuxer(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil || len(m.watchers) != 0 {
			t.Errorf("got %v, and %d listen on", err, len(m.watchers))
		}
	})
	one, _ := newPhone(t, t.TempDir(), Options{UDID: "00008020-000D4C3A0E83002E"})
	two, _ := newPhone(t, t.TempDir(), Options{UDID: "00008110-00065D1E3A92801E"})
	if err := m.Add(one); err != nil {
		t.Fatal(err)
	}
	h := newHost(t, background(t, m.Serve), two)
	ear := h.muxer(t)
	if a := ask(t, ear, map[string]any{"MessageType": "Listen", "ConnType": 1}); a["Number"] != uint64(0) {
		t.Fatalf("Listen: %v", a)
	}
	if e := next(t, ear); e["MessageType"] != "Attached" || e["DeviceID"] != uint64(1) {
		t.Errorf("got %v", e)
	}
	if err := m.Add(two); err != nil {
		t.Fatal(err)
	}
	e := next(t, ear)
	properties, _ := e["Properties"].(map[string]any)
	if e["MessageType"] != "Attached" || e["DeviceID"] != uint64(2) || properties["SerialNumber"] != two.UDID() || properties["ConnectionType"] != "USB" {
		t.Errorf("got %v", e)
	}
	conn := h.muxer(t)
	if list := ask(t, conn, map[string]any{"MessageType": "ListDevices"})["DeviceList"].([]any); len(list) != 2 {
		t.Errorf("got %v, want two phones", list)
	}
	l := h.session(t, 2)
	m.Remove(two)
	if e := next(t, ear); e["MessageType"] != "Detached" || e["DeviceID"] != uint64(2) {
		t.Errorf("got %v", e)
	}
	if _, err := l.conn.Read(make([]byte, 1)); err == nil {
		t.Error("a connection outlived its phone")
	}
	for id, want := range map[int]device.MuxResult{2: device.MuxBadDevice, 1: device.MuxRefused} {
		if a := ask(t, conn, map[string]any{"MessageType": "Connect", "DeviceID": id, "PortNumber": 70000}); a["Number"] != uint64(want) {
			t.Errorf("device %d: got %v, want %d", id, a, want)
		}
	}
}

func TestPairRecords(t *testing.T) {
	t.Parallel()
	p, h, _ := newRig(t, Options{})
	conn, ear := h.muxer(t), h.muxer(t)
	ask(t, ear, map[string]any{"MessageType": "Listen"})
	next(t, ear)
	number := func(want device.MuxResult, kind, udid string, data []byte) {
		t.Helper()
		r := map[string]any{"MessageType": kind, "PairRecordID": udid}
		if data != nil {
			r["PairRecordData"] = data
		}
		if a := ask(t, conn, r); a["Number"] != uint64(want) {
			t.Errorf("%s of %d bytes for %q: got %v, want %d", kind, len(data), udid, a, want)
		}
	}
	data := []byte("a pair record")
	number(device.MuxBadDevice, "ReadPairRecord", p.UDID(), nil)
	number(device.MuxOK, "SavePairRecord", p.UDID(), data)
	if e := next(t, ear); e["MessageType"] != "Paired" || e["DeviceID"] != uint64(1) {
		t.Errorf("got %v", e)
	}
	if a := ask(t, conn, map[string]any{"MessageType": "ReadPairRecord", "PairRecordID": p.UDID()}); !bytes.Equal(a["PairRecordData"].([]byte), data) {
		t.Errorf("got %v", a)
	}
	if runtime.GOOS != "windows" {
		if info, err := p.root.Stat(muxerDir + "/" + p.UDID() + ".plist"); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("got %v, %v, want a private file", info, err)
		}
	}
	number(device.MuxBadCommand, "SavePairRecord", "../values", data)
	for _, kind := range []string{"ReadPairRecord", "SavePairRecord", "DeletePairRecord"} {
		number(device.MuxBadCommand, kind, "systemConfiguration", data)
	}
	number(device.MuxBadCommand, "SavePairRecord", p.UDID(), make([]byte, maxRecord+1))
	number(device.MuxBadCommand, "SavePairRecord", p.UDID(), nil)
	number(device.MuxOK, "DeletePairRecord", p.UDID(), nil)
	number(device.MuxBadDevice, "DeletePairRecord", p.UDID(), nil)
	number(device.MuxBadCommand, "Explode", p.UDID(), nil)
	number(device.MuxBadCommand, "Explode", "", nil)
	if a := ask(t, conn, map[string]any{"MessageType": "ReadBUID"}); len(a["BUID"].(string)) != 36 {
		t.Errorf("got %v", a)
	}
}

// A listener that fails ends Serve, and so do all others.
func TestServeFails(t *testing.T) {
	t.Parallel()
	p, _ := newPhone(t, t.TempDir(), Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the listener broke")
	one, two := &closing{Listener: l}, &failing{Listener: l, err: broken}
	if err := p.Serve(t.Context(), one, two); !errors.Is(err, broken) || !two.closed {
		t.Errorf("got %v, closed %v, want %v", err, two.closed, broken)
	}
	if !one.closed.Load() {
		t.Error("the other listener was left open")
	}
}

// closing is a listener that knows whether it was closed. Its port does not
// tell: another test may have it by then.
type closing struct {
	net.Listener
	closed atomic.Bool
}

func (c *closing) Close() error {
	c.closed.Store(true)
	return c.Listener.Close()
}

// failing is a listener that accepts nothing.
type failing struct {
	net.Listener
	err    error
	closed bool
}

func (l *failing) Accept() (net.Conn, error) { return nil, l.err }

func (l *failing) Close() error {
	l.closed = true
	return nil
}

func TestNetworkAddress(t *testing.T) {
	t.Parallel()
	four, six := netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("fe80::1")
	for _, c := range []struct {
		addr   netip.Addr
		native bool
		want   []byte
	}{
		{four, false, []byte{16, 2, 0, 0, 127, 0, 0, 2}},
		{four, true, []byte{2, 0, 0, 0, 127, 0, 0, 2}},
		{six, false, append([]byte{28, 30, 0, 0, 0, 0, 0, 0}, six.AsSlice()...)},
		{six, true, append([]byte{10, 0, 0, 0, 0, 0, 0, 0}, six.AsSlice()...)},
	} {
		if got := sockaddr(c.addr, c.native); !bytes.HasPrefix(got, c.want) || len(got) != 128 {
			t.Errorf("%v, native %v: got %x, want %x", c.addr, c.native, got, c.want)
		}
	}
}

// By network a phone listens itself, at every port, and does not pair.
func TestNetwork(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("not here: one loopback address only")
	}
	addr := loopback(2)
	_, h, _ := newRig(t, Options{Network: addr})
	conn := h.muxer(t)
	list := ask(t, conn, map[string]any{"MessageType": "ListDevices"})["DeviceList"].([]any)
	if len(list) != 2 {
		t.Fatalf("got %v, want the phone twice", list)
	}
	if got := list[1].(map[string]any)["Properties"].(map[string]any); got["ConnectionType"] != "Network" || len(got["NetworkAddress"].([]byte)) != 128 {
		t.Errorf("got %v", got)
	}
	far := h.lockdown(t, 2) // through the muxer
	far.refused(t, device.PairingOverUSBOnly, "Pair", "PairRecord", h.record)
	h.session(t, 1)
	if _, err := far.start(t, h.own); err != nil {
		t.Fatal(err)
	}
	a := far.do(t, "StartService", "Service", notifications)
	far.raw.Close() // the service waits on
	raw, err := net.Dial("tcp", netip.AddrPortFrom(addr, uint16(a["Port"].(uint64))).String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	service, err := client(raw, h.own)
	if err != nil {
		t.Fatal(err)
	}
	if a := exchange(t, service, map[string]any{"Command": "Shutdown"}); a["Command"] != "ProxyDeath" {
		t.Errorf("got %v", a)
	}
	if other, _ := newPhone(t, t.TempDir(), Options{Network: addr}); other.Serve(t.Context()) == nil {
		t.Error("two phones have one address")
	}
}

func TestNotifications(t *testing.T) {
	t.Parallel()
	p, h, j := newRig(t, Options{})
	l := h.session(t, 1)
	one, two := l.service(t, notifications), l.service(t, openNotifications)
	send := func(conn net.Conn, command, name string) {
		t.Helper()
		if err := device.WritePlist(conn, map[string]any{"Command": command, "Name": name}, plist.XML); err != nil {
			t.Fatal(err)
		}
	}
	heard := func(conn net.Conn, want string) {
		t.Helper()
		var a struct{ Command, Name string }
		if err := device.ReadPlist(conn, &a); err != nil || a.Command != "RelayNotification" || a.Name != want {
			t.Errorf("got %+v, %v, want %s", a, err, want)
		}
	}
	send(one, "ObserveNotification", "a")
	send(one, "ObserveNotification", backupDomain+".domain_changed")
	send(one, "Explode", "")
	send(one, "ObserveNotification", "")
	send(one, "PostNotification", "a") // comes back: what went before it has been done
	heard(one, "a")
	send(two, "PostNotification", "b")
	send(two, "PostNotification", "a")
	heard(one, "a")
	if err := p.SetWillEncrypt(true); err != nil {
		t.Fatal(err)
	}
	heard(one, backupDomain+".domain_changed")
	if got := j.violations(); len(got) != 2 {
		t.Errorf("got %q, want the unknown command and the empty name", got)
	}
	send(two, "Shutdown", "")
	var a map[string]any
	if err := device.ReadPlist(two, &a); err != nil || a["Command"] != "ProxyDeath" {
		t.Errorf("got %v, %v", a, err)
	}
	if err := device.ReadPlist(two, &a); err != io.EOF {
		t.Errorf("got %v after the end", err)
	}
}

// pipe gives a parser what a fuzzer made, and reads what it answers.
func pipe(t *testing.T, data []byte, f func(context.Context, net.Conn)) {
	near, far := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(t.Context(), far)
		far.Close()
	}()
	go func() { _, _ = io.Copy(io.Discard, near) }()
	_, _ = near.Write(data)
	near.Close()
	<-done
}

func FuzzMuxRequest(f *testing.F) {
	dir := f.TempDir()
	m, err := NewMuxer(dir)
	if err != nil {
		f.Fatal(err)
	}
	defer m.Close()
	for _, r := range []map[string]any{
		{"MessageType": "ListDevices"},
		{"MessageType": "Connect", "DeviceID": 1, "PortNumber": 32498},
		{"MessageType": "SavePairRecord", "PairRecordID": "../x", "PairRecordData": []byte("x")},
		{"MessageType": "ReadPairRecord", "PairRecordID": "x"},
	} {
		var b bytes.Buffer
		if err := device.WriteMux(&b, 1, r); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Add(binary.LittleEndian.AppendUint32(nil, 1<<31))
	f.Fuzz(func(t *testing.T, data []byte) {
		spawn := func(f func(context.Context)) { go f(t.Context()) }
		pipe(t, data, func(ctx context.Context, conn net.Conn) { m.client(ctx, spawn, conn) })
	})
}
