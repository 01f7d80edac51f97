package capture

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	"golang.org/x/sync/semaphore"

	"russet/backend"
	"russet/chunk"
	"russet/device/mb2"
	"russet/repo"
)

const (
	// wholeFile is up to what length a file is held until it is complete, and
	// stored beside those that follow. Longer ones are stored while they come.
	wholeFile = 1 << 20
	// waiting is how many whole files wait to be stored, and waitingBytes how
	// much memory they have: a phone waits for an answer after each batch, which
	// should not wait for what came with it to be stored.
	waiting      = 256
	waitingBytes = 8 << 20
	// partSize and parts bound what of a long file waits to be cut.
	partSize = 256 << 10
	parts    = 8
)

// held is what a slot holds of a file.
type held struct {
	ids  []chunk.ID
	data []byte // placeMemory only
	sum  uint64 // begin of the SHA-1 of the bytes as received, where it was made; of files that came in this run
}

// holdings are the slots of all files. They are made for hundreds of thousands
// of files of one blob each. They are safe for concurrent use.
type holdings struct {
	mu    sync.Mutex // guards all below
	slots []slot
	data  map[uint32][]byte
	rooms [][]chunk.ID // ids are copied to here
}

// slot says where in rooms the ids are, as a room's number times roomIDs and a
// place in it.
type slot struct {
	from, n uint32 // noIDs: there is no list, which is not an empty one
	sum     uint64
}

const (
	// roomIDs is for how many ids memory is had at once; longer lists have rooms
	// for themselves.
	roomIDs = 4096
	noIDs   = 1<<32 - 1
)

func (h *holdings) add(v held) uint32 {
	h.mu.Lock()
	h.slots = append(h.slots, slot{})
	n := uint32(len(h.slots) - 1)
	h.mu.Unlock()
	h.set(n, v)
	return n
}

func (h *holdings) set(n uint32, v held) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if v.data != nil {
		if h.data == nil {
			h.data = map[uint32][]byte{}
		}
		h.data[n] = v.data
	}
	h.slots[n] = slot{from: noIDs, sum: v.sum}
	if len(v.ids) == 0 {
		if v.ids != nil {
			h.slots[n].from = 0
		}
		return
	}
	last := len(h.rooms) - 1
	if last < 0 || cap(h.rooms[last])-len(h.rooms[last]) < len(v.ids) {
		h.rooms = append(h.rooms, make([]chunk.ID, 0, max(roomIDs, len(v.ids))))
		last++
	}
	room := h.rooms[last]
	h.slots[n].from, h.slots[n].n = uint32(last*roomIDs+len(room)), uint32(len(v.ids))
	h.rooms[last] = append(room, v.ids...)
}

func (h *holdings) at(n uint32) held {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.slots[n]
	v := held{data: h.data[n], sum: s.sum}
	switch {
	case s.from == noIDs:
	case s.n == 0:
		v.ids = []chunk.ID{}
	default:
		room, from := h.rooms[s.from/roomIDs], s.from%roomIDs
		v.ids = room[from : from+s.n : from+s.n]
	}
	return v
}

// intake stores the bytes of files as they are received, beside the goroutine
// that brings them.
type intake struct {
	w     *repo.Writer
	cut   *chunk.Cutter
	slots *holdings

	jobs    chan intakeJob
	room    *semaphore.Weighted  // of waitingBytes
	ended   bool                 // jobs is closed
	streams chan *chunk.Splitter // one for each long file that may be stored
	free    chan []byte          // parts of streams, to be filled again
	spare   spareBuffers
	workers sync.WaitGroup // goroutines
	// pending are files that are not stored yet: those since the last turn, and those
	// before it.
	pending, before *sync.WaitGroup

	mu  sync.Mutex // guards err
	err error      // the first; the session is over
}

// intakeJob is one whole file.
type intakeJob struct {
	ctx  context.Context // of the file's creation
	data []byte
	slot uint32
	sum  bool // of its bytes is wanted

	stored *sync.WaitGroup
}

// bufferSizes are the sizes of the memory of whole files, and spares how many
// of each are kept to be filled again: most files are short.
var (
	bufferSizes = [...]int{16 << 10, 128 << 10, wholeFile}
	spares      = [...]int{64, 16, 5}
)

// spareBuffers are kept for each of bufferSizes.
type spareBuffers [len(bufferSizes)]chan []byte

// grown returns b with room for n more bytes, at most wholeFile together.
func (s *spareBuffers) grown(b []byte, n int) []byte {
	if len(b)+n <= cap(b) {
		return b
	}
	for i, size := range bufferSizes {
		if len(b)+n <= size {
			larger := append(take(s[i], size), b...)
			s.give(b)
			return larger
		}
	}
	panic("capture: a whole file that is too long")
}

// give keeps memory for grown.
func (s *spareBuffers) give(b []byte) {
	for i, size := range bufferSizes {
		if cap(b) == size {
			give(s[i], b)
		}
	}
}

// workers is how many goroutines store files at once.
func workers() int { return min(runtime.GOMAXPROCS(0), runtime.NumCPU()) }

func newIntake(w *repo.Writer, cut *chunk.Cutter, slots *holdings) *intake {
	n := workers()
	in := &intake{
		w: w, cut: cut, slots: slots, jobs: make(chan intakeJob, waiting),
		streams: make(chan *chunk.Splitter, n), free: make(chan []byte, n*parts),
		room: semaphore.NewWeighted(waitingBytes), pending: new(sync.WaitGroup), before: new(sync.WaitGroup),
	}
	for i, n := range spares {
		in.spare[i] = make(chan []byte, n)
	}
	for range n {
		in.streams <- cut.NewSplitter()
		in.workers.Go(func() {
			split := cut.NewSplitter()
			for j := range in.jobs {
				split.ResetBytes(j.data)
				in.store(j.ctx, saveBlobs, split, j.slot, j.begin)
				in.spare.give(j.data)
				in.room.Release(j.weight())
				j.stored.Done()
			}
		})
	}
	return in
}

// begin is the begin of the file's SHA-1, if that is wanted.
func (j *intakeJob) begin() uint64 {
	if !j.sum {
		return 0
	}
	sum := sha1.Sum(j.data)
	return digestBegin(sum[:])
}

// weight is the memory that the file takes.
func (j *intakeJob) weight() int64 { return int64(min(cap(j.data), waitingBytes)) }

// whole stores a file that is complete. It and its data are the intake's from
// then on.
func (in *intake) whole(j intakeJob) {
	j.stored = in.pending
	j.stored.Add(1)
	_ = in.room.Acquire(context.Background(), j.weight()) // fails only where a context ends
	in.jobs <- j
}

// store cuts and saves the file that split has, and notes what became of it. sum is
// called once the file was read.
func (in *intake) store(ctx context.Context, save blobSaver, split *chunk.Splitter, slot uint32, sum func() uint64) {
	got, err := save(ctx, in.w, split)
	if err != nil {
		if !errors.Is(err, errAborted) {
			in.fail(err)
		}
		return
	}
	in.slots.set(slot, held{ids: got.ids, sum: sum()})
}

// fail ends the session.
func (in *intake) fail(err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.err == nil {
		in.err = fmt.Errorf("store file: %w", noSpace(err))
	}
}

// noSpace makes a full drive known to the phone's protocol.
func noSpace(err error) error {
	if backend.IsFull(err) && !errors.Is(err, mb2.ErrNoSpace) {
		return fmt.Errorf("%w: %w", mb2.ErrNoSpace, err)
	}
	return err
}

// failure is the session's error so far.
func (in *intake) failure() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.err
}

// settle waits for all files that are complete.
func (in *intake) settle() error {
	in.before.Wait()
	in.pending.Wait()
	return in.failure()
}

// turn returns what waits for the files that are complete now, and not for those that
// come meanwhile. Those of the turn before must be stored.
func (in *intake) turn() (settle func() error) {
	in.before, in.pending = in.pending, new(sync.WaitGroup)
	before := in.before
	return func() error {
		before.Wait()
		return in.failure()
	}
}

// stop ends the goroutines, and gives their memory back. No file may be begun
// afterwards.
func (in *intake) stop() {
	_ = in.settle() // the session's error is told to whoever asks
	if !in.ended {
		close(in.jobs)
	}
	in.ended = true
	in.workers.Wait()
	in.streams, in.free, in.spare = nil, nil, spareBuffers{}
}

var errAborted = errors.New("the file was not sent to its end")

// stream is a long file that is stored while it comes.
type stream struct {
	in   *intake
	slot uint32
	ch   chan []byte
	part []byte

	last []byte // the part that is read
	rest []byte // of it
	err  error  // why the stream ends, set before ch is closed
}

// stream begins a long file. Where sum is false its digest is not expected; a
// file that has one all the same is read again to be compared.
func (in *intake) stream(ctx context.Context, slot uint32, sum bool) *stream {
	split := <-in.streams
	s := &stream{in: in, slot: slot, ch: make(chan []byte, parts), err: io.EOF}
	stored := in.pending
	stored.Add(1)
	in.workers.Go(func() {
		defer stored.Done()
		defer func() { in.streams <- split }()
		if !sum {
			split.Reset(s)
			in.store(ctx, saveBeside, split, slot, func() uint64 { return 0 })
		} else {
			h := sha1.New()
			split.Reset(io.TeeReader(s, h))
			in.store(ctx, saveBeside, split, slot, func() uint64 { return digestBegin(h.Sum(nil)) })
		}
		for range s.ch { // a failed store must not hold up who writes
		}
	})
	return s
}

func (s *stream) write(p []byte) {
	for len(p) > 0 {
		if s.part == nil {
			s.part = take(s.in.free, partSize)
		}
		n := min(len(p), partSize-len(s.part))
		s.part = append(s.part, p[:n]...)
		p = p[n:]
		if len(s.part) == partSize {
			s.ch <- s.part
			s.part = nil
		}
	}
}

// take returns memory to fill again, or room for so many bytes.
func take(from chan []byte, room int) []byte {
	select {
	case b := <-from:
		return b[:0]
	default:
		return make([]byte, 0, room)
	}
}

// give keeps memory for take, unless there is enough.
func give(to chan []byte, b []byte) {
	if cap(b) == 0 {
		return
	}
	select {
	case to <- b:
	default:
	}
}

// end ends the stream, as a whole file or as one that is not.
func (s *stream) end(err error) {
	if len(s.part) > 0 {
		s.ch <- s.part
	}
	s.err = err
	close(s.ch)
}

// Read implements io.Reader for the splitter.
func (s *stream) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		part, ok := <-s.ch
		if !ok {
			return 0, s.err
		}
		give(s.in.free, s.last)
		s.last, s.rest = part, part
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}
