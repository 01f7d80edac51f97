package records

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"russet/internal/vobject"
)

// todo is a reminder.
type todo struct {
	id                        int64
	uid, container, parent    string
	parentRow                 int64
	summary, description, url string
	done, flagged             bool
	completed, due, start     time.Time
	created, modified         time.Time
	clock                     clock  // of due
	startClock                *clock // of start, where it is another one
	priority, sequence        int64
	tags                      []string
	rules                     []storedRule
	exceptions                []time.Time
	alarms                    []alarm
	where                     *location
}

// record returns the record of a reminder. One without a start gets it by its rule, so
// that where the rule could not be read the start was not read either.
func (t *todo) record(unread *unreadable) Record {
	if t.start.IsZero() && slices.Contains(unread.names(t.id), "RRULE") {
		unread.add(t.id, true, "DTSTART")
	}
	return Record{UID: t.uid, Container: t.container, Object: t.component(), Modified: t.modified, Unread: unread.names(t.id)}
}

// nameTodos gives a UID to the reminders that have none, of their content, and
// another one to those whose UID is taken.
func (s *store) nameTodos(todos []*todo, unread *unreadable) {
	taken := map[seriesKey]bool{}
	for _, t := range todos {
		first := t.uid
		if first == "" {
			if len(unread.names(t.id)) > 0 {
				s.set.Complete = false // it looks like another reminder
			}
			hash := vobject.HashOf(vobject.Canonical(t.component()))
			first = contentID("content", string(hash[:]))
		}
		t.uid = first
		for n := 2; taken[seriesKey{t.container, t.uid}]; n++ {
			t.uid = fmt.Sprintf("%s-%d", first, n)
		}
		taken[seriesKey{t.container, t.uid}] = true
	}
}

// component makes the VTODO.
func (t *todo) component() *vobject.Component {
	var o calendarObject
	v := vobject.New("VTODO")
	v.Add(vobject.NewLine("UID", vobject.Text(t.uid)))
	addStamps(v, t.created, t.modified)
	if t.sequence > 0 {
		v.Add(vobject.NewLine("SEQUENCE", fmt.Sprint(t.sequence)))
	}
	addText(v, "SUMMARY", t.summary)
	start, startClock := t.start, t.clock
	if t.startClock != nil {
		startClock = *t.startClock
	}
	recurs := slices.ContainsFunc(t.rules, func(r storedRule) bool { return r.err == nil })
	if start.IsZero() && recurs {
		start, startClock = t.due, t.clock // what recurs must have a start
	}
	if !start.IsZero() && startClock.date != t.clock.date && !t.due.IsZero() {
		startClock = t.clock // both are dates, or none is
	}
	if !start.IsZero() {
		v.Add(o.time("DTSTART", startClock, start))
	}
	if !t.due.IsZero() && !t.due.Before(start) {
		v.Add(o.time("DUE", t.clock, t.due))
	}
	t.addRules(&o, v, startClock, start.IsZero())
	if t.where != nil {
		addText(v, "LOCATION", t.where.text())
	}
	addText(v, "DESCRIPTION", t.description)
	addURI(v, "URL", t.url)
	if t.priority > 0 && t.priority < 10 {
		v.Add(vobject.NewLine("PRIORITY", fmt.Sprint(t.priority)))
	}
	if t.done {
		v.Add(vobject.NewLine("STATUS", "COMPLETED"), vobject.NewLine("PERCENT-COMPLETE", "100"))
		if !t.completed.IsZero() {
			v.Add(vobject.NewLine("COMPLETED", t.completed.Format(utcForm)))
		}
	} else {
		v.Add(vobject.NewLine("STATUS", "NEEDS-ACTION"))
	}
	if t.parent != "" {
		v.Add(vobject.NewLine("RELATED-TO", vobject.Text(t.parent)))
	}
	if len(t.tags) > 0 {
		var names []string
		for _, tag := range t.tags {
			names = append(names, vobject.Text(tag))
		}
		slices.Sort(names)
		v.Add(vobject.NewLine("CATEGORIES", strings.Join(slices.Compact(names), ",")))
	}
	if t.flagged {
		v.Add(vobject.NewLine("X-APPLE-FLAGGED", "TRUE"))
	}
	addAlarms(v, t.alarms)
	o.parts = append(o.parts, v)
	return o.component()
}

// addRules adds how a reminder recurs; without any time it cannot.
func (t *todo) addRules(o *calendarObject, v *vobject.Component, at clock, timeless bool) {
	for _, r := range t.rules {
		if !r.end.IsZero() && r.count == 0 {
			r.until = at.until(r.end)
		}
		if r.err == nil && !timeless {
			v.Add(vobject.NewLine("RRULE", r.String()))
		} else {
			v.Add(r.rawLine())
		}
	}
	dates := slices.Clone(t.exceptions)
	slices.SortFunc(dates, time.Time.Compare)
	for _, d := range slices.Compact(dates) {
		v.Add(o.time("EXDATE", at, d))
	}
}
