package records

import (
	"strings"
	"time"
)

// Row is a record made flat: a line of a table, of a CSV file, an object of JSON.
type Row struct {
	UID       string
	Container string     // its ID
	Title     string     // what people call it: a name, the summary of an event
	When      time.Time  // the start of an event, when a reminder is due; zero where there is none
	Fields    [][]string // the values for each of Columns, in their order
}

// Columns returns the names of what Summary gives of records of a kind, in lower
// case ASCII: the header of a CSV file, the keys of JSON.
func Columns(kind Kind) []string {
	switch kind {
	case Contacts:
		return contactColumns()
	case Calendar:
		return calendarColumns()
	case Reminders:
		return reminderColumns()
	}
	return nil
}

// Summary makes a record of a kind flat.
func Summary(kind Kind, r Record) Row {
	row := Row{UID: r.UID, Container: r.Container}
	switch kind {
	case Contacts:
		contactRow(&row, r.Object)
	case Calendar:
		calendarRow(&row, r.Object)
	case Reminders:
		reminderRow(&row, r.Object)
	}
	return row
}

// Text returns one text for each of Columns: several values stand one behind the
// other.
func (r Row) Text() []string {
	texts := make([]string, len(r.Fields))
	for i, values := range r.Fields {
		texts[i] = strings.Join(values, "; ")
	}
	return texts
}

// Matches reports whether any value holds what is searched for, whatever the case.
func (r Row) Matches(search string) bool {
	search = strings.ToLower(search)
	if strings.Contains(strings.ToLower(r.Title), search) {
		return true
	}
	for _, values := range r.Fields {
		for _, v := range values {
			if strings.Contains(strings.ToLower(v), search) {
				return true
			}
		}
	}
	return false
}
