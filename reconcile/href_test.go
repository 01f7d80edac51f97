package reconcile

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"russet/merge"
)

// stubborn deletes nothing.
type stubborn struct{ Side }

func (s stubborn) Delete(context.Context, merge.Ref) error {
	return fmt.Errorf("delete: %w", merge.ErrChanged)
}

// TestHrefTaken: another client puts another record where one was, and what follows of
// that fails at first: the new record is not taken for the old one, nor for gone.
func TestHrefTaken(t *testing.T) {
	t.Parallel()
	for _, other := range []string{"a", "z"} { // before and behind it in the base
		for _, tokens := range []bool{true, false} {
			p := newPair(t, quirks{tokens: tokens})
			p.write("k", "NOTE:1")
			p.write("m", "NOTE:1")
			p.run()
			p.server.put(p.server.href("k"), []byte(body(other)))
			p.source = stubborn{p.folder}
			p.want("another record at its place", p.run(), fmt.Sprintf("create %s at source", other))
			p.want("again", p.run(), "")
			p.source = p.folder
			p.want("it can be deleted", p.run(), "delete k at source")
			p.want("quiet", p.run(), "")
			if p.here(other) == "" || p.here("k") != "" {
				t.Errorf("the folder has %q and %q", p.here(other), p.here("k"))
			}
		}
	}
}

// TestMoved: an item that a first run matched is known under its own UID wherever it
// lies.
func TestMoved(t *testing.T) {
	t.Parallel()
	for _, mode := range []merge.Mode{merge.Safe, merge.Mirror} {
		r := newRig(t, quirks{})
		r.config.Mode = mode
		r.add()
		card := func(uid string) string {
			return strings.Replace(body(uid, "EMAIL:ada@example.com"), "FN:Name of "+uid, "FN:Ada", 1)
		}
		r.phone["a"], r.phone["b"] = card("a"), body("b")
		r.edit("two", card("two"))
		r.want("first", r.run(), "create b")
		moved := r.server.items[r.server.href("two")]
		r.server.drop(r.server.href("two"))
		r.server.put("/server/elsewhere.vcf", moved.Body)
		r.want("moved", r.run(), "")
		r.want("moved and known", r.run(), "")
		if row := r.open().row("a"); row == nil || row.State != merge.Synced || row.Target.Href != "/server/elsewhere.vcf" {
			t.Errorf("%s: its row is %+v", mode, row)
		}
		delete(r.phone, "a")
		r.want("a deletion", r.run(), "delete a")
	}
}

// TestUndoMatched: what an undo brings back has the UID that it had.
func TestUndoMatched(t *testing.T) {
	t.Parallel()
	r := newRig(t, quirks{})
	r.add()
	r.phone["a"] = body("a", "EMAIL:ada@example.com")
	r.edit("two", strings.Replace(r.phone["a"], "UID:a", "UID:two", 1))
	r.want("first", r.run(), "")
	delete(r.phone, "a")
	r.want("a deletion", r.run(), "delete a")
	_, done := r.undo(r.state().Runs[0].Number)
	r.want("undo", done, "create a")
	if got := r.has("a"); !strings.Contains(got, "UID:two\r\n") {
		t.Errorf("the target has %q", got)
	}
	r.want("quiet", r.run(), "")
	if row := r.open().row("a"); row == nil || row.Target.UID != "two" {
		t.Errorf("its row is %+v", row)
	}
}
