package repo

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"time"

	"russet/chunk"
)

// FS shows a tree as an fs.FS. Files implement io.ReaderAt and io.Seeker, a
// FileInfo's Sys is its *Node. Names that are no legal fs path (not UTF-8) are
// reached by Walk only. ctx bounds everything read through it.
func (r *Repository) FS(ctx context.Context, tree chunk.ID) fs.FS {
	return &treeFS{r: r, ctx: ctx, root: &Node{Name: ".", Type: TypeDir, Mode: uint32(fs.ModeDir | 0o755), Subtree: &tree}}
}

// treeFS holds a context, as io/fs has none to pass.
type treeFS struct {
	r    *Repository
	ctx  context.Context
	root *Node
}

func (t *treeFS) find(op, name string) (*Node, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	if name == "." {
		return t.root, nil
	}
	n, err := t.r.Find(t.ctx, *t.root.Subtree, name)
	if errors.Is(err, ErrNotFound) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return n, nil
}

// Open implements fs.FS.
func (t *treeFS) Open(name string) (fs.File, error) {
	n, err := t.find("open", name)
	if err != nil {
		return nil, err
	}
	switch {
	case n.Type == TypeDir && n.Subtree != nil:
		return &openDir{info: nodeInfo{n}, fsys: t}, nil
	case n.Type == TypeFile:
		f, err := t.r.NewFileReader(t.ctx, n.Content)
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
		return &openFile{SectionReader: io.NewSectionReader(f, 0, f.Size()), info: nodeInfo{n}}, nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("not a file or folder")}
}

// Stat implements fs.StatFS.
func (t *treeFS) Stat(name string) (fs.FileInfo, error) {
	n, err := t.find("stat", name)
	if err != nil {
		return nil, err
	}
	return nodeInfo{n}, nil
}

// nodeInfo is a Node as fs.FileInfo and fs.DirEntry.
type nodeInfo struct{ n *Node }

func (i nodeInfo) Name() string               { return i.n.Name }
func (i nodeInfo) Size() int64                { return int64(i.n.Size) }
func (i nodeInfo) Mode() fs.FileMode          { return fs.FileMode(i.n.Mode) }
func (i nodeInfo) ModTime() time.Time         { return i.n.ModTime }
func (i nodeInfo) IsDir() bool                { return i.n.Type == TypeDir }
func (i nodeInfo) Sys() any                   { return i.n }
func (i nodeInfo) Type() fs.FileMode          { return i.Mode().Type() }
func (i nodeInfo) Info() (fs.FileInfo, error) { return i, nil }

// openFile is an open file.
type openFile struct {
	*io.SectionReader
	info nodeInfo
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openFile) Close() error               { return nil }

// openDir is an open folder; nodes are loaded at the first ReadDir.
type openDir struct {
	info   nodeInfo
	fsys   *treeFS
	loaded bool
	rest   []*Node
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *openDir) Close() error               { return nil }

func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.info.Name(), Err: errors.New("is a directory")}
}

// ReadDir implements fs.ReadDirFile.
func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if !d.loaded {
		t, err := d.fsys.r.LoadTree(d.fsys.ctx, *d.info.n.Subtree)
		if err != nil {
			return nil, &fs.PathError{Op: "readdir", Path: d.info.Name(), Err: err}
		}
		d.rest, d.loaded = t.Nodes, true
	}
	if n > 0 && len(d.rest) == 0 {
		return nil, io.EOF
	}
	take := len(d.rest)
	if n > 0 {
		take = min(n, take)
	}
	entries := make([]fs.DirEntry, take)
	for i, node := range d.rest[:take] {
		entries[i] = nodeInfo{node}
	}
	d.rest = d.rest[take:]
	return entries, nil
}
