package repo

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"russet/chunk"
	"russet/index"
)

// attributes returns the extended attributes of a file, "name=value".
func attributes(t *testing.T, path string) []string {
	t.Helper()
	names, value := make([]byte, 64<<10), make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, names)
	if err != nil {
		return nil // none on this file system
	}
	var all []string
	for name := range strings.SplitSeq(strings.TrimRight(string(names[:n]), "\x00"), "\x00") {
		if name == "" {
			continue
		}
		n, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, name+"="+string(value[:n]))
	}
	slices.Sort(all)
	return all
}

// entries lists all below dir.
func entries(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if rel, _ := filepath.Rel(dir, path); rel != "." {
			all = append(all, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

// sameFolder compares two folders in all that a repository keeps.
func sameFolder(t *testing.T, got, want string) {
	t.Helper()
	names := entries(t, want)
	if have := entries(t, got); !slices.Equal(have, names) {
		t.Errorf("got %q, want %q", have, names)
		return
	}
	inodes := map[uint64]uint64{}
	for _, name := range names {
		var g, w unix.Stat_t
		if err := unix.Lstat(filepath.Join(got, name), &g); err != nil {
			t.Fatal(err)
		}
		if err := unix.Lstat(filepath.Join(want, name), &w); err != nil {
			t.Fatal(err)
		}
		if g.Mode != w.Mode || g.Uid != w.Uid || g.Gid != w.Gid || g.Mtim != w.Mtim {
			t.Errorf("%q: got mode %o of %d:%d, time %v, want mode %o of %d:%d, time %v", name, g.Mode, g.Uid, g.Gid, g.Mtim, w.Mode, w.Uid, w.Gid, w.Mtim)
		}
		if a, b := attributes(t, filepath.Join(got, name)), attributes(t, filepath.Join(want, name)); !slices.Equal(a, b) {
			t.Errorf("%q: got attributes %q, want %q", name, a, b)
		}
		switch w.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			a, err := os.ReadFile(filepath.Join(got, name))
			if err != nil {
				t.Fatal(err)
			}
			if b, err := os.ReadFile(filepath.Join(want, name)); err != nil || !bytes.Equal(a, b) {
				t.Errorf("%q: %v, got %d bytes, want %d others", name, err, len(a), len(b))
			}
			if first, ok := inodes[w.Ino]; ok && first != g.Ino || g.Nlink != w.Nlink {
				t.Errorf("%q: %d names, want %d", name, g.Nlink, w.Nlink)
			}
			inodes[w.Ino] = g.Ino
		case unix.S_IFLNK:
			a, err := os.Readlink(filepath.Join(got, name))
			if err != nil {
				t.Fatal(err)
			}
			if b, err := os.Readlink(filepath.Join(want, name)); err != nil || a != b {
				t.Errorf("%q: %v, got %q, want %q", name, err, a, b)
			}
		case unix.S_IFCHR, unix.S_IFBLK:
			if g.Rdev != w.Rdev {
				t.Errorf("%q: device %x, want %x", name, g.Rdev, w.Rdev)
			}
		}
	}
}

// keepFolder stores a folder as a tree, as restic would.
func keepFolder(t *testing.T, r *Repository, w *Writer, dir string) chunk.ID {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	tree := new(Tree)
	for _, e := range list {
		path := filepath.Join(dir, e.Name())
		n := nodeOf(t, path)
		switch n.Type {
		case TypeDir:
			id := keepFolder(t, r, w, path)
			n.Subtree = &id
		case TypeFile:
			n.Content = keepFile(t, r, w, path)
		case TypeSymlink:
			if n.LinkTarget, err = os.Readlink(path); err != nil {
				t.Fatal(err)
			}
		}
		tree.Nodes = append(tree.Nodes, n)
	}
	tree.Sort()
	s, err := w.SaveTree(t.Context(), tree)
	if err != nil {
		t.Fatal(err)
	}
	return s.ID
}

func keepFile(t *testing.T, r *Repository, w *Writer, path string) []chunk.ID {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	content := []chunk.ID{}
	split := r.Cutter().NewSplitter()
	split.Reset(f)
	for {
		piece, err := split.Next()
		if err == io.EOF {
			return content
		}
		if err != nil {
			t.Fatal(err)
		}
		s, err := w.Save(t.Context(), index.Data, piece)
		if err != nil {
			t.Fatal(err)
		}
		content = append(content, s.ID)
	}
}

func nodeOf(t *testing.T, path string) *Node {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	mode := FileMode(st.Mode)
	n := &Node{
		Name: filepath.Base(path), Type: TypeOf(mode), Mode: uint32(mode),
		ModTime: time.Unix(st.Mtim.Unix()), AccessTime: time.Unix(st.Atim.Unix()), ChangeTime: time.Unix(st.Ctim.Unix()),
		UID: st.Uid, GID: st.Gid, Inode: st.Ino, DeviceID: st.Dev,
	}
	switch n.Type {
	case TypeFile:
		n.Size, n.Links = uint64(st.Size), uint64(st.Nlink)
	case TypeDevice, TypeCharDevice:
		n.Device = st.Rdev
	}
	for _, a := range attributes(t, path) {
		name, value, _ := strings.Cut(a, "=")
		n.ExtendedAttributes = append(n.ExtendedAttributes, ExtendedAttribute{Name: name, Value: []byte(value)})
	}
	return n
}

// sourceFolder fills a folder with what is odd, and with some bytes.
func sourceFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/odd", 0o755); err != nil {
		t.Fatal(err)
	}
	oddFolder(t, dir+"/odd")
	// The format has no way to write an attribute's name that is not UTF-8.
	for _, name := range []string{"/odd/xa", "/odd/dirmode1"} {
		_ = unix.Removexattr(dir+name, "user.\xff")
	}
	for name, data := range map[string][]byte{"photo": payload(1, 1_500_000), "text": bytes.Repeat([]byte("compress me. "), 200_000), "zeros": make([]byte, 2<<20)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	deep := filepath.Join(dir, strings.Repeat("deep/", 60))
	if err := os.MkdirAll(deep, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../photo", filepath.Join(deep, "link")); err != nil {
		t.Fatal(err)
	}
	old := time.Date(2001, 1, 1, 0, 0, 0, 123456789, time.UTC)
	if err := os.Chtimes(filepath.Join(dir, "deep"), old, old); err != nil {
		t.Fatal(err)
	}
	return dir
}

// plainLinks removes the links that restic 0.14 cannot keep: later ones write
// their targets a second time, as bytes.
func plainLinks(t *testing.T, source string) string {
	t.Helper()
	for _, name := range entries(t, source) {
		path := filepath.Join(source, name)
		if target, err := os.Readlink(path); err == nil && !utf8.ValidString(target) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	return source
}

// extract writes a tree into a new folder, and wants everything to succeed.
func extract(t *testing.T, r *Repository, tree chunk.ID) string {
	t.Helper()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	err = r.Extract(t.Context(), tree, root, ExtractOptions{
		Failed:  func(path string, err error) error { t.Errorf("%q: %v", path, err); return nil },
		Skipped: func(path string, why error) { t.Logf("skipped %q: %v", path, why) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// Whatever a folder holds comes out as it went in.
func TestExtract(t *testing.T) {
	t.Parallel()
	source := sourceFolder(t)
	r := initRepo(t, newStore(t), 2)
	w := r.NewWriter(t.Context())
	tree := keepFolder(t, r, w, source)
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	sameFolder(t, extract(t, r, tree), source)
}
