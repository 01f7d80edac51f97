package offsite

import (
	"context"
	"encoding/hex"
	"errors"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/index"
)

// keeper is a place that keeps the SHA-256 of each file since it was saved, and tells
// that whatever has become of the bytes.
type keeper struct{ backend.Backend }

func (b keeper) Sum(_ context.Context, f backend.File) (sum [32]byte, how backend.Proof, err error) {
	_, err = hex.Decode(sum[:], []byte(f.Name))
	return sum, backend.ProofStored, err
}

// verifyAll verifies the copy as --read-data does, and saves that.
func (p pair) verifyAll(ctx context.Context, hour int) (VerifyResult, error) {
	store, c, err := p.attach(ctx)
	if err != nil {
		return VerifyResult{}, err
	}
	res, err := c.Verify(ctx, VerifyOptions{Now: hours(hour), ReadData: true})
	return res, errors.Join(err, store.Save(ctx, c.State))
}

// TestReadData: bytes that have changed behind a sum that the storage keeps are found
// when everything is read, and what was found so is not right again because the storage
// still tells that sum.
func TestReadData(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.save(t, "a", hours(0), 1)
	p.save(t, "b", hours(0), 2)
	p.copy = keeper{p.copy}
	if err := p.run(t.Context(), hours(1)); err != nil {
		t.Fatal(err)
	}
	f, whole := spoil(t, p, 2, func(b []byte) []byte { b[7] ^= 1; return b })
	if res, err := p.verify(t.Context(), hours(2), 1); err != nil || res.Told != res.Packs {
		t.Errorf("%+v, %v, want all told", res, err)
	}
	res, err := p.verifyAll(t.Context(), 3)
	if !errors.Is(err, ErrBad) || len(res.Problems) != 1 || res.NeverProven != 0 || res.Problems[0].File != f || res.Told != 0 || res.Read != res.Packs-1 {
		t.Errorf("reading all: %+v, %v, want %v damaged and the others read", res, err, f)
	}
	res, err = p.verify(t.Context(), hours(4), 0.0001)
	if !errors.Is(err, ErrBad) || len(res.Problems) != 1 || res.Told != res.Packs-1 {
		t.Errorf("after that: %+v, %v, want %v still damaged", res, err, f)
	}
	_ = p.copy.Remove(t.Context(), f)
	if err := p.copy.Save(t.Context(), f, whole); err != nil {
		t.Fatal(err)
	}
	if res, err := p.verify(t.Context(), hours(5), 0.0001); err != nil || res.Read != 1 || res.Told != res.Packs-1 {
		t.Errorf("mended: %+v, %v, want it read", res, err)
	}
	if res, err := p.verify(t.Context(), hours(6), 0.0001); err != nil || res.Told != res.Packs {
		t.Errorf("after that: %+v, %v, want all told", res, err)
	}
}

// failing tells the SHA-256 of all files but one.
type failing struct {
	teller
	name string
}

func (b failing) Sum(ctx context.Context, f backend.File) (sum [32]byte, how backend.Proof, err error) {
	if f.Name == b.name {
		return sum, "", errors.New("the server's program cannot read the file")
	}
	return b.teller.Sum(ctx, f)
}

// TestUnreadable: a pack that the server does not give, and gives others, is damaged, and
// the others are proven; where nothing is given, nothing is damaged.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.save(t, "a", hours(0), 1, 2, 3)
	if err := p.run(t.Context(), hours(1)); err != nil {
		t.Fatal(err)
	}
	bad := packs(t, p.copy)[1].Name
	place := p.copy
	p.copy = backendtest.NewFaulty(place, backendtest.Faults{FailAt: 1, FailCount: -1, Only: func(op backendtest.Op) bool {
		return op.Verb == backendtest.Load && op.File.Name == bad
	}})
	res, err := p.verify(t.Context(), hours(2), 1)
	if !errors.Is(err, ErrBad) || len(res.Problems) != 1 || res.Problems[0].File.Name != bad || res.Read != res.Packs-1 {
		t.Errorf("%+v, %v, want one damaged", res, err)
	}
	p.copy = failing{teller{Backend: p.copy, how: backend.ProofRead}, bad} // nor does the server's program
	if res, err := p.verify(t.Context(), hours(2), 0.0001); !errors.Is(err, ErrBad) || len(res.Problems) != 1 || res.Problems[0].File.Name != bad {
		t.Errorf("%+v, %v, want one damaged", res, err)
	}
	gone := false
	p.copy = backendtest.NewFaulty(place, backendtest.Faults{FailAt: 1, FailCount: -1, Only: func(op backendtest.Op) bool {
		gone = gone || op.Verb == backendtest.Load && op.File.Kind == backend.Data
		return gone
	}})
	if res, err := p.verify(t.Context(), hours(3), 1); err == nil || errors.Is(err, ErrBad) || len(res.Problems) > 0 {
		t.Errorf("%+v, %v, want that nothing is given", res, err)
	}
}

// TestReadDataSmall: small files are read, too.
func TestReadDataSmall(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.save(t, "a", hours(0), 1)
	p.copy = keeper{p.copy}
	if err := p.run(t.Context(), hours(1)); err != nil {
		t.Fatal(err)
	}
	var key backend.File
	for info, err := range p.copy.List(t.Context(), backend.Key) {
		if err != nil {
			t.Fatal(err)
		}
		key = backend.File{Kind: backend.Key, Name: info.Name}
	}
	_, c, err := p.attach(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := backendtest.Damage(t.Context(), p.copy, key, func(b []byte) []byte { b[9] ^= 1; return b }); err != nil {
		t.Fatal(err)
	}
	v := &verifier{c: c, now: hours(2), all: true}
	if err := v.small(t.Context()); err != nil || len(v.problems) != 1 || v.problems[0].File != key {
		t.Errorf("%v, %v, want %v", v.problems, err, key)
	}
}

// TestDrillFar: a drill reads folders from the copy, and not from a cache of it.
func TestDrillFar(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	s := p.save(t, "a", hours(0), 1)
	if err := p.run(t.Context(), hours(1)); err != nil {
		t.Fatal(err)
	}
	_, c, err := p.attach(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cache, err := backend.OpenCache(p.copy, t.TempDir(), hours(1))
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	c.to.UseCache(cache)
	if _, err := c.takeStock(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	first := func(int) int { return 0 }
	if _, err := c.to.LoadTree(t.Context(), *s.Tree); err != nil { // which is kept
		t.Fatal(err)
	}
	if res, err := c.Drill(t.Context(), first); err != nil || res.Files == 0 {
		t.Fatalf("%+v, %v", res, err)
	}
	loc, ok := c.to.Index().Lookup(index.Handle{ID: *s.Tree, Type: index.Tree})
	if !ok || p.copy.Remove(t.Context(), fileOf(loc.Pack)) != nil {
		t.Fatal("the copy has no such tree")
	}
	if res, err := c.Drill(t.Context(), first); !errors.Is(err, ErrBad) {
		t.Errorf("without its folders: %+v, %v, want that the copy is damaged", res, err)
	}
}
