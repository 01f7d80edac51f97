// Package merge finds what would make two sides agree: three-way arithmetic over
// what both agreed on last (the base) and what they hold now. It does no I/O.
//
// docs/sync.md has the table that Plan follows.
package merge

import "russet/internal/vobject"

// Record is a record as one side has it now.
type Record struct {
	Key  string       // the record's own, the same on both sides: its UID
	Hash vobject.Hash // of its canonical form
	// Object is its content. Plan wants it only of records that both sides have
	// and that are not as the base says; nil means that it cannot be had.
	Object *vobject.Component
}

// Agreed is a record as both sides had it when a sync last left them alike.
type Agreed struct {
	Key string
	// Source and Target are the hashes of its form on each side: a server may
	// store less than it is given, or spell it otherwise.
	Source, Target vobject.Hash
	// Object is the target's form as it was read back, and Given the source's where
	// the two do not mean the same. Plan wants them of records that one of the sides
	// has otherwise than here; nil means that they cannot be had.
	Object, Given *vobject.Component
	State         State
	Leads         Lead
}

// Lead says of which side's form the other's is what that side made of it when it
// was written there. Where it is neither, and the two do not mean the same, each has
// something of its own.
type Lead string

// The leads.
const (
	Neither     Lead = ""
	SourceLeads Lead = "source"
	TargetLeads Lead = "target"
)

// none tells whether nothing was ever agreed on: the two records are known to be the
// same, and in conflict since a first run.
func (o *Agreed) none() bool { return o.Source == vobject.Hash{} && o.Target == vobject.Hash{} }

// leads tells whether w's form is the one that the other side's was made of.
func (o *Agreed) leads(w Where) bool {
	return o.Source == o.Target || o.Leads == SourceLeads && w == Source || o.Leads == TargetLeads && w == Target
}

// apart tells whether each side has something of its own.
func (o *Agreed) apart() bool { return o.Source != o.Target && o.Leads == Neither }

// State is where a record of the base stands.
type State string

// The states.
const (
	Synced  State = ""        // both sides were alike
	Removed State = "removed" // the source alone has it, and that is as it shall be: not created again
	Orphan  State = "orphan"  // the target alone has it, and that is as it shall be: kept there
	Held    State = "held"    // a conflict waits for a person
)
