package reconcile

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"russet/merge"
	"russet/records"
)

func (r *rig) special(plan func(*Sync) (*Plan, error)) (*Plan, string) {
	r.Helper()
	p, err := plan(r.open())
	if err != nil {
		r.Fatal(err)
	}
	return p, ops(r.apply(p).Done)
}

func (r *rig) undo(number int) (*Plan, string) {
	r.Helper()
	return r.special(func(s *Sync) (*Plan, error) { return s.PlanUndo(r.Context(), number) })
}

// TestUndo: what a run replaced and removed comes back, what it created goes, and the
// next run leaves it so.
func TestUndo(t *testing.T) {
	t.Parallel()
	r := newRig(t, quirks{})
	r.add()
	r.phone["a"], r.phone["b"], r.phone["c"] = body("a", "NOTE:1"), body("b", "NOTE:1"), body("c", "NOTE:1")
	r.want("first", r.run(), "create a, create b, create c")
	delete(r.phone, "a")
	r.phone["b"], r.phone["d"], r.phone["e"] = body("b", "NOTE:2"), body("d"), body("e")
	r.want("second", r.run(), "create d, create e, update b, delete a")
	r.edit("e", body("e", "NOTE:mine"))
	p, done := r.undo(2)
	r.want("undo", done, "create a, update b, delete d")
	if len(p.Notes) != 1 || !strings.Contains(p.String(), "left    e: it was changed or removed since") {
		t.Errorf("the plan says\n%s", p)
	}
	if !strings.Contains(r.has("a"), "NOTE:1") || !strings.Contains(r.has("b"), "NOTE:1") || r.has("d") != "" {
		t.Error("the undo is not what was before")
	}
	r.want("after the undo", r.run(), "")
	r.want("quiet", r.run(), "")
	_, done = r.undo(3)
	r.want("undo of the undo", done, "create d, update b, delete a")
	r.want("after the second undo", r.run(), "")
	r.phone["b"] = body("b", "NOTE:3")
	r.want("an edit after all that", r.run(), "update b")
	delete(r.phone, "b")
	r.want("a deletion", r.run(), "delete b")
	r.edit("b", body("b", "NOTE:again"))
	last := r.state().Runs[len(r.state().Runs)-1].Number
	if p, done := r.undo(last); done != "" || len(p.Notes) != 1 || !strings.Contains(r.has("b"), "NOTE:again") {
		t.Errorf("the undo of a deletion, of what is there again: %q\n%s", done, p)
	}
	if _, err := r.open().PlanUndo(t.Context(), 99); err == nil {
		t.Error("a run that never was can be undone")
	}
}

// TestUndoCut: of a run that was cut off, what was done can be undone.
func TestUndoCut(t *testing.T) {
	t.Parallel()
	r := newRig(t, quirks{})
	r.add()
	r.phone["a"], r.phone["b"] = body("a"), body("b")
	r.server.w.begin(faultDieAfter, 1) // the first is the store's
	p := r.plan()
	if _, err := p.Apply(t.Context(), Approval{Plan: p.ID}); !errors.Is(err, errDied) {
		t.Fatal(err)
	}
	r.server.w.begin(faultNone, -1)
	before := r.state()
	_, done := r.undo(1)
	r.want("undo at once", done, "delete a")
	if st := r.state(); len(st.Runs) != 2 || !st.Runs[0].Cut || st.Running != nil {
		t.Errorf("the journal is %+v", st.Runs)
	}
	r.want("what was not undone", r.run(), "create b")

	r.server.drop(r.server.href("b"))
	if err := r.store.Save(t.Context(), before, nil); err != nil {
		t.Fatal(err)
	}
	r.server.put(r.server.href("a"), []byte(body("a")))
	r.want("after the cut", r.run(), "create b")
	_, done = r.undo(1)
	r.want("undo", done, "delete a") // b is of the run after it
	r.want("quiet", r.run(), "")
}

// TestCutJournal: the journal has of a run that was cut off what it did, and not what it
// was about to do.
func TestCutJournal(t *testing.T) {
	t.Parallel()
	for _, f := range []fault{faultDieBefore, faultDieAfter} {
		for at := range 4 {
			r := newRig(t, quirks{})
			r.add()
			for _, uid := range []string{"b", "c", "d"} {
				r.phone[uid] = body(uid)
			}
			r.run()
			r.phone["a"], r.phone["b"], r.phone["c"] = body("a"), body("b", "NOTE:1"), body("c", "NOTE:1")
			delete(r.phone, "d")
			r.server.w.begin(f, at+1)
			p := r.plan()
			if _, err := p.Apply(t.Context(), Approval{}); !errors.Is(err, errDied) || len(p.Ops) != 4 {
				t.Fatalf("%s: %v", p, err)
			}
			r.server.w.begin(faultNone, -1)
			want := at
			if f == faultDieAfter {
				want++
			}
			if at == 0 {
				r.edit("c", body("c", "NOTE:2")) // nobody can tell
				want++
			}
			r.run()
			if runs := r.state().Runs; !runs[1].Cut || len(runs[1].Done) != want {
				t.Errorf("fault %d at %d: the journal has %+v, want %d writes", f, at, runs[1], want)
			}
		}
	}
}

// TestPush: a contact that was deleted comes back from an older snapshot, and stays.
func TestPush(t *testing.T) {
	t.Parallel()
	r := newRig(t, quirks{})
	r.add()
	r.phone["a"], r.phone["b"] = body("a", "NOTE:old"), body("b", "NOTE:old")
	r.run()
	chosen := []records.Record{r.record("a"), r.record("b")}
	delete(r.phone, "a")
	r.phone["b"] = body("b", "NOTE:new")
	r.want("a month later", r.run(), "update b, delete a")
	_, done := r.special(func(s *Sync) (*Plan, error) { return s.PlanPush(t.Context(), chosen) })
	r.want("push", done, "create a, update b")
	if !strings.Contains(r.has("b"), "NOTE:old") {
		t.Errorf("the server has %q", r.has("b"))
	}
	r.want("quiet", r.run(), "")
	r.server.drop(r.server.href("a"))
	r.want("removed again", r.run(), "")
	r.phone["b"] = body("b", "NOTE:newest")
	r.want("an edit of what was chosen", r.run(), "")
	if c := r.state().Conflicts; len(c) != 1 || c[0].Key != "b" || c[0].Cause != merge.Differ {
		t.Errorf("conflicts are %+v", c)
	}
}

// TestResolve: each way out of a conflict, and the queue is empty after it.
func TestResolve(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		take   Resolution
		merged string
		done   string
		note   string // that the server has then
	}{
		{TakeSource, "", "update a", "source"},
		{TakeTarget, "", "", "target"},
		{TakeMerged, body("a", "NOTE:merged"), "update a", "merged"},
		{TakeBoth, "", "create a-", "source"},
	} {
		r := newRig(t, quirks{})
		r.add()
		r.phone["a"] = body("a", "NOTE:first")
		r.run()
		r.phone["a"] = body("a", "NOTE:source")
		r.edit("a", body("a", "NOTE:target"))
		r.want("the conflict", r.run(), "")
		st := r.state()
		if len(st.Conflicts) != 1 || st.Conflicts[0].Cause != merge.Differ || fmt.Sprint(st.Conflicts[0].Properties) != "[NOTE]" {
			t.Fatalf("conflicts are %+v", st.Conflicts)
		}
		s := r.open()
		for id, want := range map[string]string{"source": body("a", "NOTE:source"), "target": body("a", "NOTE:target")} {
			at := st.Conflicts[0].Source
			if id == "target" {
				at = st.Conflicts[0].Target
			}
			if got, err := s.Body(t.Context(), at); err != nil || string(got) != want || Title(got) != "Name of a" {
				t.Errorf("the %s's body is %q, %v", id, got, err)
			}
		}
		if got := r.state(); len(got.Runs) != 1 {
			t.Errorf("a run that found a conflict and wrote nothing is in the journal: %+v", got.Runs)
		}
		r.want("the conflict again", r.run(), "")
		if again := r.state(); again.Conflicts[0].Run != st.Conflicts[0].Run || !again.Conflicts[0].Time.Equal(st.Conflicts[0].Time) {
			t.Error("a conflict that is known is found anew")
		}
		_, done := r.special(func(s *Sync) (*Plan, error) {
			return s.PlanResolve(t.Context(), "a", row.take, []byte(row.merged))
		})
		if !strings.HasPrefix(done, row.done) || !strings.Contains(r.has("a"), "NOTE:"+row.note) {
			t.Errorf("%s: did %q, the server has %q", row.take, done, r.has("a"))
		}
		if n := len(r.state().Conflicts); n != 0 {
			t.Errorf("%s: %d conflicts are left", row.take, n)
		}
		r.want("quiet", r.run(), "")
		if status, err := ReadStatus(t.Context(), r.store, "home"); err != nil || status.Conflicts != 0 || status.Unfinished != 0 {
			t.Errorf("%s: status %+v, %v", row.take, status, err)
		}
		if _, err := r.open().PlanResolve(t.Context(), "a", row.take, nil); err == nil {
			t.Errorf("%s: a conflict is resolved twice", row.take)
		}
	}
}

// TestEdited: an edit at a one-way target stays, is in the queue, and can be taken
// back or be agreed on.
func TestEdited(t *testing.T) {
	t.Parallel()
	r := newRig(t, quirks{tokens: true})
	r.add()
	r.phone["a"] = body("a", "NOTE:1")
	r.run()
	r.edit("a", body("a", "NOTE:1", "TITLE:mine"))
	for range 3 {
		r.want("edited", r.run(), "")
		if c := r.state().Conflicts; len(c) != 1 || c[0].Cause != merge.Edited || fmt.Sprint(c[0].Properties) != "[TITLE]" {
			t.Fatalf("conflicts are %+v", c)
		}
	}
	status, err := ReadStatus(t.Context(), r.store, "home")
	if err != nil || status.Edited != 1 || status.Records != 1 || status.Last.Number != 1 {
		t.Errorf("status %+v, %v", status, err)
	}
	r.phone["a"] = body("a", "NOTE:2")
	r.want("both", r.run(), "update a")
	if got := r.has("a"); !strings.Contains(got, "NOTE:2") || !strings.Contains(got, "TITLE:mine") {
		t.Errorf("the server has %q", got)
	}
	r.phone["a"] = body("a", "NOTE:3")
	r.want("the source alone", r.run(), "update a")
	if got := r.has("a"); !strings.Contains(got, "NOTE:3") || !strings.Contains(got, "TITLE:mine") {
		t.Errorf("the server has %q", got)
	}
	delete(r.phone, "a")
	r.want("gone at the source", r.run(), "")
	if got := r.has("a"); got == "" {
		t.Error("what the target had of its own was deleted")
	}
}
