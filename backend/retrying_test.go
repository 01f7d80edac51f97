package backend_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
)

// errPasses is what a busy server says.
var errPasses = backend.Temporary(errors.New("the server is busy"))

// everyThird lets each third operation fail with err, with or without its effect. Not those that find what an earlier try
// of theirs may have left: a file gone already when it is removed, a Config there already, which nobody can tell apart.
func everyThird(b backend.Backend, err error, late bool) backend.Backend {
	n := 0
	return backendtest.NewFaulty(b, backendtest.Faults{
		FailAt: 1, FailCount: -1, Late: late, Err: err,
		Only: func(op backendtest.Op) bool {
			n++
			_, err := b.Load(context.Background(), op.File, 0, nil)
			found := err == nil
			if op.Verb == backendtest.Remove && !found || op.Verb == backendtest.Save && op.File.Kind == backend.Config && found {
				return false
			}
			return n%3 == 0
		},
	})
}

// TestPersistent runs the suite over a place where each third operation fails for a reason that passes.
func TestPersistent(t *testing.T) {
	t.Parallel()
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprintf("late=%t", late), func(t *testing.T) {
			t.Parallel()
			backendtest.Run(t, func(*testing.T) backend.Backend {
				return backend.Persistent(backend.NetworkOptions{}, everyThird(backend.NewMemory(), errPasses, late))
			})
		})
	}
}

// scripted is a memory whose operations first say what is scripted, in turn; nil lets one pass. With late, the effect comes
// before.
type scripted struct {
	*backend.Memory
	answers []error
	late    bool
	calls   int
}

func (s *scripted) next() error {
	s.calls++
	if s.calls > len(s.answers) {
		return nil
	}
	return s.answers[s.calls-1]
}

func (s *scripted) Save(ctx context.Context, f backend.File, data []byte) error {
	answer := s.next()
	if answer == nil || s.late {
		if err := s.Memory.Save(ctx, f, data); err != nil {
			return err
		}
	}
	return answer
}

func (s *scripted) Load(ctx context.Context, f backend.File, offset int64, dst []byte) (int, error) {
	if err := s.next(); err != nil {
		clear(dst)
		return len(dst) / 2, err
	}
	return s.Memory.Load(ctx, f, offset, dst)
}

func (s *scripted) Remove(ctx context.Context, f backend.File) error {
	answer := s.next()
	if answer == nil || s.late {
		if err := s.Memory.Remove(ctx, f); err != nil {
			return err
		}
	}
	return answer
}

// List says what is scripted after three more files each time.
func (s *scripted) List(ctx context.Context, k backend.Kind) iter.Seq2[backend.Info, error] {
	return func(yield func(backend.Info, error) bool) {
		answer := s.next()
		n := 0
		for info, err := range s.Memory.List(ctx, k) {
			if n == 3*s.calls && answer != nil {
				yield(backend.Info{}, answer)
				return
			}
			n++
			if !yield(info, err) {
				return
			}
		}
	}
}

func times(n int, err error) []error { return slices.Repeat([]error{err}, n) }

// TestPauses looks at what is waited for in the bubble's time: twice as long each time, up to half a minute, for no longer
// than is asked for.
func TestPauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var pauses []time.Duration
		place := &scripted{Memory: backend.NewMemory(), answers: times(1000, errPasses)}
		b := backend.PersistentSlow(backend.NetworkOptions{
			Retry: 10 * time.Minute,
			Warn: func(err error, next time.Duration) {
				if !errors.Is(err, errPasses) {
					t.Errorf("warned of %v, want %v", err, errPasses)
				}
				pauses = append(pauses, next)
			},
		}, place)
		begun := time.Now()
		_, err := b.Load(t.Context(), backend.File{}, 0, nil)
		if !errors.Is(err, errPasses) || !backend.IsTemporary(err) || !strings.Contains(err.Error(), "given up after 9m") {
			t.Errorf("got error %v, want a temporary one that tells the time", err)
		}
		if took := time.Since(begun); took > 10*time.Minute || took < 9*time.Minute+30*time.Second {
			t.Errorf("given up after %v, want a little less than 10m", took)
		}
		most := 500 * time.Millisecond
		for i, pause := range pauses {
			if pause < most/2 || pause > most {
				t.Errorf("pause %d took %v, want %v to %v", i, pause, most/2, most)
			}
			most = min(2*most, 30*time.Second)
		}
		if place.calls != len(pauses)+1 {
			t.Errorf("got %d tries with %d pauses", place.calls, len(pauses))
		}
	})
}

func TestNoPauses(t *testing.T) {
	t.Parallel()
	errForGood := fmt.Errorf("refused: %w", fs.ErrPermission)
	for _, c := range []struct {
		retry time.Duration
		err   error
	}{{0, errForGood}, {-1, errPasses}} {
		place := &scripted{Memory: backend.NewMemory(), answers: times(3, c.err)}
		b := backend.PersistentSlow(backend.NetworkOptions{Retry: c.retry, Warn: func(err error, _ time.Duration) {
			t.Errorf("warned of %v", err)
		}}, place)
		if err := b.Save(t.Context(), backend.File{}, nil); err != c.err || place.calls != 1 {
			t.Errorf("got error %v after %d tries, want %v after 1", err, place.calls, c.err)
		}
	}
}

// TestManyPause warns once while several operations wait.
func TestManyPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		warnings := 0
		place := backendtest.NewFaulty(backend.NewMemory(), backendtest.Faults{FailAt: 1, FailCount: 10, Err: errPasses})
		b := backend.PersistentSlow(backend.NetworkOptions{Warn: func(error, time.Duration) { warnings++ }}, place)
		var group sync.WaitGroup
		for n := range 10 {
			group.Go(func() {
				data := backendtest.Bytes(n, 1)
				if err := b.Save(t.Context(), backendtest.Named(backend.Data, data), data); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if got := len(place.Ops()); warnings != 1 || got != 20 {
			t.Errorf("got %d warnings and %d tries, want 1 and 20", warnings, got)
		}
	})
}

// TestCancelledPause ends an operation while it waits, and one that the end of the context cuts off.
func TestCancelledPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
		defer cancel()
		begun := time.Now()
		b := backend.PersistentSlow(backend.NetworkOptions{}, &scripted{Memory: backend.NewMemory(), answers: times(1000, errPasses)})
		err := b.Save(ctx, backend.File{}, nil)
		if took := time.Since(begun); took != 100*time.Second || !errors.Is(err, context.DeadlineExceeded) || backend.IsTemporary(err) {
			t.Errorf("got error %v after %v, want %v after 100s", err, took, context.DeadlineExceeded)
		}
		place := &scripted{Memory: backend.NewMemory(), answers: times(1000, errPasses)}
		b = backend.PersistentSlow(backend.NetworkOptions{Warn: func(err error, _ time.Duration) { t.Errorf("warned of %v", err) }}, place)
		if err := b.Save(ctx, backend.File{}, nil); !errors.Is(err, context.DeadlineExceeded) || place.calls != 1 {
			t.Errorf("got error %v after %d tries, want %v after 1", err, place.calls, context.DeadlineExceeded)
		}
	})
}

// TestLostAnswers does what was done already, though the answer was lost.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	place := &scripted{Memory: backend.NewMemory(), late: true}
	b := backend.Persistent(backend.NetworkOptions{}, place)
	lose := func() { place.answers, place.calls = times(1, errPasses), 0 }
	config := backend.File{}

	lose()
	if err := b.Save(ctx, config, []byte("mine")); err != nil {
		t.Errorf("Save of the config: got %v, want it there", err)
	}
	place.calls, place.answers = 0, nil
	if err := b.Save(ctx, config, []byte("mine")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Save of a config that was there before: got %v, want %v", err, fs.ErrExist)
	}
	place.late = false // refused before: somebody else's has come in between
	for _, other := range []string{"", "mine, but longer", "theirs", "min"} {
		lose()
		if err := b.Save(ctx, config, []byte(other)); !errors.Is(err, fs.ErrExist) {
			t.Errorf("Save of %q, where another one came: got %v, want %v", other, err, fs.ErrExist)
		}
	}
	place.late = true

	data := []byte("a pack")
	f := backendtest.Named(backend.Data, data)
	for range 2 {
		lose()
		if err := b.Save(ctx, f, data); err != nil {
			t.Errorf("Save: %v", err)
		}
	}
	place.answers, place.calls = times(3, errPasses), 0
	if got, err := backendtest.Read(ctx, b, f); err != nil || string(got) != "a pack" {
		t.Errorf("Load: got %q, %v", got, err)
	}
	lose()
	if err := b.Remove(ctx, f); err != nil {
		t.Errorf("Remove: %v", err)
	}
	place.calls, place.answers = 0, nil
	if err := b.Remove(ctx, f); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Remove of what was not there before: got %v, want %v", err, fs.ErrNotExist)
	}
}

// TestListGoesOn cuts a list off again and again: each name comes once, and as long as it gets on, for hours.
func TestListGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		place := &scripted{Memory: backend.NewMemory(), answers: times(200, errPasses)}
		want := make(map[string]bool)
		for n := range 400 {
			f := backendtest.Named(backend.Data, backendtest.Bytes(n, 1))
			want[f.Name] = true
			if err := place.Memory.Save(t.Context(), f, nil); err != nil {
				t.Fatal(err)
			}
		}
		b := backend.PersistentSlow(backend.NetworkOptions{Retry: 20 * time.Second}, place)
		for info, err := range b.List(t.Context(), backend.Data) {
			if err != nil || !want[info.Name] {
				t.Fatalf("got %q, %v, want each name once", info.Name, err)
			}
			delete(want, info.Name)
		}
		if len(want) > 0 || place.calls != 134 {
			t.Errorf("%d names are missing after %d tries", len(want), place.calls)
		}

		place.calls, place.answers = 50, times(1000, errPasses) // it stops each time, and there is nothing new
		b = backend.PersistentSlow(backend.NetworkOptions{Retry: 20 * time.Second}, stuck{place})
		seen := 0
		for _, err := range b.List(t.Context(), backend.Data) {
			if seen++; err != nil && (seen != 4 || !backend.IsTemporary(err)) {
				t.Errorf("got %v after %d names, want a temporary error after 3", err, seen-1)
			}
		}
		if seen != 4 {
			t.Errorf("the loop was run %d times, want 4", seen)
		}
	})
}

// stuck never gets further than three names.
type stuck struct{ *scripted }

func (s stuck) List(ctx context.Context, k backend.Kind) iter.Seq2[backend.Info, error] {
	s.calls = 0
	return s.scripted.List(ctx, k)
}
