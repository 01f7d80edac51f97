package device

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestMuxAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, system, network, address string }{
		{"", "linux", "unix", "/var/run/usbmuxd"},
		{"", "darwin", "unix", "/var/run/usbmuxd"},
		{"", "windows", "tcp", "127.0.0.1:27015"},
		{"UNIX:/p", "linux", "unix", "/p"},
		{"UNIX:///p/q", "linux", "unix", "/p/q"},
		{"unix:///p", "linux", "unix", "/p"},
		{"/p", "linux", "unix", "/p"},
		{"127.0.0.1:27015", "linux", "tcp", "127.0.0.1:27015"},
		{"[::1]:27015", "linux", "tcp", "[::1]:27015"},
		{"host.example:9", "windows", "tcp", "host.example:9"},
	} {
		if network, address, err := muxAddress(c.in, c.system); network != c.network || address != c.address || err != nil {
			t.Errorf("%q: got %s %s, %v, want %s %s", c.in, network, address, err, c.network, c.address)
		}
	}
	for _, bad := range []string{"UNIX:", "unix:///", "/", "host", "host:", ":x", "host:0", "host:65536", "::1:27015"} {
		if m, err := OpenMux(bad); err == nil {
			t.Errorf("%q: got %+v, want an error", bad, m)
		}
	}
}

func TestMuxNotThere(t *testing.T) {
	t.Parallel()
	m, err := OpenMux(filepath.Join(t.TempDir(), "socket"))
	if runtime.GOOS == "windows" {
		t.Skip("not here: paths are no addresses of sockets")
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Devices(t.Context()); !errors.Is(err, ErrNoMux) {
		t.Errorf("got %v, want ErrNoMux", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Devices(ctx); errors.Is(err, ErrNoMux) || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v, want context.Canceled alone", err)
	}
}

// A muxer over a real socket, once.
func TestMuxOverTCP(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f := newFake(t)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go f.serve(c)
		}
	}()
	m, err := OpenMux(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	got, err := m.Devices(t.Context())
	if want := []Device{{ID: 7, UDID: testUDID, Connection: USB}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if id, err := m.BUID(t.Context()); id != testBUID || err != nil {
		t.Errorf("got %q, %v, want %q", id, err, testBUID)
	}
}

func networkDevice(id int, udid string, address []byte) map[string]any {
	d := usbDevice(id, udid)
	p := d["Properties"].(map[string]any)
	p["ConnectionType"], p["NetworkAddress"], p["InterfaceIndex"] = "Network", address, 3
	return d
}

func TestDevices(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	other, old := "00008101-000A0B0C0D0E0F00", strings.Repeat("ab", 20)
	bsd6 := append([]byte{0x1c, 30, 0xf2, 0x7e, 0, 0, 0, 0}, netip.MustParseAddr("fe80::1").AsSlice()...)
	f.devices = []any{
		networkDevice(3, testUDID, []byte{0x10, 2, 0, 0, 192, 168, 1, 2}),
		usbDevice(4, strings.ReplaceAll(testUDID, "-", "")), // as its USB descriptor has it
		networkDevice(5, other, bsd6),
		usbDevice(6, old),
		usbDevice(8, "../../etc"), usbDevice(-9, old), "no device",
		map[string]any{"DeviceID": 1},
		map[string]any{"DeviceID": 10, "Properties": map[string]any{"SerialNumber": old}},
	}
	usb := Device{ID: 4, UDID: testUDID, Connection: USB}
	wifi := Device{ID: 3, UDID: testUDID, Connection: Network, Address: netip.MustParseAddr("192.168.1.2")}
	far := Device{ID: 5, UDID: other, Connection: Network, Address: netip.MustParseAddr("fe80::1%3")}
	last := Device{ID: 6, UDID: old, Connection: USB}
	got, err := f.mux().Connections(t.Context())
	if want := []Device{usb, wifi, far, last}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("connections: got %+v, %v, want %+v", got, err, want)
	}
	got, err = f.mux().Devices(t.Context())
	if want := []Device{usb, far, last}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("devices: got %+v, %v, want %+v", got, err, want)
	}
	if d, err := f.mux().Find(t.Context(), strings.ToLower(testUDID)); err != nil || d != usb {
		t.Errorf("find: got %+v, %v, want %+v", d, err, usb)
	}
	if _, err := f.mux().Find(t.Context(), "00008101-0"); !errors.Is(err, ErrNoDevice) {
		t.Errorf("find: got %v, want ErrNoDevice", err)
	}
	f.refuse["ListDevices"] = 1
	if _, err := f.mux().Devices(t.Context()); !errors.Is(err, MuxBadCommand) {
		t.Errorf("refused: got %v, want %v", err, MuxBadCommand)
	}
}

func TestSockaddr(t *testing.T) {
	t.Parallel()
	six := netip.MustParseAddr("2001:db8::7").AsSlice()
	local := append([]byte{10, 0, 0, 0, 0, 0, 0, 0}, netip.MustParseAddr("fe80::2").AsSlice()...)
	for name, c := range map[string]struct {
		in    []byte
		index int64
		want  string
	}{
		"Darwin IPv4":   {[]byte{16, 2, 0xf2, 0x7e, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}, 0, "10.0.0.1"},
		"Linux IPv4":    {[]byte{2, 0, 0xf2, 0x7e, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}, 4, "10.0.0.1"},
		"Darwin IPv6":   {append([]byte{28, 30, 0, 0, 0, 0, 0, 0}, six...), 4, "2001:db8::7"},
		"Linux IPv6":    {append([]byte{10, 0, 0, 0, 0, 0, 0, 0}, six...), 0, "2001:db8::7"},
		"Windows IPv6":  {append([]byte{23, 0, 0, 0, 0, 0, 0, 0}, six...), 0, "2001:db8::7"},
		"link-local":    {append(slices.Clone(local), 9, 0, 0, 0), 0, "fe80::2%9"},
		"interface":     {local, 5, "fe80::2%5"},
		"no interface":  {local, 0, "fe80::2"},
		"short IPv6":    {local[:20], 5, "invalid IP"},
		"short":         {[]byte{2, 0, 0}, 5, "invalid IP"},
		"other family":  {[]byte{16, 1, 0, 0, 0, 0, 0, 0}, 0, "invalid IP"},
		"nothing at al": {nil, 0, "invalid IP"},
	} {
		if got := parseSockaddr(c.in, c.index).String(); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

func TestDial(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	m := f.mux()
	c, err := m.Dial(t.Context(), Device{ID: 7, Connection: USB}, LockdownPort)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	// A muxer that leaves the network to its clients.
	f.refuse["Connect"] = 2
	direct := ""
	m.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if network == "tcp" {
			direct = address
			c, _ := net.Pipe()
			return c, nil
		}
		return f.dial(ctx, network, address)
	}
	far := Device{ID: 8, Connection: Network, Address: netip.MustParseAddr("fe80::1%3")}
	if c, err := m.Dial(t.Context(), far, LockdownPort); err != nil || c == nil || direct != "[fe80::1%3]:62078" {
		t.Errorf("got %v, dialed %q, want [fe80::1%%3]:62078", err, direct)
	}
	direct = ""
	if _, err := m.Dial(t.Context(), Device{ID: 7, Connection: USB}, 1); !errors.Is(err, MuxBadDevice) || direct != "" {
		t.Errorf("got %v, dialed %q, want %v and nothing dialed", err, direct, MuxBadDevice)
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	for _, e := range []any{
		usbDevice(7, testUDID),
		map[string]any{"MessageType": "Nonsense"},
		usbDevice(8, "bad/name"),
		map[string]any{"MessageType": "Paired", "DeviceID": 7},
		map[string]any{"MessageType": "Detached", "DeviceID": 7},
		map[string]any{"MessageType": "Detached", "DeviceID": 99},
		map[string]any{"MessageType": "Paired", "DeviceID": 7},
	} {
		f.events <- e
	}
	close(f.events)
	d := Device{ID: 7, UDID: testUDID, Connection: USB}
	want := []Event{{Attached, d}, {Paired, d}, {Detached, d}, {Detached, Device{ID: 99}}, {Paired, Device{ID: 7}}}
	var got []Event
	var last error
	for e, err := range f.mux().Watch(t.Context()) {
		if err != nil {
			last = err
			continue
		}
		got = append(got, e)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if last == nil {
		t.Error("the muxer hung up, and nobody was told")
	}
}

func TestWatchEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Hour, cancel)
		start := time.Now()
		for e, err := range f.mux().Watch(ctx) {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %+v, %v, want context.Canceled", e, err)
			}
		}
		if got := time.Since(start); got != time.Hour {
			t.Errorf("it took %v, want an hour", got)
		}
		close(f.events)
	})
}

func TestMuxTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.hang = make(chan struct{})
		defer close(f.hang)
		start := time.Now()
		if _, err := f.mux().Devices(t.Context()); err == nil || time.Since(start) != muxTimeout {
			t.Errorf("got %v after %v, want an error after %v", err, time.Since(start), muxTimeout)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start = time.Now()
		if _, err := f.mux().Devices(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("got %v after %v, want the context's deadline after a minute", err, time.Since(start))
		}
	})
}

func TestMuxResultsHaveSentences(t *testing.T) {
	t.Parallel()
	for r, want := range map[MuxResult]string{
		MuxBadCommand: "the muxer does not know the request", MuxBadDevice: "the muxer has no such device or pair record",
		MuxRefused: "the phone refuses the connection", MuxBadVersion: "the muxer speaks another version of its protocol", 77: "the muxer answered 77",
	} {
		if got := r.Error(); got != want {
			t.Errorf("%d: got %q, want %q", int(r), got, want)
		}
	}
}

func TestMuxAnswersAnotherRequest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tag    uint32
		answer any
	}{
		"other tag": {9, map[string]any{"BUID": "x"}}, "no number": {1, map[string]any{"MessageType": "Result"}},
		"no name": {1, map[string]any{}}, "list": {1, []any{"x"}},
	} {
		m := &Mux{dial: func(context.Context, string, string) (net.Conn, error) {
			a, b := net.Pipe()
			go func() {
				var q dict
				if _, err := ReadMux(b, &q); err == nil {
					WriteMux(b, c.tag, c.answer)
				}
			}()
			return a, nil
		}}
		if id, err := m.BUID(t.Context()); err == nil {
			t.Errorf("%s: got %q, want an error", name, id)
		}
	}
}
