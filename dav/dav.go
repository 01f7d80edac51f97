// Package dav is a client of CardDAV and CalDAV servers: it finds address books
// and calendars, and each is one side of a sync.
//
//	found, err := dav.Discover(ctx, options, "https://dav.example.org")
//	c, err := dav.Open(ctx, options, found[0].URL, dav.AddressBook)
//	list, err := c.List(ctx, "")
//
// Every write is conditional: what somebody else changed meanwhile is not
// overwritten. Credentials go over TLS only, and to no host of another domain.
// docs/dav.md says what is sent, and which servers want what.
package dav

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"
)

// ErrUnknown is in errors of writing after which nobody knows whether the server
// has written: the answer was lost. The item must be looked at.
var ErrUnknown = errors.New("whether the server has done it is not known")

// Kind says what a collection holds.
type Kind string

// The kinds.
const (
	AddressBook Kind = "addressbook" // vCards
	Calendar    Kind = "calendar"    // iCalendar objects: events, to-dos, or both
)

// Options says who asks, and how.
type Options struct {
	User, Password string
	Roots          *x509.CertPool // whom TLS trusts; nil: whom the system trusts
	// Wait waits for d, or until ctx ends and then returns its error. Nil: a timer.
	Wait func(ctx context.Context, d time.Duration) error
	// Trace is called after each request, in the order of requests.
	Trace func(Request)

	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	lookup lookup
	bound  int64 // of an answer, in bytes; 0: maxBody
}

// Request is a request that was made. It holds nothing secret and nothing personal.
type Request struct {
	Method string
	Host   string // with its port
	Status int    // of the answer; 0 where there was none
}

// String is for people.
func (r Request) String() string {
	if r.Status == 0 {
		return fmt.Sprintf("%s at %s: no answer", r.Method, r.Host)
	}
	return fmt.Sprintf("%s at %s: %d", r.Method, r.Host, r.Status)
}

// Info is what a server says of a collection. Its texts are shortened and hold
// no control characters.
type Info struct {
	URL  string
	Kind Kind
	Name string // as people see it; may be ""
	// Components is what a calendar may hold, in upper case: VEVENT, VTODO. None:
	// the server does not say.
	Components []string
	ReadOnly   bool   // the server says that we may not write
	Sync       bool   // changes can be listed
	Color      string // of a calendar: #RRGGBB, or ""
}

// HostError says that a server, or the DNS, sent us to a host of another domain,
// to which credentials do not follow. Who trusts that host gives it as address.
type HostError struct {
	Host string
}

// Error names the host.
func (e *HostError) Error() string {
	return fmt.Sprintf("the server refers to %q, to which the password does not go", e.Host)
}
