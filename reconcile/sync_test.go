package reconcile

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"russet/chunk"
	"russet/internal/vobject"
	"russet/merge"
	"russet/records"
)

// TestRequests: only what changed travels.
func TestRequests(t *testing.T) {
	t.Parallel()
	for _, tokens := range []bool{true, false} {
		r := newRig(t, quirks{tokens: tokens})
		counted := &countingSide{Side: r.server}
		r.side = counted
		r.add()
		for _, uid := range []string{"a", "b", "c"} {
			r.phone[uid] = body(uid, "NOTE:1")
		}
		took := func(step, want string) {
			t.Helper()
			if got := strings.Join(counted.calls, ", "); got != want {
				t.Errorf("%s, tokens %v: requests were %q, want %q", step, tokens, got, want)
			}
			counted.calls = nil
		}
		quiet, after := "list", ", list" // what changed since the writes is asked for right behind them
		if !tokens {
			quiet, after = "list, identity", ""
		}
		r.want("first", r.run(), "create a, create b, create c")
		took("first", "list, identity, create, create, create, get 3"+after)
		for range 2 {
			r.want("quiet", r.run(), "")
			took("quiet", quiet)
		}
		r.phone["b"] = body("b", "NOTE:2")
		r.want("edit", r.run(), "update b")
		took("edit", "list, identity, update, get 1"+after)
		delete(r.phone, "c")
		r.want("delete", r.run(), "delete c")
		took("delete", "list, identity, delete"+after)
		r.edit("x", body("x"))
		r.want("a stranger", r.run(), "")
		counted.calls = nil
		r.want("a stranger that is known", r.run(), "")
		took("a stranger that is known", quiet)
	}
}

// TestSameSource: what a phone has is read only where its databases or the target are
// not as the last run left them.
func TestSameSource(t *testing.T) {
	t.Parallel()
	r := newRig(t, quirks{tokens: true})
	r.add()
	for _, uid := range []string{"a", "b", "c"} {
		r.phone[uid] = body(uid, "NOTE:1")
	}
	r.server.put(r.server.href("x"), []byte(body("x"))) // a stranger
	step := func(name, want string, reads int) {
		t.Helper()
		r.reads = 0
		r.want(name, r.run(), want)
		if r.reads != reads {
			t.Errorf("%s: read %d times, want %d", name, r.reads, reads)
		}
	}
	step("first", "create a, create b, create c", 1)
	step("nothing changed", "", 0)
	r.phone["b"] = body("b", "NOTE:2")
	step("edit", "update b", 1)
	step("nothing changed again", "", 0)
	r.phone["b"] = body("b", "NOTE:1")
	step("edit back, to databases that were read before", "update b", 1)
	r.server.drop(r.server.href("c"))
	step("removed at the target", "", 1)
	step("removed and known", "", 0)
	r.edit("a", body("a", "NOTE:3"))
	step("edited at the target", "", 1)
	step("waits for a person", "", 1)
	p, _ := r.special(func(s *Sync) (*Plan, error) { return s.PlanResolve(t.Context(), "a", TakeSource, nil) })
	if len(p.Ops) != 1 {
		t.Fatalf("resolve: got %d writes, want 1", len(p.Ops))
	}
	step("after a decision", "", 1)
	step("quiet at last", "", 0)
}

// TestMatch: a first run takes for the same what has other keys and the same name and
// number, creates the rest, and deletes nothing; the server's keys stay its own.
func TestMatch(t *testing.T) {
	t.Parallel()
	r := newRig(t, quirks{})
	r.add()
	card := func(uid, name string, lines ...string) string {
		return strings.Replace(body(uid, lines...), "FN:Name of "+uid, "FN:"+name, 1)
	}
	r.phone["a"] = card("a", "Ada Lovelace", "TEL:+44 20 7946 0001", "NOTE:phone")
	r.phone["b"] = card("b", "Grace Hopper", "EMAIL:grace@example.com")
	r.phone["c"] = card("c", "Twice", "TEL:12345678")
	r.edit("one", card("one", "ADA  lovelace", "TEL:(020) 7946-0001"))
	r.edit("two", card("two", "Grace Hopper", "EMAIL:grace@example.com"))
	r.edit("three", card("three", "Twice", "TEL:12345678"))
	r.edit("four", card("four", "Twice", "TEL:12345678"))
	p := r.plan()
	if len(p.Matches) != 2 || p.Matches[0].By != "name and phone" && p.Matches[1].By != "name and phone" {
		t.Errorf("matches are %+v", p.Matches)
	}
	if got := ops(r.apply(p).Done); strings.Contains(got, "delete") || !strings.Contains(got, "create c") || strings.Contains(got, "create a") || strings.Contains(got, "create b") {
		t.Errorf("the first run did %q", got)
	}
	r.phone["b"] = card("b", "Grace Hopper", "EMAIL:grace@example.com", "NOTE:admiral")
	r.want("an edit", r.run(), "update b")
	if got := r.has("two"); !strings.Contains(got, "UID:two\r\n") || !strings.Contains(got, "NOTE:admiral") {
		t.Errorf("the matched item is %q", got)
	}
	delete(r.phone, "b")
	r.want("a deletion", r.run(), "delete b")
	r.phone["a"] = card("a", "Ada Lovelace", "TEL:+44 20 7946 0001", "NOTE:still")
	r.want("a match in conflict", r.run(), "")
	if c := r.state().Conflicts; len(c) != 1 || c[0].Key != "a" || fmt.Sprint(c[0].Properties) != "[FN]" {
		t.Errorf("conflicts are %+v", c)
	}
	if r.has("two") != "" || r.has("three") == "" || r.has("four") == "" {
		t.Error("the wrong items were deleted")
	}
	r.want("quiet", r.run(), "")
}

// TestContainers: what was not chosen is neither there nor gone, and what the phone
// syncs with the target's server itself is not pushed.
func TestContainers(t *testing.T) {
	t.Parallel()
	r := newRig(t, quirks{})
	r.add()
	r.phone["a"], r.phone["b"] = body("a"), body("b")
	r.want("first", r.run(), "create a, create b")
	r.set.Containers[0].Synced = false
	r.phone["a"] = body("a", "NOTE:2")
	r.want("no container is taken", r.run(), "")
	if _, err := r.open().PlanPush(t.Context(), []records.Record{r.record("a")}); err == nil || !strings.Contains(err.Error(), "does not take") {
		t.Errorf("push of what is not taken: got %v", err)
	}
	r.set.Containers[0] = records.Container{ID: "c", Synced: true, Host: "DAV.example"}
	p := r.plan()
	if len(p.Ops) != 0 || p.Skipped != 2 {
		t.Errorf("of the server's own: %s", p)
	}
	st := r.state()
	st.Config.SameServer = true
	if err := r.store.Save(t.Context(), st, nil); err != nil {
		t.Fatal(err)
	}
	r.want("told to", r.run(), "update a")
}

// TestGuards: what holds a plan back, and what a person's word does about it.
func TestGuards(t *testing.T) {
	t.Parallel()
	r := newRig(t, quirks{})
	r.add()
	for n := range 20 {
		uid := fmt.Sprintf("u%02d", n)
		r.phone[uid] = body(uid)
	}
	r.run()
	for n := range 6 {
		delete(r.phone, fmt.Sprintf("u%02d", n))
	}
	p := r.plan()
	if _, err := p.Apply(t.Context(), Approval{}); !errors.Is(err, ErrGuard) || p.Guards[0].Guard != merge.GuardDeletes {
		t.Errorf("6 deletions of 20: %v, %v", err, p.Guards)
	}
	if _, err := p.Apply(t.Context(), Approval{Plan: "0123"}); !errors.Is(err, ErrOutdated) {
		t.Errorf("the approval of another plan: %v", err)
	}
	again := r.plan()
	if again.ID != p.ID {
		t.Error("the same plan has another ID")
	}
	r.phone["u10"] = body("u10", "NOTE:2")
	if r.plan().ID == p.ID {
		t.Error("another plan has the same ID")
	}
	if len(r.server.items) != 20 {
		t.Fatal("a guard came after a write")
	}
	if res := r.apply(again); len(res.Done) != 6 {
		t.Errorf("approved: %d writes", len(res.Done))
	}
	if _, err := again.Apply(t.Context(), Approval{Plan: again.ID}); !errors.Is(err, ErrOutdated) {
		t.Errorf("applied twice: %v", err)
	}
	for name, change := range map[string]func(){
		merge.GuardDevice: func() { r.device = "other" },
		merge.GuardOlder:  func() { r.day -= 100 },
		merge.GuardTarget: func() { r.server.name = "moved" },
	} {
		device, day, name2 := r.device, r.day, r.server.name
		change()
		p := r.plan()
		if _, err := p.Apply(t.Context(), Approval{Plan: p.ID}); !p.Refused() || !errors.Is(err, ErrGuard) || !strings.Contains(fmt.Sprint(p.Guards), name) {
			t.Errorf("%s: %v, guards %v", name, err, p.Guards)
		}
		r.device, r.day, r.server.name = device, day, name2
	}
	clear(r.phone)
	if p := r.plan(); !strings.Contains(fmt.Sprint(p.Guards), merge.GuardEmpty) {
		t.Errorf("an empty source: guards %v", p.Guards)
	}
}

// TestRefresh: a new canonical form looks at what was kept, and is no edit.
func TestRefresh(t *testing.T) {
	t.Parallel()
	r := newRig(t, quirks{drops: true, tokens: true})
	r.add()
	r.phone["a"], r.phone["b"], r.phone["c"] = body("a", "X-LOSS:1"), body("b"), body("c")
	r.run()
	r.server.drop(r.server.href("c"))
	r.want("removed at the target", r.run(), "")
	st := r.state()
	st.Canonical--
	for i := range st.Rows {
		for _, w := range []merge.Where{merge.Source, merge.Target} {
			if p := st.Rows[i].place(w); !p.Hash.IsZero() {
				h := []byte("old " + p.Hash.String())
				p.Hash = chunk.Sum(h)
			}
		}
		if st.Rows[i].Key != "a" && st.Rows[i].State == merge.Synced { // they meant the same
			st.Rows[i].Source.Hash = st.Rows[i].Target.Hash
		}
	}
	if err := r.store.Save(t.Context(), st, nil); err != nil {
		t.Fatal(err)
	}
	r.want("with a new canonical form", r.run(), "")
	if st := r.state(); st.Canonical != vobject.CanonicalVersion || len(st.Conflicts) != 0 {
		t.Errorf("canonical form %d, conflicts %v", st.Canonical, st.Conflicts)
	}
	r.want("quiet", r.run(), "")
}

// refusing makes the writes of a side fail.
type refusing struct {
	Side
	err   error
	calls int
}

func (r *refusing) fail() error {
	r.calls++
	return fmt.Errorf("write: %w", r.err)
}

type createRefusing struct{ *refusing }

func (c createRefusing) Create(context.Context, string, []byte) (merge.Ref, error) {
	return merge.Ref{}, c.fail()
}

// TestFailures: one record's failure is its own; what a person must mend stops the
// run.
func TestFailures(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		err     error
		stops   bool
		calls   int
		matched bool
	}{
		{merge.ErrRefused, false, 8, true},
		{merge.ErrChanged, false, 8, false},
		{merge.ErrDenied, true, 1, false},
		{merge.ErrMissing, true, 1, false},
		{errors.New("timeout"), true, maxFailures, false},
	} {
		r := newRig(t, quirks{})
		bad := &refusing{Side: r.server, err: row.err}
		r.side = createRefusing{bad}
		r.add()
		for n := range 8 {
			uid := fmt.Sprint("u", n)
			r.phone[uid] = body(uid)
		}
		p := r.plan()
		res, err := p.Apply(t.Context(), Approval{Plan: p.ID})
		if (err != nil) != row.stops || err != nil && !errors.Is(err, row.err) {
			t.Errorf("%v: got %v", row.err, err)
		}
		if bad.calls != row.calls || len(res.Failed) != row.calls || len(res.Done) != 0 {
			t.Errorf("%v: %d calls, %d failures, %d done, want %d failures", row.err, bad.calls, len(res.Failed), len(res.Done), row.calls)
		}
		if st := r.state(); st.Running != nil || len(st.Runs) != 1 || st.Matched != row.matched || len(st.Rows) != 0 {
			t.Errorf("%v: the state is %+v", row.err, st)
		}
		r.side = r.server
		if got := r.run(); strings.Count(got, "create") != 8 {
			t.Errorf("%v: the next run did %q", row.err, got)
		}
	}
}
