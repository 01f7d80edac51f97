package reconcile

import (
	"errors"
	"strings"
	"testing"

	"russet/internal/vobject"
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

// TestUnreadRest: what is left of a property that could not be read whole does not take
// the place of what the target has, in the record itself and in its components; what
// the target never had is brought there.
func TestUnreadRest(t *testing.T) {
	t.Parallel()
	r := newRig(t, quirks{})
	r.add()
	r.phone["a"] = body("a", "TEL:1", "TEL:2", "TITLE:1")
	r.run()
	r.unread = []string{"NOTE", "TEL"}
	r.phone["a"] = body("a", "TEL:\uFFFD", "TITLE:2", "NOTE:\uFFFD")
	r.want("edited and spoilt", r.run(), "update a")
	got := r.has("a")
	for _, want := range []string{"TEL:1", "TEL:2", "TITLE:2", "NOTE:\uFFFD"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not at the target: %q", want, got)
		}
	}
	if strings.Contains(got, "TEL:\uFFFD") {
		t.Errorf("a spoilt value is at the target: %q", got)
	}
	r.want("nothing else changed", r.run(), "")
	event := func(own, override string) *vobject.Component {
		c, err := vobject.Parse([]byte("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:e\r\nDTSTART:20260101T100000Z\r\n" + own + "END:VEVENT\r\n" +
			"BEGIN:VEVENT\r\nUID:e\r\nRECURRENCE-ID:20260102T100000Z\r\nDTSTART:20260102T110000Z\r\n" + override + "END:VEVENT\r\nEND:VCALENDAR\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		return c[0]
	}
	const alarm = "BEGIN:VALARM\r\nACTION:DISPLAY\r\nTRIGGER:-PT5M\r\nEND:VALARM\r\n"
	filled := fill(event("SUMMARY:new\r\n", "SUMMARY:rest\r\n"), []string{"RRULE", "SUMMARY", "VALARM"}, event("RRULE:FREQ=DAILY\r\n"+alarm, "SUMMARY:old\r\n"))
	if want := event("SUMMARY:new\r\nRRULE:FREQ=DAILY\r\n"+alarm, "SUMMARY:old\r\n"); hashOf(filled) != hashOf(want) {
		t.Errorf("got\n%s\nwant\n%s", filled.Bytes(), want.Bytes())
	}
}

// TestDamage: where more than before could not be read, a change at the phone may be
// only that, and a person looks first; what is known to be unreadable is no news.
func TestDamage(t *testing.T) {
	t.Parallel()
	r := newRig(t, quirks{})
	r.add()
	r.phone["a"], r.phone["b"] = body("a", "NOTE:1"), body("b", "NOTE:1")
	r.run()
	r.set.Problems = []records.Problem{{Text: "column Note is not UTF-8", Lost: true}}
	r.phone["a"] = body("a")
	p := r.plan()
	if len(p.Guards) != 1 || p.Guards[0].Guard != merge.GuardUnread || p.Guards[0].Refused {
		t.Fatalf("damage: got guards %v, want %s", p.Guards, merge.GuardUnread)
	}
	if err := p.Allowed(Approval{}); !errors.Is(err, ErrGuard) {
		t.Errorf("damage: got %v, want %v", err, ErrGuard)
	}
	if err := p.Allowed(Approval{Plan: p.ID}); err != nil {
		t.Errorf("approved: %v", err)
	}
	r.want("approved", ops(r.apply(p).Done), "update a")
	r.phone["b"] = body("b", "NOTE:2")
	if p := r.plan(); len(p.Guards) != 0 {
		t.Errorf("the same damage as in the last run: got guards %v", p.Guards)
	}
	r.set.Problems = append(r.set.Problems, r.set.Problems...)
	r.phone["b"], r.phone["c"] = body("b", "NOTE:1"), body("c")
	if p := r.plan(); len(p.Guards) != 0 {
		t.Errorf("nothing but a creation: got guards %v", p.Guards)
	}
}

// TestDamageHeldBack: damage that was first seen in a run which held the record back is
// not brought to the target by a later one unless a person approves.
func TestDamageHeldBack(t *testing.T) {
	t.Parallel()
	const note = "NOTE:1"
	for name, row := range map[string]struct{ theirs, then string }{
		"in conflict":               {body("a", "NOTE:theirs"), body("a", note)},
		"unreadable at the target":  {"no vCard", body("a", note)},
		"a conflict that is merged": {body("a", "NOTE:theirs"), body("a", note, "TITLE:theirs")},
	} {
		r := newRig(t, quirks{})
		r.add()
		r.phone["a"], r.phone["b"] = body("a", note), body("b", note)
		r.run()
		r.set.Problems = []records.Problem{{Text: "column Note is not UTF-8", Lost: true}}
		r.phone["a"], r.phone["c"] = body("a"), body("c")
		r.edit("a", row.theirs)
		r.want(name, r.run(), "create c")
		r.want(name+", still", r.run(), "")
		r.edit("a", row.then)
		r.phone["b"] = body("b", "NOTE:2")
		p := r.plan()
		if r.want(name+", then", ops(p.Ops), "update a, update b"); len(p.Guards) != 1 || p.Guards[0].Guard != merge.GuardUnread {
			t.Fatalf("%s, then: got guards %v, want %s", name, p.Guards, merge.GuardUnread)
		}
		good := r.phone["a"]
		r.phone["a"] = body("a", note)
		r.want(name+", readable again", r.run(), "update b")
		r.phone["a"] = good
		if p := r.plan(); len(p.Guards) != 0 {
			t.Errorf("%s, and edited: got guards %v", name, p.Guards)
		}
	}
}

// TestOdd: what is odd in the phone's databases though nothing is lost holds nothing up.
func TestOdd(t *testing.T) {
	t.Parallel()
	r := newRig(t, quirks{})
	r.add()
	r.phone["a"] = body("a", "NOTE:1")
	r.run()
	r.set.Problems = []records.Problem{{Text: "a value is empty"}}
	r.phone["a"] = body("a", "NOTE:2")
	if p := r.plan(); len(p.Guards) != 0 {
		t.Errorf("got guards %v", p.Guards)
	}
}
