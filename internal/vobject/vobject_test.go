package vobject_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"russet/internal/vobject"
)

func TestParse(t *testing.T) {
	t.Parallel()
	c := card(t, "item1.Tel;TYPE=HOME,\"a;b\";X-A=^'q^';x=", " y;PREF:+1", " 23", "", "NOTE;QUOTED-PRINTABLE:a=", " b=", "c:=3D", "agent:", "BEGIN:vcard", "FN:in", "END:VCARD", "FN:out")
	if len(c.Lines) != 4 || len(c.Parts) != 1 || c.Parts[0].Value("fn") != "in" || c.Value("FN") != "out" {
		t.Fatalf("got %+v", c)
	}
	l := c.Lines[0]
	want := []vobject.Param{{Name: "TYPE", Values: []string{"HOME", "a;b"}}, {Name: "X-A", Values: []string{`"q"`}}, {Name: "X", Values: []string{"y"}}, {Name: "TYPE", Values: []string{"PREF"}}}
	if l.Group != "item1" || l.Name != "TEL" || l.Value != "+123" || !slices.EqualFunc(l.Params, want, func(a, b vobject.Param) bool {
		return a.Name == b.Name && slices.Equal(a.Values, b.Values)
	}) {
		t.Errorf("got %+v", l)
	}
	if note, _ := c.Get("NOTE"); note.Value != "a bc:=3D" || note.Param("encoding") != "QUOTED-PRINTABLE" {
		t.Errorf("got %+v", note)
	}
}

// The beginning and the end of a file may be odd.
func TestParseEnds(t *testing.T) {
	t.Parallel()
	objects, err := vobject.Parse([]byte("\xef\xbb\xbf\n\r\nBEGIN:VCARD\nEND:VCARD\n\n\nbegin:vcard\nFN:a\nend:vcard"))
	if err != nil || len(objects) != 2 || objects[1].Name != "VCARD" {
		t.Fatalf("got %d objects, %v", len(objects), err)
	}
	if got, want := string(objects[0].Bytes())+string(objects[1].Bytes()), "\n\r\nBEGIN:VCARD\nEND:VCARD\n\n\nbegin:vcard\nFN:a\nend:vcard\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if objects, err := vobject.Parse(nil); err != nil || len(objects) != 0 {
		t.Errorf("nothing: got %d objects, %v", len(objects), err)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("BEGIN:A\n", 9) + strings.Repeat("END:A\n", 9)
	for name, data := range map[string]string{
		"text before":        "FN:secret\nBEGIN:VCARD\nEND:VCARD\n",
		"text between":       "BEGIN:VCARD\nEND:VCARD\nFN:secret\nBEGIN:VCARD\nEND:VCARD\n",
		"no end":             "BEGIN:VCARD\nFN:secret\n",
		"another end":        "BEGIN:VCARD\nEND:VEVENT\n",
		"an end too much":    "BEGIN:VCARD\nEND:VCARD\nEND:VCARD\n",
		"no name":            "BEGIN:VCARD\n:secret\nEND:VCARD\n",
		"no colon":           "BEGIN:VCARD\nsecret\nEND:VCARD\n",
		"no name of a group": "BEGIN:VCARD\n.FN:secret\nEND:VCARD\n",
		"a blank in a name":  "BEGIN:VCARD\nsecret name:x\nEND:VCARD\n",
		"parameter":          "BEGIN:VCARD\nFN;secret\nEND:VCARD\n",
		"parameter's value":  "BEGIN:VCARD\nFN;X=\"secret:\nEND:VCARD\n\x00",
		"no name of a frame": "BEGIN:\nEND:\n",
		"depth":              deep,
		"parameters":         "BEGIN:VCARD\nFN" + strings.Repeat(";secret", 3000) + ":x\nEND:VCARD\n",
		"parameter's values": "BEGIN:VCARD\nFN;X=" + strings.Repeat("secret,", 3000) + ":x\nEND:VCARD\n",
		"lines":              "BEGIN:VCARD\n" + strings.Repeat("A:\n", 500_000) + "END:VCARD\n",
		"values":             "BEGIN:VCARD\nNICKNAME:" + strings.Repeat("a,", 500_000) + "\nEND:VCARD\n",
		"size":               strings.Repeat("\n", vobject.MaxSize+1),
	} {
		objects, err := vobject.Parse([]byte(data))
		if !errors.Is(err, vobject.ErrSyntax) {
			t.Errorf("%s: got %d objects, %v, want %v", name, len(objects), err, vobject.ErrSyntax)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error tells the content: %v", name, err)
		}
	}
}

func TestEdit(t *testing.T) {
	t.Parallel()
	c := parse(t, "begin:VCALENDAR", "A:1", "BEGIN:VEVENT", "END:VEVENT", "x-b:2", "a:3", "BEGIN:VTODO", "END:VTODO", "end:vcalendar")
	c.Set(vobject.NewLine("a", "new"))
	c.Remove("X-B")
	c.Add(vobject.NewLine("X-C", "c", vobject.Param{Name: "P", Values: []string{"a,b\n\"^", "c"}}).In("item1"))
	c.Parts = append(c.Parts, vobject.New("VALARM")) // by hand
	c.AddPart(vobject.New("VJOURNAL"))
	got := string(c.Bytes())
	want := strings.Join([]string{
		"begin:VCALENDAR", "a:new", "BEGIN:VEVENT", "END:VEVENT", "BEGIN:VTODO", "END:VTODO", `item1.X-C;P="a,b^n^'^^",c:c`,
		"BEGIN:VALARM", "END:VALARM", "BEGIN:VJOURNAL", "END:VJOURNAL", "end:vcalendar", "",
	}, "\r\n")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	back := parse(t, strings.TrimSuffix(got, "\r\n"))
	if l, _ := back.Get("x-c"); !slices.Equal(l.Params[0].Values, []string{"a,b\n\"^", "c"}) || len(back.All("a")) != 1 {
		t.Errorf("got %+v", l)
	}
}

// Whatever a line of our own holds, it stays one line.
func TestNothingIsInjected(t *testing.T) {
	t.Parallel()
	evil := "x\r\nEND:VCARD\nBEGIN:VCARD\x00\"^"
	c := vobject.New("VCARD")
	c.Add(
		vobject.NewLine("URL", evil),
		vobject.NewLine("NOTE", vobject.Text(evil)),
		vobject.NewLine(evil, "v", vobject.Param{Name: evil, Values: []string{evil}}).In(evil),
	)
	back := parse(t, strings.TrimSuffix(string(c.Bytes()), "\r\n"))
	if len(back.Lines) != 3 || back.Lines[1].Name != "NOTE" {
		t.Errorf("got %q", c.Bytes())
	}
	if got, want := vobject.Unescape(back.Value("NOTE")), "x\nEND:VCARD\nBEGIN:VCARD\"^"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFold(t *testing.T) {
	t.Parallel()
	for _, value := range []string{strings.Repeat("aü€😀", 100), strings.Repeat("a", 70), strings.Repeat("a", 71), strings.Repeat("\u0301", 200), strings.Repeat("\x80", 200)} {
		c := vobject.New("VCARD")
		c.Add(vobject.NewLine("NOTE", value))
		data := c.Bytes()
		for line := range bytes.SplitSeq(data, []byte("\r\n")) {
			if len(line) > 75 || !utf8.Valid(line) {
				t.Errorf("%q: a line of %d bytes: %q", value, len(line), line)
			}
		}
		want := strings.ToValidUTF8(value, strings.Repeat("\ufffd", 200))
		if got := parse(t, strings.TrimSuffix(string(data), "\r\n")).Value("NOTE"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	for v, want := range map[string][]string{
		"":           {""},
		"a":          {"a"},
		`a;b\;c;;\\`: {"a", `b\;c`, "", `\\`},
		`a\`:         {`a\`},
		`;\`:         {"", `\`},
	} {
		if got := vobject.Fields(v); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", v, got, want)
		}
		if got := vobject.List(strings.ReplaceAll(v, ";", ",")); len(got) != len(want) {
			t.Errorf("%q: got %q, want %q", v, got, want)
		}
	}
	for _, s := range []string{"", "a,b;c\\d\ne", `\n`, "tab\t"} {
		if got := vobject.Unescape(vobject.Text(s)); got != s {
			t.Errorf("got %q, want %q", got, s)
		}
	}
}

func TestKey(t *testing.T) {
	t.Parallel()
	in := slices.Concat[[]string]
	vevent := lines("BEGIN:VEVENT", "UID:a\\,b", "END:VEVENT")
	for _, c := range []struct {
		object *vobject.Component
		uid    string
		ok     bool
	}{
		{card(t, "UID: a "), "a", true},
		{card(t, "FN:a"), "", false},
		{card(t, "UID:"), "", false},
		{card(t, "UID:a", "UID:b"), "", false},
		{card(t, "UID:a", "UID:a"), "a", true},
		{calendar(t, in(vevent, lines("BEGIN:VTIMEZONE", "END:VTIMEZONE"), vevent)...), "a,b", true},
		{calendar(t), "", false},
		{calendar(t, in(vevent, lines("BEGIN:VEVENT", "UID:b", "END:VEVENT"))...), "", false},
		{calendar(t, in(vevent, lines("BEGIN:VEVENT", "END:VEVENT"))...), "", false},
		{calendar(t, in(vevent, lines("BEGIN:VTODO", "UID:a\\,b", "END:VTODO"))...), "", false},
		{calendar(t, "UID:a"), "", false},
	} {
		if uid, ok := vobject.Key(c.object); uid != c.uid || ok != c.ok {
			t.Errorf("%s: got %q, %v, want %q, %v", c.object.Bytes(), uid, ok, c.uid, c.ok)
		}
	}
}

func TestHasUID(t *testing.T) {
	t.Parallel()
	two := append(card(t, "UID: a\\,b ", "UID:c").Bytes(), calendar(t, lines("BEGIN:VEVENT", "UID:d", "END:VEVENT", "BEGIN:VEVENT", "UID:e", "END:VEVENT")...).Bytes()...)
	for uid, want := range map[string]bool{"a,b": true, `a\,b`: false, "c": true, "d": true, "e": true, "": false} {
		if got := vobject.HasUID(two, uid); got != want {
			t.Errorf("%q: got %v, want %v", uid, got, want)
		}
	}
	if vobject.HasUID([]byte("UID:a"), "a") {
		t.Error("what is no object has a UID")
	}
}
