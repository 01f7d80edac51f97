package dav

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"russet/merge"
)

// lookup is the part of net.Resolver that finds services (RFC 6764).
type lookup interface {
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// maxCollections bounds what a server may list.
const maxCollections = 1000

// service is one of the two protocols.
type service struct {
	srv, wellKnown string
	homeSpace      string
	home           string
}

var services = [...]service{
	{srv: "carddavs", wellKnown: "/.well-known/carddav", homeSpace: nsCard, home: "addressbook-home-set"},
	{srv: "caldavs", wellKnown: "/.well-known/caldav", homeSpace: nsCal, home: "calendar-home-set"},
}

// homeProps are what a resource may say of where the collections are.
var homeProps = []prop{"resourcetype", "current-user-principal", "A:addressbook-home-set", "C:calendar-home-set"}

// Discover finds the address books and calendars of a user, sorted by URL. The address
// is one of:
//
//	https://dav.example.org/books/ada/   a collection, or anything else on the server
//	dav.example.org                      a server
//	ada@example.org                      an account: the DNS says where its server is
//
// Options.User is who asks; it may be "" with an account, whose address it is then.
// Nothing found is merge.ErrMissing.
func Discover(ctx context.Context, o Options, address string) ([]Info, error) {
	address = strings.TrimSpace(address)
	user, domain, isAccount := strings.Cut(address, "@")
	isAccount = isAccount && user != "" && !strings.ContainsAny(address, "/:") && !strings.Contains(domain, "@")
	if isAccount {
		if o.User == "" {
			o.User = address
		}
		address = domain
	}
	home, err := parseAddress(address)
	if err != nil {
		return nil, err
	}
	d := &discovery{client: newClient(o, home), homes: map[string]*homes{}, found: map[string]Info{}}
	if !isAccount {
		f, err := d.client.look(ctx, home, "look at the address")
		if err == nil && f.Kind != "" {
			return []Info{f.Info}, nil
		}
		if err != nil {
			d.note(err)
		}
	}
	for _, s := range services {
		if d.goOn(ctx) {
			d.service(ctx, s, isAccount)
		}
	}
	if len(d.found) == 0 && !isAccount && d.goOn(ctx) {
		d.list(ctx, home)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("find collections: %w", err)
	}
	if len(d.found) == 0 {
		return nil, d.nothing()
	}
	all := make([]Info, 0, len(d.found))
	for _, i := range d.found {
		all = append(all, i)
	}
	slices.SortFunc(all, func(a, b Info) int { return strings.Compare(a.URL, b.URL) })
	return all, nil
}

// discovery is one search.
type discovery struct {
	client *client
	homes  map[string]*homes // what was asked, by URL; nil where it has failed
	found  map[string]Info
	errs   []error
}

// note keeps an error for the case that nothing is found.
func (d *discovery) note(err error) { d.errs = append(d.errs, err) }

// goOn reports whether asking more makes sense: a wrong password is not tried at
// one place after the other.
func (d *discovery) goOn(ctx context.Context) bool {
	return ctx.Err() == nil && !slices.ContainsFunc(d.errs, func(err error) bool {
		status, ok := errors.AsType[*statusError](err)
		return ok && status.status == http.StatusUnauthorized
	})
}

// nothing says why nothing was found: first what the user can mend.
func (d *discovery) nothing() error {
	for _, err := range d.errs {
		if _, host := errors.AsType[*HostError](err); host || errors.Is(err, merge.ErrDenied) {
			return fmt.Errorf("find collections: %w", err)
		}
	}
	for _, err := range d.errs {
		if !errors.Is(err, merge.ErrMissing) && !errors.Is(err, errMalformed) {
			return fmt.Errorf("find collections: %w", err)
		}
	}
	return fmt.Errorf("find collections: %s has no address book or calendar of the user: %w", d.client.home.Host, merge.ErrMissing)
}

// service looks for the collections of one protocol wherever they may be told:
// at the address, at the place that the DNS gives, at the well-known place, at
// the root. The first place that knows a home ends it.
func (d *discovery) service(ctx context.Context, s service, dns bool) {
	first := d.client.home
	if dns {
		var err error
		if first, err = d.client.locate(ctx, s); err != nil {
			d.note(err)
			return
		}
	}
	root := *first
	root.Path, root.RawPath = "/", ""
	known := root
	known.Path = s.wellKnown
	places := []*url.URL{first, &known, &root}
	if first.Path == "/" {
		places = places[1:]
	}
	for _, at := range places {
		if !d.goOn(ctx) {
			return
		}
		homes, err := d.homesOf(ctx, at, s)
		if err != nil {
			d.note(err)
			continue
		}
		for _, h := range homes {
			d.list(ctx, h)
		}
		if len(homes) > 0 {
			return
		}
	}
}

// homes is what a resource says of where the collections of its user are.
type homes struct {
	at        *url.URL
	prop      *element
	principal string
}

// homesOf returns the homes that a place names, itself or by its principal.
func (d *discovery) homesOf(ctx context.Context, at *url.URL, s service) ([]*url.URL, error) {
	for range 2 { // the place, then the principal
		h, err := d.ask(ctx, at)
		if err != nil {
			return nil, err
		}
		var urls []*url.URL
		for _, href := range h.prop.child(s.homeSpace, s.home).all(nsDAV, "href") {
			u, err := d.client.resolve(h.at, href.value())
			if err != nil {
				return nil, fmt.Errorf("read the home set: %w", err)
			}
			urls = append(urls, u)
		}
		if len(urls) > 0 || h.principal == "" {
			return urls, nil
		}
		if at, err = d.client.resolve(h.at, h.principal); err != nil {
			return nil, fmt.Errorf("read the principal: %w", err)
		}
	}
	return nil, nil
}

// ask asks a resource once.
func (d *discovery) ask(ctx context.Context, at *url.URL) (*homes, error) {
	const what = "find the home of collections"
	if h, asked := d.homes[at.String()]; h != nil {
		return h, nil
	} else if asked {
		return nil, fmt.Errorf("%s: %w", what, merge.ErrMissing) // noted when it was asked
	}
	d.homes[at.String()] = nil
	h := &homes{prop: &element{}}
	_, err := d.client.propfind(ctx, at, "0", what, homeProps, func(at *url.URL, r response) error {
		if h.at == nil {
			h.at, h.prop = at, r.prop
			h.principal = r.prop.child(nsDAV, "current-user-principal").href()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if h.at == nil {
		return nil, fmt.Errorf("%s: %w", what, errMalformed)
	}
	d.homes[at.String()] = h
	return h, nil
}

// list adds the collections that lie in a home.
func (d *discovery) list(ctx context.Context, home *url.URL) {
	_, err := d.client.propfind(ctx, home, "1", "list the collections", infoProps, func(at *url.URL, r response) error {
		for _, h := range r.hrefs {
			u, err := d.client.resolve(at, h)
			if err != nil {
				d.note(err)
				continue
			}
			if f := d.client.found(u, r.prop); f.Kind != "" && r.status < 400 {
				d.found[f.URL] = f.Info
			}
			if len(d.found) > maxCollections {
				return fmt.Errorf("list the collections: more than %d", maxCollections)
			}
		}
		return nil
	})
	if err != nil {
		d.note(err)
	}
}

// locate asks the DNS for a service of the domain (RFC 6764 sections 4 and 6). A domain
// that names no server is its own. The host rule holds for the answer: nobody
// vouches for it.
func (c *client) locate(ctx context.Context, s service) (*url.URL, error) {
	domain := c.home.Hostname()
	_, records, err := c.o.lookup.LookupSRV(ctx, s.srv, "tcp", domain)
	if err != nil || len(records) == 0 {
		return c.home, nil
	}
	target := strings.TrimSuffix(records[0].Target, ".")
	if target == "" {
		return nil, fmt.Errorf("find %s in the DNS: the domain says that it has none: %w", s.srv, merge.ErrMissing)
	}
	path := "/"
	texts, _ := c.o.lookup.LookupTXT(ctx, "_"+s.srv+"._tcp."+domain) // it is optional
	for _, t := range texts {
		if p, ok := strings.CutPrefix(t, "path="); ok && strings.HasPrefix(p, "/") {
			path = p
		}
	}
	return c.resolve(c.home, "https://"+net.JoinHostPort(target, strconv.Itoa(int(records[0].Port)))+path)
}
