package reconcile

import (
	"context"
	"errors"
	"strings"
	"testing"

	"russet/chunk"
	"russet/internal/vobject"
	"russet/merge"
)

// TestRefreshLost: with a new canonical form, a body that is lost, or cannot be read any
// more, keeps its own record back at most.
func TestRefreshLost(t *testing.T) {
	t.Parallel()
	for _, mode := range []merge.Mode{merge.Safe, merge.Mirror} {
		r := newRig(t, quirks{tokens: true})
		r.config.Mode = mode
		r.add()
		r.phone["a"], r.phone["b"], r.phone["c"], r.phone["d"] = body("a"), body("b"), body("c"), body("d")
		r.run()
		st := r.state()
		st.Canonical--
		lost, broken := chunk.Sum([]byte("lost")), chunk.Sum([]byte("no object"))
		for i := range st.Rows {
			old := chunk.Sum([]byte("old " + st.Rows[i].Key))
			st.Rows[i].Source.Hash, st.Rows[i].Target.Hash = old, old
			switch st.Rows[i].Key {
			case "a":
				st.Rows[i].Target.Body = lost
			case "b":
				st.Rows[i].Target.Body = broken
			}
		}
		if err := r.store.Save(t.Context(), st, map[chunk.ID][]byte{lost: []byte("lost"), broken: []byte("no object")}); err != nil {
			t.Fatal(err)
		}
		delete(r.store.(*memoryStore).bodies, lost)
		r.want("with a new canonical form", r.run(), "")
		r.phone["a"] = body("a", "NOTE:2")
		delete(r.phone, "b")
		r.want("edits", r.run(), "update a, delete b")
		if st := r.state(); st.Canonical != vobject.CanonicalVersion || len(st.Conflicts) != 0 || len(st.Rows) != 3 {
			t.Errorf("canonical form %d, conflicts %v, %d rows", st.Canonical, st.Conflicts, len(st.Rows))
		}
	}
}

// editing changes an item when it is read first.
type editing struct {
	Side
	r *rig
}

func (e *editing) Get(ctx context.Context, hrefs []string) ([]merge.Item, error) {
	if e.r != nil {
		e.r.edit("a", body("a", "NOTE:theirs"))
		e.r = nil
	}
	return e.Side.Get(ctx, hrefs)
}

// TestLostBody: where the body of a record is lost, it is read from the target; an edit
// there since it was listed is not overwritten.
func TestLostBody(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*rig){
		"update": func(r *rig) { r.phone["a"] = body("a", "NOTE:ours") },
		"delete": func(r *rig) { delete(r.phone, "a") },
	} {
		r := newRig(t, quirks{})
		r.add()
		r.phone["a"], r.phone["b"] = body("a"), body("b")
		r.run()
		st := r.state()
		st.Rows[0].Target.Body = chunk.ID{}
		if err := r.store.Save(t.Context(), st, nil); err != nil {
			t.Fatal(err)
		}
		change(r)
		r.side = &editing{r.server, r}
		p, err := r.open().Plan(t.Context())
		if err == nil {
			r.apply(p)
		} else if !errors.Is(err, merge.ErrChanged) {
			t.Errorf("%s: %v", name, err)
		}
		r.run()
		if got := r.has("a"); !strings.Contains(got, "NOTE:theirs") {
			t.Errorf("%s: the target has %q", name, got)
		}
	}
}
