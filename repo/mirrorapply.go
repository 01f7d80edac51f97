package repo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"russet/backend"
	"russet/chunk"
)

// MirrorResult is what became of a plan.
type MirrorResult struct {
	Copied, Aside FileCount
	Dropped       int // files that were set aside long ago, and are removed now
	// Again says that the source was changed meanwhile: the plan was given up, and
	// is to be made anew. The mirror can be opened all the same.
	Again bool
	// Growing says that somebody writes to the source. All that its snapshots need
	// was copied; what it no longer has stays in the mirror until the next run.
	Growing bool
	// Bad are files whose bytes do not match their names in the source. They were
	// not copied, and nothing was set aside.
	Bad []backend.File
	// Held says that snapshots, and perhaps the index, were left as they are in the
	// mirror, since new ones may need a pack or an index file that is bad.
	Held bool
}

// mirrorWorkers is how many packs are on their way at once, each in memory: the
// one drive reads while the other one writes.
const mirrorWorkers = 2

const (
	// maxMirrored bounds a file: a pack's offsets have 32 bits, and it is in memory
	// for a while.
	maxMirrored = min(math.MaxUint32, math.MaxInt)
	// largeFile is above any pack of restic's: of those that are larger one is in
	// memory at a time.
	largeFile = 144 << 20
	// provenFile is above most packs: one that is larger is hashed in pieces before
	// so much memory is taken for it, since its size may be all there is of it.
	provenFile = 32 << 20
)

// Apply does what the plan says. At every instant the mirror can be opened, and
// has all that its snapshots need: keys and config come first, then packs, the
// index and the snapshots, and before the two latter the source is listed again,
// since a prune may have replaced what they are made for. What the source no
// longer has is set aside last, in the reverse order, and only when a second list
// of the source is the first.
//
// Besides of progress it tells of nothing; the error wraps ErrDamaged when files
// of the source are bad, and is ManyRemovals when it would set aside too much.
// In both cases the rest is done, but for what may need files that are bad.
func (p *MirrorPlan) Apply(ctx context.Context, progress *Progress) (MirrorResult, error) {
	m := &mirroring{MirrorPlan: p, progress: progress, large: make(chan struct{}, 1)}
	if progress != nil {
		progress.SetPhase("copying")
		progress.SetTotal(int64(p.Copy.Files), p.Copy.Bytes)
	}
	again, err := m.run(ctx)
	m.res.Again = again
	if err != nil {
		return m.res, fmt.Errorf("mirror: %w", err)
	}
	switch {
	case again:
	case len(m.res.Bad) > 0:
		err = fmt.Errorf("mirror: %d files of the source do not match their names: %w", len(m.res.Bad), ErrDamaged)
	case p.Refuse:
		err = fmt.Errorf("mirror: %w: %d files stay", ManyRemovals, p.Aside.Files)
	}
	return m.res, err
}

// mirroring is one Apply.
type mirroring struct {
	*MirrorPlan
	progress *Progress

	large chan struct{} // holds one while a large file is in memory
	day   time.Time     // under which files are set aside

	mu    sync.Mutex
	res   MirrorResult
	swept bool // what was set aside long ago was removed for want of room
	room  bool // and that was something
}

// run reports again when the source has changed.
func (m *mirroring) run(ctx context.Context) (again bool, err error) {
	// From now on these files are ours, also when we die.
	m.mark.setNames(m.source, m.target)
	m.day = m.mark.setTime(m.opt.Now)
	m.mark.Done, m.mark.Aside = false, nil
	if err := saveMark(ctx, m.to, m.mark); err != nil {
		return false, err
	}
	small := []backend.Kind{backend.Key, backend.Snapshot, backend.Index}
	for _, step := range []struct {
		kind   backend.Kind
		listed []backend.Kind // again, before the step
	}{
		{backend.Key, nil},
		{backend.Config, nil},
		{backend.Data, nil},
		{backend.Index, small},
		{backend.Snapshot, small},
	} {
		if len(step.listed) > 0 {
			now, err := listFiles(ctx, m.from, step.listed...)
			if err != nil || !m.source.equal(now, step.listed...) {
				return true, err
			}
		}
		if m.held(step.kind) {
			continue
		}
		err := m.copyKind(ctx, step.kind)
		if errors.Is(err, errVanished) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
	now, err := listFiles(ctx, m.from, mirrorKinds()...)
	if err != nil {
		return false, err
	}
	for f := range m.source {
		if _, ok := now[f]; !ok {
			return true, nil
		}
	}
	if !m.source.equal(now, small...) {
		return true, nil
	}
	m.res.Growing = len(now) != len(m.source)
	return false, m.finish(ctx)
}

// held tells whether files of a kind are left, since what they need may be among
// the files that are bad: the mirror stays whole, as it was.
func (m *mirroring) held(kind backend.Kind) bool {
	needs := map[backend.Kind]backend.Kind{backend.Index: backend.Data, backend.Snapshot: backend.Index}
	for {
		below, ok := needs[kind]
		if !ok {
			return false
		}
		if slices.ContainsFunc(m.res.Bad, func(f backend.File) bool { return f.Kind == below }) {
			m.res.Held = true
			return true
		}
		kind = below
	}
}

// errVanished: what was listed is no longer there.
var errVanished = errors.New("the source was changed meanwhile")

// equal tells whether two lists agree about the files of some kinds.
func (l fileList) equal(other fileList, kinds ...backend.Kind) bool {
	count := func(of, in fileList) (n int, all bool) {
		all = true
		for f := range of {
			if !slices.Contains(kinds, f.Kind) {
				continue
			}
			n++
			if _, ok := in[f]; !ok {
				all = false
			}
		}
		return n, all
	}
	a, all := count(l, other)
	b, _ := count(other, l)
	return all && a == b
}

// copyKind copies the files of a kind that the mirror lacks.
func (m *mirroring) copyKind(ctx context.Context, kind backend.Kind) error {
	if kind == backend.Config {
		return m.copyConfig(ctx)
	}
	var missing []backend.File
	for f, size := range m.source {
		if there, ok := m.target[f]; f.Kind == kind && (!ok || there != size) {
			missing = append(missing, f)
		}
	}
	slices.SortFunc(missing, func(a, b backend.File) int { return strings.Compare(a.Name, b.Name) })
	next := make(chan backend.File)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(next)
		for _, f := range missing {
			select {
			case next <- f:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	for range mirrorWorkers {
		group.Go(func() error {
			var buf []byte
			for f := range next {
				var err error
				if buf, err = m.copyFile(ctx, f, buf); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// copyConfig copies the config, which has no name that tells what it holds: it
// was read when the plan was made. The key files lie there already.
func (m *mirroring) copyConfig(ctx context.Context) error {
	if m.config == nil {
		return nil
	}
	return m.to.Save(ctx, backend.File{Kind: backend.Config}, m.config)
}

// copyFile copies a file, by way of a buffer that it returns for the next one.
func (m *mirroring) copyFile(ctx context.Context, f backend.File, buf []byte) ([]byte, error) {
	size := m.source[f]
	if size < 0 || size > maxMirrored {
		m.bad(f)
		return buf, nil
	}
	if size > largeFile {
		m.large <- struct{}{}
		defer func() { <-m.large }()
		_, err := m.copyBytes(ctx, f, nil)
		return buf, err
	}
	return m.copyBytes(ctx, f, buf)
}

// copyBytes copies a file whose bytes are those that its name says.
func (m *mirroring) copyBytes(ctx context.Context, f backend.File, buf []byte) ([]byte, error) {
	size := m.source[f]
	good, err := true, error(nil)
	if size > provenFile {
		good, err = m.matches(ctx, f, resize(buf, readAtOnce))
	}
	if good && err == nil {
		buf = resize(buf, int(size))
		good, err = m.matches(ctx, f, buf)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return buf, errVanished
	case err != nil:
		return buf, err
	case !good:
		m.bad(f)
		return buf, nil
	}
	err = m.to.Save(ctx, f, buf)
	if backend.IsFull(err) && m.makeRoom(ctx) {
		err = m.to.Save(ctx, f, buf)
	}
	if err != nil {
		return buf, err
	}
	m.mu.Lock()
	m.res.Copied.add(size)
	m.mu.Unlock()
	if m.progress != nil {
		m.progress.Add(1, size)
	}
	return buf, nil
}

// matches reads a file by pieces of the size of buf, and tells whether its bytes
// are those that its name says. It reads one that is not so again: a transient
// fault of the path here is not damage there. What the drive cannot read is not
// so either, as long as the source gives anything.
func (m *mirroring) matches(ctx context.Context, f backend.File, buf []byte) (bool, error) {
	for range 2 {
		hash := sha256.New()
		left := m.source[f]
		for {
			piece := buf[:min(int64(len(buf)), left)]
			n, err := m.from.Load(ctx, f, m.source[f]-left, piece)
			if backend.IsUnreadable(err) && answers(ctx, m.from) {
				break
			}
			if err != nil {
				return false, err
			}
			hash.Write(piece[:n])
			if left -= int64(n); left == 0 || n < len(piece) {
				break
			}
		}
		if left == 0 && hex.EncodeToString(hash.Sum(nil)) == f.Name {
			return true, nil
		}
	}
	return false, nil
}

// makeRoom removes what was set aside long ago now, and not at the end, when the
// drive is full. It reports whether that was anything.
func (m *mirroring) makeRoom(ctx context.Context) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.swept {
		m.swept = true
		n, err := m.drop(ctx)
		m.room = n > 0 && err == nil
	}
	return m.room
}

// drop removes what was set aside long ago. Since a clock may have been wrong when
// it was set aside, or be wrong now, it waits as long again after every jump.
func (m *mirroring) drop(ctx context.Context) (int, error) {
	before := m.opt.Now.Add(-m.opt.Keep)
	if before.Before(m.mark.Since) {
		return 0, nil
	}
	n, err := m.to.DropAside(ctx, before)
	m.res.Dropped += n
	return n, err
}

func (m *mirroring) bad(f backend.File) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.res.Bad = append(m.res.Bad, f)
}

// finish sets aside what the source no longer has, if it is sure of that, and
// notes that the mirror is done: what is missing next time was removed by others.
func (m *mirroring) finish(ctx context.Context) error {
	if !m.res.Growing && !m.Refuse && len(m.res.Bad) == 0 {
		if err := m.setAside(ctx); err != nil {
			return err
		}
	}
	if _, err := m.drop(ctx); err != nil {
		return err
	}
	m.mark.Done = len(m.res.Bad) == 0
	return saveMark(ctx, m.to, m.mark)
}

// setAside takes files out of the mirror: first what needs others, then those.
func (m *mirroring) setAside(ctx context.Context) error {
	for _, kind := range []backend.Kind{backend.Snapshot, backend.Index, backend.Data, backend.Key} {
		for f, size := range m.target {
			if _, ok := m.source[f]; ok || f.Kind != kind {
				continue
			}
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
			if err := m.to.SetAside(ctx, f, m.day); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			m.res.Aside.add(size)
			if id, err := chunk.ParseID(f.Name); err == nil {
				m.mark.Aside = append(m.mark.Aside, id)
			}
		}
	}
	return nil
}
