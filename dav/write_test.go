package dav_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"russet/dav"
	"russet/dav/davtest"
	"russet/merge"
)

func TestCreate(t *testing.T) {
	t.Parallel()
	for uid, name := range map[string]string{
		"a-1_B.c":                "a-1_B.c.vcf",
		"x@example.org":          "x%40example.org.vcf",
		"../../etc/passwd":       "",
		".hidden":                "",
		"ü":                      "",
		"a b":                    "",
		"":                       "",
		strings.Repeat("x", 101): "",
		"urn:uuid:1":             "",
		"a,b":                    "",
	} {
		s, c := book(t, davtest.Quirks{})
		ref, err := c.Create(t.Context(), uid, []byte(card(uid, "New")))
		if err != nil {
			t.Fatalf("%q: %v", uid, err)
		}
		got, _ := strings.CutPrefix(ref.Href, s.Book())
		if name != "" {
			equal(t, "name", got, name)
		} else if len(got) != 36 || strings.ContainsAny(got[:32], "/%.") {
			t.Errorf("%q: name is %q, want 32 digits", uid, got)
		}
		equal(t, "etag", ref.ETag, `"e1"`)
		equal(t, "as listed", list(t, c, "").Refs[0], ref)
		r := s.Requests()[1]
		equal(t, "condition", r.Header.Get("If-None-Match"), "*")
		equal(t, "length", r.Length, int64(len(card(uid, "New"))))
		equal(t, "type", r.Header.Get("Content-Type"), "text/vcard; charset=utf-8")
		if _, err := c.Create(t.Context(), uid, []byte(card(uid, "Again"))); !errors.Is(err, merge.ErrChanged) && uid != "" {
			t.Errorf("%q again: got %v, want ErrChanged", uid, err)
		}
		equal(t, "stored", s.Items(s.Book())[last(ref.Href)], card(uid, "New"))
	}
}

func last(href string) string {
	return strings.ReplaceAll(href[strings.LastIndexByte(href, '/')+1:], "%40", "@")
}

// A name that another item has already is not the item's.
func TestCreateNameTaken(t *testing.T) {
	t.Parallel()
	s, c := book(t, davtest.Quirks{})
	s.Put(s.Book(), "a.vcf", card("other", "Other"))
	ref, err := c.Create(t.Context(), "a", []byte(card("a", "New")))
	if err != nil || ref.Href == s.Book()+"a.vcf" {
		t.Fatalf("got %v, %v, want another name", ref, err)
	}
	equal(t, "items", len(s.Items(s.Book())), 2)
	equal(t, "the other", s.Items(s.Book())["a.vcf"], card("other", "Other"))
	s.Put(s.Book(), "b.vcf", strings.Replace(card("b", "B"), "FN:", "UID:c\r\nFN:", 1))
	if ref, err := c.Create(t.Context(), "b", []byte(card("b", "New"))); !errors.Is(err, merge.ErrChanged) {
		t.Errorf("got %v, %v, want ErrChanged for what cannot be read and has the UID", ref, err)
	}
}

func TestCreatePlaces(t *testing.T) {
	t.Parallel()
	s, c := book(t, davtest.Quirks{Place: "chosen 1.vcf"})
	ref, err := c.Create(t.Context(), "a", []byte(card("a", "New")))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "href", ref.Href, s.Book()+"chosen%201.vcf")
}

func TestCreateCalendar(t *testing.T) {
	t.Parallel()
	s := davtest.Start(t, davtest.Quirks{NoETags: true, ScheduleTags: true})
	c := open(t, s.Options(), s.Calendar(), dav.Calendar)
	ref, err := c.Create(t.Context(), "a", []byte(event("a", "Party")))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "ref", ref, merge.Ref{Href: s.Calendar() + "a.ics", ETag: `schedule-tag:"s1"`})
	equal(t, "type", s.Requests()[1].Header.Get("Content-Type"), "text/calendar; charset=utf-8")
	if ref, err = c.Update(t.Context(), ref, []byte(event("a", "Ball"))); err != nil {
		t.Fatal(err)
	}
	equal(t, "condition", s.Requests()[2].Header.Get("If-Schedule-Tag-Match"), `"s1"`)
	s.Put(s.Calendar(), "a.ics", event("a", "Mine"))
	if _, err := c.Update(t.Context(), ref, []byte(event("a", "Theirs"))); !errors.Is(err, merge.ErrChanged) {
		t.Errorf("got %v, want ErrChanged", err)
	}
	if err := c.Delete(t.Context(), one(t, c).Ref); err != nil {
		t.Fatal(err)
	}
	all := s.Requests()
	equal(t, "reply", all[len(all)-1].Header.Get("Schedule-Reply"), "F")
	equal(t, "items", len(s.Items(s.Calendar())), 0)
}

// With whatever etags a server has, an item is replaced and deleted as it was
// read, and not when somebody else wrote meanwhile.
func TestConditions(t *testing.T) {
	t.Parallel()
	for name, q := range map[string]davtest.Quirks{
		"strong":       {},
		"weak":         {WeakETags: true},
		"bare":         {BareETags: true},
		"weak strict":  {WeakETags: true, StrictMatch: true},
		"bare strict":  {BareETags: true, StrictMatch: true},
		"none":         {NoETags: true},
		"none on PUT":  {QuietPut: true},
		"gone is 412":  {GoneIs412: true},
		"through gzip": {Gzip: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := book(t, q, "a")
			ref, err := c.Update(t.Context(), one(t, c).Ref, []byte(card("a", "New")))
			if err != nil {
				t.Fatal(err)
			}
			if (ref.ETag == "") != (q.NoETags || q.QuietPut) {
				t.Errorf("etag after PUT: %q", ref.ETag)
			}
			equal(t, "stored", s.Items(s.Book())["a.vcf"], card("a", "New"))
			if ref.ETag == "" { // of what somebody may have changed since, nothing is known
				if _, err := c.Update(t.Context(), ref, []byte(card("a", "Newer"))); !errors.Is(err, merge.ErrChanged) {
					t.Errorf("without etag: got %v, want ErrChanged", err)
				}
			}
			read := one(t, c).Ref
			s.Put(s.Book(), "a.vcf", card("a", "Theirs"))
			if _, err := c.Update(t.Context(), read, []byte(card("a", "Ours"))); !errors.Is(err, merge.ErrChanged) {
				t.Errorf("Update: got %v, want ErrChanged", err)
			}
			if err := c.Delete(t.Context(), read); !errors.Is(err, merge.ErrChanged) {
				t.Errorf("Delete: got %v, want ErrChanged", err)
			}
			equal(t, "stored", s.Items(s.Book())["a.vcf"], card("a", "Theirs"))
			read = one(t, c).Ref
			if err := c.Delete(t.Context(), read); err != nil {
				t.Errorf("Delete: %v", err)
			}
			equal(t, "items", len(s.Items(s.Book())), 0)
			if err := c.Delete(t.Context(), read); err != nil {
				t.Errorf("Delete of what is gone: %v", err)
			}
			if _, err := c.Update(t.Context(), read, []byte(card("a", "Ours"))); !errors.Is(err, merge.ErrChanged) {
				t.Errorf("Update of what is gone: got %v, want ErrChanged", err)
			}
			equal(t, "items", len(s.Items(s.Book())), 0)
		})
	}
}

func TestWriteErrors(t *testing.T) {
	t.Parallel()
	named := func(name string) string {
		return `<error xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:carddav"><` + name + `/></error>`
	}
	for name, try := range map[string]struct {
		fault  davtest.Fault
		quirks davtest.Quirks
		want   error
		text   string
	}{
		"401":             {davtest.Fault{Status: 401}, davtest.Quirks{}, merge.ErrDenied, ""},
		"403":             {davtest.Fault{Status: 403}, davtest.Quirks{NoPrivileges: true}, merge.ErrDenied, ""},
		"403 of the item": {davtest.Fault{Status: 403}, davtest.Quirks{}, merge.ErrRefused, ""},
		"403 privileges":  {davtest.Fault{Status: 403, Body: named("need-privileges")}, davtest.Quirks{}, merge.ErrDenied, "need-privileges"},
		"403 data":        {davtest.Fault{Status: 403, Body: named("C:supported-address-data")}, davtest.Quirks{NoPrivileges: true}, merge.ErrRefused, "supported-address-data"},
		"405":             {davtest.Fault{Status: 405}, davtest.Quirks{}, merge.ErrDenied, ""},
		"400":             {davtest.Fault{Status: 400}, davtest.Quirks{}, merge.ErrRefused, ""},
		"409":             {davtest.Fault{Status: 409, Body: named("C:no-uid-conflict")}, davtest.Quirks{}, merge.ErrRefused, "no-uid-conflict"},
		"413":             {davtest.Fault{Status: 413}, davtest.Quirks{}, merge.ErrRefused, ""},
		"415":             {davtest.Fault{Status: 415}, davtest.Quirks{}, merge.ErrRefused, ""},
		"422":             {davtest.Fault{Status: 422, Body: named("SECRET")}, davtest.Quirks{}, merge.ErrRefused, ""},
		"507":             {davtest.Fault{Status: 507, Body: named("quota-not-exceeded")}, davtest.Quirks{}, merge.ErrRefused, "quota-not-exceeded"},
		"207, xandikos": {davtest.Fault{Status: 207, Body: `<multistatus xmlns="DAV:"><response><href>/x</href><status>HTTP/1.1 412 x</status>` +
			`<error><valid-calendar-data xmlns="urn:ietf:params:xml:ns:caldav"/></error></response></multistatus>`}, davtest.Quirks{}, merge.ErrRefused, "valid-calendar-data"},
		"207":       {davtest.Fault{Status: 207, Body: `<multistatus xmlns="DAV:"/>`}, davtest.Quirks{}, dav.ErrUnknown, ""},
		"202":       {davtest.Fault{Status: 202}, davtest.Quirks{}, dav.ErrUnknown, ""},
		"500":       {davtest.Fault{Status: 500}, davtest.Quirks{}, dav.ErrUnknown, ""},
		"read only": {davtest.Fault{Status: 0}, davtest.Quirks{ReadOnly: true}, merge.ErrDenied, "need-privileges"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := book(t, try.quirks, "a")
			equal(t, "read only", c.Info().ReadOnly, try.quirks.ReadOnly)
			ref := one(t, c).Ref
			for _, method := range []string{"PUT", "PUT", "DELETE"} {
				try.fault.Method = method
				try.fault.Body += "<!-- SECRET of tester -->"
				if try.fault.Status != 0 {
					s.Fail(try.fault)
				}
			}
			_, create := c.Create(t.Context(), "b", []byte(card("b", "SECRET")))
			_, update := c.Update(t.Context(), ref, []byte(card("a", "SECRET")))
			for verb, err := range map[string]error{"create": create, "update": update, "delete": c.Delete(t.Context(), ref)} {
				if !errors.Is(err, try.want) || !strings.Contains(err.Error(), try.text) {
					t.Errorf("%s: got %v, want %v with %q", verb, err, try.want, try.text)
				}
				if s := err.Error(); strings.Contains(s, "SECRET") || strings.Contains(s, davtest.User) {
					t.Errorf("%s: the error tells too much: %v", verb, err)
				}
			}
		})
	}
	s, c := book(t, davtest.Quirks{})
	s.Fail(davtest.Fault{Status: 404})
	if _, err := c.Create(t.Context(), "a", []byte(card("a", "A"))); !errors.Is(err, merge.ErrMissing) {
		t.Errorf("404 on create: got %v, want ErrMissing", err)
	}
	s.Fail(davtest.Fault{Status: 404})
	if _, err := c.Update(t.Context(), merge.Ref{Href: s.Book() + "a.vcf", ETag: `"1"`}, []byte(card("a", "A"))); !errors.Is(err, merge.ErrChanged) {
		t.Errorf("404 on update: got %v, want ErrChanged", err)
	}
	s.Put(s.Book(), "x.vcf", card("same", "A"))
	if _, err := c.Create(t.Context(), "same", []byte(card("same", "B"))); !errors.Is(err, merge.ErrRefused) || !strings.Contains(err.Error(), "no-uid-conflict") {
		t.Errorf("second UID: got %v, want ErrRefused", err)
	}
}

// When the answer to a write is lost, nobody says that it was or was not done.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	s, c := book(t, davtest.Quirks{}, "a")
	ref := one(t, c).Ref
	s.Fail(davtest.Fault{Method: "PUT", Lost: true})
	_, err := c.Create(t.Context(), "b", []byte(card("b", "B")))
	if !errors.Is(err, dav.ErrUnknown) || errors.Is(err, merge.ErrChanged) {
		t.Errorf("Create: got %v, want ErrUnknown", err)
	}
	equal(t, "created", s.Items(s.Book())["b.vcf"], card("b", "B"))
	s.Fail(davtest.Fault{Method: "PUT", Lost: true})
	_, err = c.Update(t.Context(), ref, []byte(card("a", "New")))
	if !errors.Is(err, dav.ErrUnknown) || errors.Is(err, merge.ErrChanged) {
		t.Errorf("Update: got %v, want ErrUnknown", err)
	}
	s.Fail(davtest.Fault{Method: "DELETE", Lost: true})
	if err := c.Delete(t.Context(), merge.Ref{Href: s.Book() + "b.vcf", ETag: `"e2"`}); err != nil {
		t.Errorf("Delete: %v", err)
	}
	s.Fail(davtest.Fault{Method: "DELETE", Lost: true})
	s.Set(func(q *davtest.Quirks) { q.GoneIs412 = true })
	if err := c.Delete(t.Context(), merge.Ref{Href: s.Book() + "a.vcf", ETag: `"e3"`}); err != nil {
		t.Errorf("Delete, then 412: %v", err)
	}
	equal(t, "items", len(s.Items(s.Book())), 0)

	// What the server never saw is simply sent again.
	s.Fail(davtest.Fault{Method: "PUT", Drop: true})
	if _, err := c.Create(t.Context(), "c", []byte(card("c", "C"))); err != nil {
		t.Errorf("Create: %v", err)
	}
	s.Fail(davtest.Fault{Method: "PUT", Status: 502, Times: 9})
	if _, err := c.Create(t.Context(), "d", []byte(card("d", "D"))); !errors.Is(err, dav.ErrUnknown) {
		t.Errorf("502: got %v, want ErrUnknown", err)
	}
}

// A write that depends on nothing is not sent twice.
func TestLostWithoutETags(t *testing.T) {
	t.Parallel()
	s, c := book(t, davtest.Quirks{NoETags: true}, "a")
	ref := one(t, c).Ref
	s.Fail(davtest.Fault{Method: "PUT", Lost: true})
	n := len(s.Requests())
	if _, err := c.Update(t.Context(), ref, []byte(card("a", "New"))); !errors.Is(err, dav.ErrUnknown) {
		t.Errorf("got %v, want ErrUnknown", err)
	}
	equal(t, "requests", methods(s, n), "REPORT 207, PUT 0")
}

// A PUT that is cancelled may have been done.
func TestCancelledPut(t *testing.T) {
	t.Parallel()
	s, c := book(t, davtest.Quirks{})
	ctx, cancel := context.WithCancel(t.Context())
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	s.Fail(davtest.Fault{Before: func() { cancel(); <-hang }})
	if _, err := c.Create(ctx, "a", []byte(card("a", "A"))); !errors.Is(err, context.Canceled) || !errors.Is(err, dav.ErrUnknown) {
		t.Errorf("got %v, want context.Canceled and ErrUnknown", err)
	}
}

// iCloud refuses an object whose PRODID is folded.
func TestFoldedPRODID(t *testing.T) {
	t.Parallel()
	for sent, want := range map[string]string{
		"-//" + strings.Repeat("x", 65) + "\r\n " + strings.Repeat("y", 60) + "//EN": "-//Russet//EN",
		"-//Some\r\n  Program//EN": "-//Some Program//EN",
		"-//Other//EN":             "-//Other//EN",
	} {
		s, c := book(t, davtest.Quirks{ShortPRODID: true})
		with := func(id string) string { return strings.Replace(card("a", "A"), "FN:", "PRODID:"+id+"\r\nFN:", 1) }
		if _, err := c.Create(t.Context(), "a", []byte(with(sent))); err != nil {
			t.Fatal(err)
		}
		equal(t, "stored", s.Items(s.Book())["a.vcf"], with(want))
	}
}

// Servers store cards otherwise than they got them, and some lose a part. What
// Get returns is what they stored, under the etag that they gave.
func TestRewritingServers(t *testing.T) {
	t.Parallel()
	_, c := book(t, davtest.Quirks{Rewrite: true, Lose: []string{"NOTE"}})
	sent := strings.Replace(card("a", "A"), "END:", "TEL;TYPE=CELL;TYPE=pref:+1\r\nitem1.X-ABLabel:mum\r\nNOTE:x\r\nEND:", 1)
	ref, err := c.Create(t.Context(), "a", []byte(sent))
	if err != nil {
		t.Fatal(err)
	}
	got := one(t, c)
	equal(t, "ref", got.Ref, ref)
	equal(t, "body", strings.ReplaceAll(string(got.Body), "\r", ""), "BEGIN:VCARD\nFN:A\nN:A;;;;\nTEL;TYPE=CELL,pref:+1\nUID:a\nVERSION:3.0\nitem1.X-ABLABEL:MUM\nEND:VCARD\n")
}

// A server that does not look at conditions writes over anything: that nobody can
// help but by reading, which is what the caller does right before and after.
func TestIgnoredConditions(t *testing.T) {
	t.Parallel()
	s, c := book(t, davtest.Quirks{IgnoreMatch: true}, "a")
	ref, err := c.Update(t.Context(), merge.Ref{Href: s.Book() + "a.vcf", ETag: `"old"`}, []byte(card("a", "New")))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "etag", ref.ETag, one(t, c).ETag)
}
