package mb2

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// everything is a conversation with every order, names that must be hidden, and
// a file that the phone cannot read.
func everything(p *phone) {
	p.request()
	u := udid + "/"
	p.say("DLMessagePing", "private words")
	p.download(u+"Status.plist", u+"private name", "../private")
	p.wantStatus(StatusMulti)
	p.say("DLMessageCreateDirectory", udid)
	p.wantStatus(StatusOK)
	p.say("DLMessageCreateDirectory", u+"Snapshot")
	p.wantStatus(StatusOK)
	p.say("DLMessageGetFreeDiskSpace")
	p.wantStatus(StatusOK)
	p.say("DLMessagePurgeDiskSpace", uint64(1<<33), uint64(4))
	p.wantStatus(StatusOK)
	p.upload(1, u+"Status.plist", statusPlist(p.t, "uploading"))
	p.wantStatus(StatusOK)
	p.say("DLMessageUploadFiles", map[string]any{}, 50.0, uint64(7000))
	p.file(u+"Snapshot/"+first, strings.Repeat("private words ", 500), []byte{byte(CodeEnd)})
	p.file(u+"Snapshot/"+empty, "", []byte{byte(CodeEnd)})
	p.file(u+"Snapshot/"+second, "private words", append([]byte{byte(CodeIO)}, "private text"...))
	p.file("other/private", "private words", []byte{byte(CodeEnd)})
	p.raw(AppendUnit(nil))
	p.wantStatus(StatusBadParameter)
	p.say("DLContentsOfDirectory", u+"Snapshot/cd", map[string]any{}, 100.0)
	p.wantStatus(StatusNotFound)
	p.say("DLContentsOfDirectory", udid, map[string]any{}, 100.0)
	p.wantStatus(StatusOK)
	p.say("DLMessageMoveItems", map[string]any{u + "Snapshot/" + first: u + first, u + "Snapshot/" + empty: u + empty}, map[string]any{}, 60.0)
	p.wantStatus(StatusOK)
	p.say("DLMessageCopyItem", u+first, "_unback_/private/file", map[string]any{}, 61.0, uint64(5))
	p.wantStatus(StatusOK)
	p.say("DLMessageRemoveFiles", []any{u + "Snapshot", u + "private name"}, map[string]any{}, 60.0)
	p.wantStatus(StatusOK)
	p.say("DLMessageRemoveDirectory", u+"ab")
	p.wantStatus(StatusOK)
	p.say("DLMessagePrivateJoe", "private words")
	p.wantStatus(StatusError)
	p.say("DLMessage private", "private words")
	p.wantStatus(StatusError)
	p.download(u+"Status.plist", u+empty)
	p.wantStatus(StatusOK)
	p.say(processMessage, map[string]any{"MessageName": "Response", "ErrorCode": uint64(105), "ErrorDescription": "private words"})
	p.farewell()
}

// record returns the transcript of everything, and the calls on the folder.
func record(t *testing.T) (transcript []byte, calls []string, err error) {
	t.Helper()
	var b bytes.Buffer
	f := newFolder(t)
	err = converse(t, Options{Version: 400, Record: &b}, everything, backup(f))
	return b.Bytes(), f.calls, err
}

func TestTranscriptHidesContents(t *testing.T) {
	t.Parallel()
	transcript, _, err := record(t)
	if e, ok := errors.AsType[*PhoneError](err); !ok || e.Code != 105 {
		t.Error(err)
	}
	for _, private := range []string{"private", udid, "00008030", "media", "Media", "words"} {
		if i := bytes.Index(transcript, []byte(private)); i >= 0 {
			t.Errorf("the transcript holds %q: %s", private, transcript[max(0, i-200):min(len(transcript), i+200)])
		}
	}
	for _, want := range []string{
		`"names":["UDID/Status.plist","UDID/other-1","other-2"]`,
		`"details":{"UDID/Status.plist":-6,"UDID/other-1":-6,"other-2":-3}`,
		`"file":{"name":"UDID/Snapshot/` + first + `","units":700,"unit":10,"bytes":7000,"code":0}`,
		`"file":{"name":"UDID/Snapshot/` + second + `","units":2,"unit":10,"bytes":13,"code":11}`,
		`"status":{"version":"3.3","uuid":"6E0A2B54-1B1A-4C0F-9AFF-9F1B0E6E5A01","date":"`,
		`"snapshotState":"uploading"`, `"to":["_unback_/other-`, `"message":"DLMessagePrivateJoe"`, `"message":"?"`,
		`"message":"DLMessagePurgeDiskSpace","size":8589934592`, `"code":0,"size":1099511627776`, `"request":"Backup"`,
		`"message":"DLMessageStatusResponse","code":0,"entries":2`, `"request":"Response","code":105`,
	} {
		if !bytes.Contains(transcript, []byte(want)) {
			t.Errorf("the transcript lacks %s", want)
		}
	}
	for l := range bytes.Lines(transcript) {
		if !json.Valid(l) {
			t.Errorf("no JSON: %s", l)
		}
	}
	if t.Failed() {
		t.Logf("%s", transcript)
	}
}

// replay plays a transcript to a backup and returns what the host did.
func replay(t testing.TB, transcript []byte, f *memFolder, o Options) (found []Difference, errHost, errPhone error) {
	t.Helper()
	host, far := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer far.Close()
		found, errPhone = ReplayPhone(far, bytes.NewReader(transcript), udid, "")
		if errPhone == nil {
			p := &phone{t, far}
			p.farewell()
		}
	}()
	s, errHost := Start(t.Context(), host, o)
	if errHost == nil {
		errHost = s.Backup(t.Context(), f, udid, false)
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	<-done
	return found, errHost, errPhone
}

func TestReplay(t *testing.T) {
	t.Parallel()
	transcript, calls, _ := record(t)
	f := newFolder(t)
	var again bytes.Buffer
	found, errHost, errPhone := replay(t, transcript, f, Options{Version: 400, Record: &again})
	if e, ok := errors.AsType[*PhoneError](errHost); !ok || e.Code != 105 || errPhone != nil {
		t.Fatalf("the host: %v; the phone: %v", errHost, errPhone)
	}
	if len(found) > 0 {
		t.Errorf("the host answered otherwise: %v", found)
	}
	// Names that were hidden are others, and so is the length of Status.plist.
	hidden := strings.NewReplacer("private name", "other-1")
	for i, c := range calls {
		if i < len(f.calls) && (f.calls[i] == hidden.Replace(c) || strings.Contains(c, "Status.plist") || strings.Contains(c, "_unback_")) {
			continue
		}
		t.Fatalf("call %d: got %q, want %q", i, f.calls, calls)
	}
	if len(f.calls) != len(calls) {
		t.Errorf("got %d calls, want %d", len(f.calls), len(calls))
	}
	if s := parseStatus([]byte(f.files[udid+"/Status.plist"])); s == nil || s.SnapshotState != "uploading" || s.Version != "3.3" {
		t.Errorf("got the status %+v", s)
	}
	third, _, _ := replay(t, again.Bytes(), newFolder(t), Options{Version: 400})
	if len(third) > 0 {
		t.Errorf("the transcript of a replay plays otherwise: %v", third)
	}
}

func TestReplayFindsDifferences(t *testing.T) {
	t.Parallel()
	transcript, _, _ := record(t)
	f := newFolder(t, udid+"/Status.plist", "there")
	f.dirs[udid+"/Snapshot"] = true
	found, _, err := replay(t, transcript, f, Options{Version: 400})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, d := range found {
		lines = append(lines, d.String())
	}
	got := strings.Join(lines, "\n")
	for _, want := range []string{
		"the host sent a file with code 0, and a file with code 6 when it was recorded",
		"the host sent DLMessageStatusResponse -7, and DLMessageStatusResponse 0 when it was recorded",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwithout %s", got, want)
		}
	}
}

func TestReplayRefuses(t *testing.T) {
	t.Parallel()
	host := AppendUnit(AppendUnit(nil, []byte("x")), []byte{0})
	for name, text := range map[string]string{
		"no JSON":        `from the phone`,
		"nobody":         `{"from":"me","message":"DLMessagePing"}`,
		"endless file":   `{"from":"phone","file":{"name":"UDID/a","unit":9,"bytes":1099511627777}}`,
		"negative file":  `{"from":"phone","file":{"name":"UDID/a","unit":9,"bytes":-1}}`,
		"no unit":        `{"from":"phone","file":{"name":"UDID/a","bytes":1}}`,
		"large unit":     `{"from":"phone","file":{"name":"UDID/a","unit":99999999,"bytes":99999999}}`,
		"more than then": `{"from":"host","end":true}`,
	} {
		_, err := ReplayPhone(&played{Reader: bytes.NewReader(host)}, strings.NewReader(text), udid, "")
		if err == nil || !strings.HasPrefix(err.Error(), "replay line 1: ") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, c := range []struct {
		name string
		want int
	}{{"UDID/x", 1}, {"SOURCE-20260102-030405/x", 1}, {"x", 0}} {
		line := strings.NewReader(`{"from":"host","file":{"name":"` + c.name + `"}}`)
		found, err := ReplayPhone(&played{Reader: bytes.NewReader(host)}, line, udid, "source")
		if err != nil || len(found) != c.want {
			t.Errorf("%s: got %v, %v, want %d differences", c.name, found, err, c.want)
		}
	}
}

// A transcript of a session that was cut ends where it was cut.
func TestTranscriptOfACut(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	half := func(p *phone) {
		p.request()
		p.say("DLMessageUploadFiles", map[string]any{}, 1.0, uint64(0))
		u := AppendUnit(AppendUnit(nil, []byte("/path")), []byte(udid+"/"+first))
		p.raw(AppendUnit(u, []byte{byte(CodeData)}, []byte("half")))
	}
	if err := converse(t, Options{Record: &b}, half, backup(newFolder(t))); !errors.Is(err, ErrDisconnected) {
		t.Error(err)
	}
	if want := `"units":1,"unit":4,"bytes":4,"code":0,"cut":true}}` + "\n"; !strings.HasSuffix(b.String(), want) {
		t.Errorf("got %s", &b)
	}
	host, far := net.Pipe()
	go func() {
		defer far.Close()
		if _, err := ReplayPhone(far, &b, udid, ""); err != nil {
			t.Errorf("replay: %v", err)
		}
	}()
	s, err := Start(t.Context(), host, Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := newFolder(t)
	if err := s.Backup(t.Context(), f, udid, false); !errors.Is(err, ErrDisconnected) {
		t.Error(err)
	}
	if want := []string{"Create " + udid + "/" + first, "Abort " + udid + "/" + first}; !slices.Equal(f.calls, want) {
		t.Errorf("got the calls %q, want %q", f.calls, want)
	}
}

type brokenWriter struct{ left, after int }

func (w *brokenWriter) Write(p []byte) (int, error) {
	if w.left--; w.left < 0 {
		w.after++
		return 0, errRecord
	}
	return len(p), nil
}

// A transcript that cannot be written costs nothing but itself.
func TestRecordFails(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	var errClose error
	w := &brokenWriter{left: 3}
	err := converse(t, Options{Record: w}, func(p *phone) {
		p.request()
		p.upload(1, udid+"/a", "x")
		p.wantStatus(StatusOK)
		p.respond(0)
		p.farewell()
	}, func(ctx context.Context, s *Session) error {
		err := s.Backup(ctx, f, udid, false)
		errClose = s.Close()
		return err
	})
	if err != nil || !errors.Is(errClose, errRecord) || w.after != 1 {
		t.Errorf("got %v, %v at the end, and %d attempts", err, errClose, w.after)
	}
	f.want(udid+"/a", "x")
}

func TestStatusInATranscript(t *testing.T) {
	t.Parallel()
	s := parseStatus([]byte("<plist><dict><key>UUID</key><string>my name is Joe</string><key>Version</key><string>3.3</string>" +
		"<key>Joe</key><string>x</string><key>Date</key><date>0001-01-01T00:00:00Z</date></dict></plist>"))
	if s == nil || s.UUID != "" || s.Version != "3.3" || !s.Date.Equal(time.Unix(0, 0)) {
		t.Errorf("got %+v", s)
	}
	if s := parseStatus([]byte("noise")); s != nil {
		t.Errorf("got %+v for noise", s)
	}
}

func TestDisguiseIsBounded(t *testing.T) {
	t.Parallel()
	d := disguise{others: map[string]int{}}
	for i := range maxOthers + 10 {
		d.other(strings.Repeat("x", i%7) + string(rune('a'+i)))
	}
	if len(d.others) > maxOthers || d.name("never seen") != "other" {
		t.Errorf("got %d names", len(d.others))
	}
}
