package capture

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"

	"russet/chunk"
	"russet/index"
	"russet/ios"
	"russet/repo"
)

// show fills the overlay with a version: with what the repository can give
// back of it, and nothing else. A phone looks at names only and never sends
// again what is listed.
func (p *Phone) show(ctx context.Context, v *Version) error {
	s := &showing{p: p, v: v, ctx: ctx}
	p.keys = sync.OnceValues(func() (map[string]*ios.Key, error) { return v.fileKeys(ctx) })
	if err := s.begin(); err != nil {
		return s.nothing(err)
	}
	if err := s.readRecords(); err != nil {
		return s.nothing(err)
	}
	if s.readListing() != nil {
		if err := s.begin(); err != nil { // without what was believed of the listing
			return s.nothing(err)
		}
		if err := s.walkAll(); err != nil {
			return err
		}
	}
	if s.missing > 0 {
		p.why = fmt.Sprintf("the repository lacks %d files of the last version", s.missing)
	}
	return nil
}

// showing is one call of show.
type showing struct {
	p       *Phone
	v       *Version
	ctx     context.Context
	records map[fileID]shownRecord // of an encrypted version
	shards  [256]*branch           // the folders of stored files, once they are there
	missing int
}

// shownRecord is what is kept of a manifest record.
type shownRecord struct {
	hash  uint64
	keyed bool // its file is stored encrypted
}

// begin shows what is known without the trees of the files, and nothing else.
func (s *showing) begin() error {
	s.p.overlay = overlay{root: newBranch()}
	s.p.folders = map[uint64]uint64{}
	s.shards, s.missing = [256]*branch{}, 0
	if err := s.top(); err != nil {
		return err
	}
	for _, dir := range s.v.Metadata.EmptyFolders {
		if _, err := s.p.overlay.mkdirAll(path.Join(s.v.UDID, string(dir))); err != nil {
			s.missing++
		}
	}
	return nil
}

// nothing shows an empty folder where err says that the version cannot be read.
func (s *showing) nothing(err error) error {
	if s.ctx.Err() != nil || !errors.Is(err, repo.ErrDamaged) && !errors.Is(err, ios.ErrUnreadable) {
		return fmt.Errorf("read the last version: %w", err)
	}
	s.p.overlay = overlay{root: newBranch()}
	s.p.why = "the last version cannot be read"
	return nil
}

// top lists the plists and the manifest, without which there is no version.
func (s *showing) top() error {
	for _, t := range s.v.Metadata.Top {
		n := s.v.tree.Find(t.Name)
		if n == nil || legalName(t.Name) != nil || strings.Contains(t.Name, "/") {
			return fmt.Errorf("%w: the version lacks a file on top", repo.ErrDamaged)
		}
		h := held{ids: n.Content}
		if !hasAll(s.p.r, h.ids) {
			return fmt.Errorf("%w: the version lacks a file on top", repo.ErrDamaged)
		}
		f := storedFile{size: t.Size, modified: stampOf(t.ModTime), last: true}
		if t.Name == ios.DatabaseName && s.v.Metadata.Manifest == ManifestDecrypted {
			f.place = placeOpened
		}
		if err := s.put(t.Name, f, h); err != nil {
			return err
		}
	}
	return nil
}

// put lists a file by its path in the backup folder.
func (s *showing) put(name string, f storedFile, h held) error {
	dir, err := s.p.overlay.mkdirAll(path.Join(s.v.UDID, path.Dir(name)))
	if err != nil {
		return err
	}
	if err := s.p.overlay.grow(1); err != nil {
		return err
	}
	f.slot = s.p.slots.add(h)
	dir.put(path.Base(name), f)
	return nil
}

// readRecords notes which files of an encrypted version are stored encrypted.
func (s *showing) readRecords() error {
	if s.v.Metadata.Keybag == nil || s.v.subtree(nameFiles) == nil {
		return nil
	}
	recs, done, err := s.v.records(s.ctx)
	if err != nil {
		return err
	}
	defer done()
	s.records = map[fileID]shownRecord{}
	var f ios.File
	for rec, err := range recs {
		if skippable(err) {
			continue
		}
		if err != nil {
			return err
		}
		id, ok := parseFileID(rec.FileID)
		if !ok || rec.Flags != flagFile || rec.Parse(&f) != nil {
			continue
		}
		s.records[id] = shownRecord{s.p.hash.sum(&rec), len(f.EncryptionKey) > 0}
	}
	return nil
}

// readListing lists what the spool's listing holds. Where there is an error
// nothing that was listed may be believed.
func (s *showing) readListing() error {
	return s.p.readListing(*s.v.Snapshot.Tree, func(e *listed) error {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		s.add(e)
		return nil
	})
}

// walkAll lists what the trees hold.
func (s *showing) walkAll() error {
	for _, name := range []string{nameFiles, nameSealed, nameOther} {
		if err := s.walk(name); err != nil {
			return err
		}
	}
	return nil
}

// walk lists what lies below one of the three folders.
func (s *showing) walk(name string) error {
	tree := s.v.subtree(name)
	if tree == nil {
		return nil
	}
	if name == nameFiles {
		s.add(&listed{kind: listedFolder, tree: treeBegin(*tree)})
	}
	err := s.p.r.WalkLevels(s.ctx, *tree, func(at string, n *repo.Node, err error) error {
		if cerr := s.ctx.Err(); cerr != nil {
			return cerr
		}
		switch {
		case err != nil || n.CheckName() != nil:
			s.missing++
			return repo.ErrSkipDir
		case n.Type == repo.TypeDir && name == nameFiles && n.Subtree != nil:
			s.add(&listed{kind: listedFolder, path: at, tree: treeBegin(*n.Subtree)})
		case n.Type == repo.TypeFile:
			s.file(name, at, n)
		}
		return nil
	})
	if err != nil && s.ctx.Err() == nil && errors.Is(err, repo.ErrDamaged) {
		s.missing++
		return nil
	}
	return err
}

// file lists the node of a file in one of the three folders.
func (s *showing) file(folder, at string, n *repo.Node) {
	e := listed{modified: stampOf(n.ModTime), ids: n.Content}
	switch folder {
	case nameFiles:
		domain, rel, _ := strings.Cut(at, "/")
		e.kind, e.id, e.modified = listedFile, fileID(ios.FileSum(domain, rel)), stampOf(n.AccessTime)
	case nameSealed:
		id, ok := parseFileID(path.Base(at))
		if !ok {
			s.missing++
			return
		}
		e.kind, e.id = listedSealed, id
	default:
		e.kind, e.path = listedOther, at
	}
	s.add(&e)
}

// add lists a file, if its bytes can be had, or notes a folder's tree.
func (s *showing) add(e *listed) {
	if e.kind == listedFolder {
		s.p.folders[s.p.hash.path(e.path)] = e.tree
		return
	}
	h := held{ids: e.ids}
	size, ok := sizeOf(s.p.r, h.ids)
	if !ok {
		s.missing++
		return
	}
	f := storedFile{size: size, modified: e.modified, last: true}
	if rec, ok := s.records[e.id]; ok && e.kind == listedFile {
		f.ref = rec.hash
		if rec.keyed {
			f.place, f.size = placeOpened, ios.EncryptedSize(f.size)
		}
	}
	var err error
	if e.kind == listedOther {
		err = s.put(e.path, f, h)
	} else {
		err = s.putStored(e.id, f, h)
	}
	if err != nil {
		s.missing++
	}
}

// putStored lists a stored file: put for hundreds of thousands of them.
func (s *showing) putStored(id fileID, f storedFile, h held) error {
	if s.shards[id[0]] == nil {
		shard := path.Join(s.v.UDID, path.Dir(storedPath(id.String(), s.v.Metadata.Flat)))
		dir, err := s.p.overlay.mkdirAll(shard)
		if err != nil {
			return err
		}
		s.shards[id[0]] = dir
	}
	if err := s.p.overlay.grow(1); err != nil {
		return err
	}
	f.slot = s.p.slots.add(h)
	s.shards[id[0]].ids[id] = f
	return nil
}

// sizeOf is the length of a file whose content is the given blobs; false where
// the index does not have all of them.
func sizeOf(r *repo.Repository, ids []chunk.ID) (size int64, ok bool) {
	for _, id := range ids {
		n, ok := r.Index().Size(index.Handle{ID: id, Type: index.Data})
		if !ok {
			return 0, false
		}
		size += n
	}
	return size, true
}
