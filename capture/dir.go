package capture

import (
	"encoding/binary"
	"strings"

	"russet/chunk"
)

// dir is a folder of the phone as it will stand under Files.
type dir struct {
	name  string
	self  *entry   // its record; nil where the manifest has none
	files []*entry // files and symlinks, in name order
	dirs  []*dir   // in name order
	tree  uint64   // as treeBegin gives it: the parent's until its own is stored; 0 for none
}

// treeBegin stands for the id of a tree where it is only to be counted whether
// it has changed.
func treeBegin(id chunk.ID) uint64 { return binary.BigEndian.Uint64(id[:]) }

// shorten leaves of all paths the last name: together they are long, and have
// done their work.
func (d *dir) shorten(n *names) {
	d.name = n.add(d.name)
	if d.self != nil {
		d.self.path = d.name
	}
	for _, e := range d.files {
		e.path = n.add(e.name())
	}
	for _, sub := range d.dirs {
		sub.shorten(n)
	}
}

// each calls visit for every file and symlink at and below d, in tree order
// but for folders, which come after the files beside them.
func (d *dir) each(visit func(*entry)) {
	for _, e := range d.files {
		visit(e)
	}
	for _, sub := range d.dirs {
		sub.each(visit)
	}
}

// plan turns sorted entries into folders. Files whose path is claimed twice,
// or as a file and as a folder, are returned as clashes.
func plan(entries []*entry) (root *dir, clashes []*entry) {
	root = &dir{}
	root.fill(entries, 0, &clashes)
	return root, clashes
}

// fill adds entries, all of which lie in d, whose path is prefix bytes long.
func (d *dir) fill(entries []*entry, prefix int, clashes *[]*entry) {
	for len(entries) > 0 {
		name, _, _ := strings.Cut(entries[0].path[prefix:], "/")
		end := prefix + len(name)
		n := 1
		for n < len(entries) && within(entries[n].path, entries[0].path[:end]) {
			n++
		}
		d.child(name, entries[:n], end, clashes)
		entries = entries[n:]
	}
}

// within tells whether path is dir or lies in it.
func within(path, dir string) bool {
	return strings.HasPrefix(path, dir) && (len(path) == len(dir) || path[len(dir)] == '/')
}

// child adds the entries at and below the path whose first end bytes they
// share.
func (d *dir) child(name string, entries []*entry, end int, clashes *[]*entry) {
	at := 0 // entries at the path itself come first
	for at < len(entries) && len(entries[at].path) == end {
		at++
	}
	here, below := entries[:at], entries[at:]
	if len(entries) == 1 && at == 1 && here[0].flag != flagDir {
		d.files = append(d.files, here[0])
		return
	}
	sub := &dir{name: name}
	folder := len(below) > 0
	for _, e := range here {
		switch e.flag {
		case flagDir:
			sub.self = e
			folder = true
		case flagFile:
			*clashes = append(*clashes, e)
		}
	}
	if !folder {
		return // a path claimed twice, by files and links alone
	}
	sub.fill(below, end+1, clashes)
	d.dirs = append(d.dirs, sub)
}
