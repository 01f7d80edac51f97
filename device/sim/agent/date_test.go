package agent

import (
	"testing"
	"time"

	"russet/ios"
)

// Backups of one second have Dates of their own: by its Date the phone tells
// whether a host has the backup that it finished last, or that of another time.
func TestDatesWithinASecond(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 500, time.UTC)
	p := openPhone(t, quick(t, "a"), Options{Now: func() time.Time { return now }})
	one, other := newHost(), newHost()
	backUp(t, p, one)
	backUp(t, p, other)
	if r := backUp(t, p, one); r.Full || len(r.Violations) > 0 {
		t.Errorf("the first host's next backup: %+v, want no full one, and no violation", r)
	}
	first := now.Truncate(time.Second)
	for h, want := range map[*host]time.Time{other: first.Add(time.Second), one: first.Add(2 * time.Second)} {
		b, err := ios.Open(h.backup())
		if err != nil {
			t.Fatal(err)
		}
		if got := b.Status.Date; !got.Equal(want) {
			t.Errorf("got the Date %v, want %v", got, want)
		}
	}
}
