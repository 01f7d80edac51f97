package capture

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path"

	"russet/chunk"
	"russet/device/mb2"
	"russet/ios"
	"russet/repo"
)

// ready is what every call of the phone begins with.
func (p *Phone) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if p.closed || !p.answered.IsZero() {
		return fmt.Errorf("phone's folder: %w", fs.ErrClosed)
	}
	return p.in.failure()
}

// readyToChange is what every call begins with that changes the folder.
func (p *Phone) readyToChange(ctx context.Context) error {
	if err := p.ready(ctx); err != nil {
		return err
	}
	p.unprepare()
	if p.in.ended {
		p.in = newIntake(p.w, p.r.Cutter(), p.slots)
	}
	return nil
}

// do applies an operation and notes it for the journal.
func (p *Phone) do(ctx context.Context, op operation) error {
	if err := p.readyToChange(ctx); err != nil {
		return err
	}
	if err := p.apply(&op); err != nil {
		return err
	}
	p.ops = append(p.ops, op)
	return p.checkpointIfDue()
}

// Mkdir implements mb2.Folder.
func (p *Phone) Mkdir(ctx context.Context, name string) error {
	if err := p.readyToChange(ctx); err != nil {
		return err
	}
	if err := p.overlay.mkdir(name); err != nil { // apply does not mind a folder that is there
		return err
	}
	p.ops = append(p.ops, operation{verb: verbMkdir, a: name})
	return p.checkpointIfDue()
}

// keepsName refuses to give a file of the last version that lies decrypted
// another id: its key goes by its id, and phones do not do it.
func (p *Phone) keepsName(from, to string) error {
	f, err := p.overlay.file(from)
	if err == nil && f.place == placeOpened && path.Base(from) != path.Base(to) {
		return fmt.Errorf("give a file of the last version another id: %w", fs.ErrInvalid)
	}
	return nil
}

// Move implements mb2.Folder.
func (p *Phone) Move(ctx context.Context, from, to string) error {
	if err := p.keepsName(from, to); err != nil {
		return err
	}
	return p.do(ctx, operation{verb: verbMove, a: from, b: to})
}

// Remove implements mb2.Folder.
func (p *Phone) Remove(ctx context.Context, name string) error {
	return p.do(ctx, operation{verb: verbRemove, a: name})
}

// Copy implements mb2.Folder. No byte is copied.
func (p *Phone) Copy(ctx context.Context, from, to string) error {
	if err := p.keepsName(from, to); err != nil {
		return err
	}
	return p.do(ctx, operation{verb: verbCopy, a: from, b: to})
}

// List implements mb2.Folder.
func (p *Phone) List(ctx context.Context, name string) ([]mb2.Entry, error) {
	if err := p.ready(ctx); err != nil {
		return nil, err
	}
	b, err := p.overlay.folder(name)
	if err != nil {
		return nil, err
	}
	list := make([]mb2.Entry, 0, len(b.dirs)+len(b.files)+len(b.ids))
	for name := range b.dirs {
		list = append(list, mb2.Entry{Name: name, Dir: true, ModTime: p.since})
	}
	b.each(func(name string, f storedFile) {
		list = append(list, mb2.Entry{Name: name, Size: f.size, ModTime: f.modified.time()})
	})
	return list, nil
}

// Open implements mb2.Folder.
func (p *Phone) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := p.ready(ctx); err != nil {
		return nil, err
	}
	f, err := p.overlay.file(name)
	if err != nil {
		return nil, err
	}
	if err := p.readable(f); err != nil {
		return nil, err
	}
	return p.reader(ctx, path.Base(name), f)
}

// readable makes sure that a file's bytes can be read back.
func (p *Phone) readable(f storedFile) error {
	switch {
	case f.last || f.place == placeMemory:
		return nil
	case f.place == placeSpool:
		return p.spool.flush()
	}
	if err := p.in.settle(); err != nil {
		return err
	}
	if hasAll(p.r, p.slots.at(f.slot).ids) {
		return nil
	}
	return p.checkpoint()
}

// reader gives a file's bytes as the phone sent them. name is its last element.
func (p *Phone) reader(ctx context.Context, name string, f storedFile) (io.ReadCloser, error) {
	h := p.slots.at(f.slot)
	switch f.place {
	case placeMemory:
		return io.NopCloser(bytes.NewReader(h.data)), nil
	case placeSpool:
		s := p.spool.open(f.ref, f.size)
		return readCloser{io.NewSectionReader(s, 0, f.size), s}, nil
	}
	r, err := p.r.NewFileReader(ctx, h.ids)
	if err != nil {
		return nil, err
	}
	src := io.NewSectionReader(r, 0, r.Size())
	if f.place == placeReceived {
		return io.NopCloser(src), nil
	}
	key, err := p.key(ctx, name)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(ios.NewEncrypter(src, *key)), nil
}

// readCloser reads from one thing and closes another.
type readCloser struct {
	io.Reader
	io.Closer
}

// key is that under which the last version stored a file.
func (p *Phone) key(ctx context.Context, name string) (*ios.Key, error) {
	var key *ios.Key
	if name == ios.DatabaseName {
		var err error
		if key, err = p.parent.manifestKey(ctx); err != nil {
			return nil, fmt.Errorf("encrypt manifest: %w", err)
		}
	} else {
		keys, err := p.keys()
		if err != nil {
			return nil, fmt.Errorf("encrypt file: %w", err)
		}
		key = keys[name]
	}
	if key == nil {
		return nil, errors.New("encrypt file: its key is not known")
	}
	return key, nil
}

// Free implements mb2.Folder.
func (p *Phone) Free(ctx context.Context) (int64, error) {
	if err := p.ready(ctx); err != nil {
		return 0, err
	}
	if p.opt.AssumeFree > 0 {
		return p.opt.AssumeFree, nil
	}
	drive, ok := p.r.Backend().(interface {
		Free(ctx context.Context) (int64, error)
	})
	if !ok {
		return plenty, nil
	}
	free, err := drive.Free(ctx)
	if errors.Is(err, errors.ErrUnsupported) {
		return plenty, nil
	}
	return free, err
}

// Create implements mb2.Folder.
func (p *Phone) Create(ctx context.Context, name string) (mb2.File, error) {
	return p.CreateFrom(ctx, name, "")
}

// CreateFrom implements mb2.Sourced.
func (p *Phone) CreateFrom(ctx context.Context, name, source string) (mb2.File, error) {
	if err := p.readyToChange(ctx); err != nil {
		return nil, err
	}
	if p.file != nil {
		return nil, fmt.Errorf("create file: another one is being received: %w", fs.ErrInvalid)
	}
	dir, last, err := p.overlay.place(name)
	if err != nil {
		return nil, err
	}
	if dir.dirs[last] != nil {
		return nil, mb2.ErrIsDir
	}
	f := &incoming{p: p, ctx: ctx, name: name, source: source}
	var isID bool
	f.id, isID = parseFileID(last)
	manifest := last == ios.DatabaseName || last == ios.MBDBName
	f.memory = !isID && !manifest
	if manifest {
		f.sum, f.ctx = sha256.New(), repo.Near(ctx)
	}
	if p.begun.spooled && !f.memory {
		f.spooled = true
		p.spool.begin()
	}
	p.file = f
	return f, nil
}

// incoming is a file that is being received.
type incoming struct {
	p    *Phone
	ctx  context.Context // of Create: a File has none
	name string
	id   fileID // of a stored file
	size int64
	done bool

	source string // where the phone says that it lies

	memory  bool // it stays in memory and travels in the journal, if it is small
	spooled bool
	buf     []byte
	long    *stream   // once it is too long for buf
	slot    uint32    // of long
	sum     hash.Hash // of a manifest, else nil
}

// Write implements io.Writer.
func (f *incoming) Write(b []byte) (int, error) {
	if f.done {
		return 0, fs.ErrClosed
	}
	if err := f.p.ready(f.ctx); err != nil {
		return 0, err
	}
	f.size += int64(len(b))
	if f.sum != nil {
		f.sum.Write(b)
	}
	if pr := f.p.opt.Progress; pr != nil {
		pr.Add(0, int64(len(b)))
	}
	switch {
	case f.spooled:
		if err := f.p.spool.write(b); err != nil {
			f.p.in.fail(err)
			return 0, f.p.in.failure()
		}
	case f.long != nil:
		f.long.write(b)
	case len(f.buf)+len(b) > wholeFile:
		f.slot = f.p.slots.add(held{})
		f.long = f.p.in.stream(f.ctx, f.slot, ios.ExpectsDigest(f.source, f.id))
		f.long.write(f.buf)
		f.long.write(b)
		f.p.in.spare.give(f.buf)
		f.buf = nil
	default:
		if !f.memory {
			f.buf = f.p.in.spare.grown(f.buf, len(b))
		}
		f.buf = append(f.buf, b...)
	}
	return len(b), nil
}

// guessFrom is the length from which on a file is hashed only where a digest is
// expected: to guess takes about as long as to hash so many bytes.
const guessFrom = 8 << 10

// smallFile bounds what travels in the journal, in bytes.
const smallFile = 64 << 10

// Commit implements mb2.File.
func (f *incoming) Commit() error {
	p := f.p
	if f.done {
		return fs.ErrClosed
	}
	if err := p.ready(f.ctx); err != nil {
		f.Abort()
		return err
	}
	f.done, p.file = true, nil
	status := path.Base(f.name) == ios.StatusName
	if status {
		p.noticeFull(f.buf) // before it is anyone else's
	}
	got := storedFile{size: f.size, modified: stampOf(p.now())}
	switch {
	case f.spooled:
		at, err := p.spool.end()
		if err != nil {
			p.in.fail(err)
			return p.in.failure()
		}
		got.place, got.ref, got.slot = placeSpool, at, p.slots.add(held{})
	case f.long != nil:
		f.long.end(io.EOF)
		got.slot = f.slot
	case f.memory && f.size <= smallFile:
		got.place, got.slot = placeMemory, p.slots.add(held{data: f.buf})
	default:
		got.slot = p.slots.add(held{})
		sum := len(f.buf) < guessFrom || ios.ExpectsDigest(f.source, f.id)
		p.in.whole(intakeJob{ctx: f.ctx, data: f.buf, slot: got.slot, sum: sum})
	}
	if f.sum != nil {
		p.sums[got.slot] = chunk.ID(f.sum.Sum(nil))
	}
	op := operation{verb: verbPut, a: f.name, file: got}
	if err := p.apply(&op); err != nil {
		return err
	}
	p.ops = append(p.ops, op)
	p.bytes += f.size
	if pr := p.opt.Progress; pr != nil {
		pr.Add(1, 0)
	}
	if !status {
		return p.checkpointIfDue()
	}
	if err := p.checkpoint(); err != nil {
		return err
	}
	if f.memory && f.name == path.Join(p.udid, ios.StatusName) {
		p.prepareIfFinished(f.buf)
	}
	return nil
}

// noticeFull looks into a Status of the phone: one that was shown a version and
// begins a full backup all the same has found a fault in it, or in its own
// memory of it, and does not say which.
func (p *Phone) noticeFull(status []byte) {
	if p.parent == nil || p.begun.full || p.resumed || p.why != "" {
		return
	}
	if s, err := ios.ParseStatus(status); err == nil && s.IsFullBackup && !s.Finished() {
		p.why = "the phone did not take the last version for its own"
	}
}

// Abort implements mb2.File.
func (f *incoming) Abort() {
	if f.done {
		return
	}
	f.done, f.p.file = true, nil
	if f.long != nil {
		f.long.end(errAborted)
	}
}
