package capture

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"russet/backend/backendtest"
	"russet/repo"
)

// A prune keeps what a run has stored that has no snapshot yet: its drain needs
// no phone. Without that it would be gone.
func TestPrunePending(t *testing.T) {
	t.Parallel()
	s, se := newScriptedOf(t, small(), false), newSession(t)
	backUp(t, se, s)
	s.next()
	faulty := backendtest.NewFaulty(se.r.Backend(), backendtest.Faults{})
	se.r = reopen(t, faulty)
	p := openFolder(t, se, s)
	if err := s.run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	failing := backendtest.NewFaulty(se.r.Backend(), backendtest.Faults{
		FailAt: 1, FailCount: -1, Only: func(op backendtest.Op) bool { return op.Verb == backendtest.Save },
	})
	p.r, p.w = redirect(t, p, failing)
	if res, err := p.Commit(t.Context(), s.answered()); err == nil {
		t.Fatalf("got %v", res)
	}
	se.r = reopen(t, se.r.Backend())
	prune := func(opt repo.PruneOptions) *repo.PrunePlan {
		t.Helper()
		opt.MaxUnused = repo.LimitBytes(0)
		plan, err := reopen(t, se.r.Backend()).PlanPrune(t.Context(), opt)
		if err != nil {
			t.Fatal(err)
		}
		return plan
	}
	if plan := prune(repo.PruneOptions{}); plan.UnusedBlobs == 0 {
		t.Errorf("the run has stored nothing: %+v", plan)
	}
	plan := prune(repo.PruneOptions{Keep: PendingBlobs(openRoot(t, se.spool), se.r)})
	if plan.UnusedBlobs != 0 {
		t.Errorf("%d blobs would go", plan.UnusedBlobs)
	}
	if _, err := plan.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	se.r = reopen(t, se.r.Backend())
	res, err := Drain(t.Context(), se.r, s.udid, s.options(se.spool))
	if err != nil || res == nil || res.Summary.Missing != 0 {
		t.Fatalf("drain: %v, %v", res, err)
	}
	for range PendingBlobs(openRoot(t, se.spool), se.r) {
		t.Error("something is still pending")
	}
}

// A journal that is garbage keeps nobody from a prune.
func TestPendingBlobsOfGarbage(t *testing.T) {
	t.Parallel()
	for _, garbage := range []string{"", "this is not a journal", "\x00\x00\x00\x04nonethat opens"} {
		se := newSession(t)
		folder := filepath.Join(se.spool, "garbage")
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, journalName), []byte(garbage), 0o600); err != nil {
			t.Fatal(err)
		}
		for h, err := range PendingBlobs(openRoot(t, se.spool), se.r) {
			t.Errorf("%q: got %v, %v", garbage, h, err)
		}
	}
}

// A folder that no run can have made is none to finish.
func TestPendingOfNoDevice(t *testing.T) {
	t.Parallel()
	spool := t.TempDir()
	for _, name := range []string{"device", stateTagPrefix + "x", "a\tb"} {
		if err := os.MkdirAll(filepath.Join(spool, name, journalName), 0o700); err != nil {
			if name != "device" {
				continue // not every drive takes it
			}
			t.Fatal(err)
		}
	}
	if got, err := Pending(openRoot(t, spool)); err != nil || !slices.Equal(got, []string{"device"}) {
		t.Errorf("got %q, %v, want the device alone", got, err)
	}
}
