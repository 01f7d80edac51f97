package mb2_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/capture"
	"russet/crypto"
	"russet/device/mb2"
	"russet/device/sim"
	"russet/device/sim/agent"
	"russet/index"
	"russet/internal/plist"
	"russet/ios"
	"russet/repo"
)

// rig is a phone of software, a repository, and the spool between them: what the
// tests of a whole backup are made with.
type rig struct {
	t        *testing.T
	contents agent.Contents
	dir      string // of contents, where they are a folder
	state    string // of the phone's agent
	password string // of the phone's backups
	be       backend.Backend
	spool    string
	script   agent.Script // of changes of the password
	host     mb2.Options
	allow    []agent.Rule
	talks    int // so far; the phone's clock is an hour later at each
	wrap     func(mb2.Folder) mb2.Folder
}

const someUDID = "00008030-0001544C1A2B402E"

func newRig(t *testing.T, password string) *rig {
	t.Helper()
	x := &rig{t: t, dir: t.TempDir(), state: t.TempDir(), spool: t.TempDir(), be: backend.NewMemory()}
	_, err := repo.Init(t.Context(), x.be, "x", repo.InitOptions{
		Cost: crypto.Cost{N: 16, R: 1, P: 1}, Owner: repo.Owner{Time: time.Unix(0, 0)},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := sim.Tiny()
	c.UDID = someUDID
	x.fill(c)
	if password != "" {
		x.changePassword(password)
	}
	return x
}

// fill gives the rig a phone whose contents are those of x.dir.
func (x *rig) fill(c sim.Config) {
	x.t.Helper()
	folder, err := sim.OpenFolder(x.dir, c)
	if err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(func() { folder.Close() })
	x.contents = folder
}

// changePassword changes the phone's backup password, and keeps what that makes
// of the backup.
func (x *rig) changePassword(password string) *capture.Result {
	x.t.Helper()
	ph := x.open(false)
	x.talk(x.script, func(s *mb2.Session) error {
		return s.ChangePassword(x.t.Context(), ph, someUDID, x.password, password)
	}).fine(x.t)
	x.password = password
	res, err := ph.Commit(x.t.Context(), time.Now())
	if errors.Is(err, fs.ErrNotExist) { // there is no backup yet
		err = ph.Drop()
	}
	if err != nil {
		x.t.Fatal(err)
	}
	return res
}

// clone is the rig as it is on the disks now, but for the phone's contents,
// which are the same. The spool comes first: what its journal names was made
// durable before.
func (x *rig) clone() *rig {
	x.t.Helper()
	y := *x
	y.spool, y.state = x.t.TempDir(), x.t.TempDir()
	err := errors.Join(os.CopyFS(y.spool, os.DirFS(x.spool)), os.CopyFS(y.state, os.DirFS(x.state)))
	if err != nil {
		x.t.Fatal(err)
	}
	if y.be, err = backendtest.Copy(x.t.Context(), x.be); err != nil {
		x.t.Fatal(err)
	}
	return &y
}

// repository opens it as another process would.
func (x *rig) repository() *repo.Repository {
	x.t.Helper()
	r, err := repo.Open(x.t.Context(), x.be, "x")
	if err == nil {
		err = r.LoadIndex(x.t.Context())
	}
	if err == nil {
		_, err = r.DropLost(x.t.Context()) // as every backup begins
	}
	if err != nil {
		x.t.Fatal(err)
	}
	return r
}

func (x *rig) answer(_ context.Context, a capture.Ask) (string, bool, error) {
	return x.password, !a.Wrong, nil
}

func openRoot(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

// open begins or continues a run.
func (x *rig) open(full bool) *capture.Phone {
	x.t.Helper()
	info, err := plist.Marshal(map[string]any{"Unique Identifier": someUDID, "Product Version": "18.1"}, plist.XML)
	if err != nil {
		x.t.Fatal(err)
	}
	encrypted := x.password != ""
	ph, err := capture.OpenPhone(x.t.Context(), x.repository(), someUDID, capture.PhoneOptions{
		Options: capture.Options{Password: x.answer}, Spool: openRoot(x.t, x.spool),
		Full: full, Info: info, WillEncrypt: &encrypted, AssumeFree: 1 << 40,
	})
	if err != nil {
		x.t.Fatal(err)
	}
	return ph
}

// outcome is what both sides say of a conversation.
type outcome struct {
	report      agent.Report
	events      []agent.Event
	host, phone error
	result      mb2.Result
	why         string            // the phone was going to send everything
	resumed     bool              // the run is one that was cut
	snapshot    *capture.Result   // of a run that was complete
	held        map[string]string // by the phone, at a run that was complete
	killed      *rig              // what a process that died at the end of the conversation leaves
}

// fine fails the test where anything was not as it should be.
func (o outcome) fine(t *testing.T) {
	t.Helper()
	if o.host != nil || o.phone != nil || len(o.report.Violations) > 0 || o.result.Violations > 0 {
		t.Fatalf("host: %v; phone: %v; %d violations of the phone; %+v", o.host, o.phone, o.result.Violations, o.report)
	}
}

// talk lets host and phone speak to each other.
func (x *rig) talk(script agent.Script, do func(s *mb2.Session) error) (o outcome) {
	x.t.Helper()
	x.talks++
	now := time.Date(2025, 1, 1, x.talks, 0, 0, 0, time.UTC)
	p, err := agent.Open(x.state, x.contents, agent.Options{
		Now:    func() time.Time { return now },
		Script: script, Iterations: 10, Allow: x.allow, Event: func(e agent.Event) { o.events = append(o.events, e) },
	})
	if err != nil {
		x.t.Fatal(err)
	}
	defer p.Close()
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		o.report, o.phone = p.Serve(x.t.Context(), theirs)
	}()
	s, err := mb2.Start(x.t.Context(), ours, x.host)
	if err == nil {
		err = do(s)
		o.result = s.Result()
		err = errors.Join(err, s.Close())
	}
	o.host = err
	<-done
	return o
}

// run makes a backup, and closes the repository's side whatever happens.
func (x *rig) run(script agent.Script, full bool) outcome {
	x.t.Helper()
	ph := x.open(full)
	var folder mb2.Folder = ph
	if x.wrap != nil {
		folder = x.wrap(ph)
	}
	o := x.talk(script, func(s *mb2.Session) error {
		return s.Backup(x.t.Context(), folder, someUDID, full)
	})
	o.why = ph.Why()
	o.resumed, _ = ph.Resumed()
	if o.host != nil {
		o.killed = x.clone()
		if err := ph.Close(); err != nil && !errors.Is(o.host, backendtest.ErrInjected) && !backend.IsFull(err) {
			x.t.Errorf("close: %v", err)
		}
		return o
	}
	res, err := ph.Commit(x.t.Context(), time.Now())
	if err != nil {
		o.host = err
		o.killed = x.clone()
		return o
	}
	o.snapshot = res
	return o
}

// whole makes a backup that must succeed, be no fallback, and give back what the
// phone holds.
func (x *rig) whole(script agent.Script) outcome {
	x.t.Helper()
	o := x.run(script, false)
	o.fine(x.t)
	if o.report.Fallback != "" {
		x.t.Errorf("the phone fell back to a full backup: %s; %s", o.report.Fallback, o.why)
	}
	if sum := o.snapshot.Summary; sum.Missing+sum.Unreadable+sum.FilesSealed+sum.BadRecords > 0 {
		x.t.Errorf("got %+v", sum)
	}
	o.held = x.holds()
	x.gives(o.snapshot.Snapshot, o.held)
	return o
}

// holds is what is on the phone. Times of folders are left out: they are those
// of the test.
func (x *rig) holds() map[string]string {
	x.t.Helper()
	all := map[string]string{}
	for f, err := range x.contents.Scan(x.t.Context()) {
		if err != nil {
			x.t.Fatal(err)
		}
		var data []byte
		if f.Regular() {
			r, err := x.contents.Open(f)
			if err != nil {
				x.t.Fatal(err)
			}
			data, err = io.ReadAll(r)
			if err = errors.Join(err, r.Close()); err != nil {
				x.t.Fatal(err)
			}
		}
		all[f.Domain+"-"+f.RelativePath] = said(&f.File, data)
	}
	return all
}

// said is a file in a few words.
func said(f *ios.File, data []byte) string {
	if f.Mode&0o170000 == 0o100000 {
		return fmt.Sprintf("%o %d, %d bytes %x", f.Mode, f.LastModified, len(data), sha1.Sum(data))
	}
	return fmt.Sprintf("%o %s", f.Mode, f.Target)
}

// gives fails the test where a snapshot does not give back exactly what a phone
// held.
func (x *rig) gives(snap *repo.Snapshot, want map[string]string) {
	x.t.Helper()
	same(x.t, x.meaning(x.restored(snap)), want)
}

// restored writes a snapshot out and returns the backup folder.
func (x *rig) restored(snap *repo.Snapshot) string {
	x.t.Helper()
	v, err := capture.Open(x.t.Context(), x.repository(), snap)
	if err != nil {
		x.t.Fatal(err)
	}
	dir := x.t.TempDir()
	res, err := v.RestoreFolder(x.t.Context(), openRoot(x.t, dir), capture.RestoreOptions{})
	if err != nil {
		x.t.Fatal(err)
	}
	if !res.Original || len(res.Failed) > 0 {
		x.t.Errorf("restored: %+v, want the original", res)
	}
	return filepath.Join(dir, v.UDID)
}

func same(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name, w := range want {
		if g, ok := got[name]; !ok {
			t.Errorf("%q is missing", name)
		} else if g != w {
			t.Errorf("%q: got %.200s, want %.200s", name, g, w)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%q is too much", name)
		}
	}
}

// meaning is what a backup folder says, with the phone's password. Nothing may
// be in it that its manifest does not name.
func (x *rig) meaning(dir string) map[string]string {
	x.t.Helper()
	b, err := ios.Open(os.DirFS(dir))
	if err != nil {
		x.t.Fatal(err)
	}
	if !b.Finished() || b.Status.IsFullBackup || b.Encrypted() != (x.password != "") {
		x.t.Fatalf("finished %t, full %t, encrypted %t", b.Finished(), b.Status.IsFullBackup, b.Encrypted())
	}
	data, err := os.ReadFile(filepath.Join(dir, ios.DatabaseName))
	if err != nil {
		x.t.Fatal(err)
	}
	var keys ios.ClassKeys
	if x.password != "" {
		keys, data = x.unlock(b, data)
	}
	m, err := ios.OpenManifest(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		x.t.Fatal(err)
	}
	defer m.Close()
	all, files := map[string]string{}, 0
	for r, err := range m.Records(x.t.Context()) {
		if err != nil {
			x.t.Fatal(err)
		}
		if r.Flags == ios.RegularFile {
			files++
		}
		all[r.Domain+"-"+r.RelativePath] = x.record(dir, b, keys, r)
	}
	stored, err := filepath.Glob(filepath.Join(dir, "??", "*"))
	if err != nil || len(stored) != files {
		x.t.Errorf("the folder has %d files, and its manifest %d: %v", len(stored), files, err)
	}
	return all
}

func (x *rig) unlock(b *ios.Backup, manifest []byte) (ios.ClassKeys, []byte) {
	x.t.Helper()
	bag, err := b.Keybag()
	if err != nil {
		x.t.Fatal(err)
	}
	keys, err := bag.Unlock(x.t.Context(), x.password)
	if err != nil {
		x.t.Fatal(err)
	}
	k, _, err := b.ManifestKey(keys)
	if err == nil {
		manifest, err = ios.Decrypt(nil, manifest, k)
	}
	if err != nil {
		x.t.Fatal(err)
	}
	return keys, manifest
}

func (x *rig) record(dir string, b *ios.Backup, keys ios.ClassKeys, r ios.Record) string {
	x.t.Helper()
	var f ios.File
	if err := ios.ParseFile(bytes.Clone(r.Blob), &f); err != nil {
		x.t.Fatal(err)
	}
	if r.Flags != ios.RegularFile {
		return said(&f, nil)
	}
	data, err := os.ReadFile(filepath.Join(dir, b.Path(r.FileID)))
	if err != nil {
		x.t.Fatal(err)
	}
	if keys != nil {
		k, err := keys.Unwrap(f.EncryptionKey)
		if err == nil {
			data, err = ios.Decrypt(nil, data, k)
		}
		if err != nil {
			x.t.Fatal(err)
		}
	}
	return said(&f, data)
}

// sound fails the test where the repository is not whole, or holds a blob twice.
func (x *rig) sound() {
	x.t.Helper()
	r := x.repository()
	if res, err := r.Check(x.t.Context(), repo.CheckOptions{}); err != nil {
		x.t.Errorf("check: %v, %+v", err, res)
	}
	seen := map[index.Handle]bool{}
	for loc := range r.Index().Blobs() {
		if seen[loc.Handle] {
			x.t.Errorf("a blob of %d bytes is stored twice", loc.Length)
		}
		seen[loc.Handle] = true
	}
}

// put puts a file on the phone.
func (x *rig) put(domain, name, text string, modified int64) {
	x.t.Helper()
	f := sim.NewFile(domain, ios.File{RelativePath: name, Mode: 0o100644, LastModified: modified}, int64(len(text)))
	if err := x.contents.(*sim.Folder).Put(f, strings.NewReader(text)); err != nil {
		x.t.Fatal(err)
	}
}

// path is where a file of the phone lies.
func (x *rig) path(domain, name string) string {
	return filepath.Join(x.dir, "Files", domain, filepath.FromSlash(name))
}
