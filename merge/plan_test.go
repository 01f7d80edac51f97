package merge

import (
	"fmt"
	"strings"
	"testing"

	"russet/internal/vobject"
)

// card is a vCard of lines.
func card(t testing.TB, key string, lines ...string) *vobject.Component {
	t.Helper()
	return parse(t, "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:"+key+"\r\n"+strings.Join(lines, "\r\n")+"\r\nEND:VCARD\r\n")
}

func parse(t testing.TB, text string) *vobject.Component {
	t.Helper()
	all, err := vobject.Parse([]byte(text))
	if err != nil || len(all) != 1 {
		t.Fatalf("parse %q: %d objects, %v", text, len(all), err)
	}
	return all[0]
}

func hash(c *vobject.Component) vobject.Hash { return vobject.HashOf(vobject.Canonical(c)) }

func record(key string, c *vobject.Component) Record {
	return Record{Key: key, Hash: hash(c), Object: c}
}

// show is a plan in a word for each thing.
func show(c *Changes) string {
	var words []string
	for _, op := range c.Ops {
		word := fmt.Sprintf("%s-%v", op.Action, op.Where)
		if op.Object != nil {
			word += "-merged"
		}
		words = append(words, word)
	}
	for range c.Settled {
		words = append(words, "settle")
	}
	for _, k := range c.Conflicts {
		words = append(words, string(k.Cause))
	}
	for range c.Unchanged {
		words = append(words, "nothing")
	}
	return strings.Join(words, " ")
}

// TestTable is the table of docs/sync.md, row by row: a record as the base has it, as
// the source has it, as the target has it, and what is done one way, in a mirror,
// and in two ways. "" is a record that is not there; X and Y change the same
// property of O, and Z another one.
func TestTable(t *testing.T) {
	t.Parallel()
	const o, x, y, z = "NOTE:o", "NOTE:x", "NOTE:y", "NOTE:o\r\nTITLE:z"
	for _, row := range []struct {
		base, state, source, target string
		safe, mirror, twoWay        string
	}{
		{o, "", o, o, "nothing", "nothing", "nothing"},
		{o, "", x, o, "update-target", "update-target", "update-target"},
		{o, "", o, y, "edited", "update-target", "update-source"},
		{o, "", x, x, "settle", "settle", "settle"},
		{o, "", x, y, "conflict", "update-target", "conflict"},
		{o, "", x, z, "update-target-merged", "update-target", "update-source-merged update-target-merged"},
		{o, "", z, y, "update-target-merged", "update-target", "update-source-merged update-target-merged"},
		{o, "", "", o, "delete-target", "delete-target", "delete-target"},
		{o, "", "", y, "settle", "delete-target", "create-source"},
		{o, "", o, "", "settle", "create-target", "delete-source"},
		{o, "", x, "", "create-target", "create-target", "create-target"},
		{o, "", "", "", "settle", "settle", "settle"},
		{"", "", x, "", "create-target", "create-target", "create-target"},
		{"", "", x, x, "settle", "settle", "settle"},
		{"", "", x, y, "conflict", "update-target", "conflict"},
		{"", "", o, z, "settle", "update-target", "update-source"},
		{"", "", z, o, "update-target", "update-target", "update-target"},
		{"", "", "", y, "", "", "create-source"},
		{o, "removed", o, "", "nothing", "create-target", "nothing"},
		{o, "removed", x, "", "create-target", "create-target", "create-target"},
		{o, "removed", o, o, "settle", "settle", "settle"},
		{o, "orphan", "", o, "nothing", "delete-target", "nothing"},
		{o, "orphan", "", y, "settle", "delete-target", "create-source"},
		{o, "orphan", x, o, "update-target", "update-target", "update-target"},
		{o, "held", o, o, "settle", "settle", "settle"},
	} {
		for mode, want := range map[Mode]string{Safe: row.safe, Mirror: row.mirror, TwoWay: row.twoWay} {
			var base []Agreed
			var sides [2][]Record
			if row.base != "" {
				c := card(t, "k", row.base)
				base = append(base, Agreed{Key: "k", Source: hash(c), Target: hash(c), Object: c, State: State(row.state)})
			}
			for w, body := range []string{row.source, row.target} {
				if body != "" {
					sides[w] = append(sides[w], record("k", card(t, "k", body)))
				}
			}
			got, err := Plan(base, sides[Source], sides[Target], Policy{Mode: mode})
			if err != nil {
				t.Fatal(err)
			}
			if show(got) != want {
				t.Errorf("%s: base %q %s, source %q, target %q: got %q, want %q", mode, row.base, row.state, row.source, row.target, show(got), want)
			}
		}
	}
}

// TestIncomplete: what a reader may have overlooked was not deleted.
func TestIncomplete(t *testing.T) {
	t.Parallel()
	o := card(t, "k", "NOTE:o")
	base := []Agreed{{Key: "k", Source: hash(o), Target: hash(o), Object: o}}
	for _, target := range []*vobject.Component{o, card(t, "k", "NOTE:y")} {
		for _, mode := range []Mode{Safe, Mirror} {
			got, err := Plan(base, nil, []Record{record("k", target)}, Policy{Mode: mode, Incomplete: true})
			if err != nil || show(got) != "nothing" {
				t.Errorf("%s: got %q, %v, want nothing", mode, show(got), err)
			}
		}
	}
}

// TestChoices: what becomes of a record that both sides changed.
func TestChoices(t *testing.T) {
	t.Parallel()
	o, s, y := card(t, "k", "FN:A", "NOTE:o"), card(t, "k", "FN:A", "NOTE:s", "TITLE:s"), card(t, "k", "FN:A", "NOTE:t", "EMAIL:t@x")
	base := []Agreed{{Key: "k", Source: hash(o), Target: hash(o), Object: o}}
	for _, row := range []struct {
		mode   Mode
		choice Choice
		want   string
		note   string // of the merged record
	}{
		{Safe, Ask, "conflict", ""},
		{Safe, SourceWins, "update-target-merged", "s"},
		{Safe, TargetWins, "update-target-merged", "t"},
		{Safe, KeepBoth, "create-target-merged update-target-merged", "s"},
		{TwoWay, SourceWins, "update-source-merged update-target-merged", "s"},
		{TwoWay, TargetWins, "update-source-merged update-target-merged", "t"},
		{TwoWay, KeepBoth, "create-source-merged create-target-merged update-source-merged update-target-merged", "s"},
	} {
		got, err := Plan(base, []Record{record("k", s)}, []Record{record("k", y)}, Policy{Mode: row.mode, Choice: row.choice})
		if err != nil {
			t.Fatal(err)
		}
		if show(got) != row.want {
			t.Errorf("%s, %s: got %q, want %q", row.mode, row.choice, show(got), row.want)
		}
		for _, op := range got.Ops {
			switch {
			case op.Action == Create:
				if uid, _ := vobject.Key(op.Object); uid != op.Key || op.Object.Value("NOTE") != "t" || op.Object.Value("FN") != "A (conflict)" {
					t.Errorf("%s, %s: the copy is %q under %q", row.mode, row.choice, op.Object.Bytes(), op.Key)
				}
			case op.Object.Value("NOTE") != row.note || op.Object.Value("TITLE") != "s" || op.Object.Value("EMAIL") != "t@x":
				t.Errorf("%s, %s: the merged record is %q", row.mode, row.choice, op.Object.Bytes())
			}
		}
		if row.want == "conflict" && (len(got.Conflicts) != 1 || fmt.Sprint(got.Conflicts[0].Properties) != "[NOTE]") {
			t.Errorf("conflicts are %v", got.Conflicts)
		}
	}
	// Where objects cannot be had, nobody guesses.
	bare := []Record{{Key: "k", Hash: hash(s)}}
	for choice, want := range map[Choice]string{Ask: "conflict", SourceWins: "update-target", TargetWins: "settle", KeepBoth: "conflict"} {
		got, err := Plan(base, bare, []Record{{Key: "k", Hash: hash(y)}}, Policy{Choice: choice})
		if err != nil || show(got) != want {
			t.Errorf("without objects, %s: got %q, %v, want %q", choice, show(got), err, want)
		}
	}
	// Where only the base's are lost, people are told what differs.
	lost := []Agreed{{Key: "k", Source: hash(o), Target: hash(o)}}
	got, err := Plan(lost, []Record{record("k", s)}, []Record{record("k", y)}, Policy{})
	if err != nil || len(got.Conflicts) != 1 || fmt.Sprint(got.Conflicts[0].Properties) != "[EMAIL NOTE TITLE]" {
		t.Errorf("without the base's objects: conflicts are %v, %v", got.Conflicts, err)
	}
}

// TestForms: a server that keeps less than it is given, and a target that has more
// of its own, are no edits, and neither is undone by the next change.
func TestForms(t *testing.T) {
	t.Parallel()
	given, kept := card(t, "k", "FN:A", "X-LOSS:l", "NOTE:o"), card(t, "k", "FN:A", "NOTE:o")
	more := card(t, "k", "FN:A", "NOTE:o", "TITLE:own")
	changed := card(t, "k", "FN:A", "X-LOSS:l", "NOTE:n")
	other := card(t, "k", "FN:A", "NOTE:t")
	for _, row := range []struct {
		name          string
		form          *vobject.Component // of the target, in the base and now
		given, source *vobject.Component
		leads         Lead
		want, result  string
	}{
		{"nothing changed", kept, given, given, SourceLeads, "nothing", ""},
		{"the source changed", kept, given, changed, SourceLeads, "update-target", ""},
		{"the source changed, of which the target has another form", kept, given, changed, Neither, "update-target-merged", "n"},
		{"what is not kept changed", kept, given, card(t, "k", "FN:A", "NOTE:o"), Neither, "settle", ""},
		{"the target has more", more, kept, card(t, "k", "FN:A", "NOTE:n"), Neither, "update-target-merged", "n"},
		{"the source writes over what the target has of its own", more, kept, card(t, "k", "FN:A", "NOTE:o", "TITLE:new"), Neither, "conflict", ""},
		{"the source changes what the target has otherwise", other, kept, card(t, "k", "FN:A", "NOTE:n"), Neither, "conflict", ""},
		{"the source deletes what the target has more of", more, kept, nil, Neither, "settle", ""},
		{"the source deletes what the target keeps less of", kept, given, nil, SourceLeads, "delete-target", ""},
	} {
		base := []Agreed{{Key: "k", Source: hash(row.given), Target: hash(row.form), Object: row.form, Given: row.given, Leads: row.leads}}
		var source []Record
		if row.source != nil {
			source = append(source, record("k", row.source))
		}
		got, err := Plan(base, source, []Record{record("k", row.form)}, Policy{})
		if err != nil || show(got) != row.want {
			t.Errorf("%s: got %q, %v, want %q", row.name, show(got), err, row.want)
			continue
		}
		if row.result != "" && (got.Ops[0].Object.Value("NOTE") != row.result || got.Ops[0].Object.Value("TITLE") != row.form.Value("TITLE")) {
			t.Errorf("%s: written is %q", row.name, got.Ops[0].Object.Bytes())
		}
	}
}

// TestOrder: creations, updates, then deletions, and nothing depends on the order of
// what is given.
func TestOrder(t *testing.T) {
	t.Parallel()
	o, n := card(t, "k", "NOTE:o"), card(t, "k", "NOTE:n")
	var base []Agreed
	for _, k := range []string{"d", "c", "b"} {
		base = append(base, Agreed{Key: k, Source: hash(o), Target: hash(o), Object: o})
	}
	source := []Record{record("e", n), record("c", n), record("a", n)}
	target := []Record{record("d", o), record("c", o), record("b", o)}
	got, err := Plan(base, source, target, Policy{})
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, op := range got.Ops {
		order = append(order, string(op.Action)+" "+op.Key)
	}
	want := "[create a create e update c delete b delete d]"
	if fmt.Sprint(order) != want {
		t.Errorf("got %v, want %v", order, want)
	}
	if s := got.String(); s != "create 2 at the target, update 1 at the target, delete 2 at the target" {
		t.Errorf("String() = %q", s)
	}
	if base[0].Key != "d" || source[0].Key != "e" {
		t.Error("Plan changed what it was given")
	}
	if _, err := Plan(nil, append(source, source[0]), nil, Policy{}); err == nil {
		t.Error("a key that stands twice is no error")
	}
}

// BenchmarkPlan plans 100,000 records against 100,000, of which 1 % changed, came or
// went, and reports what that takes.
func BenchmarkPlan(b *testing.B) {
	const n = 100_000
	base, source, target := make([]Agreed, 0, n), make([]Record, 0, n), make([]Record, 0, n)
	o, x := vobject.Hash{1}, vobject.Hash{2}
	for i := range n {
		key := fmt.Sprintf("%08X-0000-4000-8000-%012X", uint32(i)*2654435761, i)
		h := o
		if i%100 == 0 {
			h = x
		}
		if i%100 != 1 {
			base = append(base, Agreed{Key: key, Source: o, Target: o})
			target = append(target, Record{Key: key, Hash: o})
		}
		if i%100 != 2 {
			source = append(source, Record{Key: key, Hash: h})
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		c, err := Plan(base, source, target, Policy{})
		if err != nil || len(c.Ops) != 3*n/100 {
			b.Fatalf("%d ops, %v", len(c.Ops), err)
		}
	}
}
