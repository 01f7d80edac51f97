package reconcile

import (
	"strings"
	"testing"

	"russet/merge"
	"russet/records"
)

// TestQuiet: an event with people in it makes no server write to them, wherever it
// comes from.
func TestQuiet(t *testing.T) {
	t.Parallel()
	const loud = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:a\r\nDTSTART:20260301T090000Z\r\nSUMMARY:s\r\n" +
		"ORGANIZER;CN=\"A, B\":mailto:a@x\r\nATTENDEE;schedule-agent=server;SCHEDULE-FORCE-SEND=REQUEST:mailto:b@x\r\nattendee;SCHEDULE-AGENT=CLIENT:mailto:c@x\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	want := strings.NewReplacer("ORGANIZER;CN=\"A, B\"", "ORGANIZER;CN=\"A, B\";SCHEDULE-AGENT=NONE",
		"ATTENDEE;schedule-agent=server;SCHEDULE-FORCE-SEND=REQUEST", "ATTENDEE;SCHEDULE-AGENT=NONE").Replace(loud)
	r := newRig(t, quirks{})
	r.config.Kind, r.set.Kind = records.Calendar, records.Calendar
	r.add()
	r.phone["a"] = loud
	r.want("first", r.run(), "create a")
	if got := r.has("a"); got != want {
		t.Errorf("the server got\n%s\nwant\n%s", got, want)
	}
	r.want("quiet", r.run(), "")
	// A guest whom somebody invited at the server, beside a change at the source.
	r.edit("a", strings.Replace(want, "END:VEVENT", "ATTENDEE:mailto:d@x\r\nEND:VEVENT", 1))
	r.phone["a"] = strings.Replace(loud, "SUMMARY:s", "SUMMARY:t", 1)
	r.want("a guest", r.run(), "update a")
	if got := r.has("a"); !strings.Contains(got, "ATTENDEE;SCHEDULE-AGENT=NONE:mailto:d@x\r\n") || !strings.Contains(got, "SUMMARY:t") {
		t.Errorf("the server got\n%s", got)
	}
	c, _, err := decode([]byte(want))
	if err != nil {
		t.Fatal(err)
	}
	if quiet(c) != c {
		t.Error("what is quiet is copied")
	}
	if h, _, err := decode([]byte(loud)); err != nil || hashOf(h) != hashOf(c) || merge.ChangedNames(h, c) != nil {
		t.Errorf("a quiet event means something else: %v", err)
	}
}
