package records

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

const samples = "../../shared/samples"

// samplePhone is the home folder of a sample as the files of a phone.
func samplePhone(t *testing.T, home string) fstest.MapFS {
	t.Helper()
	dir := filepath.Join(samples, "stores", home)
	if _, err := os.Stat(dir); err != nil {
		t.Skip("samples missing: " + home)
	}
	files := fstest.MapFS{}
	err := fs.WalkDir(os.DirFS(dir), "Library", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		files["HomeDomain/"+name] = &fstest.MapFile{Data: data}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// sampleBackup is a plain backup folder as the files of a phone.
func sampleBackup(t *testing.T, name string) fstest.MapFS {
	t.Helper()
	dir := filepath.Join(samples, "backups", name)
	data, err := os.ReadFile(filepath.Join(dir, "truth.json"))
	if err != nil {
		t.Skip("samples missing: " + name)
	}
	var truth struct {
		UDID  string
		Files []struct{ FileID, Domain, RelativePath string }
	}
	if err := json.Unmarshal(data, &truth); err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{}
	for _, f := range truth.Files {
		data, err := os.ReadFile(filepath.Join(dir, truth.UDID, f.FileID[:2], f.FileID))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		files[f.Domain+"/"+f.RelativePath] = &fstest.MapFile{Data: data}
	}
	return files
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	got, err := readAccounts(t.Context(), samplePhone(t, "iLEAPP/josh_ios15_ffs/mobile"))
	if err != nil {
		t.Fatal(err)
	}
	const carddav, host = "BEBE918C-3A13-4949-8C19-9B6B7E7E266F", "google.com"
	if a := got[carddav]; len(got) != 19 || a.name != "Gmail" || a.host != host || a.kind != "com.apple.account.CardDAV" {
		t.Errorf("got %d accounts, want 19; the second CardDAV account has the host %q, want %q", len(got), a.host, host)
	}
}

func TestArchivedText(t *testing.T) {
	t.Parallel()
	if got := archivedText([]byte("bplist00 and no list")); got != "" {
		t.Errorf("got %q of what is no list", got)
	}
}

func TestNoStore(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{"HomeDomain/Library/Other": {}}
	for _, kind := range []Kind{Contacts, Calendar, Reminders, "stamps"} {
		if _, err := Read(t.Context(), files, kind); !errors.Is(err, ErrNoStore) {
			t.Errorf("%s: %v, want that there is none", kind, err)
		}
		if got, err := Stores(files, kind); len(got) > 0 || err != nil {
			t.Errorf("%s: %v, %v, want none", kind, got, err)
		}
	}
}

func TestUnknownLayout(t *testing.T) {
	t.Parallel()
	for want, file := range map[string]*fstest.MapFile{
		"its tables are abperson (2 columns), abstore_node (2 columns), abstore_parent (2 columns), abstore_rowid (2 columns), boxes_node": database(t, `CREATE TABLE ABPerson (First, guid)`,
			`CREATE TABLE "zzÄ'" (x)`, `CREATE VIEW ABMultiValue AS SELECT 1 AS UID`, `CREATE VIRTUAL TABLE boxes USING rtree(id, a, b)`,
			`CREATE VIRTUAL TABLE ABStore USING rtree(id, Name, Type)`, `PRAGMA writable_schema = 1`,
			`UPDATE sqlite_schema SET sql = replace(sql, 'VIRTUAL', '/**/VIRTUAL') WHERE name = 'ABStore'`),
		"it has no tables": {},
	} {
		_, err := Read(t.Context(), fstest.MapFS{bookName: file}, Contacts)
		if !errors.Is(err, ErrUnknownLayout) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// plainFS hides that files can be read at any place, and fails as it is told.
type plainFS struct {
	fs.FS
	fails map[string]error // by name: opening it
}

func (p plainFS) Open(name string) (fs.File, error) {
	if err := p.fails[name]; err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	f, err := p.FS.Open(name)
	if d, ok := f.(fs.ReadDirFile); ok {
		return d, err
	}
	return struct{ fs.File }{f}, err
}

func TestPlainFiles(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{bookName: database(t, script(t, "ios17.sql")), "HomeDomain/" + picturesPath: pictures(t)}
	want, got := readBook(t, files), readBook(t, plainFS{FS: files})
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	broken := errors.New("the drive is gone")
	for _, name := range []string{bookName, bookName + "-wal", "HomeDomain"} {
		set, err := Read(t.Context(), plainFS{FS: files, fails: map[string]error{name: broken}}, Contacts)
		if !errors.Is(err, broken) {
			t.Errorf("%s cannot be opened: %v, %v", name, set, err)
		}
	}
	set := readBook(t, plainFS{FS: files, fails: map[string]error{"HomeDomain/" + picturesPath: broken}})
	if set.Complete || len(set.Records) != len(want.Records) {
		t.Errorf("pictures cannot be opened: complete %v, %d records, want %d", set.Complete, len(set.Records), len(want.Records))
	}
	for _, r := range set.Records {
		if !slices.Equal(r.Unread, []string{"PHOTO"}) {
			t.Errorf("pictures cannot be opened: of a record %q could not be read", r.Unread)
		}
	}
	if set := readBook(t, fstest.MapFS{bookName: files[bookName]}); !set.Complete || !slices.Equal(set.Records[0].Unread, []string{"PHOTO"}) {
		t.Errorf("no pictures are there: complete %v, of a record %q could not be read", set.Complete, set.Records[0].Unread)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Read(ctx, files, Contacts); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	delete(files, bookName)
	files[bookName+"/folder"] = &fstest.MapFile{}
	if _, err := Read(t.Context(), files, Contacts); err == nil {
		t.Error("a folder was read as a database")
	}
}

func TestStores(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{
		bookName: {}, bookName + "-wal": {}, bookName + "-shm": {}, "HomeDomain/" + picturesPath: {}, "Other/" + addressBookPath: {},
	}
	got, err := Stores(files, Contacts)
	want := []string{bookName, bookName + "-wal", "HomeDomain/" + picturesPath}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	broken := errors.New("the drive is gone")
	if got, err := Stores(plainFS{FS: files, fails: map[string]error{"HomeDomain": broken, bookName: broken}}, Contacts); !errors.Is(err, broken) {
		t.Errorf("got %v, %v, want that a folder could not be read", got, err)
	}
}

func TestGlob(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{"A-1/Stores/Data-1.sqlite": {}, "A-1/Stores/Data-2.sqlite": {}, "A-1/Stores/Other.sqlite": {}, "A-2/Stores/Data-1.sqlite": {}, "B/x": {}}
	for pattern, want := range map[string][]string{
		"A-1/Stores/Data-*.sqlite": {"A-1/Stores/Data-1.sqlite", "A-1/Stores/Data-2.sqlite"},
		"A-*/Stores/Data-1.sqlite": {"A-1/Stores/Data-1.sqlite", "A-2/Stores/Data-1.sqlite"},
		"*/Stores/None-*":          nil,
		"C/Stores/*":               nil,
		"B/x":                      {"B/x"},
	} {
		if got, err := glob(files, pattern); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, %v, want %v", pattern, got, err, want)
		}
	}
	broken := errors.New("the drive is gone")
	if got, err := glob(plainFS{FS: files, fails: map[string]error{"A-1/Stores": broken}}, "A-1/Stores/*"); !errors.Is(err, broken) {
		t.Errorf("got %v, %v, want the folder's error", got, err)
	}
}

// TestLongRows shows that rows which are too long are missing, and no others.
func TestLongRows(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{"db": database(t, "CREATE TABLE t (x)",
		"INSERT INTO t (rowid, x) VALUES (-5, 'a'), (1, zeroblob(3000)), (2, 'b'), (7, zeroblob(5000)), (8, 'c'), (9, zeroblob(4000))")}
	s, err := openStore(t.Context(), files, "db")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.row = 2000
	var got []string
	for r, err := range s.rows(t.Context(), "t", "x", "y") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r.text("x")+r.text("y"))
	}
	var missing []int64
	for _, p := range s.set.Problems {
		missing = append(missing, p.Row)
	}
	if strings.Join(got, "") != "abc" || !reflect.DeepEqual(missing, []int64{1, 7, 9}) || s.set.Complete {
		t.Errorf("got %q, missing %v, complete %v", got, missing, s.set.Complete)
	}
	s.row = 50 // not even what SQLite itself needs
	for _, err := range s.rows(t.Context(), "t", "x") {
		if err != nil {
			return
		}
	}
}

// TestEndlessRows is of a table whose pages refer to the same one again and again.
func TestEndlessRows(t *testing.T) {
	t.Parallel()
	file := database(t, "CREATE TABLE t (x)", "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO t SELECT i FROM n")
	const page, root, leaf = 512, 2, 3
	top := file.Data[(root-1)*page : root*page]
	if top[0] != 5 || file.Data[(leaf-1)*page] != 13 {
		t.Fatal("the pages are not where they were: an inner one, then a leaf")
	}
	binary.BigEndian.PutUint32(top[8:], leaf)
	for i := range int(binary.BigEndian.Uint16(top[3:])) {
		cell := binary.BigEndian.Uint16(top[12+2*i:])
		binary.BigEndian.PutUint32(top[cell:], leaf)
	}
	file.Data = file.Data[:leaf*page]
	binary.BigEndian.PutUint32(file.Data[28:], leaf)
	s, err := openStore(t.Context(), fstest.MapFS{"db": file}, "db")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	n := 0
	for _, err = range s.rows(t.Context(), "t", "x") {
		n++
	}
	if err == nil || n > leaf*page {
		t.Errorf("%d rows, %v, want an end", n, err)
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{"db": database(t, "CREATE TABLE t (s TIMESTAMP, i BOOLEAN, f REAL, b BLOB, n)",
		"INSERT INTO t VALUES (CAST(x'41FF42' AS TEXT), 7, 1.5, x'4344', NULL)",
		"INSERT INTO t VALUES ('2020-01-01 00:00:00', '13', 700000000, 'text', '1e3')",
		"INSERT INTO t VALUES ("+`'`+strings.Repeat("x", maxText-1)+"ü"+`', -1, 1e300, x'', 'NaN')`)}
	s, err := openStore(t.Context(), files, "db")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var texts []string
	var numbers []any
	for r, err := range s.rows(t.Context(), "T", "s", "i", "f", "b", "n", "gone") {
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []string{"s", "i", "f", "b", "n", "gone"} {
			text := r.text(c)
			texts = append(texts, text[:min(len(text), 12)])
			n, ok := r.integer(c)
			numbers = append(numbers, n, ok)
		}
		at, ok := r.time("f")
		numbers = append(numbers, at.Unix(), ok, string(r.bytes("b")))
	}
	wantTexts := []string{"A\uFFFDB", "7", "1.5", "CD", "", "", "2020-01-01 0", "13", "700000000", "text", "1e3", "", strings.Repeat("x", 12), "-1", "100000000000", "", "NaN", ""}
	if !reflect.DeepEqual(texts, wantTexts) {
		t.Errorf("got %q, want %q", texts, wantTexts)
	}
	wantNumbers := []any{
		int64(0), false, int64(7), true, int64(0), false, int64(0), false, int64(0), false, int64(0), false, int64(978307201), true, "CD",
		int64(0), false, int64(13), true, int64(700000000), true, int64(0), false, int64(0), false, int64(0), false, int64(1678307200), true, "text",
		int64(0), false, int64(-1), true, int64(0), false, int64(0), false, int64(0), false, int64(0), false, int64(-62135596800), false, "",
	}
	if !reflect.DeepEqual(numbers, wantNumbers) {
		t.Errorf("got  %v, want %v", numbers, wantNumbers)
	}
	var problems []string
	for _, p := range s.set.Problems {
		problems = append(problems, fmt.Sprint(p.Row, " ", p.Text))
	}
	wantProblems := []string{
		"1 column s is not UTF-8", "1 column f is no whole number", "1 column b is no whole number", "2 column s is no whole number",
		"2 column b is no whole number", "2 column n is no whole number", "3 column s has more than 1048576 bytes, and is cut there",
		"3 column f is no whole number", "3 column b is no whole number", "3 column n is no whole number",
	}
	if !slices.Equal(problems, wantProblems) {
		t.Errorf("got %q, want %q", problems, wantProblems)
	}
	if got := validText(strings.Repeat("x", maxText-1) + "ü"); len(got) != maxText-1 {
		t.Errorf("%d bytes, want %d: a character is not cut", len(got), maxText-1)
	}
}

// TestDamage shows that a database with a damaged page is an error, not half a book.
func TestDamage(t *testing.T) {
	t.Parallel()
	whole := database(t, script(t, "ios17.sql")).Data
	const page = 512
	errs := 0
	for at := page; at < len(whole); at += page {
		data := bytes.Clone(whole)
		clear(data[at : at+page])
		set, err := Read(t.Context(), fstest.MapFS{bookName: {Data: data}}, Contacts)
		if err != nil {
			errs++
		} else if len(set.Records) != 7 {
			t.Errorf("page %d is damaged: %d records and no error", at/page, len(set.Records))
		}
	}
	if errs < 10 {
		t.Errorf("only %d damaged pages were noticed", errs)
	}
}
