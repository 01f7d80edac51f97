package vobject_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"russet/internal/vobject"
)

// parseFile reads a file that holds one object.
func parseFile(t *testing.T, name string) *vobject.Component {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := vobject.Parse(data)
	if err != nil || len(objects) != 1 {
		t.Fatalf("%s: got %d objects, %v, want 1", name, len(objects), err)
	}
	return objects[0]
}

// cut names what Radicale does not keep: of a value in which a comma is not escaped
// it keeps what stands before the comma, and bare parameters not at all.
var cut = map[string][]string{
	"radicale/attendees.ics": {"X-APPLE-STRUCTURED-LOCATION"},
	"radicale/phone.vcf":     {"NICKNAME", "URL"},
	"radicale/spaces.vcf":    {"X-FOO"},
	"radicale/v4.vcf":        {"PHOTO"},
	"radicale/qp.vcf":        {"TEL"},
	"radicale/geo.ics":       {"COMMENT", "CONFERENCE", "CONTACT", "X-ALT-DESC", "X-OTHER"},
}

// What Radicale 3.1.8 and Xandikos 0.2.8 gave back for what was put there
// (testdata/servers, recorded once) means the same.
func TestServersRewriting(t *testing.T) {
	t.Parallel()
	sent, err := filepath.Glob("testdata/servers/sent/*")
	if err != nil || len(sent) < 30 {
		t.Fatalf("got %d files, %v", len(sent), err)
	}
	for _, server := range []string{"radicale", "xandikos"} {
		for _, name := range sent {
			file := server + "/" + filepath.Base(name)
			kept := func(props []vobject.Property) []vobject.Property {
				return slices.DeleteFunc(props, func(p vobject.Property) bool { return slices.Contains(cut[file], p.Name) })
			}
			want := vobject.Canonical(parseFile(t, name))
			got := vobject.Canonical(parseFile(t, filepath.Join("testdata/servers", file)))
			if slices.Equal(got, want) != (cut[file] == nil) || !slices.Equal(kept(got), kept(want)) {
				t.Errorf("%s:\ngot  %q\nwant %q", file, without(got, want), without(want, got))
			}
		}
	}
}

func lines(l ...string) []string { return l }

// Each pair says the same.
var alike = map[string][2][]string{
	"order, case, folds, quotes": {
		lines("TEL;TYPE=CELL;X-Q=\"a\":1", "NOTE:long"), lines("NOTE:lo", " ng", "tel;x-q=a;type=cell:1"),
	},
	"types":                  {lines("TEL;TYPE=CELL,VOICE,pref:1"), lines("TEL;TYPE=CELL;TYPE=VOICE;TYPE=PREF:1")},
	"types in quotes":        {lines(`TEL;TYPE="CELL,PREF":1`), lines("TEL;TYPE=pref,cell,cell:1")},
	"types of vCard 2.1":     {lines("TEL;CELL;PREF:1"), lines("TEL;TYPE=cell,pref:1")},
	"type of all mail":       {lines("EMAIL;TYPE=INTERNET,HOME:a"), lines("EMAIL;TYPE=home:a")},
	"type of calls":          {lines("TEL;TYPE=VOICE:1"), lines("TEL:1")},
	"default of VALUE":       {lines("URL;VALUE=uri:u", "BDAY;VALUE=date:1985-04-12"), lines("URL:u", "BDAY:19850412")},
	"numbers of groups":      {lines("item1.TEL:1", "item1.X-ABLabel:L"), lines("a.X-ABLABEL:L", "A.TEL:1")},
	"order of groups":        {lines("item1.TEL:1", "item1.X-ABLabel:L", "item2.TEL:2", "item2.X-ABLabel:M"), lines("item1.TEL:2", "item1.X-ABLabel:M", "item2.TEL:1", "item2.X-ABLabel:L")},
	"groups of one":          {lines("item1.TEL:1"), lines("TEL:1")},
	"escapes":                {lines(`NOTE:a\,b\;c\\d\Ne`), lines(`NOTE:a,b;c\\d\ne`)},
	"escapes of addresses":   {lines(`URL:http\://x/a\,b`), lines("URL:http://x/a,b")},
	"blanks around":          {lines(`NOTE: a\n`), lines("NOTE:a")},
	"empty components":       {lines("N:A;B;;;", "ORG:a;"), lines("N:A;B", "ORG:a")},
	"empty values":           {lines("TITLE:", "N:;;;;", "TEL;TYPE=HOME: "), lines()},
	"lists":                  {lines("CATEGORIES:a,b", "NICKNAME:x,y"), lines("NICKNAME:y", "NICKNAME:x", "CATEGORIES:b,a,b")},
	"twice":                  {lines("TEL:1", "TEL:1"), lines("TEL:1")},
	"birthdays without year": {lines("BDAY;X-APPLE-OMIT-YEAR=1604:1604-02-29"), lines("BDAY:--0229")},
	"birthdays with time":    {lines("BDAY:1985-04-12T00:00:00Z"), lines("BDAY:1985-04-12")},
	"media": {
		lines("PHOTO;ENCODING=b;TYPE=JPEG:AAEC", " Aw=="), lines("PHOTO:data:image/jpeg;base64,AAECAw=="),
	},
	"media of vCard 2.1": {lines("PHOTO;JPEG;BASE64:", " AAECAw==", ""), lines(`PHOTO:data:image/png\;base64\,AAECAw`)},
	"quoted-printable": {
		lines("NOTE;CHARSET=UTF-8;QUOTED-PRINTABLE:M=C3=BC=", "ller=0D=0Asagt", "N;ENCODING=QUOTED-PRINTABLE:A=3BB;C"),
		lines(`NOTE:Müller\nsagt`, `N:A\;B;C`),
	},
	"Latin-1": {lines("NOTE;CHARSET=ISO-8859-1;ENCODING=QUOTED-PRINTABLE:M=FCller"), lines("NOTE:Müller")},
	"escapes of parameters": {
		lines(`ADR;LABEL="a^nb^^c^'d";CC=x:;;s`), lines(`ADR;cc="x";label=a^nb^^c^'d:;;s;;`),
	},
	"numbers":              {lines("TEL;VALUE=uri:tel:+1-2"), lines("TEL:+1-2")},
	"what servers write":   {lines("REV:1", "PRODID:x", "VERSION:3.0", "UID:1", "X-RADICALE-NAME:x"), lines("VERSION:4.0")},
	"kind":                 {lines("KIND:INDIVIDUAL"), lines()},
	"places":               {lines("GEO:52.50;013.0"), lines("GEO:geo:52.5,13")},
	"a label on its own":   {lines("item1.X-ABLABEL:L"), lines("item2.X-ABLabel:L")},
	"nested cards, a text": {lines("AGENT:", "BEGIN:VCARD", "FN:a", "TEL:b", "END:VCARD"), lines("AGENT:", "BEGIN:VCARD", "TEL:b", "FN:a", "END:VCARD")},
}

var alikeEvents = map[string][2][]string{
	"UTC by name":        {lines("DTSTART;TZID=UTC:20260101T090000"), lines("DTSTART;VALUE=DATE-TIME:20260101T090000Z")},
	"names of overrides": {lines("RECURRENCE-ID:20260101", "RECURRENCE-ID:20260102"), lines("RECURRENCE-ID:20260102", "RECURRENCE-ID:20260101")},
	"dates":              {lines("DTSTART;VALUE=DATE:20260101"), lines("DTSTART:20260101")},
	"zones with prefix":  {lines("DTSTART;TZID=/freeassociation.sourceforge.net/Europe/Berlin:20260101T090000"), lines("DTSTART;TZID=Europe/Berlin:20260101T090000")},
	"rules":              {lines("RRULE:FREQ=MONTHLY;INTERVAL=1;BYDAY=+2SU,-1MO;WKST=MO"), lines("RRULE:BYDAY=-1MO,2SU;FREQ=monthly")},
	"dates left out":     {lines("EXDATE:20260101T090000Z,20260102T090000Z"), lines("EXDATE;TZID=UTC:20260102T090000", "EXDATE:20260101T090000Z")},
	"durations":          {lines("DURATION:P1DT2H"), lines("DURATION:PT26H0M0S")},
	"defaults":           {lines("TRANSP:OPAQUE", "CLASS:public", "PRIORITY:0", "SEQUENCE:4", "DTSTAMP:1", "CREATED:1"), lines("LAST-MODIFIED:1")},
	"attendees": {
		lines("ATTENDEE;CUTYPE=INDIVIDUAL;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=FALSE;SCHEDULE-AGENT=NONE;CN=A:MAILTO:A@b.c"),
		lines("ATTENDEE;CN=\"A\";SCHEDULE-STATUS=1.1:mailto:a@B.c"),
	},
	"alarms": {
		lines("BEGIN:VALARM", "TRIGGER;RELATED=START:-PT15M", "UID:1", "ACTION:display", "END:VALARM", "BEGIN:VALARM", "TRIGGER:PT0S", "END:VALARM"),
		lines("BEGIN:VALARM", "TRIGGER;VALUE=DURATION:-PT0S", "END:VALARM", "BEGIN:VALARM", "ACTION:DISPLAY", "X-WR-ALARMUID:1", "TRIGGER:-P0DT0H15M0S", "ACKNOWLEDGED:1", "END:VALARM"),
	},
}

func TestAlike(t *testing.T) {
	t.Parallel()
	for name, pair := range alike {
		if a, b := vobject.Canonical(card(t, pair[0]...)), vobject.Canonical(card(t, pair[1]...)); !slices.Equal(a, b) {
			t.Errorf("%s:\n%q\n%q", name, a, b)
		}
	}
	for name, pair := range alikeEvents {
		a, b := vobject.Canonical(calendar(t, event(pair[0]...)...)), vobject.Canonical(calendar(t, event(pair[1]...)...))
		if !slices.Equal(a, b) || vobject.HashOf(a) != vobject.HashOf(b) {
			t.Errorf("%s:\n%q\n%q", name, a, b)
		}
	}
}

// Each pair says something else.
func TestUnlike(t *testing.T) {
	t.Parallel()
	for name, pair := range map[string][2][]string{
		"which has the label":        {lines("item1.TEL:1", "item1.X-ABLabel:L", "item2.TEL:2"), lines("item1.TEL:1", "item2.TEL:2", "item2.X-ABLabel:L")},
		"a label on its own":         {lines("item1.X-ABLabel:L"), lines()},
		"case of values":             {lines("NOTE:a"), lines("NOTE:A")},
		"components":                 {lines("N:A;B"), lines(`N:A\;B`)},
		"order of components":        {lines("N:A;B"), lines("N:B;A")},
		"empty components before":    {lines("N:;A"), lines("N:A")},
		"types":                      {lines("TEL;TYPE=HOME:1"), lines("TEL;TYPE=WORK:1")},
		"media":                      {lines("PHOTO;ENCODING=b:AAEC"), lines("PHOTO;ENCODING=b:AAED")},
		"values of lists":            {lines("CATEGORIES:a,b"), lines(`CATEGORIES:a\,b`)},
		"parameters with separators": {lines(`ADR;LABEL="a;TYPE=home":;;s`), lines("ADR;LABEL=a;TYPE=home:;;s")},
		"birthdays":                  {lines("BDAY:1985-04-12"), lines("BDAY:--0412")},
	} {
		if a, b := vobject.Canonical(card(t, pair[0]...)), vobject.Canonical(card(t, pair[1]...)); slices.Equal(a, b) {
			t.Errorf("%s: both are\n%q", name, a)
		}
	}
	zone := func(id, offset string) []string {
		return slices.Concat(lines("BEGIN:VTIMEZONE", "TZID:"+id, "BEGIN:STANDARD", "TZOFFSETTO:"+offset, "END:STANDARD", "END:VTIMEZONE"), event("DTSTART;TZID="+id+":20260101T090000"))
	}
	for name, pair := range map[string][2][]string{
		"zone":             {event("DTSTART;TZID=Europe/Rome:20260101T090000"), event("DTSTART;TZID=Europe/Berlin:20260101T090000")},
		"UTC and floating": {event("DTSTART:20260101T090000Z"), event("DTSTART:20260101T090000")},
		"no zone's name":   {lines("BEGIN:VTIMEZONE", "X-A:1", "END:VTIMEZONE"), lines("BEGIN:VTIMEZONE", "X-A:2", "END:VTIMEZONE")},
		"a zone's own":     {zone("Mine", "+0100"), zone("Mine", "+0200")},
		"override":         {event("RECURRENCE-ID:20260101T090000Z"), event("RECURRENCE-ID:20260102T090000Z")},
		"override, master": {event("RECURRENCE-ID:20260101T090000Z", "SUMMARY:s"), event("SUMMARY:s")},
		"kind":             {event("SUMMARY:s"), lines("BEGIN:VTODO", "SUMMARY:s", "END:VTODO")},
		"rule":             {event("RRULE:FREQ=DAILY;COUNT=2"), event("RRULE:FREQ=DAILY;COUNT=3")},
	} {
		if a, b := vobject.Canonical(calendar(t, pair[0]...)), vobject.Canonical(calendar(t, pair[1]...)); slices.Equal(a, b) {
			t.Errorf("%s: both are\n%q", name, a)
		}
	}
	known := vobject.Canonical(calendar(t, zone("Europe/Rome", "+0100")...))
	if other := vobject.Canonical(calendar(t, zone("Europe/Rome", "+0200")...)); !slices.Equal(known, other) {
		t.Errorf("a zone of the tz database is not left out: %q, %q", known, other)
	}
}
