package records

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ownerColumns are the columns in which a row of ZREMCDOBJECT may name the reminder
// that it belongs to: each entity has its own, and another one in each version.
var ownerColumns = []string{
	"ZREMINDER", "ZREMINDER1", "ZREMINDER2", "ZREMINDER3", "ZREMINDER4", "ZREMINDER5", "ZREMINDER6", "ZREMINDER7", "ZREMINDER8",
}

// objectColumns are the others.
var objectColumns = []string{
	"Z_ENT", "ZMARKEDFORDELETION", "ZNAME", "ZNAME1", "ZNAME2", "ZNAME3", "ZHASHTAGLABEL", "ZURL", "ZUTI", "ZALARMUID", "ZTRIGGER",
	"ZACKNOWLEDGEDDATE", "ZTIMEINTERVAL", "ZDATECOMPONENTSDATA", "ZTITLE", "ZADDRESS", "ZLATITUDE", "ZLONGITUDE", "ZRADIUS",
	"ZPROXIMITY", "ZFREQUENCY", "ZINTERVAL", "ZOCCURRENCECOUNT", "ZENDDATE", "ZFIRSTDAYOFTHEWEEK", "ZDAYSOFTHEWEEK",
	"ZDAYSOFTHEMONTH", "ZMONTHSOFTHEYEAR", "ZDAYSOFTHEYEAR", "ZWEEKSOFTHEYEAR", "ZSETPOSITIONS",
}

// objectProperties are the properties that entities among the objects become.
var objectProperties = map[string]string{
	"REMCDHashtag": "CATEGORIES", "REMCDURLAttachment": "URL", "REMCDRecurrenceRule": "RRULE", "REMCDAlarm": "VALARM",
}

// readObjects reads what belongs to reminders: the table holds every entity of the
// model that has no table of its own.
func (c *reminderStore) readObjects(ctx context.Context) error {
	for r, err := range c.rows(ctx, "ZREMCDOBJECT", slices.Concat(ownerColumns, objectColumns)...) {
		if err != nil {
			return err
		}
		if isSet(r, "ZMARKEDFORDELETION") {
			continue
		}
		entity, _ := r.integer("Z_ENT")
		owner := firstInteger(r, ownerColumns...)
		switch c.names[entity] {
		case "REMCDHashtag":
			label, _ := r.integer("ZHASHTAGLABEL")
			if name := cmp.Or(c.labels[label], firstText(r, "ZNAME", "ZNAME1", "ZNAME2", "ZNAME3")); name != "" {
				c.tags[owner] = append(c.tags[owner], name)
			}
		case "REMCDURLAttachment":
			if u := r.text("ZURL"); u != "" {
				c.urls[owner] = append(c.urls[owner], u)
			}
		case "REMCDRecurrenceRule":
			rule := readReminderRule(r)
			if c.rules[owner] = append(c.rules[owner], rule); rule.err != nil {
				c.unread.add(owner, true, "RRULE")
			}
		case "REMCDAlarm":
			a := pendingAlarm{row: r.id, alarm: alarm{uid: r.text("ZALARMUID"), acknowledged: someTime(r, "ZACKNOWLEDGEDDATE")}}
			a.trigger, _ = r.integer("ZTRIGGER")
			c.alarms[owner] = append(c.alarms[owner], a)
		case "REMCDAlarmTimeIntervalTrigger", "REMCDAlarmDateTrigger", "REMCDAlarmLocationTrigger":
			t := c.readTrigger(c.names[entity], r)
			t.bad = r.bad() || t.err != nil
			c.triggers[r.id] = t
		}
		switch property := objectProperties[c.names[entity]]; {
		case r.bad("Z_ENT"):
			c.unread.add(0, false, "CATEGORIES", "RRULE", "URL", "VALARM")
		case r.bad() && property != "":
			c.unread.add(owner, !r.bad(ownerColumns...), property)
		}
	}
	return nil
}

// reminderTrigger is when an alarm goes off.
type reminderTrigger struct {
	alarm
	local time.Time // on a clock, written as if that were UTC; zero where alarm says it
	zone  *zone     // whose clock; nil is the reminder's own
	err   error
	bad   bool // something of it could not be read
}

// moment returns when the clock shows it.
func (t reminderTrigger) moment(own clock) time.Time {
	if t.zone != nil {
		own.zone = t.zone
	}
	return own.instant(t.local).UTC()
}

func (c *reminderStore) readTrigger(entity string, r row) reminderTrigger {
	var t reminderTrigger
	switch entity {
	case "REMCDAlarmTimeIntervalTrigger":
		f, ok := r.number("ZTIMEINTERVAL")
		if !ok || math.Abs(f) > maxAlarm {
			t.err = fmt.Errorf("its interval is no length of time")
		}
		t.relative, t.seconds = true, int64(math.Round(f))
	case "REMCDAlarmLocationTrigger":
		near, _ := r.integer("ZPROXIMITY")
		l := location{title: r.text("ZTITLE"), address: r.text("ZADDRESS")}
		l.radius, _ = r.number("ZRADIUS")
		if l.lat, l.lon, l.known = coordinates(r, "ZLATITUDE", "ZLONGITUDE"); !l.known || near != 1 && near != 2 {
			t.err = fmt.Errorf("its place is none")
		}
		t.place, t.arrives = &l, near == 1
	default:
		t.local, t.zone, t.err = c.dateComponents(r.bytes("ZDATECOMPONENTSDATA"))
	}
	return t
}

// dateComponents reads NSDateComponents written as JSON.
func (c *reminderStore) dateComponents(data []byte) (time.Time, *zone, error) {
	var d struct {
		Year, Month, Day, Hour, Minute, Second *int
		TimeZone                               json.RawMessage
	}
	if len(data) > maxSpecifier || json.Unmarshal(data, &d) != nil {
		return time.Time{}, nil, fmt.Errorf("its time is kept in a form that is not known")
	}
	if d.Year == nil || d.Month == nil || d.Day == nil || d.Hour == nil {
		return time.Time{}, nil, fmt.Errorf("its time is not whole")
	}
	minute, second := 0, 0
	if d.Minute != nil {
		minute = *d.Minute
	}
	if d.Second != nil {
		second = *d.Second
	}
	if *d.Year < 1 || *d.Year > 9999 || max(*d.Month, *d.Day, *d.Hour, minute, second) > 60 || min(*d.Month, *d.Day, *d.Hour, minute, second) < 0 {
		return time.Time{}, nil, fmt.Errorf("its time is none")
	}
	local := time.Date(*d.Year, time.Month(*d.Month), *d.Day, *d.Hour, minute, second, 0, time.UTC)
	var named struct{ Identifier string }
	if json.Unmarshal(d.TimeZone, &named) != nil && json.Unmarshal(d.TimeZone, &named.Identifier) != nil || named.Identifier == "" {
		return local, nil, nil
	}
	z, err := c.zones.find(named.Identifier)
	return local, z, err
}

// reminderFrequencies are the values of ZFREQUENCY, which are EventKit's.
var reminderFrequencies = []string{"DAILY", "WEEKLY", "MONTHLY", "YEARLY"}

// readReminderRule reads a recurrence, whose lists are written as JSON.
func readReminderRule(r row) storedRule {
	s := storedRule{id: r.id, end: someTime(r, "ZENDDATE")}
	frequency, ok := r.integer("ZFREQUENCY")
	if ok && frequency >= 0 && frequency < int64(len(reminderFrequencies)) {
		s.freq = reminderFrequencies[frequency]
	}
	interval, _ := r.integer("ZINTERVAL")
	count, _ := r.integer("ZOCCURRENCECOUNT")
	s.interval, s.count = clampInt(interval), clampInt(count)
	if first, _ := r.integer("ZFIRSTDAYOFTHEWEEK"); first >= 1 && first <= 7 {
		s.weekStart = weekdays[first]
	}
	var raw []string
	for _, list := range []struct {
		column string
		into   *[]int
	}{
		{"ZDAYSOFTHEWEEK", nil},
		{"ZDAYSOFTHEMONTH", &s.monthDays},
		{"ZMONTHSOFTHEYEAR", &s.months},
		{"ZDAYSOFTHEYEAR", &s.yearDays},
		{"ZWEEKSOFTHEYEAR", &s.weeks},
		{"ZSETPOSITIONS", &s.places},
	} {
		text := r.text(list.column)
		if text == "" {
			continue
		}
		raw = append(raw, strings.TrimPrefix(list.column, "Z")+"="+text)
		var err error
		if list.into != nil {
			*list.into, err = jsonNumbers(text)
		} else {
			s.days, err = jsonWeekdays(text)
		}
		if err != nil && s.err == nil {
			s.err = fmt.Errorf("read recurrence: %w", err)
		}
	}
	s.raw = strings.Join(raw, ";")
	if s.err == nil {
		s.err = s.check()
	}
	if s.freq == "" {
		s.freq = strconv.FormatInt(frequency, 10)
	}
	return s
}

func jsonNumbers(text string) ([]int, error) {
	var numbers []int
	if len(text) > maxSpecifier || json.Unmarshal([]byte(text), &numbers) != nil || len(numbers) > maxRuleValues {
		return nil, fmt.Errorf("a list is kept in a form that is not known")
	}
	return slices.Clip(numbers), nil
}

// jsonWeekdays reads the days of a week, 1 being Sunday: numbers, or objects that
// have an ordinal too.
func jsonWeekdays(text string) ([]weekday, error) {
	type dayOfWeek struct {
		DayOfTheWeek int `json:"dayOfTheWeek"`
		WeekNumber   int `json:"weekNumber"`
	}
	var days []dayOfWeek
	if len(text) > maxSpecifier || json.Unmarshal([]byte(text), &days) != nil {
		numbers, err := jsonNumbers(text)
		if err != nil {
			return nil, err
		}
		days = nil
		for _, n := range numbers {
			days = append(days, dayOfWeek{DayOfTheWeek: n})
		}
	}
	var found []weekday
	for _, d := range days {
		if d.DayOfTheWeek < 1 || d.DayOfTheWeek > 7 || len(found) >= maxRuleValues {
			return nil, fmt.Errorf("a weekday that is none")
		}
		found = append(found, weekday{nth: d.WeekNumber, day: weekdays[d.DayOfTheWeek]})
	}
	return found, nil
}
