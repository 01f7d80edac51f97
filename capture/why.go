package capture

import "russet/repo"

// difference is how a file that the parent has differs from it.
type difference int

const (
	changeNone    difference = iota
	changeRecord             // its record in the manifest
	changeStored             // the size or the time of the stored file
	changeContent            // nothing, but the repository lacks its content
	changes                  // how many there are
)

// compare tells whether a file is the parent's: the manifest's record, the
// stored size and the stored file's own time are, and the repository has the
// content. The record alone is not enough: it describes the live file, while
// the phone sends a compacted copy of a database.
func (c *run) compare(e *entry, n *repo.Node, hashes map[fileID]uint64) difference {
	hash, ok := hashes[e.id]
	switch {
	case !ok || hash != e.hash:
		return changeRecord
	case stampOf(n.AccessTime) != e.stored.modified || c.storedSize(e, int64(n.Size)) != e.stored.size:
		return changeStored
	case !c.hasAll(n.Content):
		return changeContent
	}
	return changeNone
}

// compareSealed is compare for what no record is known of.
func (c *run) compareSealed(s *sealedFile, n *repo.Node) difference {
	switch {
	case int64(n.Size) != s.stored.size || stampOf(n.ModTime) != s.stored.modified:
		return changeStored
	case !c.hasAll(n.Content):
		return changeContent
	}
	return changeNone
}

// judge counts a file that the parent has, and tells whether its content is
// taken from there.
func (c *run) judge(how difference) bool {
	c.changes[how]++
	if how == changeNone {
		c.sum.FilesUnmodified++
		return true
	}
	c.sum.FilesChanged++
	return false
}

// whyAll says why every file must be read, or nothing.
func (c *run) whyAll() string {
	switch {
	case c.opt.Force:
		return "it was asked for"
	case c.parent == nil:
		return c.history.whyNoParent()
	case c.sealed:
		return "" // decided file by file
	case c.parent.Snapshot.HasTag(TagSealed):
		return "the last version is sealed"
	case c.parent.Snapshot.HasTag(TagEncrypted) != c.b.Encrypted():
		return "encryption was switched on or off, so the phone made a new full backup"
	case c.b.Encrypted() && (c.parent.Metadata.Keybag == nil || c.parent.Metadata.Keybag.UUID != c.keybag):
		return "the phone made a new full backup with new keys"
	}
	return ""
}

// whyNothing says, once all files were compared, why none could be taken from
// the parent; nothing where one was.
func (c *run) whyNothing() string {
	changed := c.sum.FilesChanged
	switch {
	case c.parent == nil || c.sum.FilesUnmodified > 0 || changed+c.sum.FilesNew == 0:
		return ""
	case c.sealed && !c.parent.Snapshot.HasTag(TagSealed):
		return "the last version is readable, and this one is kept sealed"
	case changed == 0:
		return "the last version has none of the files"
	case c.changes[changeRecord] == changed:
		return "the manifest's record of every file changed"
	case c.changes[changeStored] == changed:
		return "every stored file has another size or time than in the last version"
	case c.changes[changeContent] == changed:
		return "the repository has lost the content of the last version"
	}
	return "every file changed"
}
