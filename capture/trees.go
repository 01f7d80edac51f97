package capture

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"path"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"russet/chunk"
	"russet/index"
	"russet/ios"
	"russet/repo"
)

// Modes of what stands in the folder on a computer, whose own modes say
// nothing about the phone.
const (
	modeFile = 0o600
	modeDir  = fs.ModeDir | 0o700
)

// newMetadata is what the survey says of the folder.
func (c *run) newMetadata(source string) *Metadata {
	meta := &Metadata{Version: metadataVersion, Source: source, Flat: c.b.Flat(), EmptyFolders: c.folder.empty}
	slices.Sort(meta.EmptyFolders)
	return meta
}

// storeTrees writes all trees, the root last. The top files are stored.
func (c *run) storeTrees(ctx context.Context, sealed []*sealedFile) (chunk.ID, *Metadata, error) {
	meta, top := c.meta, &repo.Tree{Nodes: c.topNodes}
	var err error
	if meta.Trees.Files, err = c.storeFiles(ctx); err != nil {
		return chunk.ID{}, nil, err
	}
	if meta.Trees.Sealed, err = c.storeSealed(ctx, sealed); err != nil {
		return chunk.ID{}, nil, err
	}
	if meta.Trees.Other, err = c.storeOther(ctx); err != nil {
		return chunk.ID{}, nil, err
	}
	if c.b.Encrypted() && !c.sealed {
		kb, err := c.b.Keybag()
		if err != nil {
			return chunk.ID{}, nil, fmt.Errorf("read keybag: %w", err)
		}
		meta.Keybag = newKeybag(kb.UUID, c.keys)
	}
	meta.Missing = c.missing(sealed)
	if err := c.storeMetadata(ctx, top, meta); err != nil {
		return chunk.ID{}, nil, err
	}
	for _, name := range []string{nameFiles, nameSealed, nameOther} {
		if id := meta.tree(name); id != nil {
			top.Nodes = append(top.Nodes, dirNode(name, id, c.date()))
		}
	}
	id, err := c.saveTree(ctx, top)
	if err != nil {
		return chunk.ID{}, nil, err
	}
	root := &repo.Tree{Nodes: []*repo.Node{dirNode(c.udid, &id, c.date())}}
	id, err = c.saveTree(ctx, root)
	return id, meta, err
}

func (c *run) saveTree(ctx context.Context, t *repo.Tree) (chunk.ID, error) {
	t.Sort()
	saved, err := c.w.SaveTree(ctx, t)
	return saved.ID, err
}

func dirNode(name string, tree *chunk.ID, t time.Time) *repo.Node {
	return &repo.Node{
		Name: name, Type: repo.TypeDir, Mode: uint32(modeDir),
		ModTime: t, AccessTime: t, ChangeTime: t, Subtree: tree,
	}
}

// fileNode describes a file as it lay in the folder on the computer.
func fileNode(name string, c content, t time.Time) *repo.Node {
	t = clampTime(t)
	return &repo.Node{
		Name: name, Type: repo.TypeFile, Mode: modeFile,
		ModTime: t, AccessTime: t, ChangeTime: t, Size: uint64(c.size), Content: c.ids,
	}
}

// storeTop stores the plists and the manifest, and notes them in meta.
func (c *run) storeTop(ctx context.Context, meta *Metadata) ([]*repo.Node, error) {
	w := c.newReader()
	var nodes []*repo.Node
	for _, t := range c.top {
		got, form, err := c.topContent(ctx, w, &t)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", t.name, err)
		}
		if form != "" {
			meta.Manifest = form
		}
		meta.Top = append(meta.Top, TopFile{t.name, t.size, t.sum, t.modTime.UTC(), got.ids})
		nodes = append(nodes, fileNode(t.name, got, t.modTime))
	}
	return nodes, nil
}

// topContent stores a top file. Info.plist may have been written again since it
// was read first, and is noted as it is stored.
func (c *run) topContent(ctx context.Context, w *reader, t *received) (content, ManifestForm, error) {
	decrypt := t.name == ios.DatabaseName && c.manifestKey != nil
	var form ManifestForm
	switch {
	case decrypt:
		form = ManifestDecrypted
	case strings.HasPrefix(t.name, "Manifest.") && t.name != ios.ManifestName:
		form = ManifestReceived
	}
	if form != "" {
		ctx = repo.Near(ctx) // the next run compares with it
	}
	if c.phone != nil && !decrypt {
		if got, ok := c.phone.topReceived(t.name); ok {
			return got, form, nil
		}
	}
	f, err := c.fsys.Open(t.name)
	if err != nil {
		return content{}, "", err
	}
	defer f.Close()
	var src io.Reader = f
	hash := sha256.New()
	switch {
	case t.name == ios.InfoName:
		src = io.TeeReader(f, hash)
	case decrypt:
		w.dec.Reset(f, *c.manifestKey)
		src = w.dec
	}
	got, err := w.blobs(ctx, src)
	if t.name == ios.InfoName {
		t.size, t.sum = got.size, chunk.ID(hash.Sum(nil))
	}
	return got, form, err
}

func (c *run) storeMetadata(ctx context.Context, top *repo.Tree, meta *Metadata) error {
	b, err := meta.encode()
	if err != nil {
		return err
	}
	got := content{ids: []chunk.ID{}}
	for piece := range slices.Chunk(b, chunk.MinSize) {
		saved, err := c.w.Save(repo.Near(ctx), index.Data, piece)
		if err != nil {
			return err
		}
		got.ids = append(got.ids, saved.ID)
		got.size += int64(len(piece))
	}
	top.Nodes = append(top.Nodes, fileNode(nameMetadata, got, c.date()))
	return nil
}

// storeFiles writes the trees of the phone's folders, the deepest first.
func (c *run) storeFiles(ctx context.Context) (*chunk.ID, error) {
	if len(c.dir.dirs) == 0 && len(c.dir.files) == 0 {
		return nil, nil
	}
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	domains := make([]*chunk.ID, len(c.dir.dirs))
	for i, sub := range c.dir.dirs {
		group.Go(func() (err error) {
			domains[i], err = c.storeDir(gctx, sub)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return c.storeDirOf(ctx, c.dir, domains)
}

// storeDir writes the trees of d and what is below it. It is safe for
// concurrent use.
func (c *run) storeDir(ctx context.Context, d *dir) (*chunk.ID, error) {
	trees := make([]*chunk.ID, len(d.dirs))
	for i, sub := range d.dirs {
		var err error
		if trees[i], err = c.storeDir(ctx, sub); err != nil {
			return nil, err
		}
	}
	return c.storeDirOf(ctx, d, trees)
}

// storeDirOf writes the tree of d alone, whose folders have the given trees.
func (c *run) storeDirOf(ctx context.Context, d *dir, trees []*chunk.ID) (*chunk.ID, error) {
	t := new(repo.Tree)
	for _, e := range d.files {
		switch {
		case e.flag == flagSymlink:
			t.Nodes = append(t.Nodes, e.symlink())
		case e.found:
			t.Nodes = append(t.Nodes, e.file(c.contentOf(e)))
		}
	}
	for i, sub := range d.dirs {
		t.Nodes = append(t.Nodes, sub.node(trees[i]))
	}
	id, err := c.saveTree(ctx, t)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	was := d.tree
	d.tree = treeBegin(id)
	switch was {
	case 0:
		c.sum.dirsNew++
	case d.tree:
		c.sum.dirsUnmodified++
	default:
		c.sum.dirsChanged++
	}
	return &id, nil
}

// node describes e as the phone's manifest does.
func (e *entry) node(name string) *repo.Node {
	return &repo.Node{
		Name: name, Mode: uint32(repo.FileMode(e.mode)),
		ModTime: clampTime(time.Unix(e.mtime, 0)), ChangeTime: clampTime(time.Unix(e.ctime, 0)),
		AccessTime: clampTime(time.Unix(e.mtime, 0)),
		UID:        e.uid, GID: e.gid, Inode: e.inode,
	}
}

func (e *entry) file(got content) *repo.Node {
	n := e.node(e.name())
	n.Type, n.Size, n.Content = repo.TypeFile, uint64(got.size), got.ids
	n.Mode = uint32(fs.FileMode(n.Mode) &^ fs.ModeType)
	n.AccessTime = clampTime(e.stored.modified.time())
	return n
}

func (e *entry) symlink() *repo.Node {
	n := e.node(e.name())
	n.Type, n.LinkTarget = repo.TypeSymlink, e.target()
	n.Mode = uint32(fs.FileMode(n.Mode)&^fs.ModeType | fs.ModeSymlink)
	return n
}

// node describes a folder of the phone; one without a record gets constant
// times, so that equal folders stay equal trees.
func (d *dir) node(tree *chunk.ID) *repo.Node {
	if d.self == nil {
		return dirNode(d.name, tree, time.Unix(0, 0).UTC())
	}
	n := d.self.node(d.name)
	n.Type, n.Subtree = repo.TypeDir, tree
	n.Mode = uint32(fs.FileMode(n.Mode)&^fs.ModeType | fs.ModeDir)
	return n
}

// storeSealed writes the tree of what is kept as received.
func (c *run) storeSealed(ctx context.Context, sealed []*sealedFile) (*chunk.ID, error) {
	all := new(repo.Tree)
	shard := new(repo.Tree)
	for i, s := range sealed {
		name := s.id.String()
		if s.content.ids != nil {
			shard.Nodes = append(shard.Nodes, fileNode(name, s.content, s.stored.modified.time()))
			c.sum.FilesSealed++
		}
		if i+1 < len(sealed) && sealed[i+1].id[0] == s.id[0] {
			continue
		}
		if len(shard.Nodes) == 0 {
			continue
		}
		id, err := c.saveTree(ctx, shard)
		if err != nil {
			return nil, err
		}
		all.Nodes = append(all.Nodes, dirNode(name[:2], &id, time.Unix(0, 0).UTC()))
		shard = new(repo.Tree)
	}
	if len(all.Nodes) == 0 {
		return nil, nil
	}
	id, err := c.saveTree(ctx, all)
	return &id, err
}

// storeOther stores whatever else lies in the folder, by its path there.
func (c *run) storeOther(ctx context.Context) (*chunk.ID, error) {
	if len(c.folder.other) == 0 {
		return nil, nil
	}
	w := c.newReader()
	trees := map[string]*repo.Tree{".": {}}
	for i, o := range c.folder.other {
		n, err := c.otherNode(ctx, w, o)
		if err != nil {
			return nil, err
		}
		c.folder.other[i].ids = n.Content
		dir := path.Dir(o.path)
		for d := dir; trees[d] == nil; d = path.Dir(d) {
			trees[d] = new(repo.Tree)
		}
		trees[dir].Nodes = append(trees[dir].Nodes, n)
	}
	dirs := make([]string, 0, len(trees))
	for d := range trees {
		dirs = append(dirs, d)
	}
	// Deepest first: a folder's tree must exist before its parent names it.
	slices.SortFunc(dirs, func(a, b string) int { return comparePaths(b, a) })
	dirs = slices.DeleteFunc(dirs, func(d string) bool { return d == "." })
	for _, d := range dirs {
		id, err := c.saveTree(ctx, trees[d])
		if err != nil {
			return nil, err
		}
		up := trees[path.Dir(d)]
		up.Nodes = append(up.Nodes, dirNode(path.Base(d), &id, time.Unix(0, 0).UTC()))
	}
	id, err := c.saveTree(ctx, trees["."])
	return &id, err
}

func (c *run) otherNode(ctx context.Context, w *reader, o otherFile) (*repo.Node, error) {
	t := clampTime(o.modTime)
	if o.link {
		return &repo.Node{
			Name: path.Base(o.path), Type: repo.TypeSymlink, Mode: uint32(fs.ModeSymlink | 0o777),
			ModTime: t, AccessTime: t, ChangeTime: t, LinkTarget: o.target,
		}, nil
	}
	f, err := c.folder.from.openOther(o.path)
	if err != nil {
		return nil, fmt.Errorf("read backup folder: %w", err)
	}
	defer f.Close()
	got, err := w.blobs(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("read backup folder: %w", err)
	}
	return fileNode(path.Base(o.path), got, t), nil
}

// missing are the ids of files that the manifest lists and the snapshot lacks.
func (c *run) missing(sealed []*sealedFile) []string {
	have := map[fileID]bool{}
	for _, s := range sealed {
		if s.content.ids != nil {
			have[s.id] = true
		}
	}
	var missing []string
	lack := func(e *entry) {
		if e.flag == flagFile && !e.found && !have[e.id] {
			missing = append(missing, e.id.String())
		}
	}
	c.dir.each(lack)
	for _, e := range c.records.sealed {
		lack(e)
	}
	slices.Sort(missing)
	return slices.Compact(missing)
}
