package reconcile_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"russet/dav"
	"russet/dav/davtest"
	"russet/internal/vobject"
	"russet/reconcile"
	"russet/records"
)

// killer stands between a run and a server, and lets the run die at its n-th request:
// from then on nothing gets through. What it was asked last it passes on where the
// number is odd, and keeps the answer.
type killer struct {
	at, n atomic.Int64 // at < 0: it does not
}

func (k *killer) dead() bool { at := k.at.Load(); return at >= 0 && k.n.Load() > at }

// before returns a server that stands before another one.
func (k *killer) before(t testing.TB, server string) string {
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	k.at.Store(-1)
	proxy := &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(u) },
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, at := k.n.Add(1)-1, k.at.Load()
		if at >= 0 && n == at && n%2 == 1 {
			proxy.ServeHTTP(httptest.NewRecorder(), r)
		}
		if at >= 0 && n >= at {
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// large is a phone with many records, a server, and vdirsyncer, which keeps a folder
// like the server.
type large struct {
	*rig
	kill   *killer
	make   func(uid, note string) string
	direct func() (reconcile.Side, error) // past the killer
	folder string
	config string
}

func (l *large) put(uid, note string) { l.phone[uid] = l.make(uid, note) }

func event(uid, note string) string {
	return "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Russet//EN\r\nBEGIN:VEVENT\r\nUID:" + uid + "\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260301T090000Z\r\n" +
		"DTEND:20260301T100000Z\r\nSUMMARY:Event " + uid + "\r\nDESCRIPTION:" + note + "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
}

// killed makes runs of which the first dies at its first request, the second at its
// second, until one lives.
func (l *large) killed(step string) {
	l.Helper()
	const many = 500
	l.died = l.kill.dead
	for n := range many {
		l.kill.n.Store(0)
		l.kill.at.Store(int64(n))
		_, err := l.run()
		if !l.kill.dead() {
			if err != nil {
				l.Fatalf("%s: a run that nothing killed: %v", step, err)
			}
			l.kill.at.Store(-1)
			l.died = nil
			l.Logf("%s: %d runs were killed", step, n)
			return
		}
	}
	l.Fatalf("%s: %d runs were not enough", step, many)
}

// judged lets vdirsyncer sync its folder with the server, and compares what both have.
func (l *large) judged(step string, want map[string]string) {
	l.Helper()
	for _, verb := range []string{"discover", "sync"} {
		out, err := exec.CommandContext(l.ctx, "vdirsyncer", "-c", l.config, verb).CombinedOutput()
		if err != nil {
			l.Fatalf("%s: vdirsyncer %s: %v\n%s", step, verb, err, out)
		}
	}
	side, err := l.direct()
	if err != nil {
		l.Fatal(err)
	}
	means := map[string]vobject.Hash{}
	for uid, body := range want {
		means[uid] = meaning(l, []byte(body))
	}
	if got := meanings(l, everything(l, side)); !maps.Equal(got, means) {
		l.Errorf("%s: the server has %d records that are not the %d wanted", step, len(got), len(means))
	}
	if got := meanings(l, files(l, l.folder)); !maps.Equal(got, means) {
		l.Errorf("%s: vdirsyncer reads %d records that are not the %d wanted", step, len(got), len(means))
	}
}

func files(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]byte{}
	for _, e := range entries {
		if found[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return found
}

func meaning(t testing.TB, body []byte) vobject.Hash {
	t.Helper()
	all, err := vobject.Parse(body)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d objects, %v", len(all), err)
	}
	return vobject.HashOf(vobject.Canonical(all[0]))
}

// meanings are what bodies mean, by UID. None may be there twice.
func meanings(t testing.TB, bodies map[string][]byte) map[string]vobject.Hash {
	t.Helper()
	found := map[string]vobject.Hash{}
	for _, body := range bodies {
		all, err := vobject.Parse(body)
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := vobject.Key(all[0])
		if _, twice := found[uid]; twice {
			t.Errorf("%s is there twice", uid)
		}
		found[uid] = meaning(t, body)
	}
	return found
}

// theirs changes, or with "" removes, a file of vdirsyncer's.
func (l *large) theirs(uid, note string) {
	l.Helper()
	for name, body := range files(l, l.folder) {
		if !strings.Contains(string(body), "UID:"+uid+"\r\n") && !strings.Contains(string(body), "UID:"+uid+"\n") {
			continue
		}
		path := filepath.Join(l.folder, name)
		err := os.Remove(path)
		if note != "" {
			err = os.WriteFile(path, []byte(l.make(uid, note)), 0o600)
		}
		if err != nil {
			l.Fatal(err)
		}
		return
	}
	l.Fatalf("vdirsyncer has no %s", uid)
}

// lives pushes, changes, deletes on either side, meets conflicts and undoes; runs are
// killed at every request in turn.
func (l *large) lives(n int) {
	uid := func(i int) string { return fmt.Sprintf("u%03d", i) }
	for i := range n {
		l.put(uid(i), "first")
	}
	l.killed("first push")
	l.must("quiet", 0)
	l.judged("first push", l.phone)
	for i := range 30 {
		l.put(uid(i), "second")
	}
	for i := 30; i < 45; i++ {
		delete(l.phone, uid(i))
		l.put("new"+uid(i), "new")
	}
	l.killed("changes")
	l.must("quiet after changes", 0)
	l.judged("changes", l.phone)
	want := maps.Clone(l.phone)
	for i := range 6 { // three in conflict, three edited
		l.theirs(uid(i), "theirs")
		if want[uid(i)] = l.make(uid(i), "theirs"); i < 3 {
			l.put(uid(i), "ours")
		}
	}
	for i := 50; i < 54; i++ {
		l.theirs(uid(i), "")
		delete(want, uid(i))
	}
	l.judged("their edits", want)
	l.killed("conflicts")
	st, err := reconcile.ReadStatus(l.ctx, l.store(), "book")
	if err != nil || st.Conflicts != 6 || st.Edited != 3 || st.Removed != 4 {
		l.Errorf("status %+v, %v", st, err)
	}
	l.judged("conflicts", want)
	for i := range 3 {
		take := []reconcile.Resolution{reconcile.TakeSource, reconcile.TakeTarget, reconcile.TakeBoth}[i]
		if _, err := l.do(func(s *reconcile.Sync) (*reconcile.Plan, error) { return s.PlanResolve(l.ctx, uid(i), take, nil) }); err != nil {
			l.Errorf("resolve: %v", err)
		}
	}
	l.must("quiet after decisions", 0)
	before := meanings(l, l.server())
	for i := 60; i < 65; i++ {
		l.put(uid(i), "third")
		delete(l.phone, uid(i+10))
	}
	l.must("what is undone", 10)
	got, err := l.do(func(s *reconcile.Sync) (*reconcile.Plan, error) {
		return s.PlanUndo(l.ctx, s.State().Runs[len(s.State().Runs)-1].Number)
	})
	if err != nil || got != 10 {
		l.Errorf("undo: %d writes, %v", got, err)
	}
	if after := meanings(l, l.server()); !maps.Equal(after, before) {
		l.Errorf("after the undo there are %d records, not as the %d before", len(after), len(before))
	}
	l.must("quiet after the undo", 0)
}

func (l *large) server() map[string][]byte {
	l.Helper()
	side, err := l.direct()
	if err != nil {
		l.Fatal(err)
	}
	return everything(l, side)
}

// TestLarge: 300 contacts and 200 events on real servers, beside vdirsyncer.
func TestLarge(t *testing.T) {
	t.Parallel()
	if os.Getenv("RUSSET_SOAK") != "1" || reconcile.Raced {
		t.Skip("short: takes minutes; RUSSET_SOAK=1 runs it")
	}
	if _, err := exec.LookPath("vdirsyncer"); err != nil {
		t.Skip("judge missing: vdirsyncer")
	}
	for name, start := range map[string]func(testing.TB) *davtest.Program{"radicale": davtest.Radicale, "xandikos": davtest.Xandikos} {
		for _, kind := range []records.Kind{records.Contacts, records.Calendar} {
			t.Run(name+" "+string(kind), func(t *testing.T) {
				p := start(t)
				at, what, n, of, make := p.Book(), "carddav", 300, dav.AddressBook, contact
				if kind == records.Calendar {
					at, what, n, of, make = p.Calendar(), "caldav", 200, dav.Calendar, event
				}
				k := new(killer)
				through := k.before(t, p.URL) + strings.TrimPrefix(at, p.URL)
				opened := func(url string) func() (reconcile.Side, error) {
					return func() (reconcile.Side, error) { return dav.Open(t.Context(), p.Options(), url, of) }
				}
				l := &large{rig: newRigOf(t, kind, opened(through)), kill: k, make: make, direct: opened(at), folder: t.TempDir()}
				l.config = filepath.Join(t.TempDir(), "config")
				ending := map[dav.Kind]string{dav.AddressBook: ".vcf", dav.Calendar: ".ics"}[of]
				text := fmt.Sprintf("[general]\nstatus_path = %q\n[pair p]\na = \"folder\"\nb = \"server\"\ncollections = null\nconflict_resolution = \"b wins\"\n"+
					"[storage folder]\ntype = \"filesystem\"\npath = %q\nfileext = %q\n[storage server]\ntype = %q\nurl = %q\nusername = %q\npassword = %q\n",
					l.config+"-status", l.folder, ending, what, at, davtest.User, davtest.Password)
				if err := os.WriteFile(l.config, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				l.lives(n)
			})
		}
	}
}
