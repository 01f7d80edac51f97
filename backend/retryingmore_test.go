package backend_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
)

// able is a place that offers whatever a Backend may offer beside its methods, and is busy at each first call.
type able struct {
	*backend.Memory
	calls []string
}

func (a *able) called(method string) error {
	a.calls = append(a.calls, method)
	if len(a.calls)%2 == 1 {
		return errPasses
	}
	return nil
}

func (a *able) SaveTrees(context.Context, backend.File, []byte) error { return a.called("SaveTrees") }

func (a *able) LoadTrees(context.Context, backend.File, int64, []byte) (int, error) {
	return 5, a.called("LoadTrees")
}

func (a *able) Sum(context.Context, backend.File) ([32]byte, backend.Proof, error) {
	return [32]byte{1}, backend.ProofRead, a.called("Sum")
}

func (a *able) Free(context.Context) (int64, error) { return 7, a.called("Free") }

func (a *able) CleanTemporary(context.Context) (int, error) { return 2, a.called("CleanTemporary") }

func (a *able) Lacks(context.Context, backend.Kind) (bool, error) { return true, a.called("Lacks") }

func (a *able) Close() error {
	a.calls = append(a.calls, "Close")
	return errPasses
}

// offer is what a Backend may offer; persistent ones offer all of it.
type offer interface {
	backend.Backend
	io.Closer
	Free(ctx context.Context) (int64, error)
	CleanTemporary(ctx context.Context) (int, error)
	Lacks(ctx context.Context, k backend.Kind) (bool, error)
}

func TestOffers(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	place := &able{Memory: backend.NewMemory()}
	b := backend.Persistent(backend.NetworkOptions{}, place).(offer)
	f := backendtest.Named(backend.Data, nil)
	if err := backend.SaveTrees(ctx, b, f, nil); err != nil {
		t.Errorf("SaveTrees: %v", err)
	}
	if n, err := backend.LoadTrees(ctx, b, f, 0, nil); n != 5 || err != nil {
		t.Errorf("LoadTrees: got %d, %v", n, err)
	}
	if sum, how, err := backend.Sum(ctx, b, f); sum != [32]byte{1} || how != backend.ProofRead || err != nil {
		t.Errorf("Sum: got %x, %s, %v", sum, how, err)
	}
	if n, err := b.Free(ctx); n != 7 || err != nil {
		t.Errorf("Free: got %d, %v", n, err)
	}
	if n, err := b.CleanTemporary(ctx); n != 4 || err != nil { // in two calls
		t.Errorf("CleanTemporary: got %d, %v", n, err)
	}
	if lacks, err := b.Lacks(ctx, backend.Snapshot); !lacks || err != nil {
		t.Errorf("Lacks: got %t, %v", lacks, err)
	}
	if err := b.Close(); err != errPasses {
		t.Errorf("Close: got %v, want %v", err, errPasses)
	}
	want := []string{
		"SaveTrees", "SaveTrees", "LoadTrees", "LoadTrees", "Sum", "Sum", "Free", "Free",
		"CleanTemporary", "CleanTemporary", "Lacks", "Lacks", "Close",
	}
	if !slices.Equal(place.calls, want) {
		t.Errorf("got calls %v, want %v", place.calls, want)
	}
}

// TestNothingToOffer asks for what a place does not offer: the answers are those that callers give themselves for it.
func TestNothingToOffer(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b := backend.Persistent(backend.NetworkOptions{}, backend.NewMemory()).(offer)
	data := []byte("trees")
	f := backendtest.Named(backend.Data, data)
	if err := backend.SaveTrees(ctx, b, f, data); err != nil {
		t.Errorf("SaveTrees: %v", err)
	}
	dst := make([]byte, 10)
	if n, err := backend.LoadTrees(ctx, b, f, 2, dst); string(dst[:n]) != "ees" || err != nil {
		t.Errorf("LoadTrees: got %q, %v", dst[:n], err)
	}
	if _, _, err := backend.Sum(ctx, b, f); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Sum: got %v, want %v", err, errors.ErrUnsupported)
	}
	if _, err := b.Free(ctx); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Free: got %v, want %v", err, errors.ErrUnsupported)
	}
	if n, err := b.CleanTemporary(ctx); n != 0 || err != nil {
		t.Errorf("CleanTemporary: got %d, %v", n, err)
	}
	if lacks, err := b.Lacks(ctx, backend.Snapshot); lacks || err != nil {
		t.Errorf("Lacks: got %t, %v", lacks, err)
	}
	if err := b.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}
