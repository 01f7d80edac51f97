package phone

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"russet/device"
)

// files is a host's connection to the file service.
type files struct {
	conn net.Conn
	last uint64
}

// do sends a packet: numbers, then texts with a zero byte each.
func (c *files) do(t *testing.T, op device.AFCOp, args ...any) *device.AFCPacket {
	t.Helper()
	c.last++
	q := &device.AFCPacket{Number: c.last, Op: op}
	for _, a := range args {
		switch a := a.(type) {
		case int:
			q.Params = binary.LittleEndian.AppendUint64(q.Params, uint64(a))
		case string:
			q.Params = append(append(q.Params, a...), 0)
		case []byte:
			q.Data = a
		}
	}
	if err := device.WriteAFC(c.conn, q); err != nil {
		t.Fatal(err)
	}
	a, err := device.ReadAFC(c.conn)
	if err != nil {
		t.Fatalf("%s %v: %v", opName(op), args, err)
	}
	if a.Number != c.last {
		t.Errorf("%s: got the number %d, want %d", opName(op), a.Number, c.last)
	}
	return a
}

// status wants an answer that is a status.
func (c *files) status(t *testing.T, want device.AFCError, op device.AFCOp, args ...any) {
	t.Helper()
	a := c.do(t, op, args...)
	if a.Op != device.AFCStatus || len(a.Params) != 8 || device.AFCError(binary.LittleEndian.Uint64(a.Params)) != want {
		t.Errorf("%s %.80v: got %+v, want status %d", opName(op), args, a, uint64(want))
	}
}

// list wants data that is a list of texts.
func (c *files) list(t *testing.T, op device.AFCOp, args ...any) []string {
	t.Helper()
	a := c.do(t, op, args...)
	if a.Op != device.AFCData || len(a.Data) == 0 {
		t.Fatalf("%s %v: got %+v, want data", opName(op), args, a)
	}
	return strings.Split(strings.TrimSuffix(string(a.Data), "\x00"), "\x00")
}

// open opens a file.
func (c *files) open(t *testing.T, mode int, name string) int {
	t.Helper()
	a := c.do(t, device.AFCFileOpen, mode, name)
	if a.Op != device.AFCFileOpened || len(a.Params) != 8 {
		t.Fatalf("open %s: got %+v", name, a)
	}
	return int(binary.LittleEndian.Uint64(a.Params))
}

// newFiles makes a phone and a session of the file service with it.
func newFiles(t *testing.T) (*Phone, *lockdown, *files, *journal) {
	t.Helper()
	p, h, j := newRig(t, Options{})
	l := h.session(t, 1)
	return p, l, &files{conn: l.service(t, afcService)}, j
}

func TestFileService(t *testing.T) {
	t.Parallel()
	p, _, c, j := newFiles(t)
	names := c.list(t, device.AFCReadDir, "/")
	for _, want := range []string{".", "..", "DCIM", "Books", "iTunes_Control"} {
		if !slices.Contains(names, want) {
			t.Errorf("got %q, want %q in it", names, want)
		}
	}
	if got := c.list(t, device.AFCDeviceInfo); !slices.Contains(got, "iPhone14,5") || !slices.Contains(got, "FSFreeBytes") || len(got) != 8 {
		t.Errorf("got %q", got)
	}
	c.status(t, device.AFCOK, device.AFCMakeDir, "/a/b")
	c.status(t, device.AFCOK, device.AFCMakeDir, "/a/b")
	f := c.open(t, 2, "/a/b/file")
	c.status(t, device.AFCOK, device.AFCFileWrite, f, []byte("0123456789"))
	c.status(t, device.AFCOK, device.AFCFileSeek, f, 0, 4)
	if a := c.do(t, device.AFCFileTell, f); a.Op != device.AFCFileTold || binary.LittleEndian.Uint64(a.Params) != 4 {
		t.Errorf("got %+v, want the offset 4", a)
	}
	for _, want := range []string{"456", "789", ""} {
		if a := c.do(t, device.AFCFileRead, f, 3); a.Op != device.AFCData || string(a.Data) != want {
			t.Errorf("got %+v, want %q", a, want)
		}
	}
	c.status(t, device.AFCOK, device.AFCFileSetSize, f, 6)
	c.status(t, device.AFCOK, device.AFCFileClose, f)
	c.status(t, device.AFCOK, device.AFCSetModTime, 1_700_000_000_123_456_700, "/a/b/file")
	got := c.list(t, device.AFCFileInfo, "/a/b/file")
	for _, want := range [][2]string{{"st_size", "6"}, {"st_blocks", "1"}, {"st_nlink", "1"}, {"st_ifmt", "S_IFREG"}, {"st_mtime", "1700000000123456700"}} {
		if i := slices.Index(got, want[0]); i < 0 || got[i+1] != want[1] {
			t.Errorf("got %q, want %s %s", got, want[0], want[1])
		}
	}
	f = c.open(t, 5, "/a/b/file")
	c.status(t, device.AFCOK, device.AFCFileWrite, f, []byte("end"))
	c.status(t, device.AFCOK, device.AFCTruncate, 8, "a/b/file")
	c.status(t, device.AFCOK, device.AFCRenamePath, "/a/b/file", "/a/c")
	if b, err := p.media.ReadFile("a/c"); err != nil || string(b) != "012345en" {
		t.Errorf("got %q, %v below the state", b, err)
	}
	f = c.open(t, 1, "/a/c")
	if a := c.do(t, device.AFCFileRead, f, 1<<62); string(a.Data) != "012345en" {
		t.Errorf("got %+v", a)
	}
	c.status(t, device.AFCOK, device.AFCMakeLink, 1, "/a/c", "/a/hard")
	c.status(t, device.AFCNotEmpty, device.AFCRemovePath, "/a")
	c.status(t, device.AFCOK, device.AFCRemovePath, "/a/hard")
	c.status(t, device.AFCOK, device.AFCRemoveAll, "/a")
	c.status(t, device.AFCNotFound, device.AFCRemoveAll, "/a")
	c.status(t, device.AFCOK, device.AFCSetBlockSize, 4096)
	j.clean(t)
}

// What is wrong is refused with the phone's own numbers, and nothing outside
// the root is touched.
func TestFileServiceRefusals(t *testing.T) {
	t.Parallel()
	p, _, c, j := newFiles(t)
	for _, s := range []struct {
		want device.AFCError
		op   device.AFCOp
		args []any
	}{
		{device.AFCNotFound, device.AFCReadDir, []any{"/none"}},
		{device.AFCNotFound, device.AFCFileInfo, []any{"/none"}},
		{device.AFCNotFound, device.AFCFileOpen, []any{1, "/none"}},
		{device.AFCNotFound, device.AFCFileOpen, []any{3, "/none/x"}},
		{device.AFCNotFound, device.AFCTruncate, []any{3, "/none"}},
		{device.AFCNotFound, device.AFCRemovePath, []any{"/none"}},
		{device.AFCNotFound, device.AFCFileInfo, []any{"/../" + valuesFile}}, // .. of the root is the root
		{device.AFCIsDir, device.AFCFileOpen, []any{1, "/DCIM"}},
		{device.AFCInvalid, device.AFCFileOpen, []any{9, "/x"}},
		{device.AFCInvalid, device.AFCReadDir, []any{"/" + strings.Repeat("x", maxPath)}},
		{device.AFCInvalid, device.AFCReadDir, nil},
		{device.AFCInvalid, device.AFCRenamePath, []any{"/DCIM"}},
		{device.AFCInvalid, device.AFCFileOpen, []any{[]byte("x")}},
		{device.AFCInvalid, device.AFCFileRead, []any{77, 5}},
		{device.AFCInvalid, device.AFCFileRead, nil},
		{device.AFCInvalid, device.AFCFileClose, []any{77}},
		{device.AFCInvalid, device.AFCMakeLink, []any{3, "x", "y"}},
		{device.AFCDenied, device.AFCMakeLink, []any{2, "/etc/passwd", "/x"}},
		{device.AFCDenied, device.AFCMakeLink, []any{2, "../" + keyFile, "/x"}},
		{device.AFCDenied, device.AFCRemoveAll, []any{"/"}},
		{device.AFCDenied, device.AFCRemovePath, []any{"/x/.."}},
		{device.AFCDenied, device.AFCRenamePath, []any{"/DCIM", "/"}},
		{device.AFCUnknownPacket, 0x99, []any{"/DCIM"}},
	} {
		c.status(t, s.want, s.op, s.args...)
	}
	if len(j.violations()) != 7 {
		t.Errorf("got %q", j.violations())
	}
	f := c.open(t, 3, "/x")
	c.status(t, device.AFCNoSpace, device.AFCFileSetSize, f, maxSize+1)
	c.status(t, device.AFCInvalid, device.AFCFileSeek, f, 3, 0)
	c.status(t, device.AFCInvalid, device.AFCFileSeek, f, 0, -1)
	c.status(t, device.AFCInvalid, device.AFCFileLock, f, 77)
	if a := c.do(t, device.AFCReadDir, []byte("/DCIM")); string(a.Data) != ".\x00..\x00" {
		t.Errorf("got %+v for a path that its packet ends", a)
	}
	if runtime.GOOS == "windows" {
		return
	}
	if err := os.Symlink("../"+keyFile, filepath.Join(p.media.Name(), "out")); err != nil {
		t.Fatal(err)
	}
	for _, op := range []device.AFCOp{device.AFCFileOpen, device.AFCTruncate} {
		c.status(t, device.AFCDenied, op, 1, "/out")
	}
	if got := c.list(t, device.AFCFileInfo, "/out"); !slices.Contains(got, "S_IFLNK") || !slices.Contains(got, "LinkTarget") {
		t.Errorf("got %q for a link", got)
	}
}

func TestOpenFilesAreBounded(t *testing.T) {
	t.Parallel()
	_, _, c, _ := newFiles(t)
	for range maxFiles {
		c.open(t, 2, "/x")
	}
	c.status(t, noResources, device.AFCFileOpen, 1, "/x")
	c.status(t, device.AFCOK, device.AFCFileClose, 1)
	c.open(t, 1, "/x")
}

// A lock belongs to an open file of a connection and goes with it.
func TestFileLocks(t *testing.T) {
	t.Parallel()
	const shared, exclusive, unlock = 5, 6, 12
	const name = "/com.apple.itunes.lock_sync"
	_, l, one, _ := newFiles(t)
	two := &files{conn: l.service(t, afcService)}
	a, b := one.open(t, 2, name), two.open(t, 2, name)
	one.status(t, device.AFCOK, device.AFCFileLock, a, exclusive)
	one.status(t, device.AFCOK, device.AFCFileLock, a, exclusive)
	two.status(t, device.AFCWouldBlock, device.AFCFileLock, b, exclusive)
	two.status(t, device.AFCWouldBlock, device.AFCFileLock, b, shared)
	two.status(t, device.AFCOK, device.AFCFileLock, b, unlock)
	two.status(t, device.AFCWouldBlock, device.AFCFileLock, b, exclusive)
	one.status(t, device.AFCOK, device.AFCFileLock, a, shared)
	two.status(t, device.AFCOK, device.AFCFileLock, b, shared)
	one.status(t, device.AFCWouldBlock, device.AFCFileLock, a, exclusive)
	two.status(t, device.AFCOK, device.AFCFileClose, b)
	one.status(t, device.AFCOK, device.AFCFileLock, a, exclusive)
	b = two.open(t, 2, name)
	two.status(t, device.AFCWouldBlock, device.AFCFileLock, b, exclusive)
	one.conn.Close()
	deadline := time.Now().Add(10 * time.Second)
	for {
		answer := two.do(t, device.AFCFileLock, b, exclusive)
		if binary.LittleEndian.Uint64(answer.Params) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a lock outlived its connection")
		}
		runtime.Gosched()
	}
}

func TestDocuments(t *testing.T) {
	t.Parallel()
	p, h, j := newRig(t, Options{})
	l := h.session(t, 1)
	for _, c := range [][3]string{
		{"VendDocuments", "org.example.none", "ApplicationLookupFailed"},
		{"VendDocuments", "../../Media", "ApplicationLookupFailed"},
		{"VendDocuments", "org.example.bank", "InstallationLookupFailed"},
		{"VendContainer", "org.example.notes", "InstallationLookupFailed"},
		{"Explode", "org.example.notes", "UnknownCommand"},
	} {
		conn := l.service(t, houseArrest)
		if a := exchange(t, conn, map[string]any{"Command": c[0], "Identifier": c[1]}); a["Error"] != c[2] {
			t.Errorf("%s: got %v", c, a)
		}
		if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%s: got %v, want the end", c, err)
		}
	}
	conn := l.service(t, houseArrest)
	if a := exchange(t, conn, map[string]any{"Command": "VendDocuments", "Identifier": "org.example.notes"}); a["Status"] != "Complete" {
		t.Fatalf("got %v", a)
	}
	c := &files{conn: conn}
	if got := c.list(t, device.AFCReadDir, "/"); !slices.Equal(got, []string{".", "..", documents}) {
		t.Errorf("got %q", got)
	}
	f := c.open(t, 3, "/Documents/note")
	c.status(t, device.AFCOK, device.AFCFileWrite, f, []byte("hello"))
	c.status(t, device.AFCDenied, device.AFCFileOpen, 3, "/Library/x")
	c.status(t, device.AFCDenied, device.AFCMakeDir, "/DocumentsNot")
	c.status(t, device.AFCDenied, device.AFCRemoveAll, "/Documents")
	c.status(t, device.AFCDenied, device.AFCRenamePath, "/Documents/note", "/note")
	c.status(t, device.AFCDenied, device.AFCRenamePath, "/Documents/note", "/Documents")
	if b, err := p.root.ReadFile("Apps/org.example.notes/Documents/note"); err != nil || string(b) != "hello" {
		t.Errorf("got %q, %v", b, err)
	}
	if len(j.violations()) != 1 {
		t.Errorf("got %q", j.violations())
	}
}

// whole writes packets one after the other.
func whole(f *testing.F, packets ...*device.AFCPacket) []byte {
	f.Helper()
	var b bytes.Buffer
	for i, q := range packets {
		q.Number = uint64(i + 1)
		if err := device.WriteAFC(&b, q); err != nil {
			f.Fatal(err)
		}
	}
	return b.Bytes()
}

func FuzzAFC(f *testing.F) {
	p := fuzzPhone(f)
	le := binary.LittleEndian
	one := le.AppendUint64(nil, 1)
	f.Add(whole(f,
		&device.AFCPacket{Op: device.AFCFileOpen, Params: append(le.AppendUint64(nil, 2), "/x\x00"...)},
		&device.AFCPacket{Op: device.AFCFileWrite, Params: one, Data: []byte("data")},
		&device.AFCPacket{Op: device.AFCFileSeek, Params: slices.Concat(one, one, one)},
		&device.AFCPacket{Op: device.AFCFileRead, Params: slices.Concat(one, one)},
		&device.AFCPacket{Op: device.AFCFileLock, Params: le.AppendUint64(slices.Clone(one), 6)},
		&device.AFCPacket{Op: device.AFCFileClose, Params: one}))
	f.Add(whole(f,
		&device.AFCPacket{Op: device.AFCMakeLink, Params: append(le.AppendUint64(nil, 2), "../x\x00/y\x00"...)},
		&device.AFCPacket{Op: device.AFCRenamePath, Params: []byte("/DCIM\x00/../x\x00")},
		&device.AFCPacket{Op: device.AFCReadDir, Params: []byte("\x00")},
		&device.AFCPacket{Op: device.AFCRemoveAll, Params: []byte("..\x00")}))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		if err := root.MkdirAll("in/Documents", 0o700); err != nil {
			t.Fatal(err)
		}
		in, err := root.OpenRoot("in")
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		c := &afc{p: p, service: afcService, root: in, place: t.Name()}
		if len(data)%2 == 0 {
			c.only = documents
		}
		c.files = map[uint64]*openFile{}
		r := bytes.NewReader(data)
		for {
			q, err := device.ReadAFC(r)
			if err != nil {
				break
			}
			if n := len(q.Params); n >= 8 && (q.Op == device.AFCFileSetSize || q.Op == device.AFCTruncate) {
				continue // it would fill the drive
			}
			if a := c.answer(q); len(a.Params)+len(a.Data) > device.MaxAFC {
				t.Errorf("an answer of %d bytes", len(a.Data))
			}
		}
		for handle := range c.files {
			if err := c.close(handle); err != nil {
				t.Error(err)
			}
		}
		if names, err := os.ReadDir(dir); err != nil || len(names) != 1 || names[0].Name() != "in" {
			t.Errorf("got %v, %v outside the root", names, err)
		}
		if names, err := os.ReadDir(filepath.Join(dir, "in")); c.only != "" && (err != nil || len(names) != 1) {
			t.Errorf("got %v, %v outside the documents", names, err)
		}
	})
}
