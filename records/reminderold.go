package records

import (
	"context"
	"errors"
)

// errOtherKind is in errors of readers whose database holds nothing of the kind,
// and need not: it is passed over.
var errOtherKind = errors.New("the database holds nothing of that kind")

// readOldReminders reads the reminders that Calendar.sqlitedb holds before iOS 13.
func readOldReminders(ctx context.Context, s *store) error {
	c, err := openCalendar(ctx, s, entityReminder)
	if err != nil {
		return err
	}
	items, err := c.readItems(ctx)
	if err != nil {
		return err
	}
	if len(items) == 0 && s.set.Complete {
		return errOtherKind // it is a later phone, whose reminders lie elsewhere
	}
	var todos []*todo
	used := map[string]bool{}
	for _, it := range items {
		todos = append(todos, c.oldTodo(it))
		used[it.container] = true
	}
	c.nameTodos(todos, &c.unread)
	for _, t := range todos {
		s.set.Records = append(s.set.Records, t.record(&c.unread))
	}
	var lists []Container // the others hold events
	for _, l := range s.set.Containers {
		if used[l.ID] {
			lists = append(lists, l)
		}
	}
	s.set.Containers = lists
	return nil
}

// oldTodo makes a reminder of an item.
func (c *calendarStore) oldTodo(it *item) *todo {
	t := &todo{
		id: it.id, uid: it.uid, container: it.container, summary: it.summary, description: it.description, url: it.url,
		done: !it.completed.IsZero(), completed: it.completed, due: it.due, start: it.start, created: it.created, modified: it.modified,
		priority: it.priority, sequence: it.sequence, exceptions: c.exceptions[it.id], alarms: c.alarms[it.id], rules: c.rules[it.id],
		clock: c.clockOf(it.id, it.dueZone, it.dueAllDay),
	}
	if t.uid == "" {
		t.uid = it.uuid
	}
	start := c.clockOf(it.id, it.startZone, it.allDay)
	t.startClock = &start
	if l, ok := c.locations[it.location]; ok {
		if t.where = &l; l.bad {
			c.unread.add(it.id, true, "LOCATION")
		}
	}
	for _, r := range t.rules {
		if r.err != nil {
			c.lost(r.id, "a recurrence is not understood, so that the reminder stands once: %v", r.err)
		}
	}
	return t
}
