package chunk

import (
	"fmt"
	"math/bits"
	"strconv"

	"github.com/restic/chunker"
)

// Pol is a polynomial over GF(2), bit i being the coefficient of x^i. A repository draws one at random when it is made,
// so that the lengths of its chunks do not tell a stranger which known file lies there (restic design document,
// "Chunker").
type Pol uint64

// degree is that of every polynomial in use: the largest prime that leaves room for one more byte in 64 bits.
const degree = 53

// RandomPol draws a polynomial that NewCutter accepts.
func RandomPol() (Pol, error) {
	p, err := chunker.RandomPolynomial()
	if err != nil {
		return 0, fmt.Errorf("draw chunker polynomial: %w", err)
	}
	return Pol(p), nil
}

// ParsePol reads the text form of a polynomial, and refuses one that NewCutter would refuse.
func ParsePol(hex string) (Pol, error) {
	v, err := strconv.ParseUint(hex, 16, 64)
	if err != nil {
		return 0, fmt.Errorf("parse chunker polynomial: %w", err)
	}
	p := Pol(v)
	if err := p.valid(); err != nil {
		return 0, err
	}
	return p, nil
}

// String returns the polynomial in lower-case hexadecimal digits without padding, as a repository's config holds it.
func (p Pol) String() string { return strconv.FormatUint(uint64(p), 16) }

// MarshalText writes the form of String.
func (p Pol) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what ParsePol accepts.
func (p *Pol) UnmarshalText(text []byte) error {
	v, err := ParsePol(string(text))
	if err != nil {
		return err
	}
	*p = v
	return nil
}

// valid reports why the polynomial cannot cut: its degree must be 53, and it must be irreducible, or the fingerprint
// would depend on some bits of the window only.
func (p Pol) valid() error {
	if bits.Len64(uint64(p))-1 != degree {
		return fmt.Errorf("chunker polynomial %v: degree %d, want %d", p, bits.Len64(uint64(p))-1, degree)
	}
	if !chunker.Pol(p).Irreducible() {
		return fmt.Errorf("chunker polynomial %v is not irreducible", p)
	}
	return nil
}
