package mb2

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"runtime"
	"slices"
	"testing"
	"time"
)

// phone is the other end of a session, led by a test.
type phone struct {
	t    testing.TB
	conn net.Conn
}

// must ends the phone at an error.
func (p *phone) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Errorf("the phone: %v", err)
		runtime.Goexit()
	}
}

// say sends a message.
func (p *phone) say(name string, args ...any) {
	p.t.Helper()
	p.must(WriteMessage(p.conn, name, args...))
}

// raw sends bytes.
func (p *phone) raw(b []byte) {
	p.t.Helper()
	_, err := p.conn.Write(b)
	p.must(err)
}

// hear reads a message.
func (p *phone) hear(want string) arguments {
	p.t.Helper()
	name, args, err := ReadMessage(p.conn)
	p.must(err)
	if name != want {
		p.t.Errorf("the host sent %s, want %s", name, want)
		runtime.Goexit()
	}
	return args
}

// greet does the handshake and returns the version that the host announces.
func (p *phone) greet(version int64) int64 {
	p.t.Helper()
	p.say("DLMessageVersionExchange", version, int64(0))
	args := p.hear("DLMessageVersionExchange")
	if got, _ := args.text(0); got != "DLVersionsOk" {
		p.t.Errorf("got %q in the version exchange", got)
	}
	announced, _ := args.integer(1)
	p.say("DLMessageDeviceReady")
	hello := p.hear(processMessage).at(0).(map[string]any)
	if hello["MessageName"] != "Hello" || !slices.Equal(hello["SupportedProtocolVersions"].([]any), []any{2.0, 2.1}) {
		p.t.Errorf("got %v for a Hello", hello)
	}
	p.respond(0)
	return announced
}

// request does the handshake and returns the host's request.
func (p *phone) request() map[string]any {
	p.t.Helper()
	p.greet(300)
	return p.hear(processMessage).at(0).(map[string]any)
}

// respond sends the answer to a request.
func (p *phone) respond(code int64) {
	p.t.Helper()
	p.say(processMessage, map[string]any{"MessageName": "Response", "ErrorCode": code, "ProtocolVersion": 2.1})
}

// status reads a status.
func (p *phone) status() (Status, any) {
	p.t.Helper()
	args := p.hear("DLMessageStatusResponse")
	code, ok := args.integer(0)
	text, isText := args.text(1)
	if !ok || !isText || text == "" || len(args) != 3 {
		p.t.Errorf("got %v for a status", args)
	}
	return Status(code), args.at(2)
}

// wantStatus reads a status that must have this code.
func (p *phone) wantStatus(want Status) any {
	p.t.Helper()
	got, value := p.status()
	if got != want {
		p.t.Errorf("got status %d, want %d", got, want)
	}
	return value
}

// upload sends a batch: name, content, name, content ...
func (p *phone) upload(percent float64, files ...string) {
	p.t.Helper()
	p.say("DLMessageUploadFiles", map[string]any{}, percent, int64(1))
	for i := 0; i < len(files); i += 2 {
		p.file(files[i], files[i+1], []byte{byte(CodeEnd)})
	}
	p.raw(AppendUnit(nil))
}

// file sends one file in units of at most 10 bytes, and the unit that ends it.
func (p *phone) file(name, content string, end []byte) {
	p.t.Helper()
	b := AppendUnit(nil, []byte("/var/mobile/Media/private.jpg"))
	b = AppendUnit(b, []byte(name))
	for piece := range slices.Chunk([]byte(content), 10) {
		b = AppendUnit(b, []byte{byte(CodeData)}, piece)
	}
	p.raw(AppendUnit(b, end))
}

// sent is a file that the host sent.
type sent struct {
	name, content string
	code          Code
	text          string
}

// download asks for files and returns what comes before the status.
func (p *phone) download(names ...string) []sent {
	p.t.Helper()
	list := make([]any, len(names))
	for i, n := range names {
		list[i] = n
	}
	p.say("DLMessageDownloadFiles", list, map[string]any{}, 0.0, int64(0))
	return p.files()
}

func (p *phone) files() (files []sent) {
	p.t.Helper()
	for {
		unit, err := ReadUnit(p.conn, nil, MaxName)
		p.must(err)
		if len(unit) == 0 {
			return files
		}
		f := sent{name: string(unit)}
		var content bytes.Buffer
		for {
			unit, err := ReadUnit(p.conn, nil, DataSize+1)
			p.must(err)
			if f.code = Code(unit[0]); f.code != CodeData {
				f.text = string(unit[1:])
				break
			}
			content.Write(unit[1:])
		}
		f.content = content.String()
		files = append(files, f)
	}
}

// farewell reads the DLMessageDisconnect that must follow, and the end.
func (p *phone) farewell() {
	p.t.Helper()
	p.hear(disconnect)
	if _, err := p.conn.Read(make([]byte, 1)); err != io.EOF {
		p.t.Errorf("got %v after the farewell, want io.EOF", err)
	}
}

// converse lets script lead the phone of a session on which call is made, and
// returns the call's error.
func converse(t testing.TB, o Options, script func(*phone), call func(context.Context, *Session) error) error {
	t.Helper()
	host, far := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer far.Close()
		script(&phone{t, far})
	}()
	s, err := Start(t.Context(), host, o)
	if err == nil {
		err = call(t.Context(), s)
		if e := s.Close(); e != nil && !errors.Is(e, errRecord) {
			t.Errorf("close: %v", e)
		}
	}
	<-done
	return err
}

// backup is a call for converse.
func backup(f Folder) func(context.Context, *Session) error {
	return func(ctx context.Context, s *Session) error { return s.Backup(ctx, f, udid, false) }
}

// ordered makes one order in a backup that succeeds but for it.
func ordered(t *testing.T, f Folder, o Options, script func(*phone)) error {
	t.Helper()
	return converse(t, o, func(p *phone) {
		p.greet(400)
		p.hear(processMessage)
		script(p)
		p.respond(0)
		p.farewell()
	}, backup(f))
}

var errRecord = errors.New("the transcript is full")

// checkListing compares a listing with entries of name to size, -1 for a folder.
func checkListing(t testing.TB, value any, want map[string]int64) {
	t.Helper()
	got := map[string]int64{}
	dict, _ := value.(map[string]any)
	for name, v := range dict {
		e := v.(map[string]any)
		size, _ := Integer(e["DLFileSize"])
		switch e["DLFileType"] {
		case "DLFileTypeDirectory":
			size = -1
		case "DLFileTypeRegular":
		default:
			t.Errorf("%s is a %v", name, e["DLFileType"])
		}
		if _, ok := e["DLFileModificationDate"].(time.Time); !ok {
			t.Errorf("%s has no date: %v", name, e)
		}
		got[name] = size
	}
	if !maps.Equal(got, want) {
		t.Errorf("got the listing %v, want %v", got, want)
	}
}
