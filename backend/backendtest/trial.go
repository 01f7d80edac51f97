package backendtest

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"russet/backend"
)

// A Trial is a run, and what must hold wherever it is cut off and whatever fails in it:
//
//	trial := backendtest.Trial{Store: store, Run: run, Judge: judge}
//	trial.Crashes(t)
//	trial.Failures(t)
//
// A run that takes locks waits in them; in a bubble of testing/synctest that takes no time.
type Trial struct {
	// Store is what the run begins with. It is copied, never changed.
	Store backend.Backend
	// Run does the work on b, from the first call that a program makes to the last.
	Run func(ctx context.Context, b backend.Backend) error
	// Judge says what is wrong with what a run has left in b, and nil when all that must hold holds: that the repository
	// opens, that whatever was completed before comes back bit for bit, that the next run succeeds. With done, the run
	// had returned without an error, so what it made must be there, too. It may write to b, which is its own, and leave
	// locks there.
	Judge func(ctx context.Context, b backend.Backend, done bool) error
	// Every tries every point, and not only some of them, evenly spread: about as many crashes as Sample says, and in all
	// half as many failures. Zero means 32.
	Every  bool
	Sample int
}

const (
	usualSample = 32 // of a judge that takes some 20 ms; an eighth with -short
	ways        = 5  // to fail
)

// some is about how many crashes are tried.
func (tr Trial) some() int {
	if n := cmp.Or(tr.Sample, usualSample); !testing.Short() {
		return n
	}
	return usualSample / 8
}

// among is the step from one of total points to the next of about some that are tried.
func (tr Trial) among(total, some int) int {
	if tr.Every {
		return 1
	}
	return max(1, (total+some-1)/max(1, some))
}

// Crashes records one run and judges the storage after each of its crashes, in memory, or in a folder where a crash
// leaves an unfinished file. It returns how many they were, and logs it for who adds them up.
func (tr Trial) Crashes(t *testing.T) int {
	t.Helper()
	ctx := t.Context()
	store, err := Copy(ctx, tr.Store)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewRecorder(ctx, store)
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Run(ctx, r); err != nil {
		t.Fatalf("run without a fault: %v", err)
	}
	all := slices.Collect(r.Crashes())
	if len(all) < 4 {
		t.Fatalf("got %d ways to crash: does the run write anything?", len(all))
	}
	step := tr.among(len(all), tr.some())
	tried := 0
	for i, c := range all {
		if i%step != 0 && i != len(all)-1 {
			continue
		}
		tried++
		if err := tr.crash(t, r, c); err != nil {
			t.Fatalf("%v: %v", c, err)
		}
	}
	t.Logf("crash points: %d of %d, after %d changes", tried, len(all), len(r.Changes()))
	return tried
}

func (tr Trial) crash(t *testing.T, r *Recorder, c Crash) (err error) {
	t.Helper()
	ctx := t.Context()
	if c.torn < 0 || c.named {
		m, err := r.State(ctx, c)
		if err != nil {
			return err
		}
		return tr.Judge(ctx, m, r.Complete(c))
	}
	folder := t.TempDir()
	if err := r.Lay(ctx, c, folder); err != nil {
		return err
	}
	l, err := backend.OpenLocal(folder)
	if errors.Is(err, backend.ErrNoRepository) { // cut off before there was one: it is made anew
		l, err = backend.CreateLocal(ctx, folder)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	return tr.Judge(ctx, l, false)
}

// Failures runs again and again: the n-th operation fails, for every n, once, with its effect but without its answer, or it
// and all that follow; the process dies at the n-th write; the work is cancelled before the n-th operation. Each time it
// judges what is left. It returns how many points that were, and logs it.
func (tr Trial) Failures(t *testing.T) int {
	t.Helper()
	tried := 0
	for _, way := range []struct {
		name string
		give func(n int, cancel context.CancelFunc) Faults
	}{
		{"fails once", func(n int, _ context.CancelFunc) Faults { return Faults{FailAt: n} }},
		{"fails late", func(n int, _ context.CancelFunc) Faults { return Faults{FailAt: n, Late: true} }},
		{"fails ever", func(n int, _ context.CancelFunc) Faults { return Faults{FailAt: n, FailCount: -1} }},
		{"dies", func(n int, _ context.CancelFunc) Faults { return Faults{DieAt: n} }},
		{"is cancelled", func(n int, cancel context.CancelFunc) Faults {
			var count atomic.Int64
			return Faults{Before: func(context.Context, Op) error {
				if count.Add(1) == int64(n) {
					cancel()
				}
				return nil
			}}
		}},
	} {
		tried += tr.failures(t, way.name, way.give)
	}
	t.Logf("fault points: %d", tried)
	return tried
}

func (tr Trial) failures(t *testing.T, name string, give func(int, context.CancelFunc) Faults) (tried int) {
	t.Helper()
	total := tr.operations(t)
	step := tr.among(total, tr.some()/2/ways)
	for n := 1; ; n += step {
		store, err := Copy(t.Context(), tr.Store)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		faulty := NewFaulty(store, give(n, cancel))
		err = tr.Run(ctx, faulty)
		cancelled := ctx.Err() != nil
		cancel()
		if !faulty.Fired() && !cancelled {
			if err != nil {
				t.Fatalf("%s at %d, which did not come: %v", name, n, err)
			}
			return tried
		}
		tried++
		if err := tr.Judge(t.Context(), store, err == nil); err != nil {
			t.Fatalf("%s at %d of %d: %v\n%v", name, n, total, err, faulty.Ops())
		}
	}
}

// operations counts those of a run without a fault.
func (tr Trial) operations(t *testing.T) int {
	t.Helper()
	store, err := Copy(t.Context(), tr.Store)
	if err != nil {
		t.Fatal(err)
	}
	faulty := NewFaulty(store, Faults{})
	if err := tr.Run(t.Context(), faulty); err != nil {
		t.Fatalf("run without a fault: %v", err)
	}
	return len(faulty.Ops())
}
