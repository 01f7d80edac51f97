package records

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"
	"time"
)

// calendarPath is where the events of all accounts lie, and before iOS 13 the
// reminders too.
const calendarPath = "Library/Calendar/Calendar.sqlitedb"

func calendarPlaces() []place {
	return []place{{domain: "HomeDomain", path: calendarPath, readers: []reader{
		{name: "iOS 6 and later", fits: fitsCalendar, read: readCalendar},
	}}}
}

func fitsCalendar(s schema) bool {
	return s.has("CalendarItem", "summary", "start_date", "end_date", "calendar_id") &&
		s.has("Calendar", "title", "store_id") && s.has("Store", "name")
}

// Values of CalendarItem.entity_type.
const (
	entityEvent    = 2
	entityReminder = 3
)

// calendarStore is what the tables around CalendarItem hold, by the rows that own
// it: read whole, as a query for each event would cost more than all events.
type calendarStore struct {
	*store
	entity     int64 // of the items that are wanted
	zones      zones
	calendars  map[int64]string // IDs of the containers by ROWID; "" of those that are left out
	containers map[string]int   // where in set.Containers
	locations  map[int64]location
	owned      map[int64]int64 // location by the item that owns it
	rules      map[int64][]storedRule
	exceptions map[int64][]time.Time
	alarms     map[int64][]alarm
	people     map[int64][]participant
	attached   map[int64][]string
	unread     unreadable // by item
}

// storedRule is a row of Recurrence. err says why it is no rule.
type storedRule struct {
	rule
	end time.Time
	raw string
	err error
	id  int64
}

// openCalendar reads everything but the items.
func openCalendar(ctx context.Context, s *store, entity int64) (*calendarStore, error) {
	c := &calendarStore{
		store: s, entity: entity, calendars: map[int64]string{}, containers: map[string]int{}, locations: map[int64]location{},
		owned: map[int64]int64{}, rules: map[int64][]storedRule{}, exceptions: map[int64][]time.Time{},
		alarms: map[int64][]alarm{}, people: map[int64][]participant{}, attached: map[int64][]string{},
	}
	missing, err := s.readParts(ctx, []part{
		{c.readCalendars, nil},
		{c.readLocations, placeProperties},
		{c.readRules, []string{"RRULE"}},
		{c.readExceptions, []string{"EXDATE"}},
		{c.readAlarms, []string{"VALARM"}},
		{c.readPeople, peopleProperties},
		{c.readAttachments, []string{"ATTACH"}},
	})
	c.unread.all = with(c.unread.all, missing...)
	return c, err
}

// Properties that are made of several columns or tables.
var (
	placeProperties  = []string{"GEO", "LOCATION", "X-APPLE-STRUCTURED-LOCATION"}
	peopleProperties = []string{"ATTENDEE", "ORGANIZER"}
)

// calendarTypes are the values of Store.type.
var calendarTypes = map[int64]string{
	0: "local", 1: "exchange", 2: "caldav", 3: "caldav", 4: "subscribed", 5: "other", 6: "suggested",
}

// readCalendars reads the calendars with their accounts.
func (c *calendarStore) readCalendars(ctx context.Context) error {
	accounts := c.accounts(ctx)
	type calendarAccount struct {
		Container
		off bool
	}
	stores := map[int64]calendarAccount{}
	for r, err := range c.rows(ctx, "Store", "name", "type", "external_id", "persistent_id", "disabled") {
		if err != nil {
			return err
		}
		var a calendarAccount
		kind, _ := r.integer("type")
		if a.Type = calendarTypes[kind]; a.Type == "" {
			a.Type = "other"
		}
		known, ok := accounts[r.text("external_id")]
		if !ok {
			known = accounts[r.text("persistent_id")]
		}
		if a.Host = known.host; a.Type != "local" {
			if a.Account = known.name; a.Account == "" {
				a.Account = r.text("name")
			}
		}
		disabled, _ := r.integer("disabled")
		a.off = disabled != 0
		stores[r.id] = a
	}
	for r, err := range c.rows(ctx, "Calendar", "title", "store_id", "color", "external_id", "UUID", "subcal_url") {
		if err != nil {
			return err
		}
		external := r.text("external_id")
		if box := strings.TrimSuffix(external, "/"); strings.HasSuffix(box, "/inbox") || strings.HasSuffix(box, "/outbox") {
			c.calendars[r.id] = ""
			continue
		}
		owner, _ := r.integer("store_id")
		found, ok := stores[owner]
		made := found.Container
		if !ok {
			made.Type = "other"
			c.note(r.id, "a calendar belongs to an account that is not there")
		}
		if r.text("subcal_url") != "" {
			made.Type = "subscribed"
		}
		if u, err := url.Parse(external); err == nil && u.Hostname() != "" {
			made.Host = strings.ToLower(u.Hostname())
		}
		made.Name, made.Color = r.text("title"), colorText(r.text("color"))
		made.Synced = made.Type == "local" && !found.off
		if made.ID = r.text("UUID"); made.ID == "" {
			made.ID = contentID("calendar", made.Type, made.Account, external, made.Name)
		}
		c.addContainer(r.id, made)
	}
	return nil
}

// addContainer adds the calendar of a row. Two of the same identifier are one.
func (c *calendarStore) addContainer(id int64, made Container) {
	c.calendars[id] = made.ID
	if _, ok := c.containers[made.ID]; !ok {
		c.containers[made.ID] = len(c.set.Containers)
		c.set.Containers = append(c.set.Containers, made)
	}
}

// lostCalendar is the container of items whose calendar is not there.
var lostCalendar = Container{ID: "none", Type: "other"}

// calendar returns the container of an item; ok is false where it is left out.
func (c *calendarStore) calendar(item, id int64) (container string, ok bool) {
	container, known := c.calendars[id]
	if !known {
		c.note(item, "it belongs to a calendar that is not there")
		c.addContainer(id, lostCalendar)
		container = lostCalendar.ID
	}
	return container, container != ""
}

// contentID makes a stable identifier of what has none.
func contentID(kind string, parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return kind + "-" + hex.EncodeToString(h.Sum(nil)[:16])
}

// colorText returns #RRGGBB, or "" of what is no such colour.
func colorText(s string) string {
	if len(s) < 7 || s[0] != '#' || strings.Trim(s[1:7], "0123456789abcdefABCDEF") != "" {
		return ""
	}
	return strings.ToUpper(s[:7])
}

func (c *calendarStore) readLocations(ctx context.Context) error {
	for r, err := range c.rows(ctx, "Location", "title", "address", "latitude", "longitude", "radius", "item_owner_id") {
		if err != nil {
			return err
		}
		l := location{title: r.text("title"), address: r.text("address")}
		l.lat, l.lon, l.known = coordinates(r, "latitude", "longitude")
		l.radius, _ = r.number("radius")
		l.bad = r.bad()
		c.locations[r.id] = l
		owner, ok := r.integer("item_owner_id")
		if ok && owner > 0 {
			c.owned[owner] = r.id
		} else if r.bad("item_owner_id") {
			c.unread.add(0, false, placeProperties...)
		}
	}
	return nil
}

func (c *calendarStore) readExceptions(ctx context.Context) error {
	for r, err := range c.rows(ctx, "ExceptionDate", "owner_id", "date") {
		if err != nil {
			return err
		}
		owner, _ := r.integer("owner_id")
		if date, ok := r.time("date"); ok {
			c.exceptions[owner] = append(c.exceptions[owner], date)
		} else {
			c.lost(r.id, "an exception of a recurring event has no date")
			c.unread.add(owner, true, "EXDATE")
		}
		if r.bad() {
			c.unread.add(owner, !r.bad("owner_id"), "EXDATE")
		}
	}
	return nil
}

func (c *calendarStore) readAttachments(ctx context.Context) error {
	files := map[int64]name{}
	for r, err := range c.rows(ctx, "AttachmentFile", "url") {
		if err != nil {
			return err
		}
		text := r.text("url")
		files[r.id] = name{text, r.bad()}
	}
	for r, err := range c.rows(ctx, "Attachment", "owner_id", "file_id") {
		if err != nil {
			return err
		}
		owner, _ := r.integer("owner_id")
		file, _ := r.integer("file_id")
		if r.bad() || files[file].spoilt {
			c.unread.add(owner, !r.bad("owner_id"), "ATTACH")
		}
		if u := files[file].text; strings.HasPrefix(u, "https://") || strings.HasPrefix(u, "http://") {
			c.attached[owner] = append(c.attached[owner], u)
		}
	}
	return nil
}

func (c *calendarStore) readAlarms(ctx context.Context) error {
	uids := map[int64]string{}
	snoozes := map[int64]int64{}
	type place struct {
		owner int64
		at    int
	}
	where := map[int64]place{}
	for r, err := range c.rows(ctx, "Alarm", "calendaritem_owner_id", "owner_id", "trigger_interval", "trigger_date", "UUID",
		"proximity", "location_id", "disabled", "acknowledgedDate", "default_alarm", "orig_alarm_id") {
		if err != nil {
			return err
		}
		owner, ok := r.integer("calendaritem_owner_id")
		if !ok {
			owner, ok = r.integer("owner_id")
		}
		disabled := isSet(r, "disabled")
		a, whole := c.alarmOf(r)
		if r.bad() || !whole && !disabled {
			c.unread.add(owner, !r.bad("calendaritem_owner_id", "owner_id"), "VALARM")
		}
		if !ok || owner <= 0 || disabled {
			continue
		}
		if a.at.IsZero() && !a.relative && a.place == nil {
			c.lost(r.id, "an alarm has neither time nor place")
			continue
		}
		uids[r.id] = a.uid
		if original, _ := r.integer("orig_alarm_id"); original > 0 {
			snoozes[r.id] = original
		}
		where[r.id] = place{owner, len(c.alarms[owner])}
		c.alarms[owner] = append(c.alarms[owner], a)
	}
	for id, original := range snoozes {
		w := where[id]
		c.alarms[w.owner][w.at].snoozes = uids[original]
	}
	return nil
}

// alarmOf reads an alarm; whole is false where it has neither time nor place, or not
// all of its place.
func (c *calendarStore) alarmOf(r row) (a alarm, whole bool) {
	a.uid, a.isDefault = r.text("UUID"), isSet(r, "default_alarm")
	a.acknowledged, _ = r.time("acknowledgedDate")
	near, _ := r.integer("proximity")
	spot, _ := r.integer("location_id")
	seconds, hasSeconds := r.integer("trigger_interval")
	if hasSeconds && (seconds < -maxAlarm || seconds > maxAlarm) {
		hasSeconds = false
	}
	at, hasDate := r.time("trigger_date")
	switch l := c.locations[spot]; {
	case (near == 1 || near == 2) && l.known:
		a.place, a.arrives = &l, near == 1
		return a, !l.bad
	case hasDate && (!hasSeconds || seconds == 0):
		a.at = at
	case hasSeconds:
		a.relative, a.seconds = true, seconds
	case hasDate:
		a.at = at
	default:
		return a, false
	}
	return a, true
}

// maxAlarm is how many seconds an alarm may be away from its event: ten years. The
// trigger_interval of one that is not relative, 0x7FFFFFFF, is beyond.
const maxAlarm = 10 * 366 * 86400
