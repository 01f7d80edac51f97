package records

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"russet/internal/vobject"
)

// brief is what the samples' README and sqlite3 say of a contact.
type brief struct{ name, phones, emails, photo string }

func briefs(set *Set) map[string]brief {
	found := map[string]brief{}
	for _, r := range set.Records {
		text := Summary(Contacts, r).Text()
		photo, _ := r.Object.Get("PHOTO")
		found[r.UID] = brief{name: text[0], phones: text[2], emails: text[3], photo: param(photo.Params, "TYPE")}
	}
	return found
}

// TestImage is of an image of a whole file system, iOS 15.3, the address book of
// which lies in its write-ahead log.
func TestImage(t *testing.T) {
	t.Parallel()
	set := readBook(t, samplePhone(t, "iLEAPP/josh_ios15_ffs/mobile"))
	checkCards(t, set)
	want := map[string]brief{
		"66C4580B-1993-402C-9344-818F3D128CC0": {"This Is DFIR Two", "(919) 888-7386", "thisisdfirtwo@gmail.com", ""},
		"c07ddc1c-559b-49b1-9fd4-488480cb3da9": {"Apple Inc.", "1-800-MY-APPLE", "", ""},
		"DDC32EDC-0AA3-41AF-B97C-32EBFB8833C4": {"This Is DFIR", "", "", "PNG"},
		"55a19a62-aa7c-4be1-8425-365c56d9deb5": {"This DFIR", "", "", "JPEG"},
		"2a0876e80e4a4f77":                     {"Liz", "+1 (919) 208-4530", "", ""},
		"5f8646a08d4d90b4":                     {"ThisIs DFIRThree", "", "thisisdfirthree@gmail.com", ""},
		"3cc08bd7881e9996":                     {"Josh Hickman", "(919) 579-0479; (919) 391-2507", "joshuahickman957@gmail.com", ""},
		"12e8c6810b22e7de":                     {"Thom De'Fer", "(919) 802-7080", "", ""},
		"15c9bce48d1931ba":                     {"This Is DFIR Two", "(919) 888-7386", "thisisdfirtwo@gmail.com", ""},
	}
	if got := briefs(set); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if !set.Complete || len(set.Problems) > 0 {
		t.Errorf("complete %v, problems %v", set.Complete, set.Problems)
	}
	var containers []string
	for _, c := range set.Containers {
		containers = append(containers, strings.Join([]string{c.Name, c.Type, c.Host}, " "))
	}
	if want := []string{"Gmail carddav google.com", "On My Device local ", "iCloud carddav p141-contacts.icloud.com"}; !reflect.DeepEqual(containers, want) {
		t.Errorf("got %q, want %q", containers, want)
	}
}

// TestBackup is of the same phone as a backup, in which two contacts were edited: a
// phone number, and an e-mail address.
func TestBackup(t *testing.T) {
	t.Parallel()
	image := readBook(t, samplePhone(t, "iLEAPP/josh_ios15_ffs/mobile"))
	backup := readBook(t, sampleBackup(t, "D-unencrypted-same-content-as-B"))
	checkCards(t, backup)
	if len(backup.Records) != len(image.Records) || !backup.Complete || len(backup.Containers) != len(image.Containers) {
		t.Fatalf("%d records in %v, want %d", len(backup.Records), backup.Containers, len(image.Records))
	}
	var changed []string
	for i, r := range image.Records {
		if hashOf(r) != hashOf(backup.Records[i]) {
			changed = append(changed, r.UID)
		}
	}
	if want := []string{"12e8c6810b22e7de", "5f8646a08d4d90b4"}; !reflect.DeepEqual(changed, want) {
		t.Errorf("got %v, want %v", changed, want)
	}
}

func hashOf(r Record) vobject.Hash { return vobject.HashOf(vobject.Canonical(r.Object)) }

// TestEmptyImage is of an image of iOS 16.1 with an address book and nobody in it.
func TestEmptyImage(t *testing.T) {
	t.Parallel()
	set := readBook(t, samplePhone(t, "iLEAPP/mvs_ios_2023/mobile"))
	if len(set.Records) != 0 || len(set.Containers) != 2 || !set.Complete {
		t.Errorf("%d records in %d containers, complete %v, want none in 2", len(set.Records), len(set.Containers), set.Complete)
	}
}

// TestImageWithoutLog shows that an image which lost its log is an error: its
// database has no tables.
func TestImageWithoutLog(t *testing.T) {
	t.Parallel()
	files := samplePhone(t, "iLEAPP/mvs_ios_2023/mobile")
	delete(files, bookName+"-wal")
	if set, err := Read(t.Context(), files, Contacts); err == nil {
		t.Errorf("got %v and no error", set)
	}
}

// TestSynthetic is of the column set of iOS 18, made by other people.
func TestSynthetic(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join(samples, "stores/novkostya/contacts.1.AddressBook.sqlitedb"))
	if err != nil {
		t.Skip("samples missing: novkostya")
	}
	set := readBook(t, fstest.MapFS{bookName: {Data: data}})
	checkCards(t, set)
	want := map[string]brief{
		"FX-PERSON-1": {"Dr. Alex Quinn Fixture Jr.", "+1 555 0100; +1 555 0101; +1 555 0102", "alex@example.com", ""},
		"FX-PERSON-2": {"Broken Label", "+1 555 0199", "", ""},
		"FX-PERSON-3": {"Acme Synthetics", "+1 555 0142", "", ""},
		"FX-PERSON-4": {"Solo", "", "", ""},
	}
	if got := briefs(set); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for name, want := range map[string]string{
		"BDAY": "1990-04-01", "NICKNAME": "Lexi", "ORG": "Fixture Works;Synthesis", "TITLE": "Fabricator", "NOTE": "Entirely invented.",
		"CATEGORIES": "Fixture Friends", "URL": "https://alex.example.com", "IMPP": "x-apple:fixture-im", "X-ABLABEL": "fixture custom",
		"ADR": ";;1 Synthetic Way;Faketown;FX;00001;Fixtureland", "REV": "2023-03-09T20:26:40Z",
	} {
		if got := set.Records[0].Object.Value(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	// The label of one value refers to none.
	if len(set.Problems) != 1 || !set.Problems[0].Lost || set.Problems[0].Row != 201 || !set.Complete {
		t.Errorf("complete %v, problems %v, want one of row 201", set.Complete, set.Problems)
	}
}
