// Package records reads the databases inside a phone's backup: contacts, events
// and reminders, each as a vCard or an iCalendar object.
//
//	set, err := records.Read(ctx, files, records.Contacts)
//	for _, r := range set.Records { os.Stdout.Write(r.Object.Bytes()) }
//
// Databases are found by their place and known by their tables; columns are
// found, never assumed. A layout that no reader knows is an error that names what
// was seen, never an empty set. docs/records.md describes the stores.
package records

import (
	"errors"
	"time"

	"russet/internal/vobject"
)

// Kind says what records are.
type Kind string

// The kinds.
const (
	Contacts  Kind = "contacts"
	Calendar  Kind = "calendar"
	Reminders Kind = "reminders"
)

var (
	// ErrNoStore is in errors of a backup that has no database of a kind.
	ErrNoStore = errors.New("no database of that kind")
	// ErrUnknownLayout is in errors of a database whose tables no reader knows.
	ErrUnknownLayout = errors.New("unknown layout")
)

// Container is what holds records on the phone: an address book's account, a
// calendar, a list of reminders.
type Container struct {
	ID      string // stable: the store's own identifier
	Name    string // as people see it
	Account string // the account's name, "" of the phone's own
	Type    string // local, carddav, caldav, exchange, subscribed, birthdays, suggested or other
	Host    string // of the server that the phone syncs it with, where that is known
	Color   string // of a calendar or list: #RRGGBB, or ""
	// Synced says that it is taken when nobody chose: the phone's own, and not
	// birthdays, subscriptions, suggestions, nor what a server has already.
	Synced bool
}

// Record is one contact, one event with all its exceptions, or one reminder.
type Record struct {
	UID       string // stable across snapshots; the object's UID
	Container string // its ID
	Object    *vobject.Component
	Modified  time.Time // zero where the store does not say
	// Unread are the names of properties, in upper case and sorted, of which something
	// could not be read, such as PHOTO, or TEL where it was one of several: what Object
	// has of them, and that it has none, says nothing. Of an event or a reminder they
	// are those of its parts, and VALARM.
	Unread []string
}

// Problem is something in a database that could not be read or mapped.
type Problem struct {
	Store string // the database's path
	Row   int64  // 0 where it is about more than a row
	Text  string // a sentence without anything personal
	Lost  bool   // a record, or a part of one, is missing because of it
}

// Set is what a backup holds of one kind.
type Set struct {
	Kind       Kind
	Readers    []string // which reader took each store: "AddressBook.sqlitedb (iOS 8 and later)"
	Stores     []string // paths of the databases that were read
	Containers []Container
	Records    []Record // sorted by UID, then by container
	Problems   []Problem
	// Complete says that every database of the kind was found readable to its last
	// row. Only then does a record that is not there mean that it was deleted.
	Complete bool
}
