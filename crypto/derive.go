package crypto

import (
	"fmt"
	"time"

	"golang.org/x/crypto/scrypt"
)

// SaltSize is the length in bytes of the salt of every key file.
const SaltSize = 64

// Cost is how much work a password takes: the parameters of scrypt (RFC 7914, where they are N, r and p). Memory is
// 128*N*R bytes, time grows with N*R*P.
type Cost struct{ N, R, P int }

// DefaultCost is the least that new keys should cost: 32 MiB, a tenth of a second on a computer of 2020.
func DefaultCost() Cost { return Cost{N: 32768, R: 8, P: 1} }

// Whoever can put a key file into a repository chooses what opening it costs. These bounds are far above what any
// calibration yields: a minute's work at most.
const (
	maxMemory = 1 << 30  // of 128*N*R bytes, and of 128*P*R bytes, which is what scrypt allocates
	maxWork   = 16 << 30 // of 128*N*R*P bytes, the memory that is gone through
)

// check reports why a cost is out of bounds.
func (c Cost) check() error {
	if c.N < 2 || c.R < 1 || c.P < 1 {
		return fmt.Errorf("scrypt parameters N=%d, r=%d, p=%d are out of range", c.N, c.R, c.P)
	}
	n, r, p := int64(c.N), int64(c.R), int64(c.P)
	if max(n, p) > maxMemory/128/r || n*r > maxWork/128/p { // divisions, as products of such numbers may overflow
		return fmt.Errorf("scrypt parameters N=%d, r=%d, p=%d ask for too much memory or time", c.N, c.R, c.P)
	}
	return nil
}

// Derive turns a password into a key with scrypt. The salt must be SaltSize random bytes. It takes as long as the cost
// says, tenths of a second, and refuses costs that would take 1 GiB or minutes.
func Derive(password string, salt []byte, c Cost) (*Key, error) {
	if len(salt) != SaltSize {
		return nil, fmt.Errorf("derive key: salt of %d bytes, want %d", len(salt), SaltSize)
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	raw, err := scrypt.Key([]byte(password), salt, c.N, c.R, c.P, keySize)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	k, err := newKey(raw)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	return k, nil
}

// Calibrate measures this computer and returns a cost of about the given time that takes at most the given number of
// bytes of memory, but never less than DefaultCost. restic's own choice for new keys is 500 ms and 60 MiB. It takes as
// long as DefaultCost does.
func Calibrate(d time.Duration, memory int64) Cost {
	c := DefaultCost()
	start := time.Now()
	if _, err := scrypt.Key([]byte("calibration"), make([]byte, SaltSize), c.N, c.R, c.P, keySize); err != nil {
		panic("crypto: scrypt refuses its own default: " + err.Error())
	}
	return c.scale(time.Since(start), d, memory)
}

// scale returns the cost that takes about want if c takes took: first by more memory, which hurts those who guess
// passwords most, then by more passes.
func (c Cost) scale(took, want time.Duration, memory int64) Cost {
	took = max(took, time.Millisecond)
	memory = min(memory, maxMemory/2)
	for 2*took <= want && 2*128*int64(c.N)*int64(c.R) <= memory {
		c.N *= 2
		took *= 2
	}
	c.P = max(1, min(c.P*int(want/took), 32))
	return c
}
