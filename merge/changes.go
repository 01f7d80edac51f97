package merge

import (
	"fmt"
	"slices"
	"strings"

	"russet/internal/vobject"
)

// Where is one of the two sides.
type Where int

// The sides.
const (
	Source Where = iota
	Target
)

// String names the side.
func (w Where) String() string {
	if w == Source {
		return "source"
	}
	return "target"
}

// MarshalText makes the name of a side stand in JSON.
func (w Where) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (w *Where) UnmarshalText(text []byte) error {
	switch string(text) {
	case "source":
		*w = Source
	case "target":
		*w = Target
	default:
		return fmt.Errorf("read the name of a side: it is neither source nor target")
	}
	return nil
}

// Other is the other side.
func (w Where) Other() Where { return 1 - w }

// Action is what is done to a record of one side.
type Action string

// The actions, in the order in which they are done.
const (
	Create Action = "create"
	Update Action = "update"
	Delete Action = "delete"
)

// Op is one write.
type Op struct {
	Where  Where
	Action Action
	Key    string
	// Object is what is written where no side has it like that; nil stands for the
	// other side's form.
	Object *vobject.Component
	Why    string
	// Needs is the key whose creation must not have failed before this is done; "":
	// none.
	Needs string
}

// Cause is why a record is in the queue of conflicts.
type Cause string

// The causes.
const (
	// Differ: both sides changed the same property. Neither is written before a
	// person says which counts.
	Differ Cause = "conflict"
	// Edited: only the target's was changed, which a one-way sync leaves alone.
	Edited Cause = "edited"
)

// Conflict is a record for which nothing is done until a person decides.
type Conflict struct {
	Key        string   `json:"key"`
	Cause      Cause    `json:"cause"`
	Properties []string `json:"properties,omitempty"` // names of those that are in conflict, or, where that is not known, that differ
}

// Changes is a plan: what makes two sides agree.
type Changes struct {
	// Ops are the writes: creations, updates, then deletions; in each group the
	// target's after the source's, by key.
	Ops []Op
	// Settled are keys that need no write and whose base is what both sides have now,
	// which may be nothing. Keys of Ops are settled by them.
	Settled   []string
	Conflicts []Conflict
	// Vanished is how many records the target had and has not, which a one-way sync
	// takes for removed there.
	Vanished int
	// Unchanged is how many records are as the base says.
	Unchanged int
}

// Count is how many ops of an action there are on a side.
func (c *Changes) Count(w Where, a Action) int {
	n := 0
	for _, op := range c.Ops {
		if op.Where == w && op.Action == a {
			n++
		}
	}
	return n
}

// String says in a line what will be done: how many of what, on which side.
func (c *Changes) String() string {
	var parts []string
	for _, w := range []Where{Target, Source} {
		for _, a := range []Action{Create, Update, Delete} {
			if n := c.Count(w, a); n > 0 {
				parts = append(parts, fmt.Sprintf("%s %d at the %v", a, n, w))
			}
		}
	}
	if len(parts) == 0 {
		parts = append(parts, "nothing to write")
	}
	if n := len(c.Conflicts); n > 0 {
		parts = append(parts, fmt.Sprintf("%d wait for a decision", n))
	}
	return strings.Join(parts, ", ")
}

// sort puts the ops in the order in which they are done, and the rest by key.
func (c *Changes) sort() {
	rank := func(o Op) int {
		return 2*slices.Index([]Action{Create, Update, Delete}, o.Action) + int(o.Where)
	}
	slices.SortStableFunc(c.Ops, func(a, b Op) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return strings.Compare(a.Key, b.Key)
	})
	slices.Sort(c.Settled)
	slices.SortFunc(c.Conflicts, func(a, b Conflict) int { return strings.Compare(a.Key, b.Key) })
}
