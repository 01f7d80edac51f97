package repo

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
)

// faultyPlace is a mirror's place at which the n-th change fails, or the process
// dies.
type faultyPlace struct {
	*backend.Memory
	at  int
	die bool

	mu    sync.Mutex
	n     int
	fired bool
}

func (p *faultyPlace) change() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	if p.n == p.at || p.die && p.n > p.at {
		p.fired = true
		return backendtest.ErrInjected
	}
	return nil
}

func (p *faultyPlace) Save(ctx context.Context, f backend.File, data []byte) error {
	if err := p.change(); err != nil {
		return err
	}
	return p.Memory.Save(ctx, f, data)
}

func (p *faultyPlace) SaveMark(ctx context.Context, data []byte) error {
	if err := p.change(); err != nil {
		return err
	}
	return p.Memory.SaveMark(ctx, data)
}

func (p *faultyPlace) SetAside(ctx context.Context, f backend.File, day time.Time) error {
	if err := p.change(); err != nil {
		return err
	}
	return p.Memory.SetAside(ctx, f, day)
}

func (p *faultyPlace) DropAside(ctx context.Context, before time.Time) (int, error) {
	if err := p.change(); err != nil {
		return 0, err
	}
	return p.Memory.DropAside(ctx, before)
}

// TestMirrorIsAlwaysUsable cuts the first run and the next one off at every
// change of the mirror: it is usable at each of them, and the run after is as if
// nothing had happened, whatever has become of the source meanwhile.
func TestMirrorIsAlwaysUsable(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	before, after := twoGenerations(t)
	opt := MirrorOptions{Now: testTime()}
	full := newMirror(t, before)
	if _, err := mirrorAll(ctx, before, full, opt); err != nil {
		t.Fatal(err)
	}
	mark, err := full.LoadMark(ctx)
	if err != nil {
		t.Fatal(err)
	}
	stride := 3
	if *everyPoint {
		stride = 1
	}
	for _, first := range []bool{true, false} {
		for _, die := range []bool{true, false} {
			for n := 1 + rand.IntN(stride); ; n += stride {
				to, source := backend.NewMemory(), after
				if first {
					source = before
				} else {
					if to, err = backendtest.Copy(ctx, full); err != nil {
						t.Fatal(err)
					}
					if err := to.SaveMark(ctx, mark); err != nil {
						t.Fatal(err)
					}
				}
				place := &faultyPlace{Memory: to, at: n, die: die}
				if first {
					err = InitMirror(ctx, source, place, testTime())
				}
				if err == nil {
					_, err = mirrorAll(ctx, source, place, opt)
				}
				if place.fired && err == nil {
					t.Fatalf("change %d: no error", n)
				}
				usable(t, to)
				if first {
					if err := InitMirror(ctx, before, to, testTime()); err != nil {
						t.Fatalf("change %d: begun again: %v", n, err)
					}
				}
				if _, err := mirrorAll(ctx, after, to, opt); err != nil {
					t.Fatalf("change %d: again: %v", n, err)
				}
				mirrored(t, after, to)
				if !place.fired {
					break
				}
				err = nil
			}
		}
	}
}

// TestMirrorOfFailingSource fails at every operation of the source.
func TestMirrorOfFailingSource(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	before, after := twoGenerations(t)
	for n := 1; ; n++ {
		to := newMirror(t, before)
		if _, err := mirrorAll(ctx, before, to, MirrorOptions{Now: testTime()}); err != nil {
			t.Fatal(err)
		}
		faulty := backendtest.NewFaulty(after, backendtest.Faults{FailAt: n})
		if _, err := mirrorAll(ctx, faulty, to, MirrorOptions{Now: testTime()}); faulty.Fired() != (err != nil) {
			t.Fatalf("operation %d: got %v", n, err)
		}
		usable(t, to)
		if _, err := mirrorAll(ctx, after, to, MirrorOptions{Now: testTime()}); err != nil {
			t.Fatal(err)
		}
		mirrored(t, after, to)
		if !faulty.Fired() {
			break
		}
	}
}

// fullPlace has no room before something that was set aside is removed.
type fullPlace struct {
	*backend.Memory
	mu   sync.Mutex
	full bool
}

func (p *fullPlace) Save(ctx context.Context, f backend.File, data []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.full {
		return syscall.ENOSPC
	}
	return p.Memory.Save(ctx, f, data)
}

func (p *fullPlace) DropAside(ctx context.Context, before time.Time) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, err := p.Memory.DropAside(ctx, before)
	p.full = p.full && n == 0
	return n, err
}

// TestMirrorMakesRoom removes what was set aside long ago before its time when
// the drive is full, and nothing else.
func TestMirrorMakesRoom(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	before, after := twoGenerations(t)
	for _, days := range []int{1, 40} {
		to := &fullPlace{Memory: newMirror(t, before)}
		for _, source := range []backend.Backend{before, after} {
			if _, err := mirrorAll(ctx, source, to, MirrorOptions{Now: testTime()}); err != nil {
				t.Fatal(err)
			}
		}
		later, err := backendtest.Copy(ctx, after)
		if err != nil {
			t.Fatal(err)
		}
		if err := backup(ctx, later, map[string][]byte{"new": payload(8, 1000)}); err != nil {
			t.Fatal(err)
		}
		to.full = true
		res, err := mirrorAll(ctx, later, to, MirrorOptions{Now: testTime().AddDate(0, 0, days)})
		if old := days > 30; old != (err == nil) || old != (res.Dropped > 0) || !old && !backend.IsFull(err) {
			t.Errorf("day %d: got %+v, %v", days, res, err)
		}
		usable(t, to)
	}
}

// step is one change of a source.
type step func(ctx context.Context, be backend.Backend) error

// steps are the changes that lead from one state of a source to another, in the
// order of a forget, a prune and a backup.
func steps(t *testing.T, before, after backend.Backend) []step {
	t.Helper()
	old, fresh := filesOf(t, before), filesOf(t, after)
	var all []step
	remove := func(kind backend.Kind) {
		for f := range old {
			if _, ok := fresh[f]; f.Kind == kind && !ok {
				all = append(all, func(ctx context.Context, be backend.Backend) error { return be.Remove(ctx, f) })
			}
		}
	}
	add := func(kind backend.Kind) {
		for f, data := range fresh {
			if _, ok := old[f]; f.Kind == kind && !ok {
				all = append(all, func(ctx context.Context, be backend.Backend) error { return be.Save(ctx, f, []byte(data)) })
			}
		}
	}
	remove(backend.Snapshot)
	add(backend.Data)
	add(backend.Index)
	remove(backend.Index)
	remove(backend.Data)
	add(backend.Snapshot)
	return all
}

// slowList lists as a folder does: what is added or removed meanwhile is met, or
// not.
type slowList struct {
	backend.Backend
	before func() error // each file
}

func (b slowList) List(ctx context.Context, k backend.Kind) iter.Seq2[backend.Info, error] {
	return func(yield func(backend.Info, error) bool) {
		for last := ""; ; {
			if err := b.before(); err != nil {
				yield(backend.Info{}, err)
				return
			}
			var next backend.Info
			for info, err := range b.Backend.List(ctx, k) {
				if err != nil {
					yield(info, err)
					return
				}
				if info.Name > last && (next.Name == "" || info.Name < next.Name) {
					next = info
				}
			}
			if next.Name == "" || !yield(next, nil) {
				return
			}
			last = next.Name
		}
	}
}

// TestMirrorOfMovingSource changes the source beginning with every operation of a
// run, by one step or several with each operation.
func TestMirrorOfMovingSource(t *testing.T) {
	t.Parallel()
	start, after := twoGenerations(t)
	grown, err := backendtest.Copy(t.Context(), start)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(t.Context(), grown, testPassword)
	if err != nil {
		t.Fatal(err)
	}
	saveFiles(t, r, map[string][]byte{"new": payload(7, 3000)})
	stride := 5
	if *everyPoint {
		stride = 1
	}
	for _, end := range []backend.Backend{after, grown} {
		all := steps(t, start, end)
		for _, pace := range []int{1, 3, len(all)} {
			for n := 1 + rand.IntN(stride); mirrorMoving(t, start, all, n, pace); n += stride {
			}
		}
	}
}

// TestMirrorListsTwice replaces an index file while the index is listed, so that
// the list has neither the old one nor the new one.
func TestMirrorListsTwice(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	start := backend.NewMemory()
	r := initRepo(t, start, 2)
	for n := range 2 {
		saveFiles(t, r, map[string][]byte{"a": payload(uint64(n), 1000)})
	}
	infos := slices.Collect(func(yield func(string) bool) {
		for info := range start.List(ctx, backend.Index) { // sorted
			yield(info.Name)
		}
	})
	old := backend.File{Kind: backend.Index, Name: infos[1]}
	id, err := chunk.ParseID(old.Name)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := r.loadUnpacked(ctx, backend.Index, id)
	if err != nil {
		t.Fatal(err)
	}
	spare := &Repository{be: backend.NewMemory(), key: r.key, config: r.config, codec: r.codec}
	fresh := old
	for fresh.Name >= infos[0] {
		if id, err = spare.saveUnpacked(ctx, backend.Index, plain); err != nil {
			t.Fatal(err)
		}
		fresh.Name = id.String()
	}
	data, err := backendtest.Read(ctx, spare.be, fresh)
	if err != nil {
		t.Fatal(err)
	}
	replace := func(ctx context.Context, be backend.Backend) error {
		return errors.Join(be.Save(ctx, fresh, data), be.Remove(ctx, old))
	}
	for n := 1; mirrorMoving(t, start, []step{replace}, n, 1); n++ {
	}
}

// mirrorMoving mirrors a source that changes from its n-th operation on, and
// reports whether there was one.
func mirrorMoving(t *testing.T, start backend.Backend, all []step, n, pace int) bool {
	t.Helper()
	ctx := t.Context()
	source, err := backendtest.Copy(ctx, start)
	if err != nil {
		t.Fatal(err)
	}
	to := newMirror(t, source)
	var mu sync.Mutex
	ops, rest := 0, all
	move := func() error {
		mu.Lock()
		defer mu.Unlock()
		if ops++; ops < n {
			return nil
		}
		for range min(pace, len(rest)) {
			if err := rest[0](ctx, source); err != nil {
				return err
			}
			rest = rest[1:]
		}
		return nil
	}
	moving := backendtest.NewFaulty(slowList{source, move}, backendtest.Faults{Before: func(_ context.Context, op backendtest.Op) error {
		if op.Verb == backendtest.List {
			return nil
		}
		return move()
	}})
	for again := true; again; {
		plan, err := PlanMirror(ctx, moving, to, MirrorOptions{Now: testTime(), Many: true})
		if err != nil {
			t.Fatalf("operation %d: %v", n, err)
		}
		res, err := plan.Apply(ctx, nil)
		if err != nil {
			t.Fatalf("operation %d: %v", n, err)
		}
		usable(t, to)
		again = res.Again || res.Growing
	}
	changed := len(rest) < len(all)
	for ; len(rest) > 0; rest = rest[1:] {
		if err := rest[0](ctx, source); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := mirrorAll(ctx, source, to, MirrorOptions{Now: testTime(), Many: true}); err != nil {
		t.Fatal(err)
	}
	mirrored(t, source, to)
	return changed
}
