package records

import (
	"strings"
	"testing"
	"time"

	"russet/internal/vobject"
)

// event makes an object of the lines of VEVENTs, which are separated by --.
func event(t testing.TB, text string) *vobject.Component {
	t.Helper()
	text = "BEGIN:VCALENDAR\nBEGIN:VEVENT\n" + strings.ReplaceAll(text, "--", "END:VEVENT\nBEGIN:VEVENT") + "\nEND:VEVENT\nEND:VCALENDAR\n"
	objects, err := vobject.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return objects[0]
}

func TestOccurrences(t *testing.T) {
	t.Parallel()
	here, err := time.LoadLocation("Europe/Zurich")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, object, want string }{
		{"once", "DTSTART:20200101T100000Z\nDTEND:20200101T110000Z", "2020-01-01 10:00+00"},
		{
			"mother's day", "DTSTART;VALUE=DATE:20160508\nRRULE:FREQ=YEARLY;COUNT=5;WKST=SU;BYMONTH=5;BYDAY=2SU",
			"2016-05-08 00:00+02 2017-05-14 00:00+02 2018-05-13 00:00+02 2019-05-12 00:00+02 2020-05-10 00:00+02",
		}, // the last as iOS has it
		{
			"father's day", "DTSTART;VALUE=DATE:20160814\nRRULE:FREQ=YEARLY;COUNT=5;WKST=SU;BYMONTH=8;BYDAY=2SU",
			"2016-08-14 00:00+02 2017-08-13 00:00+02 2018-08-12 00:00+02 2019-08-11 00:00+02 2020-08-09 00:00+02",
		}, // likewise
		{
			"christmas", "DTSTART;VALUE=DATE:20161225\nRRULE:FREQ=YEARLY;UNTIL=20191225",
			"2016-12-25 00:00+01 2017-12-25 00:00+01 2018-12-25 00:00+01 2019-12-25 00:00+01",
		}, // likewise
		{"until a day", "DTSTART;TZID=Europe/Berlin:20200101T100000\nRRULE:FREQ=DAILY;UNTIL=20200103", "2020-01-01 10:00+01 2020-01-02 10:00+01 2020-01-03 10:00+01"},
		{"until a moment", "DTSTART;TZID=Europe/Berlin:20200101T100000\nRRULE:FREQ=DAILY;UNTIL=20200103T090000Z", "2020-01-01 10:00+01 2020-01-02 10:00+01 2020-01-03 10:00+01"},
		{"until the moment before", "DTSTART;TZID=Europe/Berlin:20200101T100000\nRRULE:FREQ=DAILY;UNTIL=20200103T085959Z", "2020-01-01 10:00+01 2020-01-02 10:00+01"},
		{"days until a moment", "DTSTART;VALUE=DATE:20200101\nRRULE:FREQ=DAILY;UNTIL=20200102T230000Z", "2020-01-01 00:00+01 2020-01-02 00:00+01"},
		{"floating until floating", "DTSTART:20200101T100000\nRRULE:FREQ=DAILY;UNTIL=20200102T100000", "2020-01-01 10:00+01 2020-01-02 10:00+01"},
		{"over a change of the clock", "DTSTART;TZID=Europe/Berlin:20200328T100000\nRRULE:FREQ=DAILY;COUNT=3", "2020-03-28 10:00+01 2020-03-29 10:00+02 2020-03-30 10:00+02"},
		{"at a time left out", "DTSTART;TZID=Europe/Berlin:20200328T023000\nRRULE:FREQ=DAILY;COUNT=3", "2020-03-28 02:30+01 2020-03-29 03:30+02 2020-03-30 02:30+02"},
		{"at a time that is twice", "DTSTART;TZID=Europe/Berlin:20201024T023000\nRRULE:FREQ=DAILY;COUNT=3", "2020-10-24 02:30+02 2020-10-25 02:30+02 2020-10-26 02:30+01"},
		{"the 31st", "DTSTART:20200131T000000Z\nRRULE:FREQ=MONTHLY;COUNT=3", "2020-01-31 00:00+00 2020-03-31 00:00+00 2020-05-31 00:00+00"},
		{"a start that the rule leaves out", "DTSTART:20200101T000000Z\nRRULE:FREQ=WEEKLY;BYDAY=FR;COUNT=3", "2020-01-01 00:00+00 2020-01-03 00:00+00 2020-01-10 00:00+00"},
		{"exceptions", "DTSTART;TZID=Europe/Berlin:20200101T100000\nRRULE:FREQ=DAILY;COUNT=4\nEXDATE;TZID=Europe/Berlin:20200102T100000,20200103T100000", "2020-01-01 10:00+01 2020-01-04 10:00+01"},
		{"an exception in UTC", "DTSTART;TZID=Europe/Berlin:20200101T100000\nRRULE:FREQ=DAILY;COUNT=2\nEXDATE:20200102T090000Z", "2020-01-01 10:00+01"},
		{"an exception of days", "DTSTART;VALUE=DATE:20200101\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE;VALUE=DATE:20200102", "2020-01-01 00:00+01 2020-01-03 00:00+01"},
		{"more dates", "DTSTART:20200101T100000Z\nRDATE:20200105T100000Z,20200101T100000Z", "2020-01-01 10:00+00 2020-01-05 10:00+00"},
		{"two rules", "DTSTART:20200101T100000Z\nRRULE:FREQ=DAILY;COUNT=2\nRRULE:FREQ=WEEKLY;COUNT=2", "2020-01-01 10:00+00 2020-01-02 10:00+00 2020-01-08 10:00+00"},
		{"an override", "DTSTART:20200101T100000Z\nRRULE:FREQ=DAILY;COUNT=3\n--\nRECURRENCE-ID:20200102T100000Z\nDTSTART:20200102T150000Z", "2020-01-01 10:00+00 2020-01-02 15:00+00 2020-01-03 10:00+00"},
		{"an override alone", "RECURRENCE-ID:20200102T100000Z\nDTSTART:20200102T150000Z", "2020-01-02 15:00+00"},
		{"before the range", "DTSTART:20140101T100000Z\nDTEND:20140101T110000Z", ""},
		{"into the range", "DTSTART;VALUE=DATE:20151231\nDTEND;VALUE=DATE:20160102", "2015-12-31 00:00+01"},
		{"until the range", "DTSTART;VALUE=DATE:20151231\nDTEND;VALUE=DATE:20160101", ""},
		{"after the range", "DTSTART;VALUE=DATE:20210101", ""},
		{"a rule from before", "DTSTART:19700102T030000Z\nRRULE:FREQ=YEARLY;INTERVAL=10;BYMONTH=1", "2020-01-02 03:00+00"},
		{"last workday", "DTSTART:20200131T100000Z\nRRULE:FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;COUNT=3", "2020-01-31 10:00+00 2020-02-28 10:00+00 2020-03-31 10:00+00"},
		{"first and last day of the first week", "DTSTART:20200103T100000Z\nRRULE:FREQ=WEEKLY;BYDAY=MO,WE,FR,SA;BYSETPOS=1,-1;COUNT=4", "2020-01-03 10:00+00 2020-01-04 10:00+00 2020-01-06 10:00+00 2020-01-11 10:00+00"},
		{"ordinals and plain days", "DTSTART:20200106T100000Z\nRRULE:FREQ=MONTHLY;BYDAY=1MO,TU;COUNT=4", "2020-01-06 10:00+00 2020-01-07 10:00+00 2020-01-14 10:00+00 2020-01-21 10:00+00"},
		{"a week of the year", "DTSTART:20200512T100000Z\nRRULE:FREQ=YEARLY;BYWEEKNO=20", "2020-05-12 10:00+00"},
		{"100th and last day", "DTSTART:20200409T100000Z\nRRULE:FREQ=YEARLY;BYYEARDAY=-1,100", "2020-04-09 10:00+00 2020-12-31 10:00+00"},
		{"every other week", "DTSTART:20200101T100000Z\nRRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=SU;COUNT=4", "2020-01-01 10:00+00 2020-01-12 10:00+00 2020-01-14 10:00+00 2020-01-26 10:00+00"},
		{"the 29th of February", "DTSTART;VALUE=DATE:20160229\nRRULE:FREQ=YEARLY", "2016-02-29 00:00+01 2020-02-29 00:00+01"},
		{"last Friday", "DTSTART;VALUE=DATE:20200131\nRRULE:FREQ=MONTHLY;BYDAY=-1FR;COUNT=3", "2020-01-31 00:00+01 2020-02-28 00:00+01 2020-03-27 00:00+01"},
		{"last Monday of the year", "DTSTART;VALUE=DATE:20191230\nRRULE:FREQ=YEARLY;BYDAY=-1MO;COUNT=2", "2019-12-30 00:00+01 2020-12-28 00:00+01"},
		{"never", "DTSTART:20200101T100000Z\nRRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=31", "2020-01-01 10:00+00"},
	} {
		found, err := Occurrences(event(t, c.object), time.Date(2016, 1, 1, 0, 0, 0, 0, here), time.Date(2021, 1, 1, 0, 0, 0, 0, here))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var got []string
		for _, o := range found {
			got = append(got, o.Start.Format("2006-01-02 15:04-07"))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: got %s, want %s", c.name, strings.Join(got, " "), c.want)
		}
	}
}

func TestOccurrenceEnds(t *testing.T) {
	t.Parallel()
	from, to := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		object string
		want   time.Duration
		allDay bool
	}{
		{"DTSTART;VALUE=DATE:20200329", 24 * time.Hour, true},
		{"DTSTART;VALUE=DATE:20200329\nDTEND;VALUE=DATE:20200331", 48 * time.Hour, true},
		{"DTSTART;TZID=Europe/Berlin:20200329T000000\nDTEND;TZID=Europe/Berlin:20200330T000000", 23 * time.Hour, false},
		{"DTSTART;TZID=Asia/Tokyo:20200329T090000\nDTEND:20200329T013000Z", 90 * time.Minute, false},
		{"DTSTART:20200329T090000Z", 0, false},
		{"DTSTART:20200329T090000Z\nDTEND:20200328T090000Z", 0, false},
	} {
		found, err := Occurrences(event(t, c.object), from, to)
		if err != nil || len(found) != 1 || found[0].End.Sub(found[0].Start) != c.want || found[0].AllDay != c.allDay {
			t.Errorf("%q: got %+v, %v, want %v, all day %v", c.object, found, err, c.want, c.allDay)
		}
	}
}

func TestNoOccurrences(t *testing.T) {
	t.Parallel()
	for _, lines := range []string{
		"SUMMARY:x", "DTSTART:x", "DTSTART;VALUE=DATE:20201331", "DTSTART;TZID=No/Where:20200101T000000", "DTSTART:20200101T000000Z\nDTEND:x",
		"DTSTART:20200101T000000Z\nRRULE:x", "DTSTART:20200101T000000Z\nRRULE:FREQ=HOURLY", "DTSTART:20200101T000000Z\nRRULE:FREQ=DAILY;BYHOUR=1",
		"DTSTART:20200101T000000Z\nRRULE:FREQ=DAILY;FREQ=DAILY", "DTSTART:20200101T000000Z\nRRULE:FREQ=DAILY;COUNT=0", "DTSTART:20200101T000000Z\nRRULE:COUNT=1",
		"DTSTART:20200101T000000Z\nRRULE:FREQ=DAILY;BYDAY=", "DTSTART:20200101T000000Z\nRRULE:FREQ=DAILY;UNTIL=x",
		"DTSTART:20200101T000000Z\nRRULE:FREQ=DAILY;WKST=XX", "DTSTART:20200101T000000Z\nEXDATE:x", "DTSTART:20200101T000000Z\nRDATE:x",
		"DTSTART:20200101T000000Z\nRECURRENCE-ID:x", "DTSTART:00010101T000000Z\nRRULE:FREQ=DAILY",
		"DTSTART:20200101T000000Z" + strings.Repeat("\nRRULE:FREQ=DAILY", maxRules+1),
	} {
		if found, err := Occurrences(event(t, lines), time.Unix(0, 0), time.Date(2050, 1, 1, 0, 0, 0, 0, time.UTC)); err == nil {
			t.Errorf("%.100q: got %d occurrences, want an error", lines, len(found))
		} else if strings.Contains(err.Error(), "20200101") {
			t.Errorf("%.100q: %v says what stands in it", lines, err)
		}
	}
}

func FuzzOccurrences(f *testing.F) {
	f.Add("DTSTART;TZID=Europe/Berlin:20200328T023000\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE;TZID=Europe/Berlin:20200329T023000")
	f.Add("DTSTART;VALUE=DATE:20160508\nDTEND;VALUE=DATE:20160509\nRRULE:FREQ=YEARLY;UNTIL=20200101;WKST=SU;BYMONTH=5;BYDAY=2SU")
	f.Add("DTSTART:20200101T100000Z\nRDATE:20200105T100000Z\nRRULE:FREQ=MONTHLY;BYMONTHDAY=-1;BYSETPOS=1")
	f.Fuzz(func(t *testing.T, lines string) {
		objects, err := vobject.Parse([]byte("BEGIN:VCALENDAR\nBEGIN:VEVENT\n" + lines + "\nEND:VEVENT\nEND:VCALENDAR\n"))
		if err != nil {
			return
		}
		from, to := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC)
		for _, object := range objects {
			found, _ := Occurrences(object, from, to)
			for i, o := range found {
				if !o.Start.Before(to) || o.End.Before(from) || i > 0 && o.Start.Before(found[i-1].Start) {
					t.Errorf("occurrence %d of %d is from %s to %s", i, len(found), o.Start, o.End)
				}
			}
			Summary(Calendar, Record{Object: object})
		}
	})
}
