package backend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
)

// retrying is a Backend that does again, with growing pauses, what failed for a reason that may pass. What else a
// Backend may offer it offers too, and says what is said of those that do not where the place does not.
type retrying struct {
	place   Backend
	network NetworkOptions
}

var (
	_ Backend    = (*retrying)(nil)
	_ io.Closer  = (*retrying)(nil)
	_ prover     = (*retrying)(nil)
	_ treeSaver  = (*retrying)(nil)
	_ treeLoader = (*retrying)(nil)
)

// Save is safe to do again: the same name has the same bytes.
func (r *retrying) Save(ctx context.Context, f File, data []byte) error {
	return r.save(ctx, f, data, r.place.Save)
}

// SaveTrees does the same for packs of trees.
func (r *retrying) SaveTrees(ctx context.Context, f File, data []byte) error {
	return r.save(ctx, f, data, func(ctx context.Context, f File, data []byte) error {
		return SaveTrees(ctx, r.place, f, data)
	})
}

func (r *retrying) save(ctx context.Context, f File, data []byte, save func(context.Context, File, []byte) error) error {
	return r.network.again(ctx, func(again bool) error {
		err := save(ctx, f, data)
		if again && errors.Is(err, fs.ErrExist) {
			return r.mine(ctx, f, data, err)
		}
		return err
	}, nil)
}

// mine decides whether a file that exists is the one that an earlier try, whose answer was lost, has saved: a Config holds
// a random number, so that nobody else's has the same bytes.
func (r *retrying) mine(ctx context.Context, f File, data []byte, exists error) error {
	found := make([]byte, len(data)+1)
	n, err := r.place.Load(ctx, f, 0, found)
	switch {
	case err != nil:
		return err
	case bytes.Equal(found[:n], data):
		return nil
	default:
		return exists
	}
}

// Load fills dst from the start each time.
func (r *retrying) Load(ctx context.Context, f File, offset int64, dst []byte) (int, error) {
	return r.load(ctx, f, offset, dst, r.place.Load)
}

// LoadTrees does the same for packs of trees.
func (r *retrying) LoadTrees(ctx context.Context, f File, offset int64, dst []byte) (int, error) {
	return r.load(ctx, f, offset, dst, func(ctx context.Context, f File, offset int64, dst []byte) (int, error) {
		return LoadTrees(ctx, r.place, f, offset, dst)
	})
}

func (r *retrying) load(ctx context.Context, f File, offset int64, dst []byte, load loadFunc) (int, error) {
	return ask(ctx, r.network, func(ctx context.Context) (int, error) { return load(ctx, f, offset, dst) })
}

// List begins anew where it was cut off, and leaves out what it has yielded.
func (r *retrying) List(ctx context.Context, k Kind) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		seen := make(map[string]struct{})
		before, stopped := 0, false
		err := r.network.again(ctx, func(bool) error {
			before = len(seen)
			for info, err := range r.place.List(ctx, k) {
				if err != nil {
					return err
				}
				if _, twice := seen[info.Name]; twice {
					continue
				}
				seen[info.Name] = struct{}{}
				r.network.idle(func() { stopped = !yield(info, nil) })
				if stopped {
					return nil
				}
			}
			return nil
		}, func() bool { return len(seen) > before })
		if err != nil && !stopped {
			yield(Info{}, err)
		}
	}
}

// Remove takes a file that is absent after an earlier try, whose answer was lost, as removed.
func (r *retrying) Remove(ctx context.Context, f File) error {
	return r.network.again(ctx, func(again bool) error {
		return unlessGoneBefore(again, r.place.Remove(ctx, f))
	}, nil)
}

// unlessGoneBefore takes for done what an earlier try, whose answer was lost, has done.
func unlessGoneBefore(again bool, err error) error {
	if again && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Sum is what the storage tells.
func (r *retrying) Sum(ctx context.Context, f File) (sum [32]byte, how Proof, err error) {
	err = r.network.again(ctx, func(bool) (err error) {
		sum, how, err = Sum(ctx, r.place, f)
		return err
	}, nil)
	return sum, how, err
}

// Free returns how many bytes may still be written, where the place tells; elsewhere the error wraps
// errors.ErrUnsupported.
func (r *retrying) Free(ctx context.Context) (int64, error) {
	place, ok := r.place.(interface {
		Free(ctx context.Context) (int64, error)
	})
	if !ok {
		return 0, fmt.Errorf("free space: %w", errors.ErrUnsupported)
	}
	return ask(ctx, r.network, place.Free)
}

// CleanTemporary removes what writes that were cut off left behind, where such things are left.
func (r *retrying) CleanTemporary(ctx context.Context) (removed int, err error) {
	place, ok := r.place.(interface {
		CleanTemporary(ctx context.Context) (int, error)
	})
	if !ok {
		return 0, nil
	}
	err = r.network.again(ctx, func(bool) error {
		n, err := place.CleanTemporary(ctx)
		removed += n
		return err
	}, nil)
	return removed, err
}

// Lacks reports whether a kind has no folder, where a place has such.
func (r *retrying) Lacks(ctx context.Context, k Kind) (bool, error) {
	place, ok := r.place.(interface {
		Lacks(ctx context.Context, k Kind) (bool, error)
	})
	if !ok {
		return false, nil
	}
	return ask(ctx, r.network, func(ctx context.Context) (bool, error) { return place.Lacks(ctx, k) })
}

// Close ends what the place holds open.
func (r *retrying) Close() error {
	if closer, ok := r.place.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}
