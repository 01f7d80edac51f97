package chunk

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// ID is the SHA-256 of some bytes, and their name.
type ID [sha256.Size]byte

// Sum returns the ID of data.
func Sum(data []byte) ID { return sha256.Sum256(data) }

// ParseID reads the text form of an ID: exactly 64 lower-case hexadecimal digits. Upper case is refused because names of
// files are compared as text, and one ID must not have two of them.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != hex.EncodedLen(len(id)) {
		return ID{}, fmt.Errorf("parse ID: %d characters, want %d", len(s), hex.EncodedLen(len(id)))
	}
	for i := range id {
		hi, lo := nibble(s[2*i]), nibble(s[2*i+1])
		if hi|lo > 0xf {
			return ID{}, fmt.Errorf("parse ID: not lower-case hexadecimal at character %d", 2*i)
		}
		id[i] = hi<<4 | lo
	}
	return id, nil
}

// nibble returns the value of a lower-case hexadecimal digit, and 0xff for every other character.
func nibble(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}

// String returns the 64 lower-case hexadecimal digits of the ID.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether the ID is the zero value, which is the name of nothing.
func (id ID) IsZero() bool { return id == ID{} }

// Compare orders IDs as their bytes, which is also the order of their text forms.
func (id ID) Compare(other ID) int { return bytes.Compare(id[:], other[:]) }

// AppendHex appends the text form of the ID to dst.
func (id ID) AppendHex(dst []byte) []byte { return hex.AppendEncode(dst, id[:]) }

// MarshalText returns the text form of the ID.
func (id ID) MarshalText() ([]byte, error) { return id.AppendHex(nil), nil }

// UnmarshalText reads what ParseID reads.
func (id *ID) UnmarshalText(text []byte) error {
	parsed, err := ParseID(string(text))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}
