package records

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"russet/internal/sqlite"
	"russet/internal/vobject"
	"russet/records/recordstest"
)

// generated writes an address book of n people.
func generated(t testing.TB, seed uint64, n int) string {
	t.Helper()
	dir := t.TempDir()
	if err := recordstest.NewBook(seed, n).Write(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// edit runs statements in a database of a phone.
func edit(t testing.TB, dir, name string, statements ...string) {
	t.Helper()
	db, err := sqlite.Edit(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
}

func objects(set *Set) []byte {
	var all []byte
	for _, r := range set.Records {
		all = append(all, r.Object.Bytes()...)
	}
	return all
}

// TestSameBytes shows that equal people give equal bytes, however their database
// lies in its file.
func TestSameBytes(t *testing.T) {
	t.Parallel()
	dir := generated(t, 1, 120)
	first := readBook(t, os.DirFS(dir))
	checkCards(t, first)
	if len(first.Records) != 120 {
		t.Fatalf("%d records, want 120", len(first.Records))
	}
	if again := readBook(t, os.DirFS(dir)); !bytes.Equal(objects(again), objects(first)) {
		t.Error("the same database gave other bytes")
	}
	edit(t, dir, bookName, "DELETE FROM ABPerson WHERE ROWID = 7", "VACUUM")
	compacted := readBook(t, os.DirFS(dir))
	if len(compacted.Records) != 119 {
		t.Errorf("%d records, want 119", len(compacted.Records))
	}
	for _, r := range compacted.Records {
		i := slices.IndexFunc(first.Records, func(o Record) bool { return o.UID == r.UID })
		if i < 0 || !bytes.Equal(first.Records[i].Object.Bytes(), r.Object.Bytes()) {
			t.Errorf("%s is another one after the database was compacted", r.UID)
		}
	}
}

// TestRenumbered shows that row numbers do not matter: an account that was set up
// anew has others.
func TestRenumbered(t *testing.T) {
	t.Parallel()
	dir := generated(t, 2, 80)
	first := readBook(t, os.DirFS(dir))
	edit(t, dir, bookName,
		"UPDATE ABMultiValueEntry SET parent_id = 5000 - parent_id", "UPDATE ABMultiValue SET UID = 5000 - UID, record_id = 900 - record_id",
		"UPDATE ABPerson SET ROWID = 900 - ROWID", "UPDATE ABGroupMembers SET member_id = 900 - member_id",
		"UPDATE ABMultiValueLabel SET rowid = rowid + 70", "UPDATE ABMultiValue SET label = label + 70")
	edit(t, dir, "HomeDomain/"+picturesPath, "UPDATE ABFullSizeImage SET record_id = 900 - record_id", "UPDATE ABThumbnailImage SET record_id = 900 - record_id")
	second := readBook(t, os.DirFS(dir))
	if len(second.Records) != len(first.Records) {
		t.Fatalf("%d records, want %d", len(second.Records), len(first.Records))
	}
	for i, r := range second.Records {
		if o := first.Records[i]; r.UID != o.UID || hashOf(r) != hashOf(o) {
			t.Errorf("%s means another thing:\n%s\n%s", r.UID, o.Object.Bytes(), r.Object.Bytes())
		}
	}
}

// unread are the properties of all records that could not be read.
func unread(set *Set) (names []string) {
	for _, r := range set.Records {
		names = append(names, r.Unread...)
	}
	return names
}

// TestBadRows shows that what refers to nothing costs itself and no more.
func TestBadRows(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{bookName: database(t, script(t, "ios17.sql"), `
		DELETE FROM ABPerson WHERE ROWID > 3;
		INSERT INTO ABPerson (ROWID, guid, StoreID, First, Birthday) VALUES
			(20, '00000000-0000-4000-8000-000000000002', 0, 'Same', 'soon'),
			(21, '`+strings.Repeat("G", maxUID+1)+`', 0, 'Long', '0'),
			(22, '', 0, CAST(x'4AFF' AS TEXT), '999999999999999'),
			(23, 'line'||char(10)||'break', 0, 'a'||char(0)||'b'||char(7), '2001-02-30');
		DELETE FROM ABMultiValue;
		INSERT INTO ABMultiValue (UID, record_id, property, label, value) VALUES
			(1, 20, 3, 99, '1'), (2, 77, 3, NULL, '2'), (3, 20, 3, NULL, ' '), (4, 20, 12, NULL, 'never'), (5, 20, 5, NULL, NULL), (6, NULL, NULL, NULL, NULL);
		UPDATE ABMultiValueLabel SET value = 'ü'||hex(zeroblob(200)) WHERE rowid = 11;
		INSERT INTO ABMultiValue (UID, record_id, property, label, value) VALUES (7, 23, 3, 11, '7');
		DELETE FROM ABMultiValueEntry;
		INSERT INTO ABMultiValueEntryKey (rowid, value) VALUES (60, 'floor');
		INSERT INTO ABMultiValueEntry VALUES (5, 1, 'Street 1'), (5, 60, 'third'), (5, 61, 'nobody knows');
		INSERT INTO ABGroupMembers VALUES (8, 1, 1, 2), (9, 50, 0, 20), (10, 1, 0, 50);`)}
	set := readBook(t, files)
	checkCards(t, set)
	if len(set.Records) != 7 || !set.Complete {
		t.Errorf("%d records, complete %v, want 7", len(set.Records), set.Complete)
	}
	got := unread(set)
	slices.Sort(got)
	want := strings.Fields("ADR BDAY BDAY BDAY BDAY FN N" + strings.Repeat(" PHOTO", 7) + " TEL TEL X-ABDATE X-APPLE-SUBADMINISTRATIVEAREA X-APPLE-SUBLOCALITY")
	if !slices.Equal(got, want) {
		t.Errorf("could not be read: %s, want %s", got, want)
	}
	got = nil
	for _, p := range set.Problems {
		lost := ""
		if p.Lost {
			lost = "lost: "
		}
		got = append(got, lost+p.Text)
	}
	want = []string{
		"lost: column First is not UTF-8",
		"lost: a part of a value has no name",
		"lost: a name in table ABMultiValueLabel has more than 255 bytes, and is cut there",
		"lost: the label of a value is not there",
		"a value belongs to no contact",
		"a value belongs to no contact",
		"a group is in another group, which categories cannot say",
		"the pictures of 1 contacts are on a server only, not in the backup",
		"the contact's identifier is too long, or another contact has it",
		"lost: a part of a value of property 5 has no place in a vCard",
		"a value is empty",
		"lost: a date is none",
		"lost: the birthday is no date",
		"the contact's identifier is too long, or another contact has it",
		"lost: the birthday is no date",
		"lost: the birthday is no date",
		"lost: the birthday is no date",
	}
	slices.Sort(got)
	slices.Sort(want)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	labelled := slices.IndexFunc(set.Records, func(r Record) bool { return r.UID == "LINE BREAK" })
	if got, want := set.Records[labelled].Object.Value("X-ABLABEL"), "ü"+strings.Repeat("0", 253); got != want {
		t.Errorf("got the label %q, want %q", got, want)
	}
	if got := briefs(set)["LINE BREAK"].name; got != "ab" {
		t.Errorf("got the name %q, want no control characters in it", got)
	}
}

func TestParseDay(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"43200": "2001-01-01", "-43200": "2000-12-31", " 43200.0 ": "2001-01-01", "-12509380800": "1604-08-05", "2020-02-29": "2020-02-29",
		"2020-02-29T10:00:00Z": "2020-02-29", "2020-02-29 10:00": "2020-02-29", "--0229": "1604-02-29", "--02-29": "1604-02-29", "1604-12-31": "1604-12-31",
		"": "", "0": "", "-1": "", "x": "", "2019-02-29": "", "2020-13-01": "", "0000-01-01": "", "2020-02-291": "", "1e300": "", "NaN": "", "-Inf": "", "64092211200": "",
		"-63114076800": "",
	} {
		d, ok := parseDay(text)
		if got := d.String(); ok != (want != "") || ok && got != want {
			t.Errorf("%q: got %s, %v, want %q", text, got, ok, want)
		}
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	row := Row{Title: "Zoë Müller", Fields: [][]string{{"Zoë Müller"}, {"+49 170", "12"}}}
	for search, want := range map[string]bool{"zoë": true, "MÜLL": true, "170": true, "4912": false, "": true, "x": false} {
		if got := row.Matches(search); got != want {
			t.Errorf("%q: got %v, want %v", search, got, want)
		}
	}
	if got, want := row.Text(), []string{"Zoë Müller", "+49 170; 12"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// FuzzContacts reads damaged address books: whatever comes is an error, or cards
// that servers take.
func FuzzContacts(f *testing.F) {
	book, images := database(f, script(f, "ios17.sql")).Data, pictures(f).Data
	f.Add(book, images)
	f.Add(database(f, script(f, "ios4.sql")).Data, []byte{})
	f.Fuzz(func(t *testing.T, book, images []byte) {
		set, err := Read(t.Context(), fstest.MapFS{bookName: {Data: book}, "HomeDomain/" + picturesPath: {Data: images}}, Contacts)
		if err == nil {
			checkCards(t, set)
		}
	})
}

// FuzzCard writes cards of people with any text in them.
func FuzzCard(f *testing.F) {
	f.Add("Ada", "first\nline;,\\", "_$!<Home>!$_", int64(3), "service", []byte("<plist/>"))
	f.Add("", "\x00", "own", int64(46), "url", []byte("bplist00"))
	f.Fuzz(func(t *testing.T, name, text, label string, property int64, key string, alternate []byte) {
		text, label, name = validText(text), validText(label), validText(name)
		p := &person{text: map[string]string{"First": name, "Note": text}, birthday: text, alternateBirthday: alternate, groups: []string{label, text}}
		for _, property := range []int64{property, phoneProperty, emailProperty, addressProperty, dateProperty, messageProperty, urlProperty, profileProperty} {
			p.values = append(p.values, multiValue{property: property, label: label, text: text},
				multiValue{property: property, label: label, parts: map[string]string{strings.ToLower(key): text}})
		}
		set := &Set{Containers: []Container{{ID: "c"}}}
		w := &card{s: &store{set: &Set{}}, p: p, c: vobject.New("VCARD")}
		set.Records = []Record{{UID: "u", Container: "c", Object: w.write("u")}}
		checkCards(t, set)
	})
}
