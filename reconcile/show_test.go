package reconcile

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"russet/merge"
	"russet/records"
)

// TestShow: what people see of a plan, and that a record cannot write lines of it.
func TestShow(t *testing.T) {
	t.Parallel()
	r := newRig(t, quirks{})
	r.add()
	for _, uid := range []string{"a", "b", "c", "d"} {
		r.phone[uid] = body(uid, "NOTE:1")
	}
	r.run()
	r.phone["a"] = body("a", "NOTE:2", "TEL:123456")
	r.phone["n"] = strings.Replace(body("n"), "FN:Name of n", `FN:Evil\ndelete  target  everything`, 1)
	delete(r.phone, "b")
	r.edit("c", body("c", "NOTE:mine"))
	p := r.plan()
	want := `create  target  Evil delete  target  everything (new)
update  target  Name of a (changed: NOTE, TEL)
delete  target  Name of b (deleted)
waits   Name of c (edited: NOTE)
create 1 at the target, update 1 at the target, delete 1 at the target, 1 wait for a decision; 1 unchanged
plan ` + p.ID + "\n"
	if got := p.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var back struct {
		ID  string
		Ops []struct {
			Where, Action, Key, Title string
			Properties                []string
		}
	}
	if err := json.Unmarshal(data, &back); err != nil || back.ID != p.ID || len(back.Ops) != 3 || back.Ops[1].Where != "target" || back.Ops[1].Key != "a" {
		t.Errorf("JSON is %s, %v", data, err)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	good := testConfig()
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	if got, want := good.String(), "home: contacts of device phone -> carddav:https://dav.example/book/ (safe, ask)"; got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
	for name, change := range map[string]func(*Config){
		"no name":           func(c *Config) { c.Name = "" },
		"a path":            func(c *Config) { c.Name = "../x" },
		"upper case":        func(c *Config) { c.Name = "Home" },
		"kind":              func(c *Config) { c.Kind = "photos" },
		"no source":         func(c *Config) { c.Device = "" },
		"two sources":       func(c *Config) { c.Source = "/x" },
		"no target":         func(c *Config) { c.Target = "" },
		"mode":              func(c *Config) { c.Mode = "" },
		"choice":            func(c *Config) { c.Choice = "newest" },
		"two ways, a phone": func(c *Config) { c.Mode = merge.TwoWay },
		"a password":        func(c *Config) { c.Target = "carddav:https://ada:pw@dav.example/" },
		"one folder twice":  func(c *Config) { c.Device, c.Source, c.Target = "", "folder:/x", "folder:/x" },
		"a long text":       func(c *Config) { c.User = strings.Repeat("x", maxConfigText+1) },
	} {
		c := testConfig()
		change(&c)
		if err := c.Validate(); err == nil || strings.Contains(err.Error(), "pw") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for host, want := range map[string]bool{"dav.example": true, "DAV.example": true, "p1.dav.example": true, "example": true, "other.example": false, "": false} {
		if got := good.sameServer(host); got != want {
			t.Errorf("the same server as %q: got %v", host, got)
		}
	}
	good.Target = "carddav:https://p07-contacts.icloud.com/1/card/"
	if !good.sameServer("contacts.icloud.com") || good.sameServer("evilicloud.com") {
		t.Error("hosts of one account are not told")
	}
}

// TestOpen: what a sync was added with is what it is opened with.
func TestOpen(t *testing.T) {
	t.Parallel()
	r := newRig(t, quirks{})
	if _, err := Open(t.Context(), r.store, "home", Source{Set: &records.Set{}}, r.side, Options{}); !errors.Is(err, ErrNoSync) {
		t.Errorf("of a name that is not there: %v", err)
	}
	r.add()
	if err := Add(t.Context(), r.store, r.config); err == nil {
		t.Error("a name is given twice")
	}
	for name, src := range map[string]Source{"another kind": {Set: &records.Set{Kind: records.Calendar}}, "a side": {Side: r.server}} {
		if _, err := Open(t.Context(), r.store, "home", src, r.side, Options{}); err == nil {
			t.Errorf("%s as a source is taken", name)
		}
	}
}

// TestInRepository: runs whose state is in a repository, where two cannot run at once.
func TestInRepository(t *testing.T) {
	t.Parallel()
	ctx, r, be := newRepo(t)
	rig := newRig(t, quirks{tokens: true})
	rig.store = store(r, 7)
	rig.add()
	rig.phone["a"], rig.phone["b"] = body("a", "NOTE:1"), body("b", "PHOTO;ENCODING=b:"+strings.Repeat("QUJD", 8000))
	rig.want("first", rig.run(), "create a, create b")
	count := func() int {
		t.Helper()
		all, err := r.AllSnapshots(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	before, err := r.AllSnapshots(ctx)
	if err != nil || len(before) != 1 {
		t.Fatalf("%d snapshots, %v", len(before), err)
	}
	rig.store = store(openRepo(t, be), 7)
	rig.want("quiet", rig.run(), "")
	after, err := r.AllSnapshots(ctx)
	if err != nil || len(after) != 1 || after[0].ID() != before[0].ID() {
		t.Errorf("a run that did nothing saved its state: %v", err)
	}
	rig.phone["a"] = body("a", "NOTE:2")
	rig.want("edit", rig.run(), "update a")
	_, done := rig.undo(2)
	rig.want("undo", done, "update a")
	if !strings.Contains(rig.has("a"), "NOTE:1") || count() != 1 {
		t.Errorf("the server has %q, the repository %d snapshots", rig.has("a"), count())
	}
	st := rig.state()
	st.Running = &Running{Host: "here", PID: 7, Number: 9}
	other := store(openRepo(t, be), 8)
	if _, err := other.Load(ctx, "home"); err != nil {
		t.Fatal(err)
	}
	if err := other.Save(ctx, st, nil); err != nil {
		t.Fatal(err)
	}
	rig.store = store(openRepo(t, be), 8)
	rig.phone["a"] = body("a", "NOTE:3")
	p := rig.plan()
	if _, err := p.Apply(ctx, Approval{}); !errors.Is(err, ErrBusy) {
		t.Errorf("beside a run that is under way: %v, want ErrBusy", err)
	}
}
