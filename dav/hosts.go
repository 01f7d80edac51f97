package dav

import (
	"fmt"
	"net"
	"net/url"
	"path"
	"strings"
)

// maxURL bounds addresses and hrefs, in bytes.
const maxURL = 4096

// countryLabels stand below a country's domain and above that of an owner, as
// in example.co.uk.
const countryLabels = " ac co com ed edu gob gov gouv go gv id lg ltd mil ne net nhs nom or org plc sch tm "

// sharedDomains hold one domain each for many owners: dynamic DNS and hosting.
// No list is whole; what that means is told at site.
var sharedDomains = []string{
	"afraid.org", "amazonaws.com", "azurewebsites.net", "ddns.net", "dedyn.io", "duckdns.org", "dyndns.org", "dynv6.net", "firebaseapp.com",
	"fly.dev", "github.io", "gitlab.io", "goip.de", "herokuapp.com", "homeip.net", "hopto.org", "mooo.com", "myds.me", "myfritz.net", "myqnapcloud.com",
	"netlify.app", "ngrok.app", "ngrok.io", "nip.io", "no-ip.org", "onrender.com", "pages.dev", "selfhost.eu", "servebeer.com", "spdns.de",
	"sslip.io", "synology.me", "sytes.net", "trycloudflare.com", "ts.net", "vercel.app", "web.app", "workers.dev", "zapto.org",
}

// site returns the domain that belongs to the owner of a host: contacts.icloud.com
// lies in icloud.com. Addresses, and names of one label, are their own. The lists
// above know the usual domains that are shared. One that they do not know lets a
// server that has the password already send it on to a neighbour of its name.
func site(host string) string {
	if net.ParseIP(host) != nil {
		return host
	}
	labels := strings.Split(host, ".")
	n := 2
	for _, shared := range sharedDomains {
		if strings.HasSuffix(host, "."+shared) {
			n = strings.Count(shared, ".") + 2
		}
	}
	if l := len(labels); l >= 3 && len(labels[l-1]) == 2 && strings.Contains(countryLabels, " "+labels[l-2]+" ") {
		n = max(n, 3)
	}
	return strings.Join(labels[max(0, len(labels)-n):], ".")
}

// loopback reports whether a host is this computer, whatever the DNS says.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// parseAddress reads the URL of a server. One without a scheme is https. Errors
// do not repeat it: it may hold a password.
func parseAddress(s string) (*url.URL, error) {
	if !strings.Contains(s, "://") {
		s = "https://" + s
	}
	u, err := url.Parse(strings.TrimSpace(s))
	switch {
	case err != nil || len(s) > maxURL || u.Hostname() == "":
		return nil, fmt.Errorf("read address: not a URL with a host")
	case u.User != nil:
		return nil, fmt.Errorf("read address: user and password do not belong in it")
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(strings.ToLower(u.Hostname()))):
		return nil, fmt.Errorf("read address of %q: not https", u.Hostname())
	}
	u.RawQuery, u.Fragment = "", ""
	return normal(u), nil
}

// normal returns a URL spelled in the one way in which we compare and send it:
// the host in lower case without a port that goes without saying, each segment
// of the path with everything but unreserved characters (RFC 3986) escaped.
func normal(u *url.URL) *url.URL {
	n := &url.URL{Scheme: u.Scheme, Host: strings.TrimSuffix(strings.ToLower(u.Hostname()), "."), RawQuery: u.RawQuery}
	if strings.Contains(n.Host, ":") {
		n.Host = "[" + n.Host + "]"
	}
	if port := u.Port(); port != "" && (port != "443" || u.Scheme != "https") && (port != "80" || u.Scheme != "http") {
		n.Host += ":" + port
	}
	segments := strings.Split(u.EscapedPath(), "/")
	plain := make([]string, len(segments))
	for i, s := range segments {
		plain[i], _ = url.PathUnescape(s) // EscapedPath is always right
		segments[i] = escape(plain[i])
	}
	n.Path, n.RawPath = strings.Join(plain, "/"), strings.Join(segments, "/")
	if n.Path == "" {
		n.Path, n.RawPath = "/", ""
	}
	return n
}

// escape escapes a segment of a path.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; unreserved(c) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// resolve returns where a reference that the server gave leads, if credentials
// may go there. The host rule: https to the host of the address that the user
// gave, or to one of the same site; http only where that address is http itself,
// which parseAddress allows on this computer alone, and there to its very port. A
// server behind a proxy often believes that it is asked by http; its own name
// with http is taken as the address given.
func (c *client) resolve(base *url.URL, ref string) (*url.URL, error) {
	r, err := parseHref(ref)
	if err != nil {
		return nil, fmt.Errorf("read href at %q: malformed", base.Host)
	}
	u := base.ResolveReference(r)
	if u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return nil, fmt.Errorf("read href at %q: not of the web", base.Host)
	}
	if u = normal(u); len(u.String()) > maxURL {
		return nil, fmt.Errorf("read href at %q: malformed", base.Host)
	}
	for s := range strings.SplitSeq(u.Path, "/") {
		if s == "." || s == ".." { // spelled so that it was not taken for one
			return nil, fmt.Errorf("read href at %q: malformed", base.Host)
		}
	}
	if u.Scheme == "http" && c.home.Scheme == "https" && u.Hostname() == c.home.Hostname() {
		u.Scheme, u.Host = "https", c.home.Host
	}
	if !c.trusted(u) {
		return nil, &HostError{Host: u.Host}
	}
	return u, nil
}

// parseHref reads an href. What a server left unescaped is escaped first: else
// its slashes that are escaped would be taken for others.
func parseHref(s string) (*url.URL, error) {
	s = strings.TrimSpace(s)
	if len(s) > maxURL {
		return nil, errMalformed
	}
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c >= 0x80 || strings.IndexByte(" \"<>^`{}|\\", c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return url.Parse(b.String())
}

// trusted reports whether the host rule lets credentials go to u.
func (c *client) trusted(u *url.URL) bool {
	if u.Scheme == "http" {
		return c.home.Scheme == "http" && u.Host == c.home.Host
	}
	return u.Scheme == "https" && (u.Hostname() == c.home.Hostname() || site(u.Hostname()) == site(c.home.Hostname()) && c.home.Scheme == "https")
}

// last returns the last segment of a path, unescaped: an item's name.
func last(u *url.URL) string {
	_, name := path.Split(u.Path)
	return name
}
