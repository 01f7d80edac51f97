package capture

import (
	"errors"
	"os"

	"russet/chunk"
)

// listingName is the file in the spool that saves the next run the trees of the
// newest version. It is a cache.
func (p *Phone) listingName() string { return p.udid + ".listing" }

func (p *Phone) listingOf(tree chunk.ID) listingOf {
	return listingOf{repository: p.r.ID(), udid: p.udid, tree: tree}
}

// readListing calls visit for the listing of the version with this root tree,
// and fails as the function of that name does. What is damaged is removed.
func (p *Phone) readListing(tree chunk.ID, visit func(*listed) error) error {
	f, size, err := openFrames(p.opt.Spool, p.listingName(), os.O_RDONLY)
	if err == nil {
		err = readListing(f, size, p.r.Key(), p.listingOf(tree), visit)
		_ = f.Close()
	}
	if errors.Is(err, errListing) || errors.Is(err, errFrame) {
		_ = p.opt.Spool.Remove(p.listingName())
	}
	return err
}

// keepListing writes the listing of the version that the run has made. That it
// cannot is no failure: the next run loads the trees.
func (c *run) keepListing(tree chunk.ID, sealed []*sealedFile) {
	spool, name := c.phone.opt.Spool, c.phone.listingName()
	// The lock makes one temporary name enough. What is left of a process that
	// died has the form of what others leave, too, and is removed like that.
	temporary := name + "-tmp-0"
	_ = spool.Remove(temporary)
	f, err := spool.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return
	}
	err = c.writeListing(f, tree, sealed)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = spool.Rename(temporary, name)
	}
	if err != nil {
		_ = spool.Remove(temporary)
	}
}

func (c *run) writeListing(f *os.File, tree chunk.ID, sealed []*sealedFile) error {
	p := c.phone
	w := newListingWriter(f, frameSeal{key: p.r.Key(), run: newRun()}, p.listingOf(tree))
	if c.meta.Trees.Files != nil {
		c.listDir(w, c.dir, 0)
	}
	for _, s := range sealed {
		if s.content.ids != nil {
			w.stored(listedSealed, s.id, s.stored.modified, s.content.ids)
		}
	}
	for _, o := range c.folder.other {
		w.other(o.path, stampOf(o.modTime), o.ids)
	}
	return w.end()
}

// listDir adds a folder, whose tree is stored, and all that is in it.
func (c *run) listDir(w *listingWriter, d *dir, depth int) {
	w.folder(depth, d.name, d.tree)
	for _, e := range d.files {
		if e.flag == flagFile && e.found {
			w.stored(listedFile, e.id, e.stored.modified, c.idsOf(e))
		}
	}
	for _, sub := range d.dirs {
		c.listDir(w, sub, depth+1)
	}
}
