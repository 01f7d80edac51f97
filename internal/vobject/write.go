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
	l.Group, l.raw = group, nil
	return l
}

// New returns an empty component of that name.
func New(name string) *Component { return &Component{Name: name} }

// Add puts a line at the end of c's own.
func (c *Component) Add(lines ...Line) { c.Lines = append(c.Lines, lines...) }

// AddPart puts a component at the end of c's parts.
func (c *Component) AddPart(part *Component) {
	c.Parts, c.after = append(c.Parts, part), append(c.after, len(c.Lines))
}

// Set puts a line in the place of the first of its name, removes the others, and
// adds it where there is none.
func (c *Component) Set(line Line) {
	i := slices.IndexFunc(c.Lines, func(l Line) bool { return l.Name == line.Name })
	if i < 0 {
		c.Add(line)
		return
	}
	c.Lines[i] = line
	for j := len(c.Lines) - 1; j > i; j-- {
		if c.Lines[j].Name == line.Name {
			c.removeAt(j)
		}
	}
}

// Remove removes all lines of that name from c itself.
func (c *Component) Remove(name string) {
	for j := len(c.Lines) - 1; j >= 0; j-- {
		if c.Lines[j].Name == name {
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
		for part < len(c.Parts) && c.after[part] <= i {
			dst = c.Parts[part].append(dst)
			part++
		}
		if i < len(c.Lines) {
			dst = appendRaw(dst, c.Lines[i].raw, c.Lines[i])
		}
	}
	return appendRaw(dst, c.end, Line{Name: "END", Value: c.Name})
}

// appendRaw appends what was received, or l where nothing was.
func appendRaw(dst, raw []byte, l Line) []byte {
	if raw == nil {
		return l.append(dst)
	}
	dst = append(dst, raw...)
	if raw[len(raw)-1] != '\n' {
		dst = append(dst, '\r', '\n')
	}
	return dst
}

func (l Line) append(dst []byte) []byte {
	var b strings.Builder
	if l.Group != "" {
		b.WriteString(l.Group + ".")
	}
	b.WriteString(l.Name)
	for _, p := range l.Params {
		b.WriteString(";" + p.Name + "=")
		for i, v := range p.Values {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(quoteParam(v))
		}
	}
	b.WriteString(":" + l.Value)
	return fold(dst, b.String())
}

// quoteParam writes a parameter's value; what cannot stand in one is left out.
func quoteParam(v string) string {
	v = strings.Map(func(r rune) rune {
		if r == '"' || r < ' ' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, v)
	if strings.ContainsAny(v, ",;:") {
		return `"` + v + `"`
	}
	return v
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

// Text returns s as the value of a text property (RFC 5545 3.3.11, RFC 6350 3.4).
// Control characters, which no value may hold, are left out.
func Text(s string) string {
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s)
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\\' || r == ',' || r == ';':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r < ' ' && r != '\t' || r == 0x7f:
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Unescape returns the text that a text property's value stands for.
func Unescape(v string) string {
	if !strings.Contains(v, `\`) {
		return v
	}
	var b strings.Builder
	for i := 0; i < len(v); i++ {
		if v[i] == '\\' && i+1 < len(v) {
			i++
			if v[i] == 'n' || v[i] == 'N' {
				b.WriteByte('\n')
				continue
			}
		}
		b.WriteByte(v[i])
	}
	return b.String()
}

// Fields splits a structured value (N, ADR, ORG) at its semicolons, and List one
// of many values (CATEGORIES, NICKNAME) at its commas; both leave escapes alone.
func Fields(v string) []string { return split(v, ';') }

// List splits a value at its commas; see Fields.
func List(v string) []string { return split(v, ',') }

func split(v string, at byte) []string {
	var parts []string
	start := 0
	for i := 0; i < len(v); i++ {
		switch v[i] {
		case '\\':
			i++
		case at:
			parts = append(parts, v[start:i])
			start = i + 1
		}
	}
	return append(parts, v[min(start, len(v)):])
}
