package repo

import (
	"slices"
	"testing"

	"russet/chunk"
	"russet/index"
)

// referred is what DecodeTree says that a tree refers to.
func referred(t *Tree) []index.Handle {
	var all []index.Handle
	for _, n := range t.Nodes {
		for _, id := range n.Content {
			all = append(all, index.Handle{ID: id, Type: index.Data})
		}
		if n.Type == TypeDir && n.Subtree != nil {
			all = append(all, index.Handle{ID: *n.Subtree, Type: index.Tree})
		}
	}
	return all
}

// What a legal tree refers to is found, in its order, and nothing else.
func TestScanTree(t *testing.T) {
	t.Parallel()
	nodes := manyNodes()
	nodes = append(nodes, &Node{Name: "zz", Type: TypeDir, Subtree: &chunk.ID{7}}, &Node{Name: "zzz", Type: TypeFile, Content: []chunk.ID{{8}, {9}}})
	data := AppendTree(nil, nodes)
	var s treeScanner
	for range 2 {
		got, err := s.scan(data)
		if want := referred(&Tree{Nodes: nodes}); err != nil || !slices.Equal(got, want) {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
	}
	for _, bad := range []string{"", "{}x", `{"nodes":[{"content":["ab"]}]}`, `{"nodes":[{"subtree":7}]}`, `{"nodes":[{"type":1}]}`, `[]`} {
		if got, err := s.scan([]byte(bad)); err == nil {
			t.Errorf("%q: got %v, want an error", bad, got)
		}
	}
}

// FuzzScanTree scans any bytes: whatever DecodeTree finds is found.
func FuzzScanTree(f *testing.F) {
	f.Add([]byte(treeOne))
	f.Add(AppendTree(nil, manyNodes()))
	f.Add([]byte(`{"nodes":[null,{"type":"dir","subtree":null,"content":null}],"nodes":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var s treeScanner
		got, err := s.scan(data)
		tree, decoded := DecodeTree(data)
		if decoded != nil {
			return
		}
		if err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		for _, h := range referred(tree) {
			if !slices.Contains(got, h) {
				t.Fatalf("%q: %v was not found", data, h)
			}
		}
	})
}
