package mb2

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
)

// played is a connection whose phone says what it will, without listening.
type played struct {
	io.Reader
	written int
}

func (p *played) Write(b []byte) (int, error) { p.written += len(b); return len(b), nil }
func (p *played) Close() error                { return nil }

// opening is what a phone says up to the request.
func opening(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, err := range []error{
		WriteMessage(&b, "DLMessageVersionExchange", uint64(400), uint64(0)),
		WriteMessage(&b, "DLMessageDeviceReady"),
		WriteMessage(&b, processMessage, map[string]any{"MessageName": "Response", "ErrorCode": uint64(0)}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// FuzzSession lets a phone say anything from the request on. The folder (which
// checks names, and that each file is ended once) must see nothing it should not.
func FuzzSession(f *testing.F) {
	u := udid + "/"
	for _, m := range [][]any{
		{"DLMessageDownloadFiles", []any{u + "file", u + "gone", ""}, map[string]any{}, 1.0, uint64(0)},
		{"DLMessageMoveItems", map[string]any{u + "file": u + "b", "../x": "y"}, map[string]any{}, 99.0},
		{"DLMessageRemoveItems", []any{u + "b", "."}},
		{"DLContentsOfDirectory", udid},
		{"DLMessageCopyItem", udid, udid + "-20260102-030405"},
		{"DLMessagePurgeDiskSpace", int64(-1)},
		{processMessage, map[string]any{"MessageName": "Response", "ErrorCode": int64(-6), "ErrorDescription": "x"}},
	} {
		var b bytes.Buffer
		if err := WriteMessage(&b, m[0].(string), m[1:]...); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	var b bytes.Buffer
	if err := WriteMessage(&b, "DLMessageUploadFiles", map[string]any{}, 12.5, uint64(9)); err != nil {
		f.Fatal(err)
	}
	stream := AppendUnit(AppendUnit(b.Bytes(), []byte("/path")), []byte(u+"a"))
	f.Add(AppendUnit(AppendUnit(AppendUnit(stream, []byte{12, 1}), []byte{0}), nil))
	f.Add(AppendUnit(AppendUnit(stream, []byte{11}), nil))
	start := opening(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		folder := newFolder(t, u+"file", "content", u+first, "1")
		var record bytes.Buffer
		conn := &played{Reader: io.MultiReader(bytes.NewReader(start), bytes.NewReader(data))}
		last := Progress{}
		s, err := Start(context.Background(), conn, Options{Record: &record, Version: 400, Progress: func(p Progress) {
			if p.Phase < last.Phase || !(p.Percent >= last.Percent) || p.Percent > 100 || p.Bytes < last.Bytes || p.Files < last.Files {
				t.Errorf("%v follows %v", p, last)
			}
			last = p
		}})
		if err != nil {
			t.Fatal(err)
		}
		err = s.Backup(context.Background(), folder, udid, false)
		if folder.open != 0 {
			t.Errorf("%d files were begun and not ended", folder.open)
		}
		for name := range folder.files {
			if first, _, _ := strings.Cut(name, "/"); first != udid && first != unbackRoot && !setAside.MatchString(strings.TrimPrefix(first, udid)) {
				t.Errorf("%q is outside the backup", name)
			}
		}
		if err != nil && strings.ContainsAny(err.Error(), "\x00\x1b\n") {
			t.Errorf("the error has control characters: %q", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if bytes.Contains(record.Bytes(), []byte(udid)) {
			t.Errorf("the transcript names the phone: %s", &record)
		}
	})
}

// FuzzReplay lets a transcript say anything to a session.
func FuzzReplay(f *testing.F) {
	var b bytes.Buffer
	conn := &played{Reader: bytes.NewReader(opening(f))}
	if s, err := Start(context.Background(), conn, Options{Record: &b}); err == nil {
		_ = s.Backup(context.Background(), newFolder(f), udid, false)
	}
	f.Add(b.Bytes())
	f.Add([]byte(`{"from":"phone","file":{"name":"UDID/Status.plist","units":1,"unit":9,"bytes":9,"code":0,"status":{"version":"3.3"}}}`))
	f.Add([]byte(`{"from":"phone","file":{"name":"","unit":1,"bytes":100,"code":300}}` + "\n" + `{"from":"phone","end":true}`))
	f.Add([]byte(`{"from":"phone","message":"DLMessageMoveItems","names":["UDID/a","SOURCE"],"to":["x"]}`))
	f.Add([]byte(`{"from":"host","message":"DLMessageStatusResponse","code":0}`))
	f.Add([]byte(`{"from":"host","file":{"name":"x"}}`))
	f.Fuzz(func(t *testing.T, transcript []byte) {
		host := AppendUnit(AppendUnit(AppendUnit(nil, []byte("x")), []byte{12, 'a'}), []byte{0})
		conn := &limited{played: played{Reader: io.MultiReader(bytes.NewReader(host), bytes.NewReader(opening(t)))}}
		found, _ := ReplayPhone(conn, bytes.NewReader(transcript), udid, "source")
		if len(found) > maxDifferences {
			t.Errorf("got %d differences", len(found))
		}
	})
}

// limited is a host that goes away when a phone sends without end.
type limited struct{ played }

func (l *limited) Write(b []byte) (int, error) {
	if l.written > 64<<20 {
		return 0, io.ErrClosedPipe
	}
	return l.played.Write(b)
}
