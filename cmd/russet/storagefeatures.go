package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"russet/backend"
)

// lacks says what it means that a storage lacks a feature.
var lacks = map[backend.Feature]string{
	backend.VerifiesSums: "what is damaged on the way is found by a check only",
	backend.NeverReplace: "two that make a repository at the same moment may both succeed",
	backend.TellsSums:    "copies there are proven by reading them",
	backend.LocksFiles:   "whoever has the credentials can delete what is there; that may be meant so",
}

// features asks what the storage can do beyond what every repository wants.
func (t *trial) features(ctx context.Context) error {
	found, err := backend.Probe(ctx, t.be)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return t.show(trialResult{"what the storage can do beside", verdictMissing, err.Error()})
	}
	for _, f := range found {
		r := trialResult{string(f.Feature), verdictOK, ""}
		if f.Err != nil {
			r.verdict, r.detail = verdictMissing, "not known: "+f.Err.Error()
		} else if !f.Has {
			r.verdict, r.detail = verdictMissing, lacks[f.Feature]
		}
		if err := t.show(r); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(found, func(f backend.Finding) bool { return f.Feature == backend.TellsSums }) {
		return nil
	}
	r := trialResult{string(backend.TellsSums), verdictMissing, lacks[backend.TellsSums]}
	f, data, err := t.keep(ctx, backend.Data, trialSmall)
	var sum [32]byte
	var how backend.Proof
	if err == nil {
		sum, how, err = backend.Sum(ctx, t.be, f)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil && sum != sha256.Sum256(data):
		r.verdict, r.detail = verdictFailed, "it tells another one"
		t.bad++
	case err == nil && how == backend.ProofRead:
		r.verdict, r.detail = verdictOK, "from what lies there at that moment"
	case err == nil:
		r.verdict, r.detail = verdictOK, ""
	}
	return t.show(r)
}

// clockTolerance is more than it takes to save and list a file, and less than what
// makes a lock look stale.
const clockTolerance = 2 * time.Minute

// clock compares the storage's clock with this computer's, where it is told.
func (t *trial) clock(ctx context.Context) error {
	f, _, err := t.keep(ctx, backend.Lock, trialSmall)
	var info backend.Info
	if err == nil {
		info, err = t.find(ctx, f)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil || info.ModTime.IsZero() {
		return nil // the trials before tell of the error
	}
	off := time.Since(info.ModTime).Round(time.Second)
	r := trialResult{"the storage's clock agrees with this computer's", verdictOK, ""}
	if off.Abs() > clockTolerance {
		r.verdict, r.detail = verdictMissing, fmt.Sprintf("they differ by %s: set this computer's, locks of others may look stale", duration(off.Abs()))
	}
	return t.show(r)
}

// remove removes what was saved, the config last, and says how much stays.
func (t *trial) remove(ctx context.Context) (left int, err error) {
	for _, f := range slices.Backward(t.saved) {
		err := t.be.Remove(ctx, f)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			left++
		}
	}
	r := trialResult{"files can be removed", verdictOK, ""}
	if left > 0 {
		r.verdict, r.detail = verdictMissing, "backup, copy, check and restore work all the same; forget and prune want other credentials"
	} else if t.absentAgain(ctx) != nil {
		r.verdict, r.detail = verdictFailed, "what was removed is still there"
		t.bad++
	}
	return left, t.show(r)
}

// absentAgain looks whether what was removed is gone.
func (t *trial) absentAgain(ctx context.Context) error {
	for _, f := range t.saved {
		if _, err := t.be.Load(ctx, f, 0, make([]byte, 1)); !errors.Is(err, fs.ErrNotExist) {
			return errNotAsPromised
		}
	}
	return nil
}
