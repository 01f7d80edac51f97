package recordstest

import (
	"os"
	"reflect"
	"slices"
	"testing"

	"russet/records"
)

// phone is what is written from generation to generation.
type phone interface {
	Write(dir string) error
	Change(n int) []Change
	Edit(i int) Change
}

func readKind(t testing.TB, dir string, kind records.Kind) *records.Set {
	t.Helper()
	set, err := records.Read(t.Context(), os.DirFS(dir), kind)
	if err != nil {
		t.Fatal(err)
	}
	if !set.Complete || len(set.Problems) > 0 {
		t.Errorf("complete %v, problems %v", set.Complete, set.Problems)
	}
	return set
}

// calendarFollows are the properties that may change because others do.
var calendarFollows = map[string][]string{
	"DTSTART":       {"DTEND"},
	"LOCATION":      {"GEO", "X-APPLE-STRUCTURED-LOCATION"},
	"RECURRENCE-ID": {"SUMMARY", "DTSTART", "DTEND"},
	"DUE":           {"DTSTART"},
	"RRULE":         {"DTSTART"},
	"STATUS":        {"COMPLETED", "PERCENT-COMPLETE"},
}

func TestCalendarGenerations(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind  records.Kind
		phone phone
		kinds int // of changes that must have been seen
	}{
		{records.Calendar, NewCalendar(7, 150), 15},
		{records.Reminders, NewReminders(7, 150), 10},
	} {
		t.Run(string(c.kind), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := c.phone.Write(dir); err != nil {
				t.Fatal(err)
			}
			old := readKind(t, dir, c.kind)
			if len(old.Records) != 150 || len(old.Containers) != 2 {
				t.Fatalf("%d records in %d containers, want 150 in 2", len(old.Records), len(old.Containers))
			}
			seen := map[string]int{}
			for generation := range 12 {
				changes := c.phone.Change(20)
				if err := c.phone.Write(dir); err != nil {
					t.Fatal(err)
				}
				now := readKind(t, dir, c.kind)
				found := differences(old, now)
				if len(found) != len(changes) {
					t.Errorf("generation %d: %d records differ, want %d", generation, len(found), len(changes))
				}
				for _, change := range changes {
					seen[string(change.What)+change.Property]++
					checkChange(t, generation, change, found[change.UID])
				}
				old = now
			}
			if len(seen) < c.kinds {
				t.Errorf("only %d kinds of changes were made: %v", len(seen), seen)
			}
		})
	}
}

func checkChange(t *testing.T, generation int, c Change, got []string) {
	t.Helper()
	want := c.Property
	if c.What != Changed {
		want = string(c.What)
	}
	if !slices.Contains(got, want) {
		t.Errorf("generation %d: %v differ, want %s", generation, got, want)
	}
	for _, name := range got {
		if name != want && !slices.Contains(calendarFollows[want], name) {
			t.Errorf("generation %d: %s differs, want only %s", generation, name, want)
		}
	}
}

// TestCalendarInPlace shows that a database which was changed holds what one that
// is made anew does, and that a seed gives the same content.
func TestCalendarInPlace(t *testing.T) {
	t.Parallel()
	calendar := NewCalendar(8, 60)
	for _, c := range []struct {
		kind        records.Kind
		phone, same phone
	}{
		{records.Calendar, calendar, NewCalendar(8, 60)},
		{records.Reminders, NewReminders(8, 60), NewReminders(8, 60)},
	} {
		dir, fresh := t.TempDir(), t.TempDir()
		for range 3 {
			if err := c.phone.Write(dir); err != nil {
				t.Fatal(err)
			}
			if a, b := c.phone.Change(9), c.same.Change(9); !reflect.DeepEqual(a, b) {
				t.Fatalf("the same seed changed %v, then %v", a, b)
			}
		}
		if a, b := c.phone.Edit(0), c.same.Edit(0); a != b || a.What != Changed {
			t.Errorf("the same seed changed %v, then %v", a, b)
		}
		if err := c.phone.Write(dir); err != nil {
			t.Fatal(err)
		}
		if err := c.same.Write(fresh); err != nil {
			t.Fatal(err)
		}
		a, b := readKind(t, dir, c.kind), readKind(t, fresh, c.kind)
		if !reflect.DeepEqual(a.Records, b.Records) || len(a.Records) < 40 {
			t.Errorf("%s: %d records in place, %d anew, or not the same", c.kind, len(a.Records), len(b.Records))
		}
	}
	uid := calendar.Events[3].UID
	if c := calendar.Remove(3); c.UID != uid || c.What != Removed {
		t.Errorf("got %v, want that %s was removed", c, uid)
	}
}
