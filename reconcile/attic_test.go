package reconcile

import (
	"context"
	"fmt"
	"testing"
	"time"

	"russet/merge"
	"russet/records"
)

type updateRefusing struct{ *refusing }

func (u updateRefusing) Update(context.Context, merge.Ref, []byte) (merge.Ref, error) {
	return merge.Ref{}, u.fail()
}

// TestAttic: it holds what was replaced, or may have been, and nothing of writes that
// were refused, however often they are tried.
func TestAttic(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		err  error
		want int
	}{{merge.ErrRefused, 0}, {merge.ErrChanged, 0}, {fmt.Errorf("timeout"), 1}} {
		r := newRig(t, quirks{})
		r.add()
		r.phone["a"] = body("a")
		r.run()
		r.phone["a"] = body("a", "NOTE:2")
		r.side = updateRefusing{&refusing{Side: r.server, err: row.err}}
		r.run()
		if got := len(r.state().Attic); got != row.want {
			t.Errorf("%v: the attic has %d bodies, want %d", row.err, got, row.want)
		}
		r.side = r.server
		r.want("then", r.run(), "update a")
		if got := len(r.state().Attic); got != row.want+1 {
			t.Errorf("%v: in the end the attic has %d bodies, want %d", row.err, got, row.want+1)
		}
	}
}

// TestPushTwice: a record that stands in two containers is pushed once.
func TestPushTwice(t *testing.T) {
	t.Parallel()
	r := newRig(t, quirks{})
	r.add()
	r.phone["a"] = body("a")
	r.run()
	r.phone["a"] = body("a", "NOTE:2")
	p, done := r.special(func(s *Sync) (*Plan, error) {
		return s.PlanPush(t.Context(), []records.Record{r.record("a"), r.record("a")})
	})
	r.want("push", done, "update a")
	if len(p.Ops) != 1 || len(r.state().Attic) != 1 {
		t.Errorf("%d writes, %d bodies in the attic, want 1 of each", len(p.Ops), len(r.state().Attic))
	}
}

// TestStateBounds: no state is written that could not be read again.
func TestStateBounds(t *testing.T) {
	t.Parallel()
	if _, err := encodeLines(make([]struct{}, maxStateRows+1)); err == nil {
		t.Error("more lines than are read were written")
	}
	if err := readable(map[string][]byte{fileBodies: make([]byte, maxStateFile+1)}); err == nil {
		t.Error("a longer file than is read was written")
	}
	st := &State{Attic: make([]Kept, maxAttic+10)}
	now := testTime()
	for i := range st.Attic {
		st.Attic[i] = Kept{Run: i, Time: now.Add(-time.Hour)}
	}
	if st.trim(now); len(st.Attic) != maxAttic || st.Attic[0].Run != 10 {
		t.Errorf("the attic has %d bodies, want the newest %d", len(st.Attic), maxAttic)
	}
}
