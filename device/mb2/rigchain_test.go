package mb2_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"testing"
	"time"

	"russet/device/mb2"
	"russet/device/sim"
	"russet/device/sim/agent"
)

// editor lives with a phone: it adds, changes, moves and removes files.
type editor struct {
	*rig
	rnd *rand.Rand
	at  int64 // the present second
}

// paths are those of all regular files, or of all folders but domains.
func (e *editor) paths(dirs bool) (all []string) {
	e.t.Helper()
	root := filepath.Join(e.dir, "Files")
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err == nil && name != root && filepath.Dir(name) != root && d.IsDir() == dirs && (dirs || d.Type().IsRegular()) {
			all = append(all, name)
		}
		return err
	})
	if err != nil {
		e.t.Fatal(err)
	}
	return all
}

func (e *editor) must(errs ...error) {
	e.t.Helper()
	if err := errors.Join(errs...); err != nil {
		e.t.Fatal(err)
	}
}

func pick(e *editor, from []string) string {
	if len(from) == 0 {
		return ""
	}
	return from[e.rnd.IntN(len(from))]
}

func (e *editor) name() string {
	var parts []string
	for range e.rnd.IntN(7) {
		parts = append(parts, fmt.Sprintf("Folder %d", e.rnd.IntN(3)))
	}
	return path.Join(append(parts, fmt.Sprintf("file-%d \u00fc.dat", e.rnd.IntN(1000)))...)
}

// size is mostly small, sometimes nothing, and sometimes more than a unit.
func (e *editor) size() int {
	switch e.rnd.IntN(8) {
	case 0:
		return 0
	case 1:
		return 262_144 + e.rnd.IntN(3) - 1
	case 2:
		return 200_000 + e.rnd.IntN(500_000)
	}
	return 1 + e.rnd.IntN(5000)
}

func (e *editor) add() {
	domain := []string{"HomeDomain", "CameraRollDomain", "AppDomain-org.example.notes"}[e.rnd.IntN(3)]
	name := e.name()
	if info, err := os.Stat(e.path(domain, name)); err == nil && info.IsDir() {
		return
	}
	e.put(domain, name, noise(e.size(), e.rnd.IntN(250)), e.at)
}

// touch writes a page of a file, as databases do, or all of it.
func (e *editor) touch() {
	name := pick(e, e.paths(false))
	if name == "" {
		return
	}
	data, err := os.ReadFile(name)
	e.must(err)
	if len(data) < 8192 || e.rnd.IntN(3) == 0 {
		data = []byte(noise(e.size(), e.rnd.IntN(250)))
	} else {
		page := e.rnd.IntN(len(data) / 4096)
		copy(data[page*4096:], noise(4096, e.rnd.IntN(250)))
	}
	now := time.Unix(e.at, 0)
	e.must(os.WriteFile(name, data, 0o644), os.Chtimes(name, now, now))
}

// move renames a file or a folder, sometimes over another file.
func (e *editor) move() {
	dir := e.rnd.IntN(3) == 0
	from := pick(e, e.paths(dir))
	if from == "" {
		return
	}
	to := filepath.Join(filepath.Dir(from), fmt.Sprintf("renamed %d", e.rnd.IntN(1000)))
	if other := pick(e, e.paths(false)); !dir && e.rnd.IntN(3) == 0 && other != "" {
		to = other
	}
	if info, err := os.Stat(to); err == nil && (dir || info.IsDir()) {
		return
	}
	now := time.Unix(e.at, 0) // a phone goes by times alone
	e.must(os.Rename(from, to), os.Chtimes(to, now, now))
}

func (e *editor) remove() {
	if name := pick(e, e.paths(e.rnd.IntN(4) == 0)); name != "" {
		e.must(os.RemoveAll(name))
	}
}

// link makes a symlink. One that is there is left alone: its time would be that
// of the test, in which many days pass within a second.
func (e *editor) link() {
	err := os.Symlink(fmt.Sprintf("target %d", e.rnd.IntN(100)), e.path("HomeDomain", fmt.Sprintf("link-%d", e.rnd.IntN(1000))))
	if !errors.Is(err, fs.ErrExist) {
		e.must(err)
	}
}

// day lets things happen.
func (e *editor) day() {
	e.at += 86_400
	for range 1 + e.rnd.IntN(8) {
		e.at++
		[]func(){e.add, e.add, e.touch, e.touch, e.touch, e.move, e.remove, e.link}[e.rnd.IntN(8)]()
	}
}

// TestChain: twenty days on a phone, each a snapshot that gives back exactly
// what the phone has left in its folder, to the byte. The phone never sends
// everything, nor a file that it need not.
func TestChain(t *testing.T) {
	t.Parallel()
	for _, password := range []string{"", "secret"} {
		for _, seed := range seeds() {
			t.Run(fmt.Sprintf("password=%s seed=%d", password, seed), func(t *testing.T) {
				t.Parallel()
				chain(t, password, seed)
			})
		}
	}
}

// seeds are those of the chains. One that fails is in the name of its test.
func seeds() []uint64 {
	all := []uint64{0}
	for long() && len(all) < 40 {
		all = append(all, rand.Uint64())
		if raced {
			break
		}
	}
	return all
}

func chain(t *testing.T, password string, seed uint64) {
	x := newRig(t, password)
	w := &twin{files: map[string][]byte{}}
	x.wrap = func(f mb2.Folder) mb2.Folder { w.Folder = f; return w }
	e := &editor{rig: x, rnd: rand.New(rand.NewPCG(seed, 3)), at: 1_700_000_000}
	e.put("HomeDomain", "Library/SMS/sms.db", noise(600_000, 1), e.at)
	e.put("HomeDomain", "empty", "", e.at)
	for range 12 {
		e.add()
	}
	type version struct {
		outcome
		files map[string][]byte
	}
	var all []version
	days := 21
	if testing.Short() {
		days = 5
	}
	for n := range days {
		o := x.run(agent.Script{}, false)
		o.fine(t)
		o.held = x.holds()
		if o.report.Full != (n == 0) || o.report.Fallback != "" {
			t.Errorf("day %d: %+v", n, o.report)
		}
		if sum := o.snapshot.Summary; sum.FilesRead != o.report.Sent || sum.Missing+sum.FilesSealed > 0 {
			t.Errorf("day %d: %d files were sent, and %d read: %+v", n, o.report.Sent, sum.FilesRead, sum)
		}
		all = append(all, version{o, maps.Clone(w.files)})
		e.day()
	}
	x.sound()
	for n, v := range all {
		dir := x.restored(v.snapshot.Snapshot)
		(&twin{files: v.files}).equals(t, dir)
		same(t, x.meaning(dir), v.held)
		if t.Failed() {
			t.Fatalf("day %d", n)
		}
	}
}

// TestGeneratedChain: a generated phone, with databases that are sent as compacted
// copies, and names that no folder can have.
func TestGeneratedChain(t *testing.T) {
	t.Parallel()
	for _, password := range []string{"", "secret"} {
		t.Run("password="+password, func(t *testing.T) {
			t.Parallel()
			x := newRig(t, password)
			c := sim.Tiny()
			c.UDID, c.SmallFiles, c.Photos, c.Videos, c.Messages = someUDID, 20, 0, 1, 20
			d, err := sim.New(t.Context(), c, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			x.contents = d
			w := &twin{files: map[string][]byte{}}
			x.wrap = func(f mb2.Folder) mb2.Folder { w.Folder = f; return w }
			for n := range 5 {
				o := x.run(agent.Script{}, false)
				o.fine(t)
				if o.report.Full != (n == 0) || o.report.Fallback != "" || o.snapshot.Summary.FilesRead != o.report.Sent {
					t.Errorf("day %d: %+v, %+v", n, o.report, o.snapshot.Summary)
				}
				dir := x.restored(o.snapshot.Snapshot)
				w.equals(t, dir)
				same(t, x.meaning(dir), x.holds())
				if err := d.Next(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			x.sound()
		})
	}
}
