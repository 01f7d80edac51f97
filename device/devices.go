package device

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Connection is the way on which a muxer reaches a phone.
type Connection string

// The ways there are.
const (
	USB     Connection = "USB"
	Network Connection = "Network"
)

// Device is a phone as a muxer lists it.
type Device struct {
	ID         int // the muxer's number, good until the phone is detached
	UDID       string
	Connection Connection
	Address    netip.Addr // of a Network device, when the muxer tells it
}

// maxDevices bounds a muxer's list.
const maxDevices = 1024

// Connections lists every way to every phone: one that has a cable and Wi-Fi
// stands in it twice. It is sorted by UDID, USB first.
func (m *Mux) Connections(ctx context.Context) ([]Device, error) {
	answer, err := m.ask(ctx, muxRequest{MessageType: "ListDevices"})
	if err != nil {
		return nil, fmt.Errorf("list phones: %w", err)
	}
	list, err := parseDevices(answer)
	if err != nil {
		return nil, fmt.Errorf("list phones: %w", err)
	}
	return list, nil
}

// Devices lists the phones, each once, by cable where there is one. It is
// sorted by UDID.
func (m *Mux) Devices(ctx context.Context) ([]Device, error) {
	list, err := m.Connections(ctx)
	return slices.CompactFunc(list, func(a, b Device) bool { return a.UDID == b.UDID }), err
}

// Find returns a connected phone, by cable where there is one, or an error
// that wraps [ErrNoDevice]. Case and dashes of the UDID do not matter.
func (m *Mux) Find(ctx context.Context, udid string) (Device, error) {
	list, err := m.Devices(ctx)
	if err != nil {
		return Device{}, err
	}
	for _, d := range list {
		if sameUDID(d.UDID, udid) {
			return d, nil
		}
	}
	return Device{}, ErrNoDevice
}

func parseDevices(answer dict) ([]Device, error) {
	entries, ok := answer["DeviceList"].([]any)
	if !ok {
		return nil, errors.New("usbmuxd answers without a list")
	}
	if len(entries) > maxDevices {
		return nil, fmt.Errorf("usbmuxd lists %d devices", len(entries))
	}
	var list []Device
	for _, e := range entries {
		entry, _ := e.(map[string]any)
		if d, ok := parseDevice(entry); ok {
			list = append(list, d)
		}
	}
	slices.SortStableFunc(list, func(a, b Device) int {
		return cmp.Or(strings.Compare(a.UDID, b.UDID), -strings.Compare(string(a.Connection), string(b.Connection)))
	})
	return list, nil
}

// parseDevice reads what an Attached message says. An entry that names no phone
// is none, and spoils no list.
func parseDevice(entry dict) (d Device, ok bool) {
	p := entry.dict("Properties")
	id, ok := deviceID(entry)
	if !ok {
		return d, false
	}
	d = Device{ID: id, UDID: canonicalUDID(p.text("SerialNumber")), Connection: Connection(p.text("ConnectionType"))}
	if d.UDID == "" || d.Connection != USB && d.Connection != Network {
		return d, false
	}
	if d.Connection == Network {
		index, _ := p.number("InterfaceIndex")
		d.Address = parseSockaddr(p.data("NetworkAddress"), index)
	}
	return d, true
}

func deviceID(entry dict) (int, bool) {
	id, ok := entry.number("DeviceID")
	if !ok {
		id, ok = entry.dict("Properties").number("DeviceID")
	}
	return int(id), ok && id >= 0 && id <= math.MaxInt32
}

// canonicalUDID is a UDID as lockdownd gives it, or "" where s is none. The
// USB descriptor of phones since 2018 has no dash.
func canonicalUDID(s string) string {
	if len(s) == 0 || len(s) > 64 || strings.HasPrefix(s, "-") {
		return ""
	}
	for _, c := range []byte(s) {
		if c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return ""
		}
	}
	if len(s) == 24 && !strings.Contains(s, "-") {
		return s[:8] + "-" + s[8:]
	}
	return s
}

func sameUDID(a, b string) bool {
	return strings.EqualFold(strings.ReplaceAll(a, "-", ""), strings.ReplaceAll(b, "-", ""))
}

// parseSockaddr reads a NetworkAddress, which is a socket address of the system
// that the muxer was made for: with a length and a family of one byte each
// (Darwin), or a family of two, little endian (Linux, Windows). The port in it
// means nothing. A link-local address needs the interface, too.
func parseSockaddr(b []byte, index int64) netip.Addr {
	if len(b) < 8 {
		return netip.Addr{}
	}
	family := b[1]
	if family == 0 {
		family = b[0]
	}
	switch family {
	case 2:
		return netip.AddrFrom4([4]byte(b[4:8]))
	case 10, 23, 30: // IPv6 of Linux, Windows, Darwin
		if len(b) < 24 {
			return netip.Addr{}
		}
		a := netip.AddrFrom16([16]byte(b[8:24])).Unmap()
		if len(b) >= 28 && index == 0 {
			index = int64(binary.LittleEndian.Uint32(b[24:]))
		}
		if a.IsLinkLocalUnicast() && a.Is6() && index > 0 {
			a = a.WithZone(strconv.FormatInt(index, 10))
		}
		return a
	}
	return netip.Addr{}
}

// Dial connects to a TCP port of a phone. ctx bounds the dialing only; the
// connection is the caller's. Some muxers do not connect to phones on the
// network, and leave that to their clients.
func (m *Mux) Dial(ctx context.Context, d Device, port uint16) (net.Conn, error) {
	conn, err := m.dialMux(ctx, d, port)
	if refusal, refused := errors.AsType[MuxResult](err); refused && d.Address.IsValid() {
		limited, cancel := context.WithTimeout(ctx, muxTimeout)
		defer cancel()
		if conn, err = m.dial(limited, "tcp", netip.AddrPortFrom(d.Address, port).String()); err != nil {
			err = cmp.Or(context.Cause(ctx), fmt.Errorf("%w, and directly: %w", refusal, err))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("connect to port %d of the phone: %w", port, err)
	}
	return conn, nil
}

func (m *Mux) dialMux(ctx context.Context, d Device, port uint16) (net.Conn, error) {
	conn, err := m.connect(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := (muxRequest{MessageType: "Connect", DeviceID: d.ID, PortNumber: int(MuxPort(port))}).exchange(ctx, conn); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// EventKind says what happened to a phone.
type EventKind string

// What a muxer tells.
const (
	Attached EventKind = "Attached"
	Detached EventKind = "Detached"
	Paired   EventKind = "Paired"
)

// Event is something that happened to a phone. Of one that was attached before
// the muxer told of it, Device holds the ID alone.
type Event struct {
	Kind   EventKind
	Device Device
}

// Watch yields an event for each phone that is there, and then what happens,
// until ctx ends or the muxer does; then the error.
func (m *Mux) Watch(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		err := m.watch(ctx, func() (bool, error) { return true, nil }, func(e Event) bool { return yield(e, nil) })
		if err != nil {
			yield(Event{}, fmt.Errorf("watch for phones: %w", err))
		}
	}
}

// watch calls begun once the muxer tells what happens, and goes on if that says
// so; then it yields.
func (m *Mux) watch(ctx context.Context, begun func() (bool, error), yield func(Event) bool) error {
	conn, err := m.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := (muxRequest{MessageType: "Listen"}).exchange(ctx, conn); err != nil {
		return err
	}
	if more, err := begun(); err != nil || !more {
		return err
	}
	known := map[int]Device{}
	for {
		var message dict
		err := within(ctx, conn, conn.SetReadDeadline, 0, func() error {
			_, err := ReadMux(conn, &message)
			return unexpected(err)
		})
		if err != nil {
			return err
		}
		if e, ok := parseEvent(message, known); ok && !yield(e) {
			return nil
		}
	}
}

// parseEvent reads an event; known are the devices that were told before.
func parseEvent(message dict, known map[int]Device) (Event, bool) {
	kind := EventKind(message.text("MessageType"))
	id, ok := deviceID(message)
	if !ok {
		return Event{}, false
	}
	switch kind {
	case Attached:
		d, ok := parseDevice(message)
		if ok && len(known) < maxDevices {
			known[id] = d
		}
		return Event{kind, d}, ok
	case Detached, Paired:
		d, ok := known[id]
		if !ok {
			d = Device{ID: id}
		}
		if kind == Detached {
			delete(known, id)
		}
		return Event{kind, d}, true
	}
	return Event{}, false
}
