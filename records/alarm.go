package records

import (
	"slices"
	"strings"
	"time"

	"russet/internal/vobject"
)

// alarm is when, or where, the phone reminds of an event or a reminder.
type alarm struct {
	uid          string
	at           time.Time // zero where it is relative or at a place
	relative     bool
	seconds      int64 // after an event's start, or when a reminder is due; negative is before
	acknowledged time.Time
	isDefault    bool   // from the settings, not chosen for this event
	snoozes      string // the UID of the alarm that it repeats
	arrives      bool   // at place; else it leaves
	place        *location
}

// placeTrigger is the time that Apple's clients write into an alarm of a place,
// where RFC 5545 wants one.
const placeTrigger = "19760401T005545Z"

// component returns the VALARM. fromEnd says that relative alarms count from when
// the object is due, not from when it starts.
func (a alarm) component(fromEnd bool) *vobject.Component {
	c := vobject.New("VALARM")
	if a.uid != "" {
		addText(c, "UID", a.uid)
		addText(c, "X-WR-ALARMUID", a.uid)
	}
	c.Add(vobject.NewLine("ACTION", "DISPLAY"), vobject.NewLine("DESCRIPTION", "Reminder"))
	absolute := vobject.Param{Name: "VALUE", Values: []string{"DATE-TIME"}}
	switch {
	case a.place != nil:
		proximity := "DEPART"
		if a.arrives {
			proximity = "ARRIVE"
		}
		c.Add(vobject.NewLine("TRIGGER", placeTrigger, absolute), vobject.NewLine("X-APPLE-PROXIMITY", proximity), a.place.line())
	case a.relative && fromEnd:
		c.Add(vobject.NewLine("TRIGGER", duration(a.seconds), vobject.Param{Name: "RELATED", Values: []string{"END"}}))
	case a.relative:
		c.Add(vobject.NewLine("TRIGGER", duration(a.seconds)))
	default:
		c.Add(vobject.NewLine("TRIGGER", a.at.Format(utcForm), absolute))
	}
	if !a.acknowledged.IsZero() {
		c.Add(vobject.NewLine("ACKNOWLEDGED", a.acknowledged.Format(utcForm)))
	}
	if a.isDefault {
		c.Add(vobject.NewLine("X-APPLE-DEFAULT-ALARM", "TRUE"))
	}
	if a.snoozes != "" {
		c.Add(vobject.NewLine("RELATED-TO", vobject.Text(a.snoozes), vobject.Param{Name: "RELTYPE", Values: []string{"SNOOZE"}}))
	}
	return c
}

// addAlarms adds alarms in an order that does not depend on the store's.
func addAlarms(c *vobject.Component, alarms []alarm) {
	_, due := c.Get("DUE")
	var parts []*vobject.Component
	for _, a := range alarms {
		parts = append(parts, a.component(due))
	}
	slices.SortStableFunc(parts, func(a, b *vobject.Component) int {
		if n := strings.Compare(a.Value("TRIGGER"), b.Value("TRIGGER")); n != 0 {
			return n
		}
		return strings.Compare(a.Value("UID"), b.Value("UID"))
	})
	for _, p := range parts {
		c.AddPart(p)
	}
}
