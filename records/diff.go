package records

import (
	"cmp"
	"slices"
	"strings"

	"russet/internal/vobject"
)

// Change is how one record differs between two sets.
type Change struct {
	Before, After *Record  // nil where it was not, or is no more
	Properties    []string // of a record that both have: names of what differs, sorted
}

// Diff returns the records that differ from one set to another of the same kind, by
// UID: what is new, changed, gone, or in another container (its property is then
// CONTAINER). What only servers and databases note, such as the time of the last
// change, is no difference. A record is not said to be gone, or new, where the set
// that lacks it is not complete.
func Diff(before, after *Set) []Change {
	var changes []Change
	old, now := before.Records, after.Records
	for len(old)+len(now) > 0 {
		switch n := compareHeads(old, now); {
		case n < 0:
			if after.Complete {
				changes = append(changes, Change{Before: &old[0]})
			}
			old = old[1:]
		case n > 0:
			if before.Complete {
				changes = append(changes, Change{After: &now[0]})
			}
			now = now[1:]
		default:
			if names := differing(&old[0], &now[0]); len(names) > 0 {
				changes = append(changes, Change{&old[0], &now[0], names})
			}
			old, now = old[1:], now[1:]
		}
	}
	return joinMoves(changes)
}

// compareHeads compares the first records of two lists, of which one may be empty.
func compareHeads(a, b []Record) int {
	switch {
	case len(a) == 0:
		return 1
	case len(b) == 0:
		return -1
	}
	return cmp.Or(strings.Compare(a[0].UID, b[0].UID), strings.Compare(a[0].Container, b[0].Container))
}

// differing returns the names of the properties that are not the same in both.
func differing(a, b *Record) []string {
	if alike(a.Object, b.Object) { // most are, and this is quickly seen
		return nil
	}
	before, after := vobject.Canonical(a.Object), vobject.Canonical(b.Object)
	if slices.Equal(before, after) {
		return nil
	}
	count := map[vobject.Property]int{}
	for _, p := range before {
		count[p]++
	}
	for _, p := range after {
		count[p]--
	}
	var names []string
	for p, n := range count {
		if n != 0 {
			names = append(names, p.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// joinMoves makes one change of a record that is gone from one container and new in
// another. changes are sorted by UID.
func joinMoves(changes []Change) []Change {
	var joined []Change
	for len(changes) > 0 {
		n := 1
		for n < len(changes) && uidOf(changes[n]) == uidOf(changes[0]) {
			n++
		}
		if n == 2 && changes[0].After == nil && changes[1].Before == nil {
			changes[1].Before = changes[0].Before
			changes = changes[1:]
			n = 1
		} else if n == 2 && changes[0].Before == nil && changes[1].After == nil {
			changes[0].Before = changes[1].Before
			changes[1] = changes[0]
			changes = changes[1:]
			n = 1
		}
		if c := &changes[0]; n == 1 && c.Before != nil && c.After != nil && c.Before.Container != c.After.Container {
			c.Properties = append([]string{"CONTAINER"}, differing(c.Before, c.After)...)
		}
		joined = append(joined, changes[:n]...)
		changes = changes[n:]
	}
	return joined
}

func uidOf(c Change) string {
	if c.After != nil {
		return c.After.UID
	}
	return c.Before.UID
}

// alike tells objects whose lines are the same ones.
func alike(a, b *vobject.Component) bool {
	return a.Name == b.Name && slices.EqualFunc(a.Parts, b.Parts, alike) && slices.EqualFunc(a.Lines, b.Lines, func(x, y vobject.Line) bool {
		return x.Name == y.Name && x.Value == y.Value && x.Group == y.Group && slices.EqualFunc(x.Params, y.Params, func(p, q vobject.Param) bool {
			return p.Name == q.Name && slices.Equal(p.Values, q.Values)
		})
	})
}
