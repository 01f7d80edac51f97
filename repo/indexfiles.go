package repo

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"russet/backend"
	"russet/chunk"
	"russet/index"
)

// indexFile is one file of the index. What it describes counts as far as it
// could be read.
type indexFile struct {
	id           chunk.ID
	packs, blobs int
	err          error // it cannot be read, or not to its end
}

// listIDs returns the names of all files of a kind.
func (r *Repository) listIDs(ctx context.Context, kind backend.Kind) ([]chunk.ID, error) {
	var ids []chunk.ID
	for info, err := range r.be.List(ctx, kind) {
		if err != nil {
			return nil, err // which says what was listed
		}
		if id, err := chunk.ParseID(info.Name); err == nil {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// unchanged is an error where the files of a kind are not those any more of which
// a plan was made.
func (r *Repository) unchanged(ctx context.Context, kind backend.Kind, was []chunk.ID) error {
	ids, err := r.listIDs(ctx, kind)
	if err != nil {
		return err
	}
	known := make(map[chunk.ID]struct{}, len(was))
	for _, id := range was {
		known[id] = struct{}{}
	}
	same := len(ids) == len(was)
	for _, id := range ids {
		_, ok := known[id]
		same = same && ok
	}
	if !same {
		return fmt.Errorf("%v has changed since the plan was made: make a new one", kind)
	}
	return nil
}

// packFiles yields the packs that are there.
func (r *Repository) packFiles(ctx context.Context) iter.Seq2[packFile, error] {
	return func(yield func(packFile, error) bool) {
		for info, err := range r.be.List(ctx, backend.Data) {
			if err != nil {
				yield(packFile{}, fmt.Errorf("list packs: %w", err))
				return
			}
			if id, err := chunk.ParseID(info.Name); err == nil && !yield(packFile{id, info.Size}, nil) {
				return
			}
		}
	}
}

// readIndexFiles reads index files with a worker a core or connection, and calls add for each
// pack of each, also of those that turn out to be damaged further on. Calls may
// be concurrent, and the blobs of a pack are valid during one only. The error is
// that of ctx; those of files are in what is returned, in the order of ids.
func (r *Repository) readIndexFiles(ctx context.Context, ids []chunk.ID, add func(index.Pack)) ([]indexFile, error) {
	files, readers := make([]indexFile, len(ids)), r.indexReaders()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(r.readers())
	for i, id := range ids {
		files[i].id = id
		group.Go(func() error {
			f := &files[i]
			x := readers.Get().(*indexReader)
			defer readers.Put(x)
			f.err = x.read(ctx, id, func(p index.Pack) error {
				f.packs++
				f.blobs += len(p.Blobs)
				add(p)
				return ctx.Err()
			})
			return ctx.Err()
		})
	}
	return files, group.Wait()
}

// smallIndex is below what an index file counts as small, in blobs: several are
// put together when the index is written anew.
const smallIndex = indexBlobs / 2

// indexRewrite replaces index files, a few at a time, until together they
// describe exactly the wanted packs as r.index has them. Each file is removed
// only after everything wanted that it says stands in another one that was read
// back, so the space of one index file is enough.
type indexRewrite struct {
	r    *Repository
	want *index.Marks // packs, by their numbers in r.index
	// strict makes a pack that r.index does not know an error: somebody writes
	// beside us. Else it is left out.
	strict bool
	done   func(files int) // called as files are dealt with; may be nil

	covered  index.Marks // packs that files which stay describe, or the buffer
	buffer   []index.Pack
	buffered int        // blobs in it
	replaced []chunk.ID // files of which what is not in the buffer is in files that stay
	bad      []chunk.ID // files that cannot be read
	wrote    int        // files
	removed  int        // files
}

// run does it. What the repository holds is valid at every instant. What is read
// must lie there, so no cache is asked.
func (w *indexRewrite) run(ctx context.Context) error {
	ctx = backend.WithoutCache(ctx)
	ids, err := w.r.listIDs(ctx, backend.Index)
	if err != nil {
		return err
	}
	for file, err := range w.load(ctx, ids) {
		if err == nil {
			err = w.file(ctx, file)
		}
		if err != nil {
			return err
		}
		if w.buffered >= indexBlobs {
			if err := w.flush(ctx); err != nil {
				return err
			}
			if err := w.removeReplaced(ctx); err != nil {
				return err
			}
		}
		if w.done != nil {
			w.done(1)
		}
	}
	if err := w.rest(ctx); err != nil {
		return err
	}
	w.replaced = append(w.replaced, w.bad...)
	if err := w.removeReplaced(ctx); err != nil {
		return err
	}
	return w.verify(ctx)
}

// describedFile is what an index file says, or why it cannot be read.
type describedFile struct {
	id    chunk.ID
	packs []index.Pack
	blobs int
	err   error
}

// load reads index files in their order, a few at once.
func (w *indexRewrite) load(ctx context.Context, ids []chunk.ID) iter.Seq2[describedFile, error] {
	return func(yield func(describedFile, error) bool) {
		readers := w.r.indexReaders()
		for some := range slices.Chunk(ids, w.r.readers()) {
			files := make([]describedFile, len(some))
			group, gctx := errgroup.WithContext(ctx)
			for i, id := range some {
				files[i].id = id
				group.Go(func() error {
					x := readers.Get().(*indexReader)
					defer readers.Put(x)
					return x.describe(gctx, &files[i])
				})
			}
			err := group.Wait()
			for _, f := range files {
				if !yield(f, err) || err != nil {
					return
				}
			}
		}
	}
}

// describe reads an index file. The error is that of ctx.
func (x *indexReader) describe(ctx context.Context, f *describedFile) error {
	f.err = x.read(ctx, f.id, func(p index.Pack) error {
		p.Blobs = append([]index.Blob(nil), p.Blobs...)
		f.packs = append(f.packs, p)
		f.blobs += len(p.Blobs)
		return ctx.Err()
	})
	return ctx.Err()
}

// file takes over what one index file says, or leaves the file as it is.
func (w *indexRewrite) file(ctx context.Context, f describedFile) error {
	id, packs, blobs, fine := f.id, f.packs, f.blobs, true
	if f.err != nil && w.strict {
		return fmt.Errorf("read index: %w: %w", ErrDamaged, f.err)
	}
	if f.err != nil {
		w.bad = append(w.bad, id)
		return nil
	}
	seen := index.Marks{}
	for _, p := range packs {
		number, known := w.r.index.PackNumber(p.ID)
		if !known && w.strict && len(p.Blobs) > 0 {
			return fmt.Errorf("read index %.8s: it names packs that were added since: somebody else writes here", id.String())
		}
		fine = fine && known && w.want.Has(number) && !w.covered.Has(number) && seen.Add(number) && w.r.index.Describes(p)
	}
	if fine && blobs >= smallIndex {
		for _, p := range packs {
			number, _ := w.r.index.PackNumber(p.ID)
			w.covered.Add(number)
		}
		return nil
	}
	for _, p := range packs {
		number, known := w.r.index.PackNumber(p.ID)
		if !known || !w.want.Has(number) || !w.r.index.Describes(p) || !w.covered.Add(number) {
			continue
		}
		if err := w.add(ctx, p); err != nil {
			return err
		}
	}
	w.replaced = append(w.replaced, id)
	return nil
}

// add puts a pack into the buffer. Only between files is anything removed.
func (w *indexRewrite) add(ctx context.Context, p index.Pack) error {
	if w.buffered > 0 && w.buffered+len(p.Blobs) > indexBlobs {
		if err := w.flush(ctx); err != nil {
			return err
		}
	}
	w.buffer = append(w.buffer, p)
	w.buffered += len(p.Blobs)
	return nil
}

// rest adds the wanted packs that no file has, and writes what is left.
func (w *indexRewrite) rest(ctx context.Context) error {
	for _, p := range w.r.index.Described() {
		number, _ := w.r.index.PackNumber(p.ID)
		if !w.want.Has(number) || !w.covered.Add(number) {
			continue
		}
		p.Blobs = append([]index.Blob(nil), p.Blobs...)
		if err := w.add(ctx, p); err != nil {
			return err
		}
	}
	return w.flush(ctx)
}

// flush writes the buffer as an index file and reads it back.
func (w *indexRewrite) flush(ctx context.Context) error {
	if len(w.buffer) == 0 {
		return nil
	}
	if err := confirmLock(ctx); err != nil {
		return err
	}
	plain := index.Append(nil, w.buffer)
	id, err := w.r.saveUnpacked(ctx, backend.Index, plain)
	if err != nil {
		return err
	}
	again, err := w.r.loadUnpacked(ctx, backend.Index, id)
	if err != nil {
		return fmt.Errorf("read new index back: %w", err)
	}
	if string(again) != string(plain) {
		return fmt.Errorf("read new index back: %w: it is not what was written", ErrDamaged)
	}
	w.buffer, w.buffered = w.buffer[:0], 0
	w.wrote++
	return nil
}

// removeReplaced removes the files that are no longer needed. The buffer is
// empty.
func (w *indexRewrite) removeReplaced(ctx context.Context) error {
	if len(w.replaced) == 0 {
		return nil
	}
	if err := confirmLock(ctx); err != nil {
		return err
	}
	for _, id := range w.replaced {
		if err := w.r.be.Remove(ctx, backend.File{Kind: backend.Index, Name: id.String()}); err != nil {
			return err
		}
		w.removed++
	}
	w.replaced = w.replaced[:0]
	return nil
}

// verify reads all index files once more, and wants each wanted pack to be
// described as it is, and no other.
func (w *indexRewrite) verify(ctx context.Context) error {
	ids, err := w.r.listIDs(ctx, backend.Index)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var seen index.Marks
	var wrong error
	files, err := w.r.readIndexFiles(ctx, ids, func(p index.Pack) {
		number, known := w.r.index.PackNumber(p.ID)
		fine := known && w.want.Has(number) && w.r.index.Describes(p)
		mu.Lock()
		defer mu.Unlock()
		if !fine {
			wrong = fmt.Errorf("pack %.8s is not described as it must be", p.ID.String())
			return
		}
		seen.Add(number)
	})
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.err != nil {
			return fmt.Errorf("verify new index: %w", f.err)
		}
	}
	if wrong == nil && seen.Len() != w.want.Len() {
		wrong = fmt.Errorf("%d packs are described instead of %d", seen.Len(), w.want.Len())
	}
	if wrong != nil {
		return fmt.Errorf("verify new index: %w: %w", ErrDamaged, wrong)
	}
	return nil
}
