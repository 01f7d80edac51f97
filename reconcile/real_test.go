package reconcile_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"russet/internal/vobject"
	"russet/merge"
	"russet/reconcile"
	"russet/records"
)

var seed = flag.Uint64("seed", 0, "draws the requests in which TestRealServers is killed; 0: another one each time")

// few is how many records there are where every request counts, or time does.
const few = 12

// TestRealServers: a phone's contacts and events go to Debian's servers, in runs of
// which some are killed; they change and are deleted on either side, conflicts are
// resolved, a run is undone; and vdirsyncer reads what the engine believes is there.
func TestRealServers(t *testing.T) {
	t.Parallel()
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	for _, p := range programs() {
		for kind, n := range map[records.Kind]int{records.Contacts: 300, records.Calendar: 200} {
			t.Run(p.name+" "+string(kind), func(t *testing.T) {
				t.Parallel()
				if testing.Short() {
					n = few
				}
				t.Logf("go test ./reconcile -run TestRealServers -args -seed %d", s)
				rng := rand.New(rand.NewPCG(s, 0))
				h := newHome(t, p, kind, n)
				if os.Getenv("RUSSET_SOAK") == "1" && !testing.Short() {
					h.everyRequest()
				}
				for range 2 {
					h.cut(rng.IntN(n), fault{passed: rng.IntN(2) == 0})
				}
				h.rest("push")
				h.phone.Change(max(n/10, 3))
				h.write()
				h.cut(rng.IntN(max(n/10, 3)), fault{passed: rng.IntN(2) == 0})
				h.rest("changes")
				both := h.conflicts(h.check("changes"))
				h.undo(max(n/20, 3), h.resolve(both))
				h.judge()
			})
		}
	}
}

// everyRequest makes runs of which the first dies in its first request, the second in
// its second, until one lives. It returns how many died.
func (h *home) everyRequest() int {
	h.Helper()
	for n := 0; ; n++ {
		if !h.cut(n, fault{passed: n%2 == 0}) {
			return n
		}
	}
}

// conflicts lets both sides change: the first three records in one text, on both, the
// next two on the phone, then one is deleted there; two others are deleted on the
// server, two edited there, and one created. It returns the UIDs in conflict.
func (h *home) conflicts(there map[string]thing) []string {
	h.Helper()
	texts := []string{"NOTE", "NICKNAME", "TITLE", "SUMMARY", "LOCATION", "DESCRIPTION"}
	var both []string
	touched := map[string]bool{}
	for i := range 5 {
		c := h.phone.Edit(i)
		for i < 3 && !slices.Contains(texts, c.Property) {
			c = h.phone.Edit(i)
		}
		if touched[c.UID] = true; i < 3 {
			h.edit(there[c.UID], c.Property, "Theirs")
			both, h.apart[c.UID] = append(both, c.UID), true
		}
	}
	touched[h.phone.Remove(5).UID] = true
	want := h.write() - len(both)
	var others []thing
	for _, r := range h.set.Records {
		if !touched[r.UID] {
			others = append(others, there[r.UID])
		}
	}
	for i, it := range others[len(others)-4:] {
		h.apart[it.uid] = true
		if i < 2 {
			h.remove(it)
		} else {
			h.edit(it, texts[0], "Theirs alone")
		}
	}
	h.stranger("stranger")
	h.must("changes on both sides", want)
	h.must("quiet with conflicts", 0)
	st, err := reconcile.ReadStatus(h.ctx, h.store(), "book")
	if err != nil || st.Conflicts != len(both)+2 || st.Edited != 2 || st.Removed != 2 {
		h.Errorf("status %+v, %v, want %d conflicts, 2 of them edits, and 2 removed", st, err, len(both)+2)
	}
	return both
}

// resolve resolves conflicts, each in another way, and returns what is there then.
func (h *home) resolve(uids []string) map[string]thing {
	h.Helper()
	takes := []struct {
		reconcile.Resolution
		writes int
	}{{reconcile.TakeSource, 1}, {reconcile.TakeTarget, 0}, {reconcile.TakeBoth, 2}}
	for i, uid := range uids {
		take := takes[i]
		got, err := h.do(func(s *reconcile.Sync) (*reconcile.Plan, error) {
			return s.PlanResolve(h.ctx, uid, take.Resolution, nil)
		})
		if err != nil || got != take.writes {
			h.Errorf("resolve by %s: %d writes, %v, want %d", take.Resolution, got, err, take.writes)
		}
		if take.Resolution != reconcile.TakeTarget {
			delete(h.apart, uid)
		}
	}
	h.must("quiet after resolving", 0)
	after := h.there("resolved")
	copies := 0
	for uid := range after {
		if !h.apart[uid] && !slices.ContainsFunc(h.set.Records, func(r records.Record) bool { return r.UID == uid }) {
			h.apart[uid] = true
			copies++
		}
	}
	if copies != 1 {
		h.Errorf("%d records came by resolving, want the one of which both were kept", copies)
	}
	h.compare("resolved", after)
	return after
}

// undo undoes a run of n changes: everything is as it was before it.
func (h *home) undo(n int, before map[string]thing) {
	h.Helper()
	h.phone.Change(n)
	h.write()
	wrote, err := h.run()
	if err != nil || wrote == 0 {
		h.Fatalf("the run that is undone: %d writes, %v", wrote, err)
	}
	st, err := reconcile.ReadStatus(h.ctx, h.store(), "book")
	if err != nil {
		h.Fatal(err)
	}
	got, err := h.do(func(s *reconcile.Sync) (*reconcile.Plan, error) { return s.PlanUndo(h.ctx, st.Last.Number) })
	if err != nil || got != wrote {
		h.Errorf("undo: %d writes, %v, want %d", got, err, wrote)
	}
	h.must("quiet after the undo", 0)
	after := h.there("undone")
	for uid, it := range before {
		if after[uid].hash != it.hash {
			h.Errorf("undone: %s is not as it was, in %v", uid, merge.ChangedNames(it.object, after[uid].object))
		}
	}
	if len(after) != len(before) {
		h.Errorf("undone: %d items, want %d", len(after), len(before))
	}
}

// judge lets vdirsyncer read the collection, as a client that knows nothing of us.
func (h *home) judge() {
	h.Helper()
	if _, err := exec.LookPath("vdirsyncer"); err != nil {
		h.Skip("judge missing: vdirsyncer")
	}
	dir := h.TempDir()
	items, config, kind, suffix := filepath.Join(dir, "items"), filepath.Join(dir, "config"), "carddav", ".vcf"
	if h.kind == records.Calendar {
		kind, suffix = "caldav", ".ics"
	}
	url, _ := h.url()
	o := h.program.Options()
	text := fmt.Sprintf("[general]\nstatus_path = %q\n[pair p]\na = \"ours\"\nb = \"server\"\ncollections = null\n"+
		"[storage ours]\ntype = \"filesystem\"\npath = %q\nfileext = %q\n"+
		"[storage server]\ntype = %q\nurl = %q\nusername = %q\npassword = %q\nread_only = true\n",
		filepath.Join(dir, "status"), items, suffix, kind, url, o.User, o.Password)
	if err := os.Mkdir(items, 0o700); err != nil {
		h.Fatal(err)
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		h.Fatal(err)
	}
	for _, verb := range []string{"discover", "sync"} {
		cmd := exec.CommandContext(h.ctx, "vdirsyncer", "-c", config, verb)
		cmd.Stdin = strings.NewReader(strings.Repeat("y\n", 10))
		cmd.Env = append(os.Environ(), "HOME="+dir, "LC_ALL=C.UTF-8")
		if out, err := cmd.CombinedOutput(); err != nil {
			h.Fatalf("vdirsyncer %s: %v\n%s", verb, err, out)
		}
	}
	names, err := filepath.Glob(filepath.Join(items, "*"+suffix))
	if err != nil {
		h.Fatal(err)
	}
	var got, want []string
	for _, name := range names {
		body, err := os.ReadFile(name)
		if err != nil {
			h.Fatal(err)
		}
		got = append(got, fmt.Sprint(vobject.HashOf(vobject.Canonical(parsed(h, body)))))
	}
	for _, hash := range h.believed() {
		want = append(want, fmt.Sprint(hash))
	}
	slices.Sort(got)
	slices.Sort(want)
	if len(want) == 0 || !slices.Equal(got, want) {
		h.Errorf("vdirsyncer reads %d items, the engine believes in %d, and they are not the same", len(got), len(want))
	}
}

// TestRealKills: the process is killed in every request in turn, before and after the
// server did what it asked, and each answer in turn is lost; the next run finds what was
// done.
func TestRealKills(t *testing.T) {
	t.Parallel()
	for _, p := range programs() {
		for _, kind := range []records.Kind{records.Contacts, records.Calendar} {
			t.Run(p.name+" "+string(kind), func(t *testing.T) {
				t.Parallel()
				if testing.Short() {
					t.Skip("short: kills at every request of a server")
				}
				h := newHome(t, p, kind, few)
				cuts := h.everyRequest()
				h.rest("push")
				h.check("push")
				for _, f := range []fault{{}, {passed: true}, {passed: true, lives: true}} {
					for n, happened := 0, true; happened && !t.Failed(); n++ {
						h.phone.Change(few / 2)
						h.write()
						if happened = h.cut(n, f); happened {
							cuts++
						}
						step := fmt.Sprintf("request %d cut off (%+v)", n, f)
						h.rest(step)
						h.check(step)
					}
				}
				const least = 30
				if cuts < least {
					t.Errorf("%d requests were cut off, want at least %d", cuts, least)
				}
				t.Logf("%d requests were cut off", cuts)
			})
		}
	}
}
