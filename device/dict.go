package device

import (
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

// dict is a dictionary that a stranger sent. What is missing, of another type
// or too long reads as nothing.
type dict map[string]any

// maxText bounds, in bytes, the strings that are taken from answers. File
// names have 255, names of devices 63.
const maxText = 1024

func (d dict) text(key string) string {
	s, _ := d[key].(string)
	if len(s) > maxText || !utf8.ValidString(s) {
		return ""
	}
	return s
}

// line is a text for people: without control characters, in one line.
func (d dict) line(key string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp) {
			return -1
		}
		return r
	}, d.text(key)))
}

func (d dict) number(key string) (int64, bool) {
	switch n := d[key].(type) {
	case int64:
		return n, true
	case uint64:
		return int64(n), n <= math.MaxInt64
	}
	return 0, false
}

// yes is a flag: true, or a number that is not 0.
func (d dict) yes(key string) bool {
	b, _ := d[key].(bool)
	n, _ := d.number(key)
	return b || n != 0
}

func (d dict) data(key string) []byte {
	b, _ := d[key].([]byte)
	return b
}

func (d dict) dict(key string) dict {
	m, _ := d[key].(map[string]any)
	return m
}

func (d dict) list(key string) []any {
	l, _ := d[key].([]any)
	return l
}
