package davtest

import (
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"russet/dav"
)

// The namespaces, with prefixes that no client sends.
var prefixes = map[string]string{
	"DAV:": "x", "urn:ietf:params:xml:ns:carddav": "card", "urn:ietf:params:xml:ns:caldav": "cal",
	"http://calendarserver.org/ns/": "cs", "http://apple.com/ns/ical/": "ap",
}

const multistatusStart = `<?xml version="1.0" encoding="UTF-8"?>
<x:multistatus xmlns:x="DAV:" xmlns:card="urn:ietf:params:xml:ns:carddav" xmlns:cal="urn:ietf:params:xml:ns:caldav"
 xmlns:cs="http://calendarserver.org/ns/" xmlns:ap="http://apple.com/ns/ical/">`

// names is a list of elements of which only the names count.
type names struct {
	Any []struct{ XMLName xml.Name } `xml:",any"`
}

// query is any of the requests with a body.
type query struct {
	XMLName xml.Name
	Prop    names    `xml:"DAV: prop"`
	Hrefs   []string `xml:"DAV: href"`
	Token   *string  `xml:"DAV: sync-token"`
}

func escapeText(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}

func tag(local, inner string) string { return "<" + local + ">" + inner + "</" + local + ">" }

// href spells a path as an href.
func href(base, path string) string {
	return tag("x:href", escapeText(base+(&url.URL{Path: path}).EscapedPath()))
}

// response writes the properties of a resource that were asked for. props are
// spelled with our prefixes.
func response(w io.Writer, base, path string, asked names, props map[string]string) {
	var have, lack strings.Builder
	for _, a := range asked.Any {
		name := prefixes[a.XMLName.Space] + ":" + a.XMLName.Local
		if inner, ok := props[name]; ok {
			have.WriteString(tag(name, inner))
		} else if prefixes[a.XMLName.Space] != "" {
			lack.WriteString("<" + name + "/>")
		}
	}
	stats := tag("x:propstat", tag("x:prop", have.String())+tag("x:status", "HTTP/1.1 200 OK"))
	if lack.Len() > 0 {
		stats = tag("x:propstat", tag("x:status", "HTTP/1.1 404 Not Found")+tag("x:prop", lack.String())) + stats
	}
	_, _ = io.WriteString(w, tag("x:response", href(base, path)+stats)) // into memory
}

// plainResponse writes a response with a status for all of it.
func plainResponse(w io.Writer, base, path string, status int) {
	_, _ = fmt.Fprint(w, tag("x:response", href(base, path)+tag("x:status", "HTTP/1.1 "+strconv.Itoa(status)+" "+http.StatusText(status))))
}

func multistatus(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/xml; charset=utf-8")
	w.WriteHeader(http.StatusMultiStatus)
	_, _ = io.WriteString(w, multistatusStart)
}

func (s *Server) propfind(w http.ResponseWriter, r *http.Request, body []byte) {
	var q query
	depth := r.Header.Get("Depth")
	if err := xml.Unmarshal(body, &q); err != nil || depth != "0" && depth != "1" || r.Header.Get("Content-Type") == "" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	at := r.URL.Path
	folder, name := path.Split(at)
	c := s.books[folder]
	switch {
	case c != nil && name == "":
		multistatus(w)
		response(w, s.quirks.ItemURL, at, q.Prop, s.collectionProps(folder))
		if depth == "1" {
			s.members(w, folder, q.Prop)
		}
	case c != nil && c.items[name] != nil:
		multistatus(w)
		response(w, s.quirks.ItemURL, at, q.Prop, s.itemProps(c, c.items[name]))
	case at == rootPath || at == principalPath || at == bookHome || at == calendarHome:
		multistatus(w)
		response(w, "", at, q.Prop, s.folderProps(at))
		for _, p := range slices.Sorted(maps.Keys(s.books)) {
			if depth == "1" && strings.HasPrefix(p, at) && at != rootPath {
				response(w, s.quirks.HomeURL, p, q.Prop, s.collectionProps(p))
			}
		}
	default:
		http.NotFound(w, r)
		return
	}
	_, _ = io.WriteString(w, "</x:multistatus>")
}

// members lists the items of a collection, and what else lies in it.
func (s *Server) members(w io.Writer, folder string, asked names) {
	c := s.books[folder]
	for i, name := range slices.Sorted(maps.Keys(c.items)) {
		if s.quirks.CutFull && i == s.quirks.Page {
			plainResponse(w, s.quirks.ItemURL, folder, http.StatusInsufficientStorage)
			return
		}
		response(w, s.quirks.ItemURL, folder+name, asked, s.itemProps(c, c.items[name]))
		if s.quirks.Twice {
			response(w, s.quirks.ItemURL, folder+name, asked, s.itemProps(c, c.items[name]))
		}
	}
	if s.quirks.Extra {
		response(w, "", folder+"sub/", asked, map[string]string{"x:resourcetype": "<x:collection/>", "x:getetag": `"sub"`})
		response(w, "", folder+"notes.txt", asked, map[string]string{"x:getcontenttype": "text/plain", "x:getetag": `"txt"`})
		other := "text/calendar; component=vevent"
		if c.kind == dav.Calendar {
			other = "text/vcard"
		}
		response(w, "", folder+"other", asked, map[string]string{"x:getcontenttype": other, "x:getetag": `"other"`})
	}
}

func (s *Server) folderProps(path string) map[string]string {
	p := map[string]string{
		"x:resourcetype":           "<x:collection/>",
		"x:current-user-principal": href("", principalPath),
	}
	if path == principalPath {
		p["x:resourcetype"] = "<x:collection/><x:principal/>"
		p["card:addressbook-home-set"] = href(s.quirks.HomeURL, bookHome)
		p["cal:calendar-home-set"] = href(s.quirks.HomeURL, calendarHome)
	}
	return p
}

func (s *Server) collectionProps(path string) map[string]string {
	c := s.books[path]
	p := map[string]string{
		"x:resourcetype":           "<x:collection/><card:addressbook/>",
		"x:displayname":            escapeText(c.name),
		"x:current-user-principal": href("", principalPath),
		"x:sync-token":             c.token(c.version),
		"cs:getctag":               strconv.Itoa(c.version),
	}
	if c.kind == dav.Calendar {
		p["x:resourcetype"] = "<x:collection/><cal:calendar/>"
		p["cal:supported-calendar-component-set"] = `<cal:comp name="VEVENT"/><cal:comp name="VTODO"/>`
		p["ap:calendar-color"] = "#ff2968ff"
	}
	if c.kind == dav.AddressBook && s.quirks.ResourceID != "" {
		p["x:resource-id"] = tag("x:href", s.quirks.ResourceID)
	}
	if s.quirks.NoTokens {
		delete(p, "x:sync-token")
	}
	if s.quirks.NoCTags {
		delete(p, "cs:getctag")
	}
	if !s.quirks.NoPrivileges {
		p["x:current-user-privilege-set"] = "<x:privilege><x:read/></x:privilege>"
		if !s.quirks.ReadOnly {
			p["x:current-user-privilege-set"] += "<x:privilege><x:write-content/></x:privilege>"
		}
	}
	return p
}

func (s *Server) itemProps(c *collection, it *item) map[string]string {
	p := map[string]string{"x:getcontenttype": "text/vcard; charset=utf-8", "x:resourcetype": ""}
	if c.kind == dav.Calendar {
		p["x:getcontenttype"] = "text/calendar; charset=utf-8; component=vevent"
		if s.quirks.ScheduleTags {
			p["cal:schedule-tag"] = escapeText(scheduleTagOf(it))
		}
	}
	if e := s.etag(it); e != "" {
		p["x:getetag"] = escapeText(e)
	}
	return p
}
