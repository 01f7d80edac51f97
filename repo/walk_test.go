package repo

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"russet/chunk"
)

// doubling is a tree that stands for 2^depth files: each refers twice to the
// next.
func doubling(p *planted, depth int, leaf *Node) chunk.ID {
	p.t.Helper()
	id := p.double(p.tree(leaf), depth)
	if err := p.w.Flush(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	p.flushed = true
	return id
}

// double puts so many trees above one.
func (p *planted) double(id chunk.ID, depth int) chunk.ID {
	for range depth {
		id = p.tree(p.dirOf("a", id), p.dirOf("b", id))
	}
	return id
}

// dirOf is a folder that refers to a tree.
func (p *planted) dirOf(name string, id chunk.ID) *Node {
	return &Node{Name: name, Type: TypeDir, Mode: uint32(os.ModeDir | 0o755), Subtree: &id}
}

// A repository of a few kilobytes cannot keep anybody busy for ever.
func TestWalkDoubling(t *testing.T) {
	t.Parallel()
	p := plant(t)
	tree := doubling(p, 60, p.file("file", "text"))

	visited := 0
	err := p.r.Walk(t.Context(), tree, func(_ string, _ *Node, err error) error {
		visited++
		return err
	})
	if !errors.Is(err, ErrDamaged) || !errors.Is(err, errManyVisits) {
		t.Errorf("walk: %v, want ErrDamaged", err)
	}
	if visited > 3*freeVisits {
		t.Errorf("%d nodes were visited", visited)
	}

	visited = 0
	err = p.r.WalkOnce(t.Context(), tree, func(_ *Node, err error) error {
		visited++
		return err
	})
	if err != nil || visited != 121 {
		t.Errorf("walk once: %d nodes, %v, want 121", visited, err)
	}
}

// What is honestly there many times is visited as often.
func TestWalkRepeated(t *testing.T) {
	t.Parallel()
	p := plant(t)
	tree := doubling(p, 10, p.file("file", "text"))
	files := 0
	err := p.r.Walk(t.Context(), tree, func(_ string, n *Node, err error) error {
		if n.Type == TypeFile {
			files++
		}
		return err
	})
	if err != nil || files != 1024 {
		t.Errorf("walk: %d files, %v, want 1024", files, err)
	}
}

func TestExtractDoubling(t *testing.T) {
	t.Parallel()
	p := plant(t)
	tree := doubling(p, 60, p.file("file", "text"))
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	nothing := func(string, *Node) bool { return false } // the walk is what takes time
	if err := p.r.Extract(t.Context(), tree, root, ExtractOptions{Select: nothing}); !errors.Is(err, errManyVisits) {
		t.Errorf("extract: %v, want an error that says too often", err)
	}
}

// A check looks at each tree once, also when it looks for what damage costs.
func TestCheckDoubling(t *testing.T) {
	t.Parallel()
	for name, leaf := range map[string]func(p *planted) *Node{
		"whole": func(p *planted) *Node { return p.file("file", "text") },
		"damaged": func(*planted) *Node {
			return &Node{Name: "file", Type: TypeFile, Content: []chunk.ID{chunk.Sum([]byte("nowhere"))}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := plant(t)
			tree := doubling(p, 60, leaf(p))
			if _, err := p.r.SaveSnapshot(t.Context(), &Snapshot{Time: testTime(), Tree: &tree, Paths: []string{"/"}}); err != nil {
				t.Fatal(err)
			}
			ctx := t.Context()
			reported := 0
			res, err := p.r.Check(ctx, CheckOptions{Report: func(Problem) { reported++ }})
			if damaged := name == "damaged"; errors.Is(err, ErrDamaged) != damaged {
				t.Errorf("check: %v", err)
			}
			if res.Trees != 61 {
				t.Errorf("%d trees were checked, want 61", res.Trees)
			}
			if reported > freeVisits/2+1000 { // folders have two nodes
				t.Errorf("%d problems were reported", reported)
			}
		})
	}
}

// Damage that lies too deep by every path but one is not searched for by all.
func TestCheckDoublingTooDeep(t *testing.T) {
	t.Parallel()
	p := plant(t)
	lost := &Node{Name: "file", Type: TypeFile, Content: []chunk.ID{chunk.Sum([]byte("nowhere"))}}
	middle := p.double(p.tree(lost), maxTreeDepth/2+100)
	top := p.double(middle, maxTreeDepth/2)
	// Found by the first node, and looked for below the second, by name.
	root := p.tree(p.dirOf("z", middle), p.dirOf("a", top))
	if err := p.w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.r.SaveSnapshot(t.Context(), &Snapshot{Time: testTime(), Tree: &root, Paths: []string{"/"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.r.Check(t.Context(), CheckOptions{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("check: %v", err)
	}
}

// A check and a repair that are cancelled while they look for what damage costs
// say so.
func TestCheckLostCancelled(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(context.Context, *Repository, func(Problem)) error{
		"check": func(ctx context.Context, r *Repository, report func(Problem)) error {
			_, err := r.Check(ctx, CheckOptions{Report: report})
			return err
		},
		"repair": func(ctx context.Context, r *Repository, report func(Problem)) error {
			_, err := r.PlanRepairSnapshots(ctx, RepairSnapshotsOptions{Report: report})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := plant(t)
			tree := doubling(p, 10, &Node{Name: "file", Type: TypeFile, Content: []chunk.ID{chunk.Sum([]byte("nowhere"))}})
			if _, err := p.r.SaveSnapshot(t.Context(), &Snapshot{Time: testTime(), Tree: &tree, Paths: []string{"/"}}); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			err := run(ctx, p.r, func(found Problem) {
				if found.Kind == LostFile {
					cancel()
				}
			})
			if !errors.Is(err, context.Canceled) || errors.Is(err, ErrDamaged) {
				t.Errorf("got %v, want %v", err, context.Canceled)
			}
		})
	}
}

// Names that are together longer than any path can be are not put together.
func TestWalkLongPaths(t *testing.T) {
	t.Parallel()
	p := plant(t)
	name := strings.Repeat("n", 1000)
	n := p.file(name, "text")
	for range 100 {
		n = p.dir(name, n)
	}
	tree := p.tree(n)
	if err := p.w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	longest := 0
	var failed error
	err := p.r.Walk(t.Context(), tree, func(path string, _ *Node, err error) error {
		longest = max(longest, len(path))
		if err != nil {
			failed = err
		}
		return nil
	})
	if err != nil || !errors.Is(failed, ErrDamaged) {
		t.Errorf("walk: %v, %v, want ErrDamaged for one folder", err, failed)
	}
	if longest < maxPathLength || longest > maxPathLength+2*len(name) {
		t.Errorf("the longest path has %d bytes", longest)
	}
}
