package capture

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"time"

	"russet/chunk"
	"russet/ios"
)

// Commit makes a snapshot of what the phone has left, after it answered that
// its backup is complete, or its password changed. Where it has done nothing,
// the last version is the result, as one that is kept already. From then on the
// phone is not needed: where Commit is cut off, Drain goes on. The Phone is
// closed, whatever the outcome, unless the backup is unfinished
// (ErrUnfinished).
func (p *Phone) Commit(ctx context.Context, answered time.Time) (*Result, error) {
	res, err := p.commit(ctx, answered)
	if err == nil || errors.Is(err, ErrUnfinished) || p.closed {
		return res, err
	}
	return res, errors.Join(err, p.abandon())
}

func (p *Phone) commit(ctx context.Context, answered time.Time) (*Result, error) {
	if err := p.ready(ctx); err != nil {
		return nil, fmt.Errorf("commit backup: %w", err)
	}
	if p.file != nil {
		p.file.Abort()
	}
	if !p.touched() && !p.resumed && p.parent != nil && !p.begun.full {
		last := p.parent.Snapshot
		return &Result{Snapshot: last, UDID: p.udid, DeviceName: last.Hostname, Kept: true, Sealed: p.parent.sealed()}, p.abandon()
	}
	if err := p.checkpoint(); err != nil { // after which the files on top can be read
		return nil, fmt.Errorf("commit backup: %w", err)
	}
	b, err := ios.Open(topFS{ctx, p, p.topFiles()})
	switch {
	case errors.Is(err, ios.ErrNotBackup):
		err = fmt.Errorf("%w: %w", ErrUnfinished, err)
	case err == nil && !b.Finished():
		err = ErrUnfinished
	}
	if err != nil {
		return nil, fmt.Errorf("commit backup: %w", err)
	}
	p.ops = append(p.ops, operation{verb: verbAnswered, at: answered})
	if err := p.checkpoint(); err != nil {
		return nil, fmt.Errorf("commit backup: %w", err)
	}
	p.answered = answered
	if p.opt.Answered != nil {
		p.opt.Answered()
	}
	return p.finish(ctx)
}

// finish makes the snapshot and clears the spool.
func (p *Phone) finish(ctx context.Context) (*Result, error) {
	res, err := p.capture(ctx)
	if err != nil {
		err = fmt.Errorf("commit backup: %w", err)
		if errors.Is(err, errSpool) || errors.Is(err, ios.ErrNotBackup) { // no later run fares better
			err = errors.Join(err, p.spool.close(), p.journal.close(), p.clearSpool())
		}
		return nil, errors.Join(err, p.abandon())
	}
	// The snapshot is there. What cannot be removed is found by the next run to
	// be the same snapshot again.
	err = errors.Join(p.spool.close(), p.journal.close(), p.clearSpool(), p.abandon())
	if err != nil {
		return res, fmt.Errorf("clear spool: %w", err)
	}
	return res, nil
}

func (p *Phone) capture(ctx context.Context) (*Result, error) {
	m, err := p.takePrepared(ctx)
	if err != nil {
		return nil, err
	}
	if m == nil {
		// What receiving took in memory is needed for the manifest's records now.
		p.in.stop()
		p.w.DropBuffers()
		p.ops, p.spareOps = nil, nil
		m = &made{c: &run{phone: p, opt: p.opt.Options, w: p.w}}
		if err := m.fill(ctx, p); err != nil {
			return nil, err
		}
	}
	c := m.c
	c.answered, c.start, c.sum.WhyAll = p.answered, p.answered, p.why
	c.setPhase("writing the snapshot")
	if err := c.w.Flush(ctx); err != nil {
		return nil, err
	}
	res, err := c.commit(ctx, m.tree, m.meta)
	if err == nil {
		c.keepListing(m.tree, m.sealed)
	}
	return res, err
}

// made is a snapshot of which all is stored but its own file.
type made struct {
	c      *run
	tree   chunk.ID
	meta   *Metadata
	sealed []*sealedFile
}

// fill stores the snapshot by the writer that m.c has.
func (m *made) fill(ctx context.Context, p *Phone) error {
	if err := p.prepareTop(ctx); err != nil {
		return err
	}
	c := m.c
	c.r, c.fsys, c.hash, c.udid = p.r, topFS{ctx, p, p.top}, p.hash, p.udid
	c.history, c.parent = p.history, p.parent
	var err error
	if c.b, err = ios.Open(c.fsys); err != nil {
		return err
	}
	c.setPhase("reading the backup's manifest")
	if c.top, err = readTop(c.fsys); err != nil {
		return err
	}
	if err := c.unlock(ctx); err != nil {
		return err
	}
	c.folder = p.listing(ctx, c.b.Flat())
	alone := c.w == p.w // the phone asks no more, and its memory is needed
	if alone {
		p.overlay.root = newBranch()
	}
	if err := c.survey(ctx); err != nil {
		return err
	}
	c.takeReceived()
	if alone {
		p.folders = nil
	}
	m.sealed = c.sealedFiles()
	for _, s := range m.sealed {
		if s.stored.place == placeOpened && !s.stored.last {
			return fmt.Errorf("%w: it was begun with it", ErrNeedsPassword)
		}
		c.takeSealed(s)
	}
	c.meta = c.newMetadata(sourcePhone)
	if m.sealed, err = c.read(ctx, m.sealed); err != nil {
		return err
	}
	c.setPhase("writing the snapshot")
	m.tree, m.meta, err = c.storeTrees(ctx, m.sealed)
	return err
}

// listing is the phone's folder as listFolder would give it. It holds parts of the
// overlay, which none of both may change.
func (p *Phone) listing(ctx context.Context, flat bool) *folder {
	f := new(folder)
	top := p.overlay.root.dirs[p.udid]
	from := &phoneFiles{ctx: ctx, p: p, stored: &f.stored, other: map[string]storedFile{}}
	f.from = from
	if top == nil {
		return f
	}
	top.walk(".", func(at string, b *branch) {
		if at != "." && len(b.dirs)+len(b.files)+len(b.ids) == 0 {
			f.empty = append(f.empty, pathText(at))
		}
		misplaced := false
		for id, st := range b.ids {
			name := id.String()
			if at == "." && flat {
				f.stored.put(id, st)
			} else if at != name[:2] || flat {
				from.addOther(f, path.Join(at, name), st)
				misplaced = true
			}
		}
		if shard, err := hex.DecodeString(at); err == nil && isShard(at) && !flat {
			ids := b.ids // many, and taken over as they are
			if misplaced {
				ids = maps.Clone(ids)
				maps.DeleteFunc(ids, func(id fileID, _ storedFile) bool { return id[0] != shard[0] })
			}
			f.stored[shard[0]] = ids
		}
		for name, st := range b.files {
			if at != "." || !slices.Contains(topNames(), name) {
				from.addOther(f, path.Join(at, name), st)
			}
		}
	})
	slices.SortFunc(f.other, func(a, b otherFile) int { return comparePaths(a.path, b.path) })
	return f
}

// phoneFiles opens what listing listed.
type phoneFiles struct {
	p      *Phone
	stored *storedFiles
	other  map[string]storedFile
	ctx    context.Context // of the capture: an opener has none
}

func (o *phoneFiles) addOther(f *folder, name string, st storedFile) {
	o.other[name] = st
	f.other = append(f.other, otherFile{path: name, modTime: st.modified.time()})
}

func (o *phoneFiles) open(id fileID) (io.ReadCloser, error) {
	st, ok := o.stored.get(id)
	if !ok {
		return nil, fs.ErrNotExist
	}
	return o.p.reader(o.ctx, id.String(), st)
}

func (o *phoneFiles) openOther(name string) (io.ReadCloser, error) {
	st, ok := o.other[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return o.p.reader(o.ctx, path.Base(name), st)
}

func (o *phoneFiles) close() {}

// takeReceived gives files whose content is in the repository already that
// content, and counts new and changed ones.
func (c *run) takeReceived() {
	unsent := c.unsent()
	c.dir.each(func(e *entry) {
		if e.flag != flagFile || !e.found {
			return
		}
		c.count(e.stored)
		switch e.stored.place {
		case placeReceived:
			h := c.phone.slots.at(e.stored.slot)
			e.reused = !c.decrypts(e)
			if e.reused && len(e.digest()) > 0 && !e.stored.last && (h.sum == 0 || h.sum != digestBegin(e.digest())) {
				e.reused = false // read it, to be sure
			}
		case placeOpened:
			// A drained file is the present record's; one of the last version is if
			// the record has not changed.
			e.reused = c.decrypts(e) && (!e.stored.last || unsent(e))
		}
	})
	c.dir.eachDir("", func(at string, d *dir) {
		d.tree = c.phone.folders[c.hash.path(at)]
	})
}

// contentOf is what became of a file's bytes.
func (c *run) contentOf(e *entry) content {
	if e.content != nil {
		return *e.content
	}
	ids := c.idsOf(e)
	switch {
	case ids == nil:
		return content{}
	case e.stored.place == placeOpened:
		return content{ids, c.r.ContentSize(ids)}
	}
	return content{ids, e.stored.size}
}

// idsOf are the blobs that hold a file's bytes, or nil.
func (c *run) idsOf(e *entry) []chunk.ID {
	switch {
	case e.content != nil:
		return e.content.ids
	case c.phone == nil || !e.reused:
		return nil
	}
	return c.phone.slots.at(e.stored.slot).ids
}

// unsent returns what tells the files that are the last version's, and whose
// record and key are; nil for a folder's capture.
func (c *run) unsent() func(*entry) bool {
	if c.phone == nil {
		return nil
	}
	sameKeys := c.sameKeys()
	return func(e *entry) bool {
		st, _ := c.folder.stored.get(e.id)
		switch {
		case e.flag != flagFile || !st.last:
			return false
		case st.place == placeOpened:
			return sameKeys && st.ref == e.hash
		}
		return st.place == placeReceived && !c.decrypts(e)
	}
}

// sameKeys tells whether equal records mean equal keys in the last version.
func (c *run) sameKeys() bool {
	if c.parent == nil || c.parent.Metadata.Keybag == nil {
		return false
	}
	was, err := c.parent.Metadata.Keybag.classKeys()
	if err != nil {
		return false
	}
	for class, key := range was {
		if c.keys[class] != key {
			return false
		}
	}
	return true
}

// count counts a file for the summary.
func (c *run) count(st storedFile) {
	switch {
	case st.last:
		c.sum.FilesUnmodified++
		return
	case st.replaces:
		c.sum.FilesChanged++
	default:
		c.sum.FilesNew++
	}
	c.sum.FilesRead++
	c.sum.BytesRead += st.size
}

// takeSealed is takeReceived for a file that is kept as received.
func (c *run) takeSealed(s *sealedFile) {
	c.count(s.stored)
	if s.stored.place == placeReceived {
		s.reused = true
		s.content = content{c.phone.slots.at(s.stored.slot).ids, s.stored.size}
	}
}

// eachDir calls visit for every folder below d, by its path.
func (d *dir) eachDir(at string, visit func(at string, d *dir)) {
	visit(at, d)
	for _, sub := range d.dirs {
		sub.eachDir(path.Join(at, sub.name), visit)
	}
}

func digestBegin(digest []byte) uint64 {
	if len(digest) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(digest)
}
