package reconcile

import (
	"slices"
	"strings"

	"russet/internal/vobject"
)

// quiet returns a calendar object that makes no server send invitations or answers
// when it is stored (RFC 6638 7.1): whoever takes part in it is left to the client.
// Where nobody does, or all are already, it is c itself. It means the same.
func quiet(c *vobject.Component) *vobject.Component {
	loud := func(l vobject.Line) bool {
		agent := strings.ToUpper(l.Param("SCHEDULE-AGENT"))
		return (strings.EqualFold(l.Name, "ATTENDEE") || strings.EqualFold(l.Name, "ORGANIZER")) && agent != "NONE" && agent != "CLIENT"
	}
	if !slices.ContainsFunc(c.Parts, func(p *vobject.Component) bool { return slices.ContainsFunc(p.Lines, loud) }) {
		return c
	}
	c = vobject.Apply(c, nil, nil, c) // a copy
	for _, p := range c.Parts {
		for i, l := range p.Lines {
			if !loud(l) {
				continue
			}
			params := slices.DeleteFunc(slices.Clone(l.Params), func(a vobject.Param) bool {
				name := strings.ToUpper(a.Name)
				return name == "SCHEDULE-AGENT" || name == "SCHEDULE-FORCE-SEND"
			})
			p.Lines[i] = vobject.NewLine(l.Name, l.Value, append(params, vobject.Param{Name: "SCHEDULE-AGENT", Values: []string{"NONE"}})...)
		}
	}
	return c
}
