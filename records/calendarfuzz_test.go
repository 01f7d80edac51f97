package records

import (
	"bytes"
	"os"
	"testing"
	"time"

	"russet/internal/vobject"
	"russet/records/recordstest"
)

// checkObject shows that what was made of hostile rows is read again as it is, and
// that nothing which looks into it falls over.
func checkObject(t *testing.T, kind Kind, object *vobject.Component) {
	t.Helper()
	text := object.Bytes()
	again, err := vobject.Parse(text)
	if err != nil || len(again) != 1 {
		t.Fatalf("%d objects, %v in\n%s", len(again), err, text)
	}
	if got, want := vobject.HashOf(vobject.Canonical(again[0])), vobject.HashOf(vobject.Canonical(object)); got != want {
		t.Errorf("what is read again is another object:\n%s", text)
	}
	if len(again[0].Parts) != len(object.Parts) || !bytes.Equal(again[0].Bytes(), text) {
		t.Errorf("what is read again has other parts:\n%s", text)
	}
	Summary(kind, Record{Object: object})
	_, _ = Occurrences(object, time.Unix(1_500_000_000, 0), time.Unix(1_600_000_000, 0))
}

// hostileStore is a calendar in which item 1 has one of everything.
func hostileStore(text, zone, specifier string, a, b float64, n int64) (*calendarStore, *item) {
	c := &calendarStore{
		store: &store{set: &Set{}}, rules: map[int64][]storedRule{}, exceptions: map[int64][]time.Time{}, alarms: map[int64][]alarm{},
		people: map[int64][]participant{}, attached: map[int64][]string{1: {text}}, locations: map[int64]location{},
	}
	start, _ := cocoaTime(a)
	end, _ := cocoaTime(b)
	r := storedRule{rule: rule{freq: frequencies[n%5], count: clampInt(n % 100)}, end: end, raw: specifier}
	if r.err = r.parseSpecifier(specifier); r.err == nil {
		r.err = r.check()
	}
	c.rules[1] = []storedRule{r}
	c.exceptions[1] = []time.Time{end}
	place := location{title: text, address: zone, lat: float64(n%90) + .5, lon: 1, known: true}
	c.locations[1] = place
	c.alarms[1] = []alarm{{uid: text, relative: true, seconds: n % maxAlarm}, {at: end}, {place: &place, snoozes: text}}
	c.people[1] = []participant{
		{name: text, uri: personURI(text, zone, specifier), status: n % 9, role: n % 7, kind: n % 6},
		{organizer: true, name: zone, uri: personURI("", text, "")},
	}
	it := &item{
		id: 1, uid: text, container: "HOME", summary: text, description: specifier, url: text, conference: zone, start: start, end: end, due: end,
		startZone: zone, endZone: text, dueZone: zone, allDay: n%2 == 0, dueAllDay: n%3 == 0, status: n % 5, availability: n % 5, privacy: n % 4,
		priority: n % 12, sequence: n, location: 1, travelTime: n, created: start, modified: end,
	}
	return c, it
}

func FuzzEventRows(f *testing.F) {
	f.Add("A, b;\\c\nd", "Europe/Berlin", "D=+2SU;O=5", 484358400.0, 484444799.0, int64(4))
	f.Add("a@b\"^;:,", "_float", "X=1\r\n", 0.0, -1e9, int64(-7))
	f.Add("\x01", "GMT+0530", "D=0MO,0TU;S=1", 6e8, 6e8, int64(33))
	f.Add("\xff\x00", "GMT+0530", "D=0MO,0TU;S=1", 6e8, 6e8, int64(33))
	f.Fuzz(func(t *testing.T, text, zone, specifier string, a, b float64, n int64) {
		text, zone, specifier = validText(text), validText(zone), validText(specifier)
		c, it := hostileStore(text, zone, specifier, a, b, n)
		if it.start.IsZero() {
			return
		}
		series := c.gather([]*item{it, {id: 2, uid: text, container: "HOME", master: 1, original: it.end, start: it.start, startZone: zone}})
		for _, s := range series {
			object := c.event(s)
			c.addRecord(object, s, map[seriesKey]int{})
			checkObject(t, Calendar, object)
		}
		old := c.oldTodo(it)
		checkObject(t, Reminders, old.component())
	})
}

// FuzzReminderJSON is of what reminders keep as JSON.
func FuzzReminderJSON(f *testing.F) {
	f.Add([]byte(`[{"dayOfTheWeek":1,"weekNumber":2}]`))
	f.Add([]byte(`{"year":2020,"month":1,"day":1,"hour":9,"timeZone":{"identifier":"Asia/Tokyo"}}`))
	f.Add([]byte(`[1,-1]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var c reminderStore
		if local, z, err := c.dateComponents(data); err == nil {
			trigger := reminderTrigger{local: local, zone: z}
			trigger.moment(clock{zone: &zone{loc: time.UTC}})
		}
		r := rule{freq: "MONTHLY"}
		days, err := jsonWeekdays(string(data))
		if err != nil {
			return
		}
		if r.days = days; r.check() == nil {
			var x expander
			if _, _, err := x.parseRule(r.String(), clock{zone: &zone{}}); err != nil {
				t.Errorf("%s became %s: %v", data, r.String(), err)
			}
		}
	})
}

// BenchmarkCalendar reads 10,000 events.
func BenchmarkCalendar(b *testing.B) {
	dir := b.TempDir()
	if err := recordstest.NewCalendar(1, 10_000).Write(dir); err != nil {
		b.Fatal(err)
	}
	phone := os.DirFS(dir)
	for b.Loop() {
		if set := readSet(b, phone, Calendar); len(set.Records) != 10_000 {
			b.Fatalf("%d events", len(set.Records))
		}
	}
}

// BenchmarkOccurrences expands 10,000 events over a year and makes them flat.
func BenchmarkOccurrences(b *testing.B) {
	dir := b.TempDir()
	if err := recordstest.NewCalendar(1, 10_000).Write(dir); err != nil {
		b.Fatal(err)
	}
	set := readSet(b, os.DirFS(dir), Calendar)
	from := time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC)
	for b.Loop() {
		for _, r := range set.Records {
			if _, err := Occurrences(r.Object, from, from.AddDate(1, 0, 0)); err != nil {
				b.Fatal(err)
			}
			Summary(Calendar, r)
		}
	}
}
