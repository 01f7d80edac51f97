package backendtest_test

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
)

// recorded is work on an empty place.
func recorded(t *testing.T) *backendtest.Recorder {
	t.Helper()
	r, err := backendtest.NewRecorder(t.Context(), backend.NewMemory())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := work(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return r
}

// states are all that a storage can be in while work saves three packs and removes the last.
var states = []string{
	"", "z", "ze", "zer", "zero", " zero", "o zero", "on zero", "one zero", " one zero", "one t zero", "one tw zero", "one two zero",
}

// TestCrashes wants all states, and no others.
func TestCrashes(t *testing.T) {
	t.Parallel()
	r := recorded(t)
	got := make(map[string]int)
	complete := 0
	for c := range r.Crashes() {
		m, err := r.State(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		got[strings.Join(contents(t, m), " ")]++
		if r.Complete(c) {
			complete++
			wantContents(t, m, "one", "zero")
		}
	}
	for state := range got {
		if !slices.Contains(states, state) {
			t.Errorf("got a state %q", state)
		}
	}
	for _, state := range states {
		if got[state] == 0 {
			t.Errorf("got no state %q", state)
		}
	}
	if complete != 1 || len(r.Changes()) != 4 {
		t.Errorf("got %d complete states after %d changes, want 1 after 4", complete, len(r.Changes()))
	}
}

// TestCrashUndoesRemoval: packs that were removed may be there again, until the end.
func TestCrashUndoesRemoval(t *testing.T) {
	t.Parallel()
	r := recorded(t)
	if err := r.Save(t.Context(), backendtest.Named(backend.Index, []byte("index")), []byte("index")); err != nil {
		t.Fatal(err)
	}
	last := 0
	for c := range r.Crashes() {
		m, err := r.State(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		index, err := backendtest.Read(t.Context(), m, backendtest.Named(backend.Index, []byte("index")))
		if err == nil && string(index) == "index" && slices.Contains(contents(t, m), "two") {
			if last++; r.Complete(c) {
				t.Errorf("%v is called complete", c)
			}
		}
	}
	if last != 1 {
		t.Errorf("got %d states with the index and the removed pack, want 1", last)
	}
}

// TestLay writes states into folders, in which unfinished files lie that nobody lists.
func TestLay(t *testing.T) {
	t.Parallel()
	store := backend.NewMemory()
	if err := store.Save(t.Context(), backend.File{}, []byte("config")); err != nil {
		t.Fatal(err)
	}
	r, err := backendtest.NewRecorder(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := work(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	unfinished := 0
	for c := range r.Crashes() {
		folder := t.TempDir()
		if err := r.Lay(t.Context(), c, folder); err != nil {
			t.Fatal(err)
		}
		l, err := backend.OpenLocal(folder)
		if err != nil {
			t.Fatal(err)
		}
		m, err := r.State(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		wantContents(t, l, contents(t, m)...)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		err = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if strings.Contains(filepath.Base(path), "-tmp-") {
				unfinished++
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if unfinished < 6 {
		t.Errorf("got %d unfinished files", unfinished)
	}
}

// TestRecorderPassesErrors: a change that failed is none.
func TestRecorderPassesErrors(t *testing.T) {
	t.Parallel()
	r, err := backendtest.NewRecorder(t.Context(), backendtest.NewFaulty(backend.NewMemory(), backendtest.Faults{FailAt: 8}))
	if err != nil {
		t.Fatal(err)
	}
	if step, err := work(t.Context(), r); step != 2 || !errors.Is(err, backendtest.ErrInjected) {
		t.Fatalf("got %d, %v, want 2", step, err)
	}
	if done := r.Changes(); len(done) != 1 || done[0].Size != len(packs[0]) {
		t.Errorf("got %v, want the first save", done)
	}
}

// TestTrial finds a run that is not safe to cut off, and judges one that is at each of its points.
func TestTrial(t *testing.T) {
	t.Parallel()
	judged, unsafe := 0, 0
	tr := backendtest.Trial{
		Store: backend.NewMemory(), Every: true,
		Run: func(ctx context.Context, b backend.Backend) error { _, err := work(ctx, b); return err },
		Judge: func(ctx context.Context, b backend.Backend, done bool) error {
			judged++
			got := contents(t, b)
			if done && !slices.Equal(got, []string{"one", "zero"}) {
				t.Errorf("got %q of a run that is done", got)
			}
			if slices.Contains(got, "zero") && !slices.Contains(got, "one") {
				unsafe++
			}
			return nil
		},
	}
	crashes, failures := tr.Crashes(t), tr.Failures(t)
	if crashes < 15 || failures < 25 || judged != crashes+failures || unsafe == 0 {
		t.Errorf("got %d crashes and %d failures, judged %d, unsafe %d", crashes, failures, judged, unsafe)
	}
}
