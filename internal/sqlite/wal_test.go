package sqlite

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

// logged is a database with a write-ahead log, and what it was after each of its
// transactions.
type logged struct {
	db, wal []byte
	states  []string // sums of the rows
	ends    []int    // length of the log after each transaction
}

const logPage = 4096

// makeLogged writes a database of five transactions; the first of them is in the
// database itself.
func makeLogged(t testing.TB) logged {
	t.Helper()
	name := filepath.Join(t.TempDir(), "x.db")
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(name)+"?_pragma=journal_mode(wal)&_pragma=wal_autocheckpoint(0)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	exec := func(query string, args ...any) {
		t.Helper()
		if _, err := db.Exec(query, args...); err != nil {
			t.Fatal(err)
		}
	}
	var l logged
	state := func() {
		t.Helper()
		var s string
		if err := db.QueryRow(sumQuery).Scan(&s); err != nil {
			t.Fatal(err)
		}
		wal, err := os.ReadFile(name + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		l.states, l.ends = append(l.states, s), append(l.ends, len(wal))
	}
	exec("CREATE TABLE t (x INTEGER PRIMARY KEY, y TEXT)")
	exec("INSERT INTO t VALUES (1, 'one')")
	exec("PRAGMA wal_checkpoint(TRUNCATE)")
	state()
	for i := range 4 {
		exec("INSERT INTO t VALUES (?, ?)", i+2, strings.Repeat(fmt.Sprint(i), 6000))
		state()
		if i == 2 {
			exec("DELETE FROM t WHERE x = 3")
			state()
		}
	}
	if l.db, err = os.ReadFile(name); err != nil {
		t.Fatal(err)
	}
	if l.wal, err = os.ReadFile(name + "-wal"); err != nil {
		t.Fatal(err)
	}
	return l
}

const sumQuery = "SELECT count(*) || ' ' || sum(x) || ' ' || sum(length(y)) FROM t"

// readLogged returns what is in a database with a log, through our overlay.
func readLogged(t testing.TB, db, wal []byte) (string, error) {
	t.Helper()
	r, size, err := WithWAL(bytes.NewReader(db), int64(len(db)), bytes.NewReader(wal), int64(len(wal)))
	if err != nil {
		return "", err
	}
	d, err := Open(r, size)
	if err != nil {
		return "", err
	}
	defer d.Close()
	if err := d.Check(t.Context()); err != nil {
		return "", err
	}
	var s string
	err = d.QueryRow(sumQuery).Scan(&s)
	return s, err
}

func TestWAL(t *testing.T) {
	t.Parallel()
	l := makeLogged(t)
	// Cut off anywhere, a log holds the transactions that are whole.
	for _, end := range l.ends {
		for _, n := range []int{end, end + 1, end + frameHeader + logPage, end - 1, end - logPage/2} {
			if n < 0 || n > len(l.wal) {
				continue
			}
			want := ""
			for i, e := range l.ends {
				if e <= n {
					want = l.states[i]
				}
			}
			if got, err := readLogged(t, l.db, l.wal[:n]); err != nil || got != want {
				t.Errorf("a log of %d bytes: got %q, %v, want %q", n, got, err, want)
			}
		}
	}
	// A byte that is another one ends it before.
	for _, at := range []int{l.ends[1] + 4, l.ends[1] + 9, l.ends[1] + 17, l.ends[1] + 500} {
		bad := bytes.Clone(l.wal)
		bad[at] ^= 1
		if got, err := readLogged(t, l.db, bad); err != nil || got != l.states[1] {
			t.Errorf("byte %d is another: got %q, %v, want %q", at, got, err, l.states[1])
		}
	}
	for at := range walHeader {
		bad := bytes.Clone(l.wal)
		bad[at] ^= 1
		if got, err := readLogged(t, l.db, bad); err != nil || got != l.states[0] {
			t.Errorf("byte %d of the header is another: got %q, %v, want %q", at, got, err, l.states[0])
		}
	}
}

// TestWALAlone is of a database that has all its pages in its log.
func TestWALAlone(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "x.db")
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(name)+"?_pragma=journal_mode(wal)&_pragma=wal_autocheckpoint(0)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE t (x INTEGER PRIMARY KEY, y TEXT); INSERT INTO t VALUES (7, 'seven')"); err != nil {
		t.Fatal(err)
	}
	wal, err := os.ReadFile(name + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range [][]byte{nil, make([]byte, 4096)} {
		if len(data) > 0 {
			copy(data[16:], "\x10\x00")
		}
		if got, err := readLogged(t, data, wal); err != nil || got != "1 7 5" {
			t.Errorf("with %d bytes of database: got %q, %v", len(data), got, err)
		}
	}
	if _, err := readLogged(t, []byte("SQLite format 3\x00\x02\x00 more"), wal); !errors.Is(err, ErrWAL) {
		t.Errorf("pages of another size: %v", err)
	}
}

// TestWALSize is of a log that says the database has pages without end.
func TestWALSize(t *testing.T) {
	t.Parallel()
	wal := bytes.Clone(makeLogged(t).wal[:walHeader+frameHeader+logPage])
	binary.BigEndian.PutUint32(wal[walHeader+4:], 1<<30)
	var order binary.ByteOrder = binary.LittleEndian
	if wal[3]&1 == 1 {
		order = binary.BigEndian
	}
	sum := checksum{binary.BigEndian.Uint32(wal[24:]), binary.BigEndian.Uint32(wal[28:])}
	sum.add(order, wal[walHeader:walHeader+8])
	sum.add(order, wal[walHeader+frameHeader:])
	binary.BigEndian.PutUint32(wal[walHeader+16:], sum[0])
	binary.BigEndian.PutUint32(wal[walHeader+20:], sum[1])
	if _, err := readLogged(t, nil, wal); !errors.Is(err, ErrWAL) {
		t.Errorf("got %v, want that it has not as many pages", err)
	}
}

func TestWALReader(t *testing.T) {
	t.Parallel()
	l := makeLogged(t)
	r, size, err := WithWAL(bytes.NewReader(l.db), int64(len(l.db)), bytes.NewReader(l.wal), int64(len(l.wal)))
	if err != nil {
		t.Fatal(err)
	}
	whole, err := io.ReadAll(io.NewSectionReader(r, 0, size+10))
	if err != nil || int64(len(whole)) != size {
		t.Fatalf("%d bytes, %v, want %d", len(whole), err, size)
	}
	for _, c := range [][2]int64{{0, 1}, {logPage - 1, 2}, {logPage, 3 * logPage}, {size - 1, 1}, {17, size - 17}} {
		p := make([]byte, c[1])
		if n, err := r.ReadAt(p, c[0]); n != len(p) || err != nil || !bytes.Equal(p, whole[c[0]:c[0]+c[1]]) {
			t.Errorf("%d bytes from %d: %d, %v, or others", c[1], c[0], n, err)
		}
	}
	if n, err := r.ReadAt(make([]byte, 9), size-4); n != 4 || err != io.EOF {
		t.Errorf("beyond the end: %d, %v", n, err)
	}
	page := bytes.Repeat([]byte{7}, 600)
	short := &overlay{db: bytes.NewReader(bytes.Repeat([]byte{9}, len(l.db))), dbSize: 510, wal: bytes.NewReader(l.wal), log: &log{pageSize: 512, pages: 2}}
	if _, err := short.ReadAt(page, 500); err != io.EOF && err != nil || !bytes.Equal(page[10:524], make([]byte, 514)) {
		t.Errorf("pages that nobody wrote: %v, or not zeros", err)
	}
	short.dbSize = int64(len(l.db)) + 512
	short.log.pages = short.dbSize / 512
	if _, err := short.ReadAt(page, short.dbSize-600); err != io.ErrUnexpectedEOF {
		t.Errorf("a database that is shorter than it was: %v", err)
	}
	if _, err := r.ReadAt(nil, -1); err == nil {
		t.Error("a negative offset was taken")
	}
	bad := io.NewSectionReader(readerAt{iotest.ErrReader(io.ErrClosedPipe)}, 0, 1<<20)
	if _, _, err := WithWAL(bytes.NewReader(l.db), int64(len(l.db)), bad, bad.Size()); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a log that cannot be read: %v", err)
	}
	if _, _, err := WithWAL(bad, bad.Size(), bytes.NewReader(l.wal), int64(len(l.wal))); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a database that cannot be read: %v", err)
	}
}

// readerAt reads from the same place, whatever it is asked.
type readerAt struct{ io.Reader }

func (r readerAt) ReadAt(p []byte, _ int64) (int, error) { return r.Read(p) }

// FuzzWAL reads all of a database with any log.
func FuzzWAL(f *testing.F) {
	l := makeLogged(f)
	f.Add(l.db[:2*logPage], l.wal)
	f.Add([]byte{}, l.wal[:l.ends[1]])
	f.Add(l.db[:100], l.wal[:40])
	f.Fuzz(func(t *testing.T, db, wal []byte) {
		r, size, err := WithWAL(bytes.NewReader(db), int64(len(db)), bytes.NewReader(wal), int64(len(wal)))
		if err != nil {
			return
		}
		n, err := io.Copy(io.Discard, io.NewSectionReader(r, 0, min(size, 1<<20)))
		if err != nil || n != min(size, 1<<20) {
			t.Errorf("%d bytes of %d, %v", n, size, err)
		}
	})
}
