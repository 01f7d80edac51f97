package records

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // Windows has no tz database that Go reads

	"russet/internal/vobject"
)

// Years between which a VTIMEZONE says everything that the tz database does;
// a rule that is in force at the end goes on for ever.
const (
	firstZoneYear = 1900
	lastZoneYear  = 2099
)

// maxZoneName is the longest name of a zone that is looked up, in bytes.
const maxZoneName = 100

var (
	// fixedZone is how Apple names an offset without a place.
	fixedZone = regexp.MustCompile(`^GMT([+-])([0-9]{2}):?([0-9]{2})$`)
	zoneName  = regexp.MustCompile(`^[A-Za-z0-9+_-]+(/[A-Za-z0-9+_-]+)*$`)
)

// zones finds time zones by the names that stores give them, and makes the
// VTIMEZONE of each once. It is not safe for concurrent use.
type zones struct {
	found map[string]*zone
}

// zone is a time zone as an object names it.
type zone struct {
	id         string // as TZID says; "" of UTC
	loc        *time.Location
	onsets     []onset                    // all, once a component was made
	components map[int]*vobject.Component // by the first year that they are about
}

// onset is the moment at which the offset from UTC, in seconds, changes.
type onset struct {
	at       time.Time // on the clock of from, written as if that were UTC
	from, to int
	name     string // of the new one: CEST
	summer   bool
}

// find returns the zone of that name: one of the tz database, of Windows, or a
// fixed offset as Apple writes it. No name is UTC.
func (z *zones) find(name string) (*zone, error) {
	if found := z.found[name]; found != nil {
		return found, nil
	}
	made, err := newZone(name)
	if err != nil {
		return nil, err
	}
	if z.found == nil {
		z.found = map[string]*zone{}
	}
	z.found[name] = made
	return made, nil
}

func newZone(name string) (*zone, error) {
	switch name {
	case "", "Z", "UTC", "GMT", "Etc/UTC", "Etc/GMT", "Zulu":
		return &zone{loc: time.UTC}, nil
	}
	if iana := windowsZones[name]; iana != "" {
		name = iana
	}
	if m := fixedZone.FindStringSubmatch(name); m != nil {
		hours, _ := strconv.Atoi(m[2])
		minutes, _ := strconv.Atoi(m[3])
		offset := hours*3600 + minutes*60
		if m[1] == "-" {
			offset = -offset
		}
		return &zone{id: name, loc: time.FixedZone(name, offset)}, nil
	}
	if len(name) > maxZoneName || !zoneName.MatchString(name) || name == "Local" {
		return nil, fmt.Errorf("find time zone: a name of %d bytes is none", len(name))
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("find time zone: %q is not in the tz database", name)
	}
	return &zone{id: name, loc: loc}, nil
}

// onsetsOf lists the changes of a zone's offset.
func onsetsOf(loc *time.Location) []onset {
	var found []onset
	t := time.Date(firstZoneYear, 1, 1, 0, 0, 0, 0, time.UTC).In(loc)
	for {
		_, end := t.ZoneBounds()
		if end.IsZero() || end.Year() > lastZoneYear {
			return found
		}
		_, from := t.Zone()
		if !end.After(t) {
			// Beyond its table Go ends a period with the 365th day of the year, and
			// does not leave the 366th.
			t = t.Add(24 * time.Hour)
			continue
		}
		name, to := end.Zone()
		// Where winter time is the exception (Europe/Dublin), databases differ on which
		// of the two is called summer time: the later clock is.
		summer := end.IsDST()
		if t.IsDST() != end.IsDST() {
			summer = to > from
		}
		if from != to {
			at := end.UTC().Add(time.Duration(from) * time.Second)
			found = append(found, onset{at: at, from: from, to: to, name: name, summer: summer})
		}
		t = end
	}
}

// component returns the VTIMEZONE for objects whose times are not before that
// year. What is returned is shared, and must not be changed.
func (z *zone) component(year int) *vobject.Component {
	year = min(max(year, firstZoneYear+1), lastZoneYear)
	if c := z.components[year]; c != nil {
		return c
	}
	if z.components == nil {
		z.components, z.onsets = map[int]*vobject.Component{}, onsetsOf(z.loc)
	}
	c := vobject.New("VTIMEZONE")
	c.Add(vobject.NewLine("TZID", z.id))
	start := time.Date(year-1, 12, 30, 0, 0, 0, 0, time.UTC)
	first := len(z.onsets)
	for first > 0 && z.onsets[first-1].at.After(start) {
		first--
	}
	if first == 0 {
		name, offset := start.In(z.loc).Zone()
		at := time.Date(min(year, 1970), 1, 1, 0, 0, 0, 0, time.UTC)
		c.AddPart(observance(onset{at: at, from: offset, to: offset, name: name}))
	} else {
		first--
	}
	for _, o := range observances(z.onsets[first:]) {
		c.AddPart(o)
	}
	z.components[year] = c
	return c
}

// observances returns the parts of a VTIMEZONE: those onsets that go on yearly as
// a rule, the others by their dates.
func observances(onsets []onset) []*vobject.Component {
	var groups [][]onset
	for _, o := range onsets {
		i := slices.IndexFunc(groups, func(g []onset) bool {
			return g[0].from == o.from && g[0].to == o.to && g[0].name == o.name && g[0].summer == o.summer
		})
		if i < 0 {
			i, groups = len(groups), append(groups, nil)
		}
		groups[i] = append(groups[i], o)
	}
	var parts []*vobject.Component
	for _, g := range groups {
		n, rule := yearly(g)
		if single := g[:len(g)-n]; len(single) > 0 {
			part := observance(single[0])
			var dates []string
			for _, o := range single[1:] {
				dates = append(dates, o.at.Format(localForm))
			}
			if len(dates) > 0 {
				part.Add(vobject.NewLine("RDATE", strings.Join(dates, ",")))
			}
			parts = append(parts, part)
		}
		if n > 0 {
			part := observance(g[len(g)-n])
			part.Add(vobject.NewLine("RRULE", rule))
			parts = append(parts, part)
		}
	}
	slices.SortStableFunc(parts, func(a, b *vobject.Component) int {
		return strings.Compare(a.Value("DTSTART"), b.Value("DTSTART"))
	})
	return parts
}

func observance(o onset) *vobject.Component {
	name := "STANDARD"
	if o.summer {
		name = "DAYLIGHT"
	}
	c := vobject.New(name)
	c.Add(
		vobject.NewLine("DTSTART", o.at.Format(localForm)),
		vobject.NewLine("TZOFFSETFROM", offsetText(o.from)),
		vobject.NewLine("TZOFFSETTO", offsetText(o.to)),
		vobject.NewLine("TZNAME", vobject.Text(o.name)),
	)
	return c
}

func offsetText(seconds int) string {
	sign := "+"
	if seconds < 0 {
		sign, seconds = "-", -seconds
	}
	text := fmt.Sprintf("%s%02d%02d", sign, seconds/3600, seconds/60%60)
	if seconds%60 != 0 {
		text += fmt.Sprintf("%02d", seconds%60)
	}
	return text
}

// minYearly is how many years in a row must follow a rule before it is taken for
// one: fewer may as well be chance.
const minYearly = 20

// yearly returns how many of the last onsets follow one yearly rule up to
// lastZoneYear, and that rule.
func yearly(g []onset) (int, string) {
	last := g[len(g)-1].at
	if last.Year() < lastZoneYear-1 {
		return 0, ""
	}
	day := strings.ToUpper(last.Weekday().String()[:2])
	month := int(last.Month())
	nth := (last.Day() + 6) / 7
	rules := []struct {
		text string
		fits func(time.Time) bool
	}{
		{fmt.Sprintf("BYMONTH=%d;BYDAY=-1%s", month, day), func(t time.Time) bool {
			return t.Weekday() == last.Weekday() && t.AddDate(0, 0, 7).Month() != t.Month()
		}},
		{fmt.Sprintf("BYMONTH=%d;BYDAY=%d%s", month, nth, day), func(t time.Time) bool {
			return t.Weekday() == last.Weekday() && (t.Day()+6)/7 == nth
		}},
		{fmt.Sprintf("BYMONTH=%d;BYMONTHDAY=%d", month, last.Day()), func(t time.Time) bool {
			return t.Day() == last.Day()
		}},
	}
	// As in "the Friday after the last Thursday" and "Sunday on or after the 9th".
	for from := max(1, last.Day()-6); from <= last.Day() && from <= 22; from++ {
		days := make([]string, 7)
		for i := range days {
			days[i] = strconv.Itoa(from + i)
		}
		rules = append(rules, struct {
			text string
			fits func(time.Time) bool
		}{fmt.Sprintf("BYMONTH=%d;BYMONTHDAY=%s;BYDAY=%s", month, strings.Join(days, ","), day), func(t time.Time) bool {
			return t.Weekday() == last.Weekday() && t.Day() >= from && t.Day() < from+7
		}})
	}
	best, text := minYearly-1, ""
	for _, r := range rules {
		n := 0
		for i := len(g) - 1; i >= 0; i-- {
			t := g[i].at
			if t.Year() != last.Year()-n || t.Month() != last.Month() || t.Sub(midnight(t)) != last.Sub(midnight(last)) || !r.fits(t) {
				break
			}
			n++
		}
		if n > best {
			best, text = n, "FREQ=YEARLY;"+r.text
		}
	}
	if text == "" {
		return 0, ""
	}
	return best, text
}

// midnight returns the beginning of t's day in UTC.
func midnight(t time.Time) time.Time {
	t = t.UTC()
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
}
