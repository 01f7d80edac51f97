package reconcile

import (
	"strings"
	"testing"

	"russet/merge"
)

// TestLarge: of a contact with a photo nothing is in memory twice, neither of what was
// there nor of what was written, and it is matched and merged all the same.
func TestLarge(t *testing.T) {
	t.Parallel()
	r := newRig(t, quirks{})
	r.add()
	photo := func(c string) string { return "PHOTO;ENCODING=b:" + strings.Repeat(c, largeBody) }
	r.phone["a"] = another("a", "Ada", "TEL:12345678", "NOTE:1")
	r.phone["b"] = body("b", photo("b"))
	r.edit("one", another("one", "Ada", "TEL:12345678", photo("a")))
	r.edit("two", body("two", photo("c")))
	p := r.plan()
	for key, it := range p.views[merge.Target].items {
		if len(it.data) < largeBody || it.object != nil {
			t.Errorf("of %s %d bytes, and an object %v", key, len(it.data), it.object != nil)
		}
	}
	res := r.apply(p)
	r.want("first", ops(res.Done), "create b, update a")
	for _, o := range append(res.Done, p.Ops...) {
		if o.body != nil || o.item != nil {
			t.Errorf("%s %s is kept", o.Action, o.Key)
		}
	}
	for key, it := range p.views[merge.Target].items {
		if it.object != nil {
			t.Errorf("the object of %s is kept", key)
		}
	}
	if got := r.has("one"); !strings.Contains(got, "NOTE:1") || !strings.Contains(got, photo("a")[:60]) {
		t.Errorf("the merged contact is %q", got)
	}
	r.want("quiet", r.run(), "")
	delete(r.phone, "b")
	p = r.plan()
	r.apply(p)
	if len(p.Ops) != 1 || p.Ops[0].Action != merge.Delete || p.Ops[0].item != nil {
		t.Errorf("of a deletion %+v is kept", p.Ops)
	}
}
