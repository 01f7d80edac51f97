package dav

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestSite(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"contacts.icloud.com":     "icloud.com",
		"p42-contacts.icloud.com": "icloud.com",
		"icloud.com":              "icloud.com",
		"dav.example.co.uk":       "example.co.uk",
		"example.co.uk":           "example.co.uk",
		"co.uk":                   "co.uk",
		"carddav.web.de":          "web.de",
		"ada.duckdns.org":         "ada.duckdns.org",
		"dav.ada.duckdns.org":     "ada.duckdns.org",
		"nas":                     "nas",
		"127.0.0.1":               "127.0.0.1",
		"10.0.0.1":                "10.0.0.1",
		"fe80::1":                 "fe80::1",
		"":                        "",
	} {
		if got := site(host); got != want {
			t.Errorf("site(%q): got %q, want %q", host, got, want)
		}
	}
}

// The host rule, from one address to what a server may say.
func TestResolve(t *testing.T) {
	t.Parallel()
	for _, try := range []struct{ home, ref, want string }{
		{"https://dav.example.org/a/", "b", "https://dav.example.org/a/b"},
		{"https://dav.example.org/a/", "/b/../c d/%7Ex%2f%40", "https://dav.example.org/c%20d/~x%2F%40"},
		{"https://dav.example.org/a/", "https://DAV.example.org:443/x", "https://dav.example.org/x"},
		{"https://dav.example.org/a/", "https://dav.example.org.:8443/x", "https://dav.example.org:8443/x"},
		{"https://dav.example.org/a/", "https://p1-dav.example.org/x", "https://p1-dav.example.org/x"},
		{"https://dav.example.org/a/", "http://dav.example.org/x", "https://dav.example.org/x"},
		{"https://dav.example.org/a/", "http://p1.example.org/x", ""},
		{"https://dav.example.org/a/", "https://example.net/x", ""},
		{"https://dav.example.org/a/", "https://example.org.evil.net/x", ""},
		{"https://dav.example.org/a/", "https://notexample.org/x", ""},
		{"https://dav.example.org/a/", "https://127.0.0.1/x", ""},
		{"https://dav.example.org./a/", "https://other.net./x", ""},
		{"https://ada.duckdns.org/a/", "https://eve.duckdns.org/x", ""},
		{"https://ada.co.uk/a/", "https://eve.co.uk/x", ""},
		{"https://10.0.0.1/a/", "https://10.0.0.2/x", ""},
		{"https://[fe80::1]:8443/a/", "https://[fe80::1]/x", "https://[fe80::1]/x"},
		{"http://127.0.0.1:5232/a/", "http://127.0.0.1:5233/x", ""},
		{"http://127.0.0.1:5232/a/", "/x", "http://127.0.0.1:5232/x"},
		{"http://localhost/a/", "http://sub.localhost/x", ""},
		{"https://dav.example.org/a/", "javascript:alert(1)", ""},
		{"https://dav.example.org/a/", "%zz", ""},
		{"https://dav.example.org/a/", "/" + strings.Repeat("x", maxURL), ""},
	} {
		home, err := parseAddress(try.home)
		if err != nil {
			t.Fatal(err)
		}
		u, err := (&client{home: home}).resolve(home, try.ref)
		got := ""
		if err == nil {
			got = u.String()
		}
		if got != try.want {
			t.Errorf("%s from %s: got %q, %v, want %q", try.ref, try.home, got, err, try.want)
		}
	}
}

// Behind a proxy the path alone says which item is meant, and it leads nowhere else.
func TestMember(t *testing.T) {
	t.Parallel()
	at, err := parseAddress("https://dav.example.org/a/")
	if err != nil {
		t.Fatal(err)
	}
	c := &Collection{client: &client{home: at}, found: found{at: at}}
	for ref, want := range map[string]string{
		"b.vcf":                      "https://dav.example.org/a/b.vcf",
		"http://inside:8080/a/b.vcf": "https://dav.example.org/a/b.vcf",
		"//inside/a/b%2fc?d":         "https://dav.example.org/a/b%2Fc?d",
		"http://inside/b.vcf":        "",
		"http://inside/a/../b.vcf":   "",
		"http://inside/a/%2e%2e/b":   "",
		"http://inside//evil/a/b":    "",
		"http://inside":              "",
	} {
		u, err := c.member(at, ref)
		got := ""
		if err == nil {
			got = u.String()
		}
		if got != want {
			t.Errorf("%s: got %q, %v, want %q", ref, got, err, want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for s, want := range map[string]time.Duration{
		"":                              time.Second,
		"0":                             time.Second,
		" 90 ":                          90 * time.Second,
		"1.5":                           time.Second,
		"9999999999":                    maxWait + 1,
		"Fri, 02 Jan 2026 03:05:05 GMT": time.Minute,
		"Fri, 02 Jan 2026 03:00:00 GMT": time.Second,
	} {
		if got := retryAfter(s, now, time.Second); got != want {
			t.Errorf("%q: got %v, want %v", s, got, want)
		}
	}
}

// The example of RFC 7616 §3.9.1 and RFC 2069 §2.4 (as corrected), but for the
// client's nonce.
func TestDigestAnswer(t *testing.T) {
	t.Parallel()
	for _, h := range []string{
		`Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=MD5, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`,
		`DIGEST nonce=abc,realm="a\"b, c=d"`,
		`Digest nonce="n", algorithm=SHA-256, qop=auth`,
	} {
		if challenge([]string{h}) == nil {
			t.Errorf("%s is not understood", h)
		}
	}
	for _, h := range []string{"", "Digest ", "Digest realm=x", `Digest nonce="n", qop="auth-int"`, `Digest nonce="n", algorithm=MD5-sess`, `Basic realm="x"`} {
		if d := challenge([]string{h}); d != nil {
			t.Errorf("%q: got %+v", h, d)
		}
	}
	if d := challenge([]string{`Digest nonce="n"`, `Basic realm="x"`}); d != nil {
		t.Errorf("with Basic, which was sent: got %+v", d)
	}
	d := challenge([]string{`Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"`})
	want := `Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="/dir/index.html",` +
		` response="1949323746fe6a43ef61f9606e7febea", opaque="5ccc069c403ebaf9f0171e9517f40e41"`
	if got := d.answer("Mufasa", "CircleOfLife", http.MethodGet, "/dir/index.html"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		" Home\x1b[31m\n":            "Home[31m",
		"a\u202eb\u200fc\xffd":       "abcd",
		"\U0001f468\u200d\U0001f467": "\U0001f468\u200d\U0001f467",
		strings.Repeat("ü", 1000):    strings.Repeat("ü", 512),
	} {
		if got := text(s); got != want {
			t.Errorf("%q: got %q, want %q", s, got, want)
		}
	}
}

func FuzzMultistatus(f *testing.F) {
	const start = `<multistatus xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav">`
	f.Add([]byte(start + `<response><href>/a/b.vcf</href><propstat><prop><getetag>"1"</getetag><resourcetype><collection/></resourcetype></prop>` +
		`<status>HTTP/1.1 200 OK</status></propstat></response><sync-token>t</sync-token></multistatus>`))
	f.Add([]byte(start + `<response><href>/a/</href><status>HTTP/1.1 507</status></response></multistatus>`))
	f.Add([]byte(`<error xmlns="DAV:"><valid-sync-token/></error>`))
	f.Add([]byte(start + strings.Repeat("<response>", 40)))
	f.Fuzz(func(t *testing.T, data []byte) {
		home := &url.URL{Scheme: "https", Host: "dav.example.org", Path: "/a/"}
		c := &Collection{client: &client{home: home}, kind: Calendar, found: found{at: home, Info: Info{URL: home.String()}}}
		l := newLister(c)
		token, err := readMultistatus(data, func(r response) error {
			f := c.client.found(home, r.prop)
			if len(f.Name) > maxText || strings.ContainsAny(f.Name, "\n\x1b") {
				t.Errorf("name %q", f.Name)
			}
			return l.add(home, r)
		})
		if err == nil && !strings.Contains(string(data), "multistatus") {
			t.Errorf("token %q of no multistatus", token)
		}
		for _, r := range l.listing("").Refs {
			if u, err := c.client.resolve(home, r.Href); err != nil || u.String() != r.Href {
				t.Errorf("href %q becomes %v, %v", r.Href, u, err)
			}
		}
		if p := precondition(data); !plainName(p) {
			t.Errorf("precondition %q", p)
		}
	})
}

func FuzzHref(f *testing.F) {
	for _, s := range []string{"a.vcf", "/a/odd%20name%20%C3%BC%252B.vcf", "https://p1.example.org:443/x", "//evil.example/", "http://dav.example.org./", "..//%2e%2E/", "https://[::1]:1/", "?a=%zz#b", strings.Repeat("\xa7", 1500)} {
		f.Add(s)
	}
	home := &url.URL{Scheme: "https", Host: "dav.example.org", Path: "/a/"}
	f.Fuzz(func(t *testing.T, s string) {
		c := &client{home: home}
		u, err := c.resolve(home, s)
		if err != nil {
			return
		}
		if h := u.Hostname(); u.Scheme != "https" || h != "example.org" && !strings.HasSuffix(h, ".example.org") {
			t.Errorf("%q leads to %v", s, u)
		}
		if again, err := c.resolve(home, u.String()); err != nil || again.String() != u.String() {
			t.Errorf("%q becomes %v, then %v, %v", s, u, again, err)
		}
	})
}

func FuzzHeaders(f *testing.F) {
	for _, s := range []string{"120", "Fri, 02 Jan 2026 03:05:05 GMT", `W/"a"`, `"`, "-1", `Digest realm="a\"b", nonce=x,qop="auth"`, "99999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d := retryAfter(s, time.Unix(1e9, 0), time.Second); d < time.Second {
			t.Errorf("%q: waits %v", s, d)
		}
		h := http.Header{"Etag": {s}}
		if tag := headerTag(h); strings.ContainsAny(tag, "\r\n\x00") || len(tag) > maxText {
			t.Errorf("etag %q", tag)
		}
		if d := challenge([]string{s}); d != nil {
			_ = d.answer("u", "p", "GET", "/")
		}
		if n := statusLine(s); n != 0 && (n < 100 || n > 999) {
			t.Errorf("status %d", n)
		}
	})
}
