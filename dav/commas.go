package dav

import (
	"bytes"
	"slices"
	"strings"

	"russet/internal/vobject"
)

// oneValue are properties of calendar objects that hold one value, of which Radicale
// keeps only what stands before a comma that is not escaped. Others are cut too, but of
// those nobody knows what a backslash in them means.
var oneValue = []string{"X-APPLE-STRUCTURED-LOCATION", "CONFERENCE", "COMMENT", "CONTACT"}

// escapeCommas escapes the commas in values of a calendar object that servers would take
// for an end. It means the same: who reads text takes the backslash off, and no URI can
// hold one.
func escapeCommas(body []byte) []byte {
	if !bytes.Contains(body, []byte(",")) {
		return body
	}
	objects, err := vobject.Parse(body)
	if err != nil || len(objects) != 1 || objects[0].Name != "VCALENDAR" || !escapeIn(objects[0]) {
		return body
	}
	escaped := objects[0].Bytes()
	if _, err := vobject.Parse(escaped); err != nil {
		return body // it is too long now
	}
	return escaped
}

// escapeIn escapes in a component and those in it, and tells whether anything changed.
func escapeIn(c *vobject.Component) bool {
	changed := false
	for i, l := range c.Lines {
		if !slices.Contains(oneValue, strings.ToUpper(l.Name)) {
			continue
		}
		if v := strings.Join(vobject.List(l.Value), `\,`); v != l.Value {
			c.Lines[i] = vobject.NewLine(l.Name, v, l.Params...)
			changed = true
		}
	}
	for _, part := range c.Parts {
		changed = escapeIn(part) || changed
	}
	return changed
}
