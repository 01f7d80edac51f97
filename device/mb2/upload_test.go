package mb2

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestUnreadableFiles(t *testing.T) {
	t.Parallel()
	u := udid + "/Snapshot/ab/"
	f := newFolder(t, u+"3", "before")
	var told []FileError
	var s *Session
	o := Options{FileError: func(e FileError) { told = append(told, e) }}
	err := converse(t, o, func(p *phone) {
		p.request()
		p.say("DLMessageUploadFiles", map[string]any{}, 1.0, uint64(100))
		p.file(u+"1", "whole", []byte{byte(CodeEnd)})
		p.file(u+"2", strings.Repeat("half", 20), append([]byte{byte(CodeIO)}, "Input/output\x1b[31m error\x00"...))
		p.file(u+"3", "half", []byte{byte(CodeNotFound)})
		p.file(u+"4", "", []byte{0x77})
		p.file("../\x1b"+strings.Repeat("6", MaxName-4), "half", []byte{byte(CodeIO)})
		p.file(u+"5", "twice", []byte{byte(CodeEnd)})
		p.file(u+"5", "2nd", []byte{byte(CodeEnd)})
		p.raw(AppendUnit(nil))
		p.wantStatus(StatusBadParameter)
		p.respond(0)
		p.farewell()
	}, func(ctx context.Context, sess *Session) error {
		s = sess
		return sess.Backup(ctx, f, udid, false)
	})
	if err != nil {
		t.Error(err)
	}
	f.want(u+"1", "whole", u+"3", "before", u+"5", "2nd")
	if r := s.Result(); r.Unread != 4 || !slices.Equal(r.FileErrors, told) || r.Files != 3 {
		t.Errorf("got %+v, and was told of %v", r, told)
	}
	for i, want := range []FileError{
		{Name: u + "2", Code: CodeIO, Text: "Input/output[31m error"},
		{Name: u + "3", Code: CodeNotFound},
		{Name: u + "4", Code: 0x77},
		{Name: "../" + strings.Repeat("6", maxPath-3), Code: CodeIO},
	} {
		want.DevicePath = "/var/mobile/Media/private.jpg"
		if told[i] != want {
			t.Errorf("got %+v, want %+v", told[i], want)
		}
		if text := told[i].Error(); strings.Contains(text, "private") || strings.Contains(text, "/") && !strings.Contains(text, "input/output") {
			t.Errorf("got the error %q", text)
		}
	}
}

func TestFileErrorsAreBounded(t *testing.T) {
	t.Parallel()
	var s Session
	for range MaxFileErrors + 5 {
		s.unread(FileError{})
	}
	if r := s.Result(); len(r.FileErrors) != MaxFileErrors || r.Unread != MaxFileErrors+5 {
		t.Errorf("got %d of %d errors", len(r.FileErrors), r.Unread)
	}
}

// sourced notes where files lie on the phone.
type sourced struct {
	*memFolder
	sources []string
}

func (f *sourced) CreateFrom(ctx context.Context, name, source string) (File, error) {
	f.sources = append(f.sources, source)
	return f.Create(ctx, name)
}

// A folder that wants to know where files lie on the phone is told what the phone tells.
func TestSourcedFolder(t *testing.T) {
	t.Parallel()
	f := &sourced{memFolder: newFolder(t)}
	err := converse(t, Options{}, func(p *phone) {
		p.request()
		p.say("DLMessageUploadFiles", map[string]any{}, 1.0, uint64(100))
		p.file(udid+"/1", "bytes", []byte{byte(CodeEnd)})
		p.raw(AppendUnit(nil))
		p.wantStatus(StatusOK)
		p.respond(0)
		p.farewell()
	}, func(ctx context.Context, s *Session) error { return s.Backup(ctx, f, udid, false) })
	if err != nil {
		t.Error(err)
	}
	f.want(udid+"/1", "bytes")
	if want := []string{"/var/mobile/Media/private.jpg"}; !slices.Equal(f.sources, want) {
		t.Errorf("got %q, want %q", f.sources, want)
	}
}

// A full disk must not cost the connection: the rest of the batch is read, the
// phone is told, and is served on.
func TestFullDiskDrainsTheBatch(t *testing.T) {
	t.Parallel()
	u := udid + "/"
	for _, call := range []string{"Create " + u + "2", "Write " + u + "2", "Commit " + u + "2"} {
		f := newFolder(t)
		f.fails[call] = fmt.Errorf("store it: %w", syscall.ENOSPC)
		err := converse(t, Options{}, func(p *phone) {
			p.request()
			p.upload(1, u+"1", "one", u+"2", strings.Repeat("two", 1000), u+"3", "three", "../4", "four")
			p.wantStatus(StatusNoSpace)
			p.say("DLMessageRemoveItems", []any{u + "1"})
			p.wantStatus(StatusOK)
			p.upload(1, u+"5", "five")
			p.wantStatus(StatusOK)
			p.respond(105)
			p.farewell()
		}, backup(f))
		e, ok := errors.AsType[*PhoneError](err)
		if !ok || e.Code != 105 || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: got %v", call, err)
		}
		f.want(u+"5", "five")
		if slices.ContainsFunc(f.calls, func(c string) bool { return strings.HasSuffix(c, "/3") }) {
			t.Errorf("%s: the folder was called after its failure: %q", call, f.calls)
		}
	}
}

// Even an error that looks like an ordinary answer is a failure of a file that
// was sent.
func TestRefusedFileFails(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.fails["Create "+udid+"/a"] = ErrIsDir
	err := ordered(t, f, Options{}, func(p *phone) {
		p.upload(1, udid+"/a", "x")
		p.wantStatus(StatusIsDir)
	})
	if !errors.Is(err, ErrIsDir) {
		t.Errorf("got %v", err)
	}
}

func TestHostileUploadNames(t *testing.T) {
	t.Parallel()
	names := []string{
		"/etc/passwd", "../x", udid + "/../x", udid + "//x", udid + "/./x", udid + "/x/", "other/x", udid + "x/y",
		udid + "/a\x00b", udid + "\\x", udid + "/" + strings.Repeat("y", 4097), udid + "/\xff", "___", "..", ".", "",
	}
	for _, name := range names {
		f := newFolder(t)
		var violations []Violation
		o := Options{Violation: func(v Violation) { violations = append(violations, v) }}
		err := ordered(t, f, o, func(p *phone) {
			p.upload(1, udid+"/1", "one", name, "bad", udid+"/2", "two")
			p.wantStatus(StatusBadParameter)
		})
		if err != nil {
			t.Error(err)
		}
		f.want(udid+"/1", "one", udid+"/2", "two")
		if len(violations) != 1 || violations[0].Order != "DLMessageUploadFiles" {
			t.Errorf("%.40q: got the violations %v", name, violations)
		}
	}
}

// What cannot be understood ends the session; no file is left that was not
// whole.
func TestDesync(t *testing.T) {
	t.Parallel()
	u := udid + "/"
	begun := AppendUnit(AppendUnit(nil, []byte("/path")), []byte(u+"a"))
	begun = AppendUnit(begun, []byte{byte(CodeData)}, []byte("half"))
	for name, stream := range map[string][]byte{
		"no end":           AppendUnit(begun),
		"long name":        binary.BigEndian.AppendUint32(nil, MaxName+1),
		"long unit":        binary.BigEndian.AppendUint32(bytes.Clone(begun), MaxData+1),
		"a plist's length": []byte("bplist00"),
	} {
		f := newFolder(t)
		err := converse(t, Options{}, func(p *phone) {
			p.request()
			p.say("DLMessageUploadFiles", map[string]any{}, 1.0, uint64(0))
			p.raw(stream)
			p.farewell()
		}, backup(f))
		if !errors.Is(err, ErrDesync) || errors.Is(err, ErrDisconnected) {
			t.Errorf("%s: got %v, want ErrDesync", name, err)
		}
		f.want()
	}
	for name, cut := range map[string][]byte{"in a file": begun, "in a unit": begun[:len(begun)-2], "in a length": begun[:2], "before": nil} {
		f := newFolder(t)
		err := converse(t, Options{}, func(p *phone) {
			p.request()
			p.say("DLMessageUploadFiles", map[string]any{}, 1.0, uint64(0))
			p.raw(cut)
		}, backup(f))
		if !errors.Is(err, ErrDisconnected) || errors.Is(err, ErrDesync) {
			t.Errorf("%s: got %v, want ErrDisconnected", name, err)
		}
		f.want()
	}
}
