package reconcile

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"russet/merge"
)

// pair is a folder and a server in a sync of two ways.
type pair struct {
	*rig
	folder *faultySide
	source Side // folder, or what stands before it
}

func newPair(t testing.TB, server quirks) *pair {
	r := newRig(t, server)
	p := &pair{rig: r, folder: newFaultySide(r.server.w, "folder", quirks{})}
	p.source = p.folder
	r.config.Mode, r.config.Device, r.config.Source = merge.TwoWay, "", "/folder"
	r.add()
	return p
}

func (p *pair) apply() (*Result, error) {
	p.Helper()
	s, err := Open(p.Context(), p.store, "home", Source{Side: p.source}, p.side, Options{Time: testTime()})
	if err != nil {
		p.Fatal(err)
	}
	plan, err := s.Plan(p.Context())
	if err != nil {
		p.Fatal(err)
	}
	return plan.Apply(p.Context(), Approval{Plan: plan.ID, Deletions: plan.Deletions()})
}

func (p *pair) run() string {
	p.Helper()
	res, err := p.apply()
	if err != nil {
		p.Fatal(err)
	}
	var words []string
	for _, o := range res.Done {
		words = append(words, fmt.Sprintf("%s %s at %v", o.Action, o.Key, o.Where))
	}
	return strings.Join(words, ", ")
}

func (p *pair) here(uid string) string { return string(p.folder.items[p.folder.href(uid)].Body) }

func (p *pair) write(uid string, lines ...string) {
	p.folder.put(p.folder.href(uid), []byte(body(uid, lines...)))
}

// TestTwoWay: what changed on either side comes to the other, and nothing comes back.
func TestTwoWay(t *testing.T) {
	t.Parallel()
	p := newPair(t, quirks{tokens: true, drops: true, shouts: true})
	p.write("a", "X-LOSS:1", "NOTE:1", "TITLE:one")
	p.edit("b", body("b", "NOTE:1"))
	p.want("first", p.run(), "create b at source, create a at target")
	p.want("quiet", p.run(), "")
	p.edit("a", body("a", "NOTE:2", "TITLE:ONE"))
	p.write("b", "NOTE:1", "TITLE:x")
	p.want("edits", p.run(), "update a at source, update b at target")
	if got := p.here("a"); !strings.Contains(got, "X-LOSS:1") || !strings.Contains(got, "NOTE:2") || !strings.Contains(got, "TITLE:one") {
		t.Errorf("the folder has %q: what the server keeps otherwise came back", got)
	}
	p.write("a", "X-LOSS:1", "NOTE:2", "TITLE:two")
	p.want("of what the server spells otherwise", p.run(), "update a at target")
	p.server.drop(p.server.href("a"))
	p.folder.drop(p.folder.href("b"))
	p.edit("b", body("b", "NOTE:3", "TITLE:x"))
	p.want("deletions", p.run(), "create b at source, delete a at source")
	p.want("quiet", p.run(), "")
}

// deny refuses access from the n-th update on.
type deny struct {
	Side
	n int
}

func (d *deny) Update(ctx context.Context, ref merge.Ref, body []byte) (merge.Ref, error) {
	if d.n--; d.n < 0 {
		return merge.Ref{}, fmt.Errorf("update: %w", merge.ErrDenied)
	}
	return d.Side.Update(ctx, ref, body)
}

// TestStopBetween: a run stops when a record is written on one side and not yet on
// the other.
func TestStopBetween(t *testing.T) {
	t.Parallel()
	p := newPair(t, quirks{})
	for _, uid := range []string{"a", "b"} {
		p.write(uid, "NOTE:1", "TITLE:1")
	}
	p.run()
	for _, uid := range []string{"a", "b"} {
		p.write(uid, "NOTE:2", "TITLE:1")
		p.edit(uid, body(uid, "NOTE:1", "TITLE:2"))
	}
	p.source = &deny{p.folder, 1}
	if res, err := p.apply(); !errors.Is(err, merge.ErrDenied) || len(res.Done) != 1 {
		t.Fatalf("denied: %v", err)
	}
	p.source = p.folder
	p.want("the rest", p.run(), "update b at source, update a at target, update b at target")
	for _, uid := range []string{"a", "b"} {
		for _, got := range []string{p.here(uid), p.has(uid)} {
			if !strings.Contains(got, "NOTE:2") || !strings.Contains(got, "TITLE:2") {
				t.Errorf("%s is %q", uid, got)
			}
		}
	}
	p.want("quiet", p.run(), "")
}

// hiding leaves an item out of its first listing, and gives a token all the same.
type hiding struct {
	Side
	href string
}

func (h *hiding) List(ctx context.Context, token string) (merge.Listing, error) {
	l, err := h.Side.List(ctx, token)
	var kept []merge.Ref
	for _, ref := range l.Refs {
		if ref.Href != h.href {
			kept = append(kept, ref)
		}
	}
	l.Refs, h.href = kept, ""
	return l, err
}

// TestHidden: what a listing left out is found when something is created in its
// place, and the token of that listing does not hide it for ever.
func TestHidden(t *testing.T) {
	t.Parallel()
	r := newRig(t, quirks{tokens: true})
	r.add()
	r.phone["a"], r.phone["b"] = body("a"), body("b")
	r.edit("a", body("a"))
	r.side = &hiding{r.server, r.server.href("a")}
	p := r.plan()
	res, err := p.Apply(t.Context(), Approval{})
	if err != nil || len(res.Failed) != 1 || !errors.Is(res.Failed[0].Err, merge.ErrChanged) || res.Failed[0].Text == "" {
		t.Fatalf("hidden: %+v, %v", res, err)
	}
	r.want("everything is listed", r.run(), "")
	if st := r.state(); len(st.Rows) != 2 {
		t.Errorf("rows are %+v", st.Rows)
	}
	r.phone["c"] = body("c")
	r.side = &hiding{r.server, r.server.href("a")}
	p = r.plan()
	if len(p.Problems) != 0 || len(p.Ops) != 1 {
		t.Errorf("a listing of changes: %s", p)
	}
	st := r.state()
	st.Token[merge.Target] = ""
	if err := r.store.Save(t.Context(), st, nil); err != nil {
		t.Fatal(err)
	}
	r.side = &hiding{r.server, r.server.href("a")}
	p = r.plan()
	if len(p.Problems) != 1 || !strings.Contains(p.String(), "problem the listing of the target left out 1 items that are there\n") || len(p.Ops) != 1 {
		t.Errorf("what is known is not listed: %s", p)
	}
	r.apply(p)
	if token := r.state().Token[merge.Target]; token != "" {
		t.Errorf("the token of a listing that left out something was kept: %q", token)
	}
	r.side = r.server
	delete(r.phone, "a")
	r.want("it is ours now", r.run(), "delete a")
}

// TestCutMerge: a run dies after it wrote a merged record; the source's next edit is
// no conflict, and what the target had of its own stays.
func TestCutMerge(t *testing.T) {
	t.Parallel()
	r := newRig(t, quirks{})
	r.add()
	r.phone["a"] = body("a", "NOTE:1")
	r.edit("a", body("a", "TITLE:mine"))
	r.server.w.begin(faultDieAfter, 1)
	p := r.plan()
	if _, err := p.Apply(t.Context(), Approval{}); !errors.Is(err, errDied) {
		t.Fatal(err)
	}
	r.server.w.begin(faultNone, -1)
	r.phone["a"] = body("a", "NOTE:2")
	r.want("after the cut", r.run(), "update a")
	if got := r.has("a"); !strings.Contains(got, "NOTE:2") || !strings.Contains(got, "TITLE:mine") || len(r.state().Conflicts) > 0 {
		t.Errorf("the server has %q", got)
	}
}

// replacing stores something else than it is given, and says otherwise.
type replacing struct {
	*faultySide
	body string
}

func (r replacing) Create(_ context.Context, uid string, _ []byte) (merge.Ref, error) {
	ref := r.put(r.href(uid), []byte(r.body))
	ref.ETag = "another"
	return ref, nil
}

// TestNonsense: what a server makes of a record ends no run, and the next one sees it.
func TestNonsense(t *testing.T) {
	t.Parallel()
	for name, stored := range map[string]string{
		"nothing that can be read": "nonsense\r\n",
		"another kind of object":   "BEGIN:VCALENDAR\r\nBEGIN:VTODO\r\nUID:a\r\nSUMMARY:s\r\nEND:VTODO\r\nEND:VCALENDAR\r\n",
		"another key":              body("b", "NOTE:1"),
	} {
		r := newRig(t, quirks{})
		r.side = replacing{r.server, stored}
		r.add()
		r.phone["a"] = body("a", "NOTE:1")
		r.want(name, r.run(), "create a")
		for range 2 {
			p, err := r.open().Plan(t.Context())
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if _, err := p.Apply(t.Context(), Approval{Plan: p.ID}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestProgress: it counts to the end.
func TestProgress(t *testing.T) {
	t.Parallel()
	r := newRig(t, quirks{})
	r.add()
	r.phone["a"], r.phone["b"] = body("a"), body("b")
	s := r.open()
	var got []string
	s.opt.Progress = func(done, total int) { got = append(got, fmt.Sprintf("%d/%d", done, total)) }
	p, err := s.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.apply(p)
	if fmt.Sprint(got) != "[1/2 2/2]" {
		t.Errorf("progress was %v", got)
	}
}

// cutting keeps of each NOTE what stands before a comma.
type cutting struct{ Side }

func (c cutting) Create(ctx context.Context, uid string, body []byte) (merge.Ref, error) {
	before, after, _ := strings.Cut(string(body), ",")
	_, after, _ = strings.Cut(after, "\r\n")
	return c.Side.Create(ctx, uid, []byte(before+"\r\n"+after))
}

// TestCutShort: a run dies after it wrote a record which the server cut short. That is
// nobody's edit: there is no conflict, and the record can go when it goes at the
// source. What somebody wrote there meanwhile is an edit.
func TestCutShort(t *testing.T) {
	t.Parallel()
	for _, edited := range []bool{false, true} {
		r := newRig(t, quirks{})
		r.side = cutting{r.server}
		r.add()
		r.phone["a"] = body("a", "NOTE:one,two", "TITLE:1")
		r.server.w.begin(faultDieAfter, 1)
		p := r.plan()
		if _, err := p.Apply(t.Context(), Approval{}); !errors.Is(err, errDied) {
			t.Fatal(err)
		}
		r.server.w.begin(faultNone, -1)
		if edited {
			r.edit("a", body("a", "NOTE:on", "TITLE:1"))
		}
		r.want("after the cut", r.run(), "")
		st := r.state()
		if got := len(st.Conflicts) == 1; got != edited || len(st.Intents) > 0 && !edited {
			t.Errorf("edited %v: conflicts %+v, writes that are not known %+v", edited, st.Conflicts, st.Intents)
		}
		r.want("quiet", r.run(), "")
		delete(r.phone, "a")
		want := "delete a"
		if edited {
			want = ""
		}
		r.want("gone at the source", r.run(), want)
	}
}
