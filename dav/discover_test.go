package dav_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"russet/dav"
	"russet/dav/davtest"
	"russet/merge"
)

// found lists what was found, short.
func found(infos []dav.Info, base string) string {
	var all []string
	for _, i := range infos {
		all = append(all, fmt.Sprint(i.Kind, " ", i.Name, " ", strings.TrimPrefix(i.URL, base)))
	}
	return strings.Join(all, ", ")
}

const (
	peopleFound = "addressbook People /dav/books/tester/people/"
	homeFound   = "calendar Home /dav/calendars/tester/home/"
)

func TestDiscover(t *testing.T) {
	t.Parallel()
	const both = peopleFound + ", " + homeFound
	for path, want := range map[string]string{
		"":                               both,
		"/":                              both,
		"/dav/":                          both,
		"/dav/principals/tester/":        both,
		"/dav/books/tester/":             both,
		"/dav/books/tester/people/":      peopleFound,
		"/dav/books/tester/people":       peopleFound,
		"/dav/calendars/tester/home/":    homeFound,
		"/dav/no/such/place":             both,
		"/dav/books/tester/people/x.vcf": both,
	} {
		for _, status := range []int{301, 302, 307, 308} {
			s := davtest.Start(t, davtest.Quirks{WellKnown: status, SlashRedirect: status})
			infos, err := dav.Discover(t.Context(), s.Options(), s.URL+path)
			if err != nil {
				t.Errorf("%q: %v", path, err)
			}
			equal(t, path, found(infos, s.URL), want)
		}
	}
}

// Without a well-known place, the root of the server is asked.
func TestDiscoverAtRoot(t *testing.T) {
	t.Parallel()
	d := davtest.New(davtest.Quirks{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			r.URL.Path = "/dav/"
		}
		d.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	for _, path := range []string{"", "/somewhere/"} {
		infos, err := dav.Discover(t.Context(), d.Options(), s.URL+path)
		if err != nil {
			t.Error(err)
		}
		equal(t, path, found(infos, s.URL), peopleFound+", "+homeFound)
	}
}

func TestDiscoverNothing(t *testing.T) {
	t.Parallel()
	s := davtest.Start(t, davtest.Quirks{})
	if _, err := dav.Discover(t.Context(), s.Options(), s.URL); !errors.Is(err, merge.ErrMissing) {
		t.Errorf("nothing known: got %v, want ErrMissing", err)
	}
	s.Set(func(q *davtest.Quirks) { q.WellKnown = 301 })
	o := s.Options()
	o.Password = "wrong"
	n := len(s.Requests())
	if _, err := dav.Discover(t.Context(), o, s.URL+"/dav/"); !errors.Is(err, merge.ErrDenied) {
		t.Errorf("wrong password: got %v, want ErrDenied", err)
	}
	equal(t, "a wrong password is tried once", methods(s, n), "PROPFIND 401")
	if _, err := dav.Discover(t.Context(), o, s.URL); !errors.Is(err, merge.ErrDenied) {
		t.Errorf("wrong password at /: got %v, want ErrDenied", err)
	}
	s.Set(func(q *davtest.Quirks) { q.HomeURL = "https://evil.example" })
	_, err := dav.Discover(t.Context(), s.Options(), s.URL)
	if host, ok := errors.AsType[*dav.HostError](err); !ok || host.Host != "evil.example" {
		t.Errorf("foreign home: got %v, want a HostError", err)
	}
	s.Fail(davtest.Fault{Drop: true, Times: 99})
	if _, err = dav.Discover(t.Context(), s.Options(), s.URL); err == nil || errors.Is(err, merge.ErrMissing) {
		t.Errorf("no answers: got %v, want what went wrong", err)
	}
	if strings.Contains(err.Error(), davtest.User) {
		t.Errorf("the error names the user: %v", err)
	}
}

// hosts is the DNS and the network of these tests: every name leads to one
// server with TLS, which has a certificate for *.example.com.
type hosts struct {
	srv  map[string]*net.SRV
	txt  []string
	seen map[string]bool // hosts that got credentials
}

func (h *hosts) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	if r := h.srv[service+"."+proto+"."+name]; r != nil {
		return "", []*net.SRV{r}, nil
	}
	return "", nil, &net.DNSError{IsNotFound: true}
}

func (h *hosts) LookupTXT(context.Context, string) ([]string, error) { return h.txt, nil }

// start returns options for a server that is there under all names.
func (h *hosts) start(t *testing.T, q davtest.Quirks) (*davtest.Server, dav.Options) {
	d := davtest.New(q)
	h.seen = map[string]bool{}
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			h.seen[r.Host] = true
		}
		d.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	o := d.Options()
	o.Roots = s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	o = dav.Dialing(o, func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.Listener.Addr().String())
	})
	return d, dav.Looking(o, h)
}

// Like iCloud: collections lie on a sibling of the host that was given.
func TestDiscoverSiblings(t *testing.T) {
	t.Parallel()
	h := &hosts{}
	_, o := h.start(t, davtest.Quirks{WellKnown: 301, HomeURL: "https://P7-contacts.example.com:443"})
	infos, err := dav.Discover(t.Context(), o, "contacts.example.com")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "found", found(infos, "https://p7-contacts.example.com"), peopleFound+", "+homeFound)
	c := open(t, o, infos[0].URL, dav.AddressBook)
	ref, err := c.Create(t.Context(), "a", []byte(card("a", "A")))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "href", ref.Href, infos[0].URL+"a.vcf")
	equal(t, "hosts", fmt.Sprint(h.seen), "map[contacts.example.com:true p7-contacts.example.com:true]")
}

// A server behind a proxy believes that it is asked by http.
func TestDiscoverBehindProxy(t *testing.T) {
	t.Parallel()
	h := &hosts{}
	_, o := h.start(t, davtest.Quirks{WellKnown: 301, HomeURL: "http://dav.example.com", ItemURL: "http://dav.example.com:8080"})
	infos, err := dav.Discover(t.Context(), o, "https://dav.example.com:8443/")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "found", found(infos, "https://dav.example.com:8443"), peopleFound+", "+homeFound)
}

func TestDiscoverAccount(t *testing.T) {
	t.Parallel()
	const both = peopleFound + ", " + homeFound
	for name, try := range map[string]struct {
		dns     *hosts
		quirks  davtest.Quirks
		address string
		want    string
		err     func(error) bool
	}{
		"services": {&hosts{srv: map[string]*net.SRV{
			"carddavs.tcp.www.example.com": {Target: "cards.example.com.", Port: 443},
			"caldavs.tcp.www.example.com":  {Target: "cal.example.com.", Port: 8443},
		}}, davtest.Quirks{WellKnown: 301}, "tester@www.example.com", "calendar Home https://cal.example.com:8443/dav/calendars/tester/home/, addressbook People https://cards.example.com/dav/books/tester/people/", nil},
		"path": {&hosts{srv: map[string]*net.SRV{
			"carddavs.tcp.www.example.com": {Target: "cards.example.com.", Port: 443},
			"caldavs.tcp.www.example.com":  {Target: "."},
		}, txt: []string{"v=1", "path=/dav/"}}, davtest.Quirks{}, "tester@www.example.com", "addressbook People https://cards.example.com/dav/books/tester/people/", nil},
		"no records": {&hosts{}, davtest.Quirks{WellKnown: 302}, "tester@www.example.com", strings.ReplaceAll(both, " /", " https://www.example.com/"), nil},
		"elsewhere": {&hosts{srv: map[string]*net.SRV{"carddavs.tcp.www.example.com": {Target: "dav.evil.example.", Port: 443}}}, davtest.Quirks{}, "tester@www.example.com", "", func(err error) bool {
			h, ok := errors.AsType[*dav.HostError](err)
			return ok && h.Host == "dav.evil.example"
		}},
		"none": {&hosts{srv: map[string]*net.SRV{"carddavs.tcp.www.example.com": {}, "caldavs.tcp.www.example.com": {}}}, davtest.Quirks{}, "tester@www.example.com", "", func(err error) bool {
			return errors.Is(err, merge.ErrMissing)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, o := try.dns.start(t, try.quirks)
			infos, err := dav.Discover(t.Context(), o, try.address)
			if try.err != nil && !try.err(err) || try.err == nil && err != nil {
				t.Errorf("got %v", err)
			}
			equal(t, "found", found(infos, ""), try.want)
		})
	}
	h := &hosts{}
	_, o := h.start(t, davtest.Quirks{})
	o.User = ""
	if _, err := dav.Discover(t.Context(), o, "tester@www.example.com"); !errors.Is(err, merge.ErrDenied) {
		t.Errorf("the account is not the user: %v", err)
	}
	equal(t, "hosts", fmt.Sprint(h.seen), "map[www.example.com:true]")
}
