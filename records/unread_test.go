package records

import (
	"os"
	"slices"
	"strings"
	"testing"

	"russet/records/recordstest"
)

// breakage is an UPDATE, and the properties that cannot be read because of it, of the
// record that is looked at and of all others.
type breakage struct{ change, one, others string }

// checkUnread breaks the database at name below dir, one column at a time.
func checkUnread(t *testing.T, dir, name string, kind Kind, uid string, breakages []breakage) {
	t.Helper()
	for _, b := range breakages {
		files := t.TempDir()
		if err := os.CopyFS(files, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		edit(t, files, name, "UPDATE "+b.change)
		set := readSet(t, os.DirFS(files), kind)
		if !slices.ContainsFunc(set.Problems, func(p Problem) bool { return p.Lost }) {
			t.Errorf("%s: no problem is told", b.change)
		}
		found := false
		for _, r := range set.Records {
			want := b.others
			if r.UID == uid {
				want, found = b.one, true
			}
			if got := strings.Join(r.Unread, " "); got != want {
				t.Errorf("%s: of %s got %s, want %s", b.change, r.UID, got, want)
			}
		}
		if !found || !set.Complete {
			t.Errorf("%s: there is the record: %v; complete: %v", b.change, found, set.Complete)
		}
	}
}

func TestUnreadEvents(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	calendar := recordstest.NewCalendar(3, 4)
	e := calendar.Events[1]
	e.AllDay, e.Zone, e.Frequency, e.Count, e.Place = false, "UTC", 1, 5, "place"
	e.Exceptions, e.Alarms, e.Guests = []int64{e.Start + 86400}, []int64{-60}, []int{900}
	e.Text = map[string]any{"summary": "s", "description": "d", "url": "https://example.test/", "status": 1}
	if err := calendar.Write(dir); err != nil {
		t.Fatal(err)
	}
	const name = "HomeDomain/" + calendarPath
	edit(t, dir, name, `INSERT INTO CalendarItem (ROWID, summary, start_date, start_tz, end_date, end_tz, calendar_id, orig_item_id, orig_date, unique_identifier, entity_type)
		SELECT 201, 'moved', start_date + 200000, start_tz, end_date + 200000, end_tz, calendar_id, 200, start_date + 172800, unique_identifier, 2 FROM CalendarItem WHERE ROWID = 200`)
	const place, people = "GEO LOCATION X-APPLE-STRUCTURED-LOCATION", "ATTENDEE ORGANIZER"
	checkUnread(t, dir, name, Calendar, e.UID, []breakage{
		{"CalendarItem SET summary = x'FF' WHERE ROWID = 200", "SUMMARY", ""},
		{"CalendarItem SET summary = x'FF' WHERE ROWID = 201", "SUMMARY", ""},
		{"CalendarItem SET description = hex(zeroblob(600000)) WHERE ROWID = 200", "DESCRIPTION", ""},
		{"CalendarItem SET url = x'FF' WHERE ROWID = 200", "URL", ""},
		{"CalendarItem SET end_date = 'x' WHERE ROWID = 200", "DTEND", ""},
		{"CalendarItem SET end_date = 1e15 WHERE ROWID = 200", "DTEND", ""},
		{"CalendarItem SET end_date = start_date - 1 WHERE ROWID = 200", "DTEND", ""},
		{"CalendarItem SET status = 'x' WHERE ROWID = 200", "STATUS", ""},
		{"CalendarItem SET location_id = 'x' WHERE ROWID = 200", place, ""},
		{"Location SET title = x'FF' WHERE ROWID = 200", place, ""},
		{"Recurrence SET specifier = 'Q=1' WHERE owner_id = 200", "RRULE", ""},
		{"Recurrence SET specifier = x'FF' WHERE owner_id = 200", "RRULE", ""},
		{"Recurrence SET end_date = 'x' WHERE owner_id = 200", "RRULE", ""},
		{"Recurrence SET owner_id = 'x' WHERE owner_id = 200", "RRULE", "RRULE"},
		{"ExceptionDate SET date = 'x' WHERE owner_id = 200", "EXDATE", ""},
		{"ExceptionDate SET owner_id = 'x' WHERE owner_id = 200", "EXDATE", "EXDATE"},
		{"Alarm SET trigger_interval = 'x' WHERE calendaritem_owner_id = 200", "VALARM", ""},
		{"Alarm SET trigger_interval = NULL WHERE calendaritem_owner_id = 200", "VALARM", ""},
		{"Alarm SET calendaritem_owner_id = 'x' WHERE calendaritem_owner_id = 200", "VALARM", "VALARM"},
		{"Participant SET status = 'x' WHERE owner_id = 200", people, ""},
		{"Participant SET owner_id = 'x' WHERE owner_id = 200", people, people},
		{"Identity SET display_name = x'FF' WHERE rowid = 900", people, ""},
	})
	for _, column := range []string{"unique_identifier = x'FF'", "calendar_id = 'x'", "hidden = 'x'", "orig_date = 'x'"} {
		files := t.TempDir()
		if err := os.CopyFS(files, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		edit(t, files, name, "UPDATE CalendarItem SET "+column+" WHERE ROWID = 201")
		if set := readSet(t, os.DirFS(files), Calendar); set.Complete {
			t.Errorf("%s: the set is complete", column)
		}
	}
}

func TestUnreadReminders(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	reminders := recordstest.NewReminders(3, 4)
	for _, r := range reminders.Reminders {
		r.Server = false // all in one store
	}
	r := reminders.Reminders[1]
	r.Due, r.AllDay, r.Frequency, r.Tags, r.Alarms = 700_000_000, false, 0, []string{"t"}, []int64{-60}
	r.Text = map[string]any{"ZTITLE": "s", "ZNOTES": "n"}
	if err := reminders.Write(dir); err != nil {
		t.Fatal(err)
	}
	const all = "CATEGORIES DTSTART RRULE URL VALARM" // the rule makes the start
	// The rows of the objects are a tag, an alarm's trigger, the alarm and the rule.
	checkUnread(t, dir, "AppDomainGroup-group.com.apple.reminders/Container_v1/Stores/Data-local.sqlite", Reminders, r.UID, []breakage{
		{"ZREMCDREMINDER SET ZTITLE = x'FF' WHERE Z_PK = 2", "SUMMARY", ""},
		{"ZREMCDREMINDER SET ZNOTES = x'FF' WHERE Z_PK = 2", "DESCRIPTION", ""},
		{"ZREMCDREMINDER SET ZDUEDATE = 'x' WHERE Z_PK = 2", "DTSTART DUE", ""},
		{"ZREMCDREMINDER SET ZALLDAY = 'x' WHERE Z_PK = 2", "DTSTART DUE", ""},
		{"ZREMCDREMINDER SET ZFLAGGED = 'x' WHERE Z_PK = 2", "X-APPLE-FLAGGED", ""},
		{"ZREMCDOBJECT SET ZNAME1 = x'FF' WHERE Z_PK = 2001", "CATEGORIES", ""},
		{"ZREMCDOBJECT SET ZREMINDER3 = 'x' WHERE Z_PK = 2001", "CATEGORIES", "CATEGORIES"},
		{"ZREMCDOBJECT SET ZTIMEINTERVAL = 'x' WHERE Z_PK = 2002", "VALARM", ""},
		{"ZREMCDOBJECT SET ZTRIGGER = 'x' WHERE Z_PK = 2003", "VALARM", ""},
		{"ZREMCDOBJECT SET ZDAYSOFTHEWEEK = 'x' WHERE Z_PK = 2004", "DTSTART RRULE", ""},
		{"ZREMCDOBJECT SET Z_ENT = 'x' WHERE Z_PK = 2004", all, all},
	})
	for values, want := range map[string]bool{"'T', 'N'": true, "'T', x'FF'": false} {
		set := readSet(t, reminderPhone(t, `INSERT INTO ZREMCDREMINDER (Z_PK, Z_ENT, ZLIST, ZTITLE, ZNOTES) VALUES (7, 1, 1, `+values+`)`), Reminders)
		if len(set.Records) != 1 || set.Complete != want {
			t.Errorf("without an identifier, %s: got %d records, complete %v, want 1, %v", values, len(set.Records), set.Complete, want)
		}
	}
}
