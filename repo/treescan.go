package repo

import (
	"russet/chunk"
	"russet/index"
	"russet/internal/jsontext"
)

// treeScanner finds what trees refer to, several times as fast as DecodeTree,
// for who wants to know nothing else. It belongs to one goroutine. The zero value is ready.
type treeScanner struct {
	s     jsontext.Scanner
	found []index.Handle
}

// scan returns the blobs and the trees that a tree refers to, valid until the
// next call. They are at least those of the nodes that DecodeTree gives; of a
// tree that DecodeTree refuses they may be more. The error is not nil when data is
// not JSON or an id is none.
func (t *treeScanner) scan(data []byte) ([]index.Handle, error) {
	t.found = t.found[:0]
	s := &t.s
	s.Reset(data)
	for s.Object(); s.More(); {
		if !isKey(s.Key(), "nodes") {
			s.Skip()
			continue
		}
		if s.Null() {
			continue
		}
		for s.Array(); s.More(); {
			if !s.Null() {
				t.node()
			}
		}
	}
	return t.found, s.End()
}

func (t *treeScanner) node() {
	s := &t.s
	var subtree chunk.ID
	dir, nested := false, false
	for s.Object(); s.More(); {
		switch fieldOf(s.Key()) {
		case fieldType:
			if !s.Null() && string(s.Text()) == TypeDir { // of several the last counts for restic, and each here
				dir = true
			}
		case fieldContent:
			if s.Null() {
				continue
			}
			for s.Array(); s.More(); {
				h := index.Handle{Type: index.Data}
				s.Hex(h.ID[:])
				t.found = append(t.found, h)
			}
		case fieldSubtree:
			if !s.Null() {
				s.Hex(subtree[:])
				nested = true
			}
		default:
			s.Skip()
		}
	}
	if dir && nested {
		t.found = append(t.found, index.Handle{ID: subtree, Type: index.Tree})
	}
}
