package reconcile_test

import (
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"

	"russet/chunk"
	"russet/dav"
	"russet/dav/davtest"
	"russet/internal/vobject"
	"russet/merge"
	"russet/reconcile"
	"russet/records"
	"russet/records/recordstest"
)

// generations is a phone's address book or calendar, which changes from day to day.
type generations interface {
	Write(dir string) error
	Change(n int) []recordstest.Change
	Edit(i int) recordstest.Change
	Remove(i int) recordstest.Change
}

// home is a rig whose phone has databases, read as those of a snapshot are, and whose
// server is somebody else's program behind a gate.
type home struct {
	*rig
	kind    records.Kind
	program *davtest.Program
	lossy   bool // the server does not keep all that it is sent
	phone   generations
	dir     string
	set     *records.Set
	apart   map[string]bool // UIDs of which the server has something else than the phone, and may
}

// program is a server of Debian's.
type program struct {
	name  string
	start func(testing.TB) *davtest.Program
	lossy bool
}

func programs() []program {
	return []program{{"radicale", davtest.Radicale, true}, {"xandikos", davtest.Xandikos, false}}
}

func newHome(t testing.TB, p program, kind records.Kind, n int) *home {
	t.Helper()
	h := &home{kind: kind, program: p.start(t), lossy: p.lossy, dir: t.TempDir(), apart: map[string]bool{}}
	const seed = 5
	if h.phone = recordstest.NewBook(seed, n); kind == records.Calendar {
		h.phone = recordstest.NewCalendar(seed, n)
	}
	g := newGate(t, h.program.URL)
	h.rig = &rig{TB: t}
	h.write()
	c := reconcile.Config{Kind: kind}
	for _, in := range h.set.Containers {
		c.Containers = append(c.Containers, in.ID)
	}
	h.rig = newRigOf(t, c, func() (reconcile.Side, error) {
		url, of := h.url()
		return dav.Open(t.Context(), h.program.Options(), strings.Replace(url, h.program.URL, g.URL, 1), of)
	})
	h.gate, h.read = g, func() *records.Set { return h.set }
	return h
}

// url is that of the collection.
func (h *home) url() (string, dav.Kind) {
	if h.kind == records.Calendar {
		return h.program.Calendar(), dav.Calendar
	}
	return h.program.Book(), dav.AddressBook
}

// write writes the phone's databases and reads them. It returns how many records are
// not as they were.
func (h *home) write() int {
	h.Helper()
	if err := h.phone.Write(h.dir); err != nil {
		h.Fatal(err)
	}
	before := h.set
	var err error
	if h.set, err = records.Read(h.Context(), os.DirFS(h.dir), h.kind); err != nil {
		h.Fatal(err)
	}
	if len(h.set.Problems) > 0 || !h.set.Complete {
		h.Fatalf("the phone cannot be read: %+v", h.set.Problems)
	}
	if before == nil {
		return len(h.set.Records)
	}
	return len(records.Diff(before, h.set))
}

// hashes are those of what is there, by href.
func hashes(there map[string]thing) map[string]vobject.Hash {
	m := map[string]vobject.Hash{}
	for _, it := range there {
		m[it.ref.Href] = it.hash
	}
	return m
}

// believed is what the engine remembers of the server, by href.
func (h *home) believed() map[string]vobject.Hash {
	h.Helper()
	st, err := h.store().Load(h.ctx, "book")
	if err != nil {
		h.Fatal(err)
	}
	if st.Running != nil || len(st.Intents) > 0 {
		h.Errorf("a run is not over: %+v, %d writes are unknown", st.Running, len(st.Intents))
	}
	m := map[string]vobject.Hash{}
	for i := range st.Rows {
		if p := st.Rows[i].Target; p.Href != "" {
			m[p.Href] = vobject.Hash(p.Hash)
		}
	}
	for _, s := range st.Seen {
		if s.Gone {
			delete(m, s.Href)
		} else if s.Hash != (chunk.ID{}) {
			m[s.Href] = vobject.Hash(s.Hash)
		}
	}
	return m
}

// check compares what is there with what the engine believes, and with the phone:
// each of its records is there once and nothing else, but for those of apart.
func (h *home) check(step string) map[string]thing {
	h.Helper()
	there := h.there(step)
	h.compare(step, there)
	return there
}

// compare is check of what was read.
func (h *home) compare(step string, there map[string]thing) {
	h.Helper()
	if got, want := hashes(there), h.believed(); !maps.Equal(got, want) {
		h.Errorf("%s: %d items are there, %d are believed to be, and they are not the same", step, len(got), len(want))
	}
	phone := map[string]bool{}
	for _, r := range h.set.Records {
		phone[r.UID] = true
		if h.apart[r.UID] {
			continue
		}
		it, ok := there[r.UID]
		switch {
		case !ok:
			h.Errorf("%s: %s is lost", step, r.UID)
		case it.hash != vobject.HashOf(vobject.Canonical(r.Object)) && !(h.lossy && merge.CutShort(r.Object, it.object)):
			h.Errorf("%s: %s differs in %v", step, r.UID, merge.ChangedNames(r.Object, it.object))
		}
	}
	for uid := range there {
		if !phone[uid] && !h.apart[uid] {
			h.Errorf("%s: %s is there and not on the phone", step, uid)
		}
	}
}

// rest runs until nothing is left to do.
func (h *home) rest(step string) {
	h.Helper()
	var err error
	for range 3 {
		if _, err = h.run(); err == nil {
			break
		}
	}
	if err != nil {
		h.Fatalf("%s: %v", step, err)
	}
	h.must("quiet after "+step, 0)
}

// cut is a run in whose n-th request a fault happens, if it makes so many.
func (h *home) cut(n int, f fault) bool {
	h.Helper()
	h.gate.fail(n, f)
	_, err := h.run()
	happened := h.gate.revive()
	if happened && !f.lives && err == nil {
		h.Errorf("a run that died in request %d is one that succeeded", n)
	}
	if !happened && err != nil {
		h.Errorf("a run that nobody cut off: %v", err)
	}
	return happened
}

// edit is another client's edit: a text of a property.
func (h *home) edit(it thing, property, text string) {
	h.Helper()
	c := it.object
	if h.kind == records.Calendar {
		for _, part := range it.object.Parts {
			if _, override := part.Get("RECURRENCE-ID"); part.Name == "VEVENT" && !override {
				c = part
			}
		}
	}
	c.Set(vobject.NewLine(property, vobject.Text(text)))
	side, err := h.open()
	if err != nil {
		h.Fatal(err)
	}
	if _, err := side.Update(h.ctx, it.ref, it.object.Bytes()); err != nil {
		h.Fatalf("another client's edit of %s: %v", property, err)
	}
}

// remove is another client's deletion.
func (h *home) remove(it thing) {
	h.Helper()
	side, err := h.open()
	if err != nil {
		h.Fatal(err)
	}
	if err := side.Delete(h.ctx, it.ref); err != nil {
		h.Fatal(err)
	}
}

// stranger is what another client creates.
func (h *home) stranger(uid string) {
	h.Helper()
	body := contact(uid, "theirs")
	if h.kind == records.Calendar {
		body = fmt.Sprintf("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//EN\r\nBEGIN:VEVENT\r\nUID:%s\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260301T100000Z\r\nSUMMARY:Theirs\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n", uid)
	}
	side, err := h.open()
	if err != nil {
		h.Fatal(err)
	}
	if _, err := side.Create(h.ctx, uid, []byte(body)); err != nil {
		h.Fatal(err)
	}
	h.apart[uid] = true
}
