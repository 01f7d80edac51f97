package records

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"russet/internal/sqlite"
	"russet/internal/vobject"
)

// calendarTables is Calendar.sqlitedb as far as these tests want it.
var calendarTables = []string{
	`CREATE TABLE Store (ROWID INTEGER PRIMARY KEY, name TEXT, type INTEGER, disabled INTEGER, external_id TEXT, persistent_id TEXT)`,
	`CREATE TABLE Calendar (ROWID INTEGER PRIMARY KEY, store_id INTEGER, title TEXT, color TEXT, external_id TEXT, UUID TEXT, subcal_url TEXT)`,
	`CREATE TABLE CalendarItem (ROWID INTEGER PRIMARY KEY, summary TEXT, location_id INTEGER, description TEXT, start_date REAL, start_tz TEXT, ` +
		`end_date REAL, end_tz TEXT, all_day INTEGER, calendar_id INTEGER, orig_item_id INTEGER, orig_date REAL, organizer_id INTEGER, status INTEGER, ` +
		`availability INTEGER, privacy_level INTEGER, url TEXT, last_modified REAL, sequence_num INTEGER, birthday_id INTEGER, unique_identifier TEXT, ` +
		`hidden INTEGER, UUID TEXT, entity_type INTEGER, priority INTEGER, due_date REAL, due_tz TEXT, due_all_day INTEGER, completion_date REAL, ` +
		`creation_date REAL, conference_url TEXT, travel_time INTEGER, phantom_master INTEGER)`,
	`CREATE TABLE Recurrence (ROWID INTEGER PRIMARY KEY, frequency INTEGER, interval INTEGER, week_start INTEGER, count INTEGER, end_date REAL, ` +
		`specifier TEXT, by_month_months INTEGER, owner_id INTEGER)`,
	`CREATE TABLE ExceptionDate (ROWID INTEGER PRIMARY KEY, owner_id INTEGER, date REAL)`,
	`CREATE TABLE Alarm (ROWID INTEGER PRIMARY KEY, trigger_date REAL, trigger_interval INTEGER, type INTEGER, calendaritem_owner_id INTEGER, ` +
		`UUID TEXT, proximity INTEGER, disabled INTEGER, location_id INTEGER, acknowledgedDate REAL, default_alarm INTEGER, orig_alarm_id INTEGER)`,
	`CREATE TABLE Location (ROWID INTEGER PRIMARY KEY, title TEXT, address TEXT, latitude REAL, longitude REAL, radius REAL, item_owner_id INTEGER)`,
	`CREATE TABLE Identity (display_name TEXT, address TEXT, first_name TEXT, last_name TEXT)`,
	`CREATE TABLE Participant (ROWID INTEGER PRIMARY KEY, entity_type INTEGER, type INTEGER, status INTEGER, role INTEGER, identity_id INTEGER, ` +
		`owner_id INTEGER, email TEXT, phone_number TEXT)`,
	`CREATE TABLE AttachmentFile (ROWID INTEGER PRIMARY KEY, url TEXT)`,
	`CREATE TABLE Attachment (ROWID INTEGER PRIMARY KEY, owner_id INTEGER, file_id INTEGER)`,
	`INSERT INTO Store VALUES (1, 'Default', 0, 0, NULL, NULL), (2, 'iCloud', 2, 0, 'ACCOUNT', NULL), (3, 'Other', 5, 0, NULL, NULL), (4, 'Off', 0, 1, NULL, NULL)`,
	`INSERT INTO Calendar VALUES (1, 1, 'Home', '#1badf8FF', NULL, 'HOME', NULL), (2, 2, 'Work', NULL, 'https://P01-caldav.example/1/work/', 'WORK', NULL), ` +
		`(3, 3, 'Birthdays', NULL, NULL, 'BIRTH', NULL), (4, 2, '', NULL, '/1/inbox/', 'BOX', NULL), (5, 1, 'Feed', 'red', NULL, 'FEED', 'https://example.test/f.ics'), ` +
		`(6, 4, 'Old', NULL, NULL, NULL, NULL)`,
}

// databaseFile makes a database and returns its bytes.
func databaseFile(t testing.TB, statements ...string) []byte {
	t.Helper()
	name := filepath.Join(t.TempDir(), "db")
	db, err := sqlite.Create(name, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// calendarPhone is a phone whose calendars hold the rows that statements insert.
func calendarPhone(t testing.TB, statements ...string) fs.FS {
	t.Helper()
	data := databaseFile(t, append(calendarTables[:len(calendarTables):len(calendarTables)], statements...)...)
	return fstest.MapFS{"HomeDomain/" + calendarPath: {Data: data}}
}

func readSet(t testing.TB, phone fs.FS, kind Kind) *Set {
	t.Helper()
	set, err := Read(t.Context(), phone, kind)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// content returns the lines of the components of that name, without what all have.
func content(c *vobject.Component, name string) string {
	var b strings.Builder
	for _, p := range c.Parts {
		if p.Name == name {
			b.Write(p.Bytes())
		}
	}
	var lines []string
	for line := range strings.SplitSeq(strings.ReplaceAll(b.String(), "\r\n ", ""), "\r\n") {
		key, _, _ := strings.Cut(line, ":")
		if line != "BEGIN:"+name && line != "DTSTAMP:19700101T000000Z" && key != "UID" {
			lines = append(lines, line)
		}
	}
	return strings.TrimSpace(strings.ReplaceAll(strings.Join(lines, "\n"), "END:"+name, "--"))
}

// Cocoa seconds of the first minute of 2020.
const y2020 = "599529600"

// eventCases are rows, and the VEVENTs that they make.
var eventCases = []struct{ name, rows, want string }{
	{
		"timed", `INSERT INTO CalendarItem (summary, start_date, start_tz, end_date, end_tz, calendar_id, unique_identifier, description, url, status, availability, privacy_level, sequence_num, priority, travel_time, conference_url)
			VALUES ('A, b; c', 599529600.5, 'Europe/Zurich', 599533200, 'Europe/Zurich', 1, 'u', ' one' || char(10) || 'two ', 'https://example.test/' || char(10) || 'x', 1, 2, 1, 3, 5, 1800, 'https://meet.test/1')`,
		"SEQUENCE:3\nSUMMARY:A\\, b\\; c\nDTSTART;TZID=Europe/Zurich:20200101T010000\nDTEND;TZID=Europe/Zurich:20200101T020000\nDESCRIPTION:one\\ntwo\n" +
			"URL:https://example.test/x\nCONFERENCE;VALUE=URI:https://meet.test/1\nSTATUS:CONFIRMED\nTRANSP:OPAQUE\nX-MICROSOFT-CDO-BUSYSTATUS:TENTATIVE\n" +
			"CLASS:PRIVATE\nPRIORITY:5\nX-APPLE-TRAVEL-DURATION;VALUE=DURATION:PT30M\n--",
	},
	{
		"two zones", `INSERT INTO CalendarItem (start_date, start_tz, end_date, end_tz, calendar_id, unique_identifier) VALUES (` + y2020 + `, 'Asia/Tokyo', 599533200, 'W. Europe Standard Time', 1, 'u')`,
		"DTSTART;TZID=Asia/Tokyo:20200101T090000\nDTEND;TZID=Europe/Berlin:20200101T020000\n--",
	},
	{
		"floating", `INSERT INTO CalendarItem (start_date, start_tz, end_date, end_tz, calendar_id, unique_identifier) VALUES (` + y2020 + `, '_float', 599533200, '_float', 1, 'u')`,
		"DTSTART:20200101T000000\nDTEND:20200101T010000\n--",
	},
	{"no length", `INSERT INTO CalendarItem (start_date, end_date, calendar_id, unique_identifier) VALUES (` + y2020 + `, ` + y2020 + `, 1, 'u')`, "DTSTART:20200101T000000Z\n--"},
	{
		"all day", `INSERT INTO CalendarItem (start_date, start_tz, end_date, end_tz, all_day, calendar_id, unique_identifier, availability) VALUES (` + y2020 + `, '_float', 599529600 + 2 * 86400 - 1, '_float', 1, 1, 'u', 1)`,
		"DTSTART;VALUE=DATE:20200101\nDTEND;VALUE=DATE:20200103\nTRANSP:TRANSPARENT\n--",
	},
	{
		"the beginning of 2001", `INSERT INTO CalendarItem (start_date, start_tz, end_date, end_tz, all_day, calendar_id, unique_identifier) VALUES (0, '_float', 86399, '_float', 1, 1, 'u')`,
		"DTSTART;VALUE=DATE:20010101\nDTEND;VALUE=DATE:20010102\n--",
	},
	{
		"mother's day", `INSERT INTO CalendarItem (ROWID, start_date, start_tz, end_date, all_day, calendar_id, unique_identifier) VALUES (7, 484358400, '_float', 484444799, 1, 1, 'u');
			INSERT INTO Recurrence (frequency, interval, week_start, count, specifier, owner_id) VALUES (4, 1, 7, 5, 'D=+2SU;O=5', 7)`,
		"DTSTART;VALUE=DATE:20160508\nDTEND;VALUE=DATE:20160509\nRRULE:FREQ=YEARLY;COUNT=5;WKST=SU;BYMONTH=5;BYDAY=2SU\n--",
	},
	{
		"until", `INSERT INTO CalendarItem (ROWID, start_date, start_tz, end_date, calendar_id, unique_identifier) VALUES (7, ` + y2020 + `, 'America/New_York', 599533200, 1, 'u');
			INSERT INTO Recurrence (frequency, interval, count, end_date, by_month_months, owner_id) VALUES (1, 2, 0, 599529600 + 86400, 5, 7)`,
		"DTSTART;TZID=America/New_York:20191231T190000\nDTEND;TZID=America/New_York:20191231T200000\nRRULE:FREQ=DAILY;INTERVAL=2;UNTIL=20200102T000000Z;BYMONTH=1,3\n--",
	},
	{
		"until of days", `INSERT INTO CalendarItem (ROWID, start_date, start_tz, end_date, all_day, calendar_id, unique_identifier) VALUES (7, ` + y2020 + `, '_float', 599615999, 1, 1, 'u');
			INSERT INTO Recurrence (frequency, interval, end_date, owner_id) VALUES (2, 1, 599529600 + 14 * 86400 - 1, 7);
			INSERT INTO ExceptionDate (owner_id, date) VALUES (7, 599529600 + 7 * 86400)`,
		"DTSTART;VALUE=DATE:20200101\nDTEND;VALUE=DATE:20200102\nRRULE:FREQ=WEEKLY;UNTIL=20200114\nEXDATE;VALUE=DATE:20200108\n--",
	},
	{
		"a rule that nobody knows", `INSERT INTO CalendarItem (ROWID, start_date, calendar_id, unique_identifier) VALUES (7, ` + y2020 + `, 1, 'u');
			INSERT INTO Recurrence (frequency, interval, count, specifier, owner_id) VALUES (2, 3, 4, 'Q=1;D=0MO', 7)`,
		"DTSTART:20200101T000000Z\nX-RAW-SPECIFIER;X-FREQUENCY=WEEKLY;X-INTERVAL=3;X-COUNT=4:Q=1\\;D=0MO\n--",
	},
	{
		"exceptions", `INSERT INTO CalendarItem (ROWID, summary, start_date, start_tz, end_date, end_tz, calendar_id, unique_identifier, orig_item_id, orig_date) VALUES
			(7, 'daily', ` + y2020 + `, 'Europe/Berlin', 599533200, 'Europe/Berlin', 1, 'u', 0, NULL),
			(9, 'third', 599529600 + 180000, 'Europe/Berlin', 599533200 + 180000, 'Europe/Berlin', 1, 'u', 7, 599529600 + 172800),
			(8, 'second', 599529600 + 90000, '_float', 599533200 + 90000, '_float', 1, 'u', 7, 599529600 + 86400);
			INSERT INTO Recurrence (frequency, interval, owner_id) VALUES (1, 1, 7);
			INSERT INTO ExceptionDate (owner_id, date) VALUES (7, 599529600 + 86400), (7, 599529600 + 259200), (7, 599529600 + 172800), (7, 599529600 + 259200)`,
		"SUMMARY:daily\nDTSTART;TZID=Europe/Berlin:20200101T010000\nDTEND;TZID=Europe/Berlin:20200101T020000\nRRULE:FREQ=DAILY\nEXDATE;TZID=Europe/Berlin:20200104T010000\n--\n" +
			"SUMMARY:second\nDTSTART:20200102T010000\nDTEND:20200102T020000\nRECURRENCE-ID;TZID=Europe/Berlin:20200102T010000\n--\n" +
			"SUMMARY:third\nDTSTART;TZID=Europe/Berlin:20200103T030000\nDTEND;TZID=Europe/Berlin:20200103T040000\nRECURRENCE-ID;TZID=Europe/Berlin:20200103T010000\n--",
	},
	{
		"a phantom", `INSERT INTO CalendarItem (ROWID, summary, start_date, calendar_id, unique_identifier, orig_item_id, orig_date, phantom_master) VALUES
			(7, 'never seen', ` + y2020 + `, 1, 'u', 0, NULL, 1), (8, 'one of it', 599529600 + 90000, 1, 'u', 7, 599529600 + 86400, 0)`,
		"SUMMARY:one of it\nDTSTART:20200102T010000Z\nRECURRENCE-ID:20200102T000000Z\n--",
	},
	{
		"people", `INSERT INTO CalendarItem (ROWID, start_date, calendar_id, unique_identifier, organizer_id) VALUES (7, ` + y2020 + `, 1, 'u', 2);
			INSERT INTO Identity VALUES ('Boss "B"', 'mailto:boss@example.test', '', ''), (NULL, 'room@example.test', 'Room', 'One'), (NULL, NULL, NULL, NULL);
			INSERT INTO Participant VALUES (1, 8, 1, 0, 0, 1, 99, NULL, NULL), (2, 8, 1, 1, 3, 1, 7, NULL, NULL), (3, 7, 2, 0, 4, 2, 7, NULL, NULL),
				(4, 7, 1, 7, 0, 3, 7, NULL, '+41 79'), (5, 7, 1, 2, 2, 3, 7, 'me@example.test', NULL), (6, 7, 0, NULL, 1, 3, 7, NULL, NULL), (7, 9, 0, 0, 0, 1, 7, NULL, NULL)`,
		"DTSTART:20200101T000000Z\nORGANIZER;CN=Boss ^'B^';SCHEDULE-AGENT=NONE:mailto:boss@example.test\n" +
			"ATTENDEE;CN=Room One;CUTYPE=ROOM;PARTSTAT=NEEDS-ACTION;ROLE=NON-PARTICIPANT;SCHEDULE-AGENT=NONE:mailto:room@example.test\n" +
			"ATTENDEE;SCHEDULE-AGENT=NONE:tel:+4179\nATTENDEE;PARTSTAT=DECLINED;ROLE=OPT-PARTICIPANT;SCHEDULE-AGENT=NONE:mailto:me@example.test\n" +
			"ATTENDEE;ROLE=REQ-PARTICIPANT;SCHEDULE-AGENT=NONE:invalid:nomail\n--",
	},
	{
		"a place", `INSERT INTO CalendarItem (ROWID, start_date, calendar_id, unique_identifier, location_id) VALUES (7, ` + y2020 + `, 1, 'u', 3);
			INSERT INTO Location VALUES (2, 'other', '', 1, 1, 0, 7), (3, 'HQ', 'Street 1' || char(10) || 'Town', 47.5, -8.1234567, 70, 0);
			INSERT INTO AttachmentFile VALUES (4, 'https://example.test/a.pdf'), (5, 'file:///private'); INSERT INTO Attachment VALUES (1, 7, 4), (2, 7, 5)`,
		"DTSTART:20200101T000000Z\nLOCATION:HQ\\nStreet 1\\nTown\nGEO:47.5;-8.123457\n" +
			`X-APPLE-STRUCTURED-LOCATION;VALUE=URI;X-ADDRESS="Street 1, Town";X-APPLE-RADIUS=70;X-TITLE=HQ:geo:47.5,-8.123457` + "\nATTACH:https://example.test/a.pdf\n--",
	},
	{
		"alarms", `INSERT INTO CalendarItem (ROWID, start_date, calendar_id, unique_identifier) VALUES (7, ` + y2020 + `, 1, 'u');
			INSERT INTO Location VALUES (3, 'Home', NULL, 47.5, 8.25, 100, 0);
			INSERT INTO Alarm VALUES (1, NULL, -900, 0, 7, 'A', 0, 0, 0, 599529600, 1, 0), (2, 599529600 - 60, 2147483647, 0, 7, 'B', 0, 0, 0, NULL, 0, 1),
				(3, NULL, 2147483647, 0, 7, NULL, 2, 0, 3, NULL, 0, 0), (4, NULL, -60, 0, 7, 'off', 0, 1, 0, NULL, 0, 0)`,
		"DTSTART:20200101T000000Z\nBEGIN:VALARM\nX-WR-ALARMUID:A\nACTION:DISPLAY\nDESCRIPTION:Reminder\nTRIGGER:-PT15M\nACKNOWLEDGED:20200101T000000Z\n" +
			"X-APPLE-DEFAULT-ALARM:TRUE\nEND:VALARM\nBEGIN:VALARM\nACTION:DISPLAY\nDESCRIPTION:Reminder\nTRIGGER;VALUE=DATE-TIME:19760401T005545Z\n" +
			"X-APPLE-PROXIMITY:DEPART\nX-APPLE-STRUCTURED-LOCATION;VALUE=URI;X-APPLE-RADIUS=100;X-TITLE=Home:geo:47.5,8.25\nEND:VALARM\n" +
			"BEGIN:VALARM\nX-WR-ALARMUID:B\nACTION:DISPLAY\nDESCRIPTION:Reminder\nTRIGGER;VALUE=DATE-TIME:20191231T235900Z\nRELATED-TO;RELTYPE=SNOOZE:A\nEND:VALARM\n--",
	},
}

func TestEvents(t *testing.T) {
	t.Parallel()
	for _, c := range eventCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			set := readSet(t, calendarPhone(t, c.rows), Calendar)
			if len(set.Records) != 1 {
				t.Fatalf("%d records, want 1", len(set.Records))
			}
			if got := content(set.Records[0].Object, "VEVENT"); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			if uid := set.Records[0].UID; uid != "u" || set.Records[0].Container != "HOME" {
				t.Errorf("got %s in %s, want u in HOME", uid, set.Records[0].Container)
			}
		})
	}
}

// TestCalendars shows which calendars there are, and which items are left out.
func TestCalendars(t *testing.T) {
	t.Parallel()
	set := readSet(t, calendarPhone(t, `INSERT INTO CalendarItem (ROWID, summary, start_date, calendar_id, unique_identifier, UUID, birthday_id, hidden, entity_type, last_modified) VALUES
		(1, 'one', 1, 1, 'same', 'a', 0, 0, 2, 599529600), (2, 'same in another calendar', 1, 2, 'same', 'b', 0, 0, 2, 0), (3, 'same in the same', 1, 1, 'same', 'c', 0, 0, 2, 0),
		(4, 'birthday', 1, 3, 'd', 'd', 5, 0, 2, 0), (5, 'invitation', 1, 4, 'e', 'e', 0, 0, 2, 0), (6, 'hidden', 1, 1, 'f', 'f', 0, 1, 2, 0),
		(7, 'reminder', NULL, 1, 'g', 'g', 0, 0, 3, 0), (8, 'no UID but a UUID', 1, 5, NULL, 'h', 0, 0, 2, 0), (9, 'nowhere', 1, 77, 'i', 'i', 0, 0, 2, 0)`), Calendar)
	var got []string
	for _, r := range set.Records {
		got = append(got, r.Container+" "+unescaped(firstPart(r.Object, "VEVENT"), "SUMMARY"))
	}
	want := "FEED no UID but a UUID|none nowhere|HOME one|WORK same in another calendar|HOME same in the same"
	if strings.Join(got, "|") != want {
		t.Errorf("got %q, want %q", strings.Join(got, "|"), want)
	}
	if modified := set.Records[2].Modified; !modified.Equal(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("modified %v", modified)
	}
	for _, w := range []Container{
		{ID: "HOME", Name: "Home", Type: "local", Color: "#1BADF8", Synced: true},
		{ID: "WORK", Name: "Work", Account: "iCloud", Type: "caldav", Host: "p01-caldav.example"},
		{ID: "BIRTH", Name: "Birthdays", Account: "Other", Type: "birthdays"},
		{ID: "FEED", Name: "Feed", Type: "subscribed"},
		lostCalendar,
	} {
		found := false
		for _, c := range set.Containers {
			found = found || c == w
		}
		if !found {
			t.Errorf("no container %+v among %+v", w, set.Containers)
		}
	}
	if len(set.Containers) != 6 || !set.Complete {
		t.Errorf("%d containers, complete %v, want 6, true: %+v", len(set.Containers), set.Complete, set.Containers)
	}
}

// TestMovedException shows that an exception which lies in another calendar than its
// series is an object there.
func TestMovedException(t *testing.T) {
	t.Parallel()
	set := readSet(t, calendarPhone(t, `INSERT INTO CalendarItem (ROWID, start_date, calendar_id, unique_identifier, orig_item_id, orig_date) VALUES
		(1, 599529600, 1, 'u', 0, NULL), (2, 599529600 + 90000, 2, 'u', 1, 599529600 + 86400)`), Calendar)
	if len(set.Records) != 2 || set.Records[0].Container != "HOME" || set.Records[1].Container != "WORK" {
		t.Fatalf("got %+v, want one at home and one at work", set.Records)
	}
	if got, want := content(set.Records[1].Object, "VEVENT"), "DTSTART:20200102T010000Z\nRECURRENCE-ID:20200102T000000Z\n--"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got, want := content(set.Records[0].Object, "VEVENT"), "DTSTART:20200101T000000Z\n--"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestBadEvents shows that what is bad is told, and that the rest comes.
func TestBadEvents(t *testing.T) {
	t.Parallel()
	set := readSet(t, calendarPhone(t, `INSERT INTO CalendarItem (ROWID, start_date, end_date, start_tz, calendar_id, unique_identifier) VALUES
		(1, 'not-a-date', 2, 'UTC', 1, 'a'), (2, 5, 'x', 'UTC', 1, 'b'), (3, 5, 2, 'UTC', 1, 'c'), (4, 5, 6, 'No/Where', 1, 'd'), (5, 5, 6, 'UTC', 1, 'e')`,
		`INSERT INTO Alarm (ROWID, calendaritem_owner_id) VALUES (9, 5)`, `INSERT INTO ExceptionDate VALUES (8, 5, NULL)`), Calendar)
	if len(set.Records) != 4 || set.Complete {
		t.Errorf("%d records, complete %v, want 4, false", len(set.Records), set.Complete)
	}
	rows := map[int64]bool{}
	for _, p := range set.Problems {
		rows[p.Row] = p.Lost
	}
	for _, row := range []int64{1, 2, 3, 4, 8, 9} {
		if !rows[row] {
			t.Errorf("nothing is said to be lost in row %d", row)
		}
	}
	if len(set.Problems) != 7 {
		t.Errorf("problems %+v, want 7", set.Problems)
	}
}

func TestUnknownCalendar(t *testing.T) {
	t.Parallel()
	phone := fstest.MapFS{"HomeDomain/" + calendarPath: {Data: databaseFile(t, `CREATE TABLE Event (ROWID INTEGER PRIMARY KEY, secret TEXT)`)}}
	if _, err := Read(t.Context(), phone, Calendar); !errors.Is(err, ErrUnknownLayout) || !strings.Contains(err.Error(), "event (2 columns)") {
		t.Errorf("got %v, want that the layout is not known, and its tables", err)
	}
	if _, err := Read(t.Context(), calendarPhone(t), Reminders); !errors.Is(err, ErrNoStore) {
		t.Errorf("reminders of a calendar without any: %v, want that there is no store", err)
	}
}
