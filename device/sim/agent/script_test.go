package agent

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"russet/device/mb2"
	"russet/device/sim"
	"russet/ios"
)

func TestParseScript(t *testing.T) {
	t.Parallel()
	got, err := ParseScript([]byte(`{
		"deviceLink": 400, "hasPasscode": true, "passcodeAfter": "never", "passcodeTimeout": "3m", "scan": "90s",
		"batch": 2, "unit": 4096, "extra": 7, "disconnect": 17,
		"respond": [{"at": "files", "code": 208, "text": "x"}, {"at": 12, "notify": "y"}],
		"files": [{"n": 3, "after": 10, "code": 11, "fatal": true}, {"n": 4, "twice": true}],
		"add": [{"domain": "HomeDomain", "path": "a", "size": 5368709120}],
		"hostile": [{"order": "upload", "name": "../x", "length": 70000}],
		"behaviour": {"honourForce": true}
	}`))
	if err != nil {
		t.Fatal(err)
	}
	if got.PasscodeAfter != Never || got.Scan != Wait(90*time.Second) || got.Respond[0].At != (Point{Phase: PhaseFiles}) ||
		got.Respond[1].At != (Point{Step: 12}) || got.Add[0].Size != 5<<30 || !got.Behaviour.HonourForce {
		t.Errorf("got %+v", got)
	}
	for _, bad := range []string{
		``, `[]`, `{"unknown": 1}`, `{} {}`, `{"deviceLink": 200}`, `{"batch": -1}`, `{"unit": 99999999}`,
		`{"scan": 90}`, `{"scan": "-1s"}`, `{"respond": [{"code": 1}]}`, `{"respond": [{"at": "never"}]}`,
		`{"respond": [{"at": 0}]}`, `{"files": [{"n": 0}]}`, `{"files": [{"n": 1, "code": 12}]}`,
		`{"add": [{"size": 1}]}`, `{"hostile": [{"order": "download"}]}`, `{"hostile": [{"order": "format"}]}`, `{"extra": -1}`, `{"disconnect": -1}`,
		`{"batch": 1e9}`, `{"a": ` + strings.Repeat(" ", maxScript) + `1}`,
	} {
		if _, err := ParseScript([]byte(bad)); err == nil {
			t.Errorf("%.60q was read", bad)
		}
	}
}

// quick is a phone of few files of known content.
func quick(t *testing.T, names ...string) *sim.Folder {
	t.Helper()
	c, err := sim.OpenFolder(t.TempDir(), small())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	for _, name := range names {
		put(t, c, name, "content of "+name, 1_700_000_000)
	}
	return c
}

func put(t *testing.T, c *sim.Folder, name, text string, modified int64) {
	t.Helper()
	f := sim.NewFile("HomeDomain", ios.File{RelativePath: name, Mode: 0o100644, LastModified: modified}, int64(len(text)))
	if err := c.Put(f, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
}

func TestAnswersAtAPoint(t *testing.T) {
	t.Parallel()
	c := quick(t, "a", "b")
	for _, code := range []int{105, 205, 208, 212, 25, 207, 1} {
		p := openPhone(t, c, Options{Script: Script{Respond: []Answer{{At: Point{Phase: PhaseScan}, Code: code, Text: "x"}}}})
		h := newHost()
		ask(t, p, h, backupRequest(small().UDID), code)
		if len(h.uploads) != 0 {
			t.Errorf("answer %d: files were sent before", code)
		}
	}
	for phase := range phases {
		p := openPhone(t, c, Options{Script: Script{Respond: []Answer{{At: Point{Phase: phase}, Code: 202, Text: "x"}}}})
		h := newHost()
		ask(t, p, h, backupRequest(small().UDID), 202)
		p.SetScript(Script{})
		if r := backUp(t, p, h); r.Resumed && phase == PhaseFiles {
			t.Errorf("phase %s: a run that the phone gave up was resumed", phase)
		}
		same(t, meaning(t, h.backup(), ""), meaning(t, fresh(t, c), ""))
	}
	p := openPhone(t, c, Options{Script: Script{Respond: []Answer{{At: Point{Step: 30}, Code: 1, Text: "x"}}}})
	if r := ask(t, p, newHost(), backupRequest(small().UDID), 1); r.Steps > 33 {
		t.Errorf("got %d steps before the answer", r.Steps)
	}
}

// fresh is a full backup of the contents.
func fresh(t *testing.T, c Contents) fs.FS {
	t.Helper()
	h := newHost()
	backUp(t, openPhone(t, c, Options{}), h)
	return h.backup()
}

func TestCancelNotifies(t *testing.T) {
	t.Parallel()
	const cancel = "com.apple.itunes-client.syncCancelRequest"
	var posted []string
	p := openPhone(t, quick(t, "a"), Options{
		Notify: func(name string) { posted = append(posted, name) },
		Script: Script{Respond: []Answer{{At: Point{Phase: PhaseFiles}, Code: 202, Text: "Cancelled", Notify: cancel}}},
	})
	ask(t, p, newHost(), backupRequest(small().UDID), 202)
	if !slices.Contains(posted, cancel) {
		t.Errorf("got %v", posted)
	}
}

func TestPasscode(t *testing.T) {
	c, d := quick(t, "a"), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var posted []string
		o := Options{Iterations: rounds, Notify: func(name string) { posted = append(posted, name) }}
		o.Script = Script{HasPasscode: true, PasscodeAfter: Wait(20 * time.Second), Scan: Wait(10 * time.Minute)}
		p, err := Open(d, c, o)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		start := time.Now()
		backUp(t, p, newHost())
		if got, want := time.Since(start), 10*time.Minute+20*time.Second; got != want {
			t.Errorf("the backup took %v, want %v", got, want)
		}
		want := []string{"com.apple.LocalAuthentication.ui.presented", "com.apple.LocalAuthentication.ui.dismissed"}
		if !slices.Equal(posted, want) {
			t.Errorf("got %v", posted)
		}
		p.SetScript(Script{HasPasscode: true, PasscodeAfter: Never})
		start = time.Now()
		ask(t, p, newHost(), backupRequest(small().UDID), 208)
		if got := time.Since(start); got != defaultPasscode {
			t.Errorf("the phone gave up after %v, want %v", got, defaultPasscode)
		}
	})
}

func TestHostLeavesWhileThePhoneWaits(t *testing.T) {
	c, d := quick(t, "a"), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		p, err := Open(d, c, Options{Script: Script{Scan: Wait(time.Hour)}})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		for name, leave := range map[string]func(net.Conn, context.CancelFunc) error{
			"closes": func(conn net.Conn, _ context.CancelFunc) error { return conn.Close() },
			"says goodbye": func(conn net.Conn, _ context.CancelFunc) error {
				return mb2.WriteMessage(conn, msgDisconnect, mb2.Text)
			},
			"is told to": func(_ net.Conn, cancel context.CancelFunc) error { cancel(); return nil },
		} {
			ctx, cancel := context.WithCancel(t.Context())
			ours, theirs := net.Pipe()
			done := make(chan error, 1)
			go func() { _, err := p.Serve(ctx, theirs); done <- err }()
			h := newHost()
			go func() { _, _ = h.run(ours, backupRequest(small().UDID)) }()
			synctest.Wait() // the phone scans
			start := time.Now()
			if err := leave(ours, cancel); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err == nil || errors.Is(err, ErrViolation) {
				t.Errorf("the host %s: got %v", name, err)
			}
			if got := time.Since(start); got != 0 {
				t.Errorf("the host %s: the phone noticed after %v", name, got)
			}
			cancel()
			ours.Close()
		}
	})
}

func TestHostPingsWhileThePhoneWaits(t *testing.T) {
	c, d := quick(t, "a"), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		p, err := Open(d, c, Options{Script: Script{Scan: Wait(time.Hour)}, Iterations: rounds})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		ours, theirs := net.Pipe()
		defer ours.Close()
		done := make(chan error, 1)
		go func() { _, err := p.Serve(t.Context(), theirs); done <- err }()
		answers := make(chan final, 1)
		go func() {
			f, _ := newHost().run(ours, backupRequest(small().UDID))
			answers <- f
		}()
		start := time.Now()
		for range 2 {
			synctest.Wait() // the phone scans
			if err := mb2.WriteMessage(ours, msgPing, "x"); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if f := <-answers; f.m == nil || f.code != 0 {
			t.Errorf("got the answer %+v, want 0", f)
		}
		if got := time.Since(start); got != time.Hour {
			t.Errorf("the phone scanned for %v, want an hour", got)
		}
	})
}

func TestFilesThatFail(t *testing.T) {
	t.Parallel()
	c := quick(t, "a", "b", "c")
	for _, fatal := range []bool{false, true} {
		p := openPhone(t, c, Options{Script: Script{Files: []FileTask{{N: 2, After: 5, Code: 11, Fatal: fatal}}}})
		h := newHost()
		want := 0
		if fatal {
			want = 104
		}
		ask(t, p, h, backupRequest(small().UDID), want)
		if h.failed != 1 {
			t.Errorf("fatal %t: %d files ended with an error", fatal, h.failed)
		}
		if !fatal {
			if said := meaning(t, h.backup(), ""); len(said) != 3 { // the folder of the domain and two files
				t.Errorf("got %v", slices.Sorted(maps.Keys(said)))
			}
		}
		p.SetScript(Script{})
		backUp(t, p, h)
		same(t, meaning(t, h.backup(), ""), meaning(t, fresh(t, c), ""))
	}
}

func TestFileSentTwice(t *testing.T) {
	t.Parallel()
	c := quick(t, "a", "b", "c")
	p := openPhone(t, c, Options{Script: Script{Files: []FileTask{{N: 2, Twice: true}}, Batch: 2, Unit: 3}})
	h := newHost()
	r := backUp(t, p, h)
	ids := map[string]int{}
	for _, name := range h.uploads {
		ids[name]++
	}
	twice := 0
	for name, n := range ids {
		if n == 2 && strings.Contains(name, snapshotName) {
			twice++
		}
	}
	if twice != 1 || r.Sent != 3 {
		t.Errorf("got %v, %+v", ids, r)
	}
	same(t, meaning(t, h.backup(), ""), meaning(t, fresh(t, c), ""))
}

func TestMadeUpFilesAndSpace(t *testing.T) {
	t.Parallel()
	add := []MadeUp{{"CameraRollDomain", "Media/long.mov", 5 << 20}, {"CameraRollDomain", "Media/none", 0}}
	p := openPhone(t, quick(t), Options{Script: Script{Add: add}})
	h := newHost()
	if r := backUp(t, p, h); r.Sent != 2 || r.Bytes != 5<<20 {
		t.Errorf("got %+v", r)
	}
	for _, c := range []struct{ link, version, purged, code int }{
		{300, 300, 0, 105}, {300, 400, 0, 105}, {400, 300, 0, 105}, {400, 400, 1, 105},
	} {
		p := openPhone(t, quick(t), Options{Script: Script{Add: add, DeviceLink: c.link, Extra: 1 << 40}})
		h := newHost()
		h.version = c.version
		ask(t, p, h, backupRequest(small().UDID), c.code)
		purged := 0
		for _, o := range h.orders {
			if o == "DLMessagePurgeDiskSpace" {
				purged++
			}
		}
		if purged != c.purged {
			t.Errorf("DeviceLink %d and %d: %d orders to purge", c.link, c.version, purged)
		}
	}
	p = openPhone(t, quick(t), Options{Script: Script{Add: add, DeviceLink: 400, Extra: 1 << 40}})
	h = newHost()
	h.version = 400
	h.answer = func(name string, _ []any) []any {
		if name == "DLMessagePurgeDiskSpace" {
			h.free = 1 << 42
		}
		return nil
	}
	backUp(t, p, h)
}

func TestHostThatIsFull(t *testing.T) {
	t.Parallel()
	for code, want := range map[mb2.Status]int{mb2.StatusNoSpace: 105, mb2.StatusIO: 104, mb2.StatusNotFound: 205} {
		p := openPhone(t, quick(t, "a"), Options{})
		h := newHost()
		onOrder("DLMessageUploadFiles", 1, int64(code), "failure", map[string]any{})(h)
		ask(t, p, h, backupRequest(small().UDID), want)
	}
}

func TestHostileNames(t *testing.T) {
	t.Parallel()
	var all []Hostile
	for _, order := range []string{"upload", "mkdir", "move", "remove", "download", "list", "copy"} {
		for _, name := range []string{"../x", "/etc/x", "", small().UDID + "/../../x", "a//b", "."} {
			if order != "download" || name != "" {
				all = append(all, Hostile{Order: order, Name: name})
			}
		}
	}
	p, h := openPhone(t, quick(t, "a"), Options{Script: Script{Hostile: all}}), newHost()
	f, _, err := speak(t.Context(), p, h, backupRequest(small().UDID))
	for _, v := range violations(err) {
		t.Errorf("got %v", v)
	}
	if f.code != 0 || len(h.root.dir) != 1 {
		t.Errorf("got the answer %d; %d folders", f.code, len(h.root.dir))
	}
	p = openPhone(t, quick(t, "a"), Options{Script: Script{Hostile: []Hostile{{Order: "upload", Name: "x", Length: 1 << 30}}}})
	if _, r, err := speak(t.Context(), p, newHost(), backupRequest(small().UDID)); err == nil || r.Answered || len(r.Violations) > 0 {
		t.Errorf("a name of 1 GiB: got %v", err)
	}
	h = newHost()
	h.lenient = true
	_, r, err := speak(t.Context(), p, h, backupRequest(small().UDID))
	if !errors.Is(err, ErrViolation) || len(r.Violations) != 1 || r.Violations[0].Rule != RuleEscape {
		t.Errorf("a name of 1 GiB is answered: got %v", err)
	}
}

func violations(err error) []*Violation {
	var all []*Violation
	if list, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range list.Unwrap() {
			if v, ok := e.(*Violation); ok {
				all = append(all, v)
			}
		}
	}
	return all
}

func TestBehaviours(t *testing.T) {
	t.Parallel()
	c := quick(t, "a", "b")
	p, h := openPhone(t, c, Options{}), newHost()
	backUp(t, p, h)
	forced := backupRequest(small().UDID)
	forced["Options"] = map[string]any{"ForceFullBackup": true}
	if r := ask(t, p, h, forced, 0); r.Full {
		t.Error("ForceFullBackup made a full backup")
	}
	p.SetScript(Script{Behaviour: Behaviour{HonourForce: true, OldSpelling: true, NoReadBack: true, UnpackedPaths: true}})
	if r := ask(t, p, h, forced, 0); !r.Full || r.Fallback != "" {
		t.Errorf("got %+v", r)
	}
	if !slices.Contains(h.orders, "DLMessageMoveFiles") || slices.Contains(h.orders, "DLMessageMoveItems") ||
		h.orders[len(h.orders)-258] == "DLMessageDownloadFiles" {
		t.Errorf("got %v", h.orders)
	}
	same(t, meaning(t, h.backup(), ""), meaning(t, fresh(t, c), ""))
	lose(stored)(h)
	p.SetScript(Script{Behaviour: Behaviour{NoVerify: true}})
	f, r, err := speak(t.Context(), p, h, backupRequest(small().UDID))
	if r.Full || f.code != 205 || !errors.Is(err, ErrViolation) {
		t.Errorf("got the answer %d, %+v, %v", f.code, r, err)
	}
}

func TestAllowedRules(t *testing.T) {
	t.Parallel()
	h := newHost()
	h.noBye = true
	p := openPhone(t, quick(t, "a"), Options{Allow: []Rule{RuleGoodbye}})
	backUp(t, p, h)
}

func FuzzHost(f *testing.F) {
	var b bytes.Buffer
	for _, m := range [][]any{
		{msgVersion, "DLVersionsOk", 300},
		{msgProcess, map[string]any{"MessageName": "Hello", "SupportedProtocolVersions": []float64{2.1}}},
		{msgProcess, backupRequest(small().UDID)},
		{msgStatus, -6, "x", map[string]any{}},
	} {
		if err := mb2.WriteMessage(&b, m[0].(string), m[1:]...); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(b.Bytes())
	c, err := sim.OpenFolder(f.TempDir(), small())
	if err != nil {
		f.Fatal(err)
	}
	defer c.Close()
	p, err := Open(f.TempDir(), c, Options{Iterations: 1})
	if err != nil {
		f.Fatal(err)
	}
	defer p.Close()
	f.Fuzz(func(t *testing.T, data []byte) {
		report, err := p.Serve(t.Context(), &oneSided{bytes.NewReader(data)})
		if err == nil && report.Steps > 1 && !report.Answered && len(data) < 100 {
			t.Errorf("got %+v without an error", report)
		}
	})
}

// oneSided is a host that does not listen.
type oneSided struct{ *bytes.Reader }

func (*oneSided) Write(p []byte) (int, error) { return len(p), nil }
func (*oneSided) Close() error                { return nil }

func FuzzScript(f *testing.F) {
	f.Add([]byte(`{"scan": "1s", "respond": [{"at": "files", "code": 1}], "files": [{"n": 1, "code": 6}]}`))
	f.Add([]byte(`{"respond": [{"at": 3}], "hostile": [{"order": "list"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ParseScript(data)
		if err != nil {
			return
		}
		if s = s.filled(); s.Batch < 1 || s.Batch > maxBatch || s.Unit < 1 || s.Unit > maxUnit || s.Scan < 0 {
			t.Errorf("got %+v", s)
		}
	})
}
