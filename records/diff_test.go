package records

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"russet/internal/vobject"
)

// contact is a record of a name and a container.
func contact(uid, container, name string) Record {
	c := vobject.New("VCARD")
	c.Add(vobject.NewLine("UID", uid), vobject.NewLine("FN", name), vobject.NewLine("REV", "20260101T000000Z"))
	return Record{UID: uid, Container: container, Object: c}
}

func setOf(complete bool, all ...Record) *Set {
	s := &Set{Kind: Contacts, Records: all, Complete: complete}
	s.sort()
	return s
}

// describe writes changes as "+uid", "-uid" and "uid NAMES".
func describe(changes []Change) string {
	var b strings.Builder
	for _, c := range changes {
		switch {
		case c.Before == nil:
			fmt.Fprintf(&b, "+%s ", c.After.UID)
		case c.After == nil:
			fmt.Fprintf(&b, "-%s ", c.Before.UID)
		default:
			fmt.Fprintf(&b, "%s%v ", c.After.UID, c.Properties)
		}
	}
	return strings.TrimSpace(b.String())
}

func TestDiff(t *testing.T) {
	t.Parallel()
	one, two, three := contact("1", "a", "Ada"), contact("2", "a", "Bo"), contact("3", "b", "Cy")
	later := contact("1", "a", "Ada")
	later.Object.Set(vobject.NewLine("REV", "20270101T000000Z"))
	for _, tt := range []struct {
		name          string
		before, after *Set
		want          string
	}{
		{"the same", setOf(true, one, two), setOf(true, two, later), ""},
		{"new, changed and gone", setOf(true, one, two), setOf(true, contact("2", "a", "Bob"), three), "-1 2[FN] +3"},
		{"everything", setOf(true), setOf(true, one, two), "+1 +2"},
		{"moved", setOf(true, one, two), setOf(true, two, contact("1", "b", "Ada")), "1[CONTAINER]"},
		{"moved back and changed", setOf(true, contact("1", "b", "Ada")), setOf(true, contact("1", "a", "Eve")), "1[CONTAINER FN]"},
		{"in two containers, gone from one", setOf(true, one, contact("1", "b", "Ada")), setOf(true, one), "-1"},
		{"nobody knows what is gone", setOf(true, one, two), setOf(false, three), "+3"},
		{"nobody knows what is new", setOf(false, one, two), setOf(true, three), "-1 -2"},
	} {
		if got := describe(Diff(tt.before, tt.after)); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	if got := Diff(setOf(true, one), setOf(true, contact("1", "a", "X"))); len(got) != 1 || !slices.Equal(got[0].Properties, []string{"FN"}) {
		t.Errorf("one change: got %v", got)
	}
}
