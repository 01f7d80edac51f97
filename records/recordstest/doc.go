// Package recordstest writes the databases of a phone that package records reads,
// from generation to generation, and says what each one changed.
//
//	book := recordstest.NewBook(1, 300)
//	err := book.Write(dir) // dir/HomeDomain/Library/AddressBook/...
//	changes := book.Change(5)
//	err = book.Write(dir)
//
// The same seed gives the same content. A database that is there is changed in
// place, as a phone does, so that most of its pages stay as they are. The private
// content holds the word Secret, so that a test can look for it where it must not be.
package recordstest

// Secret is in all content that a person would call private. It is that of
// package sim.
const Secret = "Quillfeather"

// What says what became of a record from one generation to the next.
type What string

// What becomes of records.
const (
	Added   What = "added"
	Changed What = "changed"
	Removed What = "removed"
)

// Change is what one generation did to one record.
type Change struct {
	What What
	UID  string // as package records gives it
	// Property is the property of the vCard or iCalendar object that is another one
	// now, or is there or gone now. Others may follow from it, such as FN from N.
	// It is empty of a record that was added or removed.
	Property string
}
