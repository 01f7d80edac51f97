package merge_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"russet/internal/vobject"
	"russet/merge"
)

// TestMatchOfTwo: one record of a side that two of the other fit is matched with
// neither, in whatever order they come.
func TestMatchOfTwo(t *testing.T) {
	t.Parallel()
	card := func(uid, name string, lines ...string) merge.Record {
		c := vobject.New("VCARD")
		c.Set(vobject.NewLine("UID", uid))
		c.Set(vobject.NewLine("FN", name))
		for _, l := range lines {
			c.Lines = append(c.Lines, vobject.NewLine("TEL", l))
		}
		return merge.Record{Key: uid, Hash: vobject.HashOf(vobject.Canonical(c)), Object: c}
	}
	senior, junior := card("senior", "Ada", "0301234567"), card("junior", "Ada", "0307654321")
	other := card("other", "Bob", "0305555555")
	both := []merge.Record{card("x", "Ada", "0301234567", "0307654321"), card("y", "Bob", "+49 30 5555555")}
	for _, list := range [][]merge.Record{{senior, junior, other}, {other, junior, senior}} {
		if got, want := fmt.Sprint(merge.Match(list, both)), "[{other y name and phone}]"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		slices.Reverse(list)
		if got, want := fmt.Sprint(merge.Match(both, list)), "[{y other name and phone}]"; got != want {
			t.Errorf("the other way: got %s, want %s", got, want)
		}
	}
}

// TestOutline: outlines are matched as what they are of, and hold nothing else.
func TestOutline(t *testing.T) {
	t.Parallel()
	const event = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:%s\r\nDTSTART:20260101T100000Z\r\nSUMMARY:Tea\r\nATTACH:long\r\nEND:VEVENT\r\n" +
		"BEGIN:VEVENT\r\nUID:%[1]s\r\nRECURRENCE-ID:20260102T100000Z\r\nDTSTART:20260102T110000Z\r\nSUMMARY:%[1]s\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	const card = "BEGIN:VCARD\r\nUID:%s\r\nfn:Ada\r\nTEL:%[1]s1234567\r\nitem1.EMAIL:ada@example.test\r\nPHOTO;ENCODING=b:long\r\nEND:VCARD\r\n"
	for _, form := range []string{event, card} {
		var whole, outlined [2][]merge.Record
		for side, uid := range []string{"1", "2"} {
			all, err := vobject.Parse(fmt.Appendf(nil, form, uid))
			if err != nil {
				t.Fatal(err)
			}
			o := merge.Outline(all[0])
			whole[side] = []merge.Record{{Key: uid, Object: all[0]}}
			outlined[side] = []merge.Record{{Key: uid, Object: o}}
			if text := string(o.Bytes()); strings.Contains(text, "long") || strings.Contains(text, "UID") {
				t.Errorf("the outline is %q", text)
			}
		}
		got, want := merge.Match(outlined[0], outlined[1]), merge.Match(whole[0], whole[1])
		if len(want) != 1 || !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}
