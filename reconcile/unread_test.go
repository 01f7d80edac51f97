package reconcile

import (
	"strings"
	"testing"

	"russet/merge"
	"russet/records"
)

// TestUnread: what could not be read of a record is not removed at the target; what
// else changed of it is brought there.
func TestUnread(t *testing.T) {
	t.Parallel()
	const photo = "PHOTO;ENCODING=b;TYPE=JPEG:/9j/"
	for _, mode := range []merge.Mode{merge.Safe, merge.Mirror} {
		r := newRig(t, quirks{drops: true})
		r.config.Mode = mode
		r.add()
		r.phone["a"], r.phone["b"] = body("a", photo, "NOTE:1"), body("b", photo, "X-LOSS:1")
		r.run()
		r.unread = []string{"PHOTO"}
		r.phone["a"], r.phone["b"] = body("a", "NOTE:1"), body("b", "X-LOSS:1")
		r.set.Complete = false
		r.want("nothing else changed", r.run(), "")
		r.phone["a"] = body("a", "NOTE:2")
		r.want("an edit", r.run(), "update a")
		if got := r.has("a"); !strings.Contains(got, photo) || !strings.Contains(got, "NOTE:2") {
			t.Errorf("%s: the target has %q", mode, got)
		}
		_, done := r.special(func(s *Sync) (*Plan, error) {
			return s.PlanPush(t.Context(), []records.Record{r.record("b")})
		})
		if r.want("pushed", done, "update b"); !strings.Contains(r.has("b"), photo) {
			t.Errorf("%s: pushed, the target has %q", mode, r.has("b"))
		}
		r.unread, r.set.Complete = nil, true
		r.phone["a"], r.phone["b"] = body("a", photo, "NOTE:2"), body("b", photo, "X-LOSS:1")
		r.want("readable again", r.run(), "")
		r.phone["a"] = body("a", "NOTE:2")
		r.want("removed indeed", r.run(), "update a")
		if strings.Contains(r.has("a"), photo) {
			t.Errorf("%s: a picture that was removed is still at the target", mode)
		}
	}
}
