package dav

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"russet/merge"
)

// batch is how many items are asked for in one request. Servers look each up;
// more in one is no faster.
const batch = 50

// errUnable is in errors of reports that a server cannot make, or not of so
// many items.
var errUnable = errors.New("the server cannot report that")

// Get returns the items of these hrefs in their order, by multiget. What the
// server leaves out of an answer, or gives without content, is asked for by
// itself: an item counts as gone only when the server says 404 or 410 of it, and
// without any answer for one, all of it is an error. An item to which the server
// gives no etag gets one made of its content.
func (c *Collection) Get(ctx context.Context, hrefs []string) ([]merge.Item, error) {
	var items []merge.Item
	for part := range slices.Chunk(hrefs, batch) {
		urls := make([]*url.URL, len(part))
		for i, h := range part {
			var err error
			if urls[i], err = c.client.resolve(c.at, h); err != nil {
				return nil, err
			}
		}
		got, err := c.getAll(ctx, urls)
		if err != nil {
			return nil, err
		}
		items = append(items, got...)
	}
	return items, nil
}

// getAll returns a batch. A server that cannot report it, for one bad item in it or
// because it is too long, is asked for halves.
func (c *Collection) getAll(ctx context.Context, urls []*url.URL) ([]merge.Item, error) {
	got, err := c.multiget(ctx, urls)
	if errors.Is(err, errUnable) && len(urls) > 1 {
		first, err := c.getAll(ctx, urls[:len(urls)/2])
		if err != nil {
			return nil, err
		}
		second, err := c.getAll(ctx, urls[len(urls)/2:])
		return append(first, second...), err
	}
	if err != nil && !errors.Is(err, errUnable) {
		return nil, err
	}
	items := make([]merge.Item, len(urls))
	for i, u := range urls {
		it := got[u.String()]
		if it.Body == nil && !it.Gone {
			if it, err = c.get(ctx, u, it.ETag); err != nil {
				return nil, err
			}
		}
		it.Href = u.String()
		if it.ETag == "" && !it.Gone {
			it.ETag = contentETag(it.Body)
		}
		items[i] = it
	}
	return items, nil
}

// multiget returns what the report says of the items, by their URLs.
func (c *Collection) multiget(ctx context.Context, urls []*url.URL) (map[string]merge.Item, error) {
	const what = "read items"
	report, data, space := "A:addressbook-multiget", "address-data", nsCard
	props := "<getetag/><A:address-data/>"
	if c.kind == Calendar {
		report, data, space = "C:calendar-multiget", "calendar-data", nsCal
		props = "<getetag/><C:schedule-tag/><C:calendar-data/>"
	}
	var body strings.Builder
	body.WriteString(xmlStart + "<" + report + " " + xmlNames + "><prop>" + props + "</prop>")
	for _, u := range urls {
		body.WriteString("<href>" + xmlText(u.EscapedPath()) + "</href>")
	}
	body.WriteString("</" + report + ">")
	a, err := c.client.do(ctx, c.report(what, body.String()))
	switch {
	case errors.Is(err, errTooLarge):
		return nil, fmt.Errorf("%w: %w", errUnable, err)
	case err != nil:
		return nil, err
	case a.status == http.StatusUnauthorized || a.status == http.StatusNotFound || a.status == http.StatusGone:
		return nil, c.client.statusError(c.report(what, ""), a, readMeaning(a.status))
	case a.status != http.StatusMultiStatus:
		return nil, c.client.statusError(c.report(what, ""), a, errUnable)
	}
	got := map[string]merge.Item{}
	_, err = readMultistatus(a.body, func(r response) error {
		for _, h := range r.hrefs {
			u, err := c.member(a.url, h)
			if err != nil {
				return err
			}
			it := merge.Item{Gone: r.status == http.StatusNotFound || r.status == http.StatusGone}
			if text := r.prop.child(space, data); text != nil && strings.TrimSpace(text.text) != "" && r.status < 400 {
				it.Body = []byte(text.text)
			}
			it.ETag = etagOf(r.prop)
			if old := got[u.String()]; old.Body == nil {
				got[u.String()] = it
			}
		}
		return nil
	})
	if errors.Is(err, errMalformed) {
		return nil, fmt.Errorf("%s: %w: %w", what, errUnable, err)
	}
	return got, err
}

// get reads one item. etag is what a report said of it, which counts more than
// the header: what compresses answers on their way changes that.
func (c *Collection) get(ctx context.Context, u *url.URL, etag string) (merge.Item, error) {
	q := call{method: http.MethodGet, url: u, what: fmt.Sprintf("read item %q", last(u)), repeat: true}
	a, err := c.client.do(ctx, q)
	if err != nil {
		return merge.Item{}, err
	}
	switch {
	case a.status == http.StatusNotFound || a.status == http.StatusGone:
		return merge.Item{Gone: true}, nil
	case a.status != http.StatusOK:
		return merge.Item{}, c.client.statusError(q, a, readMeaning(a.status))
	case len(a.body) == 0 || strings.Contains(strings.ToLower(a.header.Get("Content-Type")), "html"):
		return merge.Item{}, fmt.Errorf("%s: %w: not an item", q.what, errMalformed)
	}
	if etag == "" {
		etag = headerTag(a.header)
	}
	return merge.Item{Ref: merge.Ref{ETag: etag}, Body: a.body}, nil
}

// tag returns the item's etag as it is now; gone where there is no item.
func (c *Collection) tag(ctx context.Context, u *url.URL) (etag string, gone bool, err error) {
	what := fmt.Sprintf("look at item %q", last(u))
	_, err = c.client.propfind(ctx, u, "0", what, c.itemProps(), func(_ *url.URL, r response) error {
		gone = r.status == http.StatusNotFound || r.status == http.StatusGone
		etag = etagOf(r.prop)
		return nil
	})
	if errors.Is(err, merge.ErrMissing) {
		return "", true, nil
	}
	return etag, gone, err
}
