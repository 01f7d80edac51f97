package dav

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"net/http"
	"strings"
)

// Where a server gives no etag, ours stand in. They are told from a server's own,
// which begin with a quote, W/ or, of servers that know no better, anything but this.
const (
	scheduleTag = "schedule-tag:"   // then a Schedule-Tag (RFC 6638 section 3.2.10)
	contentTag  = "content-sha256:" // then the hash of the content as it was read
)

// etagOf returns the etag among properties, as the server spells it; else the
// Schedule-Tag; else "".
func etagOf(p *element) string {
	tag := p.child(nsDAV, "getetag").value()
	if plainTag(tag) {
		return tag
	}
	if tag := p.child(nsCal, "schedule-tag").value(); plainTag(tag) {
		return scheduleTag + tag
	}
	return ""
}

// headerTag returns the same of the headers of an answer.
func headerTag(h http.Header) string {
	if tag := strings.TrimSpace(h.Get("ETag")); plainTag(tag) {
		return tag
	}
	if tag := strings.TrimSpace(h.Get("Schedule-Tag")); plainTag(tag) {
		return scheduleTag + tag
	}
	return ""
}

// plainTag reports whether a tag can be sent back in a header.
func plainTag(s string) bool {
	odd := func(r rune) bool { return r < ' ' || r == 0x7f }
	return s != "" && len(s) <= maxText && !strings.ContainsFunc(s, odd)
}

// strong reports whether a tag is one that If-Match must take (RFC 9110 section 13.1.1).
func strong(tag string) bool {
	return len(tag) >= 2 && tag[0] == '"' && tag[len(tag)-1] == '"'
}

// contentETag stands for content that has no tag of the server's. Line ends have
// no part in it: XML has one kind, files another.
func contentETag(body []byte) string {
	sum := sha256.Sum256(bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n")))
	return contentTag + hex.EncodeToString(sum[:])
}

// xmlText escapes text for a request.
func xmlText(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}
