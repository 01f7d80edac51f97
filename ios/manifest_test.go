package ios

import (
	"bytes"
	"context"
	"crypto/sha1"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	"russet/internal/sqlite"
)

// schema is that of iOS.
const schema = `CREATE TABLE Files (fileID TEXT PRIMARY KEY, domain TEXT, relativePath TEXT, flags INTEGER, file BLOB);
	CREATE TABLE Properties (key TEXT PRIMARY KEY, value BLOB);
	CREATE INDEX FilesDomainIdx ON Files(domain);
	CREATE INDEX FilesRelativePathIdx ON Files(relativePath);
	CREATE INDEX FilesFlagsIdx ON Files(flags);`

// manifest makes a database from SQL and what fill does, and returns its bytes.
func manifest(t testing.TB, schema string, fill func(tx *sql.Tx) error) []byte {
	t.Helper()
	name := filepath.Join(t.TempDir(), DatabaseName)
	db, err := sqlite.Create(name, 0)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(schema); err != nil {
		t.Fatal(err)
	}
	if fill != nil {
		if err := fill(tx); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(tx.Commit(), db.Close()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// many inserts n files of one domain.
func many(n int) func(tx *sql.Tx) error {
	return func(tx *sql.Tx) error {
		insert, err := tx.Prepare("INSERT INTO Files VALUES (?, ?, ?, ?, ?)")
		if err != nil {
			return err
		}
		defer insert.Close()
		for i := range n {
			f := File{
				RelativePath: fmt.Sprintf("Documents/folder/%06d.txt", i), Mode: 0o100644, UserID: 501, GroupID: 501,
				Inode: uint64(i), LastModified: 1690000000, Birth: 1690000000, ProtectionClass: 3, EncryptionKey: key(3),
			}
			const domain = "AppDomain-com.example.app"
			if _, err := insert.Exec(FileID(domain, f.RelativePath), domain, f.RelativePath, 1, MarshalFile(&f)); err != nil {
				return err
			}
		}
		return nil
	}
}

// collect returns what Records yields.
func collect(ctx context.Context, m *Manifest) (all []Record, errs []error) {
	for r, err := range m.Records(ctx) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, r)
	}
	return all, errs
}

func TestFileID(t *testing.T) {
	t.Parallel()
	// The names of sms.db and of the address book are the same on every phone.
	for id, of := range map[string][2]string{
		"3d0d7e5fb2ce288813306e4d4636395e047a3d28": {"HomeDomain", "Library/SMS/sms.db"},
		"31bb7ba8914766d4ba40d6dfb6113c8b614be442": {"HomeDomain", "Library/AddressBook/AddressBook.sqlitedb"},
	} {
		if got := FileID(of[0], of[1]); got != id {
			t.Errorf("FileID%q = %s, want %s", of, got, id)
		}
	}
	if got := FileID("HomeDomain", strings.Repeat("long/", 1000)); len(got) != 40 {
		t.Errorf("got %q", got)
	}
}

// Where the phone says that a file lies tells its domain, whatever comes before the path.
func TestExpectsDigest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		domain, path, source string
		want                 bool
	}{
		{"HomeDomain", "Library/SMS/sms.db", "/.b/6/Library/SMS/sms.db", true},
		{"HomeDomain", "Library/SMS/sms.db", "/private/var/mobile/Library/SMS/sms.db", true},
		{"KeychainDomain", "keychain-backup.plist", "keychain-backup.plist", true},
		{"CameraRollDomain", "Media/DCIM/100APPLE/IMG_0001.HEIC", "/.b/6/Media/DCIM/100APPLE/IMG_0001.HEIC", false},
		{"HomeDomain", "Library/SMS/sms.db", "/.b/6/Library/SMS/other.db", false},
		{"HomeDomain", "x", strings.Repeat("/", maxGuesses-1) + "x", true},
		{"HomeDomain", "x", strings.Repeat("/", maxGuesses) + "x", false},
		{"HomeDomain", "x", strings.Repeat("a", maxGuessed) + "/x", false},
		{"HomeDomain", "", "", true},
	} {
		id := sha1.Sum([]byte(c.domain + "-" + c.path))
		if got := ExpectsDigest(c.source, id); got != c.want {
			t.Errorf("%s %s at %.60s: got %t, want %t", c.domain, c.path, c.source, got, c.want)
		}
	}
}

func TestRecords(t *testing.T) {
	t.Parallel()
	const n = 5000
	data := manifest(t, schema, many(n))
	m := openManifest(t, bytes.NewReader(data), int64(len(data)))
	all, errs := collect(t.Context(), m)
	if len(all) != n || errs != nil {
		t.Fatalf("%d records, %v", len(all), errs)
	}
	for i, r := range all {
		var f File
		if err := r.Parse(&f); err != nil {
			t.Fatal(err)
		}
		if f.RelativePath != r.RelativePath || f.Inode != uint64(i) || r.Flags != RegularFile || r.FileID != FileID(r.Domain, r.RelativePath) {
			t.Fatalf("record %d is %+v, %+v", i, r, f)
		}
	}
	if err := m.Check(t.Context()); err != nil {
		t.Error(err)
	}
	for r, err := range m.Records(t.Context()) {
		if err != nil || !reflect.DeepEqual(r, all[0]) {
			t.Errorf("got %+v, want %+v, %v", r, all[0], err)
		}
		break
	}
}

// TestRecordsOddRows reads rows that no phone writes: each is an error of its own, and the others are not concerned.
func TestRecordsOddRows(t *testing.T) {
	t.Parallel()
	data := manifest(t, schema, func(tx *sql.Tx) error {
		good := MarshalFile(&files()[1])
		for _, row := range [][]any{
			{"good 1", "", "", 2, good},
			{nil, "D", "p", 1, good},
			{"bad 3", nil, "p", 1, good},
			{"bad 4", "D", nil, 1, good},
			{"bad 5", "D", "p", "one", good},
			{"bad 6", "D", "p", 1, nil},
			{"bad 7", "D", "p", 1, "text"},
			{"bad 8", "D", "p", 1, make([]byte, maxBlob+1)},
			{"bad 9", "D", strings.Repeat("p", maxPath+1), 1, good},
			{"bad 10", "D", []byte("blob"), 1, good},
			{"bad 11", "D", "p", 1.5, good},
			{"good 12", "D\x00\xff", strings.Repeat("p", maxPath), 1, make([]byte, maxBlob)},
		} {
			if _, err := tx.Exec("INSERT INTO Files VALUES (?, ?, ?, ?, ?)", row...); err != nil {
				return err
			}
		}
		return nil
	})
	all, errs := collect(t.Context(), openManifest(t, bytes.NewReader(data), int64(len(data))))
	if len(all) != 2 || all[1].FileID != "good 12" || all[1].Domain != "D\x00\xff" || len(all[1].Blob) != maxBlob {
		t.Errorf("%d records", len(all))
	}
	if len(errs) != 10 {
		t.Errorf("%d errors: %v", len(errs), errs)
	}
	for i, err := range errs {
		if e, ok := errors.AsType[*RowError](err); !ok || e.Row != int64(i+2) {
			t.Errorf("error %d: %v", i, err)
		}
	}
}

func TestOpenManifestRefuses(t *testing.T) {
	t.Parallel()
	const columns = "(fileID TEXT, domain TEXT, relativePath TEXT, flags INTEGER, file BLOB"
	for name, data := range map[string][]byte{
		"nothing":    {},
		"ciphertext": testBytes(3 * 4096),
		"header":     []byte("SQLite format 3\x00"),
		"no table":   manifest(t, "CREATE TABLE x (y)", nil),
		"columns":    manifest(t, "CREATE TABLE Files (fileID, domain, relativePath, flags)", nil),
		"view": manifest(t, "CREATE TABLE x"+columns+`); CREATE VIEW Files AS
			WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c) SELECT n AS fileID, '' AS domain, '' AS relativePath, 1 AS flags, x'' AS file FROM c`, nil),
		"virtual":  manifest(t, "CREATE VIRTUAL TABLE Files USING fts5(fileID, domain, relativePath, flags, file)", nil),
		"computed": manifest(t, "CREATE TABLE Files (fileID, domain, relativePath, flags, x, file AS (zeroblob(1000000000)))", nil),
	} {
		m, err := OpenManifest(bytes.NewReader(data), int64(len(data)))
		if !errors.Is(err, ErrUnreadable) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			m.Close()
		}
	}
	// A table without row ids, with one column more and in other letters is a manifest still.
	data := manifest(t, "CREATE TABLE files (FILEID TEXT PRIMARY KEY, extra, domain, relativepath, Flags, File) WITHOUT ROWID; "+
		"INSERT INTO files VALUES ('id', 1, 'D', 'p', 1, x'00')", nil)
	all, errs := collect(t.Context(), openManifest(t, bytes.NewReader(data), int64(len(data))))
	if len(all) != 1 || errs != nil || all[0].FileID != "id" {
		t.Errorf("got %v, %v", all, errs)
	}
}

func TestManifestDamaged(t *testing.T) {
	t.Parallel()
	data := manifest(t, schema, many(300))
	found := 0
	for page := 1; page < len(data)/4096; page += 3 {
		bad := bytes.Clone(data)
		copy(bad[page*4096:], bytes.Repeat([]byte{0xff}, 64))
		m, err := OpenManifest(bytes.NewReader(bad), int64(len(bad)))
		if err != nil {
			t.Fatalf("page %d: %v", page, err)
		}
		if err := m.Check(t.Context()); !errors.Is(err, ErrUnreadable) {
			t.Errorf("page %d: Check: %v", page, err)
		}
		if _, errs := collect(t.Context(), m); errs != nil {
			found++
			if len(errs) > 1 || !errors.Is(errs[0], ErrUnreadable) {
				t.Errorf("page %d: %v", page, errs)
			}
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	if found == 0 {
		t.Error("no damage was found")
	}
}

// lost is a drive that is gone after some reads.
type lost struct {
	io.ReaderAt
	left atomic.Int64
}

var errLost = errors.New("drive is gone")

func (l *lost) ReadAt(p []byte, off int64) (int, error) {
	if l.left.Add(-1) < 0 {
		return 0, errLost
	}
	return l.ReaderAt.ReadAt(p, off)
}

// TestManifestReadErrors makes sure that a lost drive is not taken for a damaged manifest.
func TestManifestReadErrors(t *testing.T) {
	t.Parallel()
	data := manifest(t, schema, many(500))
	for n := range int64(12) {
		l := &lost{ReaderAt: bytes.NewReader(data)}
		l.left.Store(n)
		m, err := OpenManifest(l, int64(len(data)))
		if err == nil {
			_, errs := collect(t.Context(), m)
			err = errors.Join(append(errs, m.Check(t.Context()), m.Close())...)
		}
		if !errors.Is(err, errLost) || errors.Is(err, ErrUnreadable) {
			t.Errorf("after %d reads: %v", n, err)
		}
	}
}

func TestRecordsCancelled(t *testing.T) {
	t.Parallel()
	data := manifest(t, schema, many(3*pollRows))
	m := openManifest(t, bytes.NewReader(data), int64(len(data)))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	var err error
	for _, e := range m.Records(ctx) {
		if err = e; e != nil {
			continue
		}
		if n++; n == 10 {
			cancel()
		}
	}
	if n >= 2*pollRows || !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnreadable) {
		t.Errorf("%d records, %v", n, err)
	}
	if err := m.Check(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnreadable) {
		t.Errorf("Check: %v", err)
	}
}

// endless makes the table Files one whose pages all refer to the same one below, several levels deep: some 10^10 rows in a
// few pages. The layout is that of SQLite's "Database File Format", section 1.6.
func endless(t *testing.T) []byte {
	t.Helper()
	data := manifest(t, schema, many(2))
	var root int
	m := openManifest(t, bytes.NewReader(data), int64(len(data)))
	if err := m.db.QueryRow("SELECT rootpage FROM sqlite_schema WHERE name = 'Files'").Scan(&root); err != nil {
		t.Fatal(err)
	}
	size := int(binary.BigEndian.Uint16(data[16:]))
	page := func(n int) []byte { return data[(n-1)*size : n*size] }
	below := len(data)/size + 1
	data = append(data, page(root)...) // a leaf
	for range 3 {
		interior := make([]byte, size)
		interior[0] = 5
		count := (size - 12) / 7
		binary.BigEndian.PutUint16(interior[3:], uint16(count))
		binary.BigEndian.PutUint32(interior[8:], uint32(below))
		at := size
		for i := range count {
			at -= 5
			binary.BigEndian.PutUint32(interior[at:], uint32(below))
			interior[at+4] = 1 // the row number
			binary.BigEndian.PutUint16(interior[12+2*i:], uint16(at))
		}
		binary.BigEndian.PutUint16(interior[5:], uint16(at))
		below = len(data)/size + 1
		data = append(data, interior...)
	}
	copy(page(root), page(below))
	binary.BigEndian.PutUint32(data[28:], uint32(len(data)/size))
	return data
}

func TestEndlessManifest(t *testing.T) {
	t.Parallel()
	data := endless(t)
	m := openManifest(t, bytes.NewReader(data), int64(len(data)))
	rows := 0
	for _, err := range m.Records(t.Context()) {
		if rows++; err != nil {
			if !errors.Is(err, ErrUnreadable) || !errors.Is(err, errManyRows) {
				t.Errorf("records: %v, want that there are too many", err)
			}
			break
		}
		if rows > 100_000 {
			t.Fatal("more rows than the file can hold")
		}
	}
	if rows < freeRows {
		t.Errorf("it ends after %d rows", rows)
	}
}

// FuzzManifest opens databases that are almost manifests.
func FuzzManifest(f *testing.F) {
	f.Add(manifest(f, schema, many(5)))
	f.Add(manifest(f, "CREATE TABLE Files (fileID, domain, relativePath, flags, file)", nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := OpenManifest(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		n := 0
		for r, err := range m.Records(t.Context()) {
			if err == nil {
				_ = r.Parse(new(File))
			}
			if n++; n > 1000 {
				break
			}
		}
		_ = m.Check(t.Context())
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
}

func BenchmarkRecords(b *testing.B) {
	const n = 20000
	data := manifest(b, schema, many(n))
	m := openManifest(b, bytes.NewReader(data), int64(len(data)))
	var f File
	rows := 0
	for b.Loop() {
		for r, err := range m.Records(b.Context()) {
			if err = errors.Join(err, r.Parse(&f)); err != nil {
				b.Fatal(err)
			}
			rows++
		}
	}
	if rows%n != 0 {
		b.Errorf("%d rows", rows)
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}
