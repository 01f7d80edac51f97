package records

import (
	"strings"
	"time"

	"russet/internal/vobject"
)

func calendarColumns() []string {
	return []string{"start", "end", "title", "location", "repeats", "status", "attendees", "url", "notes"}
}

func calendarRow(row *Row, object *vobject.Component) {
	v := firstPart(object, "VEVENT")
	if v == nil {
		row.Fields = make([][]string, len(calendarColumns()))
		return
	}
	var x expander
	x.from = time.Unix(0, 0).UTC() // floating times as they are
	start, startText := x.shown(v, "DTSTART", 0)
	last := time.Duration(0)
	if l, ok := v.Get("DTEND"); ok && len(l.Value) == len(dateForm) {
		last = -24 * time.Hour // people count the last day
	}
	_, endText := x.shown(v, "DTEND", last)
	row.Title, row.When = unescaped(v, "SUMMARY"), start
	row.Fields = [][]string{
		some(startText), some(endText), some(row.Title), some(unescaped(v, "LOCATION")), values(v, "RRULE"),
		some(strings.ToLower(v.Value("STATUS"))), attendees(v), values(v, "URL"), some(unescaped(v, "DESCRIPTION")),
	}
}

// firstPart returns the first part of that name that is no override, or else the
// first one; nil where there is none.
func firstPart(object *vobject.Component, name string) *vobject.Component {
	var found *vobject.Component
	for _, p := range object.Parts {
		if p.Name != name {
			continue
		}
		if _, override := p.Get("RECURRENCE-ID"); !override {
			return p
		}
		if found == nil {
			found = p
		}
	}
	return found
}

// shown returns a time, and as people read it: with its offset, unless it is
// floating. What cannot be read stands as it is.
func (x *expander) shown(v *vobject.Component, name string, shift time.Duration) (time.Time, string) {
	l, ok := v.Get(name)
	if !ok {
		return time.Time{}, ""
	}
	local, c, err := x.read(l, l.Value)
	if err != nil {
		return time.Time{}, l.Value
	}
	local = local.Add(shift)
	t := c.instant(local)
	switch {
	case c.date:
		return t, local.Format("2006-01-02")
	case c.floating:
		return t, local.Format("2006-01-02T15:04:05")
	}
	return t, t.Format(time.RFC3339)
}

func unescaped(v *vobject.Component, name string) string { return vobject.Unescape(v.Value(name)) }

// some returns the values of a field that has one at most.
func some(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func values(v *vobject.Component, name string) []string {
	var found []string
	for _, l := range v.All(name) {
		found = append(found, l.Value)
	}
	return found
}

// attendees returns their names, or addresses where they have none.
func attendees(v *vobject.Component) []string {
	var found []string
	for _, l := range v.All("ATTENDEE") {
		text := strings.TrimPrefix(l.Value, "mailto:")
		for _, p := range l.Params {
			if p.Name == "CN" && len(p.Values) == 1 {
				text = p.Values[0]
			}
		}
		found = append(found, text)
	}
	return found
}
