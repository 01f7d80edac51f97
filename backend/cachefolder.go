package backend

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sync/atomic"
	"time"

	"russet/internal/durable"
)

// cacheFolder is the folder of a [Cache]: CACHEDIR.TAG, index/<name>, snapshots/<name> and data/<name>, the last of packs of trees.
// The tag's time is that of the last use of all, a pack's that of its own.
//
// Files are not synced: after a power cut one may hold anything, and is not believed before it was compared with its name.
type cacheFolder struct {
	root     *os.Root
	open     handles
	unusable atomic.Bool // something could not be written, so nothing more is
}

const (
	// cacheTag keeps backup programs out of the folder. Its first bytes are those of the Cache Directory Tagging Specification.
	cacheTag  = "CACHEDIR.TAG"
	cacheText = "Signature: 8a477f597d28d172789f06886806bc55\n# This folder is a cache of russet: it can be removed at any time.\n"
)

// cacheFolders are the folders of what is kept, by kind.
var cacheFolders = [...]string{Snapshot: "snapshots", Index: "index", Data: "data"}

func openCacheFolder(folder string, now time.Time) (*cacheFolder, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, durable.WithoutPath(err)
	}
	root, err := openRoot(folder)
	if err != nil {
		return nil, err
	}
	c := &cacheFolder{root: root}
	for _, sub := range cacheFolders {
		if sub == "" {
			continue
		}
		if err := root.Mkdir(sub, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			c.unusable.Store(true) // what is there can be read
		}
	}
	c.touch(cacheTag, now)
	if info, err := root.Stat(cacheTag); err != nil || info.Size() != int64(len(cacheText)) {
		c.create(cacheTag, []byte(cacheText))
	}
	c.sweepOld(now)
	return c, nil
}

func (c *cacheFolder) close() error {
	c.open.forgetAll()
	return durable.WithoutPath(c.root.Close())
}

// full tells that nothing more can be kept.
func (c *cacheFolder) full() bool { return c.unusable.Load() }

func (c *cacheFolder) touch(name string, now time.Time) {
	_ = c.root.Chtimes(name, now, now) // without it it is old too soon, and fetched again
}

// place is where the copy of a file lies, which is of a kind that is kept.
func (f File) place() string { return cacheFolders[f.Kind] + "/" + f.Name }

// has tells whether there is a copy of a pack, good or bad.
func (c *cacheFolder) has(f File) bool {
	if f.Validate() != nil {
		return false
	}
	_, err := c.root.Stat(f.place())
	return err == nil
}

// read returns a whole file, if a copy is there that matches its name. One that does not is removed.
func (c *cacheFolder) read(f File) ([]byte, bool) {
	name := f.place()
	file, err := openPlain(c.root, name)
	if err != nil {
		return nil, false
	}
	data, err := io.ReadAll(io.LimitReader(file, maxCached+1))
	_ = file.Close()
	if err != nil || !matches(f, data) {
		c.remove(f)
		return nil, false
	}
	c.touch(name, time.Now())
	return data, true
}

func matches(f File, data []byte) bool {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]) == f.Name
}

// readAt reads from a file that was compared with its name.
func (c *cacheFolder) readAt(f File, offset int64, dst []byte) (int, error) {
	h, err := c.open.acquire(c.root, f.place())
	if err != nil {
		return 0, err
	}
	defer c.open.release(h)
	n, err := h.file.ReadAt(dst, offset)
	if err == io.EOF {
		err = nil
	}
	return n, err
}

// write keeps a file, if the bytes match its name, and tells whether it is there.
func (c *cacheFolder) write(f File, data []byte) bool {
	if c.full() || len(data) > maxCached || !matches(f, data) {
		return false
	}
	name := f.place()
	if info, err := c.root.Stat(name); err == nil && info.Size() == int64(len(data)) {
		if _, ok := c.read(f); ok {
			return true
		}
	}
	return c.create(name, data)
}

// create writes a file beside its name and renames it. What goes wrong, as on a full drive, ends the writing of this process.
func (c *cacheFolder) create(name string, data []byte) bool {
	temporary := fmt.Sprintf("%s-%s.tmp", name, rand.Text())
	file, err := c.root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		err = errors.Join(durable.Write(file, data), file.Close())
		if err == nil {
			err = c.root.Rename(temporary, name)
		}
		if err != nil {
			_ = c.root.Remove(temporary)
		}
	}
	if err != nil {
		c.unusable.Store(true)
	}
	return err == nil
}

// remove removes a copy, if there is one.
func (c *cacheFolder) remove(f File) {
	if int(f.Kind) >= len(cacheFolders) || cacheFolders[f.Kind] == "" {
		return
	}
	c.open.forget(f.place()) // Windows does not remove what is open
	_ = c.root.Remove(f.place())
	c.open.forget(f.place())
}

// sweep removes the copies of a kind, older than start, that are not among names: others may be adding to the folder.
func (c *cacheFolder) sweep(k Kind, start time.Time, names map[string]struct{}) {
	c.each(k, func(info fs.FileInfo) {
		if _, ok := names[info.Name()]; !ok && isName(info.Name()) && info.ModTime().Before(start) {
			c.remove(File{k, info.Name()})
		}
	})
}

// sweepOld removes packs that were not used for long, and what processes left behind that were killed amid a write.
func (c *cacheFolder) sweepOld(now time.Time) {
	const leftover = 24 * time.Hour
	for k, sub := range cacheFolders {
		if sub == "" {
			continue
		}
		c.each(Kind(k), func(info fs.FileInfo) {
			age := now.Sub(info.ModTime())
			if Kind(k) == Data && age > CacheAge || !isName(info.Name()) && age > leftover {
				_ = c.root.Remove(path.Join(sub, info.Name()))
			}
		})
	}
}

// each calls do for the files of a kind. What cannot be listed is not.
func (c *cacheFolder) each(k Kind, do func(fs.FileInfo)) {
	entries, _ := fs.ReadDir(c.root.FS(), cacheFolders[k])
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			do(info)
		}
	}
}
