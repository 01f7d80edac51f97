// Package jsontext reads JSON without building values, for the two large JSON
// files of a repository: indexes and trees.
//
// A [Scanner] is pulled through the text by code that knows what it expects:
//
//	var s jsontext.Scanner
//	s.Reset(data)
//	for s.Object(); s.More(); {
//		switch string(s.Key()) {
//		case "size":
//			size = s.Uint(math.MaxUint32)
//		default:
//			s.Skip()
//		}
//	}
//	err := s.End()
//
// [Scanner.ResetReader] does the same for a text that is not in memory as a whole.
//
// The first error sticks: after it every method returns a zero value and More
// returns false, so only End needs to be looked at. What is read is what
// encoding/json reads, string by string and number by number, except that keys
// are compared exactly and that nesting ends at [MaxDepth]. No input panics,
// and no error quotes the input.
package jsontext

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
)

// MaxDepth is how deep arrays and objects may nest. Neither an index nor a tree
// goes beyond five; the rest is room for attributes that belong to others.
const MaxDepth = 64

const (
	// maxToken is how many bytes of a string or number are sure to be read from a
	// Reader: ids and names of keys are far shorter.
	maxToken = 16 << 10
	window   = 8 * maxToken // how much of a Reader's text is in memory
)

// Scanner reads one JSON text. The zero value needs a Reset. It is not safe for
// concurrent use.
type Scanner struct {
	data    []byte    // the text, or a window of it
	pos     int       // of the next byte
	whole   int       // what begins before this stands in data as a whole
	src     io.Reader // of what follows data; nil if nothing does
	broken  error     // why nothing does, unless it is the end
	base    int64     // of data in the text
	buf     []byte    // of data, if it is a window
	start   int       // where the last value began
	objects uint64    // bit d is set when the container at depth d is an object
	depth   int
	fresh   bool // a container was opened and More has not been called
	plain   bool
	spaced  bool
	scratch []byte // strings that had to be unescaped
	err     error
}

// Reset makes the scanner begin at the start of data, which must not change
// while it is read.
func (s *Scanner) Reset(data []byte) {
	*s = Scanner{data: data, whole: len(data), buf: s.buf, scratch: s.scratch[:0]}
}

// ResetReader makes the scanner begin at the start of the text that src gives,
// of which it holds 128 KiB in memory at a time. What a method returns is valid
// until the next call of any. A string or number of more than 16 KiB may be an
// error, and for Raw any value of that length. An error of src counts only after
// the text before it was read.
func (s *Scanner) ResetReader(src io.Reader) {
	if s.buf == nil {
		s.buf = make([]byte, window)
	}
	*s = Scanner{data: s.buf[:0], src: src, buf: s.buf, scratch: s.scratch[:0]}
}

// fill moves the window forward, to begin at pos, and reports whether there may
// be more text in it than there was.
func (s *Scanner) fill() bool {
	if s.src == nil {
		return false
	}
	n := copy(s.buf, s.data[s.pos:])
	s.base += int64(s.pos)
	s.pos, s.whole = 0, len(s.buf)-maxToken
	for n < len(s.buf) && s.src != nil {
		more, err := s.src.Read(s.buf[n:])
		n += more
		if err == nil {
			continue
		}
		s.src, s.whole = nil, n
		if err != io.EOF {
			s.broken = err
		}
	}
	s.data = s.buf[:n]
	return true
}

// Err returns the first error, which says at which offset it was found.
func (s *Scanner) Err() error { return s.err }

// Fail records err as the scanner's error, unless there is one.
func (s *Scanner) Fail(err error) {
	if s.err == nil {
		s.err = fmt.Errorf("offset %d: %w", s.base+int64(s.pos), err)
		s.src, s.pos, s.whole = nil, len(s.data), len(s.data)
	}
}

func (s *Scanner) fail(problem string) {
	if s.broken != nil {
		s.Fail(s.broken)
		return
	}
	s.Fail(errors.New(problem))
}

// End says that one value was all that was expected: it returns the first
// error, and one if anything but white space is left.
func (s *Scanner) End() error {
	if s.err == nil {
		s.space()
		if s.pos < len(s.data) || s.depth != 0 || s.broken != nil {
			s.fail("text goes on after its value")
		}
	}
	return s.err
}

// Spaced reports whether any white space stood between the values so far.
func (s *Scanner) Spaced() bool { return s.spaced }

// Token returns the string, number or other value last read, as it stands in
// the text.
func (s *Scanner) Token() []byte { return s.data[s.start:s.pos] }

// Plain reports whether the string last read stands in the text as it is, in
// printable ASCII without a character that encoding/json escapes.
func (s *Scanner) Plain() bool { return s.plain }

// next skips white space and returns the byte that follows it, without reading
// it, or 0 at the end. After it pos is before whole, unless the text has ended.
func (s *Scanner) next() byte {
	if s.pos < s.whole && s.data[s.pos] > ' ' {
		return s.data[s.pos] // nearly always, and small enough to be inlined
	}
	return s.space()
}

// space is next where there may be white space, or the end of the window.
func (s *Scanner) space() byte {
	for {
		for ; s.pos < len(s.data); s.pos++ {
			switch c := s.data[s.pos]; c {
			case ' ', '\t', '\r', '\n':
				s.spaced = true
				continue
			default:
				if s.pos < s.whole {
					return c
				}
			}
			break
		}
		if !s.fill() {
			return 0
		}
	}
}

// Object enters an object. More must follow.
func (s *Scanner) Object() { s.enter('{', 1) }

// Array enters an array. More must follow.
func (s *Scanner) Array() { s.enter('[', 0) }

func (s *Scanner) enter(open byte, object uint64) {
	if s.next() != open {
		s.fail("expected " + string(rune(open)))
		return
	}
	if s.depth == MaxDepth {
		s.fail("nested too deep")
		return
	}
	s.objects = s.objects&^(1<<s.depth) | object<<s.depth
	s.depth++
	s.pos++
	s.fresh = true
}

// More reports whether the innermost container goes on; when it does not, it
// has been left.
func (s *Scanner) More() bool {
	if s.err != nil {
		return false
	}
	if s.depth == 0 {
		s.fail("not in a container")
		return false
	}
	end := byte(']')
	if s.objects>>(s.depth-1)&1 == 1 {
		end = '}'
	}
	fresh := s.fresh
	s.fresh = false
	switch c := s.next(); {
	case c == end:
		s.pos++
		s.depth--
		return false
	case fresh:
		return true
	case c == ',':
		s.pos++
		return true
	}
	s.fail("expected , or " + string(rune(end)))
	return false
}

// Key reads the next key of an object and the colon after it. The result is
// valid until the next call of Key or Text.
func (s *Scanner) Key() []byte {
	key := s.Text()
	if s.src != nil && s.pos >= s.whole { // next moves the window
		s.scratch = append(s.scratch[:0], key...)
		key = s.scratch
	}
	if s.next() != ':' {
		s.fail("expected :")
		return nil
	}
	s.pos++
	return key
}

// Null reads the value if it is null, and reports whether it was.
func (s *Scanner) Null() bool {
	if s.next() != 'n' {
		return false
	}
	s.literal("null")
	return s.err == nil
}

// Uint reads an integer between 0 and limit.
func (s *Scanner) Uint(limit uint64) uint64 {
	c := s.next()
	s.start = s.pos
	if c < '0' || c > '9' {
		s.fail("expected a number that is not negative")
		return 0
	}
	var n uint64
	i := s.pos
	for ; i < len(s.data) && s.data[i]-'0' <= 9; i++ {
		digit := uint64(s.data[i] - '0')
		if n > (limit-min(digit, limit))/10 {
			s.fail("number too large")
			return 0
		}
		n = n*10 + digit
	}
	if n > limit || (c == '0' && i > s.pos+1) {
		s.fail("number too large, or with a leading zero")
		return 0
	}
	s.pos = i
	return n
}

// Hex reads a string of exactly 2*len(dst) lower-case hexadecimal digits into
// dst.
func (s *Scanner) Hex(dst []byte) {
	c := s.next()
	s.start = s.pos
	n := 2 * len(dst)
	if c != '"' || len(s.data)-s.pos < n+2 || s.data[s.pos+n+1] != '"' {
		s.fail("expected a string of hexadecimal digits")
		return
	}
	digits := s.data[s.pos+1 : s.pos+n+1]
	for i := range dst {
		high, low := hexValue[digits[2*i]], hexValue[digits[2*i+1]]
		if high == 0 || low == 0 {
			s.fail("expected hexadecimal digits")
			return
		}
		dst[i] = (high-1)<<4 | (low - 1)
	}
	s.pos += n + 2
}

// Base64 reads a string in standard base64 with padding. The result is never
// nil unless there was an error.
func (s *Scanner) Base64() []byte {
	text := s.Text()
	if s.err != nil {
		return nil
	}
	value := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(value, text)
	if err != nil {
		s.fail("invalid base64")
		return nil
	}
	return value[:n]
}

// Raw reads any value and returns it as it stands in the text.
func (s *Scanner) Raw() []byte {
	s.next()
	start := s.base + int64(s.pos)
	s.Skip()
	if start < s.base {
		s.fail("value too long")
	}
	if s.err != nil {
		return nil
	}
	s.start = int(start - s.base)
	return s.data[s.start:s.pos]
}

// Skip reads any value.
func (s *Scanner) Skip() {
	switch s.next() {
	case '{':
		for s.Object(); s.More(); {
			s.Key()
			s.Skip()
		}
	case '[':
		for s.Array(); s.More(); {
			s.Skip()
		}
	case '"':
		s.Text()
	case 't':
		s.literal("true")
	case 'f':
		s.literal("false")
	case 'n':
		s.literal("null")
	default:
		s.number()
	}
}

func (s *Scanner) literal(word string) {
	s.start = s.pos
	if len(s.data)-s.pos < len(word) || string(s.data[s.pos:s.pos+len(word)]) != word {
		s.fail("expected a value")
		return
	}
	s.pos += len(word)
}

// number reads a number in the grammar of RFC 8259, section 6.
func (s *Scanner) number() {
	s.start = s.pos
	s.accept("-")
	if !s.accept("0") && !s.digits() {
		s.fail("expected a value")
		return
	}
	if s.accept(".") && !s.digits() {
		s.fail("expected a digit")
		return
	}
	if s.accept("eE") {
		s.accept("+-")
		if !s.digits() {
			s.fail("expected a digit")
		}
	}
}

func (s *Scanner) accept(any string) bool {
	for i := range len(any) {
		if s.pos < len(s.data) && s.data[s.pos] == any[i] {
			s.pos++
			return true
		}
	}
	return false
}

func (s *Scanner) digits() bool {
	from := s.pos
	for s.pos < len(s.data) && s.data[s.pos]-'0' <= 9 {
		s.pos++
	}
	return s.pos > from
}

// hexValue holds one more than the value of each lower-case hexadecimal digit.
var hexValue = [256]uint8{
	'0': 1, '1': 2, '2': 3, '3': 4, '4': 5, '5': 6, '6': 7, '7': 8,
	'8': 9, '9': 10, 'a': 11, 'b': 12, 'c': 13, 'd': 14, 'e': 15, 'f': 16,
}
