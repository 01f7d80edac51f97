package dav_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"russet/dav"
	"russet/dav/davtest"
	"russet/merge"
)

// What the real servers are asked. A step goes on from what the one before left.
func TestRadicale(t *testing.T) {
	t.Parallel()
	realServer(t, davtest.Radicale(t))
}

func TestXandikos(t *testing.T) {
	t.Parallel()
	realServer(t, davtest.Xandikos(t))
}

func realServer(t *testing.T, p *davtest.Program) {
	t.Helper()
	checkDiscovery(t, p)
	for _, kind := range []dav.Kind{dav.AddressBook, dav.Calendar} {
		url, body := p.Book(), card
		if kind == dav.Calendar {
			url, body = p.Calendar(), event
		}
		c := open(t, p.Options(), url, kind)
		checkWrites(t, c, body)
		checkListing(t, p, c, url, body)
	}
}

func checkDiscovery(t *testing.T, p *davtest.Program) {
	t.Helper()
	for _, address := range []string{p.URL, p.URL + "/", p.URL + "/tester/", p.URL + "/no/such/"} {
		infos, err := dav.Discover(t.Context(), p.Options(), address)
		if err != nil {
			t.Errorf("%s: %v", address, err)
		}
		var got []string
		for _, i := range infos {
			got = append(got, i.URL)
			equal(t, "can sync", i.Sync, true)
			equal(t, "read only", i.ReadOnly, false)
		}
		contains(t, address, got, p.Book())
		contains(t, address, got, p.Calendar())
	}
	infos, err := dav.Discover(t.Context(), p.Options(), p.Calendar())
	if err != nil || len(infos) != 1 {
		t.Fatalf("the calendar itself: %v, %v", infos, err)
	}
	contains(t, "components", infos[0].Components, "VEVENT")
	contains(t, "components", infos[0].Components, "VTODO")
	if _, err := dav.Open(t.Context(), p.Options(), p.Book()+"none/", dav.AddressBook); !errors.Is(err, merge.ErrMissing) {
		t.Errorf("a collection that is not there: got %v, want ErrMissing", err)
	}
}

func checkWrites(t *testing.T, c *dav.Collection, body func(uid, name string) string) {
	t.Helper()
	ctx := t.Context()
	if l := list(t, c, ""); len(l.Refs) != 0 {
		t.Fatalf("got %v, want nothing", l.Refs)
	}
	ref, err := c.Create(ctx, "a@example.org", []byte(body("a@example.org", "First")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Create(ctx, "a@example.org", []byte(body("a@example.org", "Again"))); !errors.Is(err, merge.ErrChanged) {
		t.Errorf("Create again: got %v, want ErrChanged", err)
	}
	equal(t, "as listed", list(t, c, "").Refs[0], ref)
	equal(t, "as read", one(t, c).Ref, ref)
	second, err := c.Update(ctx, ref, []byte(body("a@example.org", "Second")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Update(ctx, ref, []byte(body("a@example.org", "Third"))); !errors.Is(err, merge.ErrChanged) {
		t.Errorf("Update with an old etag: got %v, want ErrChanged", err)
	}
	if err := c.Delete(ctx, ref); !errors.Is(err, merge.ErrChanged) {
		t.Errorf("Delete with an old etag: got %v, want ErrChanged", err)
	}
	got := one(t, c)
	equal(t, "as read", got.Ref, second)
	equal(t, "content", strings.Contains(string(got.Body), "Second"), true)
	for range 2 { // the second finds it gone
		if err := c.Delete(ctx, second); err != nil {
			t.Errorf("Delete: %v", err)
		}
	}
	if _, err := c.Update(ctx, second, []byte(body("a@example.org", "Third"))); !errors.Is(err, merge.ErrChanged) {
		t.Errorf("Update of what is gone: got %v, want ErrChanged", err)
	}
	if _, err := c.Create(ctx, "bad", []byte("not an object")); !errors.Is(err, merge.ErrRefused) {
		t.Errorf("nonsense: got %v, want ErrRefused", err)
	}
	if l := list(t, c, ""); len(l.Refs) != 0 {
		t.Errorf("got %v, want nothing", l.Refs)
	}
}

func checkListing(t *testing.T, p *davtest.Program, c *dav.Collection, url string, body func(uid, name string) string) {
	t.Helper()
	ctx := t.Context()
	var refs []merge.Ref
	for i := range 5 {
		uid := fmt.Sprint("odd name \u00fc%2B@", i)
		ref, err := c.Create(ctx, uid, []byte(body(uid, "Name")))
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, ref)
	}
	full := list(t, c, "")
	equal(t, "listed", len(full.Refs), 5)
	items, err := c.Get(ctx, []string{refs[4].Href, c.Info().URL + "none" + refs[0].Href[len(refs[0].Href)-4:], refs[0].Href})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "gone", fmt.Sprint(items[0].Gone, items[1].Gone, items[2].Gone), "false true false")
	equal(t, "ref", items[0].Ref, refs[4])

	// An unchanged run makes one request.
	n := 0
	o := p.Options()
	o.Trace = func(dav.Request) { n++ }
	c = open(t, o, url, c.Info().Kind)
	if l := list(t, c, full.Token); !l.Changes || len(l.Refs)+len(l.Removed) != 0 {
		t.Errorf("unchanged: got %+v", l)
	}
	equal(t, "requests", n, 1)

	changed, err := c.Update(ctx, refs[1], []byte(body(fmt.Sprint("odd name \u00fc%2B@", 1), "Other")))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(ctx, refs[2]); err != nil {
		t.Fatal(err)
	}
	l := list(t, c, full.Token)
	if !l.Changes || len(l.Refs) != 1 || l.Refs[0] != changed || len(l.Removed) != 1 || l.Removed[0] != refs[2].Href {
		t.Errorf("changes: got %+v, want %v and %v removed", l, changed, refs[2].Href)
	}
	for _, token := range []string{"sync:http://radicale.org/ns/sync/0000", "sync:0123456789012345678901234567890123456789", "sync:x"} {
		if _, err := c.List(ctx, token); !errors.Is(err, merge.ErrToken) {
			t.Errorf("List(%q): got %v, want ErrToken", token, err)
		}
	}
	for _, r := range list(t, c, "").Refs {
		if err := c.Delete(ctx, r); err != nil {
			t.Errorf("Delete: %v", err)
		}
	}
}

// Radicale keeps a UID to one item; Xandikos does not.
func TestRadicaleUIDs(t *testing.T) {
	t.Parallel()
	p := davtest.Radicale(t)
	c := open(t, p.Options(), p.Book(), dav.AddressBook)
	if _, err := c.Create(t.Context(), "a", []byte(card("same", "A"))); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Create(t.Context(), "b", []byte(card("same", "B"))); !errors.Is(err, merge.ErrRefused) || !strings.Contains(err.Error(), "no-uid-conflict") {
		t.Errorf("got %v, want ErrRefused", err)
	}
	o := p.Options()
	o.Password = "wrong"
	for _, url := range []string{p.URL, p.Book()} {
		if _, err := dav.Discover(t.Context(), o, url); !errors.Is(err, merge.ErrDenied) {
			t.Errorf("%s: got %v, want ErrDenied", url, err)
		}
	}
}
