package reconcile

import (
	"strings"
	"testing"

	"russet/merge"
)

// TestUnreadable: an item that cannot be read costs each run the asking for that item,
// and not a whole listing; of its record nothing is known before it can be read again.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	r := newRig(t, quirks{tokens: true})
	count := &countingSide{Side: r.server}
	r.side = count
	r.add()
	for _, uid := range []string{"a", "b", "c"} {
		r.phone[uid] = body(uid)
	}
	r.run()
	step := func(name, writes, calls string, problems, unreadable int) {
		t.Helper()
		count.calls = nil
		p := r.plan()
		if len(p.Problems) != problems {
			t.Errorf("%s: problems are %v", name, p.Problems)
		}
		r.want(name, ops(r.apply(p).Done), writes)
		if got := strings.Join(count.calls, ", "); got != calls {
			t.Errorf("%s: asked %q, want %q", name, got, calls)
		}
		if got := r.state(); len(got.Unreadable) != unreadable || got.Token[merge.Target] == "" {
			t.Errorf("%s: unreadable %+v, token %q", name, got.Unreadable, got.Token)
		}
	}
	r.edit("a", "nonsense")
	r.edit("x", "nonsense")
	step("spoilt", "", "list, get 2", 2, 2)
	delete(r.phone, "a")
	step("again", "", "list, get 2", 2, 2)
	r.phone["b"] = body("b", "NOTE:1")
	step("another is written", "update b", "list, get 2, identity, update, get 1, list", 2, 2)
	r.server.items[r.server.href("a")] = merge.Item{Ref: r.server.items[r.server.href("a")].Ref, Body: []byte(body("a"))}
	step("readable, as it was", "delete a", "list, get 2, identity, delete, list", 1, 1)
	r.server.drop(r.server.href("x"))
	step("gone", "", "list, get 1", 0, 0)
	step("quiet", "", "list", 0, 0)
}

// TestUnreadableMoved: a record whose item got another name, and an edit that waits, and
// can then not be read, is not gone; it is when that item goes.
func TestUnreadableMoved(t *testing.T) {
	t.Parallel()
	r := newRig(t, quirks{tokens: true})
	r.add()
	r.phone["a"] = body("a")
	r.want("first", r.run(), "create a")
	r.server.drop(r.server.href("a"))
	r.edit("moved", body("a", "NOTE:1"))
	r.want("moved and edited", r.run(), "")
	r.want("quiet", r.run(), "")
	if p := r.plan(); len(p.Problems) > 0 || len(p.Conflicts) != 1 {
		t.Errorf("moved: %s", p)
	}
	r.edit("moved", "nonsense")
	r.want("spoilt", r.run(), "")
	r.phone["a"] = body("a", "NOTE:2")
	r.want("spoilt, and edited at the source", r.run(), "")
	if c := r.state().Conflicts; len(c) != 1 {
		t.Errorf("conflicts are %+v", c)
	}
	r.server.drop(r.server.href("moved"))
	r.want("gone", r.run(), "create a")
	r.want("quiet", r.run(), "")
}

// TestRefusedToken: a record that the server refuses for ever does not make each run
// list everything.
func TestRefusedToken(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		err  error
		kept bool
	}{{merge.ErrRefused, true}, {merge.ErrChanged, false}} {
		r := newRig(t, quirks{tokens: true})
		r.add()
		r.run()
		r.side = createRefusing{&refusing{Side: r.server, err: row.err}}
		r.phone["a"] = body("a")
		r.want("refused", r.run(), "")
		if token := r.state().Token[merge.Target]; (token != "") != row.kept {
			t.Errorf("%v: the token is %q", row.err, token)
		}
	}
}
