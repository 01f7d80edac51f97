package phone

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"strings"

	"russet/device"
)

// muxRequest is what programs send to a muxer.
type muxRequest struct {
	MessageType    string
	DeviceID       int64
	PortNumber     uint64
	PairRecordID   string
	PairRecordData []byte
}

// client answers one program.
func (m *Muxer) client(ctx context.Context, spawn spawner, conn net.Conn) {
	for {
		var r muxRequest
		tag, err := device.ReadMux(io.LimitReader(conn, 2*maxRecord), &r)
		if err != nil {
			return
		}
		switch r.MessageType {
		case "Connect":
			if m.connect(ctx, spawn, conn, tag, &r) {
				return
			}
		case "Listen":
			if device.WriteMux(conn, tag, muxResult(device.MuxOK)) == nil {
				m.listen(ctx, spawn, conn)
			}
			return
		default:
			if device.WriteMux(conn, tag, m.answer(&r)) != nil {
				return
			}
		}
	}
}

func muxResult(r device.MuxResult) map[string]any {
	return map[string]any{"MessageType": "Result", "Number": int(r)}
}

// answer answers what is neither Connect nor Listen.
func (m *Muxer) answer(r *muxRequest) map[string]any {
	switch r.MessageType {
	case "ListDevices":
		m.mu.Lock()
		defer m.mu.Unlock()
		list := []any{}
		for _, l := range m.lines {
			list = append(list, l.attachedMessage())
		}
		return map[string]any{"DeviceList": list}
	case "ReadBUID":
		return map[string]any{"BUID": m.buid}
	}
	if !validName(r.PairRecordID) || strings.EqualFold(r.PairRecordID+".plist", buidFile) {
		return muxResult(device.MuxBadCommand) // also what we do not know
	}
	return m.record(r)
}

// record reads, keeps or deletes a pair record.
func (m *Muxer) record(r *muxRequest) map[string]any {
	m.mu.Lock()
	defer m.mu.Unlock()
	name := m.file(r.PairRecordID + ".plist")
	var err error
	switch r.MessageType {
	case "ReadPairRecord":
		data, err := readState(m.root, name)
		if err != nil {
			return muxResult(device.MuxBadDevice)
		}
		return map[string]any{"PairRecordData": data}
	case "SavePairRecord":
		if len(r.PairRecordData) == 0 || len(r.PairRecordData) > maxRecord || m.full(r.PairRecordID) {
			return muxResult(device.MuxBadCommand)
		}
		if err = writeState(m.root, name, r.PairRecordData); err == nil {
			m.tellPaired(r.PairRecordID)
		}
	case "DeletePairRecord":
		err = m.root.Remove(name)
	default:
		return muxResult(device.MuxBadCommand)
	}
	if err != nil {
		return muxResult(device.MuxBadDevice)
	}
	return muxResult(device.MuxOK)
}

// full says whether another record would be too many.
func (m *Muxer) full(udid string) bool {
	if _, err := m.root.Stat(m.file(udid + ".plist")); !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	entries, err := fs.ReadDir(m.root.FS(), m.dir)
	return err != nil || len(entries) > maxRecords
}

// connect answers Connect. On success the rest of the connection is spoken with
// the phone, to its end, and connect returns true.
func (m *Muxer) connect(ctx context.Context, spawn spawner, conn net.Conn, tag uint32, r *muxRequest) bool {
	var l *line
	m.mu.Lock()
	for _, have := range m.lines {
		if int64(have.id) == r.DeviceID {
			l = have
		}
	}
	m.mu.Unlock()
	if l == nil {
		return device.WriteMux(conn, tag, muxResult(device.MuxBadDevice)) != nil
	}
	if r.PortNumber > 0xffff {
		return device.WriteMux(conn, tag, muxResult(device.MuxRefused)) != nil
	}
	talk := l.take(ctx, spawn, device.MuxPort(uint16(r.PortNumber)))
	if talk == nil {
		return device.WriteMux(conn, tag, muxResult(device.MuxRefused)) != nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if device.WriteMux(conn, tag, muxResult(device.MuxOK)) != nil {
		cancel() // the talk ends at once, and lets go of what it holds
		conn.Close()
	}
	l.run(ctx, conn, func(ctx context.Context) { talk(ctx, conn) })
	return true
}

// Kinds of events.
const (
	attached = iota
	detached
	newPairing
)

// muxEvent is what programs that listen are told.
type muxEvent struct {
	kind int
	line *line
}

// watcher is somebody who is told of events.
type watcher struct{ events chan muxEvent }

// watch begins with an event for every phone that is attached.
func (m *Muxer) watch() *watcher {
	m.mu.Lock()
	defer m.mu.Unlock()
	const backlog = 256 // whoever falls farther behind is dropped
	w := &watcher{make(chan muxEvent, backlog+len(m.lines))}
	for _, l := range m.lines {
		w.events <- muxEvent{attached, l}
	}
	m.watchers[w] = struct{}{}
	return w
}

func (m *Muxer) unwatch(w *watcher) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.watchers, w)
}

// tell tells the watchers. The caller holds m.mu.
func (m *Muxer) tell(e muxEvent) {
	for w := range m.watchers {
		select {
		case w.events <- e:
		default:
			delete(m.watchers, w)
			close(w.events)
		}
	}
}

// tellPaired tells that a pair record was kept. The caller holds m.mu.
func (m *Muxer) tellPaired(udid string) {
	for _, l := range m.lines {
		if l.p.UDID() == udid {
			m.tell(muxEvent{newPairing, l})
		}
	}
}

// listen tells a program of events until it hangs up.
func (m *Muxer) listen(ctx context.Context, spawn spawner, conn net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := m.watch()
	defer m.unwatch(w)
	spawn(func(context.Context) {
		_, _ = io.Copy(io.Discard, conn) // until it hangs up
		cancel()
	})
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-w.events:
			if !ok || device.WriteMux(conn, 0, e.message()) != nil {
				return
			}
		}
	}
}

func (e muxEvent) message() map[string]any {
	switch e.kind {
	case attached:
		return e.line.attachedMessage()
	case detached:
		return map[string]any{"MessageType": "Detached", "DeviceID": e.line.id}
	}
	return map[string]any{"MessageType": "Paired", "DeviceID": e.line.id}
}

// attachedMessage is the phone in a list, or as it is attached.
func (l *line) attachedMessage() map[string]any {
	properties := map[string]any{"DeviceID": l.id, "SerialNumber": l.p.UDID()}
	if l.network {
		mac := l.p.text("WiFiAddress")
		properties["ConnectionType"] = "Network"
		properties["EscapedFullServiceName"] = mac + "@fe80::" + strings.ReplaceAll(mac, ":", "") + "._apple-mobdev2._tcp.local."
		properties["InterfaceIndex"] = 1
		properties["NetworkAddress"] = sockaddr(l.p.opts.Network, l.p.opts.NativeAddress)
	} else {
		const iPhone = 0x12a8
		properties["ConnectionType"] = "USB"
		properties["ConnectionSpeed"] = 480_000_000
		properties["LocationID"] = l.id << 16
		properties["ProductID"] = iPhone
	}
	return map[string]any{"MessageType": "Attached", "DeviceID": l.id, "Properties": properties}
}

// sockaddr is an address in the layout of BSD, which begins with a length, or
// in that of Linux.
func sockaddr(a netip.Addr, native bool) []byte {
	b := make([]byte, 128) // a sockaddr_storage
	const inet, inet6BSD, inet6Linux = 2, 30, 10
	switch {
	case native && a.Is4():
		binary.LittleEndian.PutUint16(b, inet)
	case native:
		binary.LittleEndian.PutUint16(b, inet6Linux)
	case a.Is4():
		b[0], b[1] = 16, inet
	default:
		b[0], b[1] = 28, inet6BSD
	}
	if a.Is4() {
		copy(b[4:], a.AsSlice())
	} else {
		copy(b[8:], a.AsSlice()) // after the port and the flow
	}
	return b
}
