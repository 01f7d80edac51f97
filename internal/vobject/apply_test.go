package vobject_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"russet/internal/vobject"
)

// parse reads one object, whose lines are separated as the test likes.
func parse(t testing.TB, lines ...string) *vobject.Component {
	t.Helper()
	objects, err := vobject.Parse([]byte(strings.Join(lines, "\r\n") + "\r\n"))
	if err != nil || len(objects) != 1 {
		t.Fatalf("%q: got %d objects, %v, want 1", lines, len(objects), err)
	}
	return objects[0]
}

func card(t testing.TB, lines ...string) *vobject.Component {
	t.Helper()
	return parse(t, slices.Concat([]string{"BEGIN:VCARD"}, lines, []string{"END:VCARD"})...)
}

func calendar(t testing.TB, lines ...string) *vobject.Component {
	t.Helper()
	return parse(t, slices.Concat([]string{"BEGIN:VCALENDAR"}, lines, []string{"END:VCALENDAR"})...)
}

// without returns what is in a and not in b.
func without(a, b []vobject.Property) []vobject.Property {
	return slices.DeleteFunc(slices.Clone(a), func(p vobject.Property) bool { return slices.Contains(b, p) })
}

// merged takes what changed from base to source into target.
func merged(base, source, target *vobject.Component) *vobject.Component {
	b, s := vobject.Canonical(base), vobject.Canonical(source)
	return vobject.Apply(target, without(b, s), without(s, b), source)
}

// cardChanges say what becomes of a target when base becomes source.
var cardChanges = []struct {
	name                       string
	base, source, target, want []string
}{
	{
		"a line is replaced where it stands, and what else is there stays as it is",
		[]string{"FN:A", "TEL;TYPE=CELL:1"},
		[]string{"FN:A", "TEL;TYPE=CELL:2"},
		[]string{"fn:A", "tel;type=cell:1", "X-Odd;a=\"b\":\\,,", "NOTE:lo", " ng"},
		[]string{"fn:A", "TEL;TYPE=CELL:2", "X-Odd;a=\"b\":\\,,", "NOTE:lo", " ng"},
	},
	{
		"a new line stands after the last of its name",
		[]string{"TEL:1", "FN:A"},
		[]string{"TEL:1", "TEL:2", "FN:A", "NOTE:n"},
		[]string{"TEL:1", "FN:A", "REV:x"},
		[]string{"TEL:1", "TEL:2", "FN:A", "REV:x", "NOTE:n"},
	},
	{
		"a group comes with its label, under a name that is free",
		[]string{"FN:A"},
		[]string{"FN:A", "item1.TEL:1", "item1.X-ABLabel:Boat"},
		[]string{"FN:A", "item1.URL:u", "item1.X-ABLABEL:Shop", "item2.IMPP:x"},
		[]string{"FN:A", "item1.URL:u", "item1.X-ABLABEL:Shop", "item2.IMPP:x", "item3.TEL:1", "item3.X-ABLabel:Boat"},
	},
	{
		"a group goes with its label, unless another line has it",
		[]string{"item1.TEL:1", "item1.X-ABLABEL:A", "item2.TEL:2", "item2.X-ABLABEL:B"},
		nil,
		[]string{"a.TEL:1", "a.X-ABLABEL:A", "FN:F", "b.TEL:2", "b.EMAIL:e", "b.X-ABLABEL:B"},
		[]string{"FN:F", "b.EMAIL:e", "b.X-ABLABEL:B"},
	},
	{
		"another label is another property",
		[]string{"item1.TEL:1", "item1.X-ABLABEL:A"},
		[]string{"item1.TEL:1", "item1.X-ABLABEL:B"},
		[]string{"item7.TEL:1", "item7.X-ABLABEL:A", "FN:F"},
		[]string{"item1.TEL:1", "item1.X-ABLABEL:B", "FN:F"},
	},
	{
		"of several lines the one that goes gives its place",
		[]string{"TEL:1", "TEL:2"},
		[]string{"TEL:3", "TEL:2"},
		[]string{"TEL:2", "FN:A", "TEL:1", "NOTE:n", "TEL:4"},
		[]string{"TEL:2", "FN:A", "TEL:3", "NOTE:n", "TEL:4"},
	},
	{
		"a label of two comes once",
		[]string{"FN:A"},
		[]string{"FN:A", "g.TEL:1", "g.EMAIL:2", "g.X-ABLabel:L"},
		[]string{"FN:A", "G.URL:u"},
		[]string{"FN:A", "G.URL:u", "item1.TEL:1", "item1.X-ABLabel:L", "item1.EMAIL:2"},
	},
	{
		"values of lists are taken one by one",
		[]string{"CATEGORIES:a,b", "NICKNAME:x"},
		[]string{"CATEGORIES:b,c\\,d", "NICKNAME:y,z"},
		[]string{"CATEGORIES:own,a,b", "NICKNAME:x"},
		[]string{"CATEGORIES:own,b,c\\,d", "NICKNAME:y,z"},
	},
	{
		"what is there already is not added, what is not there not removed",
		[]string{"NOTE:a"},
		[]string{"NOTE:b"},
		[]string{"NOTE:b"},
		[]string{"NOTE:b"},
	},
}

func TestApplyCards(t *testing.T) {
	t.Parallel()
	for _, c := range cardChanges {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			target := card(t, c.target...)
			before := string(target.Bytes())
			got := string(merged(card(t, c.base...), card(t, c.source...), target).Bytes())
			if want := string(card(t, c.want...).Bytes()); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
			if string(target.Bytes()) != before {
				t.Error("the target itself was changed")
			}
		})
	}
}

func event(lines ...string) []string {
	return slices.Concat([]string{"BEGIN:VEVENT", "UID:u"}, lines, []string{"END:VEVENT"})
}

func TestApplyCalendars(t *testing.T) {
	t.Parallel()
	master := event("DTSTAMP:1", "SUMMARY:s", "EXDATE:20260102T090000Z")
	alarm := []string{"BEGIN:VALARM", "TRIGGER:-PT5M", "END:VALARM"}
	override := event("RECURRENCE-ID:20260101T090000Z", "DTSTAMP:2", "SUMMARY:o")
	zone := []string{"BEGIN:VTIMEZONE", "TZID:Europe/Rome", "END:VTIMEZONE"}
	in := slices.Concat[[]string]
	for _, c := range []struct {
		name                       string
		base, source, target, want []string
	}{
		{"a new override comes whole", master, in(master, override), in([]string{"VERSION:2.0"}, master), in([]string{"VERSION:2.0"}, master, override)},
		{"an override that is gone goes whole", in(master, override), master, in(override, master), master},
		{
			"an override that somebody changed keeps its place", in(master, override), master,
			in(master, event("RECURRENCE-ID:20260101T090000Z", "SUMMARY:o", "LOCATION:l")),
			in(master, event("RECURRENCE-ID:20260101T090000Z", "LOCATION:l")),
		},
		{
			"alarms are taken whole", event("SUMMARY:s"), event(in([]string{"SUMMARY:s"}, alarm)...),
			event("SUMMARY:t"), event(in([]string{"SUMMARY:t"}, alarm)...),
		},
		{
			"lines stand before alarms", event(alarm...), event(in([]string{"LOCATION:l"}, alarm)...),
			event(alarm...), event(in([]string{"LOCATION:l"}, alarm)...),
		},
		{
			"a zone comes with the first time in it", event("SUMMARY:s"), in(zone, event("SUMMARY:s", "DTSTART;TZID=Europe/Rome:20260101T090000")),
			event("SUMMARY:s"), in(zone, event("SUMMARY:s", "DTSTART;TZID=Europe/Rome:20260101T090000")),
		},
		{
			"a date is not put among those of another zone", event(),
			event("EXDATE;TZID=Europe/Rome:20260103T090000"), event("EXDATE:20260102T090000Z"),
			event("EXDATE:20260102T090000Z", "EXDATE;TZID=Europe/Rome:20260103T090000"),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			source, target := calendar(t, c.source...), calendar(t, c.target...)
			before := string(target.Bytes()) + string(source.Bytes())
			got := string(merged(calendar(t, c.base...), source, target).Bytes())
			if want := string(calendar(t, c.want...).Bytes()); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
			if string(target.Bytes())+string(source.Bytes()) != before {
				t.Error("the target or the source itself was changed")
			}
		})
	}
}

// Media is spelled as the version of the card that it comes into wants it.
func TestApplyMedia(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ version, source, want string }{
		{"4.0", "PHOTO;ENCODING=b;TYPE=JPEG:AAEC\r\n Aw==", "PHOTO:data:image/jpeg;base64,AAECAw=="},
		{"4.0", "item1.LOGO;X-P=a;ENCODING=BASE64;TYPE=png:AAECAw==", "item1.LOGO;X-P=a:data:image/png;base64,AAECAw=="},
		{"4.0", "SOUND;ENCODING=b:AAECAw==", "SOUND:data:application/octet-stream;base64,AAECAw=="},
		{"4.0", "KEY;ENCODING=b;TYPE=application/pgp-keys:AAECAw==", "KEY:data:application/pgp-keys;base64,AAECAw=="},
		{"4.0", "PHOTO;ENCODING=b:AAECAw==", "PHOTO:data:image/jpeg;base64,AAECAw=="},
		{"4.0", "PHOTO:data:image/gif;base64,AAECAw==", "PHOTO:data:image/gif;base64,AAECAw=="},
		{"3.0", `PHOTO:data:image/jpeg\;base64\,AAECAw==`, "PHOTO;ENCODING=b;TYPE=JPEG:AAECAw=="},
		{"2.1", "PHOTO:data:image/jpeg;base64,AAECAw==", "PHOTO;ENCODING=BASE64;TYPE=JPEG:AAECAw=="},
		{"3.0", "PHOTO;VALUE=uri:http://x/y.jpg", "PHOTO;VALUE=uri:http://x/y.jpg"},
	} {
		source := card(t, c.source)
		p := vobject.Canonical(source)
		got := vobject.Apply(card(t, "VERSION:"+c.version), nil, p, source)
		if want := card(t, "VERSION:"+c.version, c.want); string(got.Bytes()) != string(want.Bytes()) || !slices.Equal(vobject.Canonical(got), p) {
			t.Errorf("%s: got %s, want %s", c.source, got.Bytes(), want.Bytes())
		}
	}
}

// What is to go and to come stands as it is.
func TestApplyLeaves(t *testing.T) {
	t.Parallel()
	target := card(t, "note:a", "tel:1")
	p := vobject.Canonical(target)
	if got := vobject.Apply(target, p, p, card(t, "TEL:1", "NOTE:a")); string(got.Bytes()) != string(target.Bytes()) {
		t.Errorf("got %s, want %s", got.Bytes(), target.Bytes())
	}
}

// Of a new component only what is wanted comes.
func TestApplyPartOfAPart(t *testing.T) {
	t.Parallel()
	source := calendar(t, event("RECURRENCE-ID:1", "EXDATE:1,2", "CATEGORIES:a,b", "SUMMARY:s", "LOCATION:l")...)
	var add []vobject.Property
	for _, p := range vobject.Canonical(source) {
		if p.Name == "SUMMARY" || p.Name == "RECURRENCE-ID" || p.Value == "b" {
			add = append(add, p)
		}
	}
	got := vobject.Apply(calendar(t), nil, add, source)
	if want := calendar(t, event("RECURRENCE-ID:1", "CATEGORIES:b", "SUMMARY:s")...); string(got.Bytes()) != string(want.Bytes()) {
		t.Errorf("got %s, want %s", got.Bytes(), want.Bytes())
	}
}

// randomCard makes a card of few words, so that cards made alike have much in common.
func randomCard(t *testing.T, r *rand.Rand) *vobject.Component {
	var lines []string
	for i := range r.IntN(6) {
		group := []string{"", "", "item1.", "item2.", "x."}[r.IntN(5)]
		name := []string{"TEL", "EMAIL;TYPE=home", "CATEGORIES", "CATEGORIES", "NICKNAME;LANGUAGE=de", "NOTE"}[r.IntN(6)]
		var values []string
		for range 1 + r.IntN(2) {
			values = append(values, []string{"a", "b", "c", ""}[r.IntN(4)])
		}
		lines = append(lines, group+name+":"+strings.Join(values, ","))
		if group != "" && r.IntN(2) == 0 {
			lines = append(lines, []string{group, "x."}[r.IntN(2)]+"X-ABLabel:"+[]string{"L", "M"}[i%2])
		}
	}
	return card(t, lines...)
}

// randomCalendar makes a series of few words, with overrides and alarms.
func randomCalendar(t *testing.T, r *rand.Rand) *vobject.Component {
	one := func(of ...string) string { return of[r.IntN(len(of))] }
	var all []string
	if r.IntN(3) == 0 {
		all = append(all, "BEGIN:VTIMEZONE", "TZID:Mine", one("X-A:a", "X-A:b"), "END:VTIMEZONE")
	}
	for _, id := range []string{"", "20260101T090000Z", "20260102T090000Z"} {
		if r.IntN(3) == 0 {
			continue
		}
		all = append(all, "BEGIN:VEVENT", "UID:u", "DTSTAMP:"+one("1", "2"))
		if id != "" {
			all = append(all, "RECURRENCE-ID:"+id)
		}
		for range r.IntN(5) {
			all = append(all, one("EXDATE", "EXDATE;TZID=Europe/Rome", "RDATE", "SUMMARY", "CATEGORIES", "DTSTART;TZID=Mine")+":"+one("a", "a,b", "c,a", "b,,b", ""))
			if r.IntN(3) == 0 {
				all = append(all, "BEGIN:VALARM", "TRIGGER:"+one("-PT5M", "-PT300S", "PT0S"), "END:VALARM")
			}
		}
		all = append(all, "END:VEVENT")
	}
	return calendar(t, all...)
}

// Whatever changes, Apply makes of an object what arithmetic makes of its canonical form.
func TestApplyIsArithmetic(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 0))
	rounds := 3000
	if testing.Short() {
		rounds = 300
	}
	for _, random := range []func(*testing.T, *rand.Rand) *vobject.Component{randomCard, randomCalendar} {
		for range rounds {
			source, target := random(t, r), random(t, r)
			s, have := vobject.Canonical(source), vobject.Canonical(target)
			made := vobject.Apply(target, without(have, s), without(s, have), source)
			if got := vobject.Canonical(made); !slices.Equal(got, s) {
				t.Fatalf("made alike:\n%s%sgot\n%q\nwant\n%q", target.Bytes(), source.Bytes(), got, s)
			}
			if again := vobject.Apply(made, nil, s, source); !slices.Equal(again.Bytes(), made.Bytes()) {
				t.Fatalf("made alike again:\n%sgot\n%s", made.Bytes(), again.Bytes())
			}
		}
	}
}
