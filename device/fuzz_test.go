package device

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"russet/internal/plist"
)

// recorded is a connection to something that says all that it will ever say.
type recorded struct{ io.Reader }

func (recorded) Write(p []byte) (int, error)      { return len(p), nil }
func (recorded) Close() error                     { return nil }
func (recorded) LocalAddr() net.Addr              { return nil }
func (recorded) RemoteAddr() net.Addr             { return nil }
func (recorded) SetDeadline(time.Time) error      { return nil }
func (recorded) SetReadDeadline(time.Time) error  { return nil }
func (recorded) SetWriteDeadline(time.Time) error { return nil }

func marshal(f *testing.F, v any) []byte {
	data, err := plist.Marshal(v, plist.XML)
	if err != nil {
		f.Fatal(err)
	}
	return data
}

func FuzzMuxAnswers(f *testing.F) {
	wifi := networkDevice(3, testUDID, []byte{0x10, 2, 0, 0, 192, 168, 1, 2})
	f.Add(marshal(f, map[string]any{"DeviceList": []any{usbDevice(7, strings.ReplaceAll(testUDID, "-", "")), wifi}}))
	f.Add(marshal(f, wifi))
	f.Add(marshal(f, map[string]any{"MessageType": "Detached", "DeviceID": 1}))
	f.Fuzz(func(t *testing.T, data []byte) {
		var d dict
		if plist.Unmarshal(data, &d) != nil {
			return
		}
		list, err := parseDevices(d)
		if err != nil && list != nil {
			t.Errorf("a list and an error: %v", err)
		}
		if e, ok := parseEvent(d, map[int]Device{1: {ID: 1, UDID: testUDID, Connection: USB}}); ok && e.Device.UDID != "" {
			list = append(list, e.Device)
		}
		for _, d := range list {
			if d.UDID == "" || canonicalUDID(d.UDID) != d.UDID || strings.ContainsAny(d.UDID, "/\\. \x00") || d.ID < 0 {
				t.Errorf("got device %+v", d)
			}
			if d.Connection != USB && d.Connection != Network || d.Connection == USB && d.Address.IsValid() {
				t.Errorf("got device %+v", d)
			}
		}
	})
}

func FuzzLockdownAnswers(f *testing.F) {
	for _, answers := range [][]any{
		{map[string]any{"Request": "GetValue", "Value": map[string]any{"DeviceName": "a\nb", "TotalDataCapacity": 5}}},
		{map[string]any{"Request": "GetValue", "Error": "MissingValue"}, map[string]any{"Request": "StartSession", "SessionID": "S", "EnableSessionSSL": true}},
		{map[string]any{"Request": "GetValue", "Value": "18.1"}, map[string]any{"Request": "Pair", "EscrowBag": testEscrow}},
		{map[string]any{"Status": "BrowsingApplications", "CurrentList": []any{testApp("a")}}},
	} {
		var b bytes.Buffer
		for _, a := range answers {
			if err := WritePlist(&b, a, plist.XML); err != nil {
				f.Fatal(err)
			}
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		ctx := context.Background()
		l := &Lockdown{conn: recorded{bytes.NewReader(data)}}
		v, err := l.Values(ctx, "")
		if err == nil && v == nil {
			t.Error("neither values nor an error")
		}
		var facts Facts
		facts.describe(v)
		for _, s := range []string{facts.Name, facts.Version, facts.Serial} {
			if len(s) > maxText || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
				t.Errorf("got fact %q", s)
			}
		}
		record := *testPairing().record
		if err := errors.Join(l.StartSession(ctx, &record), l.Pair(ctx, &record), l.Unpair(ctx, &record)); err != nil && len(err.Error()) > 4096 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
		var list appList
		for conn := (recorded{bytes.NewReader(data)}); ; {
			m, err := receive(ctx, conn, 0)
			if err != nil {
				return
			}
			if done, err := list.add(m); done || err != nil {
				return
			}
		}
	})
}

func FuzzAFCAnswers(f *testing.F) {
	info := []byte("st_size\x0012\x00st_ifmt\x00S_IFREG\x00st_mtime\x001700000000000000000\x00")
	for _, answers := range [][]*AFCPacket{
		{{Op: AFCData, Data: []byte(".\x00..\x00a\x00")}, {Op: AFCData, Data: info}, {Op: AFCFileOpened, Params: []byte("12345678")}, {Op: AFCData, Data: []byte("abc")}},
		{status(AFCNotFound), status(0), status(afcEndOfData)},
	} {
		var b bytes.Buffer
		for i, a := range answers {
			a.Number = uint64(i + 1)
			if err := WriteAFC(&b, a); err != nil {
				f.Fatal(err)
			}
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		ctx := context.Background()
		a := &AFC{conn: recorded{bytes.NewReader(data)}}
		names, _ := a.ReadDir(ctx, "/")
		if !slices.IsSorted(names) {
			t.Errorf("names are not sorted: %q", names)
		}
		for _, n := range names {
			if n == "" || n == "." || n == ".." || strings.ContainsAny(n, "/\x00") {
				t.Errorf("got name %q", n)
			}
		}
		if info, err := a.Stat(ctx, "/x"); err == nil && (info.Size() < 0 || info.Name() != "x") {
			t.Errorf("got %+v", info)
		}
		file, err := a.Open(ctx, "/x", AFCRead)
		if err != nil {
			return
		}
		if n, err := file.Read(make([]byte, 4)); n < 0 || n > 4 || n == 0 && err == nil {
			t.Errorf("read %d bytes of 4, %v", n, err)
		}
		file.Seek(0, io.SeekStart)
		fs.ReadDir(a.FS(ctx), ".")
	})
}

func FuzzPairRecord(f *testing.F) {
	whole, err := testPairing().record.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(bytes.Replace(whole, []byte("LS0t"), []byte("LS1t"), 2))
	binary, err := plist.Marshal(testPairing().record, plist.Binary)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(binary)
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParsePairRecord(data)
		if err != nil {
			if len(err.Error()) > 200 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if _, err := tlsConfig(r, "18.1"); err != nil && len(err.Error()) > 200 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
		again, err := r.Marshal()
		if err != nil {
			return // texts that XML does not have
		}
		if r2, err := ParsePairRecord(again); err != nil || !reflect.DeepEqual(r2.HostPrivateKey, r.HostPrivateKey) {
			t.Errorf("a record is written differently: %v", err)
		}
	})
}
