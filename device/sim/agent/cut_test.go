package agent

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"russet/device/sim"
	"russet/internal/plist"
)

var everyStep = flag.Bool("every", false, "cut runs at every step")

// interesting returns the steps of a run at which it is cut: all of them, but
// for most of the hundreds of folders that are made and listed.
func interesting(t *testing.T, events []Event) []int {
	t.Helper()
	var steps []int
	dull := 0
	for i, e := range events {
		if e.Message == "" {
			continue
		}
		if e.Message == "DLMessageCreateDirectory" || e.Message == "DLContentsOfDirectory" ||
			e.Message == msgStatus && i > 0 && strings.HasSuffix(events[i-1].Message, "Directory") {
			if dull++; dull%211 != 0 {
				continue
			}
		}
		steps = append(steps, e.Step)
	}
	return steps
}

// generation gives the phone the contents of a day.
func generation(t *testing.T, c *sim.Folder, day int) {
	t.Helper()
	modified := int64(1_700_000_000 + 86_400*day)
	switch day {
	case 0:
		for _, name := range []string{"a", "changed", "gone", "Library/b", "empty"} {
			put(t, c, name, strings.Repeat(name, len(name)%5), modified)
		}
	case 1:
		put(t, c, "changed", "new content", modified)
		put(t, c, "added", "more", modified)
		put(t, c, "Library/empty too", "", modified)
		removeFile(t, c, "gone")
	}
}

// removeFile takes a file away, by putting all others into a phone of their own.
func removeFile(t *testing.T, c *sim.Folder, name string) {
	t.Helper()
	kept, err := sim.OpenFolder(t.TempDir(), c.Config())
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	move := func(from, to *sim.Folder) {
		for f, err := range from.Scan(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if f.Regular() && f.RelativePath != name {
				r, err := from.Open(f)
				if err != nil {
					t.Fatal(err)
				}
				err = to.Put(f, r)
				if err := errors.Join(err, r.Close()); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	move(c, kept)
	if err := c.Clear(); err != nil {
		t.Fatal(err)
	}
	move(kept, c)
}

// names leaves the times of folders out of what a backup says: they are those
// of the test.
func contents(t *testing.T, fsys fs.FS, password string) map[string]string {
	t.Helper()
	said := meaning(t, fsys, password)
	for name, text := range said {
		if strings.HasPrefix(text, "2 ") {
			said[name] = "a folder"
		}
	}
	return said
}

func TestCutAtEachStep(t *testing.T) {
	t.Parallel()
	for _, password := range []string{"", "secret"} {
		for day := range 2 {
			t.Run(fmt.Sprintf("password=%s day=%d", password, day), func(t *testing.T) {
				t.Parallel()
				cutAtEachStep(t, password, day)
			})
		}
	}
}

func cutAtEachStep(t *testing.T, password string, day int) {
	c := quick(t)
	generation(t, c, 0)
	first, good := openPhone(t, c, Options{}), newHost()
	if err := first.remember(func(s *state) { s.Password = password }); err != nil {
		t.Fatal(err)
	}
	if day > 0 {
		backUp(t, first, good)
		generation(t, c, day)
	}
	var events []Event
	p := openPhone(t, c, Options{Event: func(e Event) { events = append(events, e) }})
	*p.stateOf() = first.remembered()
	h := newHost()
	h.root = good.root.clone()
	report := backUp(t, p, h)
	want := contents(t, h.backup(), password)
	if last := events[len(events)-1].Step; last != report.Steps {
		t.Errorf("got %d steps, the last one is %d", report.Steps, last)
	}
	stride := 6 // each of the four runs has steps of its own
	if testing.Short() {
		stride = 20
	}
	if *everyStep {
		stride = 1
	}
	for i, step := range interesting(t, events) {
		if (i+2*day+min(1, len(password)))%stride != 0 {
			continue
		}
		p := openPhone(t, c, Options{Script: Script{Disconnect: step}})
		*p.stateOf() = first.remembered()
		h := newHost()
		h.root = good.root.clone()
		_, r, err := speak(t.Context(), p, h, backupRequest(small().UDID))
		if !errors.Is(err, ErrCut) || errors.Is(err, ErrViolation) || r.Steps != step {
			t.Fatalf("step %d: got %v, %d steps", step, err, r.Steps)
		}
		before := len(h.uploads)
		p.SetScript(Script{})
		again := backUp(t, p, h)
		if again.Fallback != "" || day > 0 && again.Full {
			t.Errorf("step %d: got %+v", step, again)
		}
		if again.Resumed && r.Sent > 0 && again.Sent > report.Sent-r.Sent {
			t.Errorf("step %d: %d files were sent before, and %d again of %d; %d uploads", step, r.Sent, again.Sent, report.Sent, before)
		}
		same(t, contents(t, h.backup(), password), want)
		if t.Failed() {
			t.Fatalf("step %d failed", step)
		}
	}
}

// stateOf lets a test give a phone the memory of another.
func (p *Phone) stateOf() *state { return &p.state }

func TestCutRunChanges(t *testing.T) {
	t.Parallel()
	for _, drop := range []bool{false, true} {
		c := quick(t, "a", "b", "c", "d")
		p, h := openPhone(t, c, Options{}), newHost()
		var cut int
		p.o.Event = func(e Event) {
			if e.Message == "DLMessageUploadFiles" && strings.HasSuffix(e.Path, "/"+snapshotName) {
				cut = e.Step
			}
		}
		ask(t, p, h, backupRequest(small().UDID), 0)
		p, h = openPhone(t, c, Options{Script: Script{Batch: 2, Disconnect: cut + 7}}), newHost()
		if _, r, err := speak(t.Context(), p, h, backupRequest(small().UDID)); !errors.Is(err, ErrCut) || r.Sent != 2 {
			t.Fatalf("got %+v, %v", r, err)
		}
		put(t, c, "a", "CONTENT OF A", 1_700_000_005) // as long as before
		p.SetScript(Script{Behaviour: Behaviour{DropCache: drop}})
		r := backUp(t, p, h)
		if drop != (r.Sent == 4) || drop == r.Resumed || !r.Full {
			t.Errorf("drop %t: got %+v", drop, r)
		}
		same(t, contents(t, h.backup(), ""), contents(t, fresh(t, c), ""))
	}
}

func TestChainOfGenerations(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(7, 7))
	c := quick(t, "a", "b", "c")
	p, h := openPhone(t, c, Options{}), newHost()
	if err := p.remember(func(s *state) { s.Password = "secret" }); err != nil {
		t.Fatal(err)
	}
	backUp(t, p, h)
	for day := range 20 {
		for range 1 + rnd.IntN(4) {
			name := string(rune('a' + rnd.IntN(12)))
			if rnd.IntN(3) == 0 {
				name = "Library/" + name
			}
			put(t, c, name, strings.Repeat(name, rnd.IntN(40)), int64(1_700_000_000+day*86_400+rnd.IntN(86_400)))
		}
		if day%4 == 3 {
			removeFile(t, c, string(rune('a'+rnd.IntN(12))))
		}
		if r := backUp(t, p, h); r.Full || r.Fallback != "" {
			t.Fatalf("day %d: got %+v", day, r)
		}
		got := contents(t, h.backup(), "secret")
		for f, err := range c.Scan(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if said, ok := got[f.Domain+"-"+f.RelativePath]; !ok || f.Regular() && !strings.Contains(said, fmt.Sprint("LastModified:", f.LastModified)) {
				t.Errorf("day %d: %q is said to be %.100s", day, f.RelativePath, said)
			}
			delete(got, f.Domain+"-"+f.RelativePath)
		}
		if len(got) > 0 {
			t.Errorf("day %d: %d files are too many", day, len(got))
		}
	}
}

func TestOldStatus(t *testing.T) {
	t.Parallel()
	c := quick(t, "a", "b")
	p, good := openPhone(t, c, Options{}), newHost()
	backUp(t, p, good)
	for name, status := range map[string]struct {
		change   map[string]any
		code     int
		fallback bool
	}{
		"full is asked for":   {map[string]any{"IsFullBackup": true}, 0, true},
		"version of long ago": {map[string]any{"Version": "2.3"}, 0, true},
		"version to come":     {map[string]any{"Version": "4.0"}, 0, true},
		"version of iOS 9":    {map[string]any{"Version": "2.4"}, 0, true},
		"no number":           {map[string]any{"Version": "x"}, 205, false},
		"another type":        {map[string]any{"Version": 3.3}, 205, false},
		"no Date":             {map[string]any{"Date": "today"}, 205, false},
		"another state":       {map[string]any{"SnapshotState": "new"}, 205, false},
	} {
		h := newHost()
		h.root = good.root.clone()
		if err := h.root.write(small().UDID+"/Status.plist", statusWith(t, status.change)); err != nil {
			t.Fatal(err)
		}
		if name == "full is asked for" { // as a host does that is known
			if err := h.root.write(small().UDID+"/Manifest.plist", nil); err != nil {
				t.Fatal(err)
			}
		}
		r := ask(t, openPhone(t, c, Options{}), h, backupRequest(small().UDID), status.code)
		if (r.Fallback != "") != status.fallback {
			t.Errorf("%s: got %+v", name, r)
		}
		if status.code == 0 {
			same(t, contents(t, h.backup(), ""), contents(t, fresh(t, c), ""))
		}
		if len(h.root.dir) != 1 {
			t.Errorf("%s: %d folders are left", name, len(h.root.dir))
		}
	}
}

// statusWith is a finished Status with some values changed.
func statusWith(t *testing.T, change map[string]any) []byte {
	t.Helper()
	m := map[string]any{
		"Version": "3.3", "UUID": "0", "Date": treeTime(), "BackupState": "new", "SnapshotState": "finished", "IsFullBackup": false,
	}
	maps.Copy(m, change)
	data, err := plist.Marshal(m, plist.Binary)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
