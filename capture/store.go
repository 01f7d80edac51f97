package capture

import (
	"context"
	"fmt"
	"strings"
	"time"

	"russet/chunk"
	"russet/index"
	"russet/ios"
	"russet/repo"
)

// store writes the snapshot of what the survey found.
func (c *run) store(ctx context.Context) (*Result, error) {
	c.w = c.r.NewWriter(ctx)
	defer c.w.Close()
	if c.opt.Force {
		c.w.Distrust()
	}
	if err := c.reuse(ctx); err != nil {
		return nil, err
	}
	sealed := c.sealedFiles()
	if err := c.reuseSealed(ctx, sealed); err != nil {
		return nil, err
	}
	if c.sum.WhyAll == "" {
		c.sum.WhyAll = c.whyNothing()
	}
	c.meta = c.newMetadata(sourceFolder)
	sealed, err := c.read(ctx, sealed)
	if err != nil {
		return nil, err
	}
	c.setPhase("writing the snapshot")
	tree, meta, err := c.storeTrees(ctx, sealed)
	if err != nil {
		return nil, err
	}
	if err := c.w.Flush(ctx); err != nil {
		return nil, fmt.Errorf("capture folder: %w", err)
	}
	again, err := readTop(c.fsys)
	if err != nil {
		return nil, fmt.Errorf("capture folder: %w", err)
	}
	if !sameState(c.top, again) {
		return nil, errMoved
	}
	return c.commit(ctx, tree, meta)
}

// commit saves the snapshot, unless an earlier one is the very same.
func (c *run) commit(ctx context.Context, tree chunk.ID, meta *Metadata) (*Result, error) {
	s := c.snapshot(tree)
	c.sum.finish(c.stats(), c.records.bad, meta)
	res := &Result{UDID: c.udid, DeviceName: c.b.DeviceName(), Summary: c.sum, Sealed: c.sealed && !c.unreadable}
	for _, old := range c.history.snapshots { // also one that could not be opened: it can be now
		if *old.Tree == tree && old.Time.Equal(s.Time) && sameMeaning(old, s) {
			res.Snapshot, res.Kept = old, true
			return res, nil
		}
	}
	if _, err := c.r.SaveSnapshot(ctx, s); err != nil {
		return nil, err
	}
	res.Snapshot = s
	return res, nil
}

// sameMeaning tells whether two snapshots have the same of those tags that
// decide what they are used for. People add others to a snapshot that is kept.
func sameMeaning(a, b *repo.Snapshot) bool {
	for _, tag := range []string{TagIncomplete, TagSealed, TagUnreadable} {
		if a.HasTag(tag) != b.HasTag(tag) {
			return false
		}
	}
	return true
}

func (c *run) snapshot(tree chunk.ID) *repo.Snapshot {
	s := &repo.Snapshot{
		Time: c.time(), Tree: &tree, Paths: []string{"/" + c.udid},
		Hostname: safeName(c.b.DeviceName(), c.udid), Username: c.opt.Username,
		Tags: c.tags(), ProgramVersion: c.opt.ProgramVersion,
	}
	if c.parent != nil {
		id := c.parent.Snapshot.ID()
		s.Parent = &id
	}
	if c.opt.Now != nil {
		s.Summary = c.sum.snapshotSummary(c.stats(), c.start, c.opt.Now())
	}
	return s
}

// stats counts what was stored, of a phone also by the writer of what it sent.
func (c *run) stats() repo.Stats {
	stats := c.w.Stats()
	if c.phone != nil && c.phone.w != c.w {
		stats.Add(c.phone.w.Stats())
	}
	return stats
}

// time is the snapshot's: the moment at which a phone answered, else the
// backup's own.
func (c *run) time() time.Time {
	if !c.answered.IsZero() {
		return clampTime(c.answered)
	}
	return c.date()
}

// date is the backup's own time, as far as it tells one.
func (c *run) date() time.Time {
	t := c.b.Date()
	for _, top := range c.top {
		if t.IsZero() && strings.HasPrefix(top.name, "Manifest.") {
			t = top.modTime
		}
	}
	return clampTime(t)
}

// tags describe the version to people and to restic.
func (c *run) tags() []string {
	var tags []string
	if v := c.b.ProductVersion(); v != "" {
		tags = append(tags, safeTag(TagIOS+v))
	}
	if t := c.b.ProductType(); t != "" {
		tags = append(tags, safeTag(t))
	}
	kind := TagPlain
	if c.b.Encrypted() {
		kind = TagEncrypted
	}
	tags = append(tags, kind)
	if !c.b.Finished() {
		tags = append(tags, TagIncomplete)
	}
	if c.sealed {
		tags = append(tags, TagSealed)
	}
	if c.unreadable {
		tags = append(tags, TagUnreadable)
	}
	return tags
}

// safeTag keeps a tag whole for restic, which splits tags at commas.
func safeTag(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ',':
			return '.'
		case r < ' ' || r == 0x7f:
			return '_'
		}
		return r
	}, s)
}

// safeName makes s a name that is one path component, or fallback.
func safeName(s, fallback string) string {
	s = safeText(s)
	if s == "" || s == "." || s == ".." {
		return fallback
	}
	for len(s) > maxName {
		s = s[:maxName]
	}
	return strings.ToValidUTF8(s, "_")
}

// safeText replaces what a terminal or a path would take for something else.
func safeText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == '/' || 0x7f <= r && r < 0xa0 {
			return '_'
		}
		return r
	}, s)
}

// clampTime keeps t within the years that a snapshot can hold.
func clampTime(t time.Time) time.Time {
	lo, hi := time.Unix(-62135596800, 0), time.Unix(253402300799, 0) // years 1 and 9999
	switch {
	case t.Before(lo):
		t = lo
	case t.After(hi):
		t = hi
	}
	return t.UTC()
}

// reuse gives unchanged files the parent's content, without opening them, and
// counts new and changed ones.
func (c *run) reuse(ctx context.Context) error {
	c.sum.WhyAll = c.whyAll()
	var hashes map[fileID]uint64
	var tree *chunk.ID
	if c.parent != nil && !c.sealed {
		tree = c.parent.subtree(nameFiles)
	}
	if c.sum.WhyAll == "" && tree != nil {
		c.setPhase("comparing with the last version")
		var err error
		if hashes, err = c.parent.recordHashes(ctx, c.hash); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			c.sum.WhyAll = "the last version's manifest cannot be read"
		}
	}
	return c.reuseDir(ctx, c.dir, tree, hashes)
}

func (c *run) reuseDir(ctx context.Context, d *dir, parent *chunk.ID, hashes map[fileID]uint64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t := new(repo.Tree)
	if parent != nil {
		d.tree = treeBegin(*parent)
		old, err := c.r.LoadTree(ctx, *parent)
		if err == nil {
			t = old
		} else if ctx.Err() != nil {
			return ctx.Err()
		} // a damaged parent costs reading the files, no more
	}
	nodes := byName(t)
	for _, e := range d.files {
		if e.flag != flagFile || !e.found {
			continue
		}
		n := nodes[e.name()]
		switch {
		case n == nil || n.Type != repo.TypeFile:
			c.sum.FilesNew++
		default:
			if e.reused = c.judge(c.compare(e, n, hashes)); e.reused {
				e.content = &content{n.Content, int64(n.Size)}
			}
		}
	}
	for _, sub := range d.dirs {
		var old *chunk.ID
		if n := nodes[sub.name]; n != nil && n.Type == repo.TypeDir {
			old = n.Subtree
		}
		if err := c.reuseDir(ctx, sub, old, hashes); err != nil {
			return err
		}
	}
	return nil
}

// byName is for folders of any size, which Tree.Find is not.
func byName(t *repo.Tree) map[string]*repo.Node {
	nodes := make(map[string]*repo.Node, len(t.Nodes))
	for _, n := range t.Nodes {
		if nodes[n.Name] == nil {
			nodes[n.Name] = n
		}
	}
	return nodes
}

// storedSize is the length in the folder of a file of size bytes.
func (c *run) storedSize(e *entry, size int64) int64 {
	if c.decrypts(e) {
		return ios.EncryptedSize(size)
	}
	return size
}

// decrypts tells whether the stored form of e is encrypted.
func (c *run) decrypts(e *entry) bool { return c.b.Encrypted() && e.keyed }

func (c *run) hasAll(ids []chunk.ID) bool { return hasAll(c.r, ids) }

// hasAll tells whether the index has all of a file's blobs.
func hasAll(r *repo.Repository, ids []chunk.ID) bool {
	for _, id := range ids {
		if !r.Index().Has(index.Handle{ID: id, Type: index.Data}) {
			return false
		}
	}
	return true
}

// sealedFile is a stored file that is kept as received.
type sealedFile struct {
	id      fileID
	stored  storedFile
	reused  bool
	content content
}

// sealedFiles are all stored files that no entry under Files stands for, in
// order of their ids.
func (c *run) sealedFiles() []*sealedFile {
	var ends [256]int // of each shard's ids in placed
	placed := 0
	c.eachPlaced(func(e *entry) { ends[e.id[0]]++ })
	for i, n := range ends {
		ends[i], placed = placed, placed+n
	}
	ids := make([]fileID, placed)
	c.eachPlaced(func(e *entry) {
		ids[ends[e.id[0]]] = e.id
		ends[e.id[0]]++
	})
	var sealed []*sealedFile
	below := map[fileID]bool{}
	from := 0
	for i, shard := range c.folder.stored {
		clear(below)
		for _, id := range ids[from:ends[i]] {
			below[id] = true
		}
		from = ends[i]
		for id, st := range shard {
			if !below[id] {
				sealed = append(sealed, &sealedFile{id: id, stored: st})
			}
		}
	}
	sortSealed(sealed)
	return sealed
}

// eachPlaced calls visit for each file that has its place below Files.
func (c *run) eachPlaced(visit func(e *entry)) {
	c.dir.each(func(e *entry) {
		if e.flag == flagFile && e.found {
			visit(e)
		}
	})
}

// reuseSealed gives sealed files whose name, size and time are the parent's
// the parent's content.
func (c *run) reuseSealed(ctx context.Context, sealed []*sealedFile) error {
	var tree *chunk.ID
	if c.parent != nil && !c.opt.Force {
		tree = c.parent.subtree(nameSealed)
	}
	old := map[string]*repo.Node{}
	if tree != nil {
		err := c.r.Walk(ctx, *tree, func(path string, n *repo.Node, err error) error {
			if err == nil && n.Type == repo.TypeFile {
				old[path] = n
			}
			return nil
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			clear(old) // a damaged parent costs reading the files, no more
		}
	}
	for _, s := range sealed {
		n := old[storedPath(s.id.String(), false)]
		switch {
		case n == nil:
			c.sum.FilesNew++
		default:
			if s.reused = c.judge(c.compareSealed(s, n)); s.reused {
				s.content = content{n.Content, int64(n.Size)}
			}
		}
	}
	return nil
}
