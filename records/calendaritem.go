package records

import (
	"context"
	"strconv"
	"strings"
	"time"
)

// item is a row of CalendarItem.
type item struct {
	id                                        int64
	container                                 string
	uid                                       string // of the object; shared by exceptions of a series
	uuid                                      string // of the row alone
	summary, description, url, conference     string
	start, end, due, completed                time.Time // zero where there is none
	startZone, endZone, dueZone               string
	allDay, dueAllDay                         bool
	master                                    int64     // the row of the series that this is an exception of
	original                                  time.Time // and the time that it would have had
	phantom                                   bool      // a series of which only exceptions were received
	status, availability, privacy, priority   int64
	sequence, organizer, location, travelTime int64
	created, modified                         time.Time
}

// floatZone is what start_tz says of all-day and floating times.
const floatZone = "_float"

// itemColumns are those columns of CalendarItem that readItem wants.
var itemColumns = []string{
	"summary", "description", "url", "conference_url", "start_date", "end_date", "due_date", "completion_date",
	"start_tz", "end_tz", "due_tz", "all_day", "due_all_day", "calendar_id", "orig_item_id", "orig_date", "phantom_master",
	"status", "availability", "privacy_level", "priority", "sequence_num", "organizer_id", "location_id", "travel_time",
	"creation_date", "last_modified", "unique_identifier", "UUID", "entity_type", "hidden", "birthday_id", "calendar_scale",
}

// itemProperties are the properties that columns of CalendarItem become. That of a zone
// is none: times without it are in UTC, and right.
var itemProperties = map[string][]string{
	"summary": {"SUMMARY"}, "description": {"DESCRIPTION"}, "url": {"URL"}, "conference_url": {"CONFERENCE"}, "start_date": {"DTSTART"},
	"end_date": {"DTEND"}, "due_date": {"DUE"}, "completion_date": {"COMPLETED", "PERCENT-COMPLETE", "STATUS"}, "all_day": {"DTEND", "DTSTART"},
	"due_all_day": {"DUE"}, "status": {"STATUS"}, "availability": {"TRANSP", "X-MICROSOFT-CDO-BUSYSTATUS"}, "privacy_level": {"CLASS"},
	"priority": {"PRIORITY"}, "organizer_id": {"ORGANIZER"}, "location_id": placeProperties, "travel_time": {"X-APPLE-TRAVEL-DURATION"},
}

// itemIdentity are the columns without which an item looks like another one, or like
// none.
var itemIdentity = []string{
	"unique_identifier", "UUID", "calendar_id", "orig_item_id", "orig_date", "phantom_master", "entity_type", "hidden", "birthday_id",
}

// readItems reads the items of c's entity that are to be shown.
func (c *calendarStore) readItems(ctx context.Context) ([]*item, error) {
	hasBirthdays := c.schema.has("CalendarItem", "birthday_id")
	var items []*item
	for r, err := range c.rows(ctx, "CalendarItem", itemColumns...) {
		if err != nil {
			return nil, err
		}
		entity, ok := r.integer("entity_type")
		if !ok {
			entity = entityEvent
		}
		birthday, _ := r.integer("birthday_id")
		hidden, _ := r.integer("hidden")
		calendar, _ := r.integer("calendar_id")
		c.set.Complete = c.set.Complete && !r.bad(itemIdentity...)
		switch {
		case entity != c.entity || hidden != 0:
			continue
		case birthday > 0 || !hasBirthdays && r.text("calendar_scale") != "":
			if i, ok := c.containers[c.calendars[calendar]]; ok && c.set.Containers[i].Type == "other" {
				c.set.Containers[i].Type = "birthdays"
			}
			continue // made from the contacts
		}
		container, ok := c.calendar(r.id, calendar)
		if !ok {
			continue
		}
		it := readItem(r)
		it.container = container
		if it.start.IsZero() && c.entity == entityEvent {
			c.missing(r.id, "an event has no start that is a time")
			continue
		}
		c.checkTimes(r, it)
		for _, column := range *r.spoilt {
			c.unread.add(r.id, true, itemProperties[column]...)
		}
		c.set.Complete = c.set.Complete && !r.bad(itemIdentity...)
		items = append(items, it)
	}
	return items, nil
}

// checkTimes tells of times that are there but are none.
func (c *calendarStore) checkTimes(r row, it *item) {
	if it.end.IsZero() && r.has("end_date") && c.entity == entityEvent {
		r.lost("end_date", " is no time")
	}
	if it.due.IsZero() && r.has("due_date") && c.entity == entityReminder {
		r.lost("due_date", " is no time")
	}
	if !it.start.IsZero() && !it.end.IsZero() && it.end.Before(it.start) {
		c.lost(r.id, "an event ends before it starts")
		c.unread.add(r.id, true, "DTEND")
		it.end = time.Time{}
	}
}

func readItem(r row) *item {
	it := &item{
		id: r.id, uid: strings.TrimSpace(r.text("unique_identifier")), uuid: strings.TrimSpace(r.text("UUID")),
		summary: r.text("summary"), description: r.text("description"), url: r.text("url"), conference: r.text("conference_url"),
		startZone: r.text("start_tz"), endZone: r.text("end_tz"), dueZone: r.text("due_tz"), allDay: isSet(r, "all_day"),
		dueAllDay: isSet(r, "due_all_day"), phantom: isSet(r, "phantom_master"),
	}
	for column, into := range map[string]*time.Time{"start_date": &it.start, "end_date": &it.end, "orig_date": &it.original} {
		*into, _ = r.time(column) // which may be the very beginning of 2001
		*into = into.Truncate(time.Second)
	}
	for column, into := range map[string]*time.Time{
		"due_date": &it.due, "completion_date": &it.completed, "creation_date": &it.created, "last_modified": &it.modified,
	} {
		*into = someTime(r, column)
	}
	for column, into := range map[string]*int64{
		"orig_item_id": &it.master, "priority": &it.priority, "sequence_num": &it.sequence,
		"organizer_id": &it.organizer, "location_id": &it.location, "travel_time": &it.travelTime,
	} {
		*into, _ = r.integer(column)
	}
	for column, into := range map[string]*int64{"status": &it.status, "availability": &it.availability, "privacy_level": &it.privacy} {
		n, ok := r.integer(column)
		if *into = n; !ok {
			*into = -1
		}
	}
	return it
}

// isSet reads a column that is 0 or 1.
func isSet(r row, column string) bool {
	n, _ := r.integer(column)
	return n != 0
}

// someTime reads a time to the second. 0 and -1 are how stores say that there is
// none.
func someTime(r row, column string) time.Time {
	if f, ok := r.number(column); !ok || f == 0 || f == -1 {
		return time.Time{}
	}
	t, _ := r.time(column)
	return t.Truncate(time.Second)
}

// series is the items that make one object: a master, and exceptions of it.
type series struct {
	uid       string
	container string
	master    *item // nil where only exceptions were received
	overrides []*item
}

// seriesKey names a series: a UID is unique in its calendar only.
type seriesKey struct{ container, uid string }

// gather puts exceptions to their series.
func (c *calendarStore) gather(items []*item) []*series {
	var all []*series
	byRow, byUID := map[int64]*series{}, map[seriesKey]*series{}
	add := func(it *item) *series {
		s := &series{uid: it.uid, container: it.container}
		if s.uid == "" {
			s.uid = it.uuid
		}
		if first := s.uid; first != "" {
			for n := 0; byUID[seriesKey{s.container, s.uid}] != nil; n++ {
				s.uid = first + "-" + contentID("copy", it.uuid, it.summary, it.start.String(), strconv.Itoa(n))
			}
			if s.uid != first {
				c.note(it.id, "two items of a calendar have the same UID")
			}
			byUID[seriesKey{s.container, s.uid}] = s
		}
		all = append(all, s)
		return s
	}
	for _, it := range items {
		if it.master <= 0 {
			s := add(it)
			if byRow[it.id] = s; !it.phantom {
				s.master = it
			}
		}
	}
	for _, it := range items {
		if it.master <= 0 {
			continue
		}
		s := byRow[it.master]
		if s == nil || s.container != it.container {
			if s = byUID[seriesKey{it.container, it.uid}]; s == nil {
				s = add(it)
			}
		}
		s.overrides = append(s.overrides, it)
	}
	return all
}
