package records

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"russet/internal/vobject"
)

// readCalendar reads the events of Calendar.sqlitedb.
func readCalendar(ctx context.Context, s *store) error {
	c, err := openCalendar(ctx, s, entityEvent)
	if err != nil {
		return err
	}
	items, err := c.readItems(ctx)
	if err != nil {
		return err
	}
	uids := map[seriesKey]int{}
	for _, s := range c.gather(items) {
		if s.master == nil && len(s.overrides) == 0 {
			continue // a series of which nothing was received
		}
		c.addRecord(c.event(s), s, uids)
	}
	return nil
}

// addRecord adds the object of a series to the set. Where the store has no UIDs the
// content makes one, with a number where that is not enough.
func (c *calendarStore) addRecord(object *vobject.Component, s *series, uids map[seriesKey]int) {
	var rows []int64
	var modified time.Time
	for _, it := range s.items() {
		rows = append(rows, it.id)
		if it.modified.After(modified) {
			modified = it.modified
		}
	}
	uid, unread := s.uid, c.unread.names(rows...)
	if uid == "" {
		if len(unread) > 0 {
			c.set.Complete = false // it looks like another event
		}
		hash := vobject.HashOf(vobject.Canonical(object))
		uid = contentID("content", string(hash[:]))
		uids[seriesKey{s.container, uid}]++
		if n := uids[seriesKey{s.container, uid}]; n > 1 {
			uid = fmt.Sprintf("%s-%d", uid, n)
		}
		for _, p := range object.Parts {
			if p.Name != "VTIMEZONE" {
				p.Set(vobject.NewLine("UID", vobject.Text(uid)))
			}
		}
	}
	c.set.Records = append(c.set.Records, Record{UID: uid, Container: s.container, Object: object, Modified: modified, Unread: unread})
}

// items returns the master, where there is one, and the exceptions.
func (s *series) items() []*item {
	if s.master == nil {
		return s.overrides
	}
	return append([]*item{s.master}, s.overrides...)
}

// event makes the object of a series: the master, then the exceptions by the times
// that they would have had.
func (c *calendarStore) event(s *series) *vobject.Component {
	var o calendarObject
	var base *clock
	skip := map[time.Time]bool{}
	if s.master != nil {
		made := c.clockOf(s.master.id, s.master.startZone, s.master.allDay)
		base = &made
		for _, it := range s.overrides {
			skip[it.original] = true
		}
		o.parts = append(o.parts, c.vevent(&o, s, s.master, made, func(v *vobject.Component) {
			c.addRules(&o, v, s.master.id, made, skip)
		}))
	}
	slices.SortStableFunc(s.overrides, func(a, b *item) int { return cmp.Or(a.original.Compare(b.original), a.start.Compare(b.start)) })
	for _, it := range s.overrides {
		own := c.clockOf(it.id, it.startZone, it.allDay)
		at := own
		if base != nil {
			at = *base
		}
		o.parts = append(o.parts, c.vevent(&o, s, it, own, func(v *vobject.Component) {
			if !it.original.IsZero() {
				v.Add(o.time("RECURRENCE-ID", at, it.original))
			} else {
				c.lost(it.id, "an exception of a series does not say which time it replaces")
			}
		}))
	}
	return o.component()
}

// clockOf returns the clock of a time with that zone. One that nobody knows is
// UTC: the moment is right, and only what recurs may be an hour off.
func (c *calendarStore) clockOf(id int64, name string, allDay bool) clock {
	floating := name == floatZone
	if floating {
		name = ""
	}
	z, err := c.zones.find(name)
	if err != nil {
		c.lost(id, "its time is written in UTC: %v", err)
		z, _ = c.zones.find("")
	}
	return clock{zone: z, floating: floating, date: allDay}
}

// vevent makes the VEVENT of an item; between adds what stands after its times.
func (c *calendarStore) vevent(o *calendarObject, s *series, it *item, at clock, between func(*vobject.Component)) *vobject.Component {
	v := vobject.New("VEVENT")
	v.Add(vobject.NewLine("UID", vobject.Text(s.uid)))
	addStamps(v, it.created, it.modified)
	if it.sequence > 0 {
		v.Add(vobject.NewLine("SEQUENCE", fmt.Sprint(it.sequence)))
	}
	addText(v, "SUMMARY", it.summary)
	v.Add(o.time("DTSTART", at, it.start))
	c.addEnd(o, v, it, at)
	between(v)
	c.addPlace(v, it)
	addText(v, "DESCRIPTION", it.description)
	addURI(v, "URL", it.url)
	addURI(v, "CONFERENCE", it.conference, vobject.Param{Name: "VALUE", Values: []string{"URI"}})
	if status := map[int64]string{1: "CONFIRMED", 2: "TENTATIVE", 3: "CANCELLED"}[it.status]; status != "" {
		v.Add(vobject.NewLine("STATUS", status))
	}
	addAvailability(v, it.availability)
	addClass(v, it.privacy)
	if it.priority > 0 && it.priority < 10 {
		v.Add(vobject.NewLine("PRIORITY", fmt.Sprint(it.priority)))
	}
	if it.travelTime > 0 && it.travelTime < 7*86400 {
		v.Add(vobject.NewLine("X-APPLE-TRAVEL-DURATION", duration(it.travelTime), vobject.Param{Name: "VALUE", Values: []string{"DURATION"}}))
	}
	for _, u := range c.attached[it.id] {
		addURI(v, "ATTACH", u)
	}
	addPeople(v, c.people[it.id], it.organizer)
	addAlarms(v, c.alarms[it.id])
	return v
}

// addEnd adds DTEND. The end of an all-day event is its last second in the store,
// and the day after its last in iCalendar.
func (c *calendarStore) addEnd(o *calendarObject, v *vobject.Component, it *item, at clock) {
	if !it.end.After(it.start) {
		return // it takes no time, or a whole day
	}
	if at.date {
		last := at.local(it.end.Add(-time.Second))
		days := clock{zone: &zone{loc: time.UTC}, date: true}
		v.Add(o.time("DTEND", days, last.AddDate(0, 0, 1)))
		return
	}
	end := at
	if it.endZone != "" && it.endZone != it.startZone && !at.floating && it.endZone != floatZone {
		end = c.clockOf(it.id, it.endZone, false)
	}
	v.Add(o.time("DTEND", end, it.end))
}

func (c *calendarStore) addPlace(v *vobject.Component, it *item) {
	l, ok := c.locations[it.location]
	if !ok {
		if l, ok = c.locations[c.owned[it.id]]; !ok {
			return
		}
	}
	if l.bad {
		c.unread.add(it.id, true, placeProperties...)
	}
	addText(v, "LOCATION", l.text())
	if l.known {
		v.Add(vobject.NewLine("GEO", decimal(l.lat)+";"+decimal(l.lon)), l.line())
	}
}

// addAvailability says whether others find the time taken.
func addAvailability(v *vobject.Component, availability int64) {
	busy := map[int64]string{2: "TENTATIVE", 3: "OOF"}[availability]
	switch {
	case availability == 1:
		v.Add(vobject.NewLine("TRANSP", "TRANSPARENT"))
	case availability == 0 || busy != "":
		v.Add(vobject.NewLine("TRANSP", "OPAQUE"))
	}
	if busy != "" {
		v.Add(vobject.NewLine("X-MICROSOFT-CDO-BUSYSTATUS", busy))
	}
}

// addClass says who may see it; 0 is public.
func addClass(v *vobject.Component, privacy int64) {
	if class := map[int64]string{1: "PRIVATE", 2: "CONFIDENTIAL"}[privacy]; class != "" {
		v.Add(vobject.NewLine("CLASS", class))
	}
}

// addRules adds the rules of a series and the dates on which it does not take
// place; skip are those that have an exception of their own.
func (c *calendarStore) addRules(o *calendarObject, v *vobject.Component, owner int64, at clock, skip map[time.Time]bool) {
	for _, r := range c.rules[owner] {
		if !r.end.IsZero() && r.count == 0 {
			r.until = at.until(r.end)
		}
		if r.err == nil {
			v.Add(vobject.NewLine("RRULE", r.String()))
			continue
		}
		c.lost(r.id, "a recurrence is not understood, so that the event stands once: %v", r.err)
		v.Add(r.rawLine())
	}
	dates := slices.Clone(c.exceptions[owner])
	slices.SortFunc(dates, time.Time.Compare)
	for _, d := range slices.Compact(dates) {
		if d = d.Truncate(time.Second); !skip[d] {
			v.Add(o.time("EXDATE", at, d))
		}
	}
}

// rawLine keeps a recurrence that nobody understands as the store has it.
func (r *storedRule) rawLine() vobject.Line {
	params := []vobject.Param{{Name: "X-FREQUENCY", Values: []string{r.freq}}}
	if r.interval > 1 {
		params = append(params, vobject.Param{Name: "X-INTERVAL", Values: []string{fmt.Sprint(r.interval)}})
	}
	if r.count > 0 {
		params = append(params, vobject.Param{Name: "X-COUNT", Values: []string{fmt.Sprint(r.count)}})
	}
	if r.until != "" {
		params = append(params, vobject.Param{Name: "X-UNTIL", Values: []string{r.until}})
	}
	return vobject.NewLine("X-RAW-SPECIFIER", vobject.Text(r.raw), params...)
}

// frequencies are the values of Recurrence.frequency.
var frequencies = map[int64]string{1: "DAILY", 2: "WEEKLY", 3: "MONTHLY", 4: "YEARLY"}

func (c *calendarStore) readRules(ctx context.Context) error {
	for r, err := range c.rows(ctx, "Recurrence", "frequency", "interval", "count", "end_date", "specifier", "week_start",
		"by_month_months", "owner_id") {
		if err != nil {
			return err
		}
		owner, _ := r.integer("owner_id")
		frequency, _ := r.integer("frequency")
		interval, _ := r.integer("interval")
		count, _ := r.integer("count")
		start, _ := r.integer("week_start")
		s := storedRule{id: r.id, raw: r.text("specifier"), end: someTime(r, "end_date")}
		s.freq = frequencies[frequency]
		s.err = s.parseSpecifier(s.raw)
		// Sunday is 7 here, and the first of weekdays.
		if start >= 1 && start <= 7 {
			s.weekStart = weekdays[start%7+1]
		} else if start != 0 && s.err == nil {
			s.err = fmt.Errorf("read recurrence: the week begins on day %d", start)
		}
		if mask, _ := r.integer("by_month_months"); len(s.months) == 0 {
			for month := range 12 {
				if mask>>month&1 != 0 {
					s.months = append(s.months, month+1)
				}
			}
		}
		s.interval, s.count = clampInt(interval), clampInt(count)
		if s.err == nil {
			s.err = s.check()
		}
		if s.freq == "" {
			s.freq = strings.TrimSpace(fmt.Sprint(frequency))
		}
		if r.bad() || s.err != nil {
			c.unread.add(owner, !r.bad("owner_id"), "RRULE")
		}
		c.rules[owner] = append(c.rules[owner], s)
	}
	return nil
}

// clampInt returns n where an int of 32 bits holds it, else the nearest.
func clampInt(n int64) int { return int(min(max(n, -1<<31), 1<<31-1)) }
