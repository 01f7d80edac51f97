package vobject

import (
	"errors"
	"fmt"
	"strings"
)

// ErrSyntax is in errors of Parse about data that is no vCard or iCalendar object.
var ErrSyntax = errors.New("not content lines")

// Parse reads the objects in data, which share no memory with it. It takes lines
// that end in LF alone, folds anywhere, empty lines, and of vCard 2.1 the bare
// parameters and the soft line breaks of quoted-printable. Text outside of objects
// is refused. Together the objects' Bytes are data again, but for a byte order mark
// and for a missing end of the last line, which is added.
//
// Errors name the number of the line, never what stands in it.
func Parse(data []byte) ([]*Component, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("read objects: %w: %d bytes are more than %d", ErrSyntax, len(data), MaxSize)
	}
	p := parser{rest: strings.TrimPrefix(string(data), "\xef\xbb\xbf")}
	p.lead, p.rest = cutEmpty(p.rest)
	for number := 1; p.rest != ""; number++ {
		if number+p.values > maxLines {
			return nil, fmt.Errorf("read objects: %w: more than %d lines and values of lists", ErrSyntax, maxLines)
		}
		line, err := p.line()
		if err == nil {
			err = p.put(line)
		}
		if err != nil {
			return nil, fmt.Errorf("read content line %d: %w", number, err)
		}
	}
	if len(p.open) > 0 {
		return nil, fmt.Errorf("read objects: %w: %d components have no end", ErrSyntax, len(p.open))
	}
	return p.done, nil
}

// parser is a text on its way to components.
type parser struct {
	rest string
	lead string       // empty lines before the first object
	done []*Component // objects that are complete, and the one that is open
	open []*Component // from the object down to where the next line belongs

	values int // of lists, beyond the first of each
}

// put takes a line where it belongs.
func (p *parser) put(line Line) error {
	frame := strings.ToUpper(strings.TrimSpace(line.Value))
	var top *Component
	if len(p.open) > 0 {
		top = p.open[len(p.open)-1]
	}
	switch {
	case line.Name == "BEGIN" && len(p.open) < maxDepth && validName(frame):
		c := &Component{Name: frame, begin: p.lead + line.raw}
		p.lead = ""
		if top != nil {
			top.AddPart(c)
		} else {
			p.done = append(p.done, c)
		}
		p.open = append(p.open, c)
	case line.Name == "END" && top != nil && top.Name == frame:
		top.end = line.raw
		p.open = p.open[:len(p.open)-1]
	case line.Name == "BEGIN" || line.Name == "END":
		return fmt.Errorf("%w: components do not lie in each other", ErrSyntax)
	case top == nil:
		return fmt.Errorf("%w: text outside of objects", ErrSyntax)
	default:
		if lists[line.Name] {
			p.values += strings.Count(line.Value, ",")
		}
		if top.Lines == nil {
			top.Lines = make([]Line, 0, 8)
		}
		top.Lines = append(top.Lines, line)
	}
	return nil
}

// line reads the next content line, and the empty ones after it.
func (p *parser) line() (Line, error) {
	all := p.rest
	raw, rest := cutLine(all)
	l, err := parseLine(unfold(raw))
	if err == nil && strings.EqualFold(l.Param("ENCODING"), quotedPrintable) {
		var text string
		text, rest = unfoldQuoted(all)
		l, err = parseLine(text)
	}
	if err != nil {
		return Line{}, err
	}
	_, p.rest = cutEmpty(rest)
	l.raw = all[:len(all)-len(p.rest)]
	return l, nil
}

// cutLine returns the first content line of s with its folds and its end.
func cutLine(s string) (line, rest string) {
	for i := 0; ; {
		n := strings.IndexByte(s[i:], '\n')
		if n < 0 {
			return s, ""
		}
		i += n + 1
		if i == len(s) || !blank(s[i]) {
			return s[:i], s[i:]
		}
	}
}

// cutEmpty cuts off the empty lines that s begins with.
func cutEmpty(s string) (empty, rest string) {
	i := 0
	for {
		switch {
		case strings.HasPrefix(s[i:], "\n"):
			i++
		case strings.HasPrefix(s[i:], "\r\n"):
			i += 2
		default:
			return s[:i], s[i:]
		}
	}
}

// cutPhysical returns what stands before the first line end of s, and after it.
func cutPhysical(s string) (line, rest string) {
	line, rest, ended := strings.Cut(s, "\n")
	if ended {
		line = strings.TrimSuffix(line, "\r")
	}
	return line, rest
}

func blank(b byte) bool { return b == ' ' || b == '\t' }

// unfold returns a content line without folds and line end.
func unfold(raw string) string {
	part, rest := cutPhysical(raw)
	if rest == "" {
		return part
	}
	var b strings.Builder
	b.Grow(len(raw))
	b.WriteString(part)
	for rest != "" {
		part, rest = cutPhysical(rest)
		b.WriteString(part[1:]) // the blank that makes it a fold
	}
	return b.String()
}

// unfoldQuoted is cutLine and unfold for quoted-printable: a line that ends in "="
// goes on, whatever the next one begins with (RFC 2045 6.7, in vCard 2.1).
func unfoldQuoted(s string) (text, rest string) {
	part, rest := cutPhysical(s)
	var b strings.Builder
	for {
		text, soft := strings.CutSuffix(part, "=")
		b.WriteString(text)
		if rest == "" || !soft && !blank(rest[0]) {
			return b.String(), rest
		}
		part, rest = cutPhysical(rest)
		if !soft {
			part = part[1:]
		}
	}
}

// parseLine reads an unfolded line.
func parseLine(s string) (Line, error) {
	i := strings.IndexAny(s, ";:")
	if i <= 0 {
		return Line{}, fmt.Errorf("%w: no name and colon", ErrSyntax)
	}
	var l Line
	name := s[:i]
	if group, rest, ok := strings.Cut(name, "."); ok {
		if !validName(group) {
			return Line{}, fmt.Errorf("%w: no group's name", ErrSyntax)
		}
		l.Group, name = group, rest
	}
	if !validName(name) {
		return Line{}, fmt.Errorf("%w: no property's name", ErrSyntax)
	}
	l.Name = strings.ToUpper(name)
	for count := 0; s[i] == ';'; {
		p, next, ok := parseParam(s, i+1)
		if count += len(p.Values); !ok || count > maxParams {
			return Line{}, fmt.Errorf("%w: parameters without end", ErrSyntax)
		}
		i = next
		l.Params = append(l.Params, p)
	}
	l.Value = s[i+1:]
	return l, nil
}

// bareEncodings are the bare parameters of vCard 2.1 that are no types.
const bareEncodings = " " + quotedPrintable + " BASE64 7BIT 8BIT "

// parseParam reads the parameter that begins at i, and returns where the next
// separator is: ";" or ":".
func parseParam(s string, i int) (Param, int, bool) {
	n := strings.IndexAny(s[i:], "=;:")
	if n < 0 {
		return Param{}, 0, false
	}
	name := s[i : i+n]
	i += n
	if s[i] != '=' { // as in TEL;HOME:
		p := Param{Name: "TYPE", Values: []string{name}}
		if oneOf(bareEncodings, strings.ToUpper(name)) {
			p.Name = encoding
		}
		return p, i, true
	}
	p := Param{Name: strings.ToUpper(strings.TrimSpace(name))}
	for len(p.Values) <= maxParams {
		var v string
		if v, i = paramValue(s, i+1); i == len(s) {
			return Param{}, 0, false
		}
		p.Values = append(p.Values, v)
		if s[i] != ',' {
			return p, i, true
		}
	}
	return Param{}, 0, false
}

// paramValue reads the value of a parameter from start to the next ",", ";" or ":"
// outside of quotes, or to the end. A quote that is never closed is a character.
func paramValue(s string, start int) (v string, end int) {
	end = start
	for end < len(s) {
		switch s[end] {
		case ',', ';', ':':
			return unescapeParam(s[start:end]), end
		case '"':
			if n := strings.IndexByte(s[end+1:], '"'); n >= 0 {
				end += n + 1
			}
		}
		end++
	}
	return "", end
}

func validName(s string) bool {
	for i := range len(s) {
		if !nameByte(s[i]) {
			return false
		}
	}
	return s != ""
}

func nameByte(b byte) bool {
	return b == '-' || b == '_' || '0' <= b && b <= '9' || 'A' <= b && b <= 'Z' || 'a' <= b && b <= 'z'
}
