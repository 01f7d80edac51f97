package vobject

import (
	"crypto/sha256"
	"slices"
	"strings"
)

// Hash is the SHA-256 of an object's canonical form: two objects that mean the
// same have the same.
type Hash [sha256.Size]byte

// CanonicalVersion changes whenever Canonical says something else of the same
// object, so that a new program does not take that for an edit.
const CanonicalVersion = 1

// Property is what one line means. Two are equal when they mean the same.
type Property struct {
	Part   string // where it stands: "" for the object itself, else as VEVENT, VEVENT/20260101T090000Z for an override, VEVENT/VALARM#2 …
	Name   string
	Params string // canonical: sorted, in lower case where case says nothing, the label of its group included
	Value  string // unescaped, in one spelling
}

// Canonical returns what the object says, sorted, without what servers add and
// rewrite: PRODID, REV, DTSTAMP, CREATED, LAST-MODIFIED, SEQUENCE, VTIMEZONE of
// zones that the tz database has, X-RADICALE-NAME and the like.
func Canonical(c *Component) []Property {
	props := appendCanonical(nil, "", c)
	slices.SortFunc(props, compareProperties)
	return props
}

// HashOf returns the hash of a canonical form.
func HashOf(props []Property) Hash {
	h := sha256.New()
	for _, p := range props {
		for _, s := range []string{p.Part, p.Name, p.Params, p.Value} {
			h.Write([]byte(s))
			h.Write([]byte{0})
		}
	}
	return Hash(h.Sum(nil))
}

func compareProperties(a, b Property) int {
	if n := strings.Compare(a.Part, b.Part); n != 0 {
		return n
	}
	if n := strings.Compare(a.Name, b.Name); n != 0 {
		return n
	}
	if n := strings.Compare(a.Params, b.Params); n != 0 {
		return n
	}
	return strings.Compare(a.Value, b.Value)
}

// volatile are the properties that say nothing of the record itself.
const volatile = " PRODID REV DTSTAMP CREATED LAST-MODIFIED SEQUENCE VERSION METHOD CALSCALE X-RADICALE-NAME X-WR-CALNAME "

func appendCanonical(dst []Property, part string, c *Component) []Property {
	for _, l := range c.Lines {
		if strings.Contains(volatile, " "+l.Name+" ") {
			continue
		}
		var params []string
		for _, p := range l.Params {
			for _, v := range p.Values {
				params = append(params, p.Name+"="+strings.ToLower(v))
			}
		}
		slices.Sort(params)
		dst = append(dst, Property{Part: part, Name: l.Name, Params: strings.Join(params, ";"), Value: Unescape(l.Value)})
	}
	for _, p := range c.Parts {
		if p.Name != "VTIMEZONE" {
			dst = appendCanonical(dst, strings.TrimPrefix(part+"/"+p.Name, "/"), p)
		}
	}
	return dst
}
