package reconcile

import (
	"errors"
	"strings"
	"testing"

	"russet/internal/vobject"
	"russet/merge"
)

// another is a contact that another program knows by another key.
func another(uid, name string, lines ...string) string {
	return strings.Replace(body(uid, lines...), "FN:Name of "+uid, "FN:"+name, 1)
}

// TestMatchIncomplete: what the phone could not give in a first run is matched in the
// next one.
func TestMatchIncomplete(t *testing.T) {
	t.Parallel()
	r := newRig(t, quirks{tokens: true})
	r.add()
	const tel = "TEL:12345678"
	r.edit("one", another("one", "Ada", tel))
	r.edit("two", another("two", "Bob", tel))
	r.phone["a"] = another("a", "Ada", tel)
	r.set.Complete = false
	r.want("a half", r.run(), "")
	if r.state().Matched {
		t.Error("the first run is said to be over")
	}
	r.phone["b"] = another("b", "Bob", tel, "NOTE:1")
	r.set.Complete = true
	r.want("the rest", r.run(), "update b")
	if st := r.state(); len(r.server.items) != 2 || !st.Matched || len(st.Rows) != 2 {
		t.Errorf("%d items, matched %v, %d rows", len(r.server.items), st.Matched, len(st.Rows))
	}
	r.want("quiet", r.run(), "")
}

// TestMatchUnread: a record of which it was not known what it is keeps the first run
// open.
func TestMatchUnread(t *testing.T) {
	t.Parallel()
	r := newRig(t, quirks{})
	r.add()
	r.phone["a"] = another("a", "Ada", "TEL:12345678")
	end := &run{p: r.plan()}
	if !end.matchedAll() {
		t.Error("with all that there is known, the first run is not over")
	}
	end.p.views[merge.Source].unknown["a"] = true
	if end.matchedAll() {
		t.Error("the first run is said to be over")
	}
}

// TestMatchCut: what a first run that was cut off took for the same stays that, though
// one of the two got another name meanwhile, or it was not known what was done.
func TestMatchCut(t *testing.T) {
	t.Parallel()
	for _, f := range []fault{faultDieBefore, faultDieAfter, faultLostReply, faultLostRequest} {
		r := newRig(t, quirks{})
		r.add()
		r.phone["a"] = another("a", "Ada", "TEL:12345678", "NOTE:1")
		r.edit("one", another("one", "Ada", "TEL:12345678"))
		r.server.w.begin(f, 1)
		p := r.plan()
		if len(p.Ops) != 1 || p.Ops[0].Action != merge.Update {
			t.Fatal(p)
		}
		_, err := p.Apply(t.Context(), Approval{})
		if died := f == faultDieBefore || f == faultDieAfter; died != errors.Is(err, errDied) {
			t.Fatal(err)
		}
		r.server.w.begin(faultNone, -1)
		r.phone["a"] = another("a", "Countess", "NOTE:1")
		r.run()
		r.run()
		if st := r.state(); len(r.server.items) != 1 || !st.Matched || len(st.Rows) != 1 {
			t.Errorf("fault %d: %d items, matched %v, rows %+v", f, len(r.server.items), st.Matched, st.Rows)
		}
		r.want("quiet", r.run(), "")
		c, err := vobject.Parse([]byte(r.has("one")))
		if err != nil {
			t.Fatal(err)
		}
		if uid, _ := vobject.Key(c[0]); uid != "one" {
			t.Errorf("its key is %q", uid)
		}
	}
}
