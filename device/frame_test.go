package device

import (
	"bytes"
	"encoding/binary"
	"io"
	"reflect"
	"testing"

	"russet/internal/plist"
)

func TestPlistRoundTrip(t *testing.T) {
	t.Parallel()
	want := map[string]any{"Request": "GetValue", "Key": "DeviceName"}
	for _, f := range []plist.Format{plist.XML, plist.Binary} {
		var b bytes.Buffer
		if err := WritePlist(&b, want, f); err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := ReadPlist(&b, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("form %d: got %v, %v, want %v", f, got, err, want)
		}
		if err := ReadPlist(&b, &got); err != io.EOF {
			t.Errorf("form %d: at the end got %v, want io.EOF", f, err)
		}
	}
}

func TestMuxRoundTrip(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	want := map[string]any{"MessageType": "ListDevices"}
	if err := WriteMux(&b, 7, want); err != nil {
		t.Fatal(err)
	}
	if got := b.Bytes()[16:21]; string(got) != "<?xml" {
		t.Errorf("the message begins with %q, want XML: libusbmuxd reads nothing else", got)
	}
	var got map[string]any
	if tag, err := ReadMux(&b, &got); err != nil || tag != 7 || !reflect.DeepEqual(got, want) {
		t.Errorf("got tag %d, %v, %v, want 7, %v", tag, got, err, want)
	}
	if got := MuxPort(LockdownPort); got != 32498 {
		t.Errorf("got PortNumber %d for lockdownd, want 32498", got)
	}
}

func TestAFCRoundTrip(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	want := &AFCPacket{Number: 9, Op: AFCFileWrite, Params: []byte("12345678"), Data: []byte("content")}
	if err := WriteAFC(&b, want); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadAFC(&b); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// A length that nothing follows must be an error that costs no memory.
func TestLengthsAreBounded(t *testing.T) {
	t.Parallel()
	le, be := binary.LittleEndian, binary.BigEndian
	afc := func(whole, fixed uint64) []byte {
		b := append([]byte(afcMagic), make([]byte, 32)...)
		le.PutUint64(b[8:], whole)
		le.PutUint64(b[16:], fixed)
		return b
	}
	mux := func(length, version, kind uint32) []byte {
		b := le.AppendUint32(nil, length)
		return le.AppendUint32(le.AppendUint32(le.AppendUint32(b, version), kind), 1)
	}
	var v any
	for name, err := range map[string]error{
		"frame too long":      ReadPlist(bytes.NewReader(be.AppendUint32(nil, MaxFrame+1)), &v),
		"frame cut":           ReadPlist(bytes.NewReader(be.AppendUint32(nil, MaxFrame)), &v),
		"frame cut in head":   ReadPlist(bytes.NewReader([]byte{0, 0}), &v),
		"frame is no list":    ReadPlist(bytes.NewReader(append(be.AppendUint32(nil, 3), "abc"...)), &v),
		"mux too long":        second(ReadMux(bytes.NewReader(mux(maxMux+1, 1, 8)), &v)),
		"mux too short":       second(ReadMux(bytes.NewReader(mux(15, 1, 8)), &v)),
		"mux binary":          second(ReadMux(bytes.NewReader(mux(16, 0, 3)), &v)),
		"mux cut":             second(ReadMux(bytes.NewReader(mux(maxMux, 1, 8)), &v)),
		"packet too long":     second(ReadAFC(bytes.NewReader(afc(MaxAFC+1, 40)))),
		"packet parts":        second(ReadAFC(bytes.NewReader(afc(41, 42)))),
		"packet below header": second(ReadAFC(bytes.NewReader(afc(39, 39)))),
		"packet cut":          second(ReadAFC(bytes.NewReader(afc(MaxAFC, 40)))),
	} {
		if err == nil || err == io.EOF {
			t.Errorf("%s: got %v, want an error", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestLockdownErrorIsBounded(t *testing.T) {
	t.Parallel()
	got := LockdownError("Bad\n\x1b[31m" + string(make([]byte, 4096)) + "end").Error()
	if want := "the phone refused: Bad[31m"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, e := range []LockdownError{PasswordProtected, TrustPending, TrustDenied, InvalidHostID, EscrowLocked, PairingOverUSBOnly, ManagedPairing, ServiceProhibited} {
		if bytes.Contains([]byte(e.Error()), []byte(string(e))) {
			t.Errorf("%s has no sentence of its own", string(e))
		}
	}
}

func TestAFCErrorsHaveSentences(t *testing.T) {
	t.Parallel()
	for code, want := range map[AFCError]string{
		AFCNotFound: "the phone has no such file", AFCDenied: "the phone denies access to the file", AFCExists: "the phone has this file already",
		AFCNoSpace: "the phone is full", AFCWouldBlock: "the phone's file is locked by another program", AFCIO: "the phone's file service answered 20",
	} {
		if got := code.Error(); got != want {
			t.Errorf("%d: got %q, want %q", uint64(code), got, want)
		}
	}
}

func FuzzFrames(f *testing.F) {
	for _, v := range []any{map[string]any{"Request": "QueryType"}, []any{"a", 1}} {
		var b bytes.Buffer
		if WritePlist(&b, v, plist.XML) == nil {
			f.Add(b.Bytes())
		}
		b.Reset()
		if WriteMux(&b, 1, v) == nil {
			f.Add(b.Bytes())
		}
	}
	var b bytes.Buffer
	if err := WriteAFC(&b, &AFCPacket{Op: AFCReadDir, Params: []byte("/\x00")}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		var v any
		if ReadPlist(bytes.NewReader(data), &v) == nil && len(data) < 4 {
			t.Error("a message without a length was read")
		}
		v = nil
		if _, err := ReadMux(bytes.NewReader(data), &v); err == nil && len(data) < muxHeader {
			t.Error("a message without a header was read")
		}
		p, err := ReadAFC(bytes.NewReader(data))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := WriteAFC(&again, p); err != nil || !bytes.HasPrefix(data, again.Bytes()) {
			t.Errorf("a packet is written differently: %v", err)
		}
	})
}
