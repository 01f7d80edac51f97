package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"russet/device/sim"
	"russet/internal/plist"
	"russet/ios"
	"russet/repo"
)

const simPassword = "demo"

// phone is a small generated device and the folder that holds its backup.
type phone struct {
	t   *testing.T
	d   *sim.Device
	dir string // the backup folder itself
	opt sim.Options
}

func newPhone(t *testing.T, encrypted bool) *phone {
	t.Helper()
	return newPhoneOf(t, sim.Tiny(), encrypted)
}

func newPhoneOf(t *testing.T, config sim.Config, encrypted bool) *phone {
	t.Helper()
	d, err := sim.New(t.Context(), config, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p := &phone{t: t, d: d}
	if encrypted {
		p.opt = sim.Options{Password: simPassword, Iterations: 1000}
	}
	up := t.TempDir()
	p.dir = filepath.Join(up, d.Config().UDID)
	p.backup()
	return p
}

func (p *phone) backup() {
	p.t.Helper()
	if _, err := p.d.WriteBackup(p.t.Context(), filepath.Dir(p.dir), p.opt); err != nil {
		p.t.Fatal(err)
	}
}

func (p *phone) next() {
	p.t.Helper()
	if err := p.d.Next(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	p.backup()
}

// stored returns the path of the stored form of the first regular file that
// accept takes.
func (p *phone) stored(accept func(*sim.File) bool) (string, *sim.File) {
	p.t.Helper()
	for f := range p.d.Files() {
		if f.Regular() && accept(f) {
			return filepath.Join(p.dir, filepath.FromSlash(storedPath(ios.FileID(f.Domain, f.RelativePath), false))), f
		}
	}
	p.t.Fatal("the phone has no such file")
	return "", nil
}

func each(t *testing.T, test func(t *testing.T, encrypted bool)) {
	for _, encrypted := range []bool{false, true} {
		t.Run(fmt.Sprint("encrypted=", encrypted), func(t *testing.T) {
			t.Parallel()
			test(t, encrypted)
		})
	}
}

func TestGeneratedGenerations(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, encrypted bool) {
		p := newPhone(t, encrypted)
		r := newRepo(t)
		first := keep(t, r, p.dir, withPassword(simPassword))
		want := state(t, p.dir)
		if first.Summary.FilesUnmodified != 0 || first.Summary.WhyAll == "" {
			t.Errorf("first: %+v", first.Summary)
		}
		for range 3 {
			p.next()
			// The password is not asked again: the keybag is known.
			res := keep(t, r, p.dir, Options{Password: func(context.Context, Ask) (string, bool, error) {
				t.Error("the password was asked for again")
				return "", false, nil
			}})
			if res.Kept || res.Summary.WhyAll != "" || res.Summary.FilesUnmodified == 0 || res.Summary.FilesRead > 40 {
				t.Errorf("next: %+v", res.Summary)
			}
			writeBack(t, r, res.Snapshot, p.dir)
			if again := keep(t, r, p.dir, Options{}); !again.Kept {
				t.Error("kept twice")
			}
		}
		// The first version is still what it was.
		v, err := Open(t.Context(), r, first.Snapshot)
		if err != nil {
			t.Fatal(err)
		}
		target := t.TempDir()
		if _, err := v.RestoreFolder(t.Context(), openRoot(t, target), RestoreOptions{}); err != nil {
			t.Fatal(err)
		}
		compare(t, state(t, filepath.Join(target, v.UDID)), want)
	})
}

func TestGeneratedPlaintext(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, encrypted bool) {
		p := newPhone(t, encrypted)
		r := newRepo(t)
		res := keep(t, r, p.dir, withPassword(simPassword))
		v, err := Open(t.Context(), r, res.Snapshot)
		if err != nil {
			t.Fatal(err)
		}
		target := t.TempDir()
		if _, err := v.RestoreFiles(t.Context(), openRoot(t, target), RestoreOptions{}); err != nil {
			t.Fatal(err)
		}
		for f := range p.d.Files() {
			if !f.Regular() {
				continue
			}
			in, err := p.d.Open(f)
			if err != nil {
				t.Fatal(err)
			}
			var want bytes.Buffer
			if _, err := want.ReadFrom(in); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(filepath.Join(target, f.Domain, f.RelativePath))
			if err != nil || !bytes.Equal(got, want.Bytes()) {
				t.Errorf("%s/%s: %v, equal %v", f.Domain, f.RelativePath, err, bytes.Equal(got, want.Bytes()))
			}
		}
	})
}

// TestUnchangedNotOpened takes the unchanged files' bytes away: a second run
// that opened one would notice.
func TestUnchangedNotOpened(t *testing.T) {
	t.Parallel()
	p := newPhone(t, true)
	r := newRepo(t)
	keep(t, r, p.dir, withPassword(simPassword))
	name, f := p.stored(func(f *sim.File) bool { return f.Length() > 5000 && f.Domain == "CameraRollDomain" })
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, make([]byte, info.Size()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(name, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	p.next()
	res := keep(t, r, p.dir, Options{})
	if res.Summary.FilesSealed != 0 {
		t.Errorf("%s was opened: %+v", f.RelativePath, res.Summary)
	}
	// With force it is read, and what it now holds is kept as it is.
	opt := withPassword(simPassword)
	opt.Force = true
	forced := keep(t, r, p.dir, opt)
	if forced.Summary.NotReproducible != 1 || forced.Summary.FilesUnmodified != 0 {
		t.Errorf("forced: %+v", forced.Summary)
	}
	writeBack(t, r, forced.Snapshot, p.dir)
}

func TestOddFolder(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, encrypted bool) {
		p := newPhone(t, encrypted)
		gone, _ := p.stored(func(f *sim.File) bool { return f.Length() > 100 })
		if err := os.Remove(gone); err != nil {
			t.Fatal(err)
		}
		cut, _ := p.stored(func(f *sim.File) bool {
			return f.Length() > 5000 && filepath.Dir(gone) != "" && f.Domain == "CameraRollDomain"
		})
		if err := os.Truncate(cut, 1001); err != nil {
			t.Fatal(err)
		}
		write := func(name, text string) {
			t.Helper()
			name = filepath.Join(p.dir, name)
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write("DDNABackup.plist", "of another program")
		write("Snapshot/ab/abcd", "left over")
		write("00/00ffffffffffffffffffffffffffffffffffffff", "in no record")
		write("ff/00ffffffffffffffffffffffffffffffffffffff", "in the wrong folder")
		write("0a/UPPER", "odd name")
		if err := os.MkdirAll(filepath.Join(p.dir, "empty", "deep"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("/etc/passwd", filepath.Join(p.dir, "link")); err != nil {
			t.Skip("not here: symlinks")
		}
		r := newRepo(t)
		res := keep(t, r, p.dir, withPassword(simPassword))
		if res.Summary.Missing != 1 {
			t.Errorf("missing: %d, want 1", res.Summary.Missing)
		}
		if encrypted && res.Summary.NotReproducible != 1 {
			t.Errorf("not reproducible: %d, want the cut file", res.Summary.NotReproducible)
		}
		writeBack(t, r, res.Snapshot, p.dir)
	})
}

func TestMissingHeals(t *testing.T) {
	t.Parallel()
	p := newPhone(t, false)
	name, _ := p.stored(func(f *sim.File) bool { return f.Length() > 100 })
	if err := os.Rename(name, name+".away"); err != nil {
		t.Fatal(err)
	}
	r := newRepo(t)
	if res := keep(t, r, p.dir, Options{}); res.Summary.Missing != 1 {
		t.Fatalf("missing: %+v", res.Summary)
	}
	if !keep(t, r, p.dir, Options{}).Kept {
		t.Error("kept twice while the file is still missing")
	}
	if err := os.Rename(name+".away", name); err != nil {
		t.Fatal(err)
	}
	res := keep(t, r, p.dir, Options{})
	if res.Kept || res.Summary.Missing != 0 {
		t.Errorf("the file is back, but: %+v", res)
	}
	writeBack(t, r, res.Snapshot, p.dir)
}

func setStatus(t *testing.T, p *phone, state string) {
	t.Helper()
	setStatusKey(t, p, "SnapshotState", state)
}

func setStatusKey(t *testing.T, p *phone, key, value string) {
	t.Helper()
	name := filepath.Join(p.dir, ios.StatusName)
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := plist.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	m[key] = value
	if data, err = plist.Marshal(m, plist.Binary); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestUnfinished(t *testing.T) {
	t.Parallel()
	p := newPhone(t, false)
	setStatus(t, p, "uploading")
	r := newRepo(t)
	_, err := Folder(t.Context(), r, openRoot(t, p.dir), "x", Options{})
	if !errors.Is(err, ErrUnfinished) || !strings.Contains(err.Error(), "uploading") {
		t.Errorf("got %v, want ErrUnfinished with the state", err)
	}
	res := keep(t, r, p.dir, Options{Incomplete: true})
	if !res.Snapshot.HasTag(TagIncomplete) {
		t.Errorf("tags %q, want incomplete", res.Snapshot.Tags)
	}
	if again := keep(t, r, p.dir, Options{Incomplete: true}); !again.Kept {
		t.Error("the same unfinished folder was kept twice")
	}
	setStatus(t, p, "finished")
	done := keep(t, r, p.dir, Options{})
	if done.Snapshot.Parent != nil || done.Summary.FilesUnmodified != 0 {
		t.Errorf("an incomplete snapshot was built upon: %+v", done.Summary)
	}
}

func TestUnreadableManifest(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, encrypted bool) {
		p := newPhone(t, encrypted)
		name := filepath.Join(p.dir, ios.DatabaseName)
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 4096 {
			data[i] ^= 0x55
		}
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		r := newRepo(t)
		res := keep(t, r, p.dir, withPassword(simPassword))
		if !res.Snapshot.HasTag(TagUnreadable) {
			t.Errorf("tags %q, want unreadable", res.Snapshot.Tags)
		}
		writeBack(t, r, res.Snapshot, p.dir)
	})
}

func TestEdited(t *testing.T) {
	t.Parallel()
	p := newPhone(t, false)
	r := newRepo(t)
	res := keep(t, r, p.dir, Options{})
	// What `restic rewrite --exclude` leaves: the same snapshot without a file.
	ctx := t.Context()
	w := r.NewWriter(ctx)
	top, err := r.Find(ctx, *res.Snapshot.Tree, p.d.Config().UDID)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := r.LoadTree(ctx, *top.Subtree)
	if err != nil {
		t.Fatal(err)
	}
	tree.Nodes = tree.Nodes[1:]
	sub, err := w.SaveTree(ctx, tree)
	if err != nil {
		t.Fatal(err)
	}
	top.Subtree = &sub.ID
	root, err := w.SaveTree(ctx, &repo.Tree{Nodes: []*repo.Node{top}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	edited := *res.Snapshot
	edited.Tree = &root.ID
	if _, err := r.SaveSnapshot(ctx, &edited); err != nil {
		t.Fatal(err)
	}
	if err := r.RemoveSnapshot(ctx, res.Snapshot.ID()); err != nil {
		t.Fatal(err)
	}
	v, err := Open(ctx, r, &edited)
	if err != nil {
		t.Fatal(err)
	}
	if !v.Edited {
		t.Fatal("the edit was not noticed")
	}
	restored, err := v.RestoreFolder(ctx, openRoot(t, t.TempDir()), RestoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if restored.Original {
		t.Error("an edited version was called the original")
	}
	again := keep(t, r, p.dir, Options{})
	if again.Kept || again.Snapshot.Parent != nil {
		t.Errorf("an edited version was built upon: %+v", again)
	}
	writeBack(t, r, again.Snapshot, p.dir)
}

func TestRestoreRefusesExisting(t *testing.T) {
	t.Parallel()
	p := newPhone(t, false)
	r := newRepo(t)
	v, err := Open(t.Context(), r, keep(t, r, p.dir, Options{}).Snapshot)
	if err != nil {
		t.Fatal(err)
	}
	target := openRoot(t, t.TempDir())
	if err := target.Mkdir(v.UDID, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := v.RestoreFolder(t.Context(), target, RestoreOptions{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v, want fs.ErrExist", err)
	}
}
