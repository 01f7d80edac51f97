package reconcile

import (
	"fmt"
	"strings"

	"russet/internal/vobject"
)

// title is the name by which people know a record; "" where it has none.
func title(c *vobject.Component) string {
	if c == nil {
		return ""
	}
	if name := c.Value("FN"); name != "" {
		return oneLine(vobject.Unescape(name))
	}
	for _, p := range c.Parts {
		if s := p.Value("SUMMARY"); s != "" {
			return oneLine(vobject.Unescape(s))
		}
	}
	return ""
}

// Title is the name by which people know the record of a body: for showing
// conflicts and the attic.
func Title(body []byte) string {
	c, _, err := decode(body)
	if err != nil {
		return ""
	}
	return title(c)
}

const maxTitle = 80 // characters that are shown

// oneLine keeps what a record says from looking like a line of a plan.
func oneLine(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }), " ")
	if r := []rune(s); len(r) > maxTitle {
		s = string(r[:maxTitle-1]) + "\u2026"
	}
	return s
}

// String is the plan for people: a line for each write, then what is left alone,
// then the guards.
func (p *Plan) String() string {
	var b strings.Builder
	for _, m := range p.Matches {
		fmt.Fprintf(&b, "same    %s (by %s)\n", named(m.Title, m.Source), m.By)
	}
	for i := range p.Ops {
		o := &p.Ops[i]
		fmt.Fprintf(&b, "%s  %v  %s (%s)\n", o.Action, o.Where, named(o.Title, o.Key), details(o.Why, o.Properties))
	}
	for _, c := range p.Conflicts {
		fmt.Fprintf(&b, "waits   %s (%s)\n", named(c.Title, c.Key), details(string(c.Cause), c.Properties))
	}
	for _, n := range p.Notes {
		b.WriteString("left    " + n + "\n")
	}
	for _, n := range p.Problems {
		b.WriteString("problem " + n.String() + "\n")
	}
	if p.Skipped > 0 {
		fmt.Fprintf(&b, "skipped %d that the phone syncs with that server itself\n", p.Skipped)
	}
	b.WriteString(p.Summary() + "\n")
	for _, g := range p.Guards {
		word := "needs approval"
		if g.Refused {
			word = "refused"
		}
		fmt.Fprintf(&b, "%s: %s\n", word, g.Text)
	}
	if len(p.Ops)+len(p.Guards) > 0 {
		fmt.Fprintf(&b, "plan %s\n", p.ID)
	}
	return b.String()
}

// Summary says in a line how much is done.
func (p *Plan) Summary() string {
	if p.Kind != KindSync {
		return p.changes().String() // it looks at single records only
	}
	text := p.changes().String()
	if n := len(p.settled); n > 0 { // above all on a first run
		text += fmt.Sprintf("; %d found alike on both sides", n)
	}
	return fmt.Sprintf("%s; %d unchanged", text, p.Unchanged)
}

func named(title, key string) string {
	if title != "" {
		return title
	}
	return oneLine(key)
}

func details(why string, properties []string) string {
	if len(properties) == 0 {
		return why
	}
	return why + ": " + oneLine(strings.Join(properties, ", "))
}
