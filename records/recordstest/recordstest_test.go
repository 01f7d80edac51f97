package recordstest

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"russet/device/sim"
	"russet/internal/vobject"
	"russet/records"
)

func readBook(t testing.TB, dir string) *records.Set {
	t.Helper()
	set, err := records.Read(t.Context(), os.DirFS(dir), records.Contacts)
	if err != nil {
		t.Fatal(err)
	}
	if !set.Complete || len(set.Problems) > 0 {
		t.Errorf("complete %v, problems %v", set.Complete, set.Problems)
	}
	return set
}

// differences returns how one set became another: for changed records every
// property that differs.
func differences(old, now *records.Set) map[string][]string {
	found := map[string][]string{}
	before := map[string][]vobject.Property{}
	for _, r := range old.Records {
		before[r.UID] = vobject.Canonical(r.Object)
	}
	for _, r := range now.Records {
		props := vobject.Canonical(r.Object)
		was, there := before[r.UID]
		delete(before, r.UID)
		if !there {
			found[r.UID] = []string{string(Added)}
			continue
		}
		if vobject.HashOf(props) == vobject.HashOf(was) {
			continue
		}
		for _, lists := range [][2][]vobject.Property{{props, was}, {was, props}} {
			for _, p := range lists[0] {
				if !slices.Contains(lists[1], p) {
					found[r.UID] = append(found[r.UID], p.Name)
				}
			}
		}
	}
	for uid := range before {
		found[uid] = []string{string(Removed)}
	}
	return found
}

// follows are the properties that may change because others do.
var follows = map[string][]string{
	"N": {"FN"}, "ORG": {"FN"}, "NICKNAME": {"FN"}, "TEL": {"FN", "X-ABLABEL"}, "EMAIL": {"FN", "X-ABLABEL"},
	"ADR": {"X-ABADR", "X-ABLABEL", "X-APPLE-SUBLOCALITY"}, "URL": {"X-ABLABEL"}, "X-ABDATE": {"X-ABLABEL"},
	"X-ABRELATEDNAMES": {"X-ABLABEL"}, "IMPP": {"X-ABLABEL"}, "X-SOCIALPROFILE": {"X-ABLABEL"},
}

func TestGenerations(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	book := NewBook(7, 150)
	if err := book.Write(dir); err != nil {
		t.Fatal(err)
	}
	old := readBook(t, dir)
	if len(old.Records) != 150 || len(old.Containers) != 2 {
		t.Fatalf("%d contacts in %d containers, want 150 in 2", len(old.Records), len(old.Containers))
	}
	seen := map[string]int{}
	for generation := range 12 {
		changes := book.Change(20)
		if err := book.Write(dir); err != nil {
			t.Fatal(err)
		}
		now := readBook(t, dir)
		found := differences(old, now)
		if len(found) != len(changes) {
			t.Errorf("generation %d: %d records differ, want %d", generation, len(found), len(changes))
		}
		for _, c := range changes {
			got := found[c.UID]
			seen[string(c.What)+c.Property]++
			want := c.Property
			if c.What != Changed {
				want = string(c.What)
			}
			if !slices.Contains(got, want) {
				t.Errorf("generation %d: %v differ, want %s", generation, got, want)
			}
			for _, name := range got {
				if name != want && !slices.Contains(follows[want], name) {
					t.Errorf("generation %d: %s differs, want only %s", generation, name, want)
				}
			}
		}
		old = now
	}
	if len(seen) < 18 {
		t.Errorf("only %d kinds of changes were made: %v", len(seen), seen)
	}
}

// TestInPlace shows that a database which was changed holds what one that is made
// anew does.
func TestInPlace(t *testing.T) {
	t.Parallel()
	dir, fresh := t.TempDir(), t.TempDir()
	book := NewBook(8, 60)
	for range 3 {
		if err := book.Write(dir); err != nil {
			t.Fatal(err)
		}
		book.Change(9)
	}
	uid := book.People[3].UID()
	if c := book.Remove(3); c.UID != uid || c.What != Removed {
		t.Errorf("got %v, want that %s was removed", c, uid)
	}
	if c := book.Edit(0); c.UID != book.People[0].UID() || c.What != Changed {
		t.Errorf("got %v, want that the first was changed", c)
	}
	for _, d := range []string{dir, fresh} {
		if err := book.Write(d); err != nil {
			t.Fatal(err)
		}
	}
	a, b := readBook(t, dir), readBook(t, fresh)
	if !reflect.DeepEqual(a.Records, b.Records) || len(a.Records) != len(book.People) {
		t.Errorf("%d records in place, %d anew, or not the same; want %d", len(a.Records), len(b.Records), len(book.People))
	}
}

// TestSeed shows that a seed gives the same files.
func TestSeed(t *testing.T) {
	t.Parallel()
	sum := func(seed uint64) [32]byte {
		dir := t.TempDir()
		book := NewBook(seed, 40)
		book.Change(5)
		if err := book.Write(dir); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(dir, addressBook, "AddressBook.sqlitedb"))
		if err != nil {
			t.Fatal(err)
		}
		return sha256.Sum256(data)
	}
	if a, b, other := sum(1), sum(1), sum(2); a != b || a == other {
		t.Error("the same seed gave other bytes, or another one the same")
	}
}

func TestSecret(t *testing.T) {
	t.Parallel()
	if Secret != sim.Secret {
		t.Errorf("got %q, want the word of the simulated phone, %q", Secret, sim.Secret)
	}
}

// TestPut shows that a person made by hand is read as they were put.
func TestPut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	book := NewBook(1, 0)
	p := &Person{Text: map[string]string{"First": "Ada"}, Values: []Value{{Property: Phones, Label: "_$!<Home>!$_", Text: "1"}}}
	for _, want := range []string{"TEL;TYPE=HOME:1\r\n", "TEL;TYPE=HOME:2\r\n"} {
		book.Put(p)
		if err := book.Write(dir); err != nil {
			t.Fatal(err)
		}
		set := readBook(t, dir)
		if len(set.Records) != 1 || set.Records[0].UID != p.UID() || !strings.Contains(string(set.Records[0].Object.Bytes()), want) {
			t.Errorf("got %v, want one contact with %s", set.Records, want)
		}
		p.Values[0].Text = "2"
	}
}
