package dav

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode"

	"russet/merge"
)

// maxText bounds names and tokens that a server gives, in bytes.
const maxText = 1024

// infoProps are the properties of a collection that we use.
var infoProps = []prop{
	"resourcetype", "displayname", "current-user-principal", "current-user-privilege-set", "resource-id", "sync-token",
	"C:supported-calendar-component-set", "S:getctag", "I:calendar-color",
}

// found is what a server says of a resource that may be a collection of ours.
type found struct {
	Info
	at         *url.URL
	principal  string // its URL, or ""
	resourceID string // RFC 5842 section 3.1, or ""
	token      string // as Collection.List has it: of the sync-token, else of the ctag; "" where it has neither
	writable   bool   // the server says that we may write
}

// found reads the properties of a response; Kind is "" of what is neither an
// address book nor a calendar.
func (c *client) found(at *url.URL, p *element) found {
	types := p.child(nsDAV, "resourcetype")
	f := found{at: at, resourceID: text(p.child(nsDAV, "resource-id").href())}
	switch {
	case types.child(nsCard, "addressbook") != nil:
		f.Kind = AddressBook
	case types.child(nsCal, "calendar") != nil:
		f.Kind = Calendar
	}
	if f.Kind != "" && !strings.HasSuffix(at.Path, "/") {
		slash := *at
		slash.Path, slash.RawPath = at.Path+"/", at.EscapedPath()+"/"
		f.at = &slash
	}
	f.URL, f.Name = f.at.String(), text(p.child(nsDAV, "displayname").value())
	for _, comp := range p.child(nsCal, "supported-calendar-component-set").all(nsCal, "comp") {
		for _, a := range comp.attr {
			if a.Name.Local == "name" && f.Kind == Calendar {
				f.Components = append(f.Components, strings.ToUpper(text(a.Value)))
			}
		}
	}
	if color := p.child(nsApple, "calendar-color").value(); f.Kind == Calendar && colorValue.MatchString(color) {
		f.Color = strings.ToUpper(color[:7])
	}
	if h := p.child(nsDAV, "current-user-principal").href(); h != "" {
		if u, err := c.resolve(at, h); err == nil {
			f.principal = u.String()
		}
	}
	if s := p.child(nsDAV, "sync-token").value(); s != "" && len(s) <= maxText {
		f.token, f.Sync = syncToken+s, true
	} else if s := p.child(nsServer, "getctag").value(); s != "" && len(s) <= maxText {
		f.token = ctagToken + s
	}
	f.writable, f.ReadOnly = privileges(p.child(nsDAV, "current-user-privilege-set"))
	return f
}

// colorValue matches Apple's #RRGGBB and #RRGGBBAA.
var colorValue = regexp.MustCompile(`^#[0-9A-Fa-f]{6}([0-9A-Fa-f]{2})?$`)

// privileges reads RFC 3744 section 5.4: neither holds where the server does not say.
func privileges(set *element) (writable, readOnly bool) {
	if set == nil {
		return false, false
	}
	for _, p := range set.all(nsDAV, "privilege") {
		for _, name := range []string{"all", "write", "write-content", "bind"} {
			writable = writable || p.child(nsDAV, name) != nil
		}
	}
	return writable, !writable && len(set.kids) > 0
}

// text returns a server's text for people: short, without control characters.
func text(s string) string {
	s = strings.Map(func(r rune) rune {
		const joiner = 0x200d // of emojis; others of its kind turn text around
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) && r != joiner {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	return strings.TrimSpace(s)
}

// look asks a resource for the properties of a collection. Where the server
// itself spells the resource's URL otherwise, that is its URL from now on: the
// URLs of items begin with it.
func (c *client) look(ctx context.Context, at *url.URL, what string) (found, error) {
	var f found
	seen, failed, status := false, false, 0
	final, err := c.propfind(ctx, at, "0", what, infoProps, func(at *url.URL, r response) error {
		if len(r.hrefs) != 1 || seen {
			return nil
		}
		self, err := c.resolve(at, r.hrefs[0])
		if err != nil || self.Host != at.Host {
			self = at
		}
		seen, failed, status = true, r.failed, r.status
		f = c.found(self, r.prop)
		return nil
	})
	switch {
	case err != nil:
		return found{}, err
	case !seen:
		return found{}, fmt.Errorf("%s: %w: %s says nothing of it", what, errMalformed, final.Host)
	case status >= 400:
		a := &answer{status: status, url: final}
		return found{}, c.statusError(call{what: what}, a, readMeaning(status))
	case failed:
		return found{}, fmt.Errorf("%s: %s cannot say all of it now", what, final.Host)
	}
	return f, nil
}

// Open returns a collection that is there, and is of that kind. It makes one
// request, whose answer serves Identity and the first List too.
func Open(ctx context.Context, o Options, collection string, kind Kind) (*Collection, error) {
	at, err := parseAddress(collection)
	if err != nil {
		return nil, err
	}
	c := &Collection{client: newClient(o, at), kind: kind}
	c.at = at
	if err := c.refresh(ctx); err != nil {
		return nil, err
	}
	c.fresh = true
	return c, nil
}

// refresh reads what the server says of the collection.
func (c *Collection) refresh(ctx context.Context) error {
	f, err := c.client.look(ctx, c.at, "open the collection")
	if err != nil {
		return err
	}
	if f.Kind != c.kind {
		return fmt.Errorf("open the collection: what is at %s is no %s: %w", f.at.Host, c.kind, merge.ErrMissing)
	}
	c.found = f
	return nil
}

// Info returns what the server said of the collection last.
func (c *Collection) Info() Info { return c.found.Info }
