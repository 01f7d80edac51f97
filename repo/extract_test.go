package repo

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"russet/backend"
	"russet/chunk"
	"russet/index"
)

// planted builds a tree of nodes, with what they hold.
type planted struct {
	t *testing.T
	r *Repository
	w *Writer

	flushed bool
}

func plant(t *testing.T) *planted {
	t.Helper()
	r := initRepo(t, backend.NewMemory(), 2)
	w := r.NewWriter(t.Context())
	t.Cleanup(func() { _ = w.Close() })
	return &planted{t: t, r: r, w: w}
}

func (p *planted) file(name, content string) *Node {
	p.t.Helper()
	n := &Node{Name: name, Type: TypeFile, Mode: 0o644, ModTime: testTime(), AccessTime: testTime().Add(time.Hour), Content: []chunk.ID{}}
	if content != "" {
		s, err := p.w.Save(p.t.Context(), index.Data, []byte(content))
		if err != nil {
			p.t.Fatal(err)
		}
		n.Content = append(n.Content, s.ID)
	}
	return n
}

func (p *planted) dir(name string, nodes ...*Node) *Node {
	p.t.Helper()
	id := p.tree(nodes...)
	return &Node{Name: name, Type: TypeDir, Mode: uint32(fs.ModeDir | 0o755), ModTime: testTime(), AccessTime: testTime(), Subtree: &id}
}

func link(name, target string) *Node {
	return &Node{Name: name, Type: TypeSymlink, Mode: uint32(fs.ModeSymlink | 0o777), ModTime: testTime(), AccessTime: testTime(), LinkTarget: target}
}

// tree saves nodes as they are, in this order.
func (p *planted) tree(nodes ...*Node) chunk.ID {
	p.t.Helper()
	s, err := p.w.Save(p.t.Context(), index.Tree, AppendTree(nil, nodes))
	if err != nil {
		p.t.Fatal(err)
	}
	return s.ID
}

// into extracts to dir, and returns the paths that failed and those skipped.
func (p *planted) into(dir string, tree chunk.ID, wanted func(string, *Node) bool) (failed, skipped []string) {
	p.t.Helper()
	if !p.flushed {
		p.flushed = true
		if err := p.w.Flush(p.t.Context()); err != nil {
			p.t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		p.t.Fatal(err)
	}
	defer root.Close()
	err = p.r.Extract(p.t.Context(), tree, root, ExtractOptions{
		Select: wanted,
		Failed: func(path string, err error) error {
			if err == nil || strings.Contains(err.Error(), dir) {
				p.t.Errorf("%s: error %v", path, err)
			}
			failed = append(failed, path)
			return nil
		},
		Skipped: func(path string, why error) { skipped = append(skipped, path) },
	})
	if err != nil {
		p.t.Fatal(err)
	}
	slices.Sort(failed)
	return failed, skipped
}

// listing is what a folder holds: names, with a slash for folders, and texts.
func listing(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		rel = filepath.ToSlash(rel)
		switch {
		case d.IsDir():
			rel += "/"
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			rel += "->" + target
		default:
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			rel += "=" + string(data)
		}
		all = append(all, rel)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func wantListing(t *testing.T, dir string, want ...string) {
	t.Helper()
	if got := listing(t, dir); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A repository that was made to do harm writes nothing outside the target, and
// nothing through a link.
func TestExtractHostile(t *testing.T) {
	t.Parallel()
	p := plant(t)
	base := t.TempDir()
	target, outside := filepath.Join(base, "target"), filepath.Join(base, "outside")
	for _, dir := range []string{target, outside} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	evil := p.file("x", "evil")
	failed, _ := p.into(target, p.tree(
		p.file("..", "evil"), p.file("../outside/a", "evil"), p.file("/etc/russet-test", "evil"), p.file("", "evil"), p.file("a\x00b", "evil"),
		p.dir("..", evil), p.dir(".", evil), p.dir("../outside", evil),
		link("l", "../outside"), p.dir("l", evil),
		link("m", "inner"), p.dir("inner", evil), p.dir("m", p.file("y", "evil")),
		link("n", "../outside/new"), p.file("n", "evil"),
		&Node{Name: "door", Type: "door"}, &Node{Name: "nothing", Type: TypeFile}, &Node{Name: "hole", Type: TypeDir},
		p.file("good", "good"),
	), nil)
	wantListing(t, outside)
	wantListing(t, target, "good=good", "inner/", "inner/x=evil", "l->../outside", "m->inner", "n->../outside/new")
	want := []string{"", ".", "..", "..", "../outside", "../outside/a", "/etc/russet-test", "a\x00b", "door", "hole", "l", "m", "n", "nothing"}
	if !slices.Equal(failed, want) {
		t.Errorf("failed: %q, want %q", failed, want)
	}
}

// What is there stays as it is; folders are filled up.
func TestExtractBesideOthers(t *testing.T) {
	t.Parallel()
	p := plant(t)
	shared := p.file("first", "shared")
	shared.Inode, shared.DeviceID, shared.Links = 7, 1, 3
	name := func(n string) *Node {
		c := *shared
		c.Name = n
		return &c
	}
	otherFile := name("other")
	otherFile.Content = p.file("", "not shared").Content
	tree := p.tree(p.dir("d", shared, p.file("mine", "new"), otherFile, name("second"), name("third")), link("link", "x"), p.dir("taken", p.file("in", "lost")))

	dir := t.TempDir()
	for name, data := range map[string]string{"d/first": "old", "d/mine": "old", "taken": "old", "link": "old"} {
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, "d"), 0o755), os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	failed, _ := p.into(dir, tree, nil)
	if want := []string{"d/first", "d/mine", "link", "taken"}; !slices.Equal(failed, want) {
		t.Errorf("failed: %q, want %q", failed, want)
	}
	wantListing(t, dir, "d/", "d/first=old", "d/mine=old", "d/other=not shared", "d/second=shared", "d/third=shared", "link=old", "taken=old")
	stat := func(name string) fs.FileInfo {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	if !os.SameFile(stat("d/second"), stat("d/third")) || os.SameFile(stat("d/second"), stat("d/other")) || os.SameFile(stat("d/second"), stat("d/first")) {
		t.Error("the names are not of the files that they should be")
	}
	if got := stat("d").ModTime(); !got.Equal(testTime()) {
		t.Errorf("time of the folder: %v, want %v", got, testTime())
	}
}

// With Left, what an Extract that was cut off has made is in nobody's way; what is
// otherwise than it should be still is.
func TestExtractAgain(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("not here: links take a privilege")
	}
	p := plant(t)
	one := p.file("one", "twice")
	one.Inode, one.DeviceID, one.Links = 7, 1, 2
	two := *one
	two.Name = "two"
	tree := p.tree(p.dir("d", p.file("f", "text"), one, &two, p.file("other", "right")), link("l", "d/f"), link("m", "d"))
	dir := t.TempDir()
	p.into(dir, tree, nil)
	err := errors.Join(os.WriteFile(filepath.Join(dir, "d", "other"), []byte("wrong"), 0o600), os.Remove(filepath.Join(dir, "d", "two")),
		os.WriteFile(filepath.Join(dir, "d", "two"), []byte("twice"), 0o600), os.Remove(filepath.Join(dir, "m")), os.Symlink("elsewhere", filepath.Join(dir, "m")))
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var failed, left []string
	err = p.r.Extract(t.Context(), tree, root, ExtractOptions{
		Failed: func(path string, err error) error {
			if failed = append(failed, path); !errors.Is(err, fs.ErrExist) {
				t.Errorf("%s: got %v, want fs.ErrExist", path, err)
			}
			return nil
		},
		Left: func(path string) { left = append(left, path) },
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(failed)
	slices.Sort(left)
	if want := []string{"d/other", "d/two", "m"}; !slices.Equal(failed, want) {
		t.Errorf("failed: %q, want %q", failed, want)
	}
	if want := []string{"d/f", "d/one"}; !slices.Equal(left, want) {
		t.Errorf("left: %q, want %q", left, want)
	}
	wantListing(t, dir, "d/", "d/f=text", "d/one=twice", "d/other=wrong", "d/two=twice", "l->d/f", "m->elsewhere")
}

func TestExtractSelect(t *testing.T) {
	t.Parallel()
	p := plant(t)
	tree := p.tree(p.dir("a", p.dir("b", p.file("keep", "1"), p.file("leave", "2")), p.dir("empty"), link("l", "t")), p.file("top", "3"))
	everything := []string{"a/", "a/b/", "a/b/keep=1", "a/b/leave=2", "a/empty/", "a/l->t", "top=3"}
	for name, c := range map[string]struct {
		wanted func(path string, n *Node) bool
		want   []string
	}{
		"all":       {nil, everything},
		"one":       {func(path string, _ *Node) bool { return path == "a/b/keep" }, []string{"a/", "a/b/", "a/b/keep=1"}},
		"none":      {func(string, *Node) bool { return false }, nil},
		"but one":   {func(path string, _ *Node) bool { return path != "a/b/leave" }, slices.DeleteFunc(slices.Clone(everything), func(s string) bool { return s == "a/b/leave=2" })},
		"links":     {func(_ string, n *Node) bool { return n.Type == TypeSymlink }, []string{"a/", "a/l->t"}},
		"folders":   {func(_ string, n *Node) bool { return n.Type == TypeDir }, []string{"a/", "a/b/", "a/empty/"}},
		"top alone": {func(path string, _ *Node) bool { return !strings.HasPrefix(path, "a") }, []string{"top=3"}},
	} {
		if runtime.GOOS == "windows" && name != "one" {
			continue // links take a privilege there
		}
		dir := t.TempDir()
		if failed, skipped := p.into(dir, tree, c.wanted); len(failed)+len(skipped) > 0 {
			t.Errorf("%s: failed %q, skipped %q", name, failed, skipped)
		}
		wantListing(t, dir, c.want...)
		info, err := os.Stat(filepath.Join(dir, "a"))
		if err == nil && !info.ModTime().Equal(testTime()) {
			t.Errorf("%s: time of a folder: %v", name, info.ModTime())
		}
	}
}

// What the repository has lost is named, and the rest comes.
func TestExtractDamaged(t *testing.T) {
	t.Parallel()
	p := plant(t)
	gone := p.file("gone", "")
	gone.Content = []chunk.ID{chunk.Sum([]byte("nowhere"))}
	half := p.file("half", "this half is there")
	half.Content = append(half.Content, gone.Content...)
	again := *gone
	again.Name, again.Inode, again.Links = "names", 5, 2
	deep := p.dir("deep", p.file("x", "y"))
	deep.Subtree = &gone.Content[0]
	socket := &Node{Name: "socket", Type: TypeSocket, Mode: uint32(fs.ModeSocket | 0o600)}
	tree := p.tree(p.file("good", "good"), gone, half, deep, &again, socket)
	dir := t.TempDir()
	failed, skipped := p.into(dir, tree, nil)
	if want := []string{"deep", "gone", "half", "names"}; !slices.Equal(failed, want) || !slices.Equal(skipped, []string{"socket"}) {
		t.Errorf("failed: %q, want %q, skipped %q", failed, want, skipped)
	}
	wantListing(t, dir, "deep/", "good=good")

	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := p.r.Extract(t.Context(), tree, root, ExtractOptions{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("with nobody to tell: %v, want ErrDamaged", err)
	}
	stop := errors.New("stop")
	calls := 0
	err = p.r.Extract(t.Context(), tree, root, ExtractOptions{Failed: func(string, error) error { calls++; return stop }})
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("told to stop: %v after %d calls", err, calls)
	}
	if err := p.r.Extract(t.Context(), gone.Content[0], root, ExtractOptions{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("no such tree: %v, want ErrDamaged", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.r.Extract(ctx, tree, root, ExtractOptions{Failed: func(string, error) error { return nil }}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestExtractTimesAndProgress(t *testing.T) {
	t.Parallel()
	p := plant(t)
	tree := p.tree(p.dir("d", p.file("f", "four"), p.file("g", "fives")))
	if err := p.w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	progress := new(Progress)
	if err := p.r.Extract(t.Context(), tree, root, ExtractOptions{Progress: progress}); err != nil {
		t.Fatal(err)
	}
	if s := progress.State(); s != (ProgressState{"writing files", 2, 9, 2, 9}) {
		t.Errorf("progress: %+v", s)
	}
	info, err := os.Stat(filepath.Join(dir, "d", "f"))
	if err != nil || !info.ModTime().Equal(testTime()) {
		t.Errorf("modified %v, %v, want %v", info.ModTime(), err, testTime())
	}
	if runtime.GOOS != "windows" && info.Mode() != 0o644 {
		t.Errorf("mode %v", info.Mode())
	}
}
