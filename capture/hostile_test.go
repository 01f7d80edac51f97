package capture

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"russet/index"
	"russet/ios"
	"russet/repo"
)

// withSealed saves s once more, with a file of that name under Sealed.
func withSealed(t *testing.T, r *repo.Repository, s *repo.Snapshot, name string) *Version {
	t.Helper()
	ctx := t.Context()
	udid, _ := UDID(s)
	top, err := r.Find(ctx, *s.Tree, udid)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := r.LoadTree(ctx, *top.Subtree)
	if err != nil {
		t.Fatal(err)
	}
	w := r.NewWriter(ctx)
	defer w.Close()
	data, err := w.Save(ctx, index.Data, []byte("sealed"))
	if err != nil {
		t.Fatal(err)
	}
	save := func(nodes ...*repo.Node) repo.Saved {
		t.Helper()
		tree := &repo.Tree{Nodes: nodes}
		tree.Sort()
		saved, err := w.SaveTree(ctx, tree)
		if err != nil {
			t.Fatal(err)
		}
		return saved
	}
	file := fileNode(name, content{ids: append(top.Content, data.ID), size: 6}, s.Time)
	shard := save(file)
	sealed := save(dirNode("ab", &shard.ID, s.Time))
	sub := save(append(tree.Nodes, dirNode(nameSealed, &sealed.ID, s.Time))...)
	top.Subtree = &sub.ID
	root := save(top)
	if err := w.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	hostile := *s
	hostile.Tree = &root.ID
	if _, err := r.SaveSnapshot(ctx, &hostile); err != nil {
		t.Fatal(err)
	}
	v, err := Open(ctx, r, &hostile)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// A snapshot that others have written may hold any names.
func TestRestoreHostileSealed(t *testing.T) {
	t.Parallel()
	p := newPhone(t, false)
	r := newRepo(t)
	s := keep(t, r, p.dir, Options{}).Snapshot
	for _, name := range []string{"x", "xy", strings.Repeat("A", 40), "Status.plist"} {
		v := withSealed(t, r, s, name)
		_, err := v.RestoreFolder(t.Context(), openRoot(t, t.TempDir()), RestoreOptions{})
		if !errors.Is(err, repo.ErrDamaged) {
			t.Errorf("%q: %v, want ErrDamaged", name, err)
		}
	}
	v := withSealed(t, r, s, strings.Repeat("ab", 20))
	if _, err := v.RestoreFolder(t.Context(), openRoot(t, t.TempDir()), RestoreOptions{}); err != nil {
		t.Error(err)
	}
}

// With the keychain's keys no file is opened: a snapshot does not hold them, so
// the file could not be encrypted again.
func TestOnlyFileClasses(t *testing.T) {
	t.Parallel()
	data, all, err := ios.NewKeybag(rand.Reader, simPassword, 10)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := all[6]; !ok {
		t.Fatal("the keybag has no key of the keychain")
	}
	kb, err := ios.ParseKeybag(data)
	if err != nil {
		t.Fatal(err)
	}
	c := &run{opt: withPassword(simPassword), b: new(ios.Backup)}
	keys, err := c.ask(t.Context(), kb)
	if err != nil {
		t.Fatal(err)
	}
	again, err := newKeybag(kb.UUID, keys).classKeys()
	if err != nil {
		t.Fatal(err)
	}
	for class := range all {
		want := class <= lastFileClass
		if _, ok := keys[class]; ok != want {
			t.Errorf("class %d is used: %v, want %v", class, ok, want)
		}
		if again[class] != keys[class] {
			t.Errorf("class %d does not come back from a snapshot", class)
		}
	}
}

// Without its key a file cannot be written back as it was received: it is not
// written in plain instead.
func TestRestoreWithoutKey(t *testing.T) {
	t.Parallel()
	p := newPhone(t, true)
	r := newRepo(t)
	v, err := Open(t.Context(), r, keep(t, r, p.dir, withPassword(simPassword)).Snapshot)
	if err != nil {
		t.Fatal(err)
	}
	delete(v.Metadata.Keybag.Keys, "3")
	target := t.TempDir()
	if _, err := v.RestoreFolder(t.Context(), openRoot(t, target), RestoreOptions{}); !errors.Is(err, repo.ErrDamaged) {
		t.Errorf("restored without the keys of a class: %v, want ErrDamaged", err)
	}
	if _, err := os.Stat(filepath.Join(target, v.UDID)); err == nil {
		t.Error("a folder was left")
	}
}

// What no reader would take is refused when it is written, not when it is
// needed.
func TestMetadataLimit(t *testing.T) {
	t.Parallel()
	m := Metadata{EmptyFolders: []pathText{pathText(strings.Repeat("a", maxMetadata))}}
	if _, err := m.encode(); err == nil {
		t.Error("encoded more than is ever read")
	}
}

// Programs write Info.plist again whenever they like.
func TestInfoMoves(t *testing.T) {
	t.Parallel()
	p := newPhone(t, true)
	name := filepath.Join(p.dir, ios.InfoName)
	info, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	opt := Options{Password: func(context.Context, Ask) (string, bool, error) {
		err := os.WriteFile(name, append(info, "<!-- written again -->\n"...), 0o600)
		return simPassword, true, err
	}}
	r := newRepo(t)
	res := keep(t, r, p.dir, opt)
	v, err := Open(t.Context(), r, res.Snapshot)
	if err != nil {
		t.Fatal(err)
	}
	target := t.TempDir()
	restored, err := v.RestoreFolder(t.Context(), openRoot(t, target), RestoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !restored.Original {
		t.Error("it is called another than what was captured")
	}
	got, err := fs.ReadFile(os.DirFS(target), v.UDID+"/"+ios.InfoName)
	if err != nil || !strings.HasSuffix(string(got), "again -->\n") {
		t.Errorf("Info.plist ends with %q, %v", got[max(0, len(got)-20):], err)
	}
}
