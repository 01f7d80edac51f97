package reconcile_test

import (
	"fmt"
	"testing"

	"russet/dav/davtest"
)

// TestUnreadableServer: beside an item that cannot be read, a run in which nothing
// changed asks a server for its token and for that item.
func TestUnreadableServer(t *testing.T) {
	t.Parallel()
	s := davtest.Start(t, davtest.Quirks{})
	s.Put(s.Book(), "bad.vcf", "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:no key\r\nEND:VCARD\r\n")
	g := newRig(t, collection(t, s.Book(), s.Options()))
	g.put("a", "first")
	g.put("b", "first")
	g.must("first push", 2)
	for range 2 {
		before := len(s.Requests())
		g.must("quiet", 0)
		if got := fmt.Sprint(s.Requests()[before:]); len(s.Requests()) != before+2 {
			t.Errorf("it asked %s", got)
		}
	}
	g.put("a", "second")
	g.must("an edit", 1)
	before := len(s.Requests())
	s.Put(s.Book(), "bad.vcf", contact("c", "theirs"))
	g.must("readable", 0)
	g.must("quiet", 0)
	if n := len(s.Requests()) - before; n > 6 {
		t.Errorf("%d requests, %v", n, s.Requests()[before:])
	}
}
