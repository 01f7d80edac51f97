package reconcile

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"russet/merge"
	"russet/records"
)

// countingSide counts the requests to a side.
type countingSide struct {
	Side
	calls []string
}

func (c *countingSide) call(format string, args ...any) {
	c.calls = append(c.calls, fmt.Sprintf(format, args...))
}

func (c *countingSide) Identity(ctx context.Context) (string, error) {
	c.call("identity")
	return c.Side.Identity(ctx)
}

func (c *countingSide) List(ctx context.Context, token string) (merge.Listing, error) {
	c.call("list")
	return c.Side.List(ctx, token)
}

func (c *countingSide) Get(ctx context.Context, hrefs []string) ([]merge.Item, error) {
	c.call("get %d", len(hrefs))
	return c.Side.Get(ctx, hrefs)
}

func (c *countingSide) Create(ctx context.Context, uid string, body []byte) (merge.Ref, error) {
	c.call("create")
	return c.Side.Create(ctx, uid, body)
}

func (c *countingSide) Update(ctx context.Context, ref merge.Ref, body []byte) (merge.Ref, error) {
	c.call("update")
	return c.Side.Update(ctx, ref, body)
}

func (c *countingSide) Delete(ctx context.Context, ref merge.Ref) error {
	c.call("delete")
	return c.Side.Delete(ctx, ref)
}

// rig is a phone and a server in memory.
type rig struct {
	testing.TB
	phone  map[string]string // bodies by UID
	server *faultySide
	side   Side // server, or what stands before it
	store  Store
	config Config
	day    int
	set    records.Set // what a set has besides records
	device string
	reads  int      // how often what the phone has was read
	unread []string // of each record
}

func newRig(t testing.TB, q quirks) *rig {
	w := new(world)
	w.begin(faultNone, -1)
	r := &rig{TB: t, phone: map[string]string{}, server: newFaultySide(w, "server", q), store: &memoryStore{w: w}, config: testConfig(), device: "phone"}
	r.side = r.server
	r.set = records.Set{Kind: records.Contacts, Complete: true, Containers: []records.Container{{ID: "c", Synced: true}}}
	return r
}

func (r *rig) add() {
	r.Helper()
	if err := Add(r.Context(), r.store, r.config); err != nil {
		r.Fatal(err)
	}
}

// body is a contact of lines.
func body(uid string, lines ...string) string {
	all := slices.Concat([]string{"BEGIN:VCARD", "VERSION:3.0", "UID:" + uid, "FN:Name of " + uid}, lines, []string{"END:VCARD", ""})
	return strings.Join(all, "\r\n")
}

func (r *rig) record(uid string) records.Record {
	r.Helper()
	c, _, err := decode([]byte(r.phone[uid]))
	if err != nil {
		r.Fatal(err)
	}
	return records.Record{UID: uid, Container: "c", Object: c, Unread: r.unread}
}

// open opens the sync with today's snapshot.
func (r *rig) open() *Sync {
	r.Helper()
	r.day++
	set := r.set
	for _, uid := range sortedKeys(r.phone) {
		set.Records = append(set.Records, r.record(uid))
	}
	now := testTime().AddDate(0, 0, r.day)
	source := Source{Print: fmt.Sprint(r.phone, set.Containers), Origin: Origin{UDID: r.device, Time: now}}
	source.Read = func(context.Context) (*records.Set, error) {
		r.reads++
		return &set, nil
	}
	s, err := Open(r.Context(), r.store, r.config.Name, source, r.side, Options{Host: "here", PID: 1, Time: now})
	if err != nil {
		r.Fatal(err)
	}
	return s
}

func sortedKeys(m map[string]string) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// plan plans a run.
func (r *rig) plan() *Plan {
	r.Helper()
	p, err := r.open().Plan(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	return p
}

// apply applies a plan that somebody approved of.
func (r *rig) apply(p *Plan) *Result {
	r.Helper()
	res, err := p.Apply(r.Context(), Approval{Plan: p.ID, Deletions: p.Deletions()})
	if err != nil {
		r.Fatal(err)
	}
	return res
}

// run makes a run and returns what it wrote: "create a, delete b".
func (r *rig) run() string {
	r.Helper()
	return ops(r.apply(r.plan()).Done)
}

func ops(done []Op) string {
	var words []string
	for _, o := range done {
		words = append(words, fmt.Sprintf("%s %s", o.Action, o.Key))
	}
	return strings.Join(words, ", ")
}

// want compares what a step wrote.
func (r *rig) want(step, got, want string) {
	r.Helper()
	if got != want {
		r.Errorf("%s: wrote %q, want %q", step, got, want)
	}
}

// has is what the server has of a UID, "" where nothing.
func (r *rig) has(uid string) string { return string(r.server.items[r.server.href(uid)].Body) }

// edit puts a body onto the server, as another client.
func (r *rig) edit(uid, body string) { r.server.put(r.server.href(uid), []byte(body)) }

func (r *rig) state() *State {
	r.Helper()
	st, err := r.store.Load(r.Context(), r.config.Name)
	if err != nil {
		r.Fatal(err)
	}
	return st
}
