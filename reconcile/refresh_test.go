package reconcile

import (
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
