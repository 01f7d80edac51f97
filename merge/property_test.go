package merge

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"russet/internal/vobject"
)

// event is a calendar object of one series, with the lines of the series, and of an
// override where there are any.
func event(t testing.TB, lines, override string) *vobject.Component {
	t.Helper()
	part := func(lines string) string {
		return "BEGIN:VEVENT\r\nUID:k\r\n" + strings.ReplaceAll(lines, ";;", "\r\n") + "\r\nEND:VEVENT\r\n"
	}
	text := "BEGIN:VCALENDAR\r\nVERSION:2.0\r\n" + part(lines)
	if override != "" {
		text += part("RECURRENCE-ID:20260302T090000Z;;" + override)
	}
	return parse(t, text+"END:VCALENDAR\r\n")
}

// TestThreeWay: what one side did is taken, what both did differently is in conflict.
func TestThreeWay(t *testing.T) {
	t.Parallel()
	const series = "SUMMARY:s;;DTSTART:20260301T090000Z;;RRULE:FREQ=DAILY"
	const alarm = ";;BEGIN:VALARM;;ACTION:DISPLAY;;DESCRIPTION:a;;TRIGGER:-PT5M;;END:VALARM"
	for _, row := range []struct {
		name           string
		base, from, to *vobject.Component
		want           string // what of from comes to to, or what is in conflict
	}{
		{"one number each", card(t, "k", "TEL:1"), card(t, "k", "TEL:1", "TEL:2"), card(t, "k", "TEL:1", "TEL:3"), "TEL"},
		{"a number removed, another added", card(t, "k", "TEL:1", "TEL:2"), card(t, "k", "TEL:2"), card(t, "k", "TEL:1", "TEL:2", "TEL:3"), "TEL"},
		{"one number's kind on both sides", card(t, "k", "TEL:1"), card(t, "k", "TEL;TYPE=HOME:1"), card(t, "k", "TEL;TYPE=WORK:1"), "conflict TEL"},
		{"the same on both sides", card(t, "k", "NOTE:1"), card(t, "k", "NOTE:2"), card(t, "k", "NOTE:2"), ""},
		{"two properties", card(t, "k", "NOTE:1", "TITLE:1"), card(t, "k", "NOTE:2", "TITLE:1"), card(t, "k", "NOTE:1", "TITLE:2"), "NOTE"},
		{"one removes what the other changes", card(t, "k", "NOTE:1"), card(t, "k"), card(t, "k", "NOTE:2"), "conflict NOTE"},
		{"moved, and renamed", event(t, series, ""), event(t, strings.Replace(series, "T09", "T10", 1), ""), event(t, strings.Replace(series, "SUMMARY:s", "SUMMARY:t", 1), ""), "DTSTART"},
		{"moved, and another rule", event(t, series, ""), event(t, strings.Replace(series, "T09", "T10", 1), ""), event(t, strings.Replace(series, "DAILY", "WEEKLY", 1), ""), "conflict DTSTART"},
		{"moved, and one occurrence changed", event(t, series, ""), event(t, strings.Replace(series, "T09", "T10", 1), ""), event(t, series, "SUMMARY:x;;DTSTART:20260302T090000Z"), "conflict DTSTART"},
		{"one occurrence changed, and moved", event(t, series, ""), event(t, series, "SUMMARY:x;;DTSTART:20260302T090000Z"), event(t, strings.Replace(series, "T09", "T10", 1), ""), "conflict VEVENT"},
		{"one occurrence changed, and renamed", event(t, series, ""), event(t, series, "SUMMARY:x;;DTSTART:20260302T090000Z"), event(t, strings.Replace(series, "SUMMARY:s", "SUMMARY:t", 1), ""), "VEVENT"},
		{"an alarm, and a guest", event(t, series, ""), event(t, series+alarm, ""), event(t, series+";;ATTENDEE:mailto:a@x", ""), "VALARM"},
		{"a guest each", event(t, series, ""), event(t, series+";;ATTENDEE:mailto:b@x", ""), event(t, series+";;ATTENDEE:mailto:a@x", ""), "ATTENDEE"},
	} {
		m := threeWay(row.base, row.from, row.base, row.to, false)
		got := strings.Join(labels(m.taken), " ")
		if len(m.differ) > 0 {
			got = strings.TrimSpace("conflict " + strings.Join(labels(m.differ), " "))
		}
		if got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
		if len(m.differ) > 0 {
			continue
		}
		// Both sides come to the same, whoever takes over from whom.
		back := threeWay(row.base, row.to, row.base, row.from, false)
		a, b := m.apply(row.to, row.from, false), back.apply(row.from, row.to, false)
		if hash(a) != hash(b) {
			t.Errorf("%s: one side becomes\n%s, the other\n%s", row.name, a.Bytes(), b.Bytes())
		}
	}
}

func TestWithout(t *testing.T) {
	t.Parallel()
	written, read := card(t, "k", "NOTE:1", "X-LOSS:1", "TITLE:1"), card(t, "k", "NOTE:2", "TITLE:1", "ROLE:new")
	if got, want := Without(written, read), card(t, "k", "NOTE:1", "TITLE:1"); hash(got) != hash(want) {
		t.Errorf("got %s", got.Bytes())
	}
}

func TestChangedNames(t *testing.T) {
	t.Parallel()
	a, b := card(t, "k", "NOTE:1", "TEL:1", "TITLE:1"), card(t, "k", "NOTE:2", "TEL:1", "TEL:2")
	if got := fmt.Sprint(ChangedNames(a, b)); got != "[NOTE TEL TITLE]" {
		t.Errorf("got %s", got)
	}
	if got := ChangedNames(nil, a); got != nil {
		t.Errorf("of nothing: got %v", got)
	}
}

func TestWithKey(t *testing.T) {
	t.Parallel()
	e := event(t, "SUMMARY:s;;DTSTART:20260301T090000Z;;RRULE:FREQ=DAILY", "SUMMARY:x;;DTSTART:20260302T090000Z")
	before := string(e.Bytes())
	for _, c := range []*vobject.Component{e, card(t, "k", "NOTE:1")} {
		got := WithKey(c, "new")
		if uid, ok := vobject.Key(got); uid != "new" || !ok {
			t.Errorf("the key is %q, %v in %s", uid, ok, got.Bytes())
		}
		if hash(got) != hash(c) {
			t.Errorf("another key makes another meaning: %s", got.Bytes())
		}
	}
	if string(e.Bytes()) != before {
		t.Error("the object itself was changed")
	}
	c := Copy(e, "k", hash(e))
	if again := Copy(e, "k", hash(e)); string(again.Bytes()) != string(c.Bytes()) {
		t.Error("two copies are different")
	}
	for _, part := range c.Parts {
		if !strings.HasSuffix(part.Value("SUMMARY"), " (conflict)") || !strings.HasPrefix(part.Value("UID"), "k-") {
			t.Errorf("a part of the copy is %s", part.Bytes())
		}
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	named := func(key, name string, lines ...string) Record {
		return record(key, card(t, key, append([]string{"FN:" + name}, lines...)...))
	}
	start := func(key, lines string) Record { return record(key, event(t, lines, "")) }
	for _, row := range []struct {
		name           string
		source, target []Record
		want           string
	}{
		{"phone", []Record{named("a", "Ada L", "TEL:+49 30 1234567")}, []Record{named("b", "ada  l", "TEL:(030) 123-4567")}, "[{a b name and phone}]"},
		{"e-mail", []Record{named("a", "Ada", "EMAIL:Ada@x")}, []Record{named("b", "Ada", "EMAIL:ada@X")}, "[{a b name and e-mail}]"},
		{"name alone", []Record{named("a", "Ada")}, []Record{named("b", "Ada")}, "[]"},
		{"phone alone", []Record{named("a", "Ada", "TEL:1234567")}, []Record{named("b", "Bob", "TEL:1234567")}, "[]"},
		{"a short number", []Record{named("a", "Ada", "TEL:110")}, []Record{named("b", "Ada", "TEL:110")}, "[]"},
		{"two there", []Record{named("a", "Ada", "TEL:1234567")}, []Record{named("b", "Ada", "TEL:1234567"), named("c", "Ada", "TEL:1234567")}, "[]"},
		{"two here", []Record{named("a", "Ada", "TEL:1234567"), named("d", "Ada", "TEL:1234567")}, []Record{named("b", "Ada", "TEL:1234567")}, "[]"},
		{"two ways", []Record{named("a", "Ada", "TEL:1234567", "EMAIL:a@x")}, []Record{named("b", "Ada", "TEL:1234567"), named("c", "Ada", "EMAIL:a@x")}, "[]"},
		{"the key", []Record{named("a", "Ada", "TEL:1234567")}, []Record{named("a", "Ada", "TEL:1234567"), named("b", "Ada", "TEL:1234567")}, "[]"},
		{"event", []Record{start("a", "SUMMARY:s;;DTSTART:20260301T090000Z")}, []Record{start("b", "SUMMARY:S;;DTSTART:20260301T090000Z"), start("c", "SUMMARY:s;;DTSTART:20260302T090000Z")}, "[{a b start and summary}]"},
		{"without objects", []Record{{Key: "a"}}, []Record{{Key: "b"}}, "[]"},
	} {
		if got := fmt.Sprint(Match(row.source, row.target)); got != row.want {
			t.Errorf("%s: got %s, want %s", row.name, got, row.want)
		}
	}
}

// TestGuard: each guard by itself, at its limit.
func TestGuard(t *testing.T) {
	t.Parallel()
	ops := func(a Action, n int) *Changes {
		c := new(Changes)
		for range n {
			c.Ops = append(c.Ops, Op{Where: Target, Action: a})
		}
		return c
	}
	now := time.Unix(1000, 0)
	full := Facts{Base: 100, Source: 100, Target: 100, Device: "d", LastDevice: "d", At: now, LastAt: now}
	with := func(change func(*Facts)) Facts {
		f := full
		change(&f)
		return f
	}
	for _, row := range []struct {
		name  string
		plan  *Changes
		facts Facts
		want  string
	}{
		{"nothing", ops(Create, 1000), full, "[]"},
		{"10 %", ops(Delete, 10), full, "[]"},
		{"over 10 %", ops(Delete, 11), full, "[many-deletions]"},
		{"5 of few", ops(Delete, 5), with(func(f *Facts) { f.Base = 6 }), "[]"},
		{"6 of few", ops(Delete, 6), with(func(f *Facts) { f.Base = 6 }), "[many-deletions many-changes]"},
		{"50 %", ops(Update, 50), full, "[]"},
		{"over 50 %", ops(Update, 51), full, "[many-changes]"},
		{"a first run", ops(Update, 6), Facts{Source: 6, Target: 6}, "[many-changes]"},
		{"many at once", ops(Delete, 501), with(func(f *Facts) { f.Base = 10000 }), "[deletions-over-cap]"},
		{"10 % vanished", &Changes{Vanished: 10}, full, "[]"},
		{"over 10 % vanished", &Changes{Vanished: 11}, full, "[many-vanished]"},
		{"more unread", ops(Update, 1), with(func(f *Facts) { f.Unread, f.LastUnread = 2, 1 }), "[unread]"},
		{"more unread, and nothing is changed", ops(Create, 1), with(func(f *Facts) { f.Unread, f.LastUnread = 2, 1 }), "[]"},
		{"as much unread", ops(Delete, 1), with(func(f *Facts) { f.Unread, f.LastUnread = 2, 2 }), "[]"},
		{"held back since more was unread", ops(Update, 1), with(func(f *Facts) { f.Doubtful = 1 }), "[unread]"},
		{"empty source", ops(Delete, 0), with(func(f *Facts) { f.Source = 0 }), "[empty-side]"},
		{"empty target", ops(Create, 0), with(func(f *Facts) { f.Target = 0 }), "[empty-side]"},
		{"another device", ops(Create, 0), with(func(f *Facts) { f.Device = "e" }), "[other-device!]"},
		{"older", ops(Create, 0), with(func(f *Facts) { f.At = now.Add(-time.Second) }), "[older-snapshot!]"},
		{"another target", ops(Create, 0), with(func(f *Facts) { f.Identity[Target], f.LastIdentity[Target] = "a", "b" }), "[other-target!]"},
		{"another source", ops(Create, 0), with(func(f *Facts) { f.Identity[Source], f.LastIdentity[Source] = "a", "b" }), "[other-source!]"},
		{"a target that was not asked", ops(Create, 0), with(func(f *Facts) { f.LastIdentity[Target] = "b" }), "[]"},
	} {
		names := []string{}
		for _, f := range Guard(row.plan, row.facts) {
			name := f.Guard
			if f.Refused {
				name += "!"
			}
			if names = append(names, name); f.Text == "" {
				t.Errorf("%s: %s says nothing", row.name, f.Guard)
			}
		}
		if got := fmt.Sprint(names); got != row.want {
			t.Errorf("%s: got %s, want %s", row.name, got, row.want)
		}
	}
}

// FuzzPlan: whatever three lists of the same few keys hold, the plan is made, twice
// the same, and one that was done leaves nothing to do.
func FuzzPlan(f *testing.F) {
	f.Add([]byte("\x01\x02\x03\x04"), uint8(0))
	f.Add([]byte("\x11\x22\x33\x44\x55\x66"), uint8(5))
	f.Fuzz(func(t *testing.T, data []byte, kind uint8) {
		policy := Policy{Mode: []Mode{Safe, Mirror, TwoWay}[kind%3], Choice: []Choice{Ask, SourceWins, TargetWins}[kind/3%3]}
		forms := []*vobject.Component{nil, card(t, "k", "NOTE:1"), card(t, "k", "NOTE:2"), card(t, "k", "NOTE:1", "TITLE:1")}
		var base []Agreed
		var sides [2][]Record
		for i := 0; i+1 < len(data) && i < 16; i += 2 {
			key := fmt.Sprint(i)
			for w, n := range []byte{data[i], data[i] >> 2} {
				if c := forms[n&3]; c != nil {
					sides[w] = append(sides[w], record(key, c))
				}
			}
			if o, g := forms[data[i+1]&3], forms[data[i+1]>>2&3]; o != nil && g != nil {
				base = append(base, Agreed{Key: key, Target: hash(o), Source: hash(g), Object: o, Given: g, Leads: []Lead{Neither, SourceLeads, TargetLeads}[data[i+1]>>4%3]})
			}
		}
		c, err := Plan(base, sides[Source], sides[Target], policy)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Plan(base, sides[Source], sides[Target], policy)
		if err != nil || show(again) != show(c) {
			t.Errorf("planned twice: %q and %q, %v", show(c), show(again), err)
		}
	})
}

func TestCutShort(t *testing.T) {
	t.Parallel()
	written := card(t, "k", "NOTE:one\\, two\\; three", "TITLE:1", "X-PLACE:geo:52.5,13.4")
	for _, row := range []struct {
		name string
		read *vobject.Component
		want bool
	}{
		{"all of it", written, true},
		{"one value", card(t, "k", "NOTE:one\\, two\\; three", "TITLE:1", "X-PLACE:geo:52.5"), true},
		{"two values", card(t, "k", "NOTE:one\\, two", "TITLE:1", "X-PLACE:geo:52.5"), true},
		{"elsewhere", card(t, "k", "NOTE:one\\, t", "TITLE:1", "X-PLACE:geo:52.5,13.4"), false},
		{"another value", card(t, "k", "NOTE:two", "TITLE:1", "X-PLACE:geo:52.5,13.4"), false},
		{"one missing", card(t, "k", "NOTE:one", "X-PLACE:geo:52.5,13.4"), false},
		{"one more", card(t, "k", "NOTE:one", "TITLE:1", "TITLE:2", "X-PLACE:geo:52.5,13.4"), false},
		{"another parameter", card(t, "k", "NOTE:one", "TITLE;TYPE=HOME:1", "X-PLACE:geo:52.5,13.4"), false},
	} {
		if got := CutShort(written, row.read); got != row.want {
			t.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
	}
}
