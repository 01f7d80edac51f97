// Package vobject reads and writes vCards (RFC 2426, RFC 6350, and vCard 2.1) and
// iCalendar objects (RFC 5545) as what they are made of: content lines in components.
//
//	objects, err := vobject.Parse(data)
//	name := vobject.Unescape(objects[0].Value("FN"))
//	objects[0].Set(vobject.NewLine("NICKNAME", vobject.Text("Ada")))
//	data = objects[0].Bytes()
//
// A line that nobody touches is written as it was received, to the byte: what
// this package does not understand survives. Two objects that mean the same have
// the same canonical form (Canonical), whatever order, folding or spelling a
// server gave them; Apply takes what changed in one object into another.
// docs/vobject.md says what the canonical form leaves out.
package vobject

import (
	"slices"
	"strings"
)

// Limits on what strangers send.
const (
	// MaxSize is the length in bytes of what Parse takes.
	MaxSize = 32 << 20
	// maxLines is how many content lines it may hold, values of lists included.
	maxLines = 500_000
	// maxDepth is how deep components may lie in each other.
	maxDepth = 8
	// maxParams is how many parameters, and values of parameters, a line may have.
	maxParams = 2000
)

// Param is a parameter of a line, such as TYPE=HOME,VOICE.
type Param struct {
	Name   string   // in upper case; a bare parameter of vCard 2.1 is a TYPE or an ENCODING
	Values []string // without quotes and the escapes of RFC 6868
}

// Line is one content line, unfolded. It is changed by putting a new one in its
// place (NewLine, Set): its fields alone do not change what Bytes writes.
type Line struct {
	Group  string // of vCards: item1 in item1.TEL; as it is spelled
	Name   string // in upper case
	Params []Param
	Value  string // as it stands: escaped text, unless the property is none; of quoted-printable without its soft line breaks

	raw string // as it was received, with line ends, folds, and the empty lines after it; "" for a line of our own
}

// Component is what stands between BEGIN and END.
type Component struct {
	Name  string // in upper case: VCARD, VCALENDAR, VEVENT, VTODO, VALARM, VTIMEZONE ...
	Lines []Line
	Parts []*Component // in order; AddPart adds one

	after      []int  // of each part: how many of Lines stand before it
	begin, end string // as received, "" in a component of our own
}

// Param returns the first value of the parameter of that name, or "".
func (l Line) Param(name string) string {
	for _, p := range l.Params {
		if len(p.Values) > 0 && strings.EqualFold(p.Name, name) {
			return p.Values[0]
		}
	}
	return ""
}

// named reports whether the line is of that property.
func (l Line) named(name string) bool { return strings.EqualFold(l.Name, name) }

// Get returns the first line of that name in c itself.
func (c *Component) Get(name string) (Line, bool) {
	i := slices.IndexFunc(c.Lines, func(l Line) bool { return l.named(name) })
	if i < 0 {
		return Line{}, false
	}
	return c.Lines[i], true
}

// Value returns the value of the first line of that name, as it stands, or "".
func (c *Component) Value(name string) string {
	l, _ := c.Get(name)
	return l.Value
}

// All returns the lines of that name in c itself.
func (c *Component) All(name string) []Line {
	var found []Line
	for _, l := range c.Lines {
		if l.named(name) {
			found = append(found, l)
		}
	}
	return found
}

// Key returns what names the record on every side: the UID of a vCard, or the one
// that all components of a VCALENDAR share, time zones aside. It is not ok where
// there is none, where two differ, and where components are of several kinds.
func Key(c *Component) (uid string, ok bool) {
	if c.Name != "VCALENDAR" {
		return ownUID(c)
	}
	kind := ""
	for _, p := range c.Parts {
		if p.Name == "VTIMEZONE" {
			continue
		}
		own, ok := ownUID(p)
		if !ok || kind != "" && (own != uid || p.Name != kind) {
			return "", false
		}
		uid, kind = own, p.Name
	}
	return uid, kind != ""
}

// HasUID reports whether an object in data, or a component of one, has that UID: also
// where that is not its Key, as something else is wrong with it.
func HasUID(data []byte, uid string) bool {
	objects, err := Parse(data)
	if err != nil {
		return false
	}
	has := func(c *Component) bool {
		return slices.ContainsFunc(c.All("UID"), func(l Line) bool { return uidIn(l) == uid })
	}
	return slices.ContainsFunc(objects, func(c *Component) bool { return has(c) || slices.ContainsFunc(c.Parts, has) })
}

func uidIn(l Line) string { return strings.TrimSpace(Unescape(l.Value)) }

// ownUID returns the UID that c itself has, once or more often.
func ownUID(c *Component) (uid string, ok bool) {
	for _, l := range c.All("UID") {
		own := uidIn(l)
		if own == "" || uid != "" && own != uid {
			return "", false
		}
		uid = own
	}
	return uid, uid != ""
}
