package offsite

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
	"russet/repo"
)

var everyPoint = flag.Bool("every", false, "cut runs off at every point")

// TestCrashRun cuts a run off at the copy and at the source: whatever is left, the next
// run makes the copy equal, and what is remembered of it can be read.
func TestCrashRun(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.save(t, "a", hours(0), 1)
	if err := p.run(t.Context(), hours(1)); err != nil {
		t.Fatal(err)
	}
	p.save(t, "a", hours(2), 2, 3)
	p.save(t, "b", hours(3), 1, 4)
	source, twin := p.source.(*backend.Memory), p.copy.(*backend.Memory)
	fresh := func(ctx context.Context, of backend.Backend) backend.Backend {
		be, err := backendtest.Copy(ctx, of)
		if err != nil {
			t.Error(err)
		}
		return be
	}
	trials := map[string]struct {
		store *backend.Memory
		place func(ctx context.Context, be backend.Backend) pair
	}{
		"copy": {twin, func(ctx context.Context, be backend.Backend) pair {
			return pair{fresh(ctx, source), be, p.config}
		}},
		"source": {source, func(ctx context.Context, be backend.Backend) pair {
			return pair{be, fresh(ctx, twin), p.config}
		}},
	}
	for name, c := range trials {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := backendtest.Trial{
				Store: c.store, Every: *everyPoint, Sample: 4,
				Run: func(ctx context.Context, be backend.Backend) error { return c.place(ctx, be).run(ctx, hours(5)) },
				Judge: func(ctx context.Context, be backend.Backend, _ bool) error {
					p := c.place(ctx, be)
					if err := p.run(ctx, hours(10)); err != nil {
						return fmt.Errorf("the next run: %w", err)
					}
					return p.equal(ctx)
				},
			}
			tr.Crashes(t)
			tr.Failures(t)
		})
	}
}

// equal wants the copy to have all of the source's snapshots, whole, and the state to
// say so.
func (p pair) equal(ctx context.Context) error {
	_, c, err := p.attach(ctx)
	if err != nil {
		return err
	}
	for _, r := range []*repo.Repository{c.from, c.to} {
		if _, err := r.Check(ctx, repo.CheckOptions{Read: repo.AllPacks()}); err != nil {
			return err
		}
	}
	all, err := c.from.AllSnapshots(ctx)
	if err != nil {
		return err
	}
	if s := c.State.Status(all); len(s.Waiting) > 0 || len(s.Snapshots) != 3 || s.Broken > 0 || !s.LastRun.Equal(hours(10)) && s.Cut {
		return fmt.Errorf("the state says %+v", s)
	}
	there, err := c.to.AllSnapshots(ctx)
	if err != nil || len(there) != 3 {
		return fmt.Errorf("%d snapshots are there, %w", len(there), err)
	}
	return nil
}

// TestQuiet: a run that has nothing to do is noted once an hour at most.
func TestQuiet(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.save(t, "a", hours(0), 1)
	for _, c := range []struct {
		minute int
		want   int // runs that are noted
	}{{0, 1}, {1, 1}, {59, 1}, {60, 2}, {90, 2}, {-10, 3}} { // the last by a clock that was set back
		if err := p.run(t.Context(), hours(1).Add(time.Duration(c.minute)*time.Minute)); err != nil {
			t.Fatal(err)
		}
		if st, _ := p.status(t); len(st.Runs) != c.want {
			t.Errorf("minute %d: %d runs are noted, want %d", c.minute, len(st.Runs), c.want)
		}
	}
	p.save(t, "a", hours(2), 2)
	if err := p.run(t.Context(), hours(1)); err != nil {
		t.Fatal(err)
	}
	if st, _ := p.status(t); len(st.Runs) != 4 || st.Runs[3].Snapshots != 1 || st.Runs[3].Packs == 0 || st.Runs[3].Bytes == 0 {
		t.Errorf("a new snapshot: %+v", st.Runs)
	}
}

// TestOnlyThere: what the source has forgotten still stands on the copy, graded by the
// copy's own trees.
func TestOnlyThere(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	gone := p.save(t, "a", hours(0), 1)
	p.save(t, "a", hours(1), 2)
	if err := p.run(t.Context(), hours(2)); err != nil {
		t.Fatal(err)
	}
	r, err := openPlace(t.Context(), p.source, sourcePassword)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.RemoveSnapshot(t.Context(), gone.ID()); err != nil {
		t.Fatal(err)
	}
	plan, err := r.PlanPrune(t.Context(), repo.PruneOptions{})
	if err == nil {
		_, err = plan.Apply(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.verify(t.Context(), hours(3), 1); err != nil {
		t.Fatal(err)
	}
	st, s := p.status(t)
	if s.Elsewhere != 1 || len(s.Snapshots) != 1 || len(st.Snapshots) != 2 || !st.Snapshots[0].Proven.Equal(hours(3)) || !st.Snapshots[1].Proven.Equal(hours(3)) {
		t.Errorf("%+v, %+v", s, st.Snapshots)
	}
}

// TestMirror: a mirror is opened with its source's key, and graded alike.
func TestMirror(t *testing.T) {
	t.Parallel()
	source, place := newPlace(t, sourcePassword), backend.NewMemory()
	p := pair{source: source, copy: place}
	p.save(t, "a", hours(0), 1, 2)
	r, err := openPlace(t.Context(), source, sourcePassword)
	if err != nil {
		t.Fatal(err)
	}
	if err := repo.InitMirror(t.Context(), source, place, hours(1)); err != nil {
		t.Fatal(err)
	}
	store := NewStore(r, options(hours(1)))
	if err := store.Free(t.Context(), "cloud"); err != nil {
		t.Fatal(err)
	}
	st, err := store.Create(t.Context(), Config{Name: "cloud", Kind: Mirror, Address: "mem:", Repository: r.ID()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Save(t.Context(), st); err != nil {
		t.Fatal(err)
	}
	for run := range 2 {
		plan, err := repo.PlanMirror(t.Context(), source, place, repo.MirrorOptions{Now: hours(2), Many: true})
		if err == nil {
			_, err = plan.Apply(t.Context(), nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		m, err := r.OpenMirror(t.Context(), place)
		if err != nil {
			t.Fatal(err)
		}
		c, err := store.Attach(st, m)
		if err != nil {
			t.Fatal(err)
		}
		_, changed, err := c.Record(t.Context(), Run{Time: hours(2)})
		if err != nil || changed != (run == 0) {
			t.Fatalf("run %d: changed %v, %v", run, changed, err)
		}
		if changed {
			if err := store.Save(t.Context(), st); err != nil {
				t.Fatal(err)
			}
		}
		if res, err := c.Verify(t.Context(), VerifyOptions{Now: hours(3), Share: 1}); err != nil || res.Snapshots != 1 || res.AllProven != 1 {
			t.Errorf("%+v, %v", res, err)
		}
	}
	if _, err := r.OpenMirror(t.Context(), newPlace(t, sourcePassword)); !errors.Is(err, repo.OtherConfig) {
		t.Errorf("another repository as a mirror: %v", err)
	}
}

// TestDrill compares files of the newest snapshot, and finds one whose blob is
// damaged there.
func TestDrill(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.save(t, "a", hours(0), 9)
	p.save(t, "a", hours(1), 1, 2, 3)
	if err := p.run(t.Context(), hours(2)); err != nil {
		t.Fatal(err)
	}
	drill := func() (DrillResult, error) {
		_, c, err := p.attach(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.takeStock(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		return c.Drill(t.Context(), func(n int) int { return n - 1 })
	}
	res, err := drill()
	if err != nil || res.Files != 3 || res.Bytes != 6006 || res.Alone != 0 || !res.Snapshot.Time.Equal(hours(1)) {
		t.Errorf("%+v, %v", res, err)
	}
	spoil(t, p, 2, func(b []byte) []byte {
		for i := range len(b) / 2 {
			b[i] ^= 1
		}
		return b
	})
	if _, err := drill(); !errors.Is(err, ErrBad) {
		t.Errorf("of a damaged copy: %v, want ErrBad", err)
	}
}

// TestDrillDeep: the file that chance comes to lies in a folder; empty ones are gone
// back from.
func TestDrillDeep(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	r, err := openPlace(t.Context(), p.source, sourcePassword)
	if err != nil {
		t.Fatal(err)
	}
	saveVersion(t, r, "a", hours(0), 1)
	inner := saveVersion(t, r, "b", hours(0), 2)
	w := r.NewWriter(t.Context())
	defer w.Close()
	folder := func(name string, tree chunk.ID) *repo.Node {
		return &repo.Node{Name: name, Type: repo.TypeDir, Subtree: &tree}
	}
	empty, err := w.SaveTree(t.Context(), new(repo.Tree))
	if err != nil {
		t.Fatal(err)
	}
	top, err := w.SaveTree(t.Context(), &repo.Tree{Nodes: []*repo.Node{folder("x", *inner.Tree), folder("y", empty.ID)}})
	if err == nil {
		err = w.Flush(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.SaveSnapshot(t.Context(), &repo.Snapshot{Time: hours(3), Tree: &top.ID, Paths: []string{"/z"}}); err != nil {
		t.Fatal(err)
	}
	if err := p.run(t.Context(), hours(4)); err != nil {
		t.Fatal(err)
	}
	_, c, err := p.attach(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.takeStock(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	res, err := c.Drill(t.Context(), func(n int) int { return n - 1 })
	if err != nil || res.Files != 1 || res.Bytes != 2002 {
		t.Errorf("%+v, %v", res, err)
	}
}

// TestCancel: a verification that is cancelled keeps what it has proven.
func TestCancel(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.versions(t, 12)
	store, c, err := p.attach(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var reads atomic.Int64 // of packs: verifying reads each once
	to, err := openPlace(t.Context(), backendtest.NewFaulty(p.copy, backendtest.Faults{Before: func(_ context.Context, op backendtest.Op) error {
		if op.Verb == backendtest.Load && op.File.Kind == backend.Data && reads.Add(1) == 2*provers {
			cancel()
		}
		return nil
	}}), copyPassword)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = store.Attach(c.State, to); err != nil {
		t.Fatal(err)
	}
	if res, err := c.Verify(ctx, VerifyOptions{Now: hours(3), Share: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("%+v, %v, want it cancelled", res, err)
	}
	if err := store.Save(t.Context(), c.State); err != nil {
		t.Fatal(err)
	}
	// While one read begins, the others are under way at most.
	if _, s := p.status(t); s.Packs-s.NeverProven < provers || s.NeverProven == 0 || !s.Cut {
		t.Errorf("after %d reads: %+v", reads.Load(), s)
	}
}
