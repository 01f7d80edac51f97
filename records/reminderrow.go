package records

import (
	"strings"
	"time"

	"russet/internal/vobject"
)

func reminderColumns() []string {
	return []string{"due", "title", "done", "completed", "priority", "flagged", "tags", "repeats", "url", "notes"}
}

func reminderRow(row *Row, object *vobject.Component) {
	v := firstPart(object, "VTODO")
	if v == nil {
		row.Fields = make([][]string, len(reminderColumns()))
		return
	}
	var x expander
	x.from = time.Unix(0, 0).UTC() // floating times as they are
	due, dueText := x.shown(v, "DUE", 0)
	if dueText == "" {
		due, dueText = x.shown(v, "DTSTART", 0)
	}
	_, completed := x.shown(v, "COMPLETED", 0)
	done := "no"
	if v.Value("STATUS") == "COMPLETED" {
		done = "yes"
	}
	var tags []string
	for _, tag := range vobject.List(v.Value("CATEGORIES")) {
		if tag != "" {
			tags = append(tags, vobject.Unescape(tag))
		}
	}
	row.Title, row.When = unescaped(v, "SUMMARY"), due
	row.Fields = [][]string{
		some(dueText), some(row.Title),
		{done},
		some(completed), some(v.Value("PRIORITY")),
		some(strings.ToLower(v.Value("X-APPLE-FLAGGED"))), tags, values(v, "RRULE"), values(v, "URL"), some(unescaped(v, "DESCRIPTION")),
	}
}
