package vdir_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"russet/internal/vobject"
	"russet/merge"
	"russet/reconcile"
	"russet/vdir"
)

var _ reconcile.Side = (*vdir.Folder)(nil)

func card(uid, name string) []byte {
	return []byte("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:" + vobject.Text(uid) + "\r\nN:" + name + ";;;;\r\nFN:" + name + "\r\nTEL;TYPE=CELL:+1 555 0100\r\nEND:VCARD\r\n")
}

// open opens a new folder that has the marker.
func open(t *testing.T) (*vdir.Folder, string) {
	t.Helper()
	dir := t.TempDir()
	f, err := vdir.Open(dir, vdir.VCards)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if id, err := f.Init("pair-1"); err != nil || id != "pair-1" {
		t.Fatalf("Init: got %q, %v", id, err)
	}
	return f, dir
}

func write(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// hrefs lists the folder.
func hrefs(t *testing.T, f *vdir.Folder) []string {
	t.Helper()
	l, err := f.List(t.Context(), "")
	if err != nil || l.Changes || l.Token != "" || l.Removed != nil {
		t.Fatalf("List: got %+v, %v", l, err)
	}
	var names []string
	for _, r := range l.Refs {
		names = append(names, r.Href)
	}
	return names
}

func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

func TestItems(t *testing.T) {
	t.Parallel()
	f, dir := open(t)
	ref, err := f.Create(t.Context(), "a-1", card("a-1", "Ada"))
	if err != nil || ref.Href != "a-1.vcf" {
		t.Fatalf("Create: got %+v, %v", ref, err)
	}
	_, err = f.Create(t.Context(), "a-1", card("a-1", "Eve"))
	wantError(t, "a second one", err, merge.ErrChanged)
	items, err := f.Get(t.Context(), []string{"none.vcf", "a-1.vcf"})
	if err != nil || len(items) != 2 || !items[0].Gone || items[0].Href != "none.vcf" || items[1].Gone ||
		items[1].Ref != ref || string(items[1].Body) != string(card("a-1", "Ada")) {
		t.Fatalf("Get: got %+v, %v", items, err)
	}
	if err := os.Chmod(filepath.Join(dir, "a-1.vcf"), 0o640); err != nil {
		t.Fatal(err)
	}
	next, err := f.Update(t.Context(), ref, card("a-1", "Eve"))
	if err != nil || next.Href != ref.Href || next.ETag == ref.ETag || read(t, dir, "a-1.vcf") != string(card("a-1", "Eve")) {
		t.Fatalf("Update: got %+v, %v", next, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "a-1.vcf")); err != nil || runtime.GOOS != "windows" && info.Mode() != 0o640 {
		t.Errorf("got %v, %v, want the permissions that it had", info.Mode(), err)
	}
	l, err := f.List(t.Context(), "")
	if err != nil || !slices.Equal(l.Refs, []merge.Ref{next}) {
		t.Errorf("List: got %+v, %v, want %+v", l, err, next)
	}
	_, err = f.Update(t.Context(), ref, nil)
	wantError(t, "update of what was changed", err, merge.ErrChanged)
	wantError(t, "removal of what was changed", f.Delete(t.Context(), ref), merge.ErrChanged)
	for range 2 { // the second time it is gone
		if err := f.Delete(t.Context(), next); err != nil {
			t.Errorf("Delete: %v", err)
		}
	}
	_, err = f.Update(t.Context(), next, nil)
	wantError(t, "update of what is gone", err, merge.ErrChanged)
	if got := hrefs(t, f); len(got) != 0 {
		t.Errorf("got %q left", got)
	}
}

// An edit of the same length and time is an edit, and a new time is none.
func TestETags(t *testing.T) {
	t.Parallel()
	f, dir := open(t)
	ref, err := f.Create(t.Context(), "a", card("a", "Ada"))
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "a.vcf")
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	tag := func() string {
		l, err := f.List(t.Context(), "")
		if err != nil || len(l.Refs) != 1 {
			t.Fatalf("List: got %+v, %v", l, err)
		}
		return l.Refs[0].ETag
	}
	if err := os.Chtimes(name, time.Unix(1, 0), time.Unix(1, 0)); err != nil || tag() != ref.ETag {
		t.Errorf("touched: %v, or another etag", err)
	}
	write(t, dir, "a.vcf", card("a", "Eve"))
	if err := os.Chtimes(name, info.ModTime(), info.ModTime()); err != nil || tag() == ref.ETag {
		t.Errorf("edited: %v, or the same etag", err)
	}
	_, err = f.Update(t.Context(), ref, nil)
	wantError(t, "update", err, merge.ErrChanged)
}

func TestWhatIsAnItem(t *testing.T) {
	t.Parallel()
	f, dir := open(t)
	for _, name := range []string{"b.vcf", "C.VCF", "a b ü.vcf", ".hidden.vcf", "x.vcf.tmp", "y.vcf-tmp-12", "z.ics", "vcf", ".vcf", "-tmp-.vcf"} {
		write(t, dir, name, []byte("no card"))
	}
	if err := os.Mkdir(filepath.Join(dir, "folder.vcf"), 0o700); err != nil {
		t.Fatal(err)
	}
	want := []string{"-tmp-.vcf", "C.VCF", "a b ü.vcf", "b.vcf"}
	if got := hrefs(t, f); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if items, err := f.Get(t.Context(), want); err != nil || string(items[3].Body) != "no card" {
		t.Errorf("Get: got %+v, %v", items, err)
	}
	none := []string{"../b.vcf", "a/b.vcf", `a\b.vcf`, ".russet-sync", "z.ics", "", "y.vcf-tmp-12", "a\x00.vcf"}
	if stream := "b.vcf:s.vcf"; runtime.GOOS == "windows" {
		none = append(none, stream)
	} else if items, err := f.Get(t.Context(), []string{stream}); err != nil || !items[0].Gone {
		t.Errorf("a colon in a name: got %+v, %v, want an item that may be there", items, err)
	}
	for _, name := range none {
		_, err := f.Get(t.Context(), []string{name})
		wantError(t, "Get "+name, err, merge.ErrRefused)
		_, err = f.Update(t.Context(), merge.Ref{Href: name}, nil)
		wantError(t, "Update "+name, err, merge.ErrRefused)
		wantError(t, "Delete "+name, f.Delete(t.Context(), merge.Ref{Href: name}), merge.ErrRefused)
	}
}

func TestLinks(t *testing.T) {
	t.Parallel()
	f, dir := open(t)
	outside := filepath.Join(t.TempDir(), "secret.vcf")
	if err := os.WriteFile(outside, card("s", "S"), 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "a.vcf", card("a", "Ada"))
	if err := os.Symlink("a.vcf", filepath.Join(dir, "in.vcf")); err != nil {
		t.Skipf("not here: symbolic links: %v", err)
	}
	if got := hrefs(t, f); !slices.Equal(got, []string{"a.vcf", "in.vcf"}) {
		t.Errorf("got %q", got)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "out.vcf")); err != nil {
		t.Fatal(err)
	}
	if l, err := f.List(t.Context(), ""); err == nil {
		t.Errorf("List: got %+v and no error with a link that leads out", l)
	}
	if items, err := f.Get(t.Context(), []string{"out.vcf"}); err == nil {
		t.Errorf("Get: got %+v and no error", items)
	}
}

func TestTooLong(t *testing.T) {
	t.Parallel()
	f, dir := open(t)
	write(t, dir, "long.vcf", nil)
	if err := os.Truncate(filepath.Join(dir, "long.vcf"), vobject.MaxSize+1); err != nil {
		t.Fatal(err)
	}
	l, err := f.List(t.Context(), "")
	if err != nil || len(l.Refs) != 1 || l.Refs[0].ETag == "" {
		t.Fatalf("List: got %+v, %v", l, err)
	}
	write(t, dir, "short.vcf", card("short", "S"))
	items, err := f.Get(t.Context(), []string{"long.vcf", "short.vcf"})
	if err != nil || len(items) != 2 || items[0].Gone || items[0].Ref != l.Refs[0] || string(items[1].Body) != string(card("short", "S")) {
		t.Fatalf("Get: got %d items, %v", len(items), err)
	}
	if _, err := vobject.Parse(items[0].Body); err == nil || !strings.Contains(err.Error(), "bytes") {
		t.Errorf("got %v, want an item that cannot be read for its length", err)
	}
	_, err = f.Update(t.Context(), l.Refs[0], nil)
	wantError(t, "Update", err, merge.ErrRefused)
	wantError(t, "Delete", f.Delete(t.Context(), l.Refs[0]), merge.ErrRefused)
	_, err = f.Create(t.Context(), "x", make([]byte, vobject.MaxSize+1))
	wantError(t, "Create", err, merge.ErrRefused)
}

// Without its marker the folder is the place of a drive that is not there.
func TestMarker(t *testing.T) {
	t.Parallel()
	f, dir := open(t)
	if id, err := f.Init("pair-2"); err != nil || id != "pair-1" {
		t.Errorf("a second Init: got %q, %v, want the first id", id, err)
	}
	ref, err := f.Create(t.Context(), "a", card("a", "Ada"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, ".russet-sync"), filepath.Join(dir, "aside")); err != nil {
		t.Fatal(err)
	}
	_, err = f.Identity(t.Context())
	wantError(t, "Identity", err, merge.ErrMissing)
	_, err = f.List(t.Context(), "")
	wantError(t, "List", err, merge.ErrMissing)
	_, err = f.Get(t.Context(), []string{"none.vcf"})
	wantError(t, "Get", err, merge.ErrMissing)
	_, err = f.Create(t.Context(), "b", nil)
	wantError(t, "Create", err, merge.ErrMissing)
	_, err = f.Update(t.Context(), ref, nil)
	wantError(t, "Update", err, merge.ErrMissing)
	wantError(t, "Delete", f.Delete(t.Context(), ref), merge.ErrMissing)
	if err := os.Rename(filepath.Join(dir, "aside"), filepath.Join(dir, ".russet-sync")); err != nil {
		t.Fatal(err)
	}
	if id, err := f.Identity(t.Context()); err != nil || id != "pair-1" {
		t.Errorf("Identity: got %q, %v", id, err)
	}
	write(t, dir, ".russet-sync", []byte("\n"))
	if id, err := f.Identity(t.Context()); err == nil {
		t.Errorf("an empty marker: got %q", id)
	}
	_, err = vdir.Open(filepath.Join(dir, "none"), vdir.VCards)
	wantError(t, "Open", err, merge.ErrMissing)
	if strings.Contains(err.Error(), dir) {
		t.Errorf("got %v, which names the folder", err)
	}
}

func TestDenied(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" || os.Geteuid() == 0 {
		t.Skip("not here: a folder that this user may not write in")
	}
	f, dir := open(t)
	ref, err := f.Create(t.Context(), "a", card("a", "Ada"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o700)
	_, err = f.Create(t.Context(), "b", nil)
	wantError(t, "Create", err, merge.ErrDenied)
	_, err = f.Update(t.Context(), ref, nil)
	wantError(t, "Update", err, merge.ErrDenied)
	wantError(t, "Delete", f.Delete(t.Context(), ref), merge.ErrDenied)
	if got := hrefs(t, f); !slices.Equal(got, []string{"a.vcf"}) {
		t.Errorf("got %q", got)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	f, dir := open(t)
	write(t, dir, "taken.vcf", card("another", "A"))
	write(t, dir, "odd.vcf", []byte("no card"))
	seen := map[string]bool{}
	for uid, plain := range map[string]bool{
		"4FBE8971-0BC3-424C-9C26-36C3E1EFF6B1:ABPerson": false,
		"4FBE8971-0BC3-424C-9C26-36C3E1EFF6B1":          true,
		"event@example.org":                             true,
		"../../evil":                                    false,
		".hidden":                                       false,
		"con":                                           false,
		"nul.x":                                         false,
		"ü":                                             false,
		"a b":                                           false,
		"a-tmp-1":                                       false,
		"taken":                                         false,
		"odd":                                           false,
		strings.Repeat("x", 200):                        true,
		strings.Repeat("y", 201):                        false,
		"a\x00b":                                        false,
	} {
		ref, err := f.Create(t.Context(), uid, card(uid, "A"))
		if err != nil {
			t.Errorf("%q: %v", uid, err)
			continue
		}
		if got := ref.Href == uid+".vcf"; got != plain || !plain && len(ref.Href) != 64+4 || seen[ref.Href] {
			t.Errorf("%q: got %s", uid, ref.Href)
		}
		seen[ref.Href] = true
		_, err = f.Create(t.Context(), uid, card(uid, "B"))
		wantError(t, uid, err, merge.ErrChanged)
	}
	if read(t, dir, "taken.vcf") != string(card("another", "A")) || read(t, dir, "odd.vcf") != "no card" {
		t.Error("a file was replaced")
	}
}
