package agent

import (
	"io/fs"
	"maps"
	"path"
	"strings"
	"testing/fstest"
	"time"

	"russet/device/mb2"
)

// tree is the folder of the reference host, in memory. Names are slash-separated
// paths that fs.ValidPath takes.
type tree struct {
	data []byte
	dir  map[string]*tree // nil of a file
}

func newTree() *tree { return &tree{dir: map[string]*tree{}} }

// at returns what has a name.
func (t *tree) at(name string) (*tree, error) {
	if !fs.ValidPath(name) {
		return nil, fs.ErrInvalid
	}
	if name == "." {
		return t, nil
	}
	for element := range strings.SplitSeq(name, "/") {
		if t.dir == nil {
			return nil, mb2.ErrNotDir
		}
		next, ok := t.dir[element]
		if !ok {
			return nil, fs.ErrNotExist
		}
		t = next
	}
	return t, nil
}

// parent returns the folder above a name.
func (t *tree) parent(name string) (*tree, error) {
	p, err := t.at(path.Dir(name))
	if err == nil && p.dir == nil {
		err = mb2.ErrNotDir
	}
	if !fs.ValidPath(name) || name == "." {
		err = fs.ErrInvalid
	}
	return p, err
}

func (t *tree) mkdir(name string) error {
	p, err := t.parent(name)
	if err != nil {
		return err
	}
	if _, ok := p.dir[path.Base(name)]; ok {
		return fs.ErrExist
	}
	p.dir[path.Base(name)] = newTree()
	return nil
}

func (t *tree) write(name string, data []byte) error {
	p, err := t.parent(name)
	if err != nil {
		return err
	}
	if old, ok := p.dir[path.Base(name)]; ok && old.dir != nil {
		return mb2.ErrIsDir
	}
	p.dir[path.Base(name)] = &tree{data: data}
	return nil
}

func (t *tree) read(name string) ([]byte, error) {
	f, err := t.at(name)
	if err != nil {
		return nil, err
	}
	if f.dir != nil {
		return nil, mb2.ErrIsDir
	}
	return f.data, nil
}

func (t *tree) remove(name string) error {
	p, err := t.parent(name)
	if err != nil {
		return err
	}
	if _, ok := p.dir[path.Base(name)]; !ok {
		return fs.ErrNotExist
	}
	delete(p.dir, path.Base(name))
	return nil
}

func (t *tree) move(from, to string) error {
	f, err := t.at(from)
	if err != nil {
		return err
	}
	p, err := t.parent(to)
	if err != nil {
		return err
	}
	p.dir[path.Base(to)] = f
	return t.remove(from)
}

// clone copies a tree, but for the bytes.
func (t *tree) clone() *tree {
	c := &tree{data: t.data, dir: maps.Clone(t.dir)}
	for name, below := range c.dir {
		c.dir[name] = below.clone()
	}
	return c
}

// treeTime is the time of all files: phones do not compare it.
func treeTime() time.Time { return time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC) }

// fsys returns a folder as the package ios opens it.
func (t *tree) fsys(name string) fs.FS {
	m := fstest.MapFS{}
	if sub, err := t.at(name); err == nil {
		sub.collect("", m)
	}
	return m
}

func (t *tree) collect(name string, m fstest.MapFS) {
	if t.dir == nil {
		m[name] = &fstest.MapFile{Data: t.data, Mode: 0o644, ModTime: treeTime()}
	}
	for below, sub := range t.dir {
		sub.collect(path.Join(name, below), m)
	}
}
