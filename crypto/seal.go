package crypto

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	//lint:ignore SA1019 the repository's format is Poly1305-AES, with a one-time key for every nonce
	"golang.org/x/crypto/poly1305"
)

const (
	// NonceSize is the number of bytes before the ciphertext.
	NonceSize = 16
	// Overhead is by how many bytes sealing makes something longer.
	Overhead = NonceSize + poly1305.TagSize
)

// ErrUnauthenticated says that the bytes were sealed with another key, or are damaged.
var ErrUnauthenticated = errors.New("wrong key or damaged ciphertext")

// ErrDiffers says that sealed bytes hold another plaintext than they should.
var ErrDiffers = errors.New("another plaintext")

// errZeroNonce is the sign of bytes that were never written; no nonce that was drawn is zero.
var errZeroNonce = errors.New("open: nonce is all zero")

// nonceBatch is how many bytes of nonces are drawn at once: a system call for each would cost as much as sealing a
// small file.
const nonceBatch = 4 << 10

// scratch is what one call of Seal or Open needs and would otherwise allocate.
type scratch struct {
	once   [2 * macSize]byte // the one-time key of Poly1305
	tag    [poly1305.TagSize]byte
	nonces [nonceBatch]byte
	left   int // nonces[:left] have not been used
	piece  [verifyPiece]byte
}

func (k *Key) newScratch() *scratch {
	if k.stream == nil {
		panic("crypto: use of a key that was never set")
	}
	if s, ok := k.scratch.Get().(*scratch); ok {
		return s
	}
	return new(scratch)
}

// nonce returns 16 random bytes, not all zero.
func (s *scratch) nonce() []byte {
	for {
		if s.left == 0 {
			rand.Read(s.nonces[:]) // never fails: it ends the process instead
			s.left = len(s.nonces)
		}
		s.left -= NonceSize
		if n := s.nonces[s.left : s.left+NonceSize]; !isZero(n) {
			return n
		}
	}
}

// oneTime prepares the Poly1305 key for a nonce: r, and the nonce encrypted.
func (s *scratch) oneTime(k *Key, nonce []byte) {
	copy(s.once[:macSize], k.r[:])
	k.mac.Encrypt(s.once[macSize:], nonce)
}

// Seal appends the sealed plaintext to dst, which grows by Overhead bytes and the plaintext's length, and returns it.
// The plaintext may lie exactly where the ciphertext goes, NonceSize bytes behind the end of dst; otherwise it must not
// overlap the memory that dst has room for.
func (k *Key) Seal(dst, plaintext []byte) []byte {
	s := k.newScratch()
	defer k.scratch.Put(s)
	at := len(dst)
	dst = slices.Grow(dst, len(plaintext)+Overhead)[:at+len(plaintext)+Overhead]
	nonce := dst[at : at+NonceSize]
	ciphertext := dst[at+NonceSize : len(dst)-poly1305.TagSize]

	copy(nonce, s.nonce())
	cipher.NewCTR(k.stream, nonce).XORKeyStream(ciphertext, plaintext)
	s.oneTime(k, nonce)
	poly1305.Sum(&s.tag, ciphertext, &s.once)
	copy(dst[len(dst)-poly1305.TagSize:], s.tag[:])
	return dst
}

// Open checks what Seal has sealed, appends the plaintext to dst and returns it. Nothing is decrypted, and dst is left as
// it was, unless the MAC is right; the error is ErrUnauthenticated if it is not. To open in place give sealed[:0] as dst,
// or, which saves moving the bytes, sealed[NonceSize:NonceSize]; otherwise sealed must not overlap the memory that dst has
// room for.
func (k *Key) Open(dst, sealed []byte) ([]byte, error) {
	s := k.newScratch()
	defer k.scratch.Put(s)
	if len(sealed) < Overhead {
		return nil, fmt.Errorf("open: %d bytes, want at least %d", len(sealed), Overhead)
	}
	nonce := sealed[:NonceSize]
	ciphertext := sealed[NonceSize : len(sealed)-poly1305.TagSize]
	if isZero(nonce) {
		return nil, errZeroNonce
	}
	s.oneTime(k, nonce)
	copy(s.tag[:], sealed[len(sealed)-poly1305.TagSize:])
	if !poly1305.Verify(&s.tag, ciphertext, &s.once) {
		return nil, ErrUnauthenticated
	}
	if len(ciphertext) == 0 {
		return dst, nil
	}

	at := len(dst)
	dst = slices.Grow(dst, len(ciphertext))[:at+len(ciphertext)]
	stream := cipher.NewCTR(k.stream, nonce) // reads the nonce before the next line can overwrite it
	if &dst[at] == &sealed[0] {
		copy(dst[at:], ciphertext)
		ciphertext = dst[at:]
	}
	stream.XORKeyStream(dst[at:], ciphertext)
	return dst, nil
}

// verifyPiece is how much Verify decrypts at once: it stays in the processor's cache.
const verifyPiece = 16 << 10

// Verify returns nil when sealed opens and holds plaintext, without room for a second copy of it. The error is
// ErrUnauthenticated when it does not open, ErrDiffers when it holds something else.
func (k *Key) Verify(sealed, plaintext []byte) error {
	s := k.newScratch()
	defer k.scratch.Put(s)
	if len(sealed) < Overhead || len(sealed)-Overhead != len(plaintext) {
		return fmt.Errorf("verify: %d bytes cannot hold %d: %w", len(sealed), len(plaintext), ErrDiffers)
	}
	nonce := sealed[:NonceSize]
	ciphertext := sealed[NonceSize : len(sealed)-poly1305.TagSize]
	if isZero(nonce) {
		return errZeroNonce
	}
	s.oneTime(k, nonce)
	copy(s.tag[:], sealed[len(sealed)-poly1305.TagSize:])
	if !poly1305.Verify(&s.tag, ciphertext, &s.once) {
		return ErrUnauthenticated
	}
	stream := cipher.NewCTR(k.stream, nonce)
	for len(plaintext) > 0 {
		n := min(len(plaintext), verifyPiece)
		stream.XORKeyStream(s.piece[:n], ciphertext[:n])
		if !bytes.Equal(s.piece[:n], plaintext[:n]) {
			return ErrDiffers
		}
		plaintext, ciphertext = plaintext[n:], ciphertext[n:]
	}
	return nil
}
