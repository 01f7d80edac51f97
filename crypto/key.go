package crypto

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
)

const (
	encryptSize = 32 // AES-256
	macSize     = 16 // each of the two halves of a Poly1305-AES key
)

// Key is a key to seal and to open with: a repository's master key, or one that was derived from a password. It may be
// used by several goroutines at once, except for UnmarshalJSON, and must not be copied. The zero value seals nothing:
// Seal and Open panic, MarshalJSON returns an error.
type Key struct {
	encrypt [encryptSize]byte
	k       [macSize]byte // the AES-128 key of Poly1305-AES
	r       [macSize]byte // its other half; kept as drawn, clamped only when it is used, as restic does

	stream  cipher.Block // of encrypt
	mac     cipher.Block // of k
	scratch sync.Pool    // *scratch
}

// NewKey draws a random key.
func NewKey() *Key {
	for {
		var raw [keySize]byte
		rand.Read(raw[:]) // never fails: it ends the process instead
		if k, err := newKey(raw[:]); err == nil {
			return k
		}
	}
}

// keySize is the length of the parts of a key together.
const keySize = encryptSize + 2*macSize

// errZeroKey is what a file full of zeros would make of a key.
var errZeroKey = errors.New("key has a part that is all zero")

// newKey makes a key of its parts in the order in which scrypt yields them: encrypt, k, r.
func newKey(raw []byte) (*Key, error) {
	k := new(Key)
	if err := k.set(raw[:encryptSize], raw[encryptSize:encryptSize+macSize], raw[encryptSize+macSize:]); err != nil {
		return nil, err
	}
	return k, nil
}

// set gives the key its parts, all or none of them.
func (k *Key) set(encrypt, mk, mr []byte) error {
	if len(encrypt) != encryptSize || len(mk) != macSize || len(mr) != macSize {
		return fmt.Errorf("key has parts of %d, %d and %d bytes, want %d, %d and %d",
			len(encrypt), len(mk), len(mr), encryptSize, macSize, macSize)
	}
	if isZero(encrypt) || isZero(mk) || isZero(mr) {
		return errZeroKey
	}
	stream, err := aes.NewCipher(encrypt)
	if err != nil {
		return fmt.Errorf("expand key: %w", err)
	}
	mac, err := aes.NewCipher(mk)
	if err != nil {
		return fmt.Errorf("expand key: %w", err)
	}
	copy(k.encrypt[:], encrypt)
	copy(k.k[:], mk)
	copy(k.r[:], mr)
	k.stream, k.mac = stream, mac
	return nil
}

// isZero reports whether all bytes of b are zero.
func isZero(b []byte) bool {
	var or byte
	for _, c := range b {
		or |= c
	}
	return or == 0
}

// keyJSON is a key as restic's key files hold it, in this order of fields.
type keyJSON struct {
	MAC struct {
		K []byte `json:"k"`
		R []byte `json:"r"`
	} `json:"mac"`
	Encrypt []byte `json:"encrypt"`
}

// MarshalJSON returns the secret parts of the key in plain. Only sealed do they belong into a file.
func (k *Key) MarshalJSON() ([]byte, error) {
	if k.stream == nil {
		return nil, errZeroKey
	}
	var v keyJSON
	v.MAC.K, v.MAC.R, v.Encrypt = k.k[:], k.r[:], k.encrypt[:]
	return json.Marshal(v)
}

// UnmarshalJSON reads what MarshalJSON wrote, and refuses keys of other lengths and keys with a part that is all zero.
// Its errors tell nothing about the content.
func (k *Key) UnmarshalJSON(data []byte) error {
	var v keyJSON
	if err := json.Unmarshal(data, &v); err != nil {
		return errors.New("parse key: not the JSON of a key") // err may quote a part of the secret
	}
	if err := k.set(v.Encrypt, v.MAC.K, v.MAC.R); err != nil {
		return fmt.Errorf("parse key: %w", err)
	}
	return nil
}
