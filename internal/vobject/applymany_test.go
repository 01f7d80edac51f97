package vobject_test

import (
	"fmt"
	"slices"
	"testing"

	"russet/internal/vobject"
)

// TestApplyMany: thousands of values in groups of their own take the places of others
// in the time that thousands take, and keep their labels.
func TestApplyMany(t *testing.T) {
	t.Parallel()
	const many = 10_000
	card := func(host string) *vobject.Component {
		c := vobject.New("VCARD")
		c.Add(vobject.NewLine("UID", "a"))
		for n := range many {
			for name, value := range map[string]string{"EMAIL": fmt.Sprintf("e%d@%s", n, host), "X-ABLABEL": fmt.Sprintf("%s %d", host, n)} {
				l := vobject.NewLine(name, value)
				l.Group = fmt.Sprintf("item%d", n)
				c.Add(l)
			}
		}
		return c
	}
	old, next := card("a.example"), card("b.example")
	got := vobject.Apply(old, vobject.Canonical(old)[:many/2], vobject.Canonical(next), next)
	if len(got.All("EMAIL")) != many+many/2 || len(got.All("X-ABLABEL")) != many+many/2 {
		t.Errorf("%d values with %d labels, want %d of each", len(got.All("EMAIL")), len(got.All("X-ABLABEL")), many+many/2)
	}
	groups := map[string]bool{}
	for _, l := range got.All("EMAIL") {
		if groups[l.Group] {
			t.Fatalf("two values are in group %s", l.Group)
		}
		groups[l.Group] = true
	}
	said := map[vobject.Property]bool{}
	for _, p := range vobject.Canonical(got) {
		said[p] = true
	}
	for _, p := range vobject.Canonical(next) {
		if !said[p] {
			t.Fatalf("it does not say %s with %s", p.Value, p.Params)
		}
	}
}

// TestApplySeries: so do the properties of thousands of exceptions.
func TestApplySeries(t *testing.T) {
	t.Parallel()
	const many = 5_000
	series := func(place string) *vobject.Component {
		var all []string
		for n := range many {
			all = append(all, "BEGIN:VEVENT", "UID:a", fmt.Sprintf("RECURRENCE-ID;TZID=Z%d:20260101T%06d", n, n), "LOCATION:"+place, "END:VEVENT",
				"BEGIN:VTIMEZONE", fmt.Sprintf("TZID:Z%d", n), "END:VTIMEZONE")
		}
		return calendar(t, all...)
	}
	old, next := series("here"), series("there")
	got := vobject.Apply(old, vobject.Canonical(old), vobject.Canonical(next), next)
	if !slices.Equal(vobject.Canonical(got), vobject.Canonical(next)) || len(got.Parts) != 2*many {
		t.Errorf("got %d components, want %d that say the same", len(got.Parts), 2*many)
	}
}
