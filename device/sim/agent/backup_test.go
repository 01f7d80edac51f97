package agent

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"testing"
	"time"

	"russet/device/sim"
	"russet/ios"
)

const rounds = 10 // of the backup password in tests

// small is a phone with few files, and everything that is rare.
func small() sim.Config {
	c := sim.Tiny()
	c.SmallFiles, c.Photos, c.Videos, c.Messages = 20, 0, 1, 20
	return c
}

func newDevice(t *testing.T, c sim.Config) *sim.Device {
	t.Helper()
	d, err := sim.New(t.Context(), c, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func openPhone(t *testing.T, c Contents, o Options) *Phone {
	t.Helper()
	o.Iterations = rounds
	if d, ok := c.(*sim.Device); ok && o.Now == nil {
		o.Now = d.Date
	}
	p, err := Open(t.TempDir(), c, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// backUp makes a backup that must succeed.
func backUp(t *testing.T, p *Phone, h *host) Report {
	t.Helper()
	f, report, err := speak(t.Context(), p, h, backupRequest(p.contents.Config().UDID))
	if err != nil || f.code != 0 || !report.Answered {
		t.Fatalf("got the answer %d %q, %v", f.code, f.text, err)
	}
	return report
}

// meaning is what a backup says: the record of each file, without what differs
// from one backup to the next, and the plaintext.
func meaning(t *testing.T, fsys fs.FS, password string) map[string]string {
	t.Helper()
	b, err := ios.Open(fsys)
	if err != nil {
		t.Fatal(err)
	}
	if !b.Finished() || b.Status.IsFullBackup || b.Encrypted() != (password != "") {
		t.Fatalf("finished %t, full %t, encrypted %t", b.Finished(), b.Status.IsFullBackup, b.Encrypted())
	}
	data, err := fs.ReadFile(fsys, ios.DatabaseName)
	if err != nil {
		t.Fatal(err)
	}
	var keys ios.ClassKeys
	if password != "" {
		bag, err := b.Keybag()
		if err != nil {
			t.Fatal(err)
		}
		if keys, err = bag.Unlock(t.Context(), password); err != nil {
			t.Fatal(err)
		}
		k, _, err := b.ManifestKey(keys)
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
	said := map[string]string{}
	regular := 0
	for r, err := range m.Records(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Flags == ios.RegularFile {
			regular++
		}
		said[r.Domain+"-"+r.RelativePath] = recordMeaning(t, fsys, b, keys, r)
	}
	stored, err := fs.Glob(fsys, "*/*")
	if err != nil || len(stored) != regular {
		t.Errorf("%d files lie in the backup, %v, want the %d of the manifest", len(stored), err, regular)
	}
	return said
}

func recordMeaning(t *testing.T, fsys fs.FS, b *ios.Backup, keys ios.ClassKeys, r ios.Record) string {
	t.Helper()
	var f ios.File
	if err := ios.ParseFile(bytes.Clone(r.Blob), &f); err != nil {
		t.Fatal(err)
	}
	content := ""
	if r.Flags == ios.RegularFile {
		stored, err := fs.ReadFile(fsys, b.Path(r.FileID))
		if err != nil {
			t.Fatal(err)
		}
		if keys != nil {
			k, err := keys.Unwrap(f.EncryptionKey)
			if err != nil {
				t.Fatal(err)
			}
			if stored, err = ios.Decrypt(nil, stored, k); err != nil {
				t.Fatalf("%s: %v", r.FileID, err)
			}
		}
		content = string(stored)
	}
	if keys != nil {
		f.Digest = nil // of the ciphertext, whose key is random
	}
	f.EncryptionKey = nil
	return fmt.Sprintf("%d %+v %q", r.Flags, f, content)
}

// written is what sim writes of a phone.
func written(t *testing.T, d *sim.Device, password string) map[string]string {
	t.Helper()
	report, err := d.WriteBackup(t.Context(), t.TempDir(), sim.Options{Password: password, Iterations: rounds})
	if err != nil {
		t.Fatal(err)
	}
	return meaning(t, os.DirFS(report.Folder), password)
}

func same(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name, w := range want {
		if g, ok := got[name]; !ok {
			t.Errorf("%q is missing", name)
		} else if g != w {
			t.Errorf("%q: got %.300s, want %.300s", name, g, w)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%q is too much", name)
		}
	}
}

func TestFullAndIncremental(t *testing.T) {
	t.Parallel()
	for _, password := range []string{"", "secret"} {
		t.Run("password="+password, func(t *testing.T) {
			t.Parallel()
			d := newDevice(t, small())
			p := openPhone(t, d, Options{})
			if err := p.remember(func(s *state) { s.Password = password }); err != nil {
				t.Fatal(err)
			}
			h := newHost()
			report := backUp(t, p, h)
			if !report.Full || report.Fallback != "" || report.Kept != 0 || report.Sent == 0 {
				t.Errorf("got %+v", report)
			}
			counts := map[string]int{}
			for _, o := range h.orders {
				counts[o]++
			}
			if counts["DLMessageCreateDirectory"] != 514 || counts["DLContentsOfDirectory"] != 257 {
				t.Errorf("got %v", counts)
			}
			same(t, meaning(t, h.backup(), password), written(t, d, password))
			for range 4 {
				if err := d.Next(t.Context()); err != nil {
					t.Fatal(err)
				}
				report := backUp(t, p, h)
				if report.Full || report.Fallback != "" || report.Kept == 0 || report.Sent == 0 {
					t.Errorf("got %+v", report)
				}
				same(t, meaning(t, h.backup(), password), written(t, d, password))
			}
		})
	}
}

func TestNothingChanged(t *testing.T) {
	t.Parallel()
	d := newDevice(t, small())
	p := openPhone(t, d, Options{})
	h := newHost()
	backUp(t, p, h)
	if report := backUp(t, p, h); report.Full || report.Sent != 0 || report.Removed != 0 {
		t.Errorf("got %+v", report)
	}
}

func TestFolderContents(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	c, err := sim.OpenFolder(state, small())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	put := func(name, text string, at int64) {
		t.Helper()
		f := sim.NewFile("HomeDomain", ios.File{RelativePath: name, Mode: 0o100644, LastModified: at}, int64(len(text)))
		if err := c.Put(f, bytes.NewReader([]byte(text))); err != nil {
			t.Fatal(err)
		}
	}
	put("a.txt", "one", 1_700_000_000)
	put("Library/b.txt", "two", 1_700_000_000)
	put("empty", "", 1_700_000_000)
	p := openPhone(t, c, Options{Now: time.Now})
	h := newHost()
	if r := backUp(t, p, h); r.Sent != 3 {
		t.Errorf("got %+v", r)
	}
	put("a.txt", "changed", 1_700_000_001)
	if err := os.Remove(state + "/Files/HomeDomain/empty"); err != nil {
		t.Fatal(err)
	}
	if r := backUp(t, p, h); r.Sent != 1 || r.Removed != 1 || r.Full {
		t.Errorf("got %+v", r)
	}
	said := meaning(t, h.backup(), "")
	if got := said["HomeDomain-a.txt"]; !bytes.Contains([]byte(got), []byte(`"changed"`)) || len(said) != 4 {
		t.Errorf("got %v", said)
	}
}
