package repo

import (
	"encoding/json"
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

// Keys are taken as encoding/json takes them, and so restic: whatever their case.
func TestScanTreeCase(t *testing.T) {
	t.Parallel()
	content, below := chunk.Sum([]byte("content")).String(), chunk.Sum([]byte("below")).String()
	for _, text := range []string{
		`{"Nodes":[{"name":"a","type":"file","Content":["` + content + `"]},{"name":"b","TYPE":"dir","SubTree":"` + below + `"}]}`,
		`{"node\u017f":[{"name":"a","type":"file","conTent":["` + content + `"]},{"name":"b","type":"dir","type":"dir","\u017fubtree":"` + below + `"}]}`,
	} {
		var want []index.Handle
		var restic struct {
			Nodes []struct {
				Type    string     `json:"type"`
				Content []chunk.ID `json:"content"`
				Subtree *chunk.ID  `json:"subtree"`
			} `json:"nodes"`
		}
		if err := json.Unmarshal([]byte(text), &restic); err != nil {
			t.Fatal(err)
		}
		for _, n := range restic.Nodes {
			for _, id := range n.Content {
				want = append(want, index.Handle{ID: id, Type: index.Data})
			}
			if n.Type == "dir" && n.Subtree != nil {
				want = append(want, index.Handle{ID: *n.Subtree, Type: index.Tree})
			}
		}
		var s treeScanner
		got, err := s.scan([]byte(text))
		if err != nil || len(want) != 2 || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, %v, want %v", text, got, err, want)
		}
		tree, err := DecodeTree([]byte(text))
		if err != nil || !tree.Lossy || !slices.Equal(referred(tree), want) {
			t.Errorf("%s: decoded %+v, %v, want %v", text, tree, err, want)
		}
	}
}

// FuzzScanTree scans any bytes: whatever DecodeTree finds is found.
func FuzzScanTree(f *testing.F) {
	f.Add([]byte(treeOne))
	f.Add(AppendTree(nil, manyNodes()))
	f.Add([]byte(`{"Nodes":[{"Type":"dir","type":"dir","SUBTREE":"` + chunk.ID{1}.String() + `","Content":["` + chunk.ID{2}.String() + `"]}]}`))
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
