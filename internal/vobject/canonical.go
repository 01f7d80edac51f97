package vobject

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
)

// Hash is the SHA-256 of an object's canonical form: two objects that mean the
// same have the same.
type Hash [sha256.Size]byte

// CanonicalVersion changes whenever Canonical says something else of the same
// object, so that a new program does not take that for an edit.
const CanonicalVersion = 3

// Property is what one line means, or one value of a line that holds a list, or one
// component that is compared as a whole, such as an alarm. Two are equal when they
// mean the same.
type Property struct {
	// Part is where it stands: "" for a vCard; else the component of a VCALENDAR, as
	// VEVENT or VTODO, and with its RECURRENCE-ID where it overrides one occurrence,
	// as VEVENT/20260101T090000Z or VEVENT/20260101T090000;TZID=Europe/Berlin.
	Part   string
	Name   string // in upper case: the property's or, of a component, its own, as VALARM
	Params string // canonical: sorted, in lower case where case says nothing, the label of its group included
	Value  string // unescaped, in one spelling
}

// Canonical returns what the object says, sorted, each thing once. Order, folding,
// case and quoting of names and parameters, escapes, groups' names, and the
// spellings of dates, durations, rules and encodings make no difference.
//
// What says nothing of the record is left out (docs/vobject.md has the reasons):
//   - the UID of each component, which is the record's Key;
//   - what a VCALENDAR says of itself: PRODID, VERSION, METHOD, CALSCALE, X-WR-...;
//   - PRODID, VERSION, REV, DTSTAMP, CREATED, LAST-MODIFIED, SEQUENCE, ACKNOWLEDGED,
//     X-RADICALE-NAME, X-WR-ALARMUID, and X-MOZ-GENERATION, -LASTACK, -SNOOZE-TIME;
//   - VTIMEZONE of the tz database's names, which are known by their form;
//   - the parameters VALUE, ENCODING and CHARSET, once they are applied; those of
//     scheduling (SCHEDULE-AGENT, -STATUS, -FORCE-SEND) and of the library vobject; TYPE=INTERNET of
//     EMAIL, TYPE=VOICE of TEL, the type of media that is inline;
//   - properties without a value, and values and parameters that are the default:
//     TRANSP:OPAQUE, CLASS:PUBLIC, PRIORITY:0, PERCENT-COMPLETE:0, REPEAT:0,
//     STATUS:NEEDS-ACTION of a VTODO, KIND:individual, CUTYPE=INDIVIDUAL,
//     ROLE=REQ-PARTICIPANT, PARTSTAT=NEEDS-ACTION, RSVP=FALSE, RELTYPE=PARENT,
//     RELATED=START, FBTYPE=BUSY, INTERVAL=1 and WKST=MO of a rule.
//
// Media that is inline is its SHA-256. A component's X-ABLABEL and X-ABADR are
// parameters of the properties of their group.
func Canonical(c *Component) []Property {
	found := read(c)
	props := make([]Property, len(found))
	for i, e := range found {
		props[i] = e.Property
	}
	slices.SortFunc(props, compareProperties)
	return slices.Compact(props)
}

// HashOf returns the hash of a canonical form.
func HashOf(props []Property) Hash {
	h := sha256.New()
	var line []byte
	for _, p := range props {
		line = line[:0]
		for _, s := range [...]string{p.Part, p.Name, p.Params, p.Value} {
			line = append(append(line, s...), 0)
		}
		h.Write(line)
	}
	return Hash(h.Sum(nil))
}

func compareProperties(a, b Property) int {
	if n := strings.Compare(a.Part, b.Part); n != 0 {
		return n
	}
	if n := strings.Compare(a.Name, b.Name); n != 0 {
		return n
	}
	if n := strings.Compare(a.Params, b.Params); n != 0 {
		return n
	}
	return strings.Compare(a.Value, b.Value)
}

// entry is a property and where it stands.
type entry struct {
	Property
	in   *Component // what holds it
	line int        // which of its lines; -1 where it is a component
	item int        // which value of a list; -1 where the line is one value
	part int        // which of its parts; -1 where it is a line
}

// read returns what the object says, in its own order.
func read(c *Component) []entry {
	r := reader{make([]entry, 0, len(c.Lines)+len(c.Parts))}
	r.component("", c)
	return r.found
}

// reader collects what an object says.
type reader struct{ found []entry }

// component reads c, which stands at part.
func (r *reader) component(part string, c *Component) {
	if c.Name != "VCALENDAR" {
		r.lines(part, c)
	}
	for i, p := range c.Parts {
		switch {
		case p.Name == "VTIMEZONE" && knownZone(p):
		case c.Name == "VCALENDAR" && separate(p.Name):
			r.component(partOf(p), p)
		default:
			whole := Property{Part: part, Name: p.Name, Value: wholeOf(p)}
			r.found = append(r.found, entry{whole, c, -1, -1, i})
		}
	}
}

// separate reports whether a component of a VCALENDAR is compared property by
// property, not as a whole.
func separate(name string) bool { return name == "VEVENT" || name == "VTODO" || name == "VJOURNAL" }

// partOf names a component of a VCALENDAR.
func partOf(c *Component) string {
	part := c.Name
	for _, l := range c.All("RECURRENCE-ID") {
		l.Name = "RECURRENCE-ID"
		id := canonicalValue(l)
		if params := canonicalParams(l, nil); params != "" {
			id += ";" + params
		}
		part = max(part, c.Name+"/"+short(id)) // there should be one: whichever comes first, the answer is the same
	}
	return part
}

// knownZone reports whether a VTIMEZONE defines what the tz database has.
func knownZone(c *Component) bool {
	ids := c.All("TZID")
	return len(ids) > 0 && !slices.ContainsFunc(ids, func(l Line) bool { return !isZone(Unescape(l.Value)) })
}

// wholeOf is what a component says, as one text.
func wholeOf(c *Component) string {
	var b strings.Builder
	for _, p := range Canonical(c) {
		b.WriteString(p.Name)
		if p.Params != "" {
			b.WriteString(";" + p.Params)
		}
		b.WriteString(":" + strings.ReplaceAll(p.Value, "\n", `\n`) + "\n")
	}
	return b.String()
}

// volatile are the properties that say nothing of the record itself.
var volatile = map[string]bool{
	"UID": true, "PRODID": true, "VERSION": true, "REV": true, "DTSTAMP": true, "CREATED": true, "LAST-MODIFIED": true,
	"SEQUENCE": true, "ACKNOWLEDGED": true, "X-RADICALE-NAME": true, "X-WR-ALARMUID": true,
	"X-MOZ-GENERATION": true, "X-MOZ-LASTACK": true, "X-MOZ-SNOOZE-TIME": true,
}

// lists are the properties whose values are lists in which order says nothing:
// each value is a property.
var lists = map[string]bool{"CATEGORIES": true, "NICKNAME": true, "EXDATE": true, "RDATE": true}

// lines reads the lines of c itself.
func (r *reader) lines(part string, c *Component) {
	groups := groupsOf(c)
	for i, l := range c.Lines {
		l.Name = strings.ToUpper(l.Name)
		group := groups[strings.ToUpper(l.Group)]
		if volatile[l.Name] || companion(l.Name) && group != nil && group.others > 0 {
			continue
		}
		var labels []string
		if group != nil && !companion(l.Name) {
			labels = group.labels
		}
		values, item := []string{l.Value}, -1
		if lists[l.Name] {
			values, item = List(l.Value), 0
		}
		params := canonicalParams(l, labels)
		sum, inline := media(l) // once: a list may be long
		for _, v := range values {
			if inline {
				v = sum
			} else {
				v = spelled(l, v)
			}
			e := entry{Property{part, l.Name, params, v}, c, i, item, -1}
			if item >= 0 {
				item++
			}
			if e.Value != "" && !isDefault(c.Name, e.Property) {
				r.found = append(r.found, e)
			}
		}
	}
}

// isDefault reports whether a property says what its absence says.
func isDefault(component string, p Property) bool {
	switch p.Name {
	case "TRANSP":
		return p.Value == "OPAQUE"
	case "CLASS":
		return p.Value == "PUBLIC"
	case "PRIORITY", "PERCENT-COMPLETE", "REPEAT":
		return p.Value == "0"
	case "STATUS":
		return component == "VTODO" && p.Value == "NEEDS-ACTION"
	case "KIND":
		return p.Value == "individual"
	}
	return false
}

// group is what stands together in a vCard under a name such as item1.
type group struct {
	labels []string // what its X-ABLABEL and X-ABADR say, as parameters
	others int      // how many of its lines are neither
}

// companion reports whether a property says something of the others of its group.
func companion(name string) bool { return name == "X-ABLABEL" || name == "X-ABADR" }

// groupsOf returns the groups of c by their names in upper case.
func groupsOf(c *Component) map[string]*group {
	var groups map[string]*group
	for _, l := range c.Lines {
		if l.Group == "" {
			continue
		}
		name := strings.ToUpper(l.Group)
		if groups[name] == nil {
			if groups == nil {
				groups = map[string]*group{}
			}
			groups[name] = &group{}
		}
		g := groups[name]
		l.Name = strings.ToUpper(l.Name)
		if !companion(l.Name) {
			g.others++
		} else if v := canonicalValue(l); v != "" {
			g.labels = append(g.labels, l.Name+"="+escapeParam(v))
		}
	}
	for _, g := range groups {
		slices.Sort(g.labels)
		if all := strings.Join(slices.Compact(g.labels), ";"); len(all) > maxShared {
			g.labels = []string{"X-ABLABEL=" + escapeParam(short(all))}
		}
	}
	return groups
}

// maxShared is how many bytes the properties of a component, or of a group, may all
// begin with: what a stranger writes once must not be multiplied by the number of lines.
const maxShared = 256

// short returns s, or its SHA-256 where it is longer than maxShared.
func short(s string) string {
	if len(s) <= maxShared {
		return s
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(s)))
}
