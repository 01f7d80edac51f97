package dav

import (
	"crypto/md5" // what RFC 7616 has beside SHA-256, and older servers alone
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// digest answers a server that wants Digest authentication (RFC 7616), without
// qop or with qop=auth, with MD5 or SHA-256.
type digest struct {
	realm, nonce, opaque, algorithm string
	qop                             bool
	count                           int
}

// challenge returns the digest that a server asks for, if it asks for no other:
// where Basic is offered as well, that was sent already and was not taken.
func challenge(headers []string) *digest {
	for _, h := range headers {
		if basic := strings.Index(strings.ToLower(h), "basic "); basic == 0 {
			return nil
		}
	}
	for _, h := range headers {
		if len(h) > 7 && len(h) < maxURL && strings.EqualFold(h[:7], "digest ") {
			p := parameters(h[7:])
			d := &digest{realm: p["realm"], nonce: p["nonce"], opaque: p["opaque"], algorithm: strings.ToUpper(p["algorithm"])}
			for q := range strings.SplitSeq(p["qop"], ",") {
				d.qop = d.qop || strings.TrimSpace(q) == "auth"
			}
			known := d.algorithm == "" || d.algorithm == "MD5" || d.algorithm == "SHA-256"
			if known && d.nonce != "" && (d.qop || p["qop"] == "") {
				return d
			}
		}
	}
	return nil
}

// parameters reads a list of name=value and name="value".
func parameters(s string) map[string]string {
	found := map[string]string{}
	for s != "" {
		name, rest, ok := strings.Cut(s, "=")
		if !ok {
			break
		}
		var value string
		if strings.HasPrefix(rest, `"`) {
			value, s = unquote(rest[1:])
			_, s, _ = strings.Cut(s, ",")
		} else {
			value, s, _ = strings.Cut(rest, ",")
		}
		found[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
	}
	return found
}

// unquote reads to the closing quote.
func unquote(s string) (value, rest string) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:]
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), ""
}

// answer returns the value of Authorization for a request.
func (d *digest) answer(user, password, method, uri string) string {
	d.count++
	sum := func(parts ...string) string {
		h := md5.New()
		if d.algorithm == "SHA-256" {
			h = sha256.New()
		}
		h.Write([]byte(strings.Join(parts, ":")))
		return hex.EncodeToString(h.Sum(nil))
	}
	ha1, ha2 := sum(user, d.realm, password), sum(method, uri)
	response, extra := sum(ha1, d.nonce, ha2), ""
	if d.qop {
		nc, cnonce := fmt.Sprintf("%08x", d.count), rand.Text()
		response = sum(ha1, d.nonce, nc, cnonce, "auth", ha2)
		extra = fmt.Sprintf(`, qop=auth, nc=%s, cnonce="%s"`, nc, cnonce)
	}
	if d.algorithm != "" {
		extra += ", algorithm=" + d.algorithm
	}
	if d.opaque != "" {
		extra += `, opaque="` + quote(d.opaque) + `"`
	}
	return fmt.Sprintf(`Digest username="%s", realm="%s", nonce="%s", uri="%s", response="%s"%s`,
		quote(user), quote(d.realm), quote(d.nonce), uri, response, extra)
}

func quote(s string) string { return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) }
