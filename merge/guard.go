package merge

import (
	"fmt"
	"time"
)

// Facts are what guards know besides the plan.
type Facts struct {
	Base, Source, Target int // how many records each has
	// Device and At tell the snapshot that is the source; Last... that of the last run.
	// They are empty where there is none.
	Device, LastDevice string
	At, LastAt         time.Time
	// Identities of the sides, by Where; empty where not asked for or never seen.
	Identity, LastIdentity [2]string
	// Unread is how many things are missing because a part of the phone's databases could
	// not be read or understood, and LastUnread how many they were in the last run.
	Unread, LastUnread int
	// Doubtful is how many updates and deletions are of records that the phone had so
	// already in an earlier run which found more unread, and which held them back.
	Doubtful int
}

// Finding is what a guard has against a plan.
type Finding struct {
	Guard string `json:"guard"` // its name, which does not change
	Text  string `json:"text"`  // a sentence
	// Refused says that the plan does not run at all; otherwise it does when a person
	// approves of this very plan.
	Refused bool `json:"refused"`
}

// Names of guards.
const (
	GuardTarget   = "other-target"
	GuardSource   = "other-source"
	GuardDevice   = "other-device"
	GuardOlder    = "older-snapshot"
	GuardEmpty    = "empty-side"
	GuardDeletes  = "many-deletions"
	GuardChanges  = "many-changes"
	GuardTooMany  = "deletions-over-cap"
	GuardVanished = "many-vanished"
	GuardUnread   = "unread"
	guardFew      = 5  // records: below this no share of the base is many
	guardDeletes  = 10 // percent of the base
	guardChanges  = 50 // percent of the base
	maxDeletions  = 500
	percentOfBase = 100
)

// Guard looks at a plan before its first write.
func Guard(c *Changes, f Facts) []Finding {
	var found []Finding
	add := func(guard string, refused bool, text string, args ...any) {
		found = append(found, Finding{guard, fmt.Sprintf(text, args...), refused})
	}
	for w, name := range []string{GuardSource, GuardTarget} {
		if was, is := f.LastIdentity[w], f.Identity[w]; was != "" && is != "" && was != is {
			add(name, true, "the collection at the %v is another one than that of the last run", Where(w))
		}
	}
	if f.LastDevice != "" && f.Device != f.LastDevice {
		add(GuardDevice, true, "the snapshot is of another device than that of the last run")
	}
	if f.At.Before(f.LastAt) && f.Device != "" {
		add(GuardOlder, true, "the snapshot is older than that of the last run, of %s", f.LastAt.UTC().Format(time.DateTime))
	}
	if f.Base > 0 && f.Source == 0 {
		add(GuardEmpty, false, "the source is empty; it had %d records", f.Base)
	}
	if f.Base > 0 && f.Target == 0 {
		add(GuardEmpty, false, "the target is empty; it had %d records", f.Base)
	}
	deletes := c.Deletions()
	if deletes > max(guardFew, f.Base*guardDeletes/percentOfBase) {
		add(GuardDeletes, false, "%d of %d records would be deleted", deletes, f.Base)
	}
	changes := deletes + c.Count(Source, Update) + c.Count(Target, Update)
	if changes > max(guardFew, f.Base*guardChanges/percentOfBase) {
		add(GuardChanges, false, "%d of %d records would be changed or deleted", changes, f.Base)
	}
	if c.Vanished > max(guardFew, f.Base*guardDeletes/percentOfBase) {
		add(GuardVanished, false, "%d of %d records vanished from the target, and would not be created there again", c.Vanished, f.Base)
	}
	switch {
	case changes > 0 && f.Unread > f.LastUnread:
		add(GuardUnread, false, "of the phone's databases %d more things than in the last run could not be read: what would be changed may only be what is lost", f.Unread-f.LastUnread)
	case f.Doubtful > 0:
		add(GuardUnread, false, "%d records changed when more of the phone's databases than before could not be read, and waited since: what would be changed may only be what is lost", f.Doubtful)
	}
	if deletes > maxDeletions {
		add(GuardTooMany, false, "%d deletions in one run are more than %d", deletes, maxDeletions)
	}
	return found
}

// Deletions is how many ops delete, on either side.
func (c *Changes) Deletions() int { return c.Count(Source, Delete) + c.Count(Target, Delete) }
