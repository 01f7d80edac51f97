package records

import (
	"os"
	"strings"
	"testing"

	"russet/records/recordstest"
)

// TestUnreadColumns breaks one column at a time, and wants to be told the property of
// one contact, or of all where it could be anybody's.
func TestUnreadColumns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	book := recordstest.NewBook(3, 5)
	p := book.People[1]
	p.Server, p.Company, p.Groups, p.Photo = false, false, []int{0}, nil
	p.Text = map[string]string{"First": "Ada", "Last": "L", "Note": "n", "Nickname": "a", "Organization": "o", "JobTitle": "j", "FirstPhonetic": "f"}
	p.Values = []recordstest.Value{
		{Property: recordstest.Phones, Label: "iPhone", Text: "1"},
		{Property: recordstest.Emails, Text: "a@example.test"},
		{Property: recordstest.Addresses, Parts: map[string]string{"Street": "s"}},
		{Property: recordstest.Dates, Text: "43200"},
	}
	book.Put(p)
	if err := book.Write(dir); err != nil {
		t.Fatal(err)
	}
	all := "ADR EMAIL IMPP TEL URL X-ABDATE X-ABRELATEDNAMES X-APPLE-SUBADMINISTRATIVEAREA X-APPLE-SUBLOCALITY X-RUSSET-VALUE X-SOCIALPROFILE"
	checkUnread(t, dir, bookName, Contacts, p.UID(), []breakage{
		{"ABPerson SET Note = CAST(x'4AFF' AS TEXT) WHERE ROWID = 2", "NOTE", ""},
		{"ABPerson SET Note = x'4AFF' WHERE ROWID = 2", "NOTE", ""},
		{"ABPerson SET Note = hex(zeroblob(600000)) WHERE ROWID = 2", "NOTE", ""},
		{"ABPerson SET Last = x'FF' WHERE ROWID = 2", "FN N", ""},
		{"ABPerson SET Nickname = x'FF' WHERE ROWID = 2", "NICKNAME", ""},
		{"ABPerson SET First = NULL, Last = NULL, Nickname = x'FF' WHERE ROWID = 2", "FN NICKNAME", ""},
		{"ABPerson SET Organization = x'FF' WHERE ROWID = 2", "ORG", ""},
		{"ABPerson SET JobTitle = x'FF' WHERE ROWID = 2", "TITLE", ""},
		{"ABPerson SET FirstPhonetic = x'FF' WHERE ROWID = 2", "X-PHONETIC-FIRST-NAME", ""},
		{"ABPerson SET Kind = 'x' WHERE ROWID = 2", "FN X-ABSHOWAS", ""},
		{"ABPerson SET Birthday = 'x' WHERE ROWID = 2", "BDAY", ""},
		{"ABMultiValue SET value = x'FF' WHERE record_id = 2 AND property = 3", "TEL", ""},
		{"ABMultiValue SET label = 'x' WHERE record_id = 2 AND property = 3", "TEL", ""},
		{"ABMultiValue SET label = 999 WHERE record_id = 2 AND property = 3", "TEL", ""},
		{"ABMultiValue SET value = x'FF' WHERE record_id = 2 AND property = 4", "EMAIL", ""},
		{"ABMultiValue SET value = 'x' WHERE record_id = 2 AND property = 12", "X-ABDATE", ""},
		{"ABMultiValue SET property = 'x' WHERE record_id = 2 AND property = 4", all, ""},
		{"ABMultiValue SET record_id = 'x' WHERE record_id = 2 AND property = 4", all, all},
		{"ABMultiValueEntry SET value = x'FF' WHERE value = 's'", "ADR X-APPLE-SUBADMINISTRATIVEAREA X-APPLE-SUBLOCALITY", ""},
		{"ABMultiValueEntry SET key = 99 WHERE value = 's'", "ADR X-APPLE-SUBADMINISTRATIVEAREA X-APPLE-SUBLOCALITY", ""},
		{"ABMultiValueEntry SET parent_id = 'x' WHERE value = 's'", all, all},
		{"ABGroupMembers SET group_id = 'x' WHERE member_id = 2", "CATEGORIES", ""},
		{"ABGroupMembers SET member_id = 'x' WHERE member_id = 2", "CATEGORIES", "CATEGORIES"},
	})
}

// TestUnreadIdentity: a contact whose identifier or store cannot be read looks like
// another one, and that the first one is not there does not mean that it was deleted.
func TestUnreadIdentity(t *testing.T) {
	t.Parallel()
	for _, change := range []string{"guid = x'FF'", "StoreID = 'x'"} {
		dir := generated(t, 3, 3)
		edit(t, dir, bookName, "UPDATE ABPerson SET "+change+" WHERE ROWID = 2")
		if set := readBook(t, os.DirFS(dir)); set.Complete {
			t.Errorf("%s: the set is complete", change)
		}
	}
}

// TestUnreadPicture: the thumbnail of a picture that cannot be read is not the picture.
func TestUnreadPicture(t *testing.T) {
	t.Parallel()
	for table, want := range map[string]string{"ABFullSizeImage": "PHOTO", "ABThumbnailImage": ""} {
		dir := t.TempDir()
		book := recordstest.NewBook(3, 1)
		p := book.People[0]
		p.Photo = append([]byte{0xFF, 0xD8, 0xFF}, make([]byte, 40)...)
		book.Put(p)
		if err := book.Write(dir); err != nil {
			t.Fatal(err)
		}
		edit(t, dir, "HomeDomain/"+picturesPath, "UPDATE "+table+" SET data = 1")
		set := readBook(t, os.DirFS(dir))
		if got := strings.Join(set.Records[0].Unread, " "); got != want {
			t.Errorf("%s: got %q, want %q", table, got, want)
		}
		if _, there := set.Records[0].Object.Get("PHOTO"); !there {
			t.Errorf("%s: the other picture is not there", table)
		}
	}
}
