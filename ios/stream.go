package ios

import (
	"crypto/aes"
	"crypto/cipher"
)

// StreamEncrypter encrypts a file that comes in pieces: AES-256-CBC, zero IV,
// PKCS#7 (docs/format.md), the form in which an encrypted backup stores it. It
// is not safe for concurrent use.
type StreamEncrypter struct {
	mode cipher.BlockMode
	rest []byte // less than a block
}

// NewStreamEncrypter starts a file.
func NewStreamEncrypter(k Key) *StreamEncrypter {
	return &StreamEncrypter{mode: newEncryption(k), rest: make([]byte, 0, aes.BlockSize)}
}

// Append appends to dst what can be encrypted of the pieces so far; the last
// piece, which may be empty, completes the file. dst and piece may not overlap.
func (e *StreamEncrypter) Append(dst, piece []byte, last bool) []byte {
	from := len(dst)
	dst = append(dst, e.rest...)
	dst = append(dst, piece...)
	whole := (len(dst) - from) / aes.BlockSize * aes.BlockSize
	if last {
		dst = appendPadding(dst, len(dst)-from)
		whole = len(dst) - from
	}
	e.rest = append(e.rest[:0], dst[from+whole:]...)
	dst = dst[:from+whole]
	e.mode.CryptBlocks(dst[from:], dst[from:])
	return dst
}
