package dav_test

import (
	"strings"
	"testing"

	"russet/dav"
	"russet/dav/davtest"
	"russet/internal/vobject"
)

// places is an event with commas in values of which servers keep a part.
const places = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//t//EN\r\nBEGIN:VEVENT\r\nUID:places\r\nDTSTAMP:20260101T000000Z\r\n" +
	"DTSTART:20260101T100000Z\r\nSUMMARY:one\\, two\r\nCATEGORIES:a,b\r\nEXDATE:20260102T100000Z,20260103T100000Z\r\n" +
	"X-APPLE-STRUCTURED-LOCATION;VALUE=URI;X-ADDRESS=\"Street 1, Town\";X-TITLE=HQ:geo:47.5,-8.123457\r\n" +
	"CONFERENCE;VALUE=URI:https://example.test/a,b\r\nCOMMENT:one,two\\, three\\\\,four\r\nCONTACT:x,y\r\n" +
	"BEGIN:VALARM\r\nACTION:DISPLAY\r\nDESCRIPTION:d\r\nTRIGGER:-PT5M\r\nX-APPLE-STRUCTURED-LOCATION;VALUE=URI:geo:1.5,2.5\r\nEND:VALARM\r\n" +
	"END:VEVENT\r\nEND:VCALENDAR\r\n"

// checkPlaces stores that event and reads it back: nothing of it is lost.
func checkPlaces(t *testing.T, c *dav.Collection) string {
	t.Helper()
	ref, err := c.Create(t.Context(), "places", []byte(places))
	if err != nil {
		t.Fatal(err)
	}
	got := one(t, c)
	want := vobject.Canonical(parsed(t, places))
	if now := vobject.Canonical(parsed(t, string(got.Body))); vobject.HashOf(now) != vobject.HashOf(want) {
		t.Errorf("got %q\nwant %q", now, want)
	}
	if err := c.Delete(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer("\r\n ", "", "\r\n", "\n").Replace(string(got.Body))
}

func parsed(t *testing.T, body string) *vobject.Component {
	t.Helper()
	all, err := vobject.Parse([]byte(body))
	if err != nil || len(all) != 1 {
		t.Fatalf("got %d objects, %v", len(all), err)
	}
	return all[0]
}

// TestCommas: commas that would end a value go out escaped, and no others.
func TestCommas(t *testing.T) {
	t.Parallel()
	s := davtest.Start(t, davtest.Quirks{})
	got := checkPlaces(t, open(t, s.Options(), s.Calendar(), dav.Calendar))
	for _, line := range []string{
		"CATEGORIES:a,b", "EXDATE:20260102T100000Z,20260103T100000Z", `SUMMARY:one\, two`, `:geo:47.5\,-8.123457`, `:geo:1.5\,2.5`,
		`X-ADDRESS="Street 1, Town"`, `https://example.test/a\,b`, `COMMENT:one\,two\, three\\\,four`, `CONTACT:x\,y`,
	} {
		if !strings.Contains(got, line) {
			t.Errorf("%s is not in %s", line, got)
		}
	}
}

// TestRadicaleCommas: what Radicale would cut at a comma comes back whole.
func TestRadicaleCommas(t *testing.T) {
	t.Parallel()
	p := davtest.Radicale(t)
	checkPlaces(t, open(t, p.Options(), p.Calendar(), dav.Calendar))
}
