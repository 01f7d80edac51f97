package repo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"golang.org/x/sync/errgroup"

	"russet/backend"
	"russet/chunk"
	"russet/index"
)

const (
	// maxRange is how much of a pack is fetched at once.
	maxRange = 16 << 20
	// maxGap is how many unwanted bytes are read rather than starting another
	// request.
	maxGap = 64 << 10
	// maxCopies is how many copies of a blob are tried: more are an attempt to
	// use up time.
	maxCopies = 16
)

// LoadIndex reads every index file. List the snapshots before: then every
// snapshot listed is complete in what is loaded.
func (r *Repository) LoadIndex(ctx context.Context) error {
	fresh, files := index.New(), make(chan backend.Info)
	group, within := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(files)
		for info, err := range r.be.List(within, backend.Index) {
			if err != nil {
				return fmt.Errorf("list index files: %w", err)
			}
			select {
			case files <- info:
			case <-within.Done():
				return within.Err()
			}
		}
		return nil
	})
	for range max(1, r.connections) { // more than one costs memory, and a drive is no faster
		group.Go(func() error {
			x := &indexReader{r: r}
			for info := range files {
				if err := x.addTo(within, fresh, info); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	r.index = fresh
	return nil
}

// addTo adds what a listed file says to an index.
func (x *indexReader) addTo(ctx context.Context, to *index.Index, info backend.Info) error {
	id, err := chunk.ParseID(info.Name)
	if err != nil {
		return fmt.Errorf("list index files: %w", err)
	}
	x.expect(info.Size)
	err = x.read(ctx, id, func(p index.Pack) error { to.Add(p); return nil })
	if errors.Is(err, fs.ErrNotExist) {
		return nil // replaced by a prune since it was listed
	}
	return err
}

// Index is what LoadIndex read and Writers have added since.
func (r *Repository) Index() *index.Index { return r.index }

// Load appends the plaintext of a blob to dst, after its hash was checked.
// Where one copy is damaged or gone, the others are tried; not where the place was
// waited for in vain.
func (r *Repository) Load(ctx context.Context, h index.Handle, dst []byte) ([]byte, error) {
	at := r.index.Locations(h)
	at = at[:min(len(at), maxCopies)]
	if len(at) == 0 {
		return nil, fmt.Errorf("load %v %v: %w: it is in no index", h.Type, h.ID, ErrDamaged)
	}
	var errs []error
	for range 2 { // a transient fault of the path here, or of a cache, is not damage there
		for _, loc := range at {
			plain, err := r.loadCopy(ctx, loc, dst)
			if err == nil {
				return plain, nil
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if backend.IsTemporary(err) {
				return nil, fmt.Errorf("load %v %v: %w", h.Type, h.ID, err)
			}
			errs = append(errs, err)
		}
		ctx = backend.WithoutCache(ctx)
	}
	return nil, fmt.Errorf("load %v %v: %w", h.Type, h.ID, errs[0])
}

// maxSpare bounds the memory that is kept for the next blob, in bytes.
const maxSpare = 1 << 20

// loadCopy loads one copy of a blob and appends its plaintext to dst.
func (r *Repository) loadCopy(ctx context.Context, loc index.Location, dst []byte) ([]byte, error) {
	if err := checkSize(loc.Blob); err != nil {
		return nil, err
	}
	s, ok := r.spare.Get().(*scratch)
	if !ok {
		s = new(scratch)
	}
	s.sealed = slices.Grow(s.sealed[:0], int(loc.Length))[:loc.Length]
	err := r.loadBlobs(ctx, r.lane(ctx, loc.Type), loc.Pack, int64(loc.Offset), s.sealed)
	if err == nil {
		var plain []byte
		if plain, err = r.openBlob(s, loc.Blob, s.sealed); err == nil {
			dst = append(dst, plain...)
		}
	}
	if max(cap(s.sealed), cap(s.opened), cap(s.plain)) <= maxSpare {
		r.spare.Put(s)
	}
	return dst, err
}

// checkSize is asked before memory is made for a blob of which only the index
// says how large it is.
func checkSize(b index.Blob) error {
	if b.Length > maxSealed || b.Size() > maxBlob {
		return fmt.Errorf("%w: a blob would have %d bytes, stored as %d", ErrDamaged, b.Size(), b.Length)
	}
	return nil
}

// loadRange fills buf from a pack as it lies at the place: caches know only blobs.
func (r *Repository) loadRange(ctx context.Context, pack chunk.ID, offset int64, buf []byte) error {
	return r.loadBlobs(ctx, dataLane, pack, offset, buf)
}

// loadBlobs fills buf from a pack of blobs of a lane.
func (r *Repository) loadBlobs(ctx context.Context, l lane, pack chunk.ID, offset int64, buf []byte) error {
	f := packName(pack)
	var n int
	var err error
	switch {
	case l == treeLane:
		n, err = backend.LoadTrees(ctx, r.be, f, offset, buf)
	case l == nearLane:
		n, err = backend.LoadNear(ctx, r.be, f, offset, buf)
	default:
		n, err = r.be.Load(ctx, f, offset, buf)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		noteGivenUp(ctx, err)
		return r.badSector(ctx, err)
	}
	if n < len(buf) {
		return fmt.Errorf("load %v: %w: the file is cut short", f, ErrDamaged)
	}
	return nil
}

// badSector makes ErrDamaged of the error of a read that the drive cannot do, as
// long as it gives anything at all: what lies there is lost like what was
// changed, and the rest can be had. Otherwise the drive is away, and nothing is
// lost.
func (r *Repository) badSector(ctx context.Context, err error) error {
	if backend.IsUnreadable(err) && answers(ctx, r.be) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// answers tells whether a place gives anything at all: then what cannot be read
// is a bad sector.
func answers(ctx context.Context, be backend.Backend) bool {
	_, err := loadAll(ctx, be, backend.File{Kind: backend.Config}, maxConfig)
	return err == nil
}

// openBlob opens, decompresses and checks one blob. The result lies in s.
func (r *Repository) openBlob(s *scratch, b index.Blob, sealed []byte) ([]byte, error) {
	var err error
	if s.opened, err = r.key.Open(s.opened[:0], sealed); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return r.unpackBlob(s, b, s.opened)
}

// unpackBlob decompresses and checks an opened blob. The result lies in s or is
// opened.
func (r *Repository) unpackBlob(s *scratch, b index.Blob, opened []byte) ([]byte, error) {
	plain := opened
	if b.RawLength > 0 {
		if err := checkSize(b); err != nil {
			return nil, err
		}
		var err error
		if s.plain, err = r.codec.decompress(s.plain[:0], opened, int(b.RawLength)); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		plain = s.plain
	}
	if chunk.Sum(plain) != b.ID {
		return nil, fmt.Errorf("%w: the bytes of a blob do not match its name", ErrDamaged)
	}
	// Readers place blobs by the lengths of the index: a wrong one would leave
	// foreign bytes between them.
	if int64(len(plain)) != b.Size() {
		return nil, fmt.Errorf("%w: a blob of %d bytes has %d by the index", ErrDamaged, len(plain), b.Size())
	}
	return plain, nil
}

// Loader loads many blobs with few requests. It is not safe for concurrent
// use; each goroutine takes its own.
type Loader struct {
	r   *Repository
	s   scratch
	buf []byte
	at  []wanted
	// whole are packs of which so much is going to be loaded that a cache had better
	// fetch them.
	whole map[chunk.ID]bool
}

type wanted struct {
	index.Location
	i int
}

// NewLoader makes a Loader with empty buffers.
func (r *Repository) NewLoader() *Loader { return &Loader{r: r} }

// Load calls yield once for each of blobs, in the order in which they lie in
// packs: i is the blob's place in blobs. plain is valid until yield returns. A
// blob that cannot be had is passed as its error; the load goes on unless
// yield returns one, or the place was waited for in vain.
func (l *Loader) Load(ctx context.Context, blobs []index.Handle, yield func(i int, plain []byte, err error) error) error {
	l.at = l.at[:0]
	for i, h := range blobs {
		loc, ok := l.r.index.Lookup(h)
		if !ok {
			err := fmt.Errorf("load %v %v: %w: it is in no index", h.Type, h.ID, ErrDamaged)
			if err := yield(i, nil, err); err != nil {
				return err
			}
			continue
		}
		if checkSize(loc.Blob) != nil {
			plain, err := l.r.Load(ctx, h, nil) // another copy, perhaps
			if backend.IsTemporary(err) {
				return err
			}
			if err := yield(i, plain, err); err != nil {
				return err
			}
			continue
		}
		l.at = append(l.at, wanted{loc, i})
	}
	slices.SortFunc(l.at, func(a, b wanted) int {
		return cmp.Or(a.Pack.Compare(b.Pack), cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.i, b.i))
	})
	for rest := l.at; len(rest) > 0; {
		n := run(rest)
		err := l.loadRun(ctx, rest[:n], func(w wanted, _, plain []byte, err error) error { return yield(w.i, plain, err) })
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// run is how many of at, from the first, are fetched by one request.
func run(at []wanted) int {
	start, stop := int64(at[0].Offset), int64(at[0].Offset)+int64(at[0].Length)
	for n, w := range at[1:] {
		from, to := int64(w.Offset), int64(w.Offset)+int64(w.Length)
		if w.Pack != at[0].Pack || from > stop+maxGap || to-start > maxRange {
			return n + 1
		}
		stop = max(stop, to)
	}
	return len(at)
}

// loadRun calls yield for each blob of a run, but where the place was waited for in
// vain: the others would be waited for as long. opened is plain as it is compressed
// in that place; nil where another copy was loaded.
func (l *Loader) loadRun(ctx context.Context, at []wanted, yield func(w wanted, opened, plain []byte, err error) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	start, stop := int64(at[0].Offset), int64(0)
	for _, w := range at {
		stop = max(stop, int64(w.Offset)+int64(w.Length))
	}
	l.buf = slices.Grow(l.buf[:0], int(stop-start))[:stop-start]
	lane := l.r.lane(ctx, at[0].Type)
	if l.whole[at[0].Pack] {
		lane = treeLane // which comes whole
	}
	failed := l.r.loadBlobs(ctx, lane, at[0].Pack, start, l.buf)
	if backend.IsTemporary(failed) {
		return failed
	}
	for _, w := range at {
		if err := ctx.Err(); err != nil {
			return err
		}
		var opened, plain []byte
		err := failed
		if err == nil {
			from := int64(w.Offset) - start
			plain, err = l.r.openBlob(&l.s, w.Blob, l.buf[from:from+int64(w.Length)])
			opened = l.s.opened
		}
		if err != nil {
			// By itself once more, and from other packs that hold it.
			opened = nil
			if plain, err = l.r.Load(ctx, w.Handle, nil); backend.IsTemporary(err) {
				return err
			}
		}
		if err := yield(w, opened, plain, err); err != nil {
			return err
		}
	}
	return nil
}

// ReadFile loads the whole content of a small file, at most limit bytes.
func (r *Repository) ReadFile(ctx context.Context, content []chunk.ID, limit int64) ([]byte, error) {
	f, err := r.NewFileReader(ctx, content)
	if err != nil {
		return nil, err
	}
	if f.Size() > limit {
		return nil, fmt.Errorf("read file: %d bytes are over the limit of %d", f.Size(), limit)
	}
	buf := make([]byte, f.Size())
	if _, err := f.ReadAt(buf, 0); err != nil {
		return nil, err
	}
	return buf, nil
}
