// Package davtest has servers for tests of what uses package dav: one in memory
// whose quirks are switched on one by one, and those of Debian, started on
// loopback.
//
//	s := davtest.Start(t, davtest.Quirks{WeakETags: true})
//	c, err := dav.Open(ctx, s.Options(), s.Book(), dav.AddressBook)
//	s.Fail(davtest.Fault{Method: "PUT", Lost: true})
package davtest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"russet/dav"
)

// The one user of all servers here.
const (
	User     = "tester"
	Password = "Ada-1815:secret"
)

// Paths of the server in memory.
const (
	rootPath      = "/dav/"
	principalPath = "/dav/principals/tester/"
	bookHome      = "/dav/books/tester/"
	calendarHome  = "/dav/calendars/tester/"
	bookPath      = bookHome + "people/"
	calendarPath  = calendarHome + "home/"
)

// Quirks is how a server in memory differs from one that does all as it should.
type Quirks struct {
	WellKnown     int      // status of the redirect from /.well-known; 0: nothing is there
	HomeURL       string   // scheme and host of home sets and of what lies in them, instead of paths
	ItemURL       string   // the same of hrefs in listings and reports
	SlashRedirect int      // status of a redirect from a collection without its last slash
	Digest        bool     // Digest authentication instead of Basic
	WeakETags     bool     // W/ before each etag
	BareETags     bool     // no quotes around them
	StrictMatch   bool     // If-Match is met by strong etags only
	QuietPut      bool     // no etag in the answer to a PUT
	NoETags       bool     // none anywhere
	ScheduleTags  bool     // items of calendars have a Schedule-Tag
	IgnoreMatch   bool     // If-Match, If-None-Match are not looked at
	GoneIs412     bool     // a DELETE with If-Match of what is gone: 412
	Page          int      // at most so many items in a listing of changes, then 507
	CutFull       bool     // a PROPFIND of depth 1 ends after Page items, with 507
	NoTokens      bool     // ctags, but no sync-tokens
	NoCTags       bool     // no ctags
	BadToken      int      // status for a token that is not known; 0: 403 with its precondition
	FailSync      int      // status of every sync-collection with a token
	StuckToken    bool     // each page has the token that was sent
	Twice         bool     // listings name each item twice
	Omit          []string // items that multiget leaves out
	NoData        bool     // multiget without content
	NoMultiget    int      // status of every multiget
	Gzip          bool     // answers are compressed
	Rewrite       bool     // cards are stored in another order, labels in upper case, TYPE values joined
	Lose          []string // properties that are not stored
	ShortPRODID   bool     // 403 for an object with a folded PRODID
	Place         string   // items are stored under this name, whatever the PUT says, which Location tells
	ReadOnly      bool     // no right to write
	NoPrivileges  bool     // privileges are not told
	Extra         bool     // a folder, a text and an object of the other kind lie in each collection
	ResourceID    string   // of the address book
}

// Server is a CardDAV and CalDAV server in memory.
type Server struct {
	URL string // without a path

	server *httptest.Server

	mu       sync.Mutex // guards what follows
	quirks   Quirks
	books    map[string]*collection
	faults   []Fault
	requests []Request
	nonces   int    // of Digest authentication, given so far
	count    string // of requests with the last of them: nc
}

type collection struct {
	kind    dav.Kind
	name    string
	items   map[string]*item
	version int            // of the last change
	removed map[string]int // version in which a name went
	expired int            // tokens up to this version are forgotten
}

type item struct {
	body    string
	version int
}

// Request is a request as the server got it.
type Request struct {
	Method, Path string
	Header       http.Header
	Length       int64 // as the header says; -1 where it does not
	Body         string
	Status       int // of the answer; 0 where it was cut off
}

// Fault lets a request go wrong.
type Fault struct {
	Method string // of which requests; "": of all
	After  int    // how many of them go well before
	Times  int    // how many go wrong; 0: one
	// What happens, instead of an answer:
	Status     int // an answer with this status
	RetryAfter string
	Body       string // of that answer
	Drop       bool   // the connection is cut before anything is done
	Lost       bool   // it is cut when all is done, without an answer
	Cut        int    // it is cut after so many bytes of the answer
	Short      int    // the answer ends after so many bytes as if that were all
	Before     func() // called first, as what another client does meanwhile
}

// Start starts a server with an empty address book and an empty calendar, which
// ends with the test.
func Start(t testing.TB, q Quirks) *Server {
	s := New(q)
	s.server = httptest.NewServer(s)
	s.URL = s.server.URL
	t.Cleanup(s.server.Close)
	return s
}

// New returns a server that listens nowhere: it is an http.Handler.
func New(q Quirks) *Server {
	return &Server{quirks: q, books: map[string]*collection{
		bookPath:     {kind: dav.AddressBook, name: "People", items: map[string]*item{}, removed: map[string]int{}},
		calendarPath: {kind: dav.Calendar, name: "Home", items: map[string]*item{}, removed: map[string]int{}},
	}}
}

// Options returns those of the server's user, which wait for nothing.
func (s *Server) Options() dav.Options { return options() }

// Book returns the URL of the address book.
func (s *Server) Book() string { return s.URL + bookPath }

// Calendar returns the URL of the calendar.
func (s *Server) Calendar() string { return s.URL + calendarPath }

// Set changes the quirks.
func (s *Server) Set(change func(*Quirks)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.quirks)
}

// Fail adds a fault. Each request meets the first that is for it.
func (s *Server) Fail(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.Times = max(f.Times, 1)
	s.faults = append(s.faults, f)
}

// Put stores an item as another client would. The collection is Book or
// Calendar, the name that of the item, plain.
func (s *Server) Put(collection, name, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at(collection).put(name, body)
}

// Remove removes an item as another client would.
func (s *Server) Remove(collection, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at(collection).remove(name)
}

// Expire forgets all tokens that were given so far.
func (s *Server) Expire(collection string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.at(collection)
	c.version++
	c.expired = c.version
}

// Items returns what a collection holds, by name.
func (s *Server) Items(collection string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]string{}
	for name, it := range s.at(collection).items {
		all[name] = it.body
	}
	return all
}

// Requests returns all requests so far.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

func (s *Server) at(url string) *collection {
	c := s.books[strings.TrimPrefix(url, s.URL)]
	if c == nil {
		panic(fmt.Sprintf("davtest: no collection %q", url))
	}
	return c
}

func (c *collection) put(name, body string) {
	c.version++
	c.items[name] = &item{body: body, version: c.version}
	delete(c.removed, name)
}

func (c *collection) remove(name string) {
	c.version++
	delete(c.items, name)
	c.removed[name] = c.version
}

// token returns the sync-token of a version.
func (c *collection) token(version int) string { return fmt.Sprintf("urn:davtest:%d", version) }

// etag returns the etag of an item as the quirks spell it; "" for none.
func (s *Server) etag(it *item) string {
	switch e := fmt.Sprintf("e%d", it.version); {
	case s.quirks.NoETags:
		return ""
	case s.quirks.WeakETags:
		return `W/"` + e + `"`
	case s.quirks.BareETags:
		return e
	default:
		return `"` + e + `"`
	}
}

func scheduleTagOf(it *item) string { return fmt.Sprintf(`"s%d"`, it.version) }
