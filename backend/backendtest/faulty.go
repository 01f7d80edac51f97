// Package backendtest checks that a backend keeps its promises, and makes one that breaks them on demand.
//
//	func TestMine(t *testing.T) { // the promises
//		backendtest.Run(t, func(t *testing.T) backend.Backend { return NewMine(t.TempDir()) })
//	}
//
//	for n := 1; ; n++ { // what happens to the caller when the n-th operation fails, for every n
//		b := backendtest.NewFaulty(store, backendtest.Faults{FailAt: n})
//		...
//		if !b.Fired() {
//			break
//		}
//	}
//
//	trial := backendtest.Trial{Store: store, Run: run, Judge: judge} // all of that, and every state that the power can
//	trial.Crashes(t)                                                // leave when it goes in the middle of a run
//	trial.Failures(t)
package backendtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"strconv"
	"sync"
	"syscall"

	"russet/backend"
)

// ErrInjected is what an operation that is told to fail says, unless Faults.Err says otherwise.
var ErrInjected = errors.New("injected fault")

// ErrDead is what every operation says after the process has "died".
var ErrDead = errors.New("the process is dead")

// A Verb is a method of a backend.
type Verb uint8

// The methods of backend.Backend.
const (
	Save Verb = iota
	Load
	List
	Remove
)

// verbNames are the words for the log.
var verbNames = [...]string{Save: "save", Load: "load", List: "list", Remove: "remove"}

// String gives the method's name in lower case.
func (v Verb) String() string {
	if int(v) < len(verbNames) {
		return verbNames[v]
	}
	return "verb " + strconv.Itoa(int(v))
}

// Writes reports whether the method changes what is stored.
func (v Verb) Writes() bool { return v == Save || v == Remove }

// Op is one call of a backend: Offset is that of a Load, Size the length of the data of a Save or of the buffer of a
// Load, and of a List only the Kind of File is set.
type Op struct {
	Verb   Verb
	File   backend.File
	Offset int64
	Size   int
}

// String gives the operation in one line, as for a log.
func (o Op) String() string {
	switch o.Verb {
	case Load:
		return fmt.Sprintf("%s %s %d+%d", o.Verb, o.File, o.Offset, o.Size)
	case Save:
		return fmt.Sprintf("%s %s %d", o.Verb, o.File, o.Size)
	case List:
		return fmt.Sprintf("%s %s", o.Verb, o.File.Kind)
	default:
		return fmt.Sprintf("%s %s", o.Verb, o.File)
	}
}

// Faults says what goes wrong. The zero value lets everything pass. Counting starts at 1, in the order in which the
// operations begin; a List counts when its loop begins.
type Faults struct {
	// FailAt is the first operation that fails, among those that Only admits. FailCount is how many fail in a row: one if it is
	// zero, all that follow if it is negative. One that fails has no effect, or with Late has it and loses the answer.
	FailAt    int
	FailCount int
	Late      bool
	Err       error         // ErrInjected if nil
	Only      func(Op) bool // nil admits all

	// DieAt is the write (Save or Remove) at which the process dies: it has no effect, and neither has anything after
	// it. With Tear, if it is a Save, the file appears with the first Tear(size) bytes, as on a place that is not atomic.
	DieAt int
	Tear  func(size int) int

	// Room is how many bytes can be saved until the place is full, if it is above zero. What is removed makes room.
	Room int64

	// Corrupt may change the bytes that a Load has read, or return fewer.
	Corrupt func(f backend.File, offset int64, data []byte) []byte

	// Before is called before each operation, counted or not, without a lock held: it may wait, cancel a context or
	// touch the store. An error is the operation's, which has no effect then.
	Before func(context.Context, Op) error
}

// Faulty is a backend that passes everything on to another one, except for its Faults, and keeps a log. It is as safe for
// concurrent use as the other one; which operation is the n-th is decided once for each.
type Faulty struct {
	inner  backend.Backend
	faults Faults

	mu      sync.Mutex
	log     []Op
	counted int   // operations that Only admitted
	writes  int   // operations that write
	room    int64 // what is left of Faults.Room
	dead    bool
	fired   bool
}

var _ backend.Backend = (*Faulty)(nil)

// NewFaulty wraps b.
func NewFaulty(b backend.Backend, f Faults) *Faulty {
	if f.Err == nil {
		f.Err = ErrInjected
	}
	if f.FailCount == 0 {
		f.FailCount = 1
	}
	return &Faulty{inner: b, faults: f, room: f.Room}
}

// Fired reports whether a fault has happened: FailAt or DieAt was reached, the place was full, or Corrupt changed bytes.
func (b *Faulty) Fired() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.fired
}

// Ops returns the operations so far in the order in which they began, those that failed too, and those after death not.
func (b *Faulty) Ops() []Op {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Op(nil), b.log...)
}

// verdict is what is decided about an operation before it runs.
type verdict struct {
	err  error // instead of the effect
	late error // after it
	torn bool  // the Save that the process dies in
}

// judge counts an operation and decides about it.
func (b *Faulty) judge(ctx context.Context, op Op) verdict {
	if !b.died() && b.faults.Before != nil {
		if err := b.faults.Before(ctx, op); err != nil {
			return verdict{err: err}
		}
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dead {
		return verdict{err: ErrDead}
	}
	b.log = append(b.log, op)
	if op.Verb.Writes() {
		b.writes++
		if b.writes == b.faults.DieAt {
			b.dead, b.fired = true, true
			return verdict{err: ErrDead, torn: op.Verb == Save && b.faults.Tear != nil}
		}
	}
	if b.faults.FailAt == 0 || b.faults.Only != nil && !b.faults.Only(op) {
		return verdict{}
	}
	b.counted++
	past := b.counted - b.faults.FailAt
	if past < 0 || b.faults.FailCount > 0 && past >= b.faults.FailCount {
		return verdict{}
	}
	b.fired = true
	if b.faults.Late {
		return verdict{late: b.faults.Err}
	}
	return verdict{err: b.faults.Err}
}

func (b *Faulty) died() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dead
}

// say gives an injected error the form of a real one.
func say(op Op, err error) error { return fmt.Errorf("%s: %w", op, err) }

// Save passes on or fails.
func (b *Faulty) Save(ctx context.Context, f backend.File, data []byte) error {
	op := Op{Verb: Save, File: f, Size: len(data)}
	v := b.judge(ctx, op)
	if v.torn {
		n := min(max(b.faults.Tear(len(data)), 0), len(data))
		// That the store refuses it is no fault of the process that is dead.
		_ = b.inner.Save(context.WithoutCancel(ctx), f, data[:n])
	}
	if v.err != nil {
		return say(op, v.err)
	}
	if !b.take(int64(len(data))) {
		return say(op, &fs.PathError{Op: "write", Path: f.String(), Err: syscall.ENOSPC})
	}
	if err := b.inner.Save(ctx, f, data); err != nil {
		b.give(int64(len(data)))
		return err
	}
	if v.late != nil {
		return say(op, v.late)
	}
	return nil
}

// Load passes on, fails, or gives other bytes.
func (b *Faulty) Load(ctx context.Context, f backend.File, offset int64, dst []byte) (int, error) {
	op := Op{Verb: Load, File: f, Offset: offset, Size: len(dst)}
	v := b.judge(ctx, op)
	if v.err != nil {
		return 0, say(op, v.err)
	}
	n, err := b.inner.Load(ctx, f, offset, dst)
	switch {
	case err != nil:
		return n, err
	case v.late != nil:
		return 0, say(op, v.late)
	case b.faults.Corrupt == nil:
		return n, nil
	}
	return b.corrupt(f, offset, dst[:n]), nil
}

func (b *Faulty) corrupt(f backend.File, offset int64, data []byte) int {
	before := string(data)
	changed := b.faults.Corrupt(f, offset, data)
	n := copy(data, changed)
	if string(data[:n]) != before {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.fired = true
	}
	return n
}

// List passes on or fails; with Late it fails after the last file.
func (b *Faulty) List(ctx context.Context, k backend.Kind) iter.Seq2[backend.Info, error] {
	return func(yield func(backend.Info, error) bool) {
		op := Op{Verb: List, File: backend.File{Kind: k}}
		v := b.judge(ctx, op)
		if v.err != nil {
			yield(backend.Info{}, say(op, v.err))
			return
		}
		for info, err := range b.inner.List(ctx, k) {
			if b.died() {
				yield(backend.Info{}, say(op, ErrDead))
				return
			}
			if !yield(info, err) || err != nil {
				return
			}
		}
		if v.late != nil {
			yield(backend.Info{}, say(op, v.late))
		}
	}
}

// Remove passes on or fails.
func (b *Faulty) Remove(ctx context.Context, f backend.File) error {
	op := Op{Verb: Remove, File: f}
	v := b.judge(ctx, op)
	if v.err != nil {
		return say(op, v.err)
	}
	var size int64
	if b.faults.Room > 0 {
		size = sizeOf(ctx, b.inner, f)
	}
	if err := b.inner.Remove(ctx, f); err != nil {
		return err
	}
	b.give(size)
	if v.late != nil {
		return say(op, v.late)
	}
	return nil
}

// take uses up room.
func (b *Faulty) take(n int64) bool {
	if b.faults.Room <= 0 {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > b.room {
		b.fired = true
		return false
	}
	b.room -= n
	return true
}

func (b *Faulty) give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.room += n
}

// sizeOf returns 0 for what is not there.
func sizeOf(ctx context.Context, b backend.Backend, f backend.File) int64 {
	for info, err := range b.List(ctx, f.Kind) {
		if err == nil && info.Name == f.Name {
			return info.Size
		}
	}
	return 0
}
