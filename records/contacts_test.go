package records

import (
	"bytes"
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"russet/internal/sqlite"
	"russet/internal/vobject"
)

var update = flag.Bool("update", false, "write the golden files anew")

const bookName = "HomeDomain/" + addressBookPath

// database returns a database made by statements, the page size of which is 512.
func database(t testing.TB, statements ...string) *fstest.MapFile {
	t.Helper()
	name := filepath.Join(t.TempDir(), "db")
	db, err := sqlite.Create(name, 512)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return &fstest.MapFile{Data: data}
}

// script returns the statements in a file of testdata.
func script(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func readBook(t testing.TB, fsys fs.FS) *Set {
	t.Helper()
	set, err := Read(t.Context(), fsys, Contacts)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// golden compares what the records are with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	name = filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("not as %s says:\n%s", name, got)
	}
}

// lines returns the cards with line ends and folds of a text file.
func lines(set *Set, object func(Record) *vobject.Component) []byte {
	var all []byte
	for _, r := range set.Records {
		all = append(all, "# "+r.Container+" "+r.Modified.UTC().Format("2006-01-02")+"\n"...)
		all = append(all, object(r).Bytes()...)
	}
	all = bytes.ReplaceAll(all, []byte("\r\n "), nil)
	return bytes.ReplaceAll(all, []byte("\r\n"), []byte("\n"))
}

func asRead(r Record) *vobject.Component { return r.Object }

// pictures is a database of pictures: a full one, a thumbnail alone, one that no
// card can have beside one that can, and one that is nobody's.
func pictures(t testing.TB) *fstest.MapFile {
	return database(t, `
		CREATE TABLE ABThumbnailImage (ROWID INTEGER PRIMARY KEY, record_id INTEGER, format INTEGER, derived_from_format INTEGER, data BLOB);
		CREATE TABLE ABFullSizeImage (ROWID INTEGER PRIMARY KEY, record_id INTEGER, crop_x INTEGER, crop_y INTEGER, crop_width INTEGER, data BLOB);
		INSERT INTO ABFullSizeImage (record_id, data) VALUES (1, x'FFD8FF0102'), (4, x'0001020304'), (99, x'FFD8FF0102'), (7, x'0102');
		INSERT INTO ABThumbnailImage (record_id, format, data) VALUES
			(1, 0, x'FFD8FF0102030405'), (2, 5, x'89504E470D0A1A0A0102'), (2, 0, x'89504E470D0A1A0A01'), (4, 0, x'FFD8FF09');`)
}

func TestMapping(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{bookName: database(t, script(t, "ios17.sql")), "HomeDomain/" + picturesPath: pictures(t)}
	set := readBook(t, files)
	golden(t, "ios17.vcf", lines(set, asRead))
	golden(t, "ios17.v4.vcf", lines(set, func(r Record) *vobject.Component { return VCard4(r.Object) }))
	rest, err := json.MarshalIndent(map[string]any{
		"Readers": set.Readers, "Stores": set.Stores, "Containers": set.Containers, "Problems": set.Problems, "Complete": set.Complete,
		"Columns": Columns(Contacts), "Row": Summary(Contacts, set.Records[0]),
	}, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "ios17.json", append(rest, '\n'))
	var unread []string
	for _, r := range set.Records {
		for _, name := range r.Unread {
			unread = append(unread, name+" of "+r.Object.Value("FN"))
		}
	}
	if got, want := strings.Join(unread, ", "), "PHOTO of No Name, PHOTO of 王小明"; got != want { // of a bad one, and of one that is on a server
		t.Errorf("could not be read: %s, want %s", got, want)
	}
}

func TestOldLayout(t *testing.T) {
	t.Parallel()
	set := readBook(t, fstest.MapFS{bookName: database(t, script(t, "ios4.sql"))})
	golden(t, "ios4.vcf", lines(set, asRead))
	if got, want := set.Readers, []string{"AddressBook.sqlitedb (iOS 4 to 6)"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestCardsAreWhole shows of every card what servers want of it.
func TestCardsAreWhole(t *testing.T) {
	t.Parallel()
	set := readBook(t, fstest.MapFS{bookName: database(t, script(t, "ios17.sql")), "HomeDomain/" + picturesPath: pictures(t)})
	checkCards(t, set)
	if !slices.IsSortedFunc(set.Records, func(a, b Record) int { return strings.Compare(a.UID, b.UID) }) {
		t.Error("the records are not sorted")
	}
}

// checkCards checks what every card must be.
func checkCards(t *testing.T, set *Set) {
	t.Helper()
	containers := map[string]bool{}
	for _, c := range set.Containers {
		containers[c.ID] = true
	}
	for _, r := range set.Records {
		for version, c := range map[string]*vobject.Component{"3.0": r.Object, "4.0": VCard4(r.Object)} {
			data := c.Bytes()
			back, err := vobject.Parse(data)
			if err != nil || len(back) != 1 {
				t.Errorf("%d objects, %v, in\n%s", len(back), err, data)
				continue
			}
			if !bytes.Equal(back[0].Bytes(), data) || back[0].Value("VERSION") != version || back[0].Value("FN") == "" || back[0].Value("N") == "" {
				t.Errorf("not a card of version %s:\n%s", version, data)
			}
		}
		if got := vobject.Unescape(r.Object.Value("UID")); got != r.UID || got == "" || !containers[r.Container] {
			t.Errorf("UID %q, want %q, in container %q", got, r.UID, r.Container)
		}
		if row := Summary(Contacts, r); len(row.Fields) != len(Columns(Contacts)) || row.Title == "" {
			t.Errorf("got %v, want %d fields and a title", row, len(Columns(Contacts)))
		}
	}
}
