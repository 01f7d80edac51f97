package repo

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"russet/chunk"
)

// seen notes what a walk visits.
type seen map[string]string

func (s seen) visit(path string, n *Node, err error) error {
	if err != nil {
		s[path] += fmt.Sprint(" damaged ", errors.Is(err, ErrDamaged))
		return ErrSkipDir
	}
	if s[path] != "" {
		s[path] += " twice"
	}
	s[path] += fmt.Sprintln(*n)
	if n.Name == "skipped" {
		return ErrSkipDir
	}
	return nil
}

// A walk by levels visits what a walk does, whatever is damaged, left out or there several times.
func TestWalkLevels(t *testing.T) {
	t.Parallel()
	p := plant(t)
	at := time.Date(2024, 2, 29, 1, 2, 3, 4, time.UTC)
	odd := p.file("sub-\xff\n", "odd")
	odd.ModTime, odd.AccessTime, odd.UID, odd.Inode = at, at.Add(time.Hour), 501, 7
	link := &Node{Name: "link", Type: TypeSymlink, LinkTarget: "elsewhere", ModTime: at}
	leaf := p.tree(p.file("a", "one"), link, odd)
	middle := p.tree(p.dirOf("gone", chunk.Sum([]byte("nowhere"))), p.dirOf("leaf", leaf), p.dirOf("twin", leaf))
	root := p.tree(p.dirOf("left", middle), p.dirOf("leaf", leaf), p.dirOf("right", middle), p.dirOf("skipped", middle))
	if err := p.w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.flushed = true

	want, got := seen{}, seen{}
	if err := p.r.Walk(t.Context(), root, want.visit); err != nil {
		t.Fatal(err)
	}
	if err := p.r.WalkLevels(t.Context(), root, got.visit); err != nil {
		t.Fatal(err)
	}
	if len(want) != 4+3+2*(3+2*3) {
		t.Errorf("walk: %d nodes", len(want))
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %q,\nwant %q", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
		for path := range want {
			if got[path] != want[path] {
				t.Errorf("%q: got %q, want %q", path, got[path], want[path])
			}
		}
	}
}

// What visit returns ends the walk, as does a first tree that is not there, or trees without end.
func TestWalkLevelsEnds(t *testing.T) {
	t.Parallel()
	p := plant(t)
	tree := doubling(p, 60, p.file("file", "text"))
	visited := 0
	err := p.r.WalkLevels(t.Context(), tree, func(_ string, _ *Node, err error) error {
		visited++
		return err
	})
	if !errors.Is(err, errManyVisits) || visited > 3*freeVisits {
		t.Errorf("%d nodes were visited, %v", visited, err)
	}
	enough := errors.New("enough")
	err = p.r.WalkLevels(t.Context(), tree, func(string, *Node, error) error { return enough })
	if err != enough {
		t.Errorf("got %v, want the error of visit", err)
	}
	err = p.r.WalkLevels(t.Context(), chunk.Sum([]byte("nowhere")), func(string, *Node, error) error { return ErrSkipDir })
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v, want ErrDamaged", err)
	}
}
