package repo

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
)

// sparsePlace lists a pack that is much larger than what can be read of it.
type sparsePlace struct {
	backend.Backend
	file    backend.File
	size    int64
	content int64 // bytes that come, all of them zero
	largest atomic.Int64
}

func (p *sparsePlace) List(ctx context.Context, k backend.Kind) iter.Seq2[backend.Info, error] {
	return func(yield func(backend.Info, error) bool) {
		if k == p.file.Kind && !yield(backend.Info{Name: p.file.Name, Size: p.size}, nil) {
			return
		}
		p.Backend.List(ctx, k)(yield)
	}
}

func (p *sparsePlace) Load(ctx context.Context, f backend.File, offset int64, dst []byte) (int, error) {
	if f != p.file {
		return p.Backend.Load(ctx, f, offset, dst)
	}
	p.largest.Store(max(p.largest.Load(), int64(len(dst))))
	return int(max(0, min(int64(len(dst)), p.content-offset))), nil
}

// TestMirrorOfSparseFile takes no more memory for a file than there are bytes that
// its name is made of, and copies a large one that is good.
func TestMirrorOfSparseFile(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	from := backend.NewMemory()
	saveFiles(t, initRepo(t, from, 2), map[string][]byte{"a": payload(1, 1000)})
	data := slices.Repeat(payload(2, 1<<20), provenFile>>20+1)
	large := backendtest.Named(backend.Data, data)
	if err := from.Save(ctx, large, data); err != nil {
		t.Fatal(err)
	}
	sparse := &sparsePlace{Backend: from, file: backend.File{Kind: backend.Data, Name: strings.Repeat("0", 64)}, size: 1 << 30, content: 5 << 20}
	to := newMirror(t, from)
	res, err := mirrorAll(ctx, sparse, to, MirrorOptions{Now: testTime()})
	if !errors.Is(err, ErrDamaged) || !slices.Equal(res.Bad, []backend.File{sparse.file}) {
		t.Errorf("got %+v, %v", res, err)
	}
	if got := sparse.largest.Load(); got > readAtOnce {
		t.Errorf("got %d bytes at once, want %d", got, readAtOnce)
	}
	if got, err := backendtest.Read(ctx, to, large); err != nil || !slices.Equal(got, data) {
		t.Errorf("the large file: got %d bytes, %v", len(got), err)
	}
}
