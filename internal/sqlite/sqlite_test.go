package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// things makes a database with n rows, and returns its bytes.
func things(t testing.TB, n int, more ...string) []byte {
	t.Helper()
	name := filepath.Join(t.TempDir(), "50% of #1?.db")
	db, err := Create(name, 0)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range append([]string{"CREATE TABLE things (name TEXT, n INTEGER, data BLOB)"}, more...) {
		if _, err := tx.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	insert, err := tx.Prepare("INSERT INTO things VALUES (?, ?, ?)")
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if _, err := insert.Exec(fmt.Sprint("thing ", i), i, bytes.Repeat([]byte{byte(i)}, 500)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(insert.Close(), tx.Commit(), db.Close()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// open opens a database in memory; when the test ends it must be possible to close it.
func open(t testing.TB, data []byte) *DB {
	t.Helper()
	db, err := Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

const selectThings = "SELECT name, n, data FROM things"

func TestCreateIsDeterministic(t *testing.T) {
	t.Parallel()
	drop := []string{"CREATE TABLE x AS SELECT 'secret' AS y", "INSERT INTO x SELECT y FROM x", "DROP TABLE x"}
	a, b := things(t, 300, drop...), things(t, 300, drop...)
	if !bytes.Equal(a, b) {
		t.Error("the same statements gave different files")
	}
	if bytes.Contains(things(t, 0, drop...), []byte("secret")) {
		t.Error("removed rows are still in the file")
	}
}

func TestCreate(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "new.db")
	for _, size := range []int{-1, 1, 511, 4097, 131072} {
		if _, err := Create(name, size); err == nil {
			t.Errorf("made pages of %d bytes", size)
		}
	}
	db, err := Create(name, 8192)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("CREATE TABLE t (x)"); err != nil {
		t.Fatal(err)
	}
	if names, err := os.ReadDir(filepath.Dir(name)); err != nil || len(names) != 1 {
		t.Errorf("there is a journal: %v, %v", names, err)
	}
	if err := errors.Join(tx.Commit(), db.Close()); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(name); err != nil || info.Size() != 2*8192 {
		t.Errorf("two pages: %v, %v", info, err)
	}
	if _, err := Create(name, 0); !errors.Is(err, fs.ErrExist) {
		t.Errorf("the second time: %v", err)
	}
	if names, err := os.ReadDir(filepath.Dir(name)); err != nil || len(names) != 1 {
		t.Errorf("left behind: %v, %v", names, err)
	}
}

func TestRows(t *testing.T) {
	t.Parallel()
	const n = 3000
	db := open(t, things(t, n))
	for range 2 {
		i := 0
		for row, err := range db.Rows(t.Context(), selectThings+" ORDER BY n", 1000) {
			if err != nil {
				t.Fatal(err)
			}
			if row[0] != fmt.Sprint("thing ", i) || row[1] != int64(i) || !bytes.Equal(row[2].([]byte), bytes.Repeat([]byte{byte(i)}, 500)) {
				t.Fatalf("row %d is %v", i, row)
			}
			i++
		}
		if i != n {
			t.Errorf("%d rows, want %d", i, n)
		}
	}
	if err := db.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestRowsNested breaks out of a sequence, and runs several at a time.
func TestRowsNested(t *testing.T) {
	t.Parallel()
	db := open(t, things(t, 50))
	outer := 0
	for range db.Rows(t.Context(), selectThings, 1000) {
		for row, err := range db.Rows(t.Context(), selectThings, 1000) {
			if err != nil || row[1] != int64(0) {
				t.Fatal(row, err)
			}
			break
		}
		if outer++; outer == 7 {
			break
		}
	}
	var total atomic.Int64
	var wg sync.WaitGroup
	for range 2 * maxConns {
		wg.Go(func() {
			for _, err := range db.Rows(context.Background(), selectThings, 1000) {
				if err == nil {
					total.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if total.Load() != 2*maxConns*50 {
		t.Errorf("%d rows", total.Load())
	}
}

func TestRowsErrors(t *testing.T) {
	t.Parallel()
	db := open(t, things(t, 50))
	run := func(ctx context.Context, query string, limit int) (rows int, err error) {
		for _, e := range db.Rows(ctx, query, limit) {
			if e != nil {
				err = errors.Join(err, e)
				continue
			}
			rows++
		}
		return rows, err
	}
	if _, err := run(t.Context(), "SELECT x FROM nothing", 100); err == nil {
		t.Error("no such table: no error")
	}
	if n, err := run(t.Context(), selectThings, 100); err == nil || n > 1 {
		t.Errorf("values above the limit: %d rows, %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := run(ctx, selectThings, 1000); !errors.Is(err, context.Canceled) || n > 0 {
		t.Errorf("cancelled: %d rows, %v", n, err)
	}
	for _, write := range []string{
		"DELETE FROM things", "CREATE TABLE x (y)", "PRAGMA query_only = 0; DELETE FROM things", "VACUUM",
		"ATTACH '" + filepath.Join(t.TempDir(), "new.db") + "' AS x; CREATE TABLE x.y (z)",
	} {
		if _, err := db.Exec(write); err == nil {
			t.Errorf("%s: allowed", write)
		}
	}
	// The limit of Rows must not stay on the connection.
	var data []byte
	if err := db.QueryRow("SELECT data FROM things").Scan(&data); err != nil || len(data) != 500 {
		t.Errorf("%d bytes, %v", len(data), err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	good := things(t, 5)
	broken := bytes.Clone(good)
	copy(broken[bytes.Index(broken, []byte("CREATE TABLE")):], "CREATE TROUT")
	for name, data := range map[string][]byte{
		"text":       []byte("this is not a database, and it is longer than a header of 100 bytes: " + strings.Repeat("x", 600)),
		"short":      good[:100],
		"ciphertext": bytes.Repeat([]byte{0xa5, 0x17, 0x33}, 4096),
		"schema":     broken,
	} {
		db, err := Open(bytes.NewReader(data), int64(len(data)))
		if err == nil {
			t.Errorf("%s: opened", name)
			db.Close()
		}
		if _, ok := errors.AsType[*ReadError](err); ok {
			t.Errorf("%s: blamed on the reader: %v", name, err)
		}
	}
	db := open(t, nil) // SQLite takes no bytes for no tables
	if _, err := db.Query(selectThings); err == nil {
		t.Error("a table in no bytes")
	}
}

func TestDamage(t *testing.T) {
	t.Parallel()
	data := things(t, 500)
	for page := 2; page < len(data)/4096; page++ {
		bad := bytes.Clone(data)
		copy(bad[page*4096:], bytes.Repeat([]byte{0xff}, 16))
		db := open(t, bad)
		if err := db.Check(t.Context()); err == nil {
			t.Errorf("page %d: Check found nothing", page)
		}
		var err error
		for _, e := range db.Rows(t.Context(), selectThings, 1000) {
			err = errors.Join(err, e)
		}
		if err == nil {
			t.Errorf("page %d: Rows found nothing", page)
		}
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	db := open(t, things(t, 1))
	for name, want := range map[string]int{"trusted_schema": 0, "cell_size_check": 1, "temp_store": 2, "query_only": 1} {
		var got int
		if err := db.QueryRow("PRAGMA " + name).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %d, want %d, %v", name, got, want, err)
		}
	}
}

// TestWriteAheadLog opens a database whose header asks for a write-ahead log, of which a backup has none.
func TestWriteAheadLog(t *testing.T) {
	t.Parallel()
	data := things(t, 5)
	data[18], data[19] = 2, 2
	var n int
	if err := open(t, data).QueryRow("SELECT count(*) FROM things").Scan(&n); err != nil || n != 5 {
		t.Errorf("%d, %v", n, err)
	}
}

// failing is a reader that fails after some reads.
type failing struct {
	io.ReaderAt
	left atomic.Int64
}

var errDrive = errors.New("drive is gone")

func (f *failing) ReadAt(p []byte, off int64) (int, error) {
	if f.left.Add(-1) < 0 {
		return 0, errDrive
	}
	return f.ReaderAt.ReadAt(p, off)
}

func TestReadErrors(t *testing.T) {
	t.Parallel()
	data := things(t, 2000)
	for n := int64(0); ; n++ {
		f := &failing{ReaderAt: bytes.NewReader(data)}
		f.left.Store(n)
		db, err := Open(f, int64(len(data)))
		if err == nil {
			for _, e := range db.Rows(t.Context(), selectThings, 1000) {
				err = errors.Join(err, e)
			}
			if e := db.Check(t.Context()); f.left.Load() < 0 && !errors.Is(e, errDrive) {
				t.Errorf("after %d reads Check returned %v", n, e)
			}
			if e := db.Close(); e != nil {
				t.Error(e)
			}
		}
		if f.left.Load() >= 0 {
			if err != nil {
				t.Errorf("%v", err)
			}
			return
		}
		if _, ok := errors.AsType[*ReadError](err); err != nil && (!ok || !errors.Is(err, errDrive)) {
			t.Fatalf("after %d reads: %v", n, err)
		}
		if n > 60 { // of 280 pages
			t.Fatal("too many reads: does reading ahead work?")
		}
	}
}

// TestReader compares all ways to read a file with its bytes.
func TestReader(t *testing.T) {
	t.Parallel()
	data := make([]byte, 3*readAhead+777)
	for i := range data {
		data[i] = byte(i>>8) ^ byte(i)
	}
	f, err := (&reader{r: bytes.NewReader(data), size: int64(len(data))}).Open(fileName)
	if err != nil {
		t.Fatal(err)
	}
	for i, at := 0, 0; i < 2000; i++ {
		size := 1 + i*7919%9000
		if i%5 == 0 {
			at = i * 104729 % len(data)
		}
		if i%97 == 0 {
			size = readAhead + i
		}
		if at >= len(data) {
			at = 0
		}
		if _, err := f.(io.Seeker).Seek(int64(at), io.SeekStart); err != nil {
			t.Fatal(err)
		}
		want := data[at:min(at+size, len(data))]
		got := make([]byte, size)
		n, err := io.ReadFull(f, got)
		if !bytes.Equal(got[:n], want) || (err == nil) != (n == size) {
			t.Fatalf("read %d bytes at %d: %d bytes, %v", size, at, n, err)
		}
		at += n
	}
	if _, err := f.(io.Seeker).Seek(-1, io.SeekStart); err == nil {
		t.Error("sought before the start")
	}
}

// fickle is a reader that fails at one place, once, after it has filled half.
type fickle struct {
	data []byte
	at   int64
}

func (f *fickle) ReadAt(p []byte, off int64) (int, error) {
	if off == f.at {
		f.at = -1
		return copy(p[:len(p)/2], bytes.Repeat([]byte{0xee}, len(p))), errDrive
	}
	return bytes.NewReader(f.data).ReadAt(p, off)
}

// TestReaderRecovers reads on after an error: what was read ahead half-way must not be given out.
func TestReaderRecovers(t *testing.T) {
	t.Parallel()
	data := make([]byte, 3*readAhead)
	r := &reader{r: &fickle{data: data, at: readAhead}, size: int64(len(data))}
	f, err := r.Open(fileName)
	if err != nil {
		t.Fatal(err)
	}
	page := make([]byte, 4096)
	failures := 0
	for at := int64(0); at < int64(len(data)); at += 4096 {
		for {
			if _, err := f.(io.Seeker).Seek(at, io.SeekStart); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(f, page); err == nil {
				break
			}
			failures++
		}
		if !bytes.Equal(page, data[:4096]) {
			t.Fatalf("wrong bytes at %d", at)
		}
	}
	if failures != 1 || !errors.Is(r.failed(), errDrive) {
		t.Errorf("%d failures, %v", failures, r.failed())
	}
}

func BenchmarkRows(b *testing.B) {
	db := open(b, things(b, 20000))
	rows := 0
	for b.Loop() {
		for _, err := range db.Rows(b.Context(), selectThings, 1000) {
			if err != nil {
				b.Fatal(err)
			}
			rows++
		}
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}
