package vobject

import (
	"fmt"
	"slices"
	"strings"
)

// Apply returns dst with what remove says taken out and what add says put in; dst
// and from stay as they are. It is the last step of a three-way merge:
//
//	base, source := vobject.Canonical(b), vobject.Canonical(s)
//	merged := vobject.Apply(t, without(base, source), without(source, base), s)
//
// Both lists hold properties of canonical forms. What dst does not say is not
// removed, what it says already is not added, and what from does not say cannot be
// added. Everything else of dst stands as it was received: a line is copied from
// from as it is spelled there, takes the place of a removed one of its name, and
// brings its group with its X-ABLABEL, under another name where that one is taken;
// only media that is inline is spelled as the version of dst wants it.
//
// A component of a VCALENDAR (Property.Part) that says nothing more afterwards is
// removed as a whole, and one that dst lacks is copied with its UID and DTSTAMP; so
// are definitions of the time zones that are named. A RECURRENCE-ID alone is never
// taken off a component that goes on saying something else.
func Apply(dst *Component, remove, add []Property, from *Component) *Component {
	out := dst.clone()
	e := editor{out: out, edits: map[*Component]*edit{}, groups: map[string]string{}, labels: map[*Component]map[string][]Line{}}
	wanted := map[Property]bool{}
	for _, p := range add {
		wanted[p] = true
	}
	gone := map[Property]bool{}
	for _, p := range remove {
		gone[p] = !wanted[p]
	}
	for _, en := range read(out) {
		if gone[en.Property] {
			e.remove(en)
		} else {
			delete(wanted, en.Property)
			e.of(en.in).says++
		}
	}
	e.take(from, wanted)
	e.finish(from)
	return out
}

// clone returns a copy of c whose lines and parts can be changed.
func (c *Component) clone() *Component {
	d := *c
	d.Lines, d.Parts, d.after = slices.Clone(c.Lines), slices.Clone(c.Parts), slices.Clone(c.after)
	for i, p := range c.Parts {
		d.Parts[i] = p.clone()
	}
	return &d
}

// editor changes the components of out, all of them at the end: until then, where
// lines and parts stand is what read said.
type editor struct {
	out    *Component
	edits  map[*Component]*edit
	parts  map[string]*Component // of out, by Property.Part, those that come included; nil before one is wanted
	groups map[string]string     // of the object that lines come from, in upper case: what they are called in out
	taken  map[string]bool       // names of groups of out in upper case; nil before one is wanted
	item   int                   // the last number that was tried for one
	labels map[*Component]map[string][]Line
}

// edit is what changes in one component.
type edit struct {
	says      int                  // what of it stays
	removed   int                  // what of it goes
	drop      map[int]bool         // lines that go
	dropItems map[int]map[int]bool // of lists: the values that go
	addItems  map[int][]string     // of lists: values that come
	put       map[int][]Line       // lines that come after one, -1 for the first of all
	dropParts map[int]bool
	addParts  []*Component
	spots     map[string]spot // by names in upper case
	version   string          // what its VERSION says, once versed
	versed    bool
}

func (e *editor) of(c *Component) *edit {
	if e.edits[c] == nil {
		e.edits[c] = &edit{
			drop: map[int]bool{}, dropItems: map[int]map[int]bool{}, addItems: map[int][]string{},
			put: map[int][]Line{}, dropParts: map[int]bool{}, spots: map[string]spot{},
		}
	}
	return e.edits[c]
}

// remove takes a property out.
func (e *editor) remove(en entry) {
	d := e.of(en.in)
	d.removed++
	switch {
	case en.part >= 0:
		d.dropParts[en.part] = true
	case en.item >= 0:
		if d.dropItems[en.line] == nil {
			d.dropItems[en.line] = map[int]bool{}
		}
		d.dropItems[en.line][en.item] = true
	case en.Name != "RECURRENCE-ID":
		d.drop[en.line] = true
	}
}

// take puts what is wanted of from in.
func (e *editor) take(from *Component, wanted map[Property]bool) {
	e.settleLists()
	e.dropCompanions()
	for _, en := range read(from) {
		if !wanted[en.Property] {
			continue
		}
		to := e.component(en.Part)
		if to == nil {
			e.copyPart(en, wanted)
			continue
		}
		delete(wanted, en.Property)
		d := e.of(to)
		d.says++
		switch {
		case en.part >= 0:
			d.addParts = append(d.addParts, en.in.Parts[en.part].clone())
		case en.item >= 0:
			e.putItem(to, en)
		default:
			e.putLine(to, en.in, en.in.Lines[en.line])
		}
	}
}

// component returns where properties of a part stand in out, nil where nowhere.
func (e *editor) component(part string) *Component {
	if part == "" {
		return e.out
	}
	if e.parts == nil {
		e.parts = map[string]*Component{}
		for _, p := range slices.Backward(e.out.Parts) { // the first of a name stays
			if separate(p.Name) {
				e.parts[partOf(p)] = p
			}
		}
	}
	return e.parts[part]
}

// copyPart puts in the component of en, with what is wanted of it.
func (e *editor) copyPart(en entry, wanted map[Property]bool) {
	c := en.in.clone()
	e.of(e.out).addParts = append(e.of(e.out).addParts, c)
	e.parts[en.Part] = c
	d := e.of(c)
	var r reader
	r.component(en.Part, c)
	for _, own := range r.found {
		if wanted[own.Property] {
			delete(wanted, own.Property)
			d.says++
		} else {
			e.remove(own)
		}
	}
	e.settleList(c, d)
}

// settleLists drops the lines of lists of which no value stays.
func (e *editor) settleLists() {
	for c, d := range e.edits {
		e.settleList(c, d)
	}
}

func (e *editor) settleList(c *Component, d *edit) {
	for line, items := range d.dropItems {
		if len(items) == countValues(c.Lines[line].Value) {
			d.drop[line] = true
			delete(d.dropItems, line)
		}
	}
}

// countValues says how many values of a list say something.
func countValues(list string) int {
	n := 0
	for _, v := range List(list) {
		if canonicalText(v) != "" {
			n++
		}
	}
	return n
}

// dropCompanions drops the labels of groups of which nothing else stays.
func (e *editor) dropCompanions() {
	d := e.of(e.out)
	stays, goes := map[string]bool{}, map[string]bool{}
	for i, l := range e.out.Lines {
		switch group := strings.ToUpper(l.Group); {
		case companion(strings.ToUpper(l.Name)):
		case d.drop[i]:
			goes[group] = true
		default:
			stays[group] = true
		}
	}
	for i, l := range e.out.Lines {
		if group := strings.ToUpper(l.Group); group != "" && goes[group] && !stays[group] {
			d.drop[i] = true
		}
	}
}

// putItem adds a value of a list to a line like the one it comes from, or as a line.
func (e *editor) putItem(to *Component, en entry) {
	l := en.in.Lines[en.line]
	v := List(l.Value)[en.item]
	d := e.of(to)
	for i, o := range to.Lines {
		if l.Group == "" && o.alike(l) && !d.drop[i] {
			d.addItems[i] = append(d.addItems[i], v)
			return
		}
	}
	at := d.place(to, l.Name)
	if n := len(d.put[at]); l.Group == "" && n > 0 && d.put[at][n-1].alike(l) {
		d.put[at][n-1].Value = joinList(d.put[at][n-1].Value, v)
		return
	}
	l.Value, l.raw = v, ""
	e.putLine(to, en.in, l)
}

// alike reports whether values of a list mean the same in both lines.
func (l Line) alike(o Line) bool {
	return l.named(o.Name) && l.Group == "" && slices.EqualFunc(l.Params, o.Params, func(a, b Param) bool {
		return strings.EqualFold(a.Name, b.Name) && slices.Equal(a.Values, b.Values)
	})
}

// place says after which line one of that name is put: where one was dropped, else
// after the last of its name, else at the end.
func (d *edit) place(to *Component, name string) int {
	name = strings.ToUpper(name)
	s, known := d.spots[name]
	if !known {
		s.last = -1
	}
	for ; s.next < len(to.Lines); s.next++ {
		if !to.Lines[s.next].named(name) {
			continue
		}
		if d.drop[s.next] && len(d.put[s.next]) == 0 {
			d.spots[name] = s
			return s.next
		}
		s.last = s.next
	}
	if d.spots[name] = s; s.last < 0 {
		return len(to.Lines) - 1
	}
	return s.last
}

// spot is how far place has looked for lines of a name: what it has passed over stays
// taken.
type spot struct{ next, last int }

// putLine puts in a line of the component from, with its group.
func (e *editor) putLine(to, from *Component, l Line) {
	d := e.of(to)
	at := d.place(to, l.Name)
	if !d.versed {
		d.version, d.versed = to.Value("VERSION"), true
	}
	l = l.restated(d.version)
	if l.Group == "" {
		d.put[at] = append(d.put[at], l)
		return
	}
	name, known := e.groups[strings.ToUpper(l.Group)]
	if !known {
		name = e.freeGroup(l.Group)
		e.groups[strings.ToUpper(l.Group)] = name
	}
	d.put[at] = append(d.put[at], l.renamed(name))
	if known || companion(strings.ToUpper(l.Name)) {
		return
	}
	for _, o := range e.companions(from)[strings.ToUpper(l.Group)] {
		d.put[at] = append(d.put[at], o.renamed(name))
	}
}

// companions are the labels of c by their groups in upper case.
func (e *editor) companions(c *Component) map[string][]Line {
	if e.labels[c] == nil {
		e.labels[c] = map[string][]Line{}
		for _, l := range c.Lines {
			if group := strings.ToUpper(l.Group); group != "" && companion(strings.ToUpper(l.Name)) {
				e.labels[c][group] = append(e.labels[c][group], l)
			}
		}
	}
	return e.labels[c]
}

// freeGroup returns name, or the first itemN, that no group of out has.
func (e *editor) freeGroup(name string) string {
	if e.taken == nil {
		e.taken = map[string]bool{}
		d := e.of(e.out)
		for i, l := range e.out.Lines {
			if !d.drop[i] {
				e.taken[strings.ToUpper(l.Group)] = true
			}
		}
	}
	for e.taken[strings.ToUpper(name)] {
		e.item++ // all before it are taken, and stay so
		name = fmt.Sprintf("item%d", e.item)
	}
	e.taken[strings.ToUpper(name)] = true
	return name
}

// renamed returns l in the group of that name, else as it is spelled.
func (l Line) renamed(group string) Line {
	if l.raw != "" {
		l.raw = group + l.raw[len(l.Group):]
	}
	l.Group = group
	return l
}

// finish makes the changes.
func (e *editor) finish(from *Component) {
	top := e.of(e.out)
	for i, p := range e.out.Parts {
		if d := e.edits[p]; d != nil && d.removed > 0 && d.says == 0 {
			top.dropParts[i] = true
		}
	}
	for c, d := range e.edits {
		d.apply(c)
	}
	e.addZones(from)
}

// apply makes the changes of one component.
func (d *edit) apply(c *Component) {
	var lines []Line
	moved := make([]int, len(c.Lines)+1) // of each line: how many stand before it now
	lines = append(lines, d.put[-1]...)
	for i, l := range c.Lines {
		moved[i] = len(lines)
		if !d.drop[i] {
			lines = append(lines, d.list(i, l))
		}
		lines = append(lines, d.put[i]...)
	}
	moved[len(c.Lines)] = len(lines)
	var parts []*Component
	var after []int
	for i, p := range c.Parts {
		if !d.dropParts[i] {
			parts, after = append(parts, p), append(after, moved[c.before(i)])
		}
	}
	c.Lines, c.Parts, c.after = lines, parts, after
	for _, p := range d.addParts {
		c.AddPart(p)
	}
}

// list returns line i with the values of its list that it has now.
func (d *edit) list(i int, l Line) Line {
	if len(d.dropItems[i]) == 0 && len(d.addItems[i]) == 0 {
		return l
	}
	var values []string
	for n, v := range List(l.Value) {
		if !d.dropItems[i][n] {
			values = append(values, v)
		}
	}
	l.Value, l.raw = joinList(append(values, d.addItems[i]...)...), ""
	return l
}

// addZones puts definitions of time zones that out names and lacks in, from from.
func (e *editor) addZones(from *Component) {
	named := map[string]bool{}
	e.out.zones(named)
	for _, p := range e.out.Parts {
		if p.Name == "VTIMEZONE" {
			delete(named, p.Value("TZID"))
		}
	}
	for _, z := range from.Parts {
		if id := z.Value("TZID"); z.Name == "VTIMEZONE" && named[id] {
			e.out.Parts, e.out.after = slices.Insert(e.out.Parts, 0, z.clone()), slices.Insert(e.out.after, 0, len(e.out.Lines))
			delete(named, id)
		}
	}
}

// zones adds the TZIDs that lines of c and of its parts name.
func (c *Component) zones(named map[string]bool) {
	for _, l := range c.Lines {
		if id := l.Param("TZID"); id != "" {
			named[id] = true
		}
	}
	for _, p := range c.Parts {
		p.zones(named)
	}
}
