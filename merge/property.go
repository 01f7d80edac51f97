package merge

import (
	"cmp"
	"slices"
	"strings"

	"russet/internal/vobject"
)

// unit is what is merged as a whole: what both sides changed of one, and not to the
// same, is a conflict.
type unit struct {
	part, name string
	value      string // of names of which an object has several
}

// several are the properties of which an object has as many as it likes: each of
// their values is a unit of its own. All others are units by their names.
const several = " TEL EMAIL ADR URL IMPP X-SOCIALPROFILE SOCIALPROFILE RELATED X-ABRELATEDNAMES X-ABDATE CATEGORIES LANG KEY MEMBER" +
	" X-ADDRESSBOOKSERVER-MEMBER ATTENDEE COMMENT CONTACT ATTACH RELATED-TO RESOURCES CONFERENCE VALARM "

// timing are the properties of an event or a task that say when it is only
// together.
const timing = " DTSTART DTEND DUE DURATION RRULE RDATE EXDATE EXRULE RECURRENCE-ID "

// unitOf says to which unit a property belongs. An override of one occurrence is a
// unit of its own.
func unitOf(p vobject.Property) unit {
	switch {
	case strings.Contains(p.Part, "/"):
		return unit{part: p.Part}
	case p.Part != "" && strings.Contains(timing, " "+p.Name+" "):
		return unit{part: p.Part, name: "DTSTART"}
	case strings.Contains(several, " "+p.Name+" "):
		return unit{part: p.Part, name: p.Name, value: p.Value}
	}
	return unit{part: p.Part, name: p.Name}
}

// label names a unit for people: the property, or the part.
func (u unit) label() string {
	if u.name != "" {
		return u.name
	}
	kind, _, _ := strings.Cut(u.part, "/")
	return kind
}

// units sorts what an object says by units. c may be nil, which says nothing.
func units(c *vobject.Component) map[unit][]vobject.Property {
	if c == nil {
		return nil
	}
	m := map[unit][]vobject.Property{}
	for _, p := range vobject.Canonical(c) {
		u := unitOf(p)
		m[u] = append(m[u], p)
	}
	return m
}

// merged is what three-way arithmetic found for one side, to, and what the other
// one, from, did.
type merged struct {
	from, to map[unit][]vobject.Property
	taken    []unit // from changed them and to did not
	differ   []unit // both did, differently
}

// threeWay compares what two sides did since each was as in its base. apart says that
// where the two bases differ, to has something of its own, which a change of from
// must not replace.
func threeWay(baseFrom, from, baseTo, to *vobject.Component, apart bool) merged {
	f0, t0 := units(baseFrom), units(baseTo)
	m := merged{from: units(from), to: units(to)}
	var all []unit
	for _, of := range []map[unit][]vobject.Property{f0, m.from} {
		for u := range of {
			all = append(all, u)
		}
	}
	slices.SortFunc(all, compareUnits)
	moved := map[string]bool{} // parts whose times from changed
	for _, u := range slices.Compact(all) {
		changedFrom, changedTo := !slices.Equal(f0[u], m.from[u]), !slices.Equal(t0[u], m.to[u])
		own := apart && len(t0[u]) > 0 && !slices.Equal(f0[u], t0[u])
		switch {
		case !changedFrom || slices.Equal(m.from[u], m.to[u]):
		case changedTo || own:
			m.differ = append(m.differ, u)
		default:
			m.taken = append(m.taken, u)
		}
		if changedFrom && u.name == "DTSTART" {
			moved[u.part] = true
		}
	}
	m.overrides(moved, t0)
	return m
}

// overrides makes a conflict of what stands and falls together: one side moved a
// series while the other changed one of its occurrences.
func (m *merged) overrides(movedFrom map[string]bool, t0 map[unit][]vobject.Property) {
	changedTo := func(u unit) bool { return !slices.Equal(t0[u], m.to[u]) }
	touched := map[string]bool{}
	for _, of := range []map[unit][]vobject.Property{t0, m.to} {
		for u := range of {
			if master, _, below := strings.Cut(u.part, "/"); below && changedTo(u) {
				touched[master] = true
			}
		}
	}
	var taken []unit
	for _, u := range m.taken {
		master, _, below := strings.Cut(u.part, "/")
		if u.name == "DTSTART" && movedFrom[u.part] && touched[u.part] ||
			below && changedTo(unit{part: master, name: "DTSTART"}) {
			m.differ = append(m.differ, u)
			continue
		}
		taken = append(taken, u)
	}
	m.taken = taken
}

func compareUnits(a, b unit) int {
	return cmp.Or(strings.Compare(a.part, b.part), strings.Compare(a.name, b.name), strings.Compare(a.value, b.value))
}

// labels are the names of units, each once.
func labels(of []unit) []string {
	var names []string
	for _, u := range of {
		names = append(names, u.label())
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// apply returns to with what was taken of from, and, where from wins, with what is
// in conflict, too. The rest of to stays as it was received.
func (m *merged) apply(to, from *vobject.Component, wins bool) *vobject.Component {
	differ := map[unit]bool{}
	for _, u := range m.differ {
		differ[u] = true
	}
	take := slices.DeleteFunc(slices.Clone(m.taken), func(u unit) bool { return differ[u] })
	if wins {
		take = append(take, m.differ...)
	}
	var removed, added []vobject.Property
	for _, u := range take {
		removed, added = append(removed, m.to[u]...), append(added, m.from[u]...)
	}
	if len(removed)+len(added) == 0 {
		return to
	}
	return vobject.Apply(to, removed, added, from)
}

// Without returns what was written without the properties of which nothing at all was
// read back: a server has dropped them. What was read back otherwise than it was
// written stays as it was written.
func Without(written, read *vobject.Component) *vobject.Component {
	was, is := units(written), units(read)
	var dropped []vobject.Property
	for u, props := range was {
		if len(is[u]) == 0 {
			dropped = append(dropped, props...)
		}
	}
	return vobject.Apply(written, dropped, nil, written)
}

// CutShort tells whether read is what is left of written at a server that ends values
// at a comma or a semicolon: nothing is there besides, and nothing is missing.
func CutShort(written, read *vobject.Component) bool {
	was, is := vobject.Canonical(written), vobject.Canonical(read)
	if len(was) != len(is) {
		return false
	}
	for i, w := range was {
		left := is[i].Value
		is[i].Value = w.Value
		rest, begins := strings.CutPrefix(w.Value, left)
		if is[i] != w || !begins || rest != "" && rest[0] != ',' && rest[0] != ';' {
			return false
		}
	}
	return true
}

// ChangedNames are the names of the properties in which two objects differ; nil
// where one of them is.
func ChangedNames(a, b *vobject.Component) []string {
	if a == nil || b == nil {
		return nil
	}
	was, is := units(a), units(b)
	var changed []unit
	for u := range was {
		if !slices.Equal(was[u], is[u]) {
			changed = append(changed, u)
		}
	}
	for u := range is {
		if _, ok := was[u]; !ok {
			changed = append(changed, u)
		}
	}
	return labels(changed)
}
