package plist

import (
	"bytes"
	"errors"
	"fmt"
)

var (
	errXML      = errors.New("malformed XML")
	errEncoding = errors.New("XML is not in UTF-8")
	errSubset   = errors.New("XML declares entities")
)

// elements are the names that a property list may begin with.
var elements = map[string]bool{
	"plist": true, "dict": true, "array": true, "string": true, "data": true, "date": true,
	"integer": true, "real": true, "true": true, "false": true,
}

// checkXML counts the elements of an XML property list and how deep they are nested, before a parser recurses into
// them. It returns the document from its first element on. It sees elements exactly where encoding/xml sees them, and
// leaves all else about their syntax to that.
func checkXML(data []byte) ([]byte, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	rest, err := skipProlog(data)
	if err != nil {
		return nil, err
	}
	name := rest[1:]
	if n := bytes.IndexAny(name, " \t\r\n/>"); n >= 0 {
		name = name[:n]
	}
	if !elements[string(name)] {
		return nil, errUnknown
	}
	doc, depth, count := rest, 0, 0
	for {
		i := bytes.IndexByte(rest, '<')
		if i < 0 {
			return doc, nil // unterminated: the parser says so
		}
		step, n, err := tag(rest[i:])
		if err != nil {
			return nil, err
		}
		rest = rest[i+n:]
		depth += step.depth
		count += step.count
		switch {
		case depth > maxDepth:
			return nil, errDepth
		case count > 2*maxValues: // keys are elements, too
			return nil, errValues
		case depth == 0 && count == 1 && string(name) == "plist":
			return nil, errUnknown // there is no value in it
		case depth == 0:
			return doc, nil // the parser reads no further
		}
	}
}

// skipProlog returns what follows the declaration, the document type and comments: text that starts with an element.
func skipProlog(data []byte) ([]byte, error) {
	for {
		data = bytes.TrimLeft(data, " \t\r\n")
		switch {
		case len(data) < 2 || data[0] != '<':
			return nil, errUnknown
		case data[1] != '?' && data[1] != '!':
			return data, nil
		}
		_, n, err := tag(data)
		if err != nil {
			return nil, err
		}
		if data[1] == '?' && !inUTF8(data[:n]) {
			return nil, errEncoding
		}
		data = data[n:]
	}
}

// inUTF8 reports whether an XML declaration names UTF-8 or nothing.
func inUTF8(decl []byte) bool {
	_, enc, ok := bytes.Cut(bytes.ToLower(decl), []byte("encoding"))
	enc = bytes.TrimLeft(enc, " \t\r\n=\"'")
	return !ok || bytes.HasPrefix(enc, []byte("utf-8"))
}

// step is what a tag changes.
type step struct{ depth, count int }

// tag measures the markup that data, whose first byte is '<', begins with.
func tag(data []byte) (s step, n int, err error) {
	switch {
	case bytes.HasPrefix(data, []byte("<!--")):
		n, err = through(data, 4, "-->")
	case bytes.HasPrefix(data, []byte("<![CDATA[")):
		n, err = through(data, 9, "]]>")
	case bytes.HasPrefix(data, []byte("<?")):
		n, err = through(data, 2, "?>")
	case bytes.HasPrefix(data, []byte("<!")):
		n, err = tagEnd(data)
		if err == nil && bytes.IndexByte(data[:n], '[') >= 0 {
			err = errSubset
		}
	case bytes.HasPrefix(data, []byte("</")):
		n, err = tagEnd(data)
		s.depth = -1
	default:
		n, err = tagEnd(data)
		s.count = 1
		if err == nil && data[n-2] != '/' {
			s.depth = 1
		}
	}
	return s, n, err
}

// through returns the length of data up to the end of the mark, which may begin at from.
func through(data []byte, from int, mark string) (int, error) {
	i := bytes.Index(data[from:], []byte(mark))
	if i < 0 {
		return 0, fmt.Errorf("%w: no %q", errXML, mark)
	}
	return from + i + len(mark), nil
}

// tagEnd returns the length of a tag: up to the first '>' that is not in quotes.
func tagEnd(data []byte) (int, error) {
	quote := byte(0)
	for i, c := range data[1:] {
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '<':
			return 0, errXML
		case c == '>':
			return i + 2, nil
		}
	}
	return 0, errXML
}
