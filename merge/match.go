package merge

import (
	"slices"
	"strings"

	"russet/internal/vobject"
)

// Pair is a record of each side that is the same thing under two keys.
type Pair struct {
	Source string `json:"source"` // keys
	Target string `json:"target"`
	By     string `json:"by"` // what tells: "name and phone", "name and e-mail", "start and summary"
}

// Match finds records of a first sync that are the same thing though they have
// different keys: contacts with one name and one phone number or e-mail address in
// common, events of one start and summary. What two records of a side have in
// common tells nothing. Records whose key both sides have are left out. The pairs are
// sorted by the source's keys.
func Match(source, target []Record) []Pair {
	both := map[string]int{}
	for _, list := range [][]Record{source, target} {
		for _, r := range list {
			both[r.Key]++
		}
	}
	lone := func(r Record) bool { return both[r.Key] == 1 && r.Object != nil }
	found := map[trait][]string{}
	for _, r := range target {
		if lone(r) {
			for _, t := range traits(r.Object) {
				found[t] = append(found[t], r.Key)
			}
		}
	}
	asked := map[trait]int{}
	for _, r := range source {
		if lone(r) {
			for _, t := range traits(r.Object) {
				asked[t]++
			}
		}
	}
	var pairs []Pair
	fits := map[string]int{} // how many records of the source each of the target fits
	for _, r := range source {
		if !lone(r) {
			continue
		}
		if p, ok := only(r, found, asked); ok {
			fits[p.Target]++
			pairs = append(pairs, p)
		}
	}
	pairs = slices.DeleteFunc(pairs, func(p Pair) bool { return fits[p.Target] > 1 })
	slices.SortFunc(pairs, func(a, b Pair) int { return strings.Compare(a.Source, b.Source) })
	return pairs
}

// only returns the one record of the target that has a trait of r, if there is one.
func only(r Record, found map[trait][]string, asked map[trait]int) (Pair, bool) {
	var pair Pair
	for _, t := range traits(r.Object) {
		keys := found[t]
		switch {
		case len(keys) == 0:
		case len(keys) > 1 || asked[t] > 1 || pair.Target != "" && pair.Target != keys[0]:
			return Pair{}, false
		default:
			pair = Pair{r.Key, keys[0], t.by}
		}
	}
	return pair, pair.Target != ""
}

// Outline is what Match looks at of an object, by itself: it keeps nothing else of the
// object, such as its pictures, in memory.
func Outline(c *vobject.Component) *vobject.Component {
	o := vobject.New(c.Name)
	for _, l := range c.Lines {
		if slices.Contains(outlined, strings.ToUpper(l.Name)) {
			o.Add(vobject.NewLine(strings.Clone(l.Name), strings.Clone(l.Value)))
		}
	}
	if c.Name == "VCALENDAR" {
		for _, part := range c.Parts {
			o.AddPart(Outline(part))
		}
	}
	return o
}

// outlined are the properties that traits are made of.
var outlined = []string{"FN", "TEL", "EMAIL", "DTSTART", "RECURRENCE-ID", "SUMMARY"}

// trait is what two records of the same thing have in common.
type trait struct{ by, name, value string }

func traits(c *vobject.Component) []trait {
	var found []trait
	if c.Name != "VCALENDAR" {
		name := plain(c.Value("FN"))
		if name == "" {
			return nil
		}
		for _, l := range c.All("TEL") {
			if n := digits(l.Value); len(n) >= minDigits {
				found = append(found, trait{"name and phone", name, n})
			}
		}
		for _, l := range c.All("EMAIL") {
			if a := plain(l.Value); a != "" {
				found = append(found, trait{"name and e-mail", name, a})
			}
		}
		slices.SortFunc(found, func(a, b trait) int { return strings.Compare(a.by+a.value, b.by+b.value) })
		return slices.Compact(found)
	}
	for _, part := range c.Parts {
		start, ok := part.Get("DTSTART")
		if _, override := part.Get("RECURRENCE-ID"); !ok || override {
			continue
		}
		if summary := plain(part.Value("SUMMARY")); summary != "" {
			found = append(found, trait{"start and summary", summary, start.Value})
		}
	}
	return found
}

// minDigits is how many digits a phone number has at least that tells anything.
const minDigits = 5

// digits is a phone number without what people write between its digits, and
// without what stands before its last nine: a country's code, or the zero instead.
func digits(s string) string {
	var b strings.Builder
	for _, r := range s {
		if '0' <= r && r <= '9' {
			b.WriteRune(r)
		}
	}
	const last = 9
	n := b.String()
	return n[max(0, len(n)-last):]
}

// plain is text without case and without what spaces say.
func plain(s string) string {
	return strings.ToLower(strings.Join(strings.Fields(vobject.Unescape(s)), " "))
}
