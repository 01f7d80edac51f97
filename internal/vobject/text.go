package vobject

import (
	"io"
	"mime/quotedprintable"
	"strings"
	"unicode/utf8"
)

// Text returns s as the value of a text property (RFC 5545 3.3.11, RFC 6350 3.4).
// Control characters, which no value may hold, are left out.
func Text(s string) string {
	var b strings.Builder
	for _, r := range lineEnds(s) {
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

// joinList is the opposite of List. A backslash that nothing follows would take the
// comma for itself: it is escaped.
func joinList(values ...string) string {
	var b strings.Builder
	for i, v := range values {
		b.WriteString(v)
		if i == len(values)-1 {
			break
		}
		if (len(v)-len(strings.TrimRight(v, `\`)))%2 == 1 {
			b.WriteByte('\\')
		}
		b.WriteByte(',')
	}
	return b.String()
}

// lineEnds returns s with line ends of one kind, LF.
func lineEnds(s string) string {
	if !strings.Contains(s, "\r") {
		return s
	}
	return strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s)
}

// unescapeParam takes the quotes off a parameter's value and undoes RFC 6868.
func unescapeParam(v string) string {
	v = strings.ReplaceAll(v, `"`, "")
	if !strings.Contains(v, "^") {
		return v
	}
	return strings.NewReplacer("^n", "\n", "^'", `"`, "^^", "^").Replace(v)
}

// escapeParam returns v as a parameter's value is written; control characters,
// which cannot stand in one, are left out.
func escapeParam(v string) string {
	if v = lineEnds(v); strings.ContainsAny(v, "\n\"^") {
		v = strings.NewReplacer("\n", "^n", `"`, "^'", "^", "^^").Replace(v)
	}
	v = printable(v)
	if strings.ContainsAny(v, ",;:") {
		return `"` + v + `"`
	}
	return v
}

// printable returns s without the control characters that no line may hold.
func printable(s string) string { return strings.ReplaceAll(withoutControls(s), "\n", "") }

// withoutControls returns s without the control characters that no text may hold:
// all but tab and LF.
func withoutControls(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}

// The names of an encoding of values, and of its parameter.
const (
	encoding        = "ENCODING"
	quotedPrintable = "QUOTED-PRINTABLE"
)

// decode returns a value, or a part of one, without the encoding and the character
// set of vCard 2.1. What cannot be decoded stays as it is.
func (l Line) decode(v string) string {
	if strings.EqualFold(l.Param(encoding), quotedPrintable) {
		if text, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(v))); err == nil {
			v = string(text)
		}
	}
	if utf8.ValidString(v) {
		return v
	}
	switch strings.ToUpper(l.Param("CHARSET")) {
	case "ISO-8859-1", "LATIN1", "WINDOWS-1252":
		runes := make([]rune, 0, len(v))
		for i := range len(v) {
			runes = append(runes, rune(v[i]))
		}
		v = string(runes)
	}
	return v
}
