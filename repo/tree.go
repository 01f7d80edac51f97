package repo

import (
	"errors"
	"fmt"
	"slices"

	"russet/chunk"
)

// Tree is a folder: its nodes, in the order of their names as bytes.
type Tree struct {
	Nodes []*Node

	// Lossy says that the tree was decoded from bytes that Append does not
	// give again, because of unknown keys, say, or of white space. Whoever
	// would write such a tree again would change it.
	Lossy bool
}

// Errors of trees. They name no names, which are personal.
var (
	errOrder       = errors.New("names are not in order")
	errDuplicate   = errors.New("name given twice")
	errType        = errors.New("unknown type")
	errNoContent   = errors.New("file without a list of blobs")
	errNoSubtree   = errors.New("folder without a tree")
	errNullBlob    = errors.New("blob id of zeros")
	errManyNodes   = errors.New("more nodes than its length explains")
	errQuotedName  = errors.New("name is not quoted as it must be")
	errSpelledTime = errors.New("time is none")
)

// Find returns the node with the given name, nil if there is none. It does not
// rely on the order of the nodes.
func (t *Tree) Find(name string) *Node {
	for _, n := range t.Nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// Validate returns the first thing in the tree that restic or we would not have
// written there: names that are out of order, given twice, or none; unknown
// types; files without blobs; folders without a tree.
func (t *Tree) Validate() error {
	for i, n := range t.Nodes {
		err := n.validate()
		if err == nil && i > 0 && n.Name <= t.Nodes[i-1].Name {
			err = errOrder
			if n.Name == t.Nodes[i-1].Name {
				err = errDuplicate
			}
		}
		if err != nil {
			return fmt.Errorf("node %d of %d: %w", i+1, len(t.Nodes), err)
		}
	}
	return nil
}

// Append appends the bytes of the tree to dst: those that restic's encoder
// (encoding/json, over its node struct) gives, and the newline that belongs to
// them. The id of a tree is their hash.
func (t *Tree) Append(dst []byte) []byte { return AppendTree(dst, t.Nodes) }

// AppendTree appends the bytes of the tree that holds nodes, which should be
// sorted by name.
func AppendTree(dst []byte, nodes []*Node) []byte {
	// Most nodes are within this size, with owner, times and a blob.
	const usual = 450
	size := len(`{"nodes":[]}`) + 1
	for _, n := range nodes {
		size += usual + len(n.Name) + (2*len(chunk.ID{})+3)*max(0, len(n.Content)-1)
	}
	dst = append(slices.Grow(dst, size), `{"nodes":[`...)
	for i, n := range nodes {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = n.appendTo(dst)
	}
	return append(dst, "]}\n"...)
}
