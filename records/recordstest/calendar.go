package recordstest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// calendarFolder is where the events of all accounts lie.
const calendarFolder = "HomeDomain/Library/Calendar/"

// Event is a row of CalendarItem with what belongs to it.
type Event struct {
	UID               string
	Text              map[string]any // by column of CalendarItem; those that are not there are NULL
	Start, Length     int64          // Cocoa seconds; the length in seconds
	Zone              string
	AllDay            bool
	Frequency         int    // of its recurrence; 0 is none
	Specifier         string // of its recurrence
	Count             int
	Exceptions        []int64 // when it does not take place
	Overrides         []Override
	Alarms            []int64 // seconds after the start
	Guests            []int   // of those who are invited
	Place             string
	Server            bool // it is in the calendar of the account on a server
	Modified          int64
	row, nextOverride int64
}

// Override is an occurrence of a series that takes place otherwise.
type Override struct {
	Original, Start int64
	Title           string
	row             int64
}

// Calendar is the calendars of a phone, and what of them is not written yet.
type Calendar struct {
	Events []*Event // in the order of their rows

	generator[*Event]
}

func (e *Event) key() (row int64, uid string) { return e.row, e.UID }

// rowsPerEvent is how many rows of CalendarItem an event may take, itself and its
// overrides.
const rowsPerEvent = 100

// NewCalendar returns calendars with n events made from seed.
func NewCalendar(seed uint64, n int) *Calendar {
	c := &Calendar{generator: newGenerator[*Event](seed, 5)}
	for range n {
		c.add()
	}
	return c
}

const day = 86_400

// recurrences are rules by their frequency. In place of the letters stands what the
// start has, as phones have them: w its weekday, v the next one, d its day of the
// month, m its month, n which of its weekday it is in the month, y its day of the year.
var recurrences = []struct {
	frequency int
	specifier string
}{
	{1, ""},
	{2, "D=0{v},0{w}"},
	{2, ""},
	{3, "M={d}"},
	{3, "D=+{n}{w}"},
	{3, "D=0{w};S={n}"},
	{4, "D=+{n}{w};O={m}"},
	{4, ""},
	{4, "Y={y}"},
}

var zoneNames = []string{"Europe/Berlin", "America/New_York", "Asia/Tokyo", "Australia/Sydney", "UTC", "W. Europe Standard Time", "_float"}

func (c *Calendar) add() *Event {
	c.lastRow += rowsPerEvent
	e := &Event{
		UID: fmt.Sprintf("%08X-0000-4000-8000-%012d", c.rng.Uint32(), c.lastRow), Text: map[string]any{}, row: c.lastRow,
		Server: c.rng.IntN(8) == 0, Zone: c.pick(zoneNames), Modified: c.tick(),
	}
	e.Text["summary"] = c.text()
	// From 8 to 11 in UTC it is the same day in all zones.
	e.Start = day*(6944+c.rng.Int64N(1500)) + 8*3600 + 900*c.rng.Int64N(12)
	e.Length = 900 * (1 + c.rng.Int64N(10))
	if e.AllDay = c.rng.IntN(4) == 0; e.AllDay {
		e.Zone = "_float"
		e.Start -= e.Start % day
		e.Length = (1+c.rng.Int64N(3))*day - 1
	}
	for _, f := range eventFields {
		if c.rng.IntN(4) == 0 {
			e.Text[f.column] = c.value(f.column)
		}
	}
	if c.rng.IntN(4) == 0 {
		c.setRule(e)
	}
	for range c.rng.IntN(3) {
		e.Alarms = append(e.Alarms, -60*int64(c.number()))
	}
	for range c.rng.IntN(3) {
		e.Guests = append(e.Guests, c.number())
	}
	if c.rng.IntN(4) == 0 {
		e.Place = c.text()
	}
	c.Events = append(c.Events, e)
	c.put(e)
	return e
}

// setRule gives e a recurrence that it did not have.
func (c *Calendar) setRule(e *Event) {
	r := recurrences[c.rng.IntN(len(recurrences))]
	start := time.Unix(978_307_200+e.Start, 0).UTC()
	spelled := func(d time.Weekday) string { return strings.ToUpper(d.String()[:2]) }
	e.Frequency, e.Count = r.frequency, 2+c.number()%400
	e.Specifier = strings.NewReplacer(
		"{w}", spelled(start.Weekday()), "{v}", spelled((start.Weekday()+1)%7), "{d}", strconv.Itoa(start.Day()),
		"{m}", strconv.Itoa(int(start.Month())), "{n}", strconv.Itoa((start.Day()+6)/7), "{y}", strconv.Itoa(start.YearDay()),
	).Replace(r.specifier)
}

// eventFields are columns that are one property each.
var eventFields = []struct{ column, property string }{
	{"description", "DESCRIPTION"},
	{"url", "URL"},
	{"status", "STATUS"},
	{"availability", "TRANSP"},
	{"privacy_level", "CLASS"},
}

// value returns a value for a column.
func (c *Calendar) value(column string) any {
	switch column {
	case "url":
		return fmt.Sprintf("https://example.test/event,a;b?%d", c.number())
	case "status":
		return 1 + c.rng.IntN(3)
	case "availability":
		return 1
	case "privacy_level":
		return 1 + c.rng.IntN(2)
	}
	return c.text() + "\nand, more; of it"
}

// Change makes the next generation, as Book's does.
func (c *Calendar) Change(n int) []Change {
	return c.generation(&c.Events, n, ways[*Event]{add: c.add, change: c.change, touch: c.touch})
}

// Edit changes one event in one property and says what that was.
func (c *Calendar) Edit(i int) Change { return c.change(c.Events[i]) }

// Remove removes one event.
func (c *Calendar) Remove(i int) Change { return c.remove(&c.Events, c.Events[i]) }

func (c *Calendar) touch(e *Event) {
	e.Modified = c.tick()
	c.put(e)
}

func (c *Calendar) change(e *Event) Change {
	c.touch(e)
	property := ""
	switch n := c.rng.IntN(9); {
	case n == 0:
		property, e.Text["summary"] = "SUMMARY", c.text()
	case n == 1 && e.Frequency == 0:
		property = "DTSTART"
		e.Start += day * int64(c.number())
	case n == 2:
		property = "DTEND"
		if e.Length += 3600; e.AllDay {
			e.Length += day - 3600
		}
	case n == 3:
		property = "RRULE"
		if e.Frequency == 0 || c.rng.IntN(3) > 0 || len(e.Exceptions)+len(e.Overrides) > 0 {
			c.setRule(e)
		} else {
			e.Frequency = 0
		}
	case n == 4 && e.Frequency > 0:
		property = "EXDATE"
		e.Exceptions = append(slices.Clone(e.Exceptions), e.Start+day*int64(c.number()))
	case n == 5 && e.Frequency > 0 && e.nextOverride < rowsPerEvent-1:
		property = "RECURRENCE-ID"
		e.nextOverride++
		at := e.Start + day*int64(1000+c.number())
		e.Overrides = append(slices.Clone(e.Overrides), Override{at, at + 2*day, c.text(), e.row + e.nextOverride})
	case n == 6:
		property = "VALARM"
		e.Alarms = append(slices.Clone(e.Alarms), -60*int64(c.number()))
	case n == 7:
		property = "ATTENDEE"
		if len(e.Guests) > 0 && c.rng.IntN(2) == 0 {
			e.Guests = slices.Clone(e.Guests[1:])
		} else {
			e.Guests = append(slices.Clone(e.Guests), c.number())
		}
	default:
		property = c.changeField(e)
	}
	return Change{What: Changed, UID: e.UID, Property: property}
}

func (c *Calendar) changeField(e *Event) string {
	if c.rng.IntN(4) == 0 {
		e.Place = c.text()
		return "LOCATION"
	}
	f := eventFields[c.rng.IntN(len(eventFields))]
	before, there := e.Text[f.column]
	if there && (f.column == "availability" || c.rng.IntN(3) == 0) {
		delete(e.Text, f.column)
		return f.property
	}
	for e.Text[f.column] == before {
		e.Text[f.column] = c.value(f.column)
	}
	return f.property
}

// Write writes the calendars below dir, a folder of a phone's domains, in place
// where an earlier Write of c left them.
func (c *Calendar) Write(dir string) error {
	name := filepath.Join(dir, calendarFolder, "Calendar.sqlitedb")
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	rows := c.pending(name, c.Events)
	err := inDatabase(name, calendarSchema, func(w *writer) {
		for _, row := range rows {
			c.writeEvent(w, row)
		}
	})
	if err != nil {
		return fmt.Errorf("write calendars: %w", err)
	}
	clear(c.dirty)
	return nil
}

func (c *Calendar) writeEvent(w *writer, row int64) {
	end := row + rowsPerEvent
	w.exec(`DELETE FROM CalendarItem WHERE ROWID >= ? AND ROWID < ?`, row, end)
	for _, table := range []string{"Recurrence", "ExceptionDate", "Participant"} {
		w.exec(`DELETE FROM `+table+` WHERE owner_id >= ? AND owner_id < ?`, row, end)
	}
	w.exec(`DELETE FROM Alarm WHERE calendaritem_owner_id >= ? AND calendaritem_owner_id < ?`, row, end)
	w.exec(`DELETE FROM Location WHERE ROWID = ?`, row)
	e := c.dirty[row]
	if e == nil {
		return
	}
	w.exec(insertItem, row, e.Text["summary"], nullable(row, e.Place != ""), e.Text["description"], e.Start, e.Zone, e.Start+e.Length, e.Zone,
		e.AllDay, calendarOf(e), 0, nil, e.Text["status"], e.Text["availability"], e.Text["privacy_level"], e.Text["url"], e.Modified, e.UID,
		fmt.Sprintf("row-%d", row), 690_000_000+row)
	if e.Place != "" {
		w.exec(`INSERT INTO Location (ROWID, title, address, latitude, longitude, item_owner_id) VALUES (?, ?, '', 47.5, 8.25, ?)`, row, e.Place, row)
	}
	if e.Frequency > 0 {
		w.exec(`INSERT INTO Recurrence (ROWID, frequency, interval, week_start, count, specifier, by_month_months, owner_id) VALUES (?, ?, 1, 0, ?, ?, 0, ?)`,
			row, e.Frequency, e.Count, nullable(e.Specifier, e.Specifier != ""), row)
		for i, at := range e.Exceptions {
			w.exec(`INSERT INTO ExceptionDate (ROWID, owner_id, date) VALUES (?, ?, ?)`, row*1000+int64(i), row, at)
		}
		for i, o := range e.Overrides {
			w.exec(insertItem, o.row, o.Title, nil, nil, o.Start, e.Zone, o.Start+e.Length, e.Zone, e.AllDay, calendarOf(e), row, o.Original,
				nil, nil, nil, nil, e.Modified, e.UID, fmt.Sprintf("row-%d", o.row), 690_000_000+row)
			w.exec(`INSERT INTO ExceptionDate (ROWID, owner_id, date) VALUES (?, ?, ?)`, row*1000+500+int64(i), row, o.Original)
		}
	}
	for i, seconds := range e.Alarms {
		w.exec(`INSERT INTO Alarm (ROWID, trigger_interval, type, calendaritem_owner_id, UUID, proximity, disabled) VALUES (?, ?, 0, ?, ?, 0, 0)`,
			row*10_000+int64(i), seconds, row, fmt.Sprintf("alarm-%d%d", row, seconds))
	}
	for i, guest := range e.Guests {
		w.exec(`INSERT OR IGNORE INTO Identity (rowid, display_name, address) VALUES (?, ?, ?)`, guest, fmt.Sprintf("Guest, %d", guest),
			fmt.Sprintf("mailto:guest%d@example.test", guest))
		w.exec(`INSERT INTO Participant (ROWID, entity_type, type, status, role, identity_id, owner_id) VALUES (?, 7, 1, ?, 1, ?, ?)`,
			row*10_000+int64(i), guest%4, guest, row)
	}
}

func calendarOf(e *Event) int {
	if e.Server {
		return 2
	}
	return 1
}

const insertItem = `INSERT INTO CalendarItem (ROWID, summary, location_id, description, start_date, start_tz, end_date, end_tz, all_day, calendar_id, ` +
	`orig_item_id, orig_date, status, availability, privacy_level, url, last_modified, unique_identifier, UUID, creation_date, entity_type) ` +
	`VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 2)`
