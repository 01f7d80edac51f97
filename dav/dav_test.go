package dav_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"russet/dav"
	"russet/dav/davtest"
	"russet/internal/vobject"
	"russet/merge"
	"russet/reconcile"
)

var _ reconcile.Side = (*dav.Collection)(nil)

// card returns a vCard.
func card(uid, name string) string {
	return "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:" + vobject.Text(uid) + "\r\nFN:" + name + "\r\nN:" + name + ";;;;\r\nEND:VCARD\r\n"
}

// event returns an iCalendar object.
func event(uid, name string) string {
	return "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//EN\r\nBEGIN:VEVENT\r\nUID:" + uid +
		"\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260102T100000Z\r\nSUMMARY:" + name + "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
}

// book starts a server with these items in its address book, and opens that.
func book(t *testing.T, q davtest.Quirks, names ...string) (*davtest.Server, *dav.Collection) {
	t.Helper()
	s := davtest.Start(t, q)
	for _, n := range names {
		s.Put(s.Book(), n+".vcf", card(n, "Name of "+n))
	}
	return s, open(t, s.Options(), s.Book(), dav.AddressBook)
}

func open(t *testing.T, o dav.Options, url string, kind dav.Kind) *dav.Collection {
	t.Helper()
	c, err := dav.Open(t.Context(), o, url, kind)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func list(t *testing.T, c *dav.Collection, token string) merge.Listing {
	t.Helper()
	l, err := c.List(t.Context(), token)
	if err != nil {
		t.Fatalf("List(%q): %v", token, err)
	}
	return l
}

// one returns the only item of a collection as it is read.
func one(t *testing.T, c *dav.Collection) merge.Item {
	t.Helper()
	l := list(t, c, "")
	if len(l.Refs) != 1 {
		t.Fatalf("listed %v, want one", l.Refs)
	}
	items, err := c.Get(t.Context(), []string{l.Refs[0].Href})
	if err != nil {
		t.Fatal(err)
	}
	return items[0]
}

// names returns the last parts of hrefs.
func names(refs []merge.Ref) string {
	var all []string
	for _, r := range refs {
		all = append(all, r.Href[strings.LastIndexByte(r.Href, '/')+1:])
	}
	return strings.Join(all, " ")
}

// methods returns what was asked of a server since the n-th request.
func methods(s *davtest.Server, n int) string {
	var all []string
	for _, r := range s.Requests()[n:] {
		all = append(all, fmt.Sprintf("%s %d", r.Method, r.Status))
	}
	return strings.Join(all, ", ")
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func contains[T comparable](t *testing.T, what string, all []T, want T) {
	t.Helper()
	if !slices.Contains(all, want) {
		t.Errorf("%s: %v is not in %v", what, want, all)
	}
}
