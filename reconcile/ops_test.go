package reconcile

import (
	"fmt"
	"strings"
	"testing"

	"russet/internal/vobject"
	"russet/merge"
	"russet/records"
)

// TestUnwritable: a record that nobody could read again is told, and keeps no other one
// from the target.
func TestUnwritable(t *testing.T) {
	t.Parallel()
	r := newRig(t, quirks{})
	r.add()
	r.set.Records = []records.Record{{UID: "b", Container: "c", Object: vobject.New("VCARD")}}
	r.phone["a"] = body("a")
	p := r.plan()
	if len(p.Problems) != 1 || len(p.Ops) != 1 {
		t.Errorf("problems %v, %d writes, want one of each", p.Problems, len(p.Ops))
	}
	r.want("first", ops(r.apply(p).Done), "create a")
	r.want("quiet", r.run(), "")
}

// TestUnwritableCopy: where the copy of a conflict cannot be written, neither is what
// would replace it.
func TestUnwritableCopy(t *testing.T) {
	t.Parallel()
	p := &Plan{Ops: []Op{
		{Action: merge.Create, Key: "other"},
		{Action: merge.Update, Key: "a", needs: "copy"},
		{Where: merge.Source, Action: merge.Update, Key: "a"},
		{Where: merge.Source, Action: merge.Create, Key: "copy"},
	}}
	p.without(map[string]bool{"copy": true})
	if got := ops(p.Ops); got != "create other" {
		t.Errorf("what is left is %q", got)
	}
}

// TestQuietTooLong: an event of so many people that it is too long once no server
// tells them is told, too.
func TestQuietTooLong(t *testing.T) {
	t.Parallel()
	r := newRig(t, quirks{})
	r.config.Kind = records.Calendar
	r.set.Kind = records.Calendar
	r.add()
	var b strings.Builder
	b.WriteString("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:many\r\nDTSTART:20250101T100000Z\r\n")
	const people = 50
	for n := range people {
		fmt.Fprintf(&b, "ATTENDEE:mailto:%d%s\r\n", n, strings.Repeat("a", vobject.MaxSize/people-40))
	}
	b.WriteString("END:VEVENT\r\nEND:VCALENDAR\r\n")
	all, err := vobject.Parse([]byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	r.set.Records = []records.Record{{UID: "many", Container: "c", Object: all[0]}}
	if p := r.plan(); len(p.Ops) != 0 || len(p.Problems) != 1 {
		t.Errorf("%d writes, problems %v", len(p.Ops), p.Problems)
	}
}
