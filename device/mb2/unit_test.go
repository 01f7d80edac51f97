package mb2

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"testing"
)

func TestMessageRoundTrip(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := WriteMessage(&b, "DLMessageStatusResponse", int64(StatusNotFound), Text, map[string]any{}); err != nil {
		t.Fatal(err)
	}
	name, args, err := ReadMessage(&b)
	if err != nil || name != "DLMessageStatusResponse" || len(args) != 3 {
		t.Fatalf("got %q, %v, %v", name, args, err)
	}
	if n, ok := Integer(args[0]); !ok || n != int64(StatusNotFound) {
		t.Errorf("got code %d, %t, want %d", n, ok, StatusNotFound)
	}
	if n, ok := Integer(uint64(1<<64 - 6)); !ok || n != -6 {
		t.Errorf("got %d, %t for minus six without a sign", n, ok)
	}
	if _, ok := Integer("-6"); ok {
		t.Error("a string was taken for an integer")
	}
}

func TestUnitRoundTrip(t *testing.T) {
	t.Parallel()
	stream := AppendUnit(nil, []byte{byte(CodeData)}, []byte("content"))
	stream = AppendUnit(stream)
	r := bytes.NewReader(stream)
	buf := make([]byte, 0, 64)
	got, err := ReadUnit(r, buf, MaxData)
	if err != nil || string(got) != "\x0ccontent" {
		t.Errorf("got %q, %v", got, err)
	}
	if &got[0] != &buf[:1][0] {
		t.Error("the memory at hand was not used")
	}
	if got, err = ReadUnit(r, buf, MaxData); err != nil || len(got) != 0 {
		t.Errorf("got %q, %v for the unit that ends a batch", got, err)
	}
	if _, err = ReadUnit(r, buf, MaxData); err != io.EOF {
		t.Errorf("got %v at the end, want io.EOF", err)
	}
}

func TestUnitsAreBounded(t *testing.T) {
	t.Parallel()
	head := func(n uint32) io.Reader { return bytes.NewReader(binary.BigEndian.AppendUint32(nil, n)) }
	if _, err := ReadUnit(head(MaxName+1), nil, MaxName); !errors.Is(err, ErrDesync) {
		t.Errorf("too long: got %v, want ErrDesync", err)
	}
	if _, err := ReadUnit(head(MaxMessage), nil, MaxMessage); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut: got %v, want io.ErrUnexpectedEOF", err)
	}
	if _, _, err := ReadMessage(bytes.NewReader(AppendUnit(nil, []byte("noise")))); !errors.Is(err, ErrDesync) {
		t.Errorf("noise: got %v, want ErrDesync", err)
	}
	quoted := "<?xml version=\"1.0\"?><plist><array><integer>secret" + strings.Repeat("x", 1000) + "</integer></array></plist>"
	if _, _, err := ReadMessage(bytes.NewReader(AppendUnit(nil, []byte(quoted)))); !errors.Is(err, ErrDesync) || strings.Contains(err.Error(), "secret") {
		t.Errorf("a list that cannot be read: got %v, want ErrDesync without what came", err)
	}
	var b bytes.Buffer
	if err := WriteMessage(&b, ""); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadMessage(&b); !errors.Is(err, ErrDesync) {
		t.Errorf("no name: got %v, want ErrDesync", err)
	}
}

func TestStatusOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want Status
	}{
		{nil, StatusOK},
		{fs.ErrNotExist, StatusNotFound},
		{fmt.Errorf("open: %w", fs.ErrNotExist), StatusNotFound},
		{fs.ErrExist, StatusExists},
		{fs.ErrPermission, StatusIO},
		{fs.ErrInvalid, StatusBadParameter},
		{ErrNotDir, StatusNotDir},
		{ErrIsDir, StatusIsDir},
		{ErrNoSpace, StatusNoSpace},
		{&fs.PathError{Op: "write", Err: syscall.ENOSPC}, StatusNoSpace},
		{errors.New("any other"), StatusIO},
	} {
		if got := StatusOf(c.err); got != c.want {
			t.Errorf("StatusOf(%v) = %d, want %d", c.err, got, c.want)
		}
	}
}

func FuzzUnits(f *testing.F) {
	var b bytes.Buffer
	if err := WriteMessage(&b, "DLMessageUploadFiles", map[string]any{}, 12.5, uint64(9)); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(AppendUnit(nil, []byte{byte(CodeEnd)}))
	f.Fuzz(func(t *testing.T, data []byte) {
		unit, err := ReadUnit(bytes.NewReader(data), nil, MaxName)
		if err == nil && !bytes.HasPrefix(data, AppendUnit(nil, unit)) {
			t.Error("a unit is written differently")
		}
		name, args, err := ReadMessage(bytes.NewReader(data))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := WriteMessage(&again, name, args...); err != nil {
			return // some lists can be read and not be written
		}
		name2, args2, err := ReadMessage(&again)
		name = string([]rune(name)) // what is not UTF-8 is written as U+FFFD
		if err != nil || name2 != name || len(args2) != len(args) {
			t.Errorf("read again as %q with %d arguments, %v; want %q with %d", name2, len(args2), err, name, len(args))
		}
	})
}
