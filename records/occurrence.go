package records

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"russet/internal/vobject"
)

// Limits on what an object may expand to.
const (
	// maxOccurrences is how many times Occurrences looks at: every day for 270 years.
	maxOccurrences = 100_000
	maxRules       = 20
	// firstYear is the earliest in which something that recurs may begin: earlier
	// ones have other calendars.
	firstYear = 1583
)

// Occurrence is one time at which an event takes place.
type Occurrence struct {
	// Start and End are in the event's own zone, or in the one that Occurrences was
	// asked in. An all-day event ends at the midnight after its last day.
	Start, End time.Time
	AllDay     bool
	Event      *vobject.Component // the VEVENT that says what takes place
}

// Occurrences returns when an event takes place between from, included, and to,
// excluded, sorted by their beginning; one that began before and is not over yet is
// among them. Dates and floating times are taken in the zone of from. A rule that
// is not understood is an error, and so is one with too many times.
func Occurrences(object *vobject.Component, from, to time.Time) ([]Occurrence, error) {
	x := expander{from: from, to: to, replaced: map[int64]bool{}}
	var masters, overrides []*vobject.Component
	for _, p := range object.Parts {
		if p.Name != "VEVENT" {
			continue
		}
		id, ok := p.Get("RECURRENCE-ID")
		if !ok {
			masters = append(masters, p)
			continue
		}
		overrides = append(overrides, p)
		local, c, err := x.read(id, id.Value)
		if err != nil {
			return nil, fmt.Errorf("read RECURRENCE-ID: %w", err)
		}
		x.replaced[c.instant(local).Unix()] = true
	}
	for _, v := range overrides {
		local, c, length, err := x.span(v)
		if err != nil {
			return nil, err
		}
		x.add(v, local, c, length)
	}
	for _, v := range masters {
		if err := x.expand(v); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(x.found, func(a, b Occurrence) int { return a.Start.Compare(b.Start) })
	return x.found, nil
}

// expander collects the occurrences of one object.
type expander struct {
	from, to time.Time
	zones    zones
	replaced map[int64]bool // the moments that overrides stand for, in Unix time
	found    []Occurrence
}

// read reads a time of a line: as the clock shows it, written as if that were UTC,
// and whose clock that is.
func (x *expander) read(l vobject.Line, value string) (time.Time, clock, error) {
	value = strings.TrimSpace(value)
	if len(value) == len(dateForm) {
		t, err := time.Parse(dateForm, value)
		if err != nil {
			return time.Time{}, clock{}, fmt.Errorf("it is no date")
		}
		return t, clock{zone: &zone{loc: x.from.Location()}, floating: true, date: true}, nil
	}
	text, utc := strings.CutSuffix(value, "Z")
	t, err := time.Parse(localForm, text)
	if err != nil {
		return time.Time{}, clock{}, fmt.Errorf("it is no time")
	}
	i := slices.IndexFunc(l.Params, func(p vobject.Param) bool { return p.Name == "TZID" && len(p.Values) == 1 })
	switch {
	case utc:
		return t, clock{zone: &zone{loc: time.UTC}}, nil
	case i < 0:
		return t, clock{zone: &zone{loc: x.from.Location()}, floating: true}, nil
	}
	z, err := x.zones.find(l.Params[i].Values[0])
	return t, clock{zone: z}, err
}

// instant returns when c's clock shows local. A time that a clock leaves out is
// that of the offset before, and of two the first one (RFC 5545 3.3.5).
func (c clock) instant(local time.Time) time.Time {
	before := offsetAt(local.Add(-24*time.Hour), c.zone.loc)
	t := local.Add(-before)
	if !c.local(t).Equal(local) {
		if after := local.Add(-offsetAt(local.Add(24*time.Hour), c.zone.loc)); c.local(after).Equal(local) {
			t = after
		}
	}
	return t.In(c.zone.loc)
}

func offsetAt(t time.Time, loc *time.Location) time.Duration {
	_, offset := t.In(loc).Zone()
	return time.Duration(offset) * time.Second
}

// span returns an event's start and its length: on the clock of its start for
// dates, else in elapsed time.
func (x *expander) span(v *vobject.Component) (local time.Time, c clock, length time.Duration, err error) {
	start, ok := v.Get("DTSTART")
	if !ok {
		return local, c, 0, fmt.Errorf("expand event: it has no DTSTART")
	}
	if local, c, err = x.read(start, start.Value); err != nil {
		return local, c, 0, fmt.Errorf("read DTSTART: %w", err)
	}
	if c.date {
		length = 24 * time.Hour
	}
	if end, ok := v.Get("DTEND"); ok {
		last, ec, err := x.read(end, end.Value)
		if err != nil {
			return local, c, 0, fmt.Errorf("read DTEND: %w", err)
		}
		if c.date {
			length = last.Sub(local)
		} else {
			length = ec.instant(last).Sub(c.instant(local))
		}
	}
	return local, c, max(length, 0), nil
}

// add adds an occurrence, if it is in the range.
func (x *expander) add(v *vobject.Component, local time.Time, c clock, length time.Duration) {
	o := Occurrence{Start: c.instant(local), AllDay: c.date, Event: v}
	if o.End = o.Start.Add(length); c.date {
		o.End = c.instant(local.Add(length))
	}
	if o.Start.Before(x.to) && (o.End.After(x.from) || !o.Start.Before(x.from)) {
		x.found = append(x.found, o)
	}
}

// expand adds the occurrences of a master.
func (x *expander) expand(v *vobject.Component) error {
	start, c, length, err := x.span(v)
	if err != nil {
		return err
	}
	gone := map[int64]bool{}
	err = x.dates(v, "EXDATE", func(local time.Time, dc clock) { gone[dc.instant(local).Unix()] = true })
	if err != nil {
		return err
	}
	take := func(local time.Time) {
		if at := c.instant(local).Unix(); !gone[at] && !x.replaced[at] {
			gone[at] = true // rules may meet
			x.add(v, local, c, length)
		}
	}
	take(start)
	err = x.dates(v, "RDATE", func(local time.Time, dc clock) { take(c.local(dc.instant(local))) })
	if err != nil {
		return err
	}
	rules := v.All("RRULE")
	if len(rules) > maxRules {
		return fmt.Errorf("expand event: it has %d rules", len(rules))
	}
	for _, l := range rules {
		if err := x.follow(l.Value, start, c, take); err != nil {
			return fmt.Errorf("expand event: %w", err)
		}
	}
	return nil
}

// dates calls take with the times of the lines of that name.
func (x *expander) dates(v *vobject.Component, name string, take func(time.Time, clock)) error {
	for _, l := range v.All(name) {
		for _, value := range vobject.List(l.Value) {
			local, c, err := x.read(l, value)
			if err != nil {
				return fmt.Errorf("read %s: %w", name, err)
			}
			take(local, c)
		}
	}
	return nil
}

// follow calls take with the times of a rule. The rule runs on the clock, where
// every day has 24 hours; the times that result are put into the zone afterwards.
func (x *expander) follow(value string, start time.Time, c clock, take func(time.Time)) error {
	r, until, err := x.parseRule(value, c)
	if err != nil {
		return err
	}
	if start.Year() < firstYear {
		return fmt.Errorf("it begins in the year %d", start.Year())
	}
	n := 0
	// A day more: where the clock is ahead, and for the hour that it may be moved by.
	for local := range r.times(start, c.local(x.to).AddDate(0, 0, 1)) {
		if n == 0 && !local.Equal(start) {
			n++ // the first of COUNT is the start itself, whether the rule says so or not
		}
		if r.count > 0 && n >= r.count || !until.IsZero() && c.instant(local).After(until) {
			return nil
		}
		if n++; n > maxOccurrences {
			return fmt.Errorf("it takes place more than %d times", maxOccurrences)
		}
		take(local)
	}
	return nil
}

// parseRule reads RRULE, and the last moment that it allows, zero where it names
// none.
func (x *expander) parseRule(value string, c clock) (*rule, time.Time, error) {
	var r rule
	var until time.Time
	seen := map[string]bool{}
	for part := range strings.SplitSeq(strings.ToUpper(value), ";") {
		key, v, _ := strings.Cut(part, "=")
		if seen[key] {
			return nil, until, fmt.Errorf("read RRULE: two parts of one name")
		}
		seen[key] = true
		var err error
		switch key {
		case "FREQ":
			r.freq = v
		case "INTERVAL":
			r.interval, err = boundedInt(v, 1, maxInterval)
		case "COUNT":
			r.count, err = boundedInt(v, 1, maxCount)
		case "UNTIL":
			until, err = x.readUntil(v, c)
		case "WKST":
			r.weekStart = v
		case "BYDAY", "BYMONTH", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYSETPOS":
			err = r.addList(key, v)
		default:
			return nil, until, fmt.Errorf("read RRULE: a part that is not known")
		}
		if err != nil {
			return nil, until, fmt.Errorf("read RRULE: %w", err)
		}
	}
	return &r, until, r.check()
}

// addList adds a part of RRULE that is a list, as a specifier's.
func (r *rule) addList(name, list string) error {
	key := map[string]string{"BYDAY": "D", "BYMONTH": "O", "BYMONTHDAY": "M", "BYYEARDAY": "Y", "BYWEEKNO": "W", "BYSETPOS": "S"}[name]
	values := strings.Split(list, ",")
	if len(values) > maxRuleValues {
		return fmt.Errorf("%d values of %s", len(values), name)
	}
	for _, v := range values {
		if err := r.add(key, v); err != nil {
			return err
		}
	}
	return nil
}

// readUntil returns a rule's last moment. A date is the whole day.
func (x *expander) readUntil(v string, c clock) (time.Time, error) {
	local, uc, err := x.read(vobject.Line{}, v)
	if err != nil {
		return time.Time{}, fmt.Errorf("UNTIL: %w", err)
	}
	if uc.date {
		return c.instant(local.Add(24*time.Hour - time.Second)), nil
	}
	if uc.floating {
		uc = c
	}
	if t := uc.instant(local); !c.date {
		return t, nil
	}
	// Dates compare with dates, whatever the zone.
	return c.instant(midnight(local).Add(24*time.Hour - time.Second)), nil
}

func boundedInt(v string, lowest, highest int) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < lowest || n > highest {
		return 0, fmt.Errorf("a number that is not between %d and %d", lowest, highest)
	}
	return n, nil
}
