package vobject

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// foldAt is the longest line in bytes, its end not counted (RFC 5545 3.1).
const foldAt = 75

// NewLine returns a line of our own. The value is as it stands in a file: Text
// makes one of text.
func NewLine(name, value string, params ...Param) Line {
	return Line{Name: name, Value: value, Params: params}
}

// In returns l as a line of a group, such as item1.
func (l Line) In(group string) Line {
	l.Group, l.raw = group, ""
	return l
}

// New returns an empty component of that name.
func New(name string) *Component { return &Component{Name: name} }

// Add puts a line at the end of c's own.
func (c *Component) Add(lines ...Line) { c.Lines = append(c.Lines, lines...) }

// AddPart puts a component at the end of c.
func (c *Component) AddPart(part *Component) {
	for len(c.after) < len(c.Parts) { // put there by hand
		c.after = append(c.after, len(c.Lines))
	}
	c.Parts, c.after = append(c.Parts, part), append(c.after, len(c.Lines))
}

// Set puts a line in the place of the first of its name, removes the others, and
// adds it where there is none.
func (c *Component) Set(line Line) {
	i := slices.IndexFunc(c.Lines, func(l Line) bool { return l.named(line.Name) })
	if i < 0 {
		c.Add(line)
		return
	}
	c.Lines[i] = line
	for j := len(c.Lines) - 1; j > i; j-- {
		if c.Lines[j].named(line.Name) {
			c.removeAt(j)
		}
	}
}

// Remove removes all lines of that name from c itself.
func (c *Component) Remove(name string) {
	for j := len(c.Lines) - 1; j >= 0; j-- {
		if c.Lines[j].named(name) {
			c.removeAt(j)
		}
	}
}

func (c *Component) removeAt(j int) {
	c.Lines = slices.Delete(c.Lines, j, j+1)
	for k, n := range c.after {
		if n > j {
			c.after[k]--
		}
	}
}

// Bytes returns c as a file holds it: lines end in CRLF, and are folded at 75
// bytes between characters. Lines and frames that were received stand as they were.
func (c *Component) Bytes() []byte { return c.append(nil) }

func (c *Component) append(dst []byte) []byte {
	dst = appendRaw(dst, c.begin, Line{Name: "BEGIN", Value: c.Name})
	part := 0
	for i := range len(c.Lines) + 1 {
		for part < len(c.Parts) && c.before(part) <= i {
			dst = c.Parts[part].append(dst)
			part++
		}
		if i < len(c.Lines) {
			dst = appendRaw(dst, c.Lines[i].raw, c.Lines[i])
		}
	}
	return appendRaw(dst, c.end, Line{Name: "END", Value: c.Name})
}

// before says how many lines stand before a part: all, where the part was put into
// the slice by hand.
func (c *Component) before(part int) int {
	if part >= len(c.after) {
		return len(c.Lines)
	}
	return min(c.after[part], len(c.Lines))
}

// appendRaw appends what was received, or l where nothing was.
func appendRaw(dst []byte, raw string, l Line) []byte {
	if raw == "" {
		return l.append(dst)
	}
	dst = append(dst, raw...)
	if raw[len(raw)-1] != '\n' {
		dst = append(dst, '\r', '\n')
	}
	return dst
}

// append appends a line of our own. Whatever its fields hold, it is one line: what
// would end it, or its name, is left out.
func (l Line) append(dst []byte) []byte {
	var b strings.Builder
	b.Grow(len(l.Name) + len(l.Value) + 2)
	if l.Group != "" {
		b.WriteString(onlyName(l.Group) + ".")
	}
	b.WriteString(onlyName(l.Name))
	for _, p := range l.Params {
		b.WriteString(";" + onlyName(p.Name) + "=")
		for i, v := range p.Values {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(escapeParam(v))
		}
	}
	b.WriteString(":" + printable(l.Value))
	return fold(dst, b.String())
}

// onlyName returns s as a name.
func onlyName(s string) string {
	if validName(s) {
		return s
	}
	return "X-" + strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && nameByte(byte(r)) {
			return r
		}
		return -1
	}, s)
}

// fold appends s with its folds and its end.
func fold(dst []byte, s string) []byte {
	for limit := foldAt; len(s) > limit; limit = foldAt - 1 {
		n := limit
		for n > limit-utf8.UTFMax && !utf8.RuneStart(s[n]) {
			n--
		}
		dst = append(append(dst, s[:n]...), "\r\n "...)
		s = s[n:]
	}
	return append(append(dst, s...), '\r', '\n')
}
