package vobject

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrSyntax is in errors of Parse about data that is no vCard or iCalendar object.
var ErrSyntax = errors.New("not content lines")

// Parse reads the objects in data, which share no memory with it. It takes lines
// that end in LF alone, folds anywhere, and the bare parameters of vCard 2.1.
// Errors name the number of the line, never what stands in it.
func Parse(data []byte) ([]*Component, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("read objects: %w: %d bytes are more than %d", ErrSyntax, len(data), MaxSize)
	}
	var done, open []*Component
	rest := bytes.TrimPrefix(bytes.Clone(data), []byte("\xef\xbb\xbf"))
	for number := 1; len(rest) > 0; number++ {
		if number > maxLines {
			return nil, fmt.Errorf("read objects: %w: more than %d lines", ErrSyntax, maxLines)
		}
		var raw []byte
		raw, rest = cutLine(rest)
		text := unfold(raw)
		if text == "" {
			continue
		}
		line, err := parseLine(text)
		if err != nil {
			return nil, fmt.Errorf("read content line %d: %w", number, err)
		}
		line.raw = raw
		switch name := strings.ToUpper(strings.TrimSpace(line.Value)); {
		case line.Name == "BEGIN" && len(open) < maxDepth:
			c := &Component{Name: name, begin: raw}
			if len(open) > 0 {
				top := open[len(open)-1]
				top.Parts, top.after = append(top.Parts, c), append(top.after, len(top.Lines))
			} else {
				done = append(done, c)
			}
			open = append(open, c)
		case line.Name == "END" && len(open) > 0 && open[len(open)-1].Name == name:
			open[len(open)-1].end = raw
			open = open[:len(open)-1]
		case line.Name == "BEGIN" || line.Name == "END" || len(open) == 0:
			return nil, fmt.Errorf("read content line %d: %w: components do not lie in each other", number, ErrSyntax)
		default:
			top := open[len(open)-1]
			top.Lines = append(top.Lines, line)
		}
	}
	if len(open) > 0 {
		return nil, fmt.Errorf("read objects: %w: %d components have no end", ErrSyntax, len(open))
	}
	return done, nil
}

// cutLine returns the first content line of data with its folds and its end.
func cutLine(data []byte) (line, rest []byte) {
	for i := 0; ; {
		n := bytes.IndexByte(data[i:], '\n')
		if n < 0 {
			return data, nil
		}
		i += n + 1
		if i == len(data) || data[i] != ' ' && data[i] != '\t' {
			return data[:i:i], data[i:]
		}
	}
}

// unfold returns a content line without folds and line end.
func unfold(raw []byte) string {
	var b strings.Builder
	b.Grow(len(raw))
	for i := 0; len(raw) > 0; i++ {
		var part []byte
		if n := bytes.IndexByte(raw, '\n'); n >= 0 {
			part, raw = raw[:n], raw[n+1:]
		} else {
			part, raw = raw, nil
		}
		part = bytes.TrimSuffix(part, []byte("\r"))
		if i > 0 && len(part) > 0 {
			part = part[1:]
		}
		b.Write(part)
	}
	return b.String()
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
		l.Group, name = group, rest
	}
	if !validName(name) || l.Group != "" && !validName(l.Group) {
		return Line{}, fmt.Errorf("%w: no property's name", ErrSyntax)
	}
	l.Name = strings.ToUpper(name)
	for s[i] == ';' {
		var p Param
		var ok bool
		if p, i, ok = parseParam(s, i+1); !ok {
			return Line{}, fmt.Errorf("%w: a parameter without end", ErrSyntax)
		}
		l.Params = append(l.Params, p)
	}
	l.Value = s[i+1:]
	return l, nil
}

// parseParam reads the parameter that begins at i, and returns where the next
// separator is.
func parseParam(s string, i int) (Param, int, bool) {
	start := i
	for i < len(s) && !strings.ContainsRune("=;:", rune(s[i])) {
		i++
	}
	if i == len(s) {
		return Param{}, 0, false
	}
	name := strings.ToUpper(s[start:i])
	if s[i] != '=' { // as in TEL;HOME:
		return Param{Name: "TYPE", Values: []string{s[start:i]}}, i, true
	}
	p := Param{Name: name}
	for {
		i++
		start = i
		if i < len(s) && s[i] == '"' {
			n := strings.IndexByte(s[i+1:], '"')
			if n < 0 {
				return Param{}, 0, false
			}
			p.Values = append(p.Values, s[i+1:i+1+n])
			i += n + 2
		} else {
			for i < len(s) && !strings.ContainsRune(",;:", rune(s[i])) {
				i++
			}
			p.Values = append(p.Values, s[start:i])
		}
		if i >= len(s) {
			return Param{}, 0, false
		}
		if s[i] != ',' {
			return p, i, s[i] == ';' || s[i] == ':'
		}
	}
}

func validName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r == '-' || r == '_' || '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z')
	})
}

// Get returns the first line of that name in c itself.
func (c *Component) Get(name string) (Line, bool) {
	i := slices.IndexFunc(c.Lines, func(l Line) bool { return l.Name == name })
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
		if l.Name == name {
			found = append(found, l)
		}
	}
	return found
}
