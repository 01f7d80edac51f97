package repo

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"russet/backend"
	"russet/chunk"
	"russet/index"
)

const (
	// dataPacks is how many packs of data blobs are open at once. A blob goes
	// to one of them at random, as in restic, so that the order and sizes of a
	// pack's blobs tell a stranger less about known files.
	dataPacks = 2
	// indexBlobs and indexAge say when an index file is written during a long
	// run: restic's values. What is not yet indexed when a run dies is found
	// only by a repair of the index.
	indexBlobs = 50_000
	indexAge   = 10 * time.Minute
	// indexPacks bounds what a killed run has stored in vain where blobs are
	// large: a gigabyte. A long film of a phone is one file without a checkpoint.
	indexPacks = 64
)

// Stats counts what a Writer did.
type Stats struct {
	DataBlobs, TreeBlobs int   // new blobs
	Added                int64 // plaintext bytes of new blobs
	AddedPacked          int64 // the same as stored, with their seals
}

// Add adds what another Writer did.
func (s *Stats) Add(t Stats) {
	s.DataBlobs += t.DataBlobs
	s.TreeBlobs += t.TreeBlobs
	s.Added += t.Added
	s.AddedPacked += t.AddedPacked
}

// Writer adds blobs to a repository. Save is safe for concurrent use, also beside a
// Checkpoint; that makes durable what came so far, Flush ends the session. Of a Writer
// that is dropped without Flush no goroutine runs once Close returned, and what
// it made durable is found by the next one.
type Writer struct {
	r       *Repository
	ctx     context.Context
	cancel  context.CancelCauseFunc // of ctx
	group   *errgroup.Group
	queue   chan *pack
	free    chan *pack // empty packs to fill again
	scratch sync.Pool  // of *scratch

	saving   sync.RWMutex // held by a Save until its blob is in a pack
	indexing sync.Mutex   // held from the choice of packs until an index file names them

	mu      sync.Mutex                // guards what follows
	pending map[index.Handle]struct{} // saved, but in no index file yet
	proven  map[index.Handle]struct{} // stored or loaded by this session; nil unless Distrust was called
	open    [lanes][]*pack
	flight  *flight      // of packs that are on their way to the backend
	packs   []index.Pack // durable, but in no index file yet
	blobs   int          // in packs
	since   time.Time    // when packs was last empty

	// proof, if not nil, is asked about each saved pack before an index names it.
	proof      func(context.Context, packFile) error
	indexPacks int // the constant, or a test's
	stats      Stats
	closed     bool
}

// scratch is what one Save needs besides the blob itself.
type scratch struct{ packed, sealed, opened, plain []byte }

// NewWriter starts a session. ctx, which a lost lock should cancel, bounds all
// of it.
func (r *Repository) NewWriter(ctx context.Context) *Writer {
	ctx, cancel := context.WithCancelCause(ctx)
	group, ctx := errgroup.WithContext(ctx)
	w := &Writer{
		r: r, ctx: ctx, cancel: cancel, group: group,
		queue:   make(chan *pack),
		free:    make(chan *pack, dataPacks+r.uploads()+2),
		pending: map[index.Handle]struct{}{},
		since:   time.Now(),
		flight:  new(flight),

		indexPacks: indexPacks,
	}
	w.scratch.New = func() any { return new(scratch) }
	w.open = emptyLanes()
	for range r.uploads() {
		group.Go(w.upload)
	}
	return w
}

// Saved is the outcome of Save.
type Saved struct {
	ID     chunk.ID
	New    bool // it was not in the repository
	Stored int  // bytes that it takes in its pack; 0 unless New
}

// Has tells whether a blob is in the repository or on its way there.
func (w *Writer) Has(h index.Handle) bool {
	if w.r.index.Has(h) {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.pending[h]
	return ok
}

// Save adds one blob, unless the repository has it. The blob is compressed
// where that is worth it, sealed, opened again and compared; it is durable
// only once Flush or Checkpoint returned. plain is not kept.
func (w *Writer) Save(ctx context.Context, t index.BlobType, plain []byte) (Saved, error) {
	if len(plain) == 0 || len(plain) > maxBlob {
		return Saved{}, fmt.Errorf("save blob: %d bytes are not a legal blob", len(plain))
	}
	h := index.Handle{ID: chunk.Sum(plain), Type: t}
	return w.add(ctx, h, len(plain), func(s *scratch) (int, error) { return w.r.seal(s, t, plain) })
}

// add puts a blob of size bytes into a pack, unless the repository has it. seal leaves its
// stored form in s.sealed and returns the length that the index notes for compressed blobs.
func (w *Writer) add(ctx context.Context, h index.Handle, size int, seal func(s *scratch) (rawLength int, err error)) (Saved, error) {
	if err := context.Cause(w.ctx); err != nil {
		return Saved{}, err
	}
	if err := ctx.Err(); err != nil {
		return Saved{}, err
	}
	saved, full, err := w.put(ctx, h, size, seal)
	if err == nil {
		err = w.enqueue(full)
	}
	if err != nil {
		return Saved{}, err
	}
	return saved, nil
}

// put is add for a session that goes on. full is a pack to be handed on, if not nil.
func (w *Writer) put(ctx context.Context, h index.Handle, size int, seal func(s *scratch) (rawLength int, err error)) (saved Saved, full *pack, err error) {
	w.saving.RLock()
	defer w.saving.RUnlock()
	if !w.claim(ctx, h, size) {
		return Saved{ID: h.ID}, nil, nil
	}
	s := w.scratch.Get().(*scratch)
	defer w.scratch.Put(s)
	rawLength, err := seal(s)
	if err != nil {
		// Others have been told that the blob is on its way: it ends the session.
		err = fmt.Errorf("save blob: %w", err)
		w.cancel(err)
		return Saved{}, nil, err
	}
	full = w.append(w.r.lane(ctx, h.Type), h, s.sealed, rawLength, size)
	return Saved{ID: h.ID, New: true, Stored: len(s.sealed)}, full, nil
}

// claim tells whether the caller has to store h, of size bytes, and marks it as
// on its way.
func (w *Writer) claim(ctx context.Context, h index.Handle, size int) bool {
	if w.proven != nil {
		return w.claimUnproven(ctx, h, size)
	}
	if w.r.index.Has(h) {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.pending[h]; ok {
		return false
	}
	// A pack may have become durable between the two looks.
	if w.r.index.Has(h) {
		return false
	}
	w.pending[h] = struct{}{}
	return true
}

// seal leaves the stored form of plain in s.sealed and returns the length that
// the index notes for compressed blobs.
func (r *Repository) seal(s *scratch, t index.BlobType, plain []byte) (rawLength int, err error) {
	packed := plain
	if r.config.Version >= 2 && (t == index.Tree || worthwhile(plain)) {
		s.packed = r.codec.compress(s.packed[:0], plain)
		if t == index.Tree || len(s.packed) < len(plain)-len(plain)/minGain {
			packed, rawLength = s.packed, len(plain)
		}
	}
	s.sealed = r.key.Seal(s.sealed[:0], packed)
	if err := r.key.Verify(s.sealed, packed); err != nil {
		return 0, fmt.Errorf("verify: %w: %w", errMemory, err)
	}
	if rawLength == 0 {
		return 0, nil
	}
	if s.plain, err = r.codec.decompress(s.plain[:0], packed, len(plain)); err != nil {
		return 0, fmt.Errorf("verify: %w: %w", errMemory, err)
	}
	if !bytes.Equal(s.plain, plain) {
		return 0, fmt.Errorf("verify: %w", errMemory)
	}
	return rawLength, nil
}

// append puts a sealed blob into an open pack. full is one that had no room for it and
// is to be handed on, or nil.
func (w *Writer) append(l lane, h index.Handle, sealed []byte, rawLength, size int) (full *pack) {
	w.mu.Lock()
	defer w.mu.Unlock()
	open := w.open[l]
	i := rand.IntN(len(open))
	if p := open[i]; p != nil && !p.takes(len(sealed)) {
		full, open[i] = p, nil
		w.depart(full)
	}
	if open[i] == nil {
		open[i] = w.emptyPack()
		open[i].lane = l
	}
	p := open[i]
	p.add(h, sealed, rawLength)
	w.stats.Added += int64(size)
	w.stats.AddedPacked += int64(len(sealed))
	if h.Type == index.Tree {
		w.stats.TreeBlobs++
	} else {
		w.stats.DataBlobs++
	}
	return full
}

// packSaved notes a durable pack, and writes an index file when enough of them
// have come together.
func (w *Writer) packSaved(p index.Pack) error {
	w.mu.Lock()
	w.keepPacks(p)
	due := w.blobs >= indexBlobs || len(w.packs) >= w.indexPacks || time.Since(w.since) > indexAge
	w.mu.Unlock()
	if !due {
		return nil
	}
	return w.saveRest(w.ctx)
}

// keepPacks is called with w.mu held.
func (w *Writer) keepPacks(packs ...index.Pack) {
	w.packs = append(w.packs, packs...)
	for _, p := range packs {
		w.blobs += len(p.Blobs)
	}
}

// takePacks is called with w.mu held.
func (w *Writer) takePacks() []index.Pack {
	packs := w.packs
	w.packs, w.blobs, w.since = nil, 0, time.Now()
	return packs
}

// saveIndex writes an index file. Only then does the repository know what is in
// packs: this process goes on after a session that ended badly, and would build
// the next snapshot on blobs that nobody else can find.
func (w *Writer) saveIndex(ctx context.Context, packs []index.Pack) error {
	if len(packs) == 0 {
		return nil
	}
	err := confirmLock(ctx)
	if err == nil {
		_, err = w.r.saveUnpacked(ctx, backend.Index, index.Append(nil, packs))
	}
	if err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.keepPacks(packs...)
		return err
	}
	for _, p := range packs {
		w.r.index.Add(p)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range packs {
		for _, b := range p.Blobs {
			delete(w.pending, b.Handle)
		}
	}
	return nil
}

// Checkpoint makes everything durable and indexed whose Save has returned, in packs
// that may be smaller than usual, and the session goes on. Save may be called
// meanwhile; a second Checkpoint may not. An error is that of the session.
func (w *Writer) Checkpoint() error {
	if err := context.Cause(w.ctx); err != nil {
		return err
	}
	before, err := w.finishPacks()
	if err == nil {
		err = w.ended(before)
	}
	if err != nil {
		return err
	}
	if err := w.saveRest(w.ctx); err != nil {
		// The packs that it would have named are in no index: nothing may build on them.
		w.cancel(err)
		return err
	}
	return nil
}

// finishPacks hands on the open packs. It returns the flight of all that were handed on
// since the last call.
func (w *Writer) finishPacks() (*flight, error) {
	w.saving.Lock() // a Save may rely on the blob of another one that still runs
	w.mu.Lock()
	packs, before := w.closePacks(), w.flight
	w.flight = new(flight)
	w.mu.Unlock()
	w.saving.Unlock()
	return before, w.enqueue(packs...)
}

// Flush makes everything saved durable and indexed, and ends the session.
func (w *Writer) Flush(ctx context.Context) error {
	err := context.Cause(w.ctx)
	if err == nil {
		_, err = w.finishPacks()
	}
	if err == nil {
		err = w.stop()
	}
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = w.saveRest(ctx)
	}
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	return err
}

// saveRest writes an index file of the packs that are in none.
func (w *Writer) saveRest(ctx context.Context) error {
	w.indexing.Lock()
	defer w.indexing.Unlock()
	w.mu.Lock()
	due := w.takePacks()
	w.mu.Unlock()
	return w.saveIndex(ctx, due)
}

// Close ends the session's goroutines. After a session that ended badly it
// writes, also when the session's context is cancelled, an index of the packs
// that are durable: the next session need not store them again. It does not
// after a lost lock, since another process may have removed them.
func (w *Writer) Close() error {
	err := w.stop()
	w.cancel(nil)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), unlockGrace)
	defer cancel()
	if ierr := w.saveRest(ctx); err == nil {
		err = ierr
	}
	return err
}

// stop waits until what was handed on is durable, or cannot be.
func (w *Writer) stop() error {
	w.mu.Lock()
	closed := w.closed
	w.closed = true
	w.mu.Unlock()
	if !closed {
		close(w.queue)
	}
	return w.group.Wait()
}

// Stats is what was added so far.
func (w *Writer) Stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stats
}
