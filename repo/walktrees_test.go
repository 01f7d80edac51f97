package repo

import (
	"errors"
	"testing"

	"russet/backend"
	"russet/chunk"
	"russet/index"
)

// TestWalkTrees visits each tree once, with all that it names, and says which cannot
// be had.
func TestWalkTrees(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	r := initRepo(t, backend.NewMemory(), 2)
	one := saveFiles(t, r, map[string][]byte{"a": []byte("a"), "b": []byte("b")})
	two := saveFiles(t, r, map[string][]byte{"a": []byte("a")})
	nowhere := chunk.Sum([]byte("nowhere"))
	trees, data := map[chunk.ID]int{}, map[chunk.ID]bool{}
	err := r.WalkTrees(ctx, []chunk.ID{*one.Tree, *two.Tree, *one.Tree, nowhere}, func(tree chunk.ID, refers []index.Handle, err error) error {
		trees[tree]++
		if (err != nil) != (tree == nowhere) {
			t.Errorf("tree %v: %v", tree, err)
		}
		for _, h := range refers {
			if h.Type == index.Data {
				data[h.ID] = true
			}
		}
		return nil
	})
	if err != nil || len(trees) != 5 || len(data) != 2 {
		t.Errorf("%d trees and %d blobs, %v, want 5 and 2", len(trees), len(data), err)
	}
	for id, n := range trees {
		if n != 1 {
			t.Errorf("tree %v was visited %d times", id, n)
		}
	}
	stop := errors.New("stop")
	visits := 0
	err = r.WalkTrees(ctx, []chunk.ID{*one.Tree, *two.Tree}, func(chunk.ID, []index.Handle, error) error {
		visits++
		return stop
	})
	if !errors.Is(err, stop) || visits != 1 {
		t.Errorf("after an error: %v, %d visits", err, visits)
	}
}
