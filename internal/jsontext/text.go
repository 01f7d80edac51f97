package jsontext

import (
	"unicode/utf16"
	"unicode/utf8"
)

// plain tells the bytes that stand for themselves in a JSON string and that
// encoding/json leaves alone: printable ASCII without " \ < > and &.
var plain = [256]bool{
	' ': true, '!': true, '#': true, '$': true, '%': true, '\'': true, '(': true, ')': true, '*': true, '+': true,
	',': true, '-': true, '.': true, '/': true, '0': true, '1': true, '2': true, '3': true, '4': true, '5': true,
	'6': true, '7': true, '8': true, '9': true, ':': true, ';': true, '=': true, '?': true, '@': true, 'A': true,
	'B': true, 'C': true, 'D': true, 'E': true, 'F': true, 'G': true, 'H': true, 'I': true, 'J': true, 'K': true,
	'L': true, 'M': true, 'N': true, 'O': true, 'P': true, 'Q': true, 'R': true, 'S': true, 'T': true, 'U': true,
	'V': true, 'W': true, 'X': true, 'Y': true, 'Z': true, '[': true, ']': true, '^': true, '_': true, '`': true,
	'a': true, 'b': true, 'c': true, 'd': true, 'e': true, 'f': true, 'g': true, 'h': true, 'i': true, 'j': true,
	'k': true, 'l': true, 'm': true, 'n': true, 'o': true, 'p': true, 'q': true, 'r': true, 's': true, 't': true,
	'u': true, 'v': true, 'w': true, 'x': true, 'y': true, 'z': true, '{': true, '|': true, '}': true, '~': true,
}

// PlainLen returns how many bytes at the start of s are printable ASCII that
// encoding/json writes as it stands.
func PlainLen(s string) int {
	for i := range len(s) {
		if !plain[s[i]] {
			return i
		}
	}
	return len(s)
}

// Text reads a string and returns it decoded, with U+FFFD where the text holds
// invalid UTF-8 or half a surrogate pair. The result is valid until the next
// call of Key or Text.
func (s *Scanner) Text() []byte {
	if s.next() != '"' {
		s.fail("expected a string")
		return nil
	}
	s.start = s.pos
	data := s.data
	i := s.pos + 1
	for i < len(data) && plain[data[i]] {
		i++
	}
	if i < len(data) && data[i] == '"' {
		s.plain = true
		s.pos = i + 1
		return data[s.start+1 : i]
	}
	s.plain = false
	return s.unquote(i)
}

// unquote goes on with a string that is plain before offset i.
func (s *Scanner) unquote(i int) []byte {
	out := append(s.scratch[:0], s.data[s.start+1:i]...)
	for i < len(s.data) {
		switch c := s.data[i]; {
		case c == '"':
			s.scratch = out
			s.pos = i + 1
			return out
		case c == '\\':
			var n int
			if out, n = unescape(out, s.data[i:]); n == 0 {
				s.fail("invalid escape in a string")
				return nil
			}
			i += n
		case c < ' ':
			s.fail("control character in a string")
			return nil
		case c < utf8.RuneSelf:
			out = append(out, c)
			i++
		default:
			r, n := utf8.DecodeRune(s.data[i:])
			out = utf8.AppendRune(out, r)
			i += n
		}
	}
	s.fail("string without an end")
	return nil
}

// unescape appends what the escape at the start of text stands for, and returns
// the length of that escape, 0 if it is none.
func unescape(dst, text []byte) ([]byte, int) {
	if len(text) < 2 {
		return dst, 0
	}
	switch text[1] {
	case '"', '\\', '/':
		return append(dst, text[1]), 2
	case 'b':
		return append(dst, '\b'), 2
	case 'f':
		return append(dst, '\f'), 2
	case 'n':
		return append(dst, '\n'), 2
	case 'r':
		return append(dst, '\r'), 2
	case 't':
		return append(dst, '\t'), 2
	}
	r := codeUnit(text)
	if r < 0 {
		return dst, 0
	}
	if utf16.IsSurrogate(r) {
		if pair := utf16.DecodeRune(r, codeUnit(text[6:])); pair != utf8.RuneError {
			return utf8.AppendRune(dst, pair), 12
		}
		r = utf8.RuneError
	}
	return utf8.AppendRune(dst, r), 6
}

// codeUnit returns the value of the \uXXXX at the start of text, -1 if there is
// none.
func codeUnit(text []byte) rune {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return -1
	}
	var r rune
	for _, c := range text[2:6] {
		if c >= 'A' && c <= 'F' {
			c += 'a' - 'A'
		}
		value := hexValue[c]
		if value == 0 {
			return -1
		}
		r = r<<4 | rune(value-1)
	}
	return r
}

// AppendString appends value as a JSON string, byte for byte as json.Marshal
// writes it.
func AppendString(dst []byte, value string) []byte {
	dst = append(dst, '"')
	for {
		n := PlainLen(value)
		dst = append(dst, value[:n]...)
		value = value[n:]
		if value == "" {
			return append(dst, '"')
		}
		r, size := utf8.DecodeRuneInString(value)
		dst = appendRune(dst, r, size)
		value = value[size:]
	}
}

// appendRune appends a character that may need an escape; size is how many
// bytes it had, 1 with utf8.RuneError for a byte that is no UTF-8.
func appendRune(dst []byte, r rune, size int) []byte {
	switch r {
	case '"', '\\':
		return append(dst, '\\', byte(r))
	case '\b':
		return append(dst, `\b`...)
	case '\f':
		return append(dst, `\f`...)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	case '\u2028', '\u2029':
		// Not allowed in JavaScript before 2019, so encoding/json escapes them.
		return append(dst, '\\', 'u', '2', '0', '2', hexDigits[r&15])
	case utf8.RuneError:
		if size == 1 {
			return append(dst, `\ufffd`...)
		}
	case '<', '>', '&':
		return append(dst, '\\', 'u', '0', '0', hexDigits[r>>4], hexDigits[r&15])
	}
	if r < ' ' {
		return append(dst, '\\', 'u', '0', '0', hexDigits[r>>4], hexDigits[r&15])
	}
	return utf8.AppendRune(dst, r)
}

const hexDigits = "0123456789abcdef"
