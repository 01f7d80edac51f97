package merge

import (
	"slices"

	"russet/internal/vobject"
)

func patch(to, from *vobject.Component, removed, added []vobject.Property) *vobject.Component {
	parsed, err := vobject.Parse(to.Bytes())
	if err != nil || len(parsed) != 1 {
		panic("merge: an object cannot be read again")
	}
	c := parsed[0]
	says := func(l vobject.Line, of []vobject.Property) bool {
		props := vobject.Canonical(&vobject.Component{Name: c.Name, Lines: []vobject.Line{l}})
		return len(props) == 1 && slices.Contains(of, props[0])
	}
	c.Lines = slices.DeleteFunc(c.Lines, func(l vobject.Line) bool { return says(l, removed) })
	for _, l := range from.Lines {
		if says(l, added) {
			c.Add(l)
		}
	}
	return c
}

// keyOf is vobject.Key until that is here.
func keyOf(c *vobject.Component) (string, bool) {
	for _, p := range append([]*vobject.Component{c}, c.Parts...) {
		if uid := vobject.Unescape(p.Value("UID")); uid != "" {
			return uid, true
		}
	}
	return "", false
}
