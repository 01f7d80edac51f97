package merge_test

import (
	"fmt"
	"slices"
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
