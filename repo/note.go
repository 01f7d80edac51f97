package repo

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// noteTag begins the tag that holds what a person noted about a snapshot. In it
// %, the comma, at which restic splits tags, control characters, and bytes that
// are no UTF-8 are percent-encoded.
const noteTag = "note="

// Note is what a person noted about the snapshot; empty if nothing.
func (s *Snapshot) Note() string {
	for _, tag := range s.Tags {
		if text, ok := strings.CutPrefix(tag, noteTag); ok {
			return decodeNote(text)
		}
	}
	return ""
}

// WithNote returns tags with the given note and no other. An empty one is none.
func WithNote(tags []string, note string) []string {
	tags = slices.DeleteFunc(slices.Clone(tags), IsNote)
	if note != "" {
		tags = append(tags, noteTag+encodeNote(note))
	}
	return tags
}

// IsNote tells tags that hold a note.
func IsNote(tag string) bool { return strings.HasPrefix(tag, noteTag) }

func encodeNote(text string) string {
	var b strings.Builder
	for i, r := range text {
		_, n := utf8.DecodeRuneInString(text[i:])
		if r != '%' && r != ',' && !unicode.IsControl(r) && (r != utf8.RuneError || n > 1) {
			b.WriteRune(r)
			continue
		}
		for _, c := range []byte(text[i : i+n]) {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// decodeNote leaves a % that begins no code as it is: others write tags too.
func decodeNote(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			if c, err := strconv.ParseUint(text[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(c))
				i += 2
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}
