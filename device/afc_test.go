package device

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"
)

// openAFC connects to a fake file service, without the phone around it.
func openAFC(t *testing.T, serve func(net.Conn)) *AFC {
	t.Helper()
	a, b := net.Pipe()
	go func() {
		defer b.Close()
		serve(b)
	}()
	t.Cleanup(func() { a.Close() })
	return &AFC{conn: a}
}

func TestAFCFiles(t *testing.T) {
	t.Parallel()
	fake := newFakeAFC()
	a, ctx := openAFC(t, fake.serve), t.Context()
	names, err := a.ReadDir(ctx, "/")
	if want := []string{"Books", "DCIM", "empty", "iTunes_Control", "link"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("got %q, %v, want %q", names, err, want)
	}
	if err := a.MkdirAll(ctx, "/a"); err != nil {
		t.Error(err)
	}
	f, err := a.Open(ctx, "/a/b", AFCReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("0123456789", afcBlock/4)
	if n, err := io.WriteString(f, long); n != len(long) || err != nil {
		t.Errorf("got %d, %v, want %d", n, err, len(long))
	}
	if at, err := f.Seek(-20, io.SeekEnd); at != int64(len(long))-20 || err != nil {
		t.Errorf("got %d, %v, want %d", at, err, len(long)-20)
	}
	if err := f.Truncate(int64(len(long)) - 10); err != nil {
		t.Error(err)
	}
	if got, err := io.ReadAll(f); string(got) != "0123456789" || err != nil {
		t.Errorf("got %q, %v, want the last ten", got, err)
	}
	if info, err := f.Stat(); err != nil || info.Size() != int64(len(long))-10 || info.Mode() != 0o644 || info.Name() != "b" {
		t.Errorf("got %v, %v", info, err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	before := len(fake.asked)
	if _, err := f.Read(make([]byte, 1)); !errors.Is(err, fs.ErrClosed) || !errors.Is(f.Close(), fs.ErrClosed) || len(fake.asked) != before {
		t.Errorf("after Close: got %v, want fs.ErrClosed and no request", err)
	}
	if err := a.Remove(ctx, "/a"); !errors.Is(err, AFCNotEmpty) || !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v, want %v", err, AFCNotEmpty)
	}
	if err := errors.Join(a.Rename(ctx, "/a/b", "/c"), a.Remove(ctx, "/c"), a.RemoveAll(ctx, "/DCIM")); err != nil {
		t.Error(err)
	}
	_, err = a.Stat(ctx, "/DCIM/100APPLE/IMG_0001.JPG")
	if !errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "IMG") {
		t.Errorf("got %v, want fs.ErrNotExist without the path", err)
	}
	for _, bad := range []string{"", "a\x00b", strings.Repeat("x", maxPath+1)} {
		if _, err := a.Open(ctx, bad, AFCRead); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%.5q: got %v, want fs.ErrInvalid", bad, err)
		}
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

func TestAFCErrorsAreThoseOfFS(t *testing.T) {
	t.Parallel()
	for code, want := range map[AFCError]error{AFCNotFound: fs.ErrNotExist, AFCExists: fs.ErrExist, AFCDenied: fs.ErrPermission, AFCInvalid: fs.ErrInvalid} {
		for _, target := range []error{fs.ErrNotExist, fs.ErrExist, fs.ErrPermission, fs.ErrInvalid, fs.ErrClosed} {
			if got := errors.Is(code, target); got != (target == want) {
				t.Errorf("%v is %v: got %v", code, target, got)
			}
		}
	}
}

func TestAFCFS(t *testing.T) {
	t.Parallel()
	fake := newFakeAFC()
	delete(fake.files, "/link") // fstest follows links, which leave the service
	fsys := openAFC(t, fake.serve).FS(t.Context())
	if err := fstest.TestFS(fsys, "DCIM/100APPLE/IMG_0001.JPG", "empty", "Books"); err != nil {
		t.Error(err)
	}
	if got, err := fs.ReadFile(fsys, "DCIM/100APPLE/IMG_0001.JPG"); string(got) != "a photo" || err != nil {
		t.Errorf("got %q, %v, want a photo", got, err)
	}
	fake.mu.Lock()
	fake.files["/link"] = "-> DCIM"
	fake.mu.Unlock()
	if got, err := fs.ReadLink(fsys, "link"); got != "DCIM" || err != nil {
		t.Errorf("got %q, %v, want DCIM", got, err)
	}
	if _, err := fs.ReadLink(fsys, "empty"); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("got %v, want fs.ErrInvalid", err)
	}
	for _, bad := range []string{"/DCIM", "../x", "none"} {
		if _, err := fsys.Open(bad); err == nil {
			t.Errorf("%s: got nil, want an error", bad)
		}
	}
}

func TestAFCHostile(t *testing.T) {
	t.Parallel()
	le := binary.LittleEndian
	data := func(s string) *AFCPacket { return &AFCPacket{Op: AFCData, Data: []byte(s)} }
	stat := func(a *AFC) error { _, err := a.Stat(t.Context(), "/x"); return err }
	list := func(a *AFC) error { _, err := a.ReadDir(t.Context(), "/x"); return err }
	open := func(a *AFC) error { _, err := a.Open(t.Context(), "/x", AFCRead); return err }
	read := func(a *AFC) error {
		_, err := (&AFCFile{a: a, ctx: t.Context(), handle: 1}).Read(make([]byte, 4))
		return err
	}
	seek := func(a *AFC) error {
		_, err := (&AFCFile{a: a, ctx: t.Context(), handle: 1}).Seek(0, 0)
		return err
	}
	for name, c := range map[string]struct {
		do      func(*AFC) error
		answers []*AFCPacket
		want    error
	}{
		"other number":     {list, []*AFCPacket{{Number: 5, Op: AFCData}}, nil},
		"short status":     {list, []*AFCPacket{{Number: 1, Op: AFCStatus, Params: []byte{1}}}, nil},
		"success, no data": {list, []*AFCPacket{status(0)}, nil},
		"other packet":     {list, []*AFCPacket{{Op: AFCFileOpened, Params: make([]byte, 8)}}, nil},
		"no kind":          {stat, []*AFCPacket{data("st_size\x005\x00")}, nil},
		"negative length":  {stat, []*AFCPacket{data("st_ifmt\x00S_IFREG\x00st_size\x00-5\x00")}, nil},
		"endless facts":    {stat, []*AFCPacket{data("st_ifmt\x00S_IFREG\x00" + strings.Repeat("k\x00v\x00", maxInfoKey))}, nil},
		"many names":       {list, []*AFCPacket{data(strings.Repeat("a\x00", maxNames+1))}, nil},
		"handle zero":      {open, []*AFCPacket{{Op: AFCFileOpened, Params: make([]byte, 8)}}, nil},
		"no handle":        {open, []*AFCPacket{{Op: AFCFileOpened}}, nil},
		"more than asked":  {read, []*AFCPacket{data("12345")}, nil},
		"end":              {read, []*AFCPacket{data("")}, io.EOF},
		"end as a code":    {read, []*AFCPacket{status(afcEndOfData)}, io.EOF},
		"denied":           {read, []*AFCPacket{status(AFCDenied)}, fs.ErrPermission},
		"no place":         {seek, []*AFCPacket{status(0), {Op: AFCFileTold, Params: le.AppendUint32(nil, 1)}}, nil},
		"hangs up":         {list, nil, io.ErrUnexpectedEOF},
	} {
		a := openAFC(t, func(conn net.Conn) {
			for _, answer := range c.answers {
				q, err := ReadAFC(conn)
				if err != nil {
					return
				}
				if answer.Number == 0 {
					answer.Number = q.Number
				}
				if WriteAFC(conn, answer) != nil {
					return
				}
			}
			ReadAFC(conn)
		})
		err := c.do(a)
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want an error, %v", name, err, c.want)
		}
	}
}

func TestAFCInfo(t *testing.T) {
	t.Parallel()
	got, err := parseInfo("x", []byte("st_size\x0012\x00st_ifmt\x00S_IFLNK\x00st_mtime\x001700000000123456789\x00LinkTarget\x00../y\x00st_birthtime\x00odd"))
	want := &afcInfo{name: "x", size: 12, mode: fs.ModeSymlink | 0o777, modTime: time.Unix(1700000000, 123456789).UTC(), link: "../y"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if got, err := parseInfo("x", []byte("st_ifmt\x00S_IFNEW\x00")); err != nil || got.Mode() != fs.ModeIrregular || got.IsDir() {
		t.Errorf("got %+v, %v, want an irregular file", got, err)
	}
}

// A context that ends while the phone is silent closes the connection; so does
// a phone that is silent for too long.
func TestAFCSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for wait, want := range map[time.Duration]time.Duration{2 * time.Second: 2 * time.Second, time.Hour: serviceTimeout} {
			done := make(chan struct{})
			a := openAFC(t, func(c net.Conn) { io.Copy(io.Discard, c); close(done) })
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(wait, cancel)
			start := time.Now()
			_, err := a.ReadDir(ctx, "/")
			if got := time.Since(start); err == nil || got != want {
				t.Errorf("got %v after %v, want an error after %v", err, got, want)
			}
			if (wait == want) != errors.Is(err, context.Canceled) {
				t.Errorf("after %v: got %v", want, err)
			}
			<-done // the connection is closed
			cancel()
		}
	})
}

func TestDocuments(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	afc := newFakeAFC()
	afc.files["/Documents/"] = ""
	f.services["com.apple.mobile.house_arrest"] = func(c net.Conn) {
		var m dict
		if ReadPlist(c, &m) != nil {
			return
		}
		answer := map[string]any{"Status": "Complete"}
		if m.text("Command") != "VendDocuments" || m.text("Identifier") != "com.example.notes" {
			answer = map[string]any{"Error": "ApplicationLookupFailed"}
		}
		if WritePlist(c, answer, 1) == nil {
			afc.serve(c)
		}
	}
	p := f.open(t)
	a, err := p.Documents(t.Context(), "com.example.notes")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if info, err := a.Stat(t.Context(), "/Documents"); err != nil || !info.IsDir() {
		t.Errorf("got %v, %v, want a folder", info, err)
	}
	_, err = p.Documents(t.Context(), "com.example.other")
	if got, ok := errors.AsType[ServiceError](err); !ok || got != "ApplicationLookupFailed" {
		t.Errorf("got %v, want ApplicationLookupFailed", err)
	}
}
