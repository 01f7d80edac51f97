package records

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"russet/internal/vobject"
	"russet/records/recordstest"
)

// python returns an interpreter that has the modules dateutil and icalendar.
func python(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("short: python takes seconds")
	}
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.CommandContext(t.Context(), name, "-c", "import dateutil, icalendar").Run() == nil {
			return name
		}
	}
	t.Skip("judge missing: python3-icalendar")
	return ""
}

// expand says when the events of a file take place: dateutil follows the rule in
// the zone that it makes of our VTIMEZONE, and icalendar, which makes its own, must
// agree on the offset.
const expand = `
import io, json, sys
import icalendar
from datetime import datetime, date, timedelta, timezone
from dateutil import rrule, tz
out = []
for text in json.load(sys.stdin):
    cal = icalendar.Calendar.from_ical(text)
    event = cal.walk('VEVENT')[0]
    start = event['DTSTART'].dt
    zones = cal.walk('VTIMEZONE')
    zone = other = None
    if zones:
        lines = text[text.index('BEGIN:VTIMEZONE'):text.index('END:VTIMEZONE')] + 'END:VTIMEZONE\r\n'
        zone = tz.tzical(io.StringIO(lines)).get()
        other = zones[0].to_tz()
    day = not isinstance(start, datetime)
    naive = datetime(start.year, start.month, start.day) if day else start.replace(tzinfo=None)
    utc = not zones and not day and start.tzinfo is not None
    begin = naive.replace(tzinfo=zone if zones else timezone.utc if utc else None)
    rule = event['RRULE'].to_ical().decode()
    count = event['RRULE'].get('COUNT')
    last = naive + timedelta(days=2400 if 'YEARLY' in rule else 400)
    if begin.tzinfo: last = last.replace(tzinfo=begin.tzinfo)
    found = rrule.rrulestr(rule, dtstart=begin).between(begin, last, inc=True)
    if begin not in found:
        found.insert(0, begin)
        if count: found = found[:count[0]]
    ex = event.get('EXDATE', [])
    for line in ex if isinstance(ex, list) else [ex]:
        for d in line.dts:
            d = d.dt
            wall = datetime(d.year, d.month, d.day) if not isinstance(d, datetime) else d.replace(tzinfo=None)
            found = [f for f in found if f.replace(tzinfo=None) != wall]
    for f in found:
        if other and other.localize(f.replace(tzinfo=None)).utcoffset() != f.utcoffset():
            sys.exit('icalendar and dateutil differ on ' + str(f) + ' in ' + text)
    out.append([(f.astimezone(timezone.utc) if f.tzinfo else f).strftime('%Y-%m-%dT%H:%M') for f in found])
json.dump(out, sys.stdout)
`

// randomSpecifier makes a specifier that a frequency may have.
func randomSpecifier(rng *rand.Rand, freq string) string {
	numbers := func(n, low, high int) string {
		var list []string
		for range 1 + rng.IntN(n) {
			v := low + rng.IntN(high-low+1)
			if v == 0 {
				v = high
			}
			list = append(list, strconv.Itoa(v))
		}
		return strings.Join(list, ",")
	}
	var parts []string
	maybe := func(odds int, part func() string) {
		if rng.IntN(odds) == 0 {
			parts = append(parts, part())
		}
	}
	maybe(2, func() string {
		var list []string
		// dateutil takes ordinals and plain days together for days that are both.
		ordinals := (freq == "MONTHLY" || freq == "YEARLY") && rng.IntN(2) == 0
		for range 1 + rng.IntN(3) {
			nth := 0
			if ordinals {
				nth = []int{1, 2, 3, 4, -1, -2}[rng.IntN(6)]
			}
			list = append(list, fmt.Sprintf("%+d%s", nth, weekdays[1+rng.IntN(7)]))
		}
		return "D=" + strings.Join(list, ",")
	})
	maybe(3, func() string { return "O=" + numbers(3, 1, 12) })
	if freq != "WEEKLY" {
		maybe(3, func() string { return "M=" + numbers(4, -31, 31) })
	}
	if freq == "YEARLY" {
		maybe(4, func() string { return "Y=" + numbers(6, -366, 366) })
		maybe(4, func() string {
			parts = slices.DeleteFunc(parts, func(p string) bool { return p[0] == 'D' })
			// Without a day dateutil takes all seven.
			return "D=" + weekdays[1+rng.IntN(7)] + ";W=" + numbers(3, -9, 53)
		})
	}
	// dateutil counts the positions of the first week from the start's day.
	if len(parts) > 0 && freq != "WEEKLY" {
		maybe(4, func() string { return "S=" + numbers(2, -3, 3) })
	}
	return strings.Join(parts, ";")
}

// randomSeries makes an event with a rule of that kind, its exceptions among the
// days that the rule names.
func randomSeries(t *testing.T, rng *rand.Rand, z *zones) *vobject.Component {
	t.Helper()
	r := rule{freq: reminderFrequencies[rng.IntN(4)], interval: 1 + rng.IntN(3)}
	if err := r.parseSpecifier(randomSpecifier(rng, r.freq)); err != nil {
		t.Fatal(err)
	}
	place, err := z.find([]string{"Europe/Berlin", "America/New_York", "Australia/Sydney", "Africa/Cairo", ""}[rng.IntN(5)])
	if err != nil {
		t.Fatal(err)
	}
	at := clock{zone: place}
	start := time.Date(2015, 1, 1, 9, 30, 0, 0, place.loc).AddDate(0, 0, rng.IntN(1000))
	if rng.IntN(3) == 0 {
		at, start = clock{zone: &zone{loc: time.UTC}, date: true}, midnight(start)
	}
	switch rng.IntN(3) {
	case 0:
		r.count = 1 + rng.IntN(40)
	case 1:
		r.until = at.until(start.AddDate(0, rng.IntN(60), 0))
	}
	if rng.IntN(2) == 0 {
		r.weekStart = weekdays[1+rng.IntN(7)]
	}
	if err := r.check(); err != nil {
		t.Fatal(err)
	}
	var o calendarObject
	v := vobject.New("VEVENT")
	v.Add(vobject.NewLine("UID", "x"), o.time("DTSTART", at, start), vobject.NewLine("RRULE", r.String()))
	o.parts = append(o.parts, v)
	found, err := Occurrences(o.component(), start, start.AddDate(2, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 3 { // of a rule that names no day dateutil looks for one until the year 9999
		return randomSeries(t, rng, z)
	}
	for i, f := range found {
		if i > 0 && rng.IntN(5) == 0 {
			v.Add(o.time("EXDATE", at, f.Start))
		}
	}
	return o.component()
}

func TestRulesAsDateutil(t *testing.T) {
	t.Parallel()
	interpreter := python(t)
	rng := rand.New(rand.NewPCG(11, 12))
	var z zones
	var texts []string
	var want [][]string
	for range 80 {
		object := randomSeries(t, rng, &z)
		line, _ := firstPart(object, "VEVENT").Get("DTSTART")
		x := expander{from: time.Unix(0, 0).UTC()}
		local, c, err := x.read(line, line.Value)
		if err != nil {
			t.Fatal(err)
		}
		days := 400
		if strings.Contains(firstPart(object, "VEVENT").Value("RRULE"), "YEARLY") {
			days = 2400
		}
		found, err := Occurrences(object, c.instant(local).UTC(), c.instant(local.AddDate(0, 0, days)).UTC().Add(time.Second))
		if err != nil {
			t.Fatalf("%v in %s", err, object.Bytes())
		}
		ours := []string{}
		for _, o := range found {
			ours = append(ours, o.Start.UTC().Format("2006-01-02T15:04"))
		}
		want, texts = append(want, ours), append(texts, string(object.Bytes()))
	}
	input, err := json.Marshal(texts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, interpreter, "-W", "ignore", "-c", expand)
	cmd.Stdin = bytes.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.Bytes())
	}
	var got [][]string
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	total := 0
	for i := range want {
		total += len(want[i])
		if !slices.Equal(got[i], want[i]) {
			t.Errorf("dateutil has %d occurrences, we have %d: %v and %v of\n%s", len(got[i]), len(want[i]), got[i], want[i], texts[i])
		}
	}
	t.Logf("%d rules, %d occurrences", len(want), total)
}

// TestKhal shows that khal reads what we write, and lists every event where we do.
func TestKhal(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short: khal takes seconds")
	}
	if _, err := exec.LookPath("khal"); err != nil {
		t.Skip("judge missing: khal")
	}
	dir := t.TempDir()
	calendar := recordstest.NewCalendar(3, 60)
	for range 3 { // which makes exceptions
		calendar.Change(40)
	}
	if err := calendar.Write(dir); err != nil {
		t.Fatal(err)
	}
	set := readSet(t, os.DirFS(dir), Calendar)
	folder := filepath.Join(dir, "vdir")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	from := time.Date(2019, 12, 1, 0, 0, 0, 0, time.UTC)
	const days = 400
	var want []string
	for i, r := range set.Records {
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%d.ics", i)), r.Object.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		found, err := Occurrences(r.Object, from, from.AddDate(0, 0, days))
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range found {
			form := "2006-01-02T15:04"
			if o.AllDay {
				form = "2006-01-02"
			}
			want = append(want, r.UID+" "+o.Start.UTC().Format(form))
		}
	}
	got := khalLines(t, dir, folder, from, days)
	slices.Sort(want)
	slices.Sort(got)
	got = slices.Compact(got) // one that lasts for days is listed on each
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("khal lacks %s", w)
		}
	}
	for _, g := range got {
		if !slices.Contains(want, g) {
			t.Errorf("khal has %s", g)
		}
	}
	if len(got) < 50 {
		t.Errorf("khal lists %d, want at least 50", len(got))
	}
}

// khalLines is what khal lists of a folder.
func khalLines(t *testing.T, dir, folder string, from time.Time, days int) []string {
	t.Helper()
	config := fmt.Sprintf("[calendars]\n[[a]]\npath = %s\ntype = calendar\n[sqlite]\npath = %s\n[locale]\nlocal_timezone = UTC\ndefault_timezone = UTC\n"+
		"timeformat = %%H:%%M\ndateformat = %%Y-%%m-%%d\nlongdateformat = %%Y-%%m-%%d\ndatetimeformat = %%Y-%%m-%%dT%%H:%%M\nlongdatetimeformat = %%Y-%%m-%%dT%%H:%%M\n",
		folder, filepath.Join(dir, "khal.db"))
	name := filepath.Join(dir, "khal.conf")
	if err := os.WriteFile(name, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "khal", "-c", name, "list", "--day-format", "", "--format", "{uid} {start-long}",
		from.Format("2006-01-02"), strconv.Itoa(days)+"d")
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "XDG_DATA_HOME="+dir, "XDG_CACHE_HOME="+dir)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got := strings.FieldsFunc(strings.TrimSpace(string(out)), func(r rune) bool { return r == '\n' })
	for i := range got {
		got[i] = strings.TrimSpace(got[i])
	}
	return got
}
