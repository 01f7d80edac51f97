package reconcile_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"russet/backend"
	"russet/crypto"
	"russet/dav"
	"russet/dav/davtest"
	"russet/internal/vobject"
	"russet/merge"
	"russet/reconcile"
	"russet/records"
	"russet/repo"
	"russet/vdir"
)

// rig is a phone, a server, and a repository between them.
type rig struct {
	testing.TB
	ctx   context.Context
	repo  *repo.Repository
	phone map[string]string
	read  func() *records.Set // what the phone has: phone, or what a reader reads
	open  func() (reconcile.Side, error)
	gate  *gate // nil where nothing is killed
	day   int
}

func newRig(t testing.TB, open func() (reconcile.Side, error)) *rig {
	t.Helper()
	g := newRigOf(t, reconcile.Config{Kind: records.Contacts}, open)
	g.read = g.cards
	return g
}

// newRigOf returns a rig of a sync of one way, of what c says.
func newRigOf(t testing.TB, c reconcile.Config, open func() (reconcile.Side, error)) *rig {
	t.Helper()
	be := backend.NewMemory()
	r, err := repo.Init(t.Context(), be, "secret", repo.InitOptions{Cost: crypto.Cost{N: 2, R: 1, P: 1}})
	if err != nil {
		t.Fatal(err)
	}
	g := &rig{TB: t, ctx: t.Context(), repo: r, phone: map[string]string{}, open: open}
	c.Name, c.Device, c.Target, c.Mode, c.Choice = "book", "phone", "carddav:https://elsewhere.example/", merge.Safe, merge.Ask
	if err := reconcile.Add(g.ctx, g.store(), c); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *rig) store() reconcile.Store {
	s := reconcile.NewRepoStore(g.repo, reconcile.StoreOptions{Owner: repo.Owner{Hostname: "here", Time: time.Unix(1e9, 0)}, PID: 1})
	if g.gate != nil {
		return mortal{s, g.gate}
	}
	return s
}

// put puts a contact onto the phone.
func (g *rig) put(uid, note string) { g.phone[uid] = contact(uid, note) }

func contact(uid, note string) string {
	return "BEGIN:VCARD\r\nVERSION:3.0\r\nPRODID:-//Russet//EN\r\nUID:" + uid + "\r\nFN:Name of " + uid + "\r\nN:Of " + uid + ";Name;;;\r\nTEL;TYPE=CELL:+49 30 " + uid + "\r\nNOTE:" + note + "\r\nEND:VCARD\r\n"
}

// cards is what the phone has, as a reader gives it.
func (g *rig) cards() *records.Set {
	g.Helper()
	set := &records.Set{Kind: records.Contacts, Complete: true, Containers: []records.Container{{ID: "c", Synced: true}}}
	for uid, body := range g.phone {
		set.Records = append(set.Records, records.Record{UID: uid, Container: "c", Object: parsed(g, []byte(body))})
	}
	slices.SortFunc(set.Records, func(a, b records.Record) int { return strings.Compare(a.UID, b.UID) })
	return set
}

// sync opens the sync as a new process does.
func (g *rig) sync() (*reconcile.Sync, error) {
	g.Helper()
	g.day++
	side, err := g.open()
	if err != nil {
		return nil, err
	}
	now := time.Unix(int64(1e9+g.day), 0)
	return reconcile.Open(g.ctx, g.store(), "book", reconcile.Source{Set: g.read(), Origin: reconcile.Origin{UDID: "phone", Time: now}}, side, reconcile.Options{Host: "here", PID: 1, Time: now})
}

// run makes a run, and returns how much it wrote. That it fails is for the caller.
func (g *rig) run() (int, error) {
	g.Helper()
	return g.do(func(s *reconcile.Sync) (*reconcile.Plan, error) { return s.Plan(g.ctx) })
}

func (g *rig) do(plan func(*reconcile.Sync) (*reconcile.Plan, error)) (int, error) {
	g.Helper()
	s, err := g.sync()
	if err != nil {
		return 0, err
	}
	p, err := plan(s)
	if err != nil {
		return 0, err
	}
	res, err := p.Apply(g.ctx, reconcile.Approval{Plan: p.ID, Deletions: p.Deletions()})
	if err != nil {
		return 0, err
	}
	if len(res.Failed) > 0 {
		return len(res.Done), res.Failed[0].Err
	}
	return len(res.Done), nil
}

// must is a run that succeeds and writes so much.
func (g *rig) must(step string, want int) {
	g.Helper()
	if got, err := g.run(); err != nil || got != want {
		g.Errorf("%s: %d writes, %v, want %d", step, got, err, want)
	}
}

// thing is what the server has under an href.
type thing struct {
	uid    string
	hash   vobject.Hash
	object *vobject.Component
	ref    merge.Ref
}

// there is what the server has, by UID. Nothing is there twice.
func (g *rig) there(step string) map[string]thing {
	g.Helper()
	side, err := g.open()
	if err != nil {
		g.Fatal(err)
	}
	l, err := side.List(g.ctx, "")
	if err != nil {
		g.Fatal(err)
	}
	all := map[string]thing{}
	for part := range slices.Chunk(l.Refs, 50) {
		var hrefs []string
		for _, ref := range part {
			hrefs = append(hrefs, ref.Href)
		}
		items, err := side.Get(g.ctx, hrefs)
		if err != nil {
			g.Fatal(err)
		}
		for i, it := range items {
			c := parsed(g, it.Body)
			uid, _ := vobject.Key(c)
			if _, twice := all[uid]; twice {
				g.Errorf("%s: %s is there twice", step, uid)
			}
			all[uid] = thing{uid, vobject.HashOf(vobject.Canonical(c)), c, part[i]}
		}
	}
	return all
}

func parsed(t testing.TB, body []byte) *vobject.Component {
	t.Helper()
	all, err := vobject.Parse(body)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d objects, %v in %q", len(all), err, body)
	}
	return all[0]
}

// same compares the phone with what the side has.
func (g *rig) same(step string) {
	g.Helper()
	has := g.there(step)
	for uid, body := range g.phone {
		if has[uid].hash != vobject.HashOf(vobject.Canonical(parsed(g, []byte(body)))) {
			g.Errorf("%s: %s is not there as the phone has it", step, uid)
		}
		delete(has, uid)
	}
	if len(has) > 0 {
		g.Errorf("%s: %d items too many", step, len(has))
	}
}

// scenario pushes, changes, deletes, meets a conflict, and undoes.
func scenario(g *rig, n int) {
	g.Helper()
	for i := range n {
		g.put(fmt.Sprintf("u%03d", i), "first")
	}
	g.must("first push", n)
	g.same("first push")
	g.must("quiet", 0)
	g.put("u000", "second")
	g.put("new", "new")
	delete(g.phone, "u001")
	g.must("changes", 3)
	g.same("changes")
	g.must("quiet after changes", 0)
	side, err := g.open()
	if err != nil {
		g.Fatal(err)
	}
	there := g.there("before others' changes")
	if _, err := side.Update(g.ctx, there["u002"].ref, []byte(contact("u002", "theirs"))); err != nil {
		g.Fatal(err)
	}
	if err := side.Delete(g.ctx, there["u003"].ref); err != nil {
		g.Fatal(err)
	}
	g.put("u002", "ours")
	g.must("a conflict, and one removed there", 0)
	st, err := reconcile.ReadStatus(g.ctx, g.store(), "book")
	if err != nil || st.Conflicts != 1 || st.Removed != 1 {
		g.Errorf("status %+v, %v", st, err)
	}
	got, err := g.do(func(s *reconcile.Sync) (*reconcile.Plan, error) {
		return s.PlanResolve(g.ctx, "u002", reconcile.TakeSource, nil)
	})
	if err != nil || got != 1 {
		g.Errorf("resolve: %d writes, %v", got, err)
	}
	got, err = g.do(func(s *reconcile.Sync) (*reconcile.Plan, error) { return s.PlanUndo(g.ctx, 2) })
	if err != nil || got != 3 {
		g.Errorf("undo: %d writes, %v", got, err)
	}
	g.must("quiet after the undo", 0)
}

func collection(t testing.TB, url string, o dav.Options) func() (reconcile.Side, error) {
	return func() (reconcile.Side, error) { return dav.Open(t.Context(), o, url, dav.AddressBook) }
}

// TestServers: the same on servers with the quirks of the field, on real ones, and in
// a folder.
func TestServers(t *testing.T) {
	t.Parallel()
	for name, q := range map[string]davtest.Quirks{
		"good":        {},
		"rewriting":   {Rewrite: true, QuietPut: true},
		"no tokens":   {NoTokens: true, NoCTags: true},
		"bad tokens":  {FailSync: 500},
		"weak etags":  {WeakETags: true},
		"in pages":    {Page: 7},
		"items twice": {Twice: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := davtest.Start(t, q)
			scenario(newRig(t, collection(t, s.Book(), s.Options())), 20)
		})
	}
	t.Run("folder", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		f, err := vdir.Open(dir, vdir.VCards)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Init("id"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		scenario(newRig(t, func() (reconcile.Side, error) { return f, nil }), 20)
	})
	for _, server := range programs() {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() {
				t.Skip("short: starts a server")
			}
			p := server.start(t)
			scenario(newRig(t, collection(t, p.Book(), p.Options())), few)
		})
	}
}

// TestEveryRequest: each request in turn is cut off before it is done, and after; the
// next runs find what was done, and nothing is there twice or not at all.
func TestEveryRequest(t *testing.T) {
	t.Parallel()
	for _, q := range []davtest.Quirks{{}, {Rewrite: true, QuietPut: true, Lose: []string{"X-LOSS"}}} {
		const least = 15
		cut := 0
		for _, fault := range []davtest.Fault{{Drop: true}, {Lost: true}, {Cut: 40}} {
			for n, more := 0, true; more; n++ {
				s := davtest.Start(t, q)
				g := newRig(t, collection(t, s.Book(), s.Options()))
				g.put("a", "first")
				g.put("b", "first")
				g.put("c", "first")
				g.must("first push", 3)
				g.put("a", "second")
				g.put("d", "first")
				delete(g.phone, "b")
				before := len(s.Requests())
				fault.After, fault.Times = n, 1
				s.Fail(fault)
				_, _ = g.run()
				if more = len(s.Requests())-before > n; more {
					cut++
				}
				for range 3 {
					if _, err := g.run(); err == nil {
						break
					}
				}
				g.same(fmt.Sprintf("request %d cut off (%+v)", n, fault))
				g.must("quiet", 0)
				if t.Failed() {
					return
				}
			}
		}
		if cut < least {
			t.Errorf("%d requests were cut off, want at least %d", cut, least)
		}
		t.Logf("%d requests were cut off", cut)
	}
}
