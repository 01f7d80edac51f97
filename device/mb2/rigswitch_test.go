package mb2_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"russet/backend"
	"russet/device/mb2"
	"russet/device/sim/agent"
	"russet/ios"
)

// TestBehaviours: whatever phones do where descriptions differ, a first backup,
// one that is cut, the one after it and one more are as they must be.
func TestBehaviours(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]agent.Script{
		"usual":          {},
		"HonourForce":    {Behaviour: agent.Behaviour{HonourForce: true}},
		"OldSpelling":    {Behaviour: agent.Behaviour{OldSpelling: true}},
		"NoReadBack":     {Behaviour: agent.Behaviour{NoReadBack: true}},
		"IgnoreSizes":    {Behaviour: agent.Behaviour{IgnoreSizes: true}},
		"NoVerify":       {Behaviour: agent.Behaviour{NoVerify: true}},
		"DropCache":      {Behaviour: agent.Behaviour{DropCache: true}},
		"UnpackedPaths":  {Behaviour: agent.Behaviour{UnpackedPaths: true}},
		"DeviceLink 400": {DeviceLink: 400},
		"small batches":  {Batch: 1, Unit: 1000},
		"large batches":  {Batch: 10_000, Unit: 4 << 20},
	} {
		for i, password := range []string{"", "secret"} {
			if len(name)%2 != i && !soak() {
				continue
			}
			t.Run(name+" password="+password, func(t *testing.T) {
				t.Parallel()
				behave(t, script, password)
			})
		}
	}
}

func behave(t *testing.T, script agent.Script, password string) {
	x := newRig(t, password)
	x.host.Version = 400
	x.day(0)
	first := x.whole(script)
	x.day(1)
	if want := max(script.DeviceLink, 300); first.report.DeviceLink != want || !first.report.Full {
		t.Errorf("got %+v", first.report)
	}
	cut := script
	cut.Disconnect = cutInFiles(t, x, script)
	if o := x.run(cut, false); !errors.Is(o.phone, agent.ErrCut) || len(o.report.Violations) > 0 {
		t.Fatalf("got %v", o.phone)
	}
	o := x.whole(script)
	if o.report.Full || !o.resumed {
		t.Errorf("resumed %t, %+v", o.resumed, o.report)
	}
	o = x.run(script, true)
	o.fine(t)
	if !o.report.Full || o.report.Kept != 0 || o.why == "" {
		t.Errorf("full: %+v, %q", o.report, o.why)
	}
	x.gives(o.snapshot.Snapshot, x.holds())
	x.gives(first.snapshot.Snapshot, first.held)
	x.sound()
}

// cutInFiles is the step of a run at which its fourth file ends.
func cutInFiles(t *testing.T, x *rig, script agent.Script) int {
	t.Helper()
	return inFiles(t, x.clone().whole(script))
}

func inFiles(t *testing.T, o outcome) int {
	t.Helper()
	n := 0
	for _, e := range o.events {
		if e.Message == "end" {
			n++
		}
		if n == 5 { // Status.plist is the first
			return e.Step
		}
	}
	t.Fatalf("there were %d files", n)
	return 0
}

// TestHostileOrders: orders with names that lead out of the backup are refused,
// and the backup is what it would be without them.
func TestHostileOrders(t *testing.T) {
	t.Parallel()
	for i, order := range []string{"upload", "mkdir", "move", "remove", "download", "list", "copy"} {
		t.Run(order, func(t *testing.T) {
			t.Parallel()
			x := newRig(t, []string{"", "secret"}[i%2])
			x.day(0)
			var script agent.Script
			for _, name := range []string{
				"../../x", "/etc/passwd", "..", ".", someUDID + "/../x", someUDID + "/a\x00b", someUDID + "/a//b",
				someUDID + `\x`, "00008030-other/x", someUDID + "/" + string(bytes.Repeat([]byte("x"), 5000)),
			} {
				script.Hostile = append(script.Hostile, agent.Hostile{Order: order, Name: name})
			}
			if order == "upload" { // only there names are bytes
				script.Hostile = append(script.Hostile, agent.Hostile{Order: order, Name: someUDID + "/\xff\xfe"})
			}
			o := x.run(script, false)
			if o.host != nil || o.phone != nil || o.result.Violations < int64(len(script.Hostile)) {
				t.Fatalf("host: %v; phone: %v; %d of %d refused", o.host, o.phone, o.result.Violations, len(script.Hostile))
			}
			x.gives(o.snapshot.Snapshot, x.holds())
			x.sound()
			if left, err := os.ReadDir(x.spool); err != nil || len(left) != 1 || left[0].Name() != someUDID+".listing" {
				t.Errorf("in the spool: %v, %v", left, err)
			}
		})
	}
}

// TestHostileLengths: a name of any length ends the conversation, and the next
// one goes on.
func TestHostileLengths(t *testing.T) {
	t.Parallel()
	for _, n := range []uint32{mb2.MaxName + 1, 1 << 31, 1<<32 - 1} {
		x := newRig(t, "")
		x.day(0)
		o := x.run(agent.Script{Hostile: []agent.Hostile{{Order: "upload", Name: "x", Length: n}}}, false)
		if !errors.Is(o.host, mb2.ErrDesync) {
			t.Errorf("length %d: got %v", n, o.host)
		}
		x.whole(agent.Script{})
		x.sound()
	}
}

// TestFilesThatFail: what the phone cannot read is told, and comes with the next
// run; what it sends twice is there once.
func TestFilesThatFail(t *testing.T) {
	t.Parallel()
	for i, task := range []agent.FileTask{
		{N: 2, After: 100, Code: 11}, {N: 1, Code: 6}, {N: 3, After: 1, Code: 15}, {N: 2, Twice: true}, {N: 7, After: 270_000, Code: 11},
	} {
		for _, password := range []string{"", "secret"} {
			t.Run(fmt.Sprintf("%d password=%s", i, password), func(t *testing.T) {
				t.Parallel()
				x := newRig(t, password)
				x.day(0)
				o := x.run(agent.Script{Files: []agent.FileTask{task}}, false)
				o.fine(t)
				want := int64(1)
				if task.Twice {
					want = 0
				}
				if o.result.Unread != want || o.snapshot.Summary.Missing != 0 {
					t.Errorf("%d files were not read: %+v", o.result.Unread, o.snapshot.Summary)
				}
				got := x.meaning(x.restored(o.snapshot.Snapshot))
				if n := len(x.holds()) - len(got); n != int(want) {
					t.Errorf("%d files are missing", n)
				}
				x.sound()
				if o = x.whole(agent.Script{}); o.report.Full || o.report.Sent != int(want) {
					t.Errorf("the next run: %+v", o.report)
				}
			})
		}
	}
	x := newRig(t, "")
	x.day(0)
	o := x.run(agent.Script{Files: []agent.FileTask{{N: 4, After: 1, Code: 11, Fatal: true}}}, false)
	if refused, ok := errors.AsType[*mb2.PhoneError](o.host); !ok || refused.Code != 104 {
		t.Errorf("got %v", o.host)
	}
	x.whole(agent.Script{})
}

// TestLargeFile: a file of zeros beside an empty one, larger than anything that
// is kept in memory.
func TestLargeFile(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short: writes 200 MB")
	}
	size := int64(200 << 20)
	if soak() {
		size = 5 << 30
	}
	for i, password := range []string{"", "secret"} {
		if i > 0 && !soak() {
			size /= 4
		}
		x := newRig(t, password)
		x.put("HomeDomain", "empty", "", 1_700_000_000)
		o := x.run(agent.Script{Add: []agent.MadeUp{{Domain: "CameraRollDomain", Path: "Media/long.mov", Size: size}}}, false)
		o.fine(t)
		if sum := o.snapshot.Summary; sum.BytesTotal < size || sum.BytesStored > size/1000 || sum.Missing > 0 {
			t.Errorf("got %+v", sum)
		}
		dir := x.restored(o.snapshot.Snapshot)
		info, err := os.Stat(filepath.Join(dir, storedName("CameraRollDomain", "Media/long.mov")))
		if err != nil || info.Size() < size || info.Size() > size+16 {
			t.Errorf("got %v, %v", info, err)
		}
		if info, err := os.Stat(filepath.Join(dir, storedName("HomeDomain", "empty"))); err != nil || info.Size() > 16 {
			t.Errorf("got %v, %v", info, err)
		}
		x.sound()
	}
}

func storedName(domain, name string) string {
	id := ios.FileID(domain, name)
	return filepath.Join(id[:2], id)
}

// TestMissingPack: what the repository has lost is not listed. The phone sends
// everything, and it is said why; then all is there again.
func TestMissingPack(t *testing.T) {
	t.Parallel()
	for _, password := range []string{"", "secret"} {
		if password != "" && testing.Short() {
			continue
		}
		x := newRig(t, password)
		x.day(0)
		x.whole(agent.Script{})
		x.day(1)
		second := x.whole(agent.Script{})
		var packs []backend.File
		for info, err := range x.be.List(t.Context(), backend.Data) {
			if err != nil {
				t.Fatal(err)
			}
			packs = append(packs, backend.File{Kind: backend.Data, Name: info.Name})
		}
		full := 0
		for _, pack := range packs {
			y := x.clone()
			if err := y.be.Remove(t.Context(), pack); err != nil {
				t.Fatal(err)
			}
			y.allow = []agent.Rule{agent.RuleListing, agent.RuleEmpty} // it is no mistake here
			o := y.run(agent.Script{}, false)
			o.fine(t)
			if o.report.Full != (o.why != "") { // or else it is shown the version before
				t.Errorf("the phone sent %d files, full %t: %q", o.report.Sent, o.report.Full, o.why)
			}
			if o.report.Full {
				full++
			}
			y.gives(o.snapshot.Snapshot, y.holds())
			again := y.whole(agent.Script{})
			if again.report.Full || again.report.Sent > 0 || again.why != "" {
				t.Errorf("the next run: %+v, %q", again.report, again.why)
			}
		}
		x.gives(second.snapshot.Snapshot, second.held)
		if full == 0 {
			t.Errorf("none of %d packs was missed", len(packs))
		}
	}
}

// TestListing: the folder of the next run lists just what the last one left,
// with the phone's sizes, empty files too, and serves the manifests as they came,
// in units of 32 KiB.
func TestListing(t *testing.T) {
	t.Parallel()
	for _, password := range []string{"", "secret"} {
		x := newRig(t, password)
		w := &twin{files: map[string][]byte{}}
		x.wrap = func(f mb2.Folder) mb2.Folder { w.Folder = f; return w }
		x.day(0)
		x.put("HomeDomain", "many", "", 1_700_000_000)
		for i := range 150 {
			x.put("HomeDomain", fmt.Sprintf("some/%d", i), "x", 1_700_000_000)
		}
		x.whole(agent.Script{})
		ph := x.open(false)
		want := maps.Clone(w.files)
		for i := range 257 {
			dir := someUDID
			if i < 256 {
				dir += fmt.Sprintf("/%02x", i)
			}
			list, err := ph.List(t.Context(), dir)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			for _, e := range list {
				name := dir + "/" + e.Name
				data, ok := want[name]
				if !e.Dir && e.Name != ios.InfoName && (!ok || int64(len(data)) != e.Size) {
					t.Errorf("%s: listed %t with %d bytes, want %d", name, ok, e.Size, len(data))
				}
				delete(want, name)
			}
		}
		for name := range want {
			t.Errorf("%s is not listed", name)
		}
		for _, name := range []string{ios.StatusName, ios.ManifestName, ios.DatabaseName} {
			r, err := ph.Open(t.Context(), someUDID+"/"+name)
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(r)
			if err = errors.Join(err, r.Close()); err != nil || !bytes.Equal(data, w.files[someUDID+"/"+name]) {
				t.Errorf("%s: %d bytes, want %d; %v", name, len(data), len(w.files[someUDID+"/"+name]), err)
			}
		}
		if err := ph.Close(); err != nil {
			t.Error(err)
		}
		if n := len(w.files[someUDID+"/"+ios.DatabaseName]); n < 3*mb2.DataSize {
			t.Errorf("the manifest has only %d bytes", n)
		}
		x.whole(agent.Script{}) // the phone refuses longer units, and other bytes
	}
}

// TestRestoreToPhone: an empty phone has the contents of the old one when it is
// given the last version.
func TestRestoreToPhone(t *testing.T) {
	t.Parallel()
	for _, password := range []string{"", "secret"} {
		x := newRig(t, password)
		x.day(0)
		x.whole(agent.Script{})
		x.day(1)
		x.whole(agent.Script{})
		want := x.holds()
		y := x.clone()
		y.dir, y.state = t.TempDir(), t.TempDir()
		y.fill(x.contents.Config())
		for _, wrong := range []bool{true, false} {
			given := password
			if wrong {
				given += "x"
			}
			ph := y.open(false)
			o := y.talk(agent.Script{}, func(s *mb2.Session) error {
				return s.Restore(t.Context(), ph, someUDID, someUDID, mb2.RestoreOptions{Password: given, SystemFiles: true, RemoveOthers: true})
			})
			if err := ph.Drop(); err != nil {
				t.Error(err)
			}
			if refused, ok := errors.AsType[*mb2.PhoneError](o.host); wrong && password != "" {
				if !ok || refused.Code != 207 {
					t.Errorf("a wrong password: %v", o.host)
				}
				continue
			}
			o.fine(t)
		}
		same(t, y.holds(), want)
	}
}
