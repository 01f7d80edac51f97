package sim

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"russet/ios"
)

func TestFolderHoldsADevice(t *testing.T) {
	t.Parallel()
	d := newDevice(t, Tiny())
	dir := t.TempDir()
	p, err := OpenFolder(dir, d.Config())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Fill(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if p, err = OpenFolder(dir, Config{UDID: "another"}); err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if got, want := p.Config().UDID, d.Config().UDID; got != want {
		t.Errorf("got the name %s, want %s", got, want)
	}
	n := 0
	for f, err := range p.Scan(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		want := d.byPath[pathKey(f.Domain, f.RelativePath)]
		if want == nil {
			t.Errorf("%q: not on the phone", f.RelativePath)
			continue
		}
		if f.Mode&modeType != want.Mode&modeType || f.Target != want.Target || f.Length() != want.Length() {
			t.Errorf("%q: got %+v, want %+v", f.RelativePath, f.File, want.File)
		}
		if f.Mode&0o600 != 0o600 {
			t.Errorf("%q: got the mode %o, which its owner cannot read and write", f.RelativePath, f.Mode)
		}
		if !f.Regular() {
			continue
		}
		if f.LastModified != want.LastModified {
			t.Errorf("%q: got the time %d, want %d", f.RelativePath, f.LastModified, want.LastModified)
		}
		r, err := p.Open(f)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		r.Close()
		if err != nil || !bytes.Equal(got, read(t, d, want)) {
			t.Errorf("%q: other bytes, %v", f.RelativePath, err)
		}
	}
	if n != len(d.files) {
		t.Errorf("got %d records, want %d", n, len(d.files))
	}
}

func TestFolderRefusesHostileNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, err := OpenFolder(dir, Tiny())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, c := range []struct{ domain, path string }{
		{"", "a"},
		{"..", "a"},
		{".", "a"},
		{"a/b", "c"},
		{"HomeDomain", "../../x"},
		{"HomeDomain", "/x"},
		{"HomeDomain", "a//b"},
		{"HomeDomain", "."},
		{"HomeDomain", ""},
		{"HomeDomain", "a\x00"},
	} {
		f := NewFile(c.domain, ios.File{RelativePath: c.path, Mode: modeRegular | 0o644}, 1)
		if err := p.Put(f, bytes.NewReader([]byte("x"))); err == nil {
			t.Errorf("%q, %q was put", c.domain, c.path)
		}
	}
	link := NewFile("HomeDomain", ios.File{RelativePath: "out", Mode: modeLink | 0o755, Target: "/"}, 0)
	if err := p.Put(link, nil); err != nil {
		t.Fatal(err)
	}
	f := NewFile("HomeDomain", ios.File{RelativePath: "out/escaped", Mode: modeRegular | 0o644}, 1)
	if err := p.Put(f, bytes.NewReader([]byte("x"))); err == nil {
		t.Error("a file was put through a link that leads out")
	} else if strings.Contains(err.Error(), "escaped") {
		t.Errorf("got %v, which names a file of the phone", err)
	}
	if _, err := p.Open(f); err == nil || strings.Contains(err.Error(), "escaped") {
		t.Errorf("got %v, which names a file of the phone", err)
	}
}

func TestFolderChanges(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, err := OpenFolder(dir, Tiny())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	at := time.Unix(1_700_000_000, 0)
	name := filepath.Join(dir, "Files", "HomeDomain", "Library", "note.txt")
	f := NewFile("HomeDomain", ios.File{RelativePath: "Library/note.txt", Mode: modeRegular | 0o640, LastModified: at.Unix()}, 5)
	if err := p.Put(f, bytes.NewReader([]byte("first"))); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(name); err != nil || string(got) != "first" {
		t.Fatalf("got %q, %v", got, err)
	}
	f.LastModified++
	if err := p.Put(f, bytes.NewReader([]byte("second"))); err != nil {
		t.Fatal(err)
	}
	for g, err := range p.Scan(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if g.Regular() && (g.LastModified != f.LastModified || g.Length() != 6) {
			t.Errorf("got %+v", g.File)
		}
	}
	if err := p.Clear(); err != nil {
		t.Fatal(err)
	}
	for g := range p.Scan(t.Context()) {
		t.Errorf("%q is left", g.RelativePath)
	}
}
