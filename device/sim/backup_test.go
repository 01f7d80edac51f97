package sim

import (
	"bytes"
	"context"
	"crypto/sha1"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"russet/ios"
)

// row is what a manifest says about a file.
type row struct {
	record []byte
	file   ios.File
	kind   int64
}

// opened is a backup that was read with the package ios.
type opened struct {
	fsys fs.FS
	keys ios.ClassKeys // nil in a plain backup
	rows map[string]row
}

func openBackup(t *testing.T, folder, password string) opened {
	t.Helper()
	o := opened{fsys: os.DirFS(folder), rows: make(map[string]row)}
	b, err := ios.Open(o.fsys)
	if err != nil {
		t.Fatal(err)
	}
	if !b.Finished() || b.Encrypted() != (password != "") {
		t.Fatalf("finished %v, encrypted %v", b.Finished(), b.Encrypted())
	}
	data, err := fs.ReadFile(o.fsys, "Manifest.db")
	if err != nil {
		t.Fatal(err)
	}
	if password != "" {
		kb, err := b.Keybag()
		if err != nil {
			t.Fatal(err)
		}
		if o.keys, err = kb.Unlock(t.Context(), password); err != nil {
			t.Fatal(err)
		}
		k, err := o.keys.Unwrap(b.Properties.ManifestKey)
		if err != nil {
			t.Fatal(err)
		}
		if data, err = ios.Decrypt(nil, data, k); err != nil {
			t.Fatal(err)
		}
	}
	m, err := ios.OpenManifest(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for r, err := range m.Records(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		v := row{record: bytes.Clone(r.Blob), kind: r.Flags}
		if err := ios.ParseFile(v.record, &v.file); err != nil {
			t.Fatal(err)
		}
		if r.FileID != ios.FileID(r.Domain, r.RelativePath) || v.file.RelativePath != r.RelativePath {
			t.Errorf("%s: %q in the record, %q in the row", r.FileID, v.file.RelativePath, r.RelativePath)
		}
		o.rows[r.FileID] = v
	}
	return o
}

// plaintext opens the stored file of a row.
func (o opened) plaintext(t *testing.T, id string) []byte {
	t.Helper()
	stored, err := fs.ReadFile(o.fsys, blobPath(id))
	if err != nil {
		t.Fatal(err)
	}
	f := o.rows[id].file
	if sum := sha1.Sum(stored); f.Digest != nil && !bytes.Equal(sum[:], f.Digest) {
		t.Errorf("%s: digest %x, want %x", id, f.Digest, sum)
	}
	if o.keys == nil {
		return stored
	}
	k, err := o.keys.Unwrap(f.EncryptionKey)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := ios.Decrypt(nil, stored, k)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// check compares a backup with the phone.
func (o opened) check(t *testing.T, d *Device) {
	t.Helper()
	rows, digests := 0, 0
	for f := range d.Files() {
		id := ios.FileID(f.Domain, f.RelativePath)
		r, ok := o.rows[id]
		if !ok {
			t.Errorf("no row of %q", f.RelativePath)
			continue
		}
		rows++
		if r.kind != f.Kind() {
			t.Errorf("%q: got the kind %d, want %d", f.RelativePath, r.kind, f.Kind())
		}
		if r.file.Mode != f.Mode || r.file.Size != f.Size || r.file.LastModified != f.LastModified ||
			r.file.Target != f.Target || r.file.UserID != f.UserID || r.file.ProtectionClass != f.ProtectionClass {
			t.Errorf("%q: record %+v, want %+v", f.RelativePath, r.file, f.File)
		}
		if !f.Regular() {
			continue
		}
		if (r.file.Digest != nil) != ios.HasDigest(f.Domain) {
			t.Errorf("%q has a digest: %v", f.RelativePath, r.file.Digest != nil)
		}
		digests += len(r.file.Digest)
		if !bytes.Equal(o.plaintext(t, id), read(t, d, f)) {
			t.Errorf("%q: other bytes than the phone has", f.RelativePath)
		}
	}
	if rows != len(o.rows) || digests == 0 {
		t.Errorf("%d rows, want %d; %d bytes of digests", len(o.rows), rows, digests)
	}
	blobs := 0
	for _, r := range o.rows {
		if r.file.Mode>>12 == modeRegular>>12 {
			blobs++
		}
	}
	shards, err := fs.Glob(o.fsys, "[0-9a-f][0-9a-f]")
	if err != nil || len(shards) != 256 {
		t.Errorf("%d shard folders, %v", len(shards), err)
	}
	files, err := fs.Glob(o.fsys, "[0-9a-f][0-9a-f]/*")
	if err != nil || len(files) != blobs {
		t.Errorf("%d stored files, %v, want %d", len(files), err, blobs)
	}
}

func writeBackup(t *testing.T, d *Device, dir string, o Options) Report {
	t.Helper()
	r, err := d.WriteBackup(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWriteBackup(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{
		"plain": {}, "encrypted": {Password: "pass", Iterations: 3}, "archived": {Folder: "x-20240102-030405"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDevice(t, Tiny())
			dir := t.TempDir()
			for generation := range 3 {
				r := writeBackup(t, d, dir, o)
				if r.Full != (generation == 0) || r.Sent == 0 || (r.Kept == 0) != r.Full {
					t.Errorf("generation %d: %v", generation, r)
				}
				openBackup(t, r.Folder, o.Password).check(t, d)
				if err := d.Next(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestSameBytes writes the same history twice and compares all files and their times.
func TestSameBytes(t *testing.T) {
	t.Parallel()
	var folders []string
	for range 2 {
		d, dir := newDevice(t, Tiny()), t.TempDir()
		for range 2 {
			folders = append(folders, writeBackup(t, d, dir, Options{Password: "pass", Iterations: 1}).Folder)
			if err := d.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	a, b := os.DirFS(folders[1]), os.DirFS(folders[3])
	err := fs.WalkDir(a, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		want, errA := fs.ReadFile(a, name)
		got, errB := fs.ReadFile(b, name)
		wantInfo, errC := fs.Stat(a, name)
		gotInfo, errD := fs.Stat(b, name)
		if err := errors.Join(errA, errB, errC, errD); err != nil {
			return err
		}
		if !bytes.Equal(got, want) || !gotInfo.ModTime().Equal(wantInfo.ModTime()) {
			t.Errorf("%s differs", name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestIncremental says what a backup of the next day leaves alone.
func TestIncremental(t *testing.T) {
	t.Parallel()
	d, dir := newDevice(t, Tiny()), t.TempDir()
	o := Options{Password: "pass", Iterations: 1}
	folder := writeBackup(t, d, dir, o).Folder
	before := openBackup(t, folder, o.Password)
	times, bag := blobTimes(t, before), manifestPlist(t, folder)
	if err := d.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	report := writeBackup(t, d, dir, o)
	after := openBackup(t, folder, o.Password)
	timesAfter := blobTimes(t, after)
	kept, changed := 0, 0
	for id, r := range after.rows {
		was, known := before.rows[id]
		if !known {
			continue
		}
		same := bytes.Equal(was.record, r.record)
		if same != (was.file.LastModified == r.file.LastModified) {
			t.Errorf("%s: record the same: %v", id, same)
		}
		if r.file.EncryptionKey == nil {
			continue
		}
		if same {
			kept++
		} else {
			changed++
		}
		if got := timesAfter[id]; got.Equal(times[id]) != same {
			t.Errorf("%s: stored at %v, then at %v; record the same: %v", id, times[id], got, same)
		}
		if bytes.Equal(was.file.EncryptionKey, r.file.EncryptionKey) != same {
			t.Errorf("%s: key the same: %v", id, !same)
		}
	}
	if kept != report.Kept || changed == 0 || report.Removed == 0 {
		t.Errorf("%d kept, %d changed: %v", kept, changed, report)
	}
	now := manifestPlist(t, folder)
	if !bytes.Equal(bag.BackupKeyBag, now.BackupKeyBag) || bytes.Equal(bag.ManifestKey, now.ManifestKey) {
		t.Error("the keybag has to stay, the manifest's key has to change")
	}
	if report := writeBackup(t, d, dir, o); report.Sent != 0 || report.Full {
		t.Errorf("nothing changed, but: %v", report)
	}
}

func manifestPlist(t *testing.T, folder string) ios.Properties {
	t.Helper()
	b, err := ios.Open(os.DirFS(folder))
	if err != nil {
		t.Fatal(err)
	}
	return b.Properties
}

// blobTimes returns when each file of the backup was written.
func blobTimes(t *testing.T, o opened) map[string]time.Time {
	t.Helper()
	times := make(map[string]time.Time)
	names, err := fs.Glob(o.fsys, "[0-9a-f][0-9a-f]/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		info, err := fs.Stat(o.fsys, name)
		if err != nil {
			t.Fatal(err)
		}
		times[filepath.Base(name)] = info.ModTime()
	}
	return times
}

// TestFull lists what makes a phone start over.
func TestFull(t *testing.T) {
	t.Parallel()
	d, dir := newDevice(t, Tiny()), t.TempDir()
	first := Options{Password: "pass", Iterations: 1}
	folder := writeBackup(t, d, dir, first).Folder
	old := manifestPlist(t, folder)
	for _, o := range []Options{
		{Password: "word", Iterations: 1}, {}, {Full: true}, {Password: "word", Iterations: 1},
	} {
		if r := writeBackup(t, d, dir, o); !r.Full || r.Kept > 0 {
			t.Errorf("%+v: %v", o, r)
		}
	}
	if bytes.Equal(old.BackupKeyBag, manifestPlist(t, folder).BackupKeyBag) {
		t.Error("the keybag is the old one")
	}
	openBackup(t, folder, "word").check(t, d)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.WriteBackup(ctx, dir, first); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// TestCutOff has a run that ends in the middle: the folder must say so, and the next run must mend it.
func TestCutOff(t *testing.T) {
	t.Parallel()
	d, dir := newDevice(t, Tiny()), t.TempDir()
	ctx := &countdown{Context: t.Context()}
	ctx.left.Store(60)
	if _, err := d.WriteBackup(ctx, dir, Options{}); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want %v", err, context.Canceled)
	}
	folder := filepath.Join(dir, d.Config().UDID)
	status, err := os.ReadFile(filepath.Join(folder, "Status.plist"))
	if err != nil || !bytes.Contains(status, []byte("uploading")) {
		t.Errorf("status %q, %v, want uploading", status, err)
	}
	if r := writeBackup(t, d, dir, Options{}); !r.Full {
		t.Errorf("went on after a run that was cut off: %v", r)
	}
	openBackup(t, folder, "").check(t, d)
}

// countdown is a context that is cancelled after it was asked a number of times.
type countdown struct {
	context.Context
	left atomic.Int64
}

func (c *countdown) Err() error {
	if c.left.Add(-1) < 0 {
		return context.Canceled
	}
	return c.Context.Err()
}

// TestHardLinks keeps an older version as a copy of hard links, which the next backup must not change.
func TestHardLinks(t *testing.T) {
	t.Parallel()
	d, dir, copied := newDevice(t, Tiny()), t.TempDir(), t.TempDir()
	folder := writeBackup(t, d, dir, Options{}).Folder
	sums := make(map[string][20]byte)
	err := filepath.WalkDir(folder, func(name string, e fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(folder, name)
		if err != nil || e.IsDir() {
			return errors.Join(err, os.MkdirAll(filepath.Join(copied, rel), 0o755))
		}
		data, err := os.ReadFile(name)
		sums[rel] = sha1.Sum(data)
		return errors.Join(err, os.Link(name, filepath.Join(copied, rel)))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	writeBackup(t, d, dir, Options{})
	for rel, want := range sums {
		data, err := os.ReadFile(filepath.Join(copied, rel))
		if err != nil || sha1.Sum(data) != want {
			t.Errorf("%s changed in the copy, %v", rel, err)
		}
	}
}

// TestManifestPages compares the manifest of two days: it is changed in place.
func TestManifestPages(t *testing.T) {
	t.Parallel()
	c := Tiny()
	c.SmallFiles = 500
	d, dir := newDevice(t, c), t.TempDir()
	folder := writeBackup(t, d, dir, Options{}).Folder
	before, errA := os.ReadFile(filepath.Join(folder, "Manifest.db"))
	if err := d.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	writeBackup(t, d, dir, Options{})
	after, errB := os.ReadFile(filepath.Join(folder, "Manifest.db"))
	if err := errors.Join(errA, errB); err != nil {
		t.Fatal(err)
	}
	var same, pages int
	for page := range slices.Chunk(after, 4096) {
		if at := pages * 4096; at < len(before) && bytes.Equal(page, before[at:at+4096]) {
			same++
		}
		pages++
	}
	if same*2 < pages {
		t.Errorf("%d of %d pages are the same", same, pages)
	}
}
