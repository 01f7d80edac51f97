package dav_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"russet/dav"
	"russet/dav/davtest"
	"russet/merge"
)

func TestListEverything(t *testing.T) {
	t.Parallel()
	for name, q := range map[string]davtest.Quirks{
		"plain":      {},
		"extra":      {Extra: true},
		"twice":      {Twice: true},
		"proxy":      {ItemURL: "http://inside:8080"},
		"gzip":       {Gzip: true},
		"no tokens":  {NoTokens: true},
		"cut by 507": {CutFull: true, Page: 1},
		"weak":       {WeakETags: true},
		"bare":       {BareETags: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := book(t, q, "a", "odd name ü%2B@", "z")
			l := list(t, c, "")
			equal(t, "names", names(l.Refs), "a.vcf odd%20name%20%C3%BC%252B%40.vcf z.vcf")
			equal(t, "href", l.Refs[0].Href, s.Book()+"a.vcf")
			want := `"e1"`
			if q.WeakETags {
				want = `W/"e1"`
			} else if q.BareETags {
				want = "e1"
			}
			equal(t, "etag", l.Refs[0].ETag, want)
			if l.Changes || l.Removed != nil || l.Token == "" {
				t.Errorf("got %+v, want a full listing with a token", l)
			}
		})
	}
}

func TestListEmpty(t *testing.T) {
	t.Parallel()
	_, c := book(t, davtest.Quirks{NoTokens: true, NoCTags: true})
	l := list(t, c, "")
	if len(l.Refs) != 0 || l.Token != "" {
		t.Errorf("got %+v, want nothing", l)
	}
}

func TestListCalendar(t *testing.T) {
	t.Parallel()
	s := davtest.Start(t, davtest.Quirks{Extra: true, NoETags: true, ScheduleTags: true})
	s.Put(s.Calendar(), "a.ics", event("a", "Party"))
	c := open(t, s.Options(), s.Calendar(), dav.Calendar)
	l := list(t, c, "")
	equal(t, "names", names(l.Refs), "a.ics")
	equal(t, "etag", l.Refs[0].ETag, `schedule-tag:"s1"`)
	info := c.Info()
	equal(t, "info", fmt.Sprint(info.Kind, info.Name, info.Components, info.Color, info.ReadOnly, info.Sync), "calendarHome[VEVENT VTODO]#FF2968false true")
}

// An unchanged collection costs one request in all, and one that changed another.
func TestListChanges(t *testing.T) {
	t.Parallel()
	for name, q := range map[string]davtest.Quirks{"plain": {}, "pages": {Page: 1}, "proxy": {ItemURL: "http://inside"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := book(t, q, "a", "b", "c")
			token := list(t, c, "").Token
			n := len(s.Requests())
			c = open(t, s.Options(), s.Book(), dav.AddressBook)
			l := list(t, c, token)
			if !l.Changes || len(l.Refs)+len(l.Removed) != 0 || l.Token != token {
				t.Errorf("unchanged: got %+v", l)
			}
			equal(t, "requests of an unchanged run", methods(s, n), "PROPFIND 207")

			s.Put(s.Book(), "b.vcf", card("b", "Other"))
			s.Put(s.Book(), "d.vcf", card("d", "New"))
			s.Remove(s.Book(), "a.vcf")
			l = list(t, c, token)
			if !l.Changes || l.Token == token {
				t.Errorf("changed: got %+v", l)
			}
			equal(t, "changed", names(l.Refs), "b.vcf d.vcf")
			equal(t, "removed", strings.Join(l.Removed, " "), s.Book()+"a.vcf")
			l = list(t, c, l.Token)
			if !l.Changes || len(l.Refs)+len(l.Removed) != 0 {
				t.Errorf("again: got %+v", l)
			}
		})
	}
}

// Within the pages of one listing an item changes and goes.
func TestListPagesInTime(t *testing.T) {
	t.Parallel()
	s, c := book(t, davtest.Quirks{Page: 1}, "a")
	token := list(t, c, "").Token
	s.Put(s.Book(), "b.vcf", card("b", "B"))
	s.Put(s.Book(), "c.vcf", card("c", "C"))
	s.Fail(davtest.Fault{Method: "REPORT", After: 1, Before: func() { s.Remove(s.Book(), "b.vcf") }})
	l := list(t, c, token)
	equal(t, "changed", names(l.Refs), "c.vcf")
	equal(t, "removed", strings.Join(l.Removed, " "), s.Book()+"b.vcf")
}

func TestListWithCTag(t *testing.T) {
	t.Parallel()
	s, c := book(t, davtest.Quirks{NoTokens: true}, "a")
	token := list(t, c, "").Token
	for range 2 { // the first asks the server, too: a listing was made since Open
		l := list(t, c, token)
		if !l.Changes || l.Token != token {
			t.Errorf("unchanged: got %+v", l)
		}
	}
	s.Put(s.Book(), "b.vcf", card("b", "B"))
	if _, err := c.List(t.Context(), token); !errors.Is(err, merge.ErrToken) {
		t.Errorf("got %v, want ErrToken", err)
	}
	equal(t, "names", names(list(t, c, "").Refs), "a.vcf b.vcf")
}

func TestListWithBadToken(t *testing.T) {
	t.Parallel()
	for name, q := range map[string]davtest.Quirks{
		"403 named":   {},
		"403 bare":    {BadToken: 403},
		"400":         {BadToken: 400},
		"500":         {BadToken: 500},
		"404":         {BadToken: 404},
		"410":         {BadToken: 410},
		"507":         {BadToken: 507},
		"always 500":  {FailSync: 500},
		"always 501":  {FailSync: 501},
		"stuck pages": {Page: 1, StuckToken: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := book(t, q, "a", "b")
			token := list(t, c, "").Token
			s.Put(s.Book(), "c.vcf", card("c", "C"))
			s.Put(s.Book(), "d.vcf", card("d", "D"))
			if !q.StuckToken {
				s.Expire(s.Book())
			}
			if _, err := c.List(t.Context(), token); !errors.Is(err, merge.ErrToken) {
				t.Errorf("got %v, want ErrToken", err)
			}
			if n := len(s.Requests()); n > 4 {
				t.Errorf("%d requests", n)
			}
			if l := list(t, c, ""); len(l.Refs) != 4 || l.Token == token {
				t.Errorf("listing after: got %+v", l)
			}
		})
	}
	s, c := book(t, davtest.Quirks{}, "a")
	for _, token := range []string{"nonsense", "sync:urn:davtest:99", "sync:<&>", "ctag:7"} {
		if _, err := c.List(t.Context(), token); !errors.Is(err, merge.ErrToken) {
			t.Errorf("List(%q): got %v, want ErrToken", token, err)
		}
	}
	token := list(t, c, "").Token
	s.Fail(davtest.Fault{Method: "REPORT", Status: http.StatusUnauthorized})
	if _, err := c.List(t.Context(), token); !errors.Is(err, merge.ErrDenied) {
		t.Errorf("401: got %v, want ErrDenied", err)
	}
	s.Fail(davtest.Fault{Method: "REPORT", Status: http.StatusServiceUnavailable, Times: 9})
	if _, err := c.List(t.Context(), token); err == nil || errors.Is(err, merge.ErrToken) {
		t.Errorf("503: got %v, want an error that is not about the token", err)
	}
}

// What is no whole listing is an error.
func TestListPartial(t *testing.T) {
	t.Parallel()
	const start = `<multistatus xmlns="DAV:">`
	item := func(href, rest string) string { return "<response><href>" + href + "</href>" + rest + "</response>" }
	fine := item("/dav/books/tester/people/a.vcf", `<propstat><prop><getetag>"1"</getetag></prop><status>HTTP/1.1 200 OK</status></propstat>`)
	for name, f := range map[string]davtest.Fault{
		"connection cut":   {Cut: 700, Times: 9},
		"no end":           {Short: 1200, Times: 9},
		"no end, closed":   {Status: 207, Body: start + fine},
		"nothing in it":    {Status: 207, Body: start + "</multistatus>"},
		"html":             {Status: 207, Body: "<html><body>log in</body></html>"},
		"200":              {Status: 200, Body: start + fine + "</multistatus>"},
		"self 500":         {Status: 207, Body: start + fine + item("/dav/books/tester/people/", "<status>HTTP/1.1 500 Oops</status>") + "</multistatus>"},
		"self 5xx inside":  {Status: 207, Body: start + fine + item("/dav/books/tester/people", "<propstat><prop><getetag/></prop><status>HTTP/1.1 503 x</status></propstat>") + "</multistatus>"},
		"507, no more":     {Status: 207, Body: start + fine + item("/dav/books/tester/people/", "<status>HTTP/1.1 507 Full</status>") + "</multistatus>"},
		"no href":          {Status: 207, Body: start + fine + "<response><status>HTTP/1.1 404 x</status></response></multistatus>"},
		"href elsewhere":   {Status: 207, Body: start + fine + item("https://evil.example/x.vcf", "") + "</multistatus>"},
		"href of no web":   {Status: 207, Body: start + fine + item("file:///etc/passwd", "") + "</multistatus>"},
		"document type":    {Status: 207, Body: `<!DOCTYPE x [<!ENTITY a "b">]>` + start + fine + "</multistatus>"},
		"too deep":         {Status: 207, Body: start + fine + strings.Repeat("<a>", 100) + strings.Repeat("</a>", 100) + "</multistatus>"},
		"other namespace":  {Status: 207, Body: `<multistatus xmlns="dav:">` + fine + "</multistatus>"},
		"unbound entities": {Status: 207, Body: start + "&a;</multistatus>"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := book(t, davtest.Quirks{NoTokens: true}, "a", "b", "c", "d")
			f.Method = "PROPFIND"
			s.Fail(f)
			if l, err := c.List(t.Context(), ""); err == nil {
				t.Errorf("got %+v, want an error", l)
			}
		})
	}
}

// What may be an item, or was listed with etags that disagree, has no etag.
func TestListDoubtful(t *testing.T) {
	t.Parallel()
	s, c := book(t, davtest.Quirks{}, "a")
	item := func(name, rest string) string {
		return "<response><href>/dav/books/tester/people/" + name + "</href>" + rest + "</response>"
	}
	etag := func(e string) string {
		return `<propstat><prop><getetag>` + e + `</getetag></prop><status>HTTP/1.1 200 OK</status></propstat>`
	}
	s.Fail(davtest.Fault{Status: 207, Body: `<multistatus xmlns="DAV:">` + item("", etag(`"self"`)) +
		item("a.vcf", etag(`"1"`)) + item("a.vcf", etag(`"2"`)) + item("b%2evcf", etag(`"1"`)) + item("b.vcf", etag(`"1"`)) +
		item("broken.vcf", "<status>HTTP/1.1 500 Oops</status>") + item("gone.vcf", "<status>HTTP/1.1 404 Not Found</status>") +
		item("newline.vcf", etag("a&#10;b")) + item("none.vcf", strings.Replace(etag("x"), "200 OK", "404 Not Found", 1)) + "</multistatus>"})
	l := list(t, c, "")
	equal(t, "names", names(l.Refs), "a.vcf b.vcf broken.vcf newline.vcf none.vcf")
	equal(t, "etags", l.Refs[0].ETag+" "+l.Refs[1].ETag+" "+l.Refs[2].ETag+l.Refs[3].ETag+l.Refs[4].ETag, ` "1" `)
}

func TestListDenied(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]error{401: merge.ErrDenied, 403: merge.ErrDenied, 404: merge.ErrMissing, 410: merge.ErrMissing} {
		s, c := book(t, davtest.Quirks{}, "a")
		s.Fail(davtest.Fault{Status: status, Body: "Tester, you may not"})
		_, err := c.List(t.Context(), "")
		if !errors.Is(err, want) {
			t.Errorf("%d: got %v, want %v", status, err, want)
		}
		if strings.Contains(strings.ToLower(err.Error()), "tester") {
			t.Errorf("%d: the error names the user: %v", status, err)
		}
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	s := davtest.Start(t, davtest.Quirks{SlashRedirect: 301, ResourceID: "urn:uuid:17"})
	c := open(t, s.Options(), strings.TrimSuffix(s.Book(), "/"), dav.AddressBook)
	id, err := c.Identity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "identity", id, s.Book()+" "+s.URL+"/dav/principals/tester/ urn:uuid:17")
	equal(t, "requests", methods(s, 0), "PROPFIND 301, PROPFIND 207")
	equal(t, "URL", c.Info().URL, s.Book())

	s.Fail(davtest.Fault{Status: 207, Body: `<multistatus xmlns="DAV:"><response><href>` + s.Book() + `</href><propstat><prop><resourcetype/></prop>` +
		`<status>HTTP/1.1 503 Later</status></propstat></response></multistatus>`})
	if _, err := dav.Open(t.Context(), s.Options(), s.Book(), dav.AddressBook); err == nil || errors.Is(err, merge.ErrMissing) {
		t.Errorf("a property that cannot be had: got %v, want an error of another kind", err)
	}

	// A server that spells the collection without its slash.
	s.Fail(davtest.Fault{Status: 207, Body: `<multistatus xmlns="DAV:" xmlns:A="urn:ietf:params:xml:ns:carddav"><response><href>/dav/books/tester/people</href>` +
		`<propstat><prop><resourcetype><collection/><A:addressbook/></resourcetype></prop><status>HTTP/1.1 200 OK</status></propstat></response></multistatus>`})
	equal(t, "URL", open(t, s.Options(), s.Book(), dav.AddressBook).Info().URL, s.Book())

	for name, try := range map[string]struct {
		url  string
		kind dav.Kind
		want error
	}{
		"other kind": {s.Book(), dav.Calendar, merge.ErrMissing},
		"no such":    {s.Book() + "x/", dav.AddressBook, merge.ErrMissing},
		"a folder":   {s.URL + "/dav/", dav.AddressBook, merge.ErrMissing},
	} {
		if _, err := dav.Open(t.Context(), s.Options(), try.url, try.kind); !errors.Is(err, try.want) {
			t.Errorf("%s: got %v, want %v", name, err, try.want)
		}
	}
	for _, url := range []string{"", "http://example.org/", "ftp://127.0.0.1/", "https://u:geheim@example.org/", "https://", "https://[::1", "http://localhost.example.org"} {
		_, err := dav.Open(t.Context(), s.Options(), url, dav.AddressBook)
		if err == nil || strings.Contains(err.Error(), "geheim") {
			t.Errorf("Open(%q): got %v, want an error without the password", url, err)
		}
	}
}
