package backendtest

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"sync"

	"russet/backend"
)

// Recorder is a backend that passes everything on to another one and remembers every change, so that what the storage can
// hold when the power goes, at any moment, can be made again: see [Recorder.Crashes]. It may be used concurrently;
// changes take effect one after the other. A change that fails is taken to have none.
type Recorder struct {
	inner  backend.Backend
	before map[backend.File][]byte // what was there when the recording began

	order   sync.Mutex // held while a change takes effect
	mu      sync.Mutex // guards all below
	changes []Change
	moments []moment
}

// A Change is one Save or Remove.
type Change struct {
	Op
	data []byte // of a Save
}

// moment is the beginning of a change, or its end.
type moment struct {
	change int // its number
	end    bool
}

var _ backend.Backend = (*Recorder)(nil)

// NewRecorder begins to record what happens to b.
func NewRecorder(ctx context.Context, b backend.Backend) (*Recorder, error) {
	before := make(map[backend.File][]byte)
	for k := backend.Config; k <= backend.Data; k++ {
		for info, err := range b.List(ctx, k) {
			if err != nil {
				return nil, fmt.Errorf("begin to record: %w", err)
			}
			f := backend.File{Kind: k, Name: info.Name}
			data, err := Read(ctx, b, f)
			if err != nil {
				return nil, fmt.Errorf("begin to record: %w", err)
			}
			before[f] = data
		}
	}
	return &Recorder{inner: b, before: before}, nil
}

// Changes returns the changes that have ended, in the order in which they took effect.
func (r *Recorder) Changes() []Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	var done []Change
	for _, m := range r.moments {
		if m.end {
			done = append(done, r.changes[m.change])
		}
	}
	return done
}

// record notes the beginning of a change, makes it, and notes its end.
func (r *Recorder) record(c Change, do func() error) error {
	r.mu.Lock()
	number := len(r.changes)
	r.changes = append(r.changes, c)
	r.moments = append(r.moments, moment{change: number})
	r.mu.Unlock()
	for range 10 {
		runtime.Gosched() // what can happen at once, shall
	}
	r.order.Lock()
	defer r.order.Unlock()
	err := do()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.moments = append(r.moments, moment{number, true})
		return nil
	}
	r.moments = slices.DeleteFunc(r.moments, func(m moment) bool { return m.change == number })
	return err
}

// Save passes on.
func (r *Recorder) Save(ctx context.Context, f backend.File, data []byte) error {
	c := Change{Op{Verb: Save, File: f, Size: len(data)}, bytes.Clone(data)}
	return r.record(c, func() error { return r.inner.Save(ctx, f, data) })
}

// Remove passes on.
func (r *Recorder) Remove(ctx context.Context, f backend.File) error {
	return r.record(Change{Op: Op{Verb: Remove, File: f}}, func() error { return r.inner.Remove(ctx, f) })
}

// Load passes on.
func (r *Recorder) Load(ctx context.Context, f backend.File, offset int64, dst []byte) (int, error) {
	return r.inner.Load(ctx, f, offset, dst)
}

// List passes on.
func (r *Recorder) List(ctx context.Context, k backend.Kind) iter.Seq2[backend.Info, error] {
	return r.inner.List(ctx, k)
}

// A Crash is one way in which a recording can be cut off: when, and what of the changes that were on their way, or not yet
// synced, the storage has. What has ended is there, since Save and Remove promise so; only packs that were removed may
// come back.
type Crash struct {
	when  string  // for a log: after what
	after int     // so many beginnings and ends of changes were before
	kept  []int   // the changes on their way that took effect; the others have none
	back  []int   // the removals of packs that are undone
	torn  int     // a Save on its way of which a part was written, or -1
	part  int     // how many bytes of it
	named bool    // the part stands under the file's own name (a pack's only), not under a temporary one
	sum   content // of what the storage has
}

// String says what was cut off.
func (c Crash) String() string {
	text := fmt.Sprintf("crash after %d, %s", c.after, c.when)
	if len(c.kept) > 0 {
		text += fmt.Sprintf(", %d on their way are there", len(c.kept))
	}
	if len(c.back) > 0 {
		text += fmt.Sprintf(", %d removed packs are there again", len(c.back))
	}
	if c.torn >= 0 {
		text += fmt.Sprintf(", one torn at byte %d", c.part)
		if c.named {
			text += " under its own name"
		}
	}
	return text
}

// Crashes yields every crash of the recording so far, each state of the storage once:
//
//   - before and after each change, with none, each one, and all of the changes on their way;
//   - each Save on its way torn: for a folder that is an unfinished file under a temporary name, since package durable
//     syncs a file before it renames it; a pack also under its own name, as a place that is not atomic leaves it;
//   - removals of packs, which no backend syncs, undone: each one, and all.
func (r *Recorder) Crashes() iter.Seq[Crash] {
	r.mu.Lock()
	changes, moments := slices.Clone(r.changes), slices.Clone(r.moments)
	r.mu.Unlock()
	return func(yield func(Crash) bool) {
		s := newReplay(r.before, changes)
		seen := make(map[content]bool)
		for after := 0; ; after++ {
			for c := range s.crashes() {
				c.after = after
				end := after == len(moments) && len(c.back) == 0 // what is done must be judged as that
				if seen[c.sum] && !end {
					continue
				}
				seen[c.sum] = true
				if !yield(c) {
					return
				}
			}
			if after == len(moments) {
				return
			}
			s.advance(moments[after])
		}
	}
}

// Complete reports whether every change has ended before the crash, and none is undone.
func (r *Recorder) Complete(c Crash) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return c.after == len(r.moments) && len(c.back) == 0
}

// State makes what the storage has after a crash. Unfinished files, which no backend lists, are left out.
func (r *Recorder) State(ctx context.Context, c Crash) (*backend.Memory, error) {
	m := backend.NewMemory()
	for f, data := range r.files(c) {
		if err := m.Save(ctx, f, data); err != nil {
			return nil, fmt.Errorf("make the state after a crash: %w", err)
		}
	}
	return m, nil
}

// files are those that the storage has after a crash.
func (r *Recorder) files(c Crash) map[backend.File][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := newReplay(r.before, r.changes)
	for _, m := range r.moments[:c.after] {
		s.advance(m)
	}
	for _, number := range c.kept {
		s.apply(number)
	}
	for _, number := range c.back {
		s.files[r.changes[number].File] = s.removed[number]
	}
	if c.torn >= 0 && c.named {
		s.files[r.changes[c.torn].File] = r.changes[c.torn].data[:c.part]
	}
	return s.files
}
