package vobject_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"russet/internal/vobject"
)

func seeds(f *testing.F) {
	f.Helper()
	files, err := filepath.Glob("testdata/servers/*/*")
	if err != nil || len(files) == 0 {
		f.Fatalf("got %d files, %v", len(files), err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, s := range []string{
		"\xef\xbb\xbf\r\n\nBEGIN:VCARD\r\nTEL;HOME;QUOTED-PRINTABLE:a=\r\n b=\n\r\n\nEND:VCARD\r\n\r\n\nbegin:a\nend:a\r",
		"BEGIN:VCARD\nPHOTO;BASE64:\n AAEC\n Aw==\n\na.X-ABLABEL:x\na.TEL;TYPE=\"a,b\";X=^n\"c:1\nEND:VCARD",
		"BEGIN:VCALENDAR\nBEGIN:VEVENT\nRECURRENCE-ID;TZID=UTC:20260101T090000\nTRIGGER:-P1DT2H\nRRULE:FREQ=DAILY;BYDAY=MO,+1TU\nBDAY:--04-12\nEND:VEVENT\nEND:VCALENDAR\n",
	} {
		f.Add([]byte(s))
	}
}

// What Parse takes, Bytes gives back.
func FuzzParse(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		objects, err := vobject.Parse(data)
		if err != nil {
			return
		}
		var got []byte
		for _, c := range objects {
			got = append(got, c.Bytes()...)
		}
		want := bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
		if len(objects) == 0 {
			want = bytes.Trim(want, "\r\n")
		} else if !bytes.HasSuffix(want, []byte("\n")) {
			want = append(bytes.Clone(want), "\r\n"...)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// shuffle puts lines and parts in another order.
func shuffle(c *vobject.Component, r *rand.Rand) {
	r.Shuffle(len(c.Lines), func(i, j int) { c.Lines[i], c.Lines[j] = c.Lines[j], c.Lines[i] })
	r.Shuffle(len(c.Parts), func(i, j int) { c.Parts[i], c.Parts[j] = c.Parts[j], c.Parts[i] })
	for _, p := range c.Parts {
		shuffle(p, r)
	}
}

// The canonical form is the same after a round trip and in any order; and what one
// object says can be put into another.
func FuzzCanonical(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		objects, err := vobject.Parse(data)
		if err != nil || len(objects) == 0 {
			return
		}
		c := objects[0]
		want := vobject.Canonical(c)
		uid, ok := vobject.Key(c)
		shuffle(c, rand.New(rand.NewPCG(uint64(len(data)), 0)))
		objects, err = vobject.Parse(c.Bytes())
		if err != nil || len(objects) != 1 {
			t.Fatalf("shuffled: got %d objects, %v", len(objects), err)
		}
		if got := vobject.Canonical(objects[0]); !slices.Equal(got, want) {
			t.Errorf("shuffled: got\n%q\nwant\n%q", got, want)
		}
		if again, same := vobject.Key(objects[0]); same != ok || again != uid {
			t.Errorf("shuffled: got %q, %v, want %q, %v", again, same, uid, ok)
		}
		empty := vobject.New(c.Name)
		if len(data)%2 == 0 {
			empty.Add(vobject.NewLine("VERSION", "4.0"))
		}
		taken := vobject.Apply(empty, nil, want, c)
		if got := vobject.Canonical(taken); c.Name == "VCARD" && !slices.Equal(got, want) || len(want) > 0 && len(got) == 0 {
			t.Errorf("taken into an empty object: got\n%q\nwant\n%q", got, want)
		}
		if _, err := vobject.Parse(taken.Bytes()); err != nil {
			t.Errorf("taken into an empty object: %v: %q", err, taken.Bytes())
		}
		if left := vobject.Apply(c, want, nil, c); len(c.All("RECURRENCE-ID")) == 0 && c.Name == "VCARD" && len(vobject.Canonical(left)) != 0 {
			t.Errorf("all taken out: left %q", vobject.Canonical(left))
		}
	})
}
