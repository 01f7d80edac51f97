package repo

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
	"russet/index"
)

// savePaths saves folders given as "name", "name/" or "name/name" and returns
// the tree of each list.
func savePaths(t *testing.T, r *Repository, lists ...[]string) []chunk.ID {
	t.Helper()
	w := r.NewWriter(t.Context())
	defer w.Close()
	var save func(paths []string) chunk.ID
	save = func(paths []string) chunk.ID {
		tree := new(Tree)
		below := map[string][]string{}
		for _, p := range paths {
			name, rest, dir := strings.Cut(p, "/")
			if dir {
				below[name] = append(below[name], rest)
			} else if name != "" {
				s, err := w.Save(t.Context(), index.Data, []byte("content of "+name))
				if err != nil {
					t.Fatal(err)
				}
				tree.Nodes = append(tree.Nodes, &Node{Name: name, Type: TypeFile, Size: uint64(len("content of " + name)), Content: []chunk.ID{s.ID}})
			}
		}
		for name, paths := range below {
			id := save(paths)
			tree.Nodes = append(tree.Nodes, &Node{Name: name, Type: TypeDir, Subtree: &id})
		}
		tree.Sort()
		s, err := w.SaveTree(t.Context(), tree)
		if err != nil {
			t.Fatal(err)
		}
		return s.ID
	}
	var ids []chunk.ID
	for _, paths := range lists {
		ids = append(ids, save(paths))
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	return ids
}

// loads counts how often packs are read while do runs.
func loads(t *testing.T, r *Repository, do func()) int {
	t.Helper()
	be := r.be
	faulty := backendtest.NewFaulty(be, backendtest.Faults{})
	r.be = faulty
	do()
	r.be = be
	n := 0
	for _, op := range faulty.Ops() {
		if op.Verb == backendtest.Load {
			n++
		}
	}
	return n
}

// What snapshots share is read once, however many they are.
func TestSharedTreesAreReadOnce(t *testing.T) {
	t.Parallel()
	r := initRepo(t, backend.NewMemory(), 2)
	trees := savePaths(t, r,
		[]string{"a/b/c/one", "a/d/two", "x/y/z"},
		[]string{"a/b/c/one", "a/d/two", "x/y/z", "more"},
		[]string{"a/b/c/one", "a/d/two", "x/y/z", "a/d/three"})
	// 9 different trees: three roots, a, a/b, a/b/c, a/d, x, x/y; then another a and another a/d.
	const different = 11
	var snaps []*Snapshot
	for _, tree := range trees {
		snaps = append(snaps, &Snapshot{Tree: &tree})
	}
	f, err := r.NewFinder(false, "**")
	if err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func(){
		"find": func() {
			for _, tree := range slices.Concat(trees, trees) {
				if err := f.Find(t.Context(), tree, nil, func(string, *Node) error { return nil }); err != nil {
					t.Error(err)
				}
			}
		},
		"measure": func() {
			if u, err := r.NewMeter().Measure(t.Context(), slices.Concat(snaps, snaps)); err != nil || u.Files != 2*(3+4+4) || u.Snapshots != 6 {
				t.Errorf("got %+v, %v", u, err)
			}
		},
	} {
		if got := loads(t, r, do); got != different {
			t.Errorf("%s: got %d loads, want %d", name, got, different)
		}
	}
	p := r.NewPathFinder()
	got := loads(t, r, func() {
		for i, tree := range slices.Concat(trees, trees) {
			for path, want := range map[string]bool{"a/b/c/one": true, "a/b/c/one/x": false, "more": i%3 == 1, "a/none": false, "/x/y/": true} {
				if n, err := p.Find(t.Context(), tree, path); err != nil || (n != nil) != want {
					t.Errorf("tree %d, %q: got %v, %v, want %v", i, path, n, err, want)
				}
			}
		}
	})
	if want := 5*3 + 3*2 + 2 + 2 + 1; got != want { // for each path: roots, both a, a/b, a/b/c, x
		t.Errorf("look up: got %d loads, want %d", got, want)
	}
}

// Blobs of several groups count once in all.
func TestMeterGroups(t *testing.T) {
	t.Parallel()
	r := initRepo(t, backend.NewMemory(), 2)
	trees := savePaths(t, r, []string{"same/a", "only"}, []string{"same/a"}, []string{"lost"})
	m := r.NewMeter()
	var sum Usage
	for _, tree := range trees[:2] {
		u, err := m.Measure(t.Context(), []*Snapshot{{Tree: &tree}})
		if err != nil {
			t.Fatal(err)
		}
		sum.Blobs += u.Blobs
		sum.Files += u.Files
	}
	// The second group has its root alone; the folder and its file are the first one's, too.
	if got := m.Total(); got.Blobs != sum.Blobs-2 || got.Files != sum.Files || sum.Blobs != 4+3 {
		t.Errorf("got %+v of %+v", got, sum)
	}
	r.index = index.New()
	if u, err := r.NewMeter().Measure(t.Context(), []*Snapshot{{Tree: &trees[2]}}); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %+v, %v, want an ErrDamaged", u, err)
	}
}

// One tree at two places is two different things to a pattern.
func TestFindPlaces(t *testing.T) {
	t.Parallel()
	r := initRepo(t, backend.NewMemory(), 2)
	root := savePaths(t, r, []string{"a/x/one", "z/x/one"})[0]
	f, err := r.NewFinder(false, "/z/x/one", "a/x")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		var got []string
		err := f.Find(t.Context(), root, nil, func(path string, _ *Node) error { got = append(got, path); return nil })
		if want := []string{"a/x", "a/x/one", "z/x/one"}; err != nil || !slices.Equal(got, want) {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
}

// What is added is not new content where both have it in a folder that is the
// same; a folder that is added is told with all that is in it.
func TestDiffContent(t *testing.T) {
	t.Parallel()
	r := initRepo(t, backend.NewMemory(), 2)
	trees := savePaths(t, r, []string{"same/x", "gone"}, []string{"same/x", "x", "new/y"})
	var got []string
	stats, err := r.Diff(t.Context(), trees[0], trees[1], DiffOptions{}, func(c Change) error {
		got = append(got, c.Modifier+c.Path)
		return nil
	})
	if want := []string{"-gone", "+new/", "+new/y", "+x"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if a, b := stats.Added, stats.Removed; a.Files != 2 || a.Dirs != 1 || a.DataBlobs != 1 || a.TreeBlobs != 2 || b.Files != 1 || b.DataBlobs != 1 || b.TreeBlobs != 1 || stats.ChangedFiles != 0 {
		t.Errorf("got %+v", stats)
	}
}

// A folder that cannot be read hides nothing else.
func TestFindAroundDamage(t *testing.T) {
	t.Parallel()
	r := initRepo(t, backend.NewMemory(), 2)
	root := savePaths(t, r, []string{"a/one", "a/two", "z/one"})[0]
	a, err := r.Find(t.Context(), root, "a")
	if err != nil {
		t.Fatal(err)
	}
	fresh := index.New()
	for loc := range r.index.Blobs() {
		if loc.ID != *a.Subtree {
			fresh.Add(index.Pack{ID: loc.Pack, Blobs: []index.Blob{loc.Blob}})
		}
	}
	r.index = fresh
	f, err := r.NewFinder(false, "one")
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	err = f.Find(t.Context(), root, func(path string, err error) {
		if !errors.Is(err, ErrDamaged) {
			t.Error(err)
		}
		said = append(said, "bad "+path)
	}, func(path string, _ *Node) error { said = append(said, path); return nil })
	if want := []string{"bad a", "z/one"}; err != nil || !slices.Equal(said, want) {
		t.Errorf("got %q, %v, want %q", said, err, want)
	}
	f, _ = r.NewFinder(false, "one")
	if err := f.Find(t.Context(), root, nil, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v, want an ErrDamaged", err)
	}
	if _, err := r.NewFinder(false, "[a"); err == nil {
		t.Error("a pattern that is none was taken")
	}
}

func FuzzGlob(f *testing.F) {
	f.Add("/a/**/[b-d]*", "a/x/c")
	f.Add("**/**/x\\*", "x*")
	f.Fuzz(func(t *testing.T, pattern, path string) {
		g, err := ParseGlob(pattern)
		if err != nil {
			return
		}
		state := g.start()
		matched := state.matched()
		for name := range strings.SplitSeq(path, "/") {
			hopeless := state.hopeless()
			state = g.next(state, name)
			if matched && !state.matched() || hopeless && state.matched() {
				t.Errorf("%q: %q matches at %q, or does not: %v", pattern, path, name, state)
			}
			matched = state.matched()
		}
	})
}
