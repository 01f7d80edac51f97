package vobject_test

import (
	"fmt"
	"strings"
	"testing"

	"russet/internal/vobject"
)

// TestHostile: what a stranger writes takes time and memory in proportion to its length.
func TestHostile(t *testing.T) {
	t.Parallel()
	const many = 200_000
	slashes := strings.Repeat("/", many)
	c := calendar(t, "BEGIN:VEVENT", "DTSTART:"+slashes, "END:VEVENT")
	if got := vobject.Canonical(c); len(got) != 1 || got[0].Value != slashes {
		t.Errorf("a time of slashes: got %d properties", len(got))
	}
	got := vobject.Canonical(card(t, "NICKNAME;ENCODING=b:"+strings.Repeat("a,", many)+"b"))
	if len(got) != 2 || got[0].Value != "a" || got[1].Value != "b" {
		t.Errorf("a list that says it is media: got %d properties", len(got))
	}
	var lines []string
	for n := range 2000 {
		lines = append(lines, fmt.Sprintf("i.TEL:%d", n), fmt.Sprintf("i.X-ABLABEL:%d", n))
	}
	if n := size(vobject.Canonical(card(t, lines...))); n > 1<<20 {
		t.Errorf("many labels of many numbers become %d bytes", n)
	}
	label := strings.Repeat("x", 1000)
	if n := size(vobject.Canonical(card(t, append(lines, "i.X-ABADR:"+label)...))); n > 1<<20 {
		t.Errorf("a long label of many numbers becomes %d bytes", n)
	}
	one, other := card(t, "i.TEL:1", "i.X-ABLABEL:"+label), card(t, "i.TEL:1", "i.X-ABLABEL:"+label+"x")
	if vobject.HashOf(vobject.Canonical(one)) == vobject.HashOf(vobject.Canonical(other)) {
		t.Error("two long labels are one")
	}
	event := []string{"BEGIN:VEVENT", "RECURRENCE-ID:" + strings.Repeat("x", many)}
	for n := range 1000 {
		event = append(event, fmt.Sprintf("X-%d:1", n))
	}
	if n := size(vobject.Canonical(calendar(t, append(event, "END:VEVENT")...))); n > 1<<20 {
		t.Errorf("a long RECURRENCE-ID becomes %d bytes", n)
	}
}

// size is how much a canonical form says.
func size(props []vobject.Property) int {
	n := 0
	for _, p := range props {
		n += len(p.Part) + len(p.Name) + len(p.Params) + len(p.Value)
	}
	return n
}
