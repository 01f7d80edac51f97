package records

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"russet/internal/vobject"
)

// card writes one person as a vCard 3.0 (RFC 2426), with the properties that
// Apple adds where the standard has none. Properties stand in a fixed order and
// groups are numbered as they come, so that the same person gives the same bytes.
type card struct {
	s     *store
	p     *person
	c     *vobject.Component
	items int // groups so far
}

// write returns the card of a person with that UID.
func (w *card) write(uid string) *vobject.Component {
	w.add("VERSION", "3.0")
	w.text("UID", uid)
	if t := w.p.modified; !t.IsZero() {
		w.add("REV", t.Format("2006-01-02T15:04:05Z"))
	}
	w.names()
	w.organization()
	for _, write := range []func(multiValue){w.phone, w.email, w.address, w.url, w.date, w.related, w.message, w.profile, w.other} {
		for _, v := range w.p.values {
			write(v)
		}
	}
	w.birthdays()
	w.column("Note")
	w.categories()
	w.photo()
	return w.c
}

// add adds a line whose value is as it stands.
func (w *card) add(name, value string, params ...vobject.Param) {
	w.c.Add(vobject.NewLine(name, value, params...))
}

// text adds a line of text, unless it is empty.
func (w *card) text(name, text string) {
	if text != "" {
		w.add(name, vobject.Text(text))
	}
}

// structured joins the fields of a structured value.
func structured(fields ...string) string {
	for i, f := range fields {
		fields[i] = vobject.Text(f)
	}
	return strings.Join(fields, ";")
}

func (w *card) names() {
	t := w.p.text
	w.add("N", structured(t["Last"], t["First"], t["Middle"], t["Prefix"], t["Suffix"]))
	w.add("FN", vobject.Text(w.fullName()))
	for _, column := range []string{
		"FirstPhonetic", "MiddlePhonetic", "LastPhonetic", "FirstPronunciation", "MiddlePronunciation", "LastPronunciation",
		"Nickname", "PreviousFamilyName",
	} {
		w.column(column)
	}
}

// column adds a line of a column that is a property by itself.
func (w *card) column(name string) { w.text(personProperties[name], w.p.text[name]) }

// fullName is never empty: a card without one is refused by servers. It is unread
// where something that it may be made of is.
func (w *card) fullName() string {
	t := w.p.text
	name := spaced(t["Prefix"], t["First"], t["Middle"], t["Last"], t["Suffix"])
	if t["First"] != "" && t["Last"] != "" && eastAsian(t["First"]+t["Last"]) {
		name = t["Last"] + t["First"]
	}
	from := []string{"N", "X-ABSHOWAS"}
	if name == "" || w.p.company {
		from = append(from, "ORG", "NICKNAME", "EMAIL", "TEL")
	}
	if slices.ContainsFunc(from, func(name string) bool { return slices.Contains(w.p.unread, name) }) {
		w.unread("FN")
	}
	organization := spaced(t["Organization"])
	if w.p.company && organization != "" {
		name = organization
	}
	name = cmp.Or(name, organization, spaced(t["Nickname"]), w.first(emailProperty), w.first(phoneProperty), spaced(t["DisplayName"]))
	return cmp.Or(name, "No Name")
}

// eastAsian reports whether a name is written family name first, without spaces.
func eastAsian(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool { return !unicode.In(r, unicode.Han, unicode.Hangul) })
}

// spaced joins what is not blank, in one line.
func spaced(parts ...string) string {
	return strings.Join(strings.Fields(oneLine(strings.Join(parts, " "))), " ")
}

// oneLine returns s without control characters.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r == '\r' {
			return ' '
		}
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, s)
}

// first returns the first value of a property in one line, or "".
func (w *card) first(property int64) string {
	for _, v := range w.p.values {
		if text := spaced(v.text); v.property == property && text != "" {
			return text
		}
	}
	return ""
}

func (w *card) organization() {
	t := w.p.text
	if t["Organization"] != "" || t["Department"] != "" {
		value := structured(t["Organization"], t["Department"])
		w.add("ORG", strings.TrimSuffix(value, ";"))
	}
	w.column("OrganizationPhonetic")
	w.column("OrganizationPronunciation")
	w.column("JobTitle")
	if w.p.company {
		w.add("X-ABSHOWAS", "COMPANY")
	}
}

func (w *card) categories() {
	var names []string
	for _, g := range w.p.groups {
		if g = spaced(g); g != "" {
			names = append(names, vobject.Text(g))
		}
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) > 0 {
		w.add("CATEGORIES", strings.Join(names, ","))
	}
}

// labelled adds a line with its types and, where there is no type for its label,
// in a group with its label. The group is that of more lines, too.
func (w *card) labelled(line vobject.Line, types []string, label string, more ...vobject.Line) {
	if len(types) > 0 {
		line.Params = append(line.Params, vobject.Param{Name: "TYPE", Values: types})
	}
	if label != "" {
		more = append(more, vobject.NewLine("X-ABLABEL", vobject.Text(label)))
	}
	if len(more) == 0 {
		w.c.Add(line)
		return
	}
	w.items++
	group := "item" + strconv.Itoa(w.items)
	w.c.Add(line.In(group))
	for _, l := range more {
		w.c.Add(l.In(group))
	}
}
