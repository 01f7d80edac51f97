package repo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
)

// saveState saves a state that holds one file.
func saveState(ctx context.Context, s *States, name, text string) error {
	return s.Save(ctx, name, func(w *StateWriter) (*Tree, error) {
		n, err := w.File(ctx, "file", []byte(text))
		if err != nil {
			return nil, err
		}
		below, err := w.Folder(ctx, "folder", new(Tree))
		return &Tree{Nodes: []*Node{n, below}}, err
	})
}

// loadState loads what saveState saved.
func loadState(ctx context.Context, r *Repository, s *States, name string) (string, error) {
	tree, err := s.Load(ctx, name)
	if err != nil {
		return "", err
	}
	n := tree.Find("file")
	if n == nil || tree.Find("folder") == nil {
		return "", errors.New("its files are others")
	}
	data, err := r.ReadFile(ctx, n.Content, 100)
	return string(data), err
}

func TestStates(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	r := initRepo(t, backend.NewMemory(), 2)
	opt := StateOptions{Owner: Owner{Username: "ada", Time: testTime()}, Version: "test"}
	one, other, kin := r.NewStates("new", opt), r.NewStates("new", opt), r.NewStates("newer", opt)
	for _, s := range []*States{one, other, kin} {
		if _, err := s.Load(ctx, "a"); !errors.Is(err, NoState) {
			t.Fatalf("of what is not there: %v", err)
		}
	}
	if err := errors.Join(saveState(ctx, one, "a", "first"), saveState(ctx, one, "a", "second"), saveState(ctx, kin, "a", "kin")); err != nil {
		t.Fatal(err)
	}
	if err := saveState(ctx, other, "a", "lost"); !errors.Is(err, StateChanged) {
		t.Errorf("of two that save the second one: %v", err)
	}
	if got, err := loadState(ctx, r, other, "a"); err != nil || got != "second" {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := loadState(ctx, r, kin, "a"); err != nil || got != "kin" {
		t.Errorf("of another kind: got %q, %v", got, err)
	}
	all, err := r.AllSnapshots(ctx)
	if err != nil || len(all) != 2 {
		t.Fatalf("%d snapshots, %v, want the newest of each name", len(all), err)
	}
	s := all[1]
	name, ok := s.StateName("new")
	if !ok || name != "a" || s.Hostname != "russet-new" || fmt.Sprint(s.Tags, s.Paths) != "[russet-new] [/russet-new/a]" || !s.Time.Equal(testTime().Add(time.Millisecond)) {
		t.Errorf("the snapshot is %+v", s)
	}
	if names, err := one.Names(ctx); err != nil || fmt.Sprint(names) != "[a]" {
		t.Errorf("names are %v, %v", names, err)
	}
	if err := other.Remove(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if err := saveState(ctx, one, "a", "back"); !errors.Is(err, NoState) {
		t.Errorf("saved after the removal: %v", err)
	}
	if _, err := one.Load(ctx, "a"); !errors.Is(err, NoState) {
		t.Errorf("after the removal: %v", err)
	}
	if err := one.Remove(ctx, "a"); !errors.Is(err, NoState) { // it was looked for, and there is none
		t.Errorf("the removal of what was not found: %v", err)
	}
	if err := r.NewStates("new", opt).Remove(ctx, "a"); !errors.Is(err, NoState) {
		t.Errorf("the removal of what is not there: %v", err)
	}
}

// TestBadState: a state whose folder is gone says so, and can be removed.
func TestBadState(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	r := initRepo(t, backend.NewMemory(), 2)
	s := r.NewStates("new", StateOptions{Owner: Owner{Time: testTime()}})
	snap := saveFiles(t, r, map[string][]byte{"x": []byte("x")})
	snap.Paths = []string{"/russet-new/a"}
	if _, err := r.SaveSnapshot(ctx, snap); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(ctx, "a"); !errors.Is(err, BadState) {
		t.Errorf("got %v, want BadState", err)
	}
	if err := r.NewStates("new", StateOptions{}).Remove(ctx, "a"); err != nil {
		t.Error(err)
	}
	if _, err := s.Load(ctx, "a"); !errors.Is(err, NoState) {
		t.Errorf("after the removal: %v", err)
	}
}

// TestStateDamage: a damaged snapshot hides no state but its own.
func TestStateDamage(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	s := r.NewStates("new", StateOptions{Owner: Owner{Time: testTime()}})
	damage := func(name string) {
		t.Helper()
		if _, err := s.Load(ctx, name); !errors.Is(err, NoState) {
			t.Fatal(err)
		}
		before := files(t, be)
		if err := saveState(ctx, s, name, "damaged"); err != nil {
			t.Fatal(err)
		}
		for _, f := range files(t, be) {
			if f.Kind == backend.Snapshot && !slices.Contains(before, f) {
				if err := backendtest.Damage(ctx, be, f, func(b []byte) []byte { b[9] ^= 1; return b }); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	damage("a")
	if names, err := s.Names(ctx); !errors.Is(err, ErrDamaged) {
		t.Errorf("of nothing else: got %v, %v, want ErrDamaged", names, err)
	}
	if _, err := s.Load(ctx, "b"); !errors.Is(err, ErrDamaged) {
		t.Errorf("of nothing else: got %v, want ErrDamaged", err)
	}
	if err := saveState(ctx, s, "b", "whole"); err != nil {
		t.Fatal(err)
	}
	if names, err := s.Names(ctx); err != nil || fmt.Sprint(names) != "[b]" {
		t.Errorf("names are %v, %v", names, err)
	}
	if got, err := loadState(ctx, r, s, "b"); err != nil || got != "whole" {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestStateGivenUp: a place that was waited for in vain makes no state damaged, nor
// absent, and no older one the newest.
func TestStateGivenUp(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store := backend.NewMemory()
	r := initRepo(t, store, 2)
	stay := backendtest.Faults{FailAt: 1, FailCount: -1, Only: func(op backendtest.Op) bool { return op.Verb == backendtest.Remove }}
	s := on(r, backendtest.NewFaulty(store, stay)).NewStates("new", StateOptions{Owner: Owner{Time: testTime()}})
	if _, err := s.Load(ctx, "a"); !errors.Is(err, NoState) {
		t.Fatal(err)
	}
	if err := errors.Join(saveState(ctx, s, "a", "old"), saveState(ctx, s, "a", "new")); err != nil {
		t.Fatal(err)
	}
	if err := r.LoadIndex(ctx); err != nil {
		t.Fatal(err)
	}
	away := unanswered(t)
	for n := 1; ; n++ {
		faulty := backendtest.NewFaulty(store, backendtest.Faults{FailAt: n, FailCount: 1, Err: away})
		got, err := loadState(ctx, r, on(r, faulty).NewStates("new", StateOptions{}), "a")
		if !faulty.Fired() {
			break
		}
		if !backend.IsTemporary(err) || errors.Is(err, BadState) {
			t.Errorf("operation %d: got %q, %v", n, got, err)
		}
	}
}

// TestCrashState cuts a save off: the old state is there or the new one, whole.
func TestCrashState(t *testing.T) {
	t.Parallel()
	store := backend.NewMemory()
	r := initRepo(t, store, 2)
	save := func(ctx context.Context, be backend.Backend, text string) error {
		r, err := Open(ctx, be, testPassword)
		if err == nil {
			err = r.LoadIndex(ctx)
		}
		if err != nil {
			return err
		}
		s := r.NewStates("new", StateOptions{Owner: Owner{Time: testTime()}})
		if _, err := s.Load(ctx, "a"); err != nil && !errors.Is(err, NoState) {
			return err
		}
		return saveState(ctx, s, "a", text)
	}
	if err := save(t.Context(), r.Backend(), "old"); err != nil {
		t.Fatal(err)
	}
	tr := backendtest.Trial{
		Store: store, Every: *everyPoint, Sample: 20,
		Run: func(ctx context.Context, be backend.Backend) error { return save(ctx, be, "new") },
		Judge: func(ctx context.Context, be backend.Backend, done bool) error {
			r, err := Open(ctx, be, testPassword)
			if err == nil {
				err = r.LoadIndex(ctx)
			}
			if err != nil {
				return err
			}
			got, err := loadState(ctx, r, r.NewStates("new", StateOptions{}), "a")
			if err != nil || got != "new" && (done || got != "old") {
				return fmt.Errorf("it says %q, %w", got, err)
			}
			return save(ctx, be, "newer")
		},
	}
	tr.Crashes(t)
	tr.Failures(t)
}

// TestStateRemoved: a state that is removed while another one is saved is not there
// afterwards, and a removal that did not see the newest one says so.
func TestStateRemoved(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	r := initRepo(t, backend.NewMemory(), 2)
	opt := StateOptions{Owner: Owner{Time: testTime()}}
	one, other := r.NewStates("new", opt), r.NewStates("new", opt)
	if _, err := one.Load(ctx, "a"); !errors.Is(err, NoState) {
		t.Fatal(err)
	}
	if err := saveState(ctx, one, "a", "first"); err != nil {
		t.Fatal(err)
	}
	err := one.Save(ctx, "a", func(*StateWriter) (*Tree, error) { return new(Tree), other.Remove(ctx, "a") })
	if !errors.Is(err, NoState) {
		t.Errorf("removed while it was saved: %v", err)
	}
	if names, err := one.Names(ctx); err != nil || len(names) > 0 {
		t.Errorf("names are %v, %v", names, err)
	}
	for _, s := range []*States{one, other} {
		if _, err := s.Load(ctx, "a"); !errors.Is(err, NoState) {
			t.Fatal(err)
		}
	}
	if err := saveState(ctx, one, "a", "again"); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Load(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if err := saveState(ctx, one, "a", "newer"); err != nil {
		t.Fatal(err)
	}
	if err := other.Remove(ctx, "a"); !errors.Is(err, StateChanged) {
		t.Errorf("the removal of another one's: %v", err)
	}
	if got, err := loadState(ctx, r, one, "a"); err != nil || got != "newer" {
		t.Errorf("got %q, %v", got, err)
	}
}
