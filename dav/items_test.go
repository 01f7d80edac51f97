package dav_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"russet/dav"
	"russet/dav/davtest"
	"russet/merge"
)

func TestGet(t *testing.T) {
	t.Parallel()
	for name, q := range map[string]davtest.Quirks{
		"plain":           {},
		"left out":        {Omit: []string{"b.vcf", "gone.vcf"}},
		"no content":      {NoData: true},
		"no multiget":     {NoMultiget: 501},
		"multiget 403":    {NoMultiget: 403},
		"proxy":           {ItemURL: "http://inside:81"},
		"gzip":            {Gzip: true},
		"gzip, content":   {Gzip: true, NoData: true},
		"weak":            {WeakETags: true},
		"control in card": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := book(t, q, "a", "b", "odd ü%2B")
			want := card("b", "Name of b")
			if name == "control in card" { // no XML can hold it
				want = card("b", "Name\vof b")
				s.Put(s.Book(), "b.vcf", want)
			}
			items, err := c.Get(t.Context(), []string{s.Book() + "odd%20ü%252B.vcf", s.Book() + "gone.vcf", s.Book() + "b.vcf", s.Book() + "a.vcf"})
			if err != nil || len(items) != 4 {
				t.Fatalf("got %d items, %v", len(items), err)
			}
			equal(t, "href", items[0].Href, s.Book()+"odd%20%C3%BC%252B.vcf")
			equal(t, "gone", fmt.Sprint(items[0].Gone, items[1].Gone, items[1].Body, items[2].Gone), "false true [] false")
			equal(t, "body", strings.ReplaceAll(string(items[2].Body), "\r\n", "\n"), strings.ReplaceAll(want, "\r\n", "\n"))
			tags := map[string]string{}
			for _, r := range list(t, c, "").Refs {
				tags[r.Href] = r.ETag
			}
			for _, i := range []int{0, 2, 3} {
				if q.NoMultiget == 0 || !q.Gzip {
					equal(t, "etag", items[i].ETag, tags[items[i].Href])
				}
			}
		})
	}
}

func TestGetInBatches(t *testing.T) {
	t.Parallel()
	s, c := book(t, davtest.Quirks{})
	var hrefs []string
	for i := range 101 {
		s.Put(s.Book(), fmt.Sprint(i, ".vcf"), card(fmt.Sprint("u", i), "N"))
		hrefs = append(hrefs, fmt.Sprint(s.Book(), 100-i, ".vcf"))
	}
	n := len(s.Requests())
	items, err := c.Get(t.Context(), append(hrefs, s.Book()+"gone.vcf"))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "gone", items[101].Gone, true)
	for i, it := range items[:101] {
		if it.Href != hrefs[i] || !strings.Contains(string(it.Body), fmt.Sprint("UID:u", 100-i, "\r")) && !strings.Contains(string(it.Body), fmt.Sprint("UID:u", 100-i, "\n")) {
			t.Errorf("item %d is %q: %q", i, it.Href, it.Body)
		}
	}
	equal(t, "requests", methods(s, n), "REPORT 207, REPORT 207, REPORT 207")
}

// One item that breaks an answer costs a few requests, not the whole batch.
func TestGetBesideBroken(t *testing.T) {
	t.Parallel()
	s, c := book(t, davtest.Quirks{})
	var hrefs []string
	for i := range 40 {
		name := fmt.Sprint("n", i)
		s.Put(s.Book(), name+".vcf", card(name, strings.Repeat("\v", i/39)))
		hrefs = append(hrefs, s.Book()+name+".vcf")
	}
	n := len(s.Requests())
	if _, err := c.Get(t.Context(), hrefs); err != nil {
		t.Fatal(err)
	}
	if got := len(s.Requests()) - n; got > 14 {
		t.Errorf("%d requests", got)
	}
}

// An item without any etag has one made of its content, the same in every run.
func TestGetWithoutETags(t *testing.T) {
	t.Parallel()
	s, c := book(t, davtest.Quirks{NoETags: true}, "a")
	equal(t, "listed", list(t, c, "").Refs[0].ETag, "")
	first := one(t, c)
	s.Set(func(q *davtest.Quirks) { q.NoData = true })
	equal(t, "etag by GET", one(t, c).ETag, first.ETag)
	s.Put(s.Book(), "a.vcf", card("a", "Other"))
	if tag := one(t, c).ETag; tag == first.ETag || !strings.HasPrefix(tag, "content-sha256:") {
		t.Errorf("got %q after a change, before %q", tag, first.ETag)
	}
}

// What was not answered is an error, never an item that is gone.
func TestGetErrors(t *testing.T) {
	t.Parallel()
	for name, try := range map[string]struct {
		quirks davtest.Quirks
		fault  davtest.Fault
		want   error
	}{
		"403 of an item":    {davtest.Quirks{Omit: []string{"a.vcf"}}, davtest.Fault{Method: "GET", Status: 403}, merge.ErrDenied},
		"500 of an item":    {davtest.Quirks{Omit: []string{"a.vcf"}}, davtest.Fault{Method: "GET", Status: 500}, nil},
		"a page to log in":  {davtest.Quirks{NoData: true}, davtest.Fault{Method: "GET", Status: 200, Body: "<!DOCTYPE html><html>hello"}, nil},
		"nothing":           {davtest.Quirks{NoData: true}, davtest.Fault{Method: "GET", Status: 200}, nil},
		"collection gone":   {davtest.Quirks{}, davtest.Fault{Method: "REPORT", Status: 404}, merge.ErrMissing},
		"not logged in":     {davtest.Quirks{}, davtest.Fault{Method: "REPORT", Status: 401}, merge.ErrDenied},
		"cut, and again":    {davtest.Quirks{}, davtest.Fault{Method: "REPORT", Cut: 300, Times: 9}, nil},
		"unavailable":       {davtest.Quirks{}, davtest.Fault{Method: "REPORT", Status: 503, Times: 9}, nil},
		"GET cut, and more": {davtest.Quirks{NoData: true}, davtest.Fault{Method: "GET", Cut: 20, Times: 9}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := book(t, try.quirks, "a")
			s.Fail(try.fault)
			items, err := c.Get(t.Context(), []string{s.Book() + "a.vcf"})
			if err == nil || try.want != nil && !errors.Is(err, try.want) {
				t.Errorf("got %v, %v, want %v", items, err, try.want)
			}
		})
	}
	_, c := book(t, davtest.Quirks{}, "a")
	_, err := c.Get(t.Context(), []string{"https://evil.example/a.vcf"})
	if host, ok := errors.AsType[*dav.HostError](err); !ok || host.Host != "evil.example" {
		t.Errorf("got %v, want a HostError", err)
	}
}

// A cut answer is asked for again.
func TestGetCutOnce(t *testing.T) {
	t.Parallel()
	s, c := book(t, davtest.Quirks{}, "a")
	s.Fail(davtest.Fault{Method: "REPORT", Cut: 300})
	s.Fail(davtest.Fault{Method: "REPORT", Drop: true})
	equal(t, "uid", strings.Contains(string(one(t, c).Body), "UID:a"), true)
}

// A context that ends stops what is going on.
func TestCancelled(t *testing.T) {
	t.Parallel()
	s, c := book(t, davtest.Quirks{}, "a")
	ctx, cancel := context.WithCancel(t.Context())
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	s.Fail(davtest.Fault{Before: func() { cancel(); <-hang }})
	if _, err := c.List(ctx, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}
