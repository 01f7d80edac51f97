package dav

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// The namespaces of the properties that we ask for.
const (
	nsDAV    = "DAV:"
	nsCard   = "urn:ietf:params:xml:ns:carddav"
	nsCal    = "urn:ietf:params:xml:ns:caldav"
	nsServer = "http://calendarserver.org/ns/"
	nsApple  = "http://apple.com/ns/ical/"
)

// Limits on XML that a server sends; the length of a body is bounded before.
const (
	maxDepth    = 32
	maxElements = 10_000  // of one response, or of an error
	maxPages    = 100_000 // of a listing in pages, and responses of one page are bounded by its length
)

// errMalformed is in errors of answers that are no multistatus (RFC 4918 section 13).
var errMalformed = errors.New("malformed answer")

// element is an XML element with what lies in it.
type element struct {
	name xml.Name
	attr []xml.Attr
	text string // all character data directly in it
	kids []*element
}

// child returns the first element of a name, or nil. It may be called on nil, as
// can what follows.
func (e *element) child(space, local string) *element {
	if e != nil {
		for _, k := range e.kids {
			if k.name.Space == space && k.name.Local == local {
				return k
			}
		}
	}
	return nil
}

// all returns the elements of a name.
func (e *element) all(space, local string) []*element {
	var found []*element
	if e != nil {
		for _, k := range e.kids {
			if k.name.Space == space && k.name.Local == local {
				found = append(found, k)
			}
		}
	}
	return found
}

// value returns the trimmed text.
func (e *element) value() string {
	if e == nil {
		return ""
	}
	return strings.TrimSpace(e.text)
}

// href returns the text of the first href in it.
func (e *element) href() string { return e.child(nsDAV, "href").value() }

// xmlReader reads elements one by one.
type xmlReader struct {
	d *xml.Decoder
}

func newXMLReader(data []byte) xmlReader {
	return xmlReader{d: xml.NewDecoder(bytes.NewReader(data))}
}

// next returns the next start, or nil at the end of the element that is open. A
// document type is refused: nothing that we read has one.
func (r xmlReader) next() (*xml.StartElement, error) {
	for {
		t, err := r.d.Token()
		if err != nil {
			return nil, fmt.Errorf("read XML: %w: %w", errMalformed, noEOF(err))
		}
		switch t := t.(type) {
		case xml.StartElement:
			return &t, nil
		case xml.EndElement:
			return nil, nil
		case xml.Directive:
			return nil, fmt.Errorf("read XML: %w: a document type", errMalformed)
		}
	}
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// element reads what start begins, to its end.
func (r xmlReader) element(start *xml.StartElement, depth int, left *int) (*element, error) {
	if *left--; *left < 0 || depth > maxDepth {
		return nil, fmt.Errorf("read XML: %w: too deep or too long", errMalformed)
	}
	e := &element{name: start.Name, attr: start.Copy().Attr}
	var text []byte
	for {
		t, err := r.d.Token()
		if err != nil {
			return nil, fmt.Errorf("read XML: %w: %w", errMalformed, noEOF(err))
		}
		switch t := t.(type) {
		case xml.StartElement:
			kid, err := r.element(&t, depth+1, left)
			if err != nil {
				return nil, err
			}
			e.kids = append(e.kids, kid)
		case xml.CharData:
			text = append(text, t...)
		case xml.EndElement:
			e.text = string(text)
			return e, nil
		case xml.Directive:
			return nil, fmt.Errorf("read XML: %w: a document type", errMalformed)
		}
	}
}

// response is what a multistatus says of one or more hrefs.
type response struct {
	hrefs  []string
	status int      // of all of it; 0 where each property has its own
	prop   *element // the properties that were found, in a DAV:prop; never nil
	failed bool     // a property could not be had for now (5xx)

	precondition string // what was not met, where status is bad
}

// readMultistatus calls yield for each response, and returns the sync-token (RFC
// 6578 section 6.4), which may be "". A document that ends early is an error.
func readMultistatus(data []byte, yield func(response) error) (token string, err error) {
	r := newXMLReader(data)
	root, err := r.next()
	if err != nil {
		return "", err
	}
	if root == nil || root.Name != (xml.Name{Space: nsDAV, Local: "multistatus"}) {
		return "", fmt.Errorf("read XML: %w: not a multistatus", errMalformed)
	}
	for {
		start, err := r.next()
		if err != nil {
			return "", err
		}
		if start == nil {
			return token, nil
		}
		left := maxElements
		e, err := r.element(start, 1, &left)
		if err != nil {
			return "", err
		}
		switch e.name {
		case xml.Name{Space: nsDAV, Local: "sync-token"}:
			token = e.value()
		case xml.Name{Space: nsDAV, Local: "response"}:
			if err := yield(newResponse(e)); err != nil {
				return "", err
			}
		}
	}
}

func newResponse(e *element) response {
	r := response{status: statusLine(e.child(nsDAV, "status").value()), prop: &element{}}
	r.precondition = e.child(nsDAV, "error").precondition()
	for _, h := range e.all(nsDAV, "href") {
		r.hrefs = append(r.hrefs, h.value())
	}
	for _, stat := range e.all(nsDAV, "propstat") {
		switch status := statusLine(stat.child(nsDAV, "status").value()); {
		case status/100 == 2:
			if p := stat.child(nsDAV, "prop"); p != nil {
				r.prop.kids = append(r.prop.kids, p.kids...)
			}
		case status/100 == 5:
			r.failed = true
		}
	}
	return r
}

// statusLine reads the code of "HTTP/1.1 200 OK"; 0 where there is none.
func statusLine(s string) int {
	if f := strings.Fields(s); len(f) >= 2 && strings.HasPrefix(f[0], "HTTP/") {
		if n, err := strconv.Atoi(f[1]); err == nil && n >= 100 && n <= 999 {
			return n
		}
	}
	return 0
}

// precondition returns the name of what a DAV:error says was not met (RFC 4918
// section 16), such as valid-sync-token; "" where the body says nothing of that kind.
// Only a name in small letters is believed: free text may hold anything.
func precondition(body []byte) string {
	r := newXMLReader(body)
	root, err := r.next()
	if err != nil || root == nil || root.Name != (xml.Name{Space: nsDAV, Local: "error"}) {
		return ""
	}
	e, err := r.element(root, 0, new(maxElements))
	if err != nil {
		return ""
	}
	return e.precondition()
}

// precondition is the same of a DAV:error that was read.
func (e *element) precondition() string {
	if e != nil {
		for _, k := range e.kids {
			if s := k.name.Space; (s == nsDAV || s == nsCard || s == nsCal) && plainName(k.name.Local) {
				return k.name.Local
			}
		}
	}
	return ""
}

func plainName(s string) bool {
	return len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz-") == ""
}
