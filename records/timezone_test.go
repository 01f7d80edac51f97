package records

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"russet/internal/vobject"
)

func TestZoneNames(t *testing.T) {
	t.Parallel()
	var z zones
	for _, c := range []struct {
		name, want string // as TZID has it
		offset     int    // in January 2020
	}{
		{"", "", 0},
		{"GMT", "", 0},
		{"Europe/Zurich", "Europe/Zurich", 3600},
		{"US/Pacific", "US/Pacific", -8 * 3600},
		{"W. Europe Standard Time", "Europe/Berlin", 3600},
		{"GMT+0530", "GMT+0530", 19800},
		{"GMT-08:00", "GMT-08:00", -8 * 3600},
		{"Asia/Calcutta", "Asia/Calcutta", 19800},
		{"Local", "!", 0},
		{"../etc/passwd", "!", 0},
		{"/etc/localtime", "!", 0},
		{"No/Such_Zone", "!", 0},
		{strings.Repeat("a", 200), "!", 0},
	} {
		got, err := z.find(c.name)
		if err != nil {
			if c.want != "!" {
				t.Errorf("%q: %v", c.name, err)
			}
			continue
		}
		_, offset := time.Date(2020, 1, 10, 0, 0, 0, 0, time.UTC).In(got.loc).Zone()
		if got.id != c.want || offset != c.offset {
			t.Errorf("%q: got %q, %d, want %q, %d", c.name, got.id, offset, c.want, c.offset)
		}
		if again, err := z.find(c.name); err != nil || again != got && c.name != "" {
			t.Errorf("%q: found again %v, %v", c.name, again, err)
		}
	}
}

// TestWindowsZones shows that each name leads to a zone.
func TestWindowsZones(t *testing.T) {
	t.Parallel()
	for name, iana := range windowsZones {
		if _, err := time.LoadLocation(iana); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// zonesToTry have summer time north, south, by half an hour, in the winter, by the
// moon, changed its rule, gave it up, never had it, and left their day out.
var zonesToTry = []string{
	"Europe/Berlin", "Europe/Dublin", "Europe/London", "Europe/Moscow", "America/New_York", "America/Sao_Paulo", "America/St_Johns",
	"America/Nuuk", "Asia/Tokyo", "Asia/Kolkata", "Asia/Jerusalem", "Asia/Tehran", "Africa/Cairo", "Africa/Casablanca", "Africa/Monrovia",
	"Australia/Lord_Howe", "Australia/Sydney", "Pacific/Apia", "America/Santiago", "Etc/GMT+5", "GMT+0530",
}

// TestObservances shows that a VTIMEZONE says what the zone does, to the second at
// its changes and otherwise now and then, from its first year on.
func TestObservances(t *testing.T) {
	t.Parallel()
	var z zones
	for _, name := range zonesToTry {
		zone, err := z.find(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, year := range []int{1905, 1970, 2008, 2024} {
			v := readObservances(t, zone.component(year))
			at := time.Date(year, 1, 1, 12, 0, 0, 0, time.UTC)
			for ; at.Year() < lastZoneYear; at = at.AddDate(0, 0, 97) {
				want := int(offsetAt(at, zone.loc).Seconds())
				if got := v.offset(at); got != want {
					t.Errorf("%s from %d: at %s got %d, want %d", name, year, at, got, want)
					break
				}
			}
			for _, o := range zone.onsets {
				at := o.at.Add(-time.Duration(o.from) * time.Second)
				if at.Year() <= year {
					continue
				}
				if before, after := v.offset(at.Add(-time.Second)), v.offset(at); before != o.from || after != o.to {
					t.Errorf("%s from %d: at %s got %d and %d, want %d and %d", name, year, at, before, after, o.from, o.to)
					break
				}
			}
		}
		if first := zone.component(2020); first != zone.component(2020) {
			t.Errorf("%s: the same year was made twice", name)
		}
	}
}

// TestZoneIsShort shows that today's rules are rules, not lists.
func TestZoneIsShort(t *testing.T) {
	t.Parallel()
	var z zones
	zone, err := z.find("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	got := string(zone.component(2020).Bytes())
	want := strings.ReplaceAll(`BEGIN:VTIMEZONE
TZID:America/New_York
BEGIN:STANDARD
DTSTART:20191103T020000
TZOFFSETFROM:-0400
TZOFFSETTO:-0500
TZNAME:EST
RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=1SU
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:20200308T020000
TZOFFSETFROM:-0500
TZOFFSETTO:-0400
TZNAME:EDT
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=2SU
END:DAYLIGHT
END:VTIMEZONE
`, "\n", "\r\n")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// observed is what a VTIMEZONE says, sorted by nothing.
type observed struct {
	at       []time.Time // in UTC
	from, to []int
}

func (v observed) offset(t time.Time) int {
	best, first := -1, -1
	for i, at := range v.at {
		if !at.After(t) && (best < 0 || at.After(v.at[best])) {
			best = i
		}
		if first < 0 || at.Before(v.at[first]) {
			first = i
		}
	}
	if best < 0 {
		return v.from[first]
	}
	return v.to[best]
}

// readObservances expands a VTIMEZONE by what Occurrences is made of.
func readObservances(t *testing.T, c *vobject.Component) observed {
	t.Helper()
	var v observed
	for _, p := range c.Parts {
		from, to := readOffset(t, p.Value("TZOFFSETFROM")), readOffset(t, p.Value("TZOFFSETTO"))
		event := vobject.New("VCALENDAR")
		copied := vobject.New("VEVENT")
		copied.Add(p.Lines...)
		event.AddPart(copied)
		found, err := Occurrences(event, time.Unix(-1<<32, 0).UTC(), time.Date(lastZoneYear+1, 1, 1, 0, 0, 0, 0, time.UTC))
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range found {
			v.at = append(v.at, o.Start.Add(-time.Duration(from)*time.Second))
			v.from, v.to = append(v.from, from), append(v.to, to)
		}
	}
	return v
}

func readOffset(t *testing.T, s string) int {
	t.Helper()
	var sign byte
	var h, m, sec int
	if n, _ := fmt.Sscanf(s, "%c%2d%2d%2d", &sign, &h, &m, &sec); n < 3 {
		t.Fatalf("an offset of %q", s)
	}
	if n := h*3600 + m*60 + sec; sign == '+' {
		return n
	} else {
		return -n
	}
}
