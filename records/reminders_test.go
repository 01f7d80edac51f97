package records

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// reminderTables is a store of iOS 17, as far as these tests want it.
var reminderTables = []string{
	`CREATE TABLE Z_PRIMARYKEY (Z_ENT INTEGER PRIMARY KEY, Z_NAME VARCHAR)`,
	`CREATE TABLE ZREMCDREMINDER (Z_PK INTEGER PRIMARY KEY, Z_ENT INTEGER, ZIDENTIFIER BLOB, ZCKIDENTIFIER VARCHAR, ZTITLE VARCHAR, ZNOTES VARCHAR, ` +
		`ZCOMPLETED INTEGER, ZCOMPLETIONDATE TIMESTAMP, ZFLAGGED INTEGER, ZPRIORITY INTEGER, ZALLDAY INTEGER, ZCREATIONDATE TIMESTAMP, ` +
		`ZLASTMODIFIEDDATE TIMESTAMP, ZDUEDATE TIMESTAMP, ZSTARTDATE TIMESTAMP, ZMARKEDFORDELETION INTEGER, ZPARENTREMINDER INTEGER, ZLIST INTEGER, ` +
		`ZTIMEZONE VARCHAR)`,
	`CREATE TABLE ZREMCDBASELIST (Z_PK INTEGER PRIMARY KEY, Z_ENT INTEGER, ZIDENTIFIER BLOB, ZNAME VARCHAR, ZISGROUP INTEGER, ZACCOUNT INTEGER, ` +
		`ZMARKEDFORDELETION INTEGER)`,
	`CREATE TABLE ZREMCDOBJECT (Z_PK INTEGER PRIMARY KEY, Z_ENT INTEGER, ZMARKEDFORDELETION INTEGER, ZNAME VARCHAR, ZNAME1 VARCHAR, ZNAME2 VARCHAR, ` +
		`ZIDENTIFIER BLOB, ZACCOUNT INTEGER, ZREMINDER INTEGER, ZREMINDER2 INTEGER, ZREMINDER3 INTEGER, ZREMINDER4 INTEGER, ZHASHTAGLABEL INTEGER, ` +
		`ZURL VARCHAR, ZTRIGGER INTEGER, ZALARMUID VARCHAR, ZACKNOWLEDGEDDATE TIMESTAMP, ZTIMEINTERVAL FLOAT, ZDATECOMPONENTSDATA BLOB, ZTITLE VARCHAR, ` +
		`ZADDRESS VARCHAR, ZLATITUDE FLOAT, ZLONGITUDE FLOAT, ZRADIUS FLOAT, ZPROXIMITY INTEGER, ZFREQUENCY INTEGER, ZINTERVAL INTEGER, ` +
		`ZOCCURRENCECOUNT INTEGER, ZENDDATE TIMESTAMP, ZFIRSTDAYOFTHEWEEK INTEGER, ZDAYSOFTHEWEEK BLOB, ZDAYSOFTHEMONTH BLOB, ZMONTHSOFTHEYEAR BLOB, ` +
		`ZDAYSOFTHEYEAR BLOB, ZWEEKSOFTHEYEAR BLOB, ZSETPOSITIONS BLOB)`,
	`CREATE TABLE ZREMCDHASHTAGLABEL (Z_PK INTEGER PRIMARY KEY, ZNAME VARCHAR)`,
	`INSERT INTO Z_PRIMARYKEY VALUES (1, 'REMCDReminder'), (2, 'REMCDList'), (3, 'REMCDAccount'), (4, 'REMCDHashtag'), (5, 'REMCDAlarm'), ` +
		`(6, 'REMCDAlarmDateTrigger'), (7, 'REMCDAlarmTimeIntervalTrigger'), (8, 'REMCDAlarmLocationTrigger'), (9, 'REMCDRecurrenceRule'), ` +
		`(10, 'REMCDURLAttachment'), (11, 'REMCDSmartList')`,
	`INSERT INTO ZREMCDOBJECT (Z_PK, Z_ENT, ZNAME) VALUES (500, 3, 'iCloud')`,
	`INSERT INTO ZREMCDBASELIST VALUES (1, 2, X'A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1', 'Groceries', 0, 500, 0), (2, 2, X'A2', 'A group', 1, 500, 0), ` +
		`(3, 2, X'A3', 'Gone', 0, 500, 1), (4, 11, X'A4', 'Smart', 0, 500, 0)`,
}

const accountStore = "AppDomainGroup-group.com.apple.reminders/Container_v1/Stores/Data-A.sqlite"

func reminderPhone(t testing.TB, statements ...string) fs.FS {
	t.Helper()
	data := databaseFile(t, append(reminderTables[:len(reminderTables):len(reminderTables)], statements...)...)
	return fstest.MapFS{accountStore: {Data: data}}
}

// oneReminder inserts a reminder; its columns stand before its values.
func oneReminder(columns, values string) string {
	return `INSERT INTO ZREMCDREMINDER (Z_PK, Z_ENT, ZLIST, ZCKIDENTIFIER, ZTITLE, ` + columns + `) VALUES (7, 1, 1, 'u', 'T', ` + values + `)`
}

func TestReminders(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, rows, want string }{
		{
			"timed", oneReminder("ZDUEDATE, ZTIMEZONE, ZNOTES, ZPRIORITY, ZFLAGGED", y2020+", 'Europe/Berlin', 'N', 9, 1"),
			"SUMMARY:T\nDUE;TZID=Europe/Berlin:20200101T010000\nDESCRIPTION:N\nPRIORITY:9\nSTATUS:NEEDS-ACTION\nX-APPLE-FLAGGED:TRUE\n--",
		},
		{"all day", oneReminder("ZDUEDATE, ZTIMEZONE, ZALLDAY", y2020+", 'America/New_York', 1"), "SUMMARY:T\nDUE;VALUE=DATE:20200101\nSTATUS:NEEDS-ACTION\n--"},
		{"done", oneReminder("ZCOMPLETED, ZCOMPLETIONDATE", "1, "+y2020), "SUMMARY:T\nSTATUS:COMPLETED\nPERCENT-COMPLETE:100\nCOMPLETED:20200101T000000Z\n--"},
		{"started", oneReminder("ZSTARTDATE, ZDUEDATE", y2020+", 599616000"), "SUMMARY:T\nDTSTART:20200101T000000Z\nDUE:20200102T000000Z\nSTATUS:NEEDS-ACTION\n--"},
		{
			"tags", oneReminder("ZNOTES", "NULL") + `; INSERT INTO ZREMCDHASHTAGLABEL VALUES (3, 'b,c');
			INSERT INTO ZREMCDOBJECT (Z_ENT, ZREMINDER3, ZHASHTAGLABEL, ZNAME1, ZMARKEDFORDELETION, ZURL) VALUES (4, 7, 3, NULL, 0, NULL), (4, 7, NULL, 'a', 0, NULL), (4, 7, NULL, 'gone', 1, NULL),
			(4, 8, NULL, 'of another', 0, NULL), (10, 7, NULL, NULL, 0, 'https://example.test/x')`,
			"SUMMARY:T\nURL:https://example.test/x\nSTATUS:NEEDS-ACTION\nCATEGORIES:a,b\\,c\n--",
		},
		{
			"weekly", oneReminder("ZDUEDATE", y2020) + `; INSERT INTO ZREMCDOBJECT (Z_ENT, ZREMINDER4, ZFREQUENCY, ZINTERVAL, ZOCCURRENCECOUNT, ZFIRSTDAYOFTHEWEEK, ZDAYSOFTHEWEEK)
			VALUES (9, 7, 1, 2, 3, 1, '[{"dayOfTheWeek":1,"weekNumber":0},{"dayOfTheWeek":4,"weekNumber":0}]')`,
			"SUMMARY:T\nDTSTART:20200101T000000Z\nDUE:20200101T000000Z\nRRULE:FREQ=WEEKLY;INTERVAL=2;COUNT=3;WKST=SU;BYDAY=WE,SU\nSTATUS:NEEDS-ACTION\n--",
		},
		{
			"monthly until", oneReminder("ZDUEDATE, ZALLDAY", y2020+", 1") + `; INSERT INTO ZREMCDOBJECT (Z_ENT, ZREMINDER4, ZFREQUENCY, ZENDDATE, ZDAYSOFTHEMONTH) VALUES (9, 7, 2, 602208000, '[1,-1]')`,
			"SUMMARY:T\nDTSTART;VALUE=DATE:20200101\nDUE;VALUE=DATE:20200101\nRRULE:FREQ=MONTHLY;UNTIL=20200201;BYMONTHDAY=-1,1\nSTATUS:NEEDS-ACTION\n--",
		},
		{
			"yearly", oneReminder("ZDUEDATE", y2020) + `; INSERT INTO ZREMCDOBJECT (Z_ENT, ZREMINDER4, ZFREQUENCY, ZMONTHSOFTHEYEAR, ZDAYSOFTHEWEEK) VALUES (9, 7, 3, '[5]', '[{"dayOfTheWeek":1,"weekNumber":2}]')`,
			"SUMMARY:T\nDTSTART:20200101T000000Z\nDUE:20200101T000000Z\nRRULE:FREQ=YEARLY;BYMONTH=5;BYDAY=2SU\nSTATUS:NEEDS-ACTION\n--",
		},
		{
			"a rule that nobody knows", oneReminder("ZDUEDATE", y2020) + `; INSERT INTO ZREMCDOBJECT (Z_ENT, ZREMINDER4, ZFREQUENCY, ZDAYSOFTHEWEEK) VALUES (9, 7, 1, X'62706C697374')`,
			"SUMMARY:T\nDUE:20200101T000000Z\nX-RAW-SPECIFIER;X-FREQUENCY=WEEKLY:DAYSOFTHEWEEK=bplist\nSTATUS:NEEDS-ACTION\n--",
		},
		{
			"alarms", oneReminder("ZDUEDATE, ZTIMEZONE", y2020+", 'Europe/Berlin'") + `; INSERT INTO ZREMCDOBJECT (Z_PK, Z_ENT, ZREMINDER, ZTRIGGER, ZALARMUID, ZTIMEINTERVAL, ZDATECOMPONENTSDATA, ZPROXIMITY, ZLATITUDE, ZLONGITUDE, ZTITLE) VALUES
			(20, 5, 7, 21, 'A', NULL, NULL, NULL, NULL, NULL, NULL), (21, 7, NULL, NULL, NULL, -900, NULL, NULL, NULL, NULL, NULL),
			(22, 5, 7, 23, 'B', NULL, NULL, NULL, NULL, NULL, NULL), (23, 6, NULL, NULL, NULL, NULL, '{"year":2020,"month":1,"day":1,"hour":9}', NULL, NULL, NULL, NULL),
			(24, 5, 7, 25, 'C', NULL, NULL, NULL, NULL, NULL, NULL), (25, 6, NULL, NULL, NULL, NULL, '{"year":2020,"month":1,"day":1,"hour":9,"minute":30,"timeZone":{"identifier":"Asia/Tokyo"}}', NULL, NULL, NULL, NULL),
			(26, 5, 7, 27, 'D', NULL, NULL, NULL, NULL, NULL, NULL), (27, 8, NULL, NULL, NULL, NULL, NULL, 1, 47.5, 8.25, 'Home')`,
			"SUMMARY:T\nDUE;TZID=Europe/Berlin:20200101T010000\nSTATUS:NEEDS-ACTION\n" +
				"A RELATED=END:-PT15M\nD VALUE=DATE-TIME:19760401T005545Z\nC VALUE=DATE-TIME:20200101T003000Z\nB VALUE=DATE-TIME:20200101T080000Z\n--",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			set := readSet(t, reminderPhone(t, c.rows), Reminders)
			if len(set.Records) != 1 || set.Records[0].UID != "u" || set.Records[0].Container != "A1A1A1A1-A1A1-A1A1-A1A1-A1A1A1A1A1A1" {
				t.Fatalf("got %+v, want one reminder", set.Records)
			}
			v := firstPart(set.Records[0].Object, "VTODO")
			got := content(set.Records[0].Object, "VTODO")
			if len(v.Parts) > 0 { // of alarms only when they go off
				var lines []string
				for _, a := range v.Parts {
					l, _ := a.Get("TRIGGER")
					lines = append(lines, a.Value("UID")+" "+l.Params[0].Name+"="+l.Params[0].Values[0]+":"+l.Value)
				}
				before, _, _ := strings.Cut(got, "BEGIN:VALARM")
				got = before + strings.Join(lines, "\n") + "\n--"
			}
			if got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// TestLists shows which lists there are, and which reminders are left out.
func TestLists(t *testing.T) {
	t.Parallel()
	set := readSet(t, reminderPhone(t, `INSERT INTO ZREMCDREMINDER (Z_PK, Z_ENT, ZLIST, ZIDENTIFIER, ZTITLE, ZMARKEDFORDELETION, ZPARENTREMINDER) VALUES
		(1, 1, 1, X'10101010101010101010101010101010', 'one', 0, NULL), (2, 1, 1, X'20202020202020202020202020202020', 'below', 0, 1), (3, 1, 1, X'30', 'deleted', 1, NULL),
		(4, 1, 3, X'40', 'of a deleted list', 0, NULL), (5, 1, 99, X'50505050505050505050505050505050', 'nowhere', 0, NULL), (6, 1, 1, NULL, 'without', 0, NULL), (7, 1, 1, NULL, 'without', 0, NULL)`), Reminders)
	var titles []string
	for _, r := range set.Records {
		titles = append(titles, Summary(Reminders, r).Title)
	}
	slices.Sort(titles)
	if strings.Join(titles, "|") != "below|nowhere|one|without|without" {
		t.Errorf("got %q", titles)
	}
	i := slices.IndexFunc(set.Records, func(r Record) bool { return Summary(Reminders, r).Title == "below" })
	if parent := firstPart(set.Records[i].Object, "VTODO").Value("RELATED-TO"); parent != "10101010-1010-1010-1010-101010101010" {
		t.Errorf("its parent is %q", parent)
	}
	want := Container{ID: "A1A1A1A1-A1A1-A1A1-A1A1-A1A1A1A1A1A1", Name: "Groceries", Account: "iCloud", Type: "other"}
	if len(set.Containers) != 2 || !slices.Contains(set.Containers, want) {
		t.Errorf("got %+v, want %+v and one of what is nowhere", set.Containers, want)
	}
}

// TestCatchAll shows that the lists of before iOS 17 are found, and that a store
// without any is none to worry about.
func TestCatchAll(t *testing.T) {
	t.Parallel()
	var old []string
	for _, s := range reminderTables {
		if !strings.Contains(s, "ZREMCDBASELIST") {
			old = append(old, s)
		}
	}
	full := append(slices.Clone(old), `INSERT INTO ZREMCDOBJECT (Z_PK, Z_ENT, ZNAME1, ZIDENTIFIER) VALUES (1, 2, 'Old list', X'B1B1B1B1B1B1B1B1B1B1B1B1B1B1B1B1')`,
		`INSERT INTO ZREMCDREMINDER (Z_PK, Z_ENT, ZLIST, ZCKIDENTIFIER, ZTITLE) VALUES (7, 1, 1, 'u', 'T')`)
	const folder = "HomeDomain/Library/Reminders/Container_v1/Stores/"
	set := readSet(t, fstest.MapFS{
		folder + "Data-local.sqlite": {Data: databaseFile(t, full...)}, folder + "Data-B.sqlite": {Data: databaseFile(t, old...)},
	}, Reminders)
	want := Container{ID: "B1B1B1B1-B1B1-B1B1-B1B1-B1B1B1B1B1B1", Name: "Old list", Type: "local", Synced: true}
	if len(set.Records) != 1 || len(set.Stores) != 2 || len(set.Containers) != 1 || set.Containers[0] != want || !set.Complete {
		t.Errorf("got %+v, want one reminder in %+v", set, want)
	}
	phone := fstest.MapFS{folder + "Data-C.sqlite": {Data: databaseFile(t, `CREATE TABLE ZOTHER (Z_PK INTEGER PRIMARY KEY)`)}}
	if _, err := Read(t.Context(), phone, Reminders); !errors.Is(err, ErrUnknownLayout) {
		t.Errorf("another layout: %v", err)
	}
}

func TestOldReminders(t *testing.T) {
	t.Parallel()
	set := readSet(t, calendarPhone(t, `INSERT INTO CalendarItem (ROWID, summary, start_date, start_tz, due_date, due_tz, completion_date, priority, calendar_id, unique_identifier, entity_type, last_modified) VALUES
		(1, 'event', 1, 'UTC', NULL, NULL, NULL, 0, 1, 'a', 2, 0), (2, 'todo', 599529600, 'Europe/Berlin', 599533200, 'Europe/Berlin', 599529600, 5, 2, 'b', 3, 599529600)`,
		`INSERT INTO Recurrence (frequency, interval, owner_id) VALUES (1, 1, 2)`, `INSERT INTO Alarm (calendaritem_owner_id, trigger_interval, UUID) VALUES (2, -60, 'A')`), Reminders)
	want := "LAST-MODIFIED:20200101T000000Z\nSUMMARY:todo\nDTSTART;TZID=Europe/Berlin:20200101T010000\nDUE;TZID=Europe/Berlin:20200101T020000\nRRULE:FREQ=DAILY\nPRIORITY:5\n" +
		"STATUS:COMPLETED\nPERCENT-COMPLETE:100\nCOMPLETED:20200101T000000Z\nBEGIN:VALARM\nX-WR-ALARMUID:A\nACTION:DISPLAY\nDESCRIPTION:Reminder\n" +
		"TRIGGER;RELATED=END:-PT1M\nEND:VALARM\n--"
	if len(set.Records) != 1 || set.Records[0].UID != "b" || len(set.Containers) != 1 || set.Containers[0].ID != "WORK" {
		t.Fatalf("got %+v, want one reminder in one list", set)
	}
	if got := strings.Replace(content(set.Records[0].Object, "VTODO"), "DTSTAMP:20200101T000000Z\n", "", 1); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestCalendarSamples reads the stores of others.
func TestCalendarSamples(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(samples, "stores", "novkostya")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("samples missing: novkostya")
	}
	file := func(name string) *fstest.MapFile {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return &fstest.MapFile{Data: data}
	}
	phone := fstest.MapFS{
		"HomeDomain/" + calendarPath: file("calendar.1.Calendar.sqlitedb"),
		accountStore:                 file("reminders.1.cloud.sqlite"),
		strings.Replace(accountStore, "-A.", "-local.", 1): file("reminders.1.local.sqlite"),
	}
	events := readSet(t, phone, Calendar)
	if len(events.Records) != 3 || events.Complete || len(events.Problems) != 4 {
		t.Errorf("%d events, complete %v, problems %+v, want 3, false, 4", len(events.Records), events.Complete, events.Problems)
	}
	raw := 0
	for _, r := range events.Records {
		if _, ok := firstPart(r.Object, "VEVENT").Get("X-RAW-SPECIFIER"); ok {
			raw++
		}
		if !strings.HasPrefix(r.UID, "content-") {
			t.Errorf("a UID of a store that has none: %s", r.UID)
		}
	}
	if raw != 1 {
		t.Errorf("%d rules are kept as they are, want 1", raw)
	}
	if backup := readSet(t, sampleBackup(t, "D-unencrypted-same-content-as-B"), Calendar); !reflect.DeepEqual(backup.Records, events.Records) {
		t.Errorf("the same calendar in a backup has %d other events", len(backup.Records))
	}
	reminders := readSet(t, phone, Reminders)
	if len(reminders.Records) != 5 || len(reminders.Containers) != 3 || !reminders.Complete {
		t.Errorf("%d reminders in %d lists, complete %v, want 5, 3, true", len(reminders.Records), len(reminders.Containers), reminders.Complete)
	}
}
