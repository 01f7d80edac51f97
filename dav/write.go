package dav

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"russet/internal/vobject"
	"russet/merge"
)

// Create stores a new item under a name made of uid, or under another one where
// that is taken by an item with another UID. Only a name that nothing has yet is
// written to: else it is merge.ErrChanged.
func (c *Collection) Create(ctx context.Context, uid string, body []byte) (merge.Ref, error) {
	c.fresh = false
	var taken error
	for _, name := range itemNames(uid) {
		u := *c.at
		u.Path, u.RawPath = c.at.Path+name+c.ext(), c.at.EscapedPath()+escape(name+c.ext())
		q := c.put(normal(&u), "create", body, "If-None-Match", "*")
		a, err := c.client.do(ctx, q)
		if err != nil {
			return merge.Ref{}, err
		}
		switch {
		case a.status == http.StatusNotFound || a.status == http.StatusGone:
			return merge.Ref{}, c.client.statusError(q, a, merge.ErrMissing)
		case !a.unmet():
			return c.stored(q, a)
		case a.unsure: // what is there may be ours
			return merge.Ref{}, c.client.statusError(q, a, ErrUnknown)
		}
		taken = c.client.statusError(q, a, merge.ErrChanged)
		there, err := c.get(ctx, q.url, "")
		if err != nil {
			return merge.Ref{}, err
		}
		if there.Gone || vobject.HasUID(there.Body, uid) {
			break
		}
	}
	return merge.Ref{}, taken
}

// itemNames returns names for an item, without extension, in the order in which
// they are tried. UIDs are anything; a name is what every server and its drive takes.
func itemNames(uid string) []string {
	sum := sha256.Sum256([]byte(uid))
	hash := hex.EncodeToString(sum[:16])
	odd := func(r rune) bool { return r >= 0x80 || r == '~' || r != '@' && !unreserved(byte(r)) }
	if uid == "" || len(uid) > 100 || uid[0] == '.' || strings.ContainsFunc(uid, odd) {
		return []string{hash, hash + "-2"}
	}
	return []string{uid, hash}
}

// Update replaces an item that is as ref says. Of one whose etag is not known
// that cannot be said, so Get comes before.
func (c *Collection) Update(ctx context.Context, ref merge.Ref, body []byte) (merge.Ref, error) {
	c.fresh = false
	u, err := c.client.resolve(c.at, ref.Href)
	if err != nil {
		return merge.Ref{}, err
	}
	name, value, gone, err := c.condition(ctx, u, ref.ETag)
	if err == nil && gone {
		err = merge.ErrChanged
	}
	if err != nil {
		return merge.Ref{}, fmt.Errorf("replace item %q: %w", last(u), err)
	}
	q := c.put(u, "replace", body, name, value)
	a, err := c.client.do(ctx, q)
	if err == nil && a.unmet() && !a.unsure && !strong(ref.ETag) {
		now, _, unread := c.tag(ctx, u)
		if unread != nil {
			return merge.Ref{}, unread
		}
		if now == ref.ETag {
			q = c.put(u, "replace", body, "", "")
			a, err = c.client.do(ctx, q)
		}
	}
	switch {
	case err != nil:
		return merge.Ref{}, err
	case a.unmet() && a.unsure:
		return merge.Ref{}, c.client.statusError(q, a, ErrUnknown)
	case a.status == http.StatusNotFound || a.status == http.StatusGone:
		return merge.Ref{}, c.client.statusError(q, a, merge.ErrChanged)
	}
	return c.stored(q, a)
}

// condition returns the header that makes a write depend on the etag. Where the
// server gave nothing to depend on, the content is read again right before and
// compared, and there is no header: what is written in the moment between is lost.
func (c *Collection) condition(ctx context.Context, u *url.URL, etag string) (name, value string, gone bool, err error) {
	if etag == "" {
		return "", "", false, fmt.Errorf("its etag is not known: %w", merge.ErrChanged)
	}
	if tag, ok := strings.CutPrefix(etag, scheduleTag); ok {
		return "If-Schedule-Tag-Match", tag, false, nil
	}
	if !strings.HasPrefix(etag, contentTag) {
		return "If-Match", etag, false, nil
	}
	items, err := c.getAll(ctx, []*url.URL{u})
	if err == nil && !items[0].Gone && contentETag(items[0].Body) != etag {
		err = merge.ErrChanged
	}
	return "", "", err == nil && items[0].Gone, err
}

// put makes the request that stores an item.
func (c *Collection) put(u *url.URL, verb string, body []byte, condition, value string) call {
	q := call{
		method: http.MethodPut, url: u, what: fmt.Sprintf("%s item %q", verb, last(u)), body: escapeCommas(shortProdID(body)),
		header: map[string]string{"Content-Type": "text/vcard; charset=utf-8"}, repeat: condition != "",
	}
	if c.kind == Calendar {
		q.header["Content-Type"] = "text/calendar; charset=utf-8"
	}
	if condition != "" {
		q.header[condition] = value
	}
	return q
}

// foldedProdID matches a PRODID that goes on in the next line.
var foldedProdID = regexp.MustCompile(`(?im)^PRODID[^\r\n]*\r?\n[ \t]`)

// shortProdID unfolds an object's PRODID, which iCloud refuses with 403 where it is
// folded. One that is too long for a line becomes ours: it names the program that
// wrote the object last, no content.
func shortProdID(body []byte) []byte {
	const fits = 60
	if !foldedProdID.Match(body) {
		return body
	}
	objects, err := vobject.Parse(body)
	if err != nil || len(objects) != 1 {
		return body
	}
	id := objects[0].Value("PRODID")
	if len(id) > fits {
		id = "-//Russet//EN"
	}
	objects[0].Set(vobject.NewLine("PRODID", id))
	return objects[0].Bytes()
}

// stored reads the answer to a PUT. A server may choose another place.
func (c *Collection) stored(q call, a *answer) (merge.Ref, error) {
	if a.status != http.StatusOK && a.status != http.StatusCreated && a.status != http.StatusNoContent {
		return merge.Ref{}, c.client.statusError(q, a, writeMeaning(a.status, a.precondition, c.writable))
	}
	ref := merge.Ref{Href: a.url.String(), ETag: headerTag(a.header)}
	if place := a.header.Get("Location"); place != "" {
		u, err := c.member(a.url, place)
		if err == nil && strings.HasPrefix(u.Path, c.at.Path) && last(u) != "" {
			ref.Href = u.String()
		}
	}
	return ref, nil
}

// Delete removes an item that is as ref says. One that is gone already is fine.
// The server is told to send no answer to an organizer (RFC 6638 section 8.1).
func (c *Collection) Delete(ctx context.Context, ref merge.Ref) error {
	c.fresh = false
	u, err := c.client.resolve(c.at, ref.Href)
	if err != nil {
		return err
	}
	name, value, gone, err := c.condition(ctx, u, ref.ETag)
	if err != nil {
		return fmt.Errorf("delete item %q: %w", last(u), err)
	}
	if gone {
		return nil
	}
	err = c.remove(ctx, u, name, value)
	if !errors.Is(err, merge.ErrChanged) {
		return err
	}
	// Servers say 412 of an item that is gone, too.
	now, gone, errTag := c.tag(ctx, u)
	switch {
	case errTag != nil:
		return errTag
	case gone:
		return nil
	case name != "" && !strong(ref.ETag) && now == ref.ETag:
		return c.remove(ctx, u, "", "")
	}
	return err
}

func (c *Collection) remove(ctx context.Context, u *url.URL, condition, value string) error {
	q := call{
		method: http.MethodDelete, url: u, what: fmt.Sprintf("delete item %q", last(u)),
		header: map[string]string{"Schedule-Reply": "F"}, repeat: condition != "",
	}
	if condition != "" {
		q.header[condition] = value
	}
	a, err := c.client.do(ctx, q)
	if err != nil {
		return err
	}
	switch a.status {
	case http.StatusOK, http.StatusNoContent, http.StatusNotFound, http.StatusGone:
		return nil
	}
	return c.client.statusError(q, a, writeMeaning(a.status, a.precondition, c.writable))
}
