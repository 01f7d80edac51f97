package recordstest

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// reminderFolder is where each account's reminders lie.
const reminderFolder = "AppDomainGroup-group.com.apple.reminders/Container_v1/Stores/"

// Reminder is a row of ZREMCDREMINDER with what belongs to it.
type Reminder struct {
	UID       string
	Text      map[string]any // by column; those that are not there are NULL
	Due       int64          // Cocoa seconds; 0 is never
	AllDay    bool
	Completed int64 // 0 is not yet
	Flagged   bool
	Tags      []string
	Alarms    []int64 // seconds after it is due
	Frequency int     // of its recurrence, whose daily is 0; -1 is none
	Days      string  // of the week on which it recurs, as JSON
	Parent    *Reminder
	Server    bool
	Modified  int64

	row    int64
	parent bool // others lie below it
}

// Reminders is the reminders of a phone, and what of them is not written yet.
type Reminders struct {
	Reminders []*Reminder // in the order of their rows

	generator[*Reminder]
}

func (r *Reminder) key() (row int64, uid string) { return r.row, r.UID }

// NewReminders returns n reminders made from seed.
func NewReminders(seed uint64, n int) *Reminders {
	s := &Reminders{generator: newGenerator[*Reminder](seed, 6)}
	for range n {
		s.add()
	}
	return s
}

func (s *Reminders) add() *Reminder {
	s.lastRow++
	id := fmt.Sprintf("%08X-0000-4000-9000-%012d", s.rng.Uint32(), s.lastRow)
	r := &Reminder{UID: id, Text: map[string]any{"ZTITLE": s.text()}, Frequency: -1, row: s.lastRow, Server: s.rng.IntN(3) == 0}
	r.Modified = s.tick()
	if s.rng.IntN(2) == 0 {
		s.setDue(r)
	}
	if s.rng.IntN(3) == 0 {
		r.Text["ZNOTES"] = s.text()
	}
	if s.rng.IntN(3) == 0 {
		r.Text["ZPRIORITY"] = []int{1, 5, 9}[s.rng.IntN(3)]
	}
	if s.rng.IntN(4) == 0 {
		r.Completed = s.tick()
	}
	r.Flagged = s.rng.IntN(5) == 0
	for range s.rng.IntN(3) {
		r.Tags = append(r.Tags, s.tag())
	}
	if r.Due != 0 && s.rng.IntN(3) == 0 {
		s.setRule(r)
	}
	if i := len(s.Reminders) - 1; i >= 0 && s.rng.IntN(6) == 0 && s.Reminders[i].Server == r.Server {
		r.Parent = s.Reminders[i]
		r.Parent.parent = true
	}
	s.Reminders = append(s.Reminders, r)
	s.put(r)
	return r
}

func (s *Reminders) setDue(r *Reminder) {
	r.Due = 700_000_000 + day/4*int64(s.number())
	if r.AllDay = s.rng.IntN(2) == 0; r.AllDay {
		r.Due = day * (8200 + int64(s.number()))
	}
}

func (s *Reminders) setRule(r *Reminder) {
	before := [2]any{r.Frequency, r.Days}
	for before == [2]any{r.Frequency, r.Days} {
		r.Frequency, r.Days = s.rng.IntN(4), ""
		if r.Frequency == 1 {
			r.Days = fmt.Sprintf(`[{"dayOfTheWeek":%d,"weekNumber":0}]`, 1+s.rng.IntN(7))
		}
	}
}

func (s *Reminders) tag() string { return fmt.Sprintf("tag%d", s.number()) }

// Change makes the next generation, as Book's does; none is only touched.
func (s *Reminders) Change(n int) []Change {
	return s.generation(&s.Reminders, n, ways[*Reminder]{add: s.add, change: s.change, stays: func(r *Reminder) bool { return r.parent }})
}

// Edit changes one reminder in one property and says what that was.
func (s *Reminders) Edit(i int) Change { return s.change(s.Reminders[i]) }

func (s *Reminders) change(r *Reminder) Change {
	r.Modified = s.tick()
	s.put(r)
	property := ""
	switch n := s.rng.IntN(8); {
	case n == 0:
		property, r.Text["ZTITLE"] = "SUMMARY", s.text()
	case n == 1:
		property, r.Text["ZNOTES"] = "DESCRIPTION", s.text()
	case n == 2:
		property = "DUE"
		s.setDue(r)
	case n == 3:
		property = "STATUS"
		if r.Completed == 0 {
			r.Completed = s.tick()
		} else {
			r.Completed = 0
		}
	case n == 4:
		property, r.Flagged = "X-APPLE-FLAGGED", !r.Flagged
	case n == 5 && r.Due != 0:
		property = "RRULE"
		s.setRule(r)
	case n == 6:
		property = "VALARM"
		r.Alarms = append(slices.Clone(r.Alarms), -60*int64(s.number()))
	default:
		property = "CATEGORIES"
		if len(r.Tags) > 0 && s.rng.IntN(2) == 0 {
			r.Tags = slices.Clone(r.Tags[1:])
		} else {
			r.Tags = append(slices.Clone(r.Tags), s.tag())
		}
	}
	return Change{What: Changed, UID: r.UID, Property: property}
}

// Write writes a store of the phone's own reminders and one of an account below dir,
// a folder of a phone's domains, in place where an earlier Write of s left them.
func (s *Reminders) Write(dir string) error {
	folder := filepath.Join(dir, reminderFolder)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	names := []string{"Data-local.sqlite", "Data-0A0B0C0D-0000-4000-8000-000000000001.sqlite"}
	rows := s.pending(filepath.Join(folder, names[0]), s.Reminders)
	for i, name := range names {
		// The numbers of the entities are others in each store.
		entities := firstEntity + 10*i
		err := inDatabase(filepath.Join(folder, name), remindersSchema(entities, i), func(w *writer) {
			for _, row := range rows {
				r := s.dirty[row]
				writeReminder(w, row, entities, r, r != nil && r.Server == (i == 1))
			}
		})
		if err != nil {
			return fmt.Errorf("write reminders: %w", err)
		}
	}
	clear(s.dirty)
	return nil
}

const firstEntity = 20

// entityNames are the entities of a store, in the order of their numbers.
var entityNames = []string{
	"REMCDReminder", "REMCDList", "REMCDAccount", "REMCDAlarm", "REMCDAlarmTimeIntervalTrigger", "REMCDRecurrenceRule", "REMCDHashtag",
}

// writeReminder puts one in the place of what the store has in its row. It is
// marked as deleted, as phones do, where it is no more.
func writeReminder(w *writer, row int64, entities int, r *Reminder, here bool) {
	w.exec(`DELETE FROM ZREMCDOBJECT WHERE Z_PK >= ? AND Z_PK < ?`, row*1000, (row+1)*1000)
	if !here {
		w.exec(`UPDATE ZREMCDREMINDER SET ZMARKEDFORDELETION = 1 WHERE Z_PK = ?`, row)
		return
	}
	id, _ := hex.DecodeString(strings.ReplaceAll(r.UID, "-", ""))
	var parent any
	if r.Parent != nil {
		parent = r.Parent.row
	}
	w.exec(`INSERT OR REPLACE INTO ZREMCDREMINDER (Z_PK, Z_ENT, Z_OPT, ZIDENTIFIER, ZTITLE, ZNOTES, ZCOMPLETED, ZCOMPLETIONDATE, ZFLAGGED, ZPRIORITY, `+
		`ZALLDAY, ZCREATIONDATE, ZLASTMODIFIEDDATE, ZDUEDATE, ZMARKEDFORDELETION, ZPARENTREMINDER, ZLIST, ZACCOUNT, ZTIMEZONE) `+
		`VALUES (?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, 1, 2, ?)`,
		row, entities, id, r.Text["ZTITLE"], r.Text["ZNOTES"], r.Completed != 0, nullable(r.Completed, r.Completed != 0), r.Flagged,
		r.Text["ZPRIORITY"], r.AllDay, 690_000_000+row, r.Modified, nullable(r.Due, r.Due != 0), parent, nullable("Europe/Berlin", !r.AllDay))
	key := row * 1000
	next := func() int64 {
		key++
		return key
	}
	for _, tag := range r.Tags {
		w.exec(`INSERT INTO ZREMCDOBJECT (Z_PK, Z_ENT, ZREMINDER3, ZNAME1) VALUES (?, ?, ?, ?)`, next(), entities+6, row, tag)
	}
	for _, seconds := range r.Alarms {
		trigger := next()
		w.exec(`INSERT INTO ZREMCDOBJECT (Z_PK, Z_ENT, ZTIMEINTERVAL) VALUES (?, ?, ?)`, trigger, entities+4, seconds)
		w.exec(`INSERT INTO ZREMCDOBJECT (Z_PK, Z_ENT, ZREMINDER, ZTRIGGER, ZALARMUID) VALUES (?, ?, ?, ?, ?)`,
			next(), entities+3, row, trigger, fmt.Sprintf("alarm-%d%d", row, seconds))
	}
	if r.Frequency >= 0 && r.Due != 0 {
		w.exec(`INSERT INTO ZREMCDOBJECT (Z_PK, Z_ENT, ZREMINDER4, ZFREQUENCY, ZINTERVAL, ZDAYSOFTHEWEEK) VALUES (?, ?, ?, ?, 1, ?)`,
			next(), entities+5, row, r.Frequency, nullable(r.Days, r.Days != ""))
	}
}

// remindersSchema is that of iOS 17, as far as it matters to readers, with one
// list. Its account has no rows of its own tables before reminders have any.
func remindersSchema(entities, store int) []string {
	schema := []string{
		`CREATE TABLE Z_PRIMARYKEY (Z_ENT INTEGER PRIMARY KEY, Z_NAME VARCHAR, Z_SUPER INTEGER, Z_MAX INTEGER)`,
		`CREATE TABLE ZREMCDREMINDER (Z_PK INTEGER PRIMARY KEY, Z_ENT INTEGER, Z_OPT INTEGER, ZIDENTIFIER BLOB, ZTITLE VARCHAR, ZNOTES VARCHAR, ` +
			`ZCOMPLETED INTEGER, ZCOMPLETIONDATE TIMESTAMP, ZFLAGGED INTEGER, ZPRIORITY INTEGER, ZALLDAY INTEGER, ZCREATIONDATE TIMESTAMP, ` +
			`ZLASTMODIFIEDDATE TIMESTAMP, ZDUEDATE TIMESTAMP, ZSTARTDATE TIMESTAMP, ZMARKEDFORDELETION INTEGER, ZPARENTREMINDER INTEGER, ` +
			`ZLIST INTEGER, ZACCOUNT INTEGER, ZTIMEZONE VARCHAR, ZDISPLAYDATEDATE TIMESTAMP, ZTITLEDOCUMENT BLOB)`,
		`CREATE TABLE ZREMCDBASELIST (Z_PK INTEGER PRIMARY KEY, Z_ENT INTEGER, Z_OPT INTEGER, ZIDENTIFIER BLOB, ZNAME VARCHAR, ZISGROUP INTEGER, ` +
			`ZSHARINGSTATUS INTEGER, ZACCOUNT INTEGER, ZMARKEDFORDELETION INTEGER, ZCOLOR BLOB)`,
		`CREATE TABLE ZREMCDOBJECT (Z_PK INTEGER PRIMARY KEY, Z_ENT INTEGER, Z_OPT INTEGER, ZMARKEDFORDELETION INTEGER, ZNAME VARCHAR, ZNAME1 VARCHAR, ` +
			`ZREMINDER INTEGER, ZREMINDER1 INTEGER, ZREMINDER2 INTEGER, ZREMINDER3 INTEGER, ZREMINDER4 INTEGER, ZTRIGGER INTEGER, Z16_TRIGGER INTEGER, ` +
			`ZALARMUID VARCHAR, ZTIMEINTERVAL FLOAT, ZDATECOMPONENTSDATA BLOB, ZTITLE VARCHAR, ZLATITUDE FLOAT, ZLONGITUDE FLOAT, ZRADIUS FLOAT, ` +
			`ZPROXIMITY INTEGER, ZFREQUENCY INTEGER, ZINTERVAL INTEGER, ZOCCURRENCECOUNT INTEGER, ZENDDATE TIMESTAMP, ZFIRSTDAYOFTHEWEEK INTEGER, ` +
			`ZDAYSOFTHEWEEK BLOB, ZDAYSOFTHEMONTH BLOB, ZMONTHSOFTHEYEAR BLOB, ZSETPOSITIONS BLOB)`,
		fmt.Sprintf(`INSERT INTO ZREMCDBASELIST (Z_PK, Z_ENT, ZIDENTIFIER, ZNAME, ZISGROUP, ZACCOUNT, ZMARKEDFORDELETION) `+
			`VALUES (1, %d, X'%032X', 'List %d', 0, 2, 0)`, entities+1, 0xA0+store, store),
		fmt.Sprintf(`INSERT INTO ZREMCDOBJECT (Z_PK, Z_ENT, ZNAME) VALUES (2, %d, 'Account %d')`, entities+2, store),
	}
	for i, name := range entityNames {
		schema = append(schema, fmt.Sprintf(`INSERT INTO Z_PRIMARYKEY VALUES (%d, '%s', 0, 0)`, entities+i, name))
	}
	return schema
}
