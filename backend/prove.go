package backend

import (
	"context"
	"errors"
	"fmt"
)

// A Proof says how a storage came to know the SHA-256 that it tells.
type Proof string

// The kinds of proof.
const (
	ProofStored Proof = "stored" // computed when the file was stored, kept beside it since
	ProofRead   Proof = "read"   // computed now, from the bytes that lie there
)

// A prover is a Backend whose storage can tell the SHA-256 of a file without sending its bytes.
type prover interface {
	Sum(ctx context.Context, f File) (sum [32]byte, how Proof, err error)
}

// Sum returns the SHA-256 that the storage of b tells of a file, without loading it. Where it cannot, the error wraps
// errors.ErrUnsupported; the error of an absent file wraps fs.ErrNotExist.
func Sum(ctx context.Context, b Backend, f File) (sum [32]byte, how Proof, err error) {
	if p, ok := b.(prover); ok {
		return p.Sum(ctx, f)
	}
	return sum, "", fmt.Errorf("ask for the SHA-256 of %s: %w", f, errors.ErrUnsupported)
}
