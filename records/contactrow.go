package records

import (
	"strings"

	"russet/internal/vobject"
)

// contactFields are the columns of contacts, and where they come from.
var contactFields = []struct {
	column, property string
	values           func(vobject.Line) []string
}{
	{"name", "FN", oneText},
	{"organization", "ORG", fieldTexts},
	{"phones", "TEL", oneText},
	{"emails", "EMAIL", oneText},
	{"birthday", "BDAY", birthdayText},
	{"addresses", "ADR", fieldTexts},
	{"urls", "URL", oneText},
	{"groups", "CATEGORIES", listTexts},
	{"note", "NOTE", oneText},
}

func contactColumns() []string {
	var names []string
	for _, f := range contactFields {
		names = append(names, f.column)
	}
	return names
}

func contactRow(row *Row, c *vobject.Component) {
	row.Title = vobject.Unescape(c.Value("FN"))
	for _, f := range contactFields {
		var values []string
		for _, l := range c.All(f.property) {
			values = append(values, f.values(l)...)
		}
		row.Fields = append(row.Fields, values)
	}
}

func oneText(l vobject.Line) []string { return []string{vobject.Unescape(l.Value)} }

// fieldTexts returns what a structured value says, in one line.
func fieldTexts(l vobject.Line) []string {
	var parts []string
	for _, f := range vobject.Fields(l.Value) {
		if f = spaced(vobject.Unescape(f)); f != "" {
			parts = append(parts, f)
		}
	}
	return []string{strings.Join(parts, ", ")}
}

func listTexts(l vobject.Line) []string {
	var texts []string
	for _, v := range vobject.List(l.Value) {
		texts = append(texts, vobject.Unescape(v))
	}
	return texts
}

// birthdayText returns a day as YYYY-MM-DD, or --MM-DD where the year is not known.
func birthdayText(l vobject.Line) []string {
	d, ok := parseDay(l.Value)
	switch {
	case !ok:
		return []string{vobject.Unescape(l.Value)}
	case d.year == noYear:
		return []string{"-" + d.String()[len("1604"):]}
	}
	return []string{d.String()}
}
