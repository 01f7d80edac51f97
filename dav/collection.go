package dav

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"russet/merge"
)

// Collection is an address book or a calendar on a server: one side of a sync
// (reconcile.Side). Its methods are called one at a time. Hrefs are full URLs in
// one spelling, whatever the server's.
type Collection struct {
	found // as of the last refresh

	client *client
	kind   Kind
	fresh  bool // nothing was listed or written since Open
}

// What our tokens begin with.
const (
	syncToken = "sync:" // a sync-token of RFC 6578
	ctagToken = "ctag:" // a ctag: it says whether anything changed, not what
)

// Identity returns the collection's URL as the server spells it, its user's
// principal, and its DAV:resource-id where the server gives one. Neither its name
// nor any etag has a part in it. It makes no request.
func (c *Collection) Identity(context.Context) (string, error) {
	return strings.TrimSpace(strings.Join([]string{c.URL, c.principal, c.resourceID}, " ")), nil
}

// List returns the items, or with a token of an earlier listing what changed
// since. The etag of an item may be "": then only its content tells (Get).
//
// A token that the server does not take, for whatever reason, is merge.ErrToken:
// servers answer 403, 500 and others, and listing everything shows whether it was
// the token. It is not where the credentials are not taken, or the server is
// out of reach.
func (c *Collection) List(ctx context.Context, token string) (merge.Listing, error) {
	fresh := c.fresh
	c.fresh = false
	since, isSync := strings.CutPrefix(token, syncToken)
	switch {
	case token == "":
		return c.listAll(ctx, fresh)
	case fresh && token == c.token:
		return merge.Listing{Changes: true, Token: token}, nil
	case isSync:
		return c.listChanges(ctx, since)
	}
	if !fresh {
		if err := c.refresh(ctx); err != nil {
			return merge.Listing{}, err
		}
	}
	if token != c.token {
		return merge.Listing{}, fmt.Errorf("list changes: %w", merge.ErrToken)
	}
	return merge.Listing{Changes: true, Token: token}, nil
}

// itemProps are the properties of items that a listing wants.
func (c *Collection) itemProps() []prop {
	props := []prop{"resourcetype", "getetag", "getcontenttype"}
	if c.kind == Calendar {
		props = append(props, "C:schedule-tag")
	}
	return props
}

// listAll lists by PROPFIND. The token is read before, so that what changes in
// between is listed again next time.
func (c *Collection) listAll(ctx context.Context, fresh bool) (merge.Listing, error) {
	const what = "list the collection"
	if !fresh {
		if err := c.refresh(ctx); err != nil {
			return merge.Listing{}, err
		}
	}
	l := newLister(c)
	_, err := c.client.propfind(ctx, c.at, "1", what, c.itemProps(), l.add)
	if err == nil && l.more && c.Sync {
		all, err := c.listChanges(ctx, "")
		all.Changes, all.Removed = false, nil
		return all, err
	}
	switch {
	case err != nil:
		return merge.Listing{}, err
	case l.more || l.failed != 0:
		return merge.Listing{}, fmt.Errorf("%s: %s listed a part only (%d)", what, c.at.Host, l.failed)
	case !l.self && len(l.items) == 0:
		return merge.Listing{}, fmt.Errorf("%s: %w: not even the collection is in it", what, errMalformed)
	}
	all := l.listing(c.token)
	all.Removed = nil
	return all, nil
}

// listChanges lists by sync-collection (RFC 6578), page by page.
func (c *Collection) listChanges(ctx context.Context, since string) (merge.Listing, error) {
	const what = "list changes"
	l := newLister(c)
	for range maxPages {
		l.more = false
		body := xmlStart + `<sync-collection ` + xmlNames + `><sync-token>` + xmlText(since) + `</sync-token><sync-level>1</sync-level>` +
			propList(c.itemProps()) + `</sync-collection>`
		a, err := c.client.do(ctx, c.report(what, body))
		if err != nil {
			return merge.Listing{}, err
		}
		if a.status != http.StatusMultiStatus {
			meaning := merge.ErrToken
			if a.status == http.StatusUnauthorized {
				meaning = merge.ErrDenied
			}
			return merge.Listing{}, c.client.statusError(c.report(what, ""), a, meaning)
		}
		next, err := readMultistatus(a.body, func(r response) error { return l.add(a.url, r) })
		if errors.Is(err, errMalformed) || l.failed != 0 || err == nil && (next == "" || len(next) > maxText || l.more && next == since) {
			return merge.Listing{}, fmt.Errorf("%s: answer of %s: %w", what, c.at.Host, merge.ErrToken)
		}
		if err != nil {
			return merge.Listing{}, fmt.Errorf("%s: %w", what, err)
		}
		since = next
		if !l.more {
			all := l.listing(syncToken + next)
			all.Changes = true
			return all, nil
		}
	}
	return merge.Listing{}, fmt.Errorf("%s: more than %d pages: %w", what, maxPages, merge.ErrToken)
}

func (c *Collection) report(what, body string) call {
	return call{
		method: "REPORT", url: c.at, what: what, body: []byte(body), repeat: true,
		header: map[string]string{"Depth": "0", "Content-Type": xmlType},
	}
}

// maxItems bounds what a collection may hold: ten times what is usable.
const maxItems = 1_000_000

// lister collects what a listing says.
type lister struct {
	c       *Collection
	items   map[string]merge.Ref
	removed map[string]bool
	self    bool // the collection itself was listed
	more    bool // it was cut short (507)
	failed  int  // the status with which the collection itself was listed, if it is bad
}

func newLister(c *Collection) *lister {
	return &lister{c: c, items: map[string]merge.Ref{}, removed: map[string]bool{}}
}

// add takes a response. Of what is there and removed, what comes later holds:
// pages follow each other in time.
func (l *lister) add(at *url.URL, r response) error {
	if len(r.hrefs) == 0 {
		return fmt.Errorf("%w: a response without href", errMalformed)
	}
	for _, h := range r.hrefs {
		u, err := l.c.member(at, h)
		if err != nil {
			return err
		}
		key := u.String()
		if len(l.items)+len(l.removed) > maxItems {
			return fmt.Errorf("list: more than %d items", maxItems)
		}
		switch {
		case r.status == http.StatusInsufficientStorage:
			l.more = true
		case strings.TrimSuffix(key, "/") == strings.TrimSuffix(l.c.URL, "/"):
			l.self = true
			if r.status >= 400 {
				l.failed = r.status
			} else if r.failed {
				l.failed = http.StatusInternalServerError
			}
		case r.status == http.StatusNotFound || r.status == http.StatusGone:
			delete(l.items, key)
			l.removed[key] = true
		case !l.c.isItem(u, r):
		default:
			delete(l.removed, key)
			tag := etagOf(r.prop)
			if old, twice := l.items[key]; twice && old.ETag != tag {
				tag = "" // listed twice, and not alike: what it holds must be read
			}
			l.items[key] = merge.Ref{Href: key, ETag: tag}
		}
	}
	return nil
}

func (l *lister) listing(token string) merge.Listing {
	all := merge.Listing{Token: token}
	for _, r := range l.items {
		all.Refs = append(all.Refs, r)
	}
	for h := range l.removed {
		all.Removed = append(all.Removed, h)
	}
	slices.SortFunc(all.Refs, func(a, b merge.Ref) int { return strings.Compare(a.Href, b.Href) })
	slices.Sort(all.Removed)
	return all
}

// member resolves the href of an item. A server that thinks that it has another
// name, as one behind a proxy may, still means the item below our collection.
func (c *Collection) member(at *url.URL, href string) (*url.URL, error) {
	u, err := c.client.resolve(at, href)
	if _, foreign := errors.AsType[*HostError](err); foreign {
		if r, errHref := parseHref(href); errHref == nil {
			own, errOwn := c.client.resolve(c.at, r.RequestURI())
			if errOwn == nil && strings.HasPrefix(own.Path, c.at.Path) {
				return own, nil
			}
		}
	}
	return u, err
}

// isItem reports whether a response is about a vCard or an iCalendar object:
// servers list folders and other files beside them.
func (c *Collection) isItem(u *url.URL, r response) bool {
	types := r.prop.child(nsDAV, "resourcetype")
	if types.child(nsDAV, "collection") != nil || strings.HasSuffix(u.Path, "/") {
		return false
	}
	mime, _, _ := strings.Cut(strings.ToLower(r.prop.child(nsDAV, "getcontenttype").value()), ";")
	ext := strings.ToLower(path.Ext(u.Path))
	switch strings.TrimSpace(mime) {
	case "":
		return true
	case "text/vcard", "text/x-vcard", "text/directory":
		return c.kind == AddressBook
	case "text/calendar", "text/x-vcalendar":
		return c.kind == Calendar
	}
	return ext == c.ext()
}

// ext is what the names of our items end with.
func (c *Collection) ext() string {
	if c.kind == Calendar {
		return ".ics"
	}
	return ".vcf"
}
