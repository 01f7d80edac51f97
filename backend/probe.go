package backend

import (
	"context"
	"errors"
	"fmt"
)

// A Feature is something that a storage may be able to do beyond what every [Backend] promises.
type Feature string

// The features that are looked for.
const (
	VerifiesSums Feature = "refuses uploads that arrive damaged"
	NeverReplace Feature = "refuses to replace what is there"
	TellsSums    Feature = "tells the SHA-256 of what it stores"
	LocksFiles   Feature = "keeps locked files from being deleted"
)

// A Finding says whether a storage has a feature, as far as that was tried. With an Err it is not known: the error says why.
type Finding struct {
	Feature Feature
	Has     bool
	Err     error
}

// A probed is a Backend whose storage has features to look for.
type probed interface {
	Probe(ctx context.Context) ([]Finding, error)
}

// Probe tries what the storage of b can do, with small files of its own beside those of a repository, which it removes as
// far as it may: one that was locked stays for a minute, and as long as nobody removes it. Where there is nothing to look
// for the error wraps errors.ErrUnsupported.
func Probe(ctx context.Context, b Backend) ([]Finding, error) {
	if p, ok := b.(probed); ok {
		return p.Probe(ctx)
	}
	return nil, fmt.Errorf("look for features of the storage: %w", errors.ErrUnsupported)
}

// Probe is that of the place, which is not tried again: a feature that comes and goes is none.
func (r *retrying) Probe(ctx context.Context) (found []Finding, err error) {
	err = r.network.busy(func() (err error) {
		found, err = Probe(ctx, r.place)
		return err
	})
	return found, err
}
