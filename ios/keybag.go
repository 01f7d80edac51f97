package ios

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
)

// ErrWrongPassword says that the backup password opens none of the keybag's class keys.
var ErrWrongPassword = errors.New("wrong backup password")

var (
	errKeybag = errors.New("damaged keybag")
	errUnwrap = errors.New("wrapped key does not match its class key")
)

// Limits on what a keybag may hold. A real one is about 1,300 bytes with eleven classes.
const (
	maxKeybagSize  = 1 << 20
	maxKeybagClass = 64

	// maxIterations bounds the time that a hostile folder can make us spend on a password: phones use 10 million.
	maxIterations = 100_000_000

	// wrapPassword is the WRAP value of a class key that the password alone opens. With bit 0 set as well the unwrapped
	// bytes are still encrypted under a key that never leaves the phone, although the integrity check passes.
	wrapPassword       = 2
	wrapDevicePassword = 3

	wrappedSize = 40 // a 32-byte key after RFC 3394
	saltSize    = 20
)

// Key is an AES-256 key: of a protection class or of one file.
type Key [32]byte

// String hides the key: keys end up in no message.
func (Key) String() string { return "hidden key" }

// Keybag is the BackupKeyBag of a Manifest.plist: the keys of the protection classes, wrapped under a key that is
// derived from the backup password. It stays the same for all backups of an incremental chain. A Keybag is immutable
// and safe for concurrent use.
type Keybag struct {
	UUID       [16]byte // names the keybag
	Iterations int      // rounds of PBKDF2 that one password costs

	salt      []byte // SALT, for the ITER rounds of HMAC-SHA1
	rounds    int
	preSalt   []byte // DPSL, for the DPIC rounds of HMAC-SHA256 that iOS 10.2 put in front; nil before
	preRounds int
	classes   []classKey
}

// classKey is one class block of a keybag.
type classKey struct {
	class, wrap uint32
	wrapped     []byte
}

// ParseKeybag reads a BackupKeyBag: a sequence of tag, big-endian length and value. Tags that it does not know are
// skipped. The result does not alias data.
func ParseKeybag(data []byte) (*Keybag, error) {
	if len(data) > maxKeybagSize {
		return nil, fmt.Errorf("%w: %d bytes", errKeybag, len(data))
	}
	kb := new(Keybag)
	blocks := 0 // UUID tags seen: the first opens the header, each further one a class
	for rest := data; len(rest) > 0; {
		if len(rest) < 8 {
			return nil, fmt.Errorf("%w: %d odd bytes at the end", errKeybag, len(rest))
		}
		tag, n := string(rest[:4]), binary.BigEndian.Uint32(rest[4:])
		rest = rest[8:]
		if uint64(n) > uint64(len(rest)) {
			return nil, fmt.Errorf("%w: %q is %d bytes long with %d left", errKeybag, tag, n, len(rest))
		}
		value := slices.Clone(rest[:n])
		rest = rest[n:]
		if tag == "UUID" {
			blocks++
		}
		var err error
		if blocks < 2 {
			err = kb.setHeader(tag, value)
		} else {
			err = kb.setClass(tag, value)
		}
		if err != nil {
			return nil, err
		}
	}
	return kb, kb.validate()
}

func (kb *Keybag) setHeader(tag string, value []byte) error {
	switch tag {
	case "UUID":
		if len(value) != len(kb.UUID) {
			return fmt.Errorf("%w: UUID of %d bytes", errKeybag, len(value))
		}
		kb.UUID = [16]byte(value)
	case "SALT":
		kb.salt = value
	case "DPSL":
		kb.preSalt = value
	case "ITER":
		return setRounds(&kb.rounds, tag, value)
	case "DPIC":
		return setRounds(&kb.preRounds, tag, value)
	}
	return nil
}

func (kb *Keybag) setClass(tag string, value []byte) error {
	if tag == "UUID" {
		if len(kb.classes) == maxKeybagClass {
			return fmt.Errorf("%w: more than %d classes", errKeybag, maxKeybagClass)
		}
		kb.classes = append(kb.classes, classKey{})
		return nil
	}
	c := &kb.classes[len(kb.classes)-1]
	var err error
	switch tag {
	case "CLAS":
		c.class, err = keybagUint32(tag, value)
	case "WRAP":
		c.wrap, err = keybagUint32(tag, value)
	case "WPKY":
		c.wrapped = value
	}
	return err
}

// validate says whether kb holds all that Unlock needs.
func (kb *Keybag) validate() error {
	if kb.rounds == 0 || len(kb.salt) == 0 {
		return fmt.Errorf("%w: no salt or no number of rounds", errKeybag)
	}
	if (kb.preRounds == 0) != (len(kb.preSalt) == 0) {
		return fmt.Errorf("%w: DPIC without DPSL or DPSL without DPIC", errKeybag)
	}
	kb.Iterations = kb.rounds + kb.preRounds
	return nil
}

func keybagUint32(tag string, value []byte) (uint32, error) {
	if len(value) != 4 {
		return 0, fmt.Errorf("%w: %s of %d bytes", errKeybag, tag, len(value))
	}
	return binary.BigEndian.Uint32(value), nil
}

func setRounds(dst *int, tag string, value []byte) error {
	n, err := keybagUint32(tag, value)
	if err != nil {
		return err
	}
	if n == 0 || n > maxIterations {
		return fmt.Errorf("%w: %s is %d", errKeybag, tag, n)
	}
	*dst = int(n)
	return nil
}

// Unlock derives the class keys from the backup password, which is taken as its UTF-8 bytes and is not normalised. It
// takes seconds (ten million rounds of PBKDF2), and returns ctx.Err() soon after ctx is done. The keys are those of the
// classes that the password alone opens; where it opens none the error is ErrWrongPassword.
func (kb *Keybag) Unlock(ctx context.Context, password string) (ClassKeys, error) {
	if !slices.ContainsFunc(kb.classes, classKey.usable) {
		return nil, errors.New("keybag has no key that a password opens")
	}
	kek, err := kb.derive(ctx, password)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, err
	}
	keys := make(ClassKeys)
	for _, c := range kb.classes {
		if !c.usable() {
			continue
		}
		if k, ok := unwrapKey(block, c.wrapped); ok {
			keys[c.class] = k
		}
	}
	if len(keys) == 0 {
		return nil, ErrWrongPassword
	}
	return keys, nil
}

func (c classKey) usable() bool { return c.wrap == wrapPassword && len(c.wrapped) == wrappedSize }

// derive turns the password into the key under which the class keys are wrapped.
func (kb *Keybag) derive(ctx context.Context, password string) ([]byte, error) {
	secret := []byte(password)
	if kb.preRounds > 0 {
		var err error
		if secret, err = pbkdf2To32(ctx, sha256.New, secret, kb.preSalt, kb.preRounds); err != nil {
			return nil, err
		}
	}
	return pbkdf2To32(ctx, sha1.New, secret, kb.salt, kb.rounds)
}

// pbkdf2To32 derives 32 bytes as RFC 8018 section 5.2 says, at the speed of crypto/pbkdf2, which cannot be interrupted.
func pbkdf2To32(ctx context.Context, h func() hash.Hash, secret, salt []byte, rounds int) ([]byte, error) {
	const length, pollRounds = 32, 1 << 16 // some 30 ms
	mac := hmac.New(h, secret)
	var derived []byte
	for block := uint32(1); len(derived) < length; block++ {
		mac.Reset()
		mac.Write(salt)
		mac.Write(binary.BigEndian.AppendUint32(nil, block))
		u := mac.Sum(nil)
		t := slices.Clone(u)
		for i := 1; i < rounds; i++ {
			if i%pollRounds == 0 && ctx.Err() != nil {
				return nil, ctx.Err()
			}
			mac.Reset()
			mac.Write(u)
			u = mac.Sum(u[:0])
			subtle.XORBytes(t, t, u)
		}
		derived = append(derived, t...)
	}
	return derived[:length], nil
}

// ClassKeys are the keys of the protection classes, by class: 1 to 4 for files, 6 to 8 for keychain items.
type ClassKeys map[uint32]Key

// Unwrap opens a key as manifest records and the ManifestKey hold it: the class, 4 bytes little-endian, and the key
// wrapped under the class key as RFC 3394 says.
func (ck ClassKeys) Unwrap(wrapped []byte) (Key, error) {
	if len(wrapped) != 4+wrappedSize {
		return Key{}, fmt.Errorf("unwrap key: %d bytes", len(wrapped))
	}
	class := binary.LittleEndian.Uint32(wrapped)
	kek, ok := ck[class]
	if !ok {
		return Key{}, fmt.Errorf("unwrap key: no key of class %d", class)
	}
	block, err := aes.NewCipher(kek[:])
	if err != nil {
		return Key{}, err
	}
	k, ok := unwrapKey(block, wrapped[4:])
	if !ok {
		return Key{}, fmt.Errorf("unwrap key of class %d: %w", class, errUnwrap)
	}
	return k, nil
}

// Wrap is the inverse of Unwrap. It panics when class has no key.
func (ck ClassKeys) Wrap(class uint32, k Key) []byte {
	kek, ok := ck[class]
	if !ok {
		panic("ios: wrap under a class without a key")
	}
	block, err := aes.NewCipher(kek[:])
	if err != nil {
		panic("ios: " + err.Error()) // a Key always has the right length
	}
	return appendWrapped(binary.LittleEndian.AppendUint32(nil, class), block, k)
}

// keyWrapIV is the initial value of RFC 3394 section 2.2.3.1; finding it again is the only check of a password.
const keyWrapIV = 0xa6a6a6a6a6a6a6a6

// unwrapKey is RFC 3394 section 2.2.2 for a 32-byte key; wrapped holds 40 bytes.
func unwrapKey(block cipher.Block, wrapped []byte) (k Key, ok bool) {
	var b [aes.BlockSize]byte
	a := binary.BigEndian.Uint64(wrapped)
	copy(k[:], wrapped[8:])
	for t := uint64(6 * 4); t > 0; t-- {
		r := k[(t-1)%4*8:][:8]
		binary.BigEndian.PutUint64(b[:], a^t)
		copy(b[8:], r)
		block.Decrypt(b[:], b[:])
		a = binary.BigEndian.Uint64(b[:])
		copy(r, b[8:])
	}
	if a != keyWrapIV {
		return Key{}, false
	}
	return k, true
}

// appendWrapped is RFC 3394 section 2.2.1 for a 32-byte key.
func appendWrapped(dst []byte, block cipher.Block, k Key) []byte {
	var b [aes.BlockSize]byte
	a := uint64(keyWrapIV)
	for t := range uint64(6 * 4) {
		r := k[t%4*8:][:8]
		binary.BigEndian.PutUint64(b[:], a)
		copy(b[8:], r)
		block.Encrypt(b[:], b[:])
		a = binary.BigEndian.Uint64(b[:]) ^ (t + 1)
		copy(r, b[8:])
	}
	dst = binary.BigEndian.AppendUint64(dst, a)
	return append(dst, k[:]...)
}

// NewKeybag makes a keybag as phones since iOS 10.2 do, and the class keys in it. All randomness is read from rand, so
// that equal random bytes give an equal keybag. Unlocking it costs the given number of rounds (and at most 10,000
// more): phones use 10 million.
func NewKeybag(rand io.Reader, password string, iterations int) ([]byte, ClassKeys, error) {
	keys := make(ClassKeys)
	bag, err := makeKeybag(rand, password, iterations, keys)
	return bag, keys, err
}

// RewrapKeybag makes a keybag of class keys that exist, as a phone does when its backup password is changed: what is
// wrapped under them stays as it is. Keys of classes that are missing in keys are made up.
func RewrapKeybag(rand io.Reader, keys ClassKeys, password string, iterations int) ([]byte, error) {
	return makeKeybag(rand, password, iterations, maps.Clone(keys))
}

// makeKeybag makes a keybag, and adds the keys that are missing in keys to them.
func makeKeybag(rand io.Reader, password string, iterations int, keys ClassKeys) ([]byte, error) {
	kb := Keybag{
		salt: make([]byte, saltSize), preSalt: make([]byte, saltSize),
		rounds: min(iterations, 10_000), preRounds: iterations,
	}
	if iterations < 1 || iterations > maxIterations {
		return nil, fmt.Errorf("make keybag: %d iterations", iterations)
	}
	var hmck [wrappedSize]byte
	for _, b := range [][]byte{kb.UUID[:], kb.salt, kb.preSalt, hmck[:]} {
		if _, err := io.ReadFull(rand, b); err != nil {
			return nil, fmt.Errorf("make keybag: %w", err)
		}
	}
	kek, err := kb.derive(context.Background(), password)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, err
	}
	dst := kb.appendHeader(nil, hmck[:])
	for _, class := range []uint32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11} {
		var id [16]byte
		var k Key
		for _, b := range [][]byte{id[:], k[:]} {
			if _, err := io.ReadFull(rand, b); err != nil {
				return nil, fmt.Errorf("make keybag: %w", err)
			}
		}
		wrap := uint32(wrapPassword)
		if class == 5 || class >= 9 {
			wrap = wrapDevicePassword
		} else if have, ok := keys[class]; ok {
			k = have
		} else {
			keys[class] = k
		}
		dst = appendTag(dst, "UUID", id[:])
		dst = appendNumber(dst, "CLAS", class)
		dst = appendNumber(dst, "WRAP", wrap)
		dst = appendNumber(dst, "KTYP", 0) // AES
		dst = appendTag(dst, "WPKY", appendWrapped(nil, block, k))
	}
	return dst, nil
}

// appendHeader appends the part of a keybag that stands before its classes.
func (kb *Keybag) appendHeader(dst, hmck []byte) []byte {
	dst = appendNumber(dst, "VERS", 4)
	dst = appendNumber(dst, "TYPE", 1) // of a backup
	dst = appendTag(dst, "UUID", kb.UUID[:])
	dst = appendTag(dst, "HMCK", hmck)
	dst = appendNumber(dst, "WRAP", 1)
	dst = appendTag(dst, "SALT", kb.salt)
	dst = appendNumber(dst, "ITER", uint32(kb.rounds))
	dst = appendNumber(dst, "DPWT", 1)
	dst = appendNumber(dst, "DPIC", uint32(kb.preRounds))
	return appendTag(dst, "DPSL", kb.preSalt)
}

func appendTag(dst []byte, tag string, value []byte) []byte {
	dst = append(dst, tag...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(value)))
	return append(dst, value...)
}

func appendNumber(dst []byte, tag string, n uint32) []byte {
	return appendTag(dst, tag, binary.BigEndian.AppendUint32(nil, n))
}
