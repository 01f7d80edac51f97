package backend

import (
	"context"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"sync"
	"time"
)

// Cache keeps in a folder of this computer what every run reads of a repository far away: index and snapshot files, packs of
// trees, and packs of such data, whole and sealed as they are there. Keys, locks, the config and other packs are never kept.
//
// It does not hide what the place has lost: index and snapshot files are given only while the last listing of the place names
// them, and what it no longer names is removed. Each file is compared with its name when it comes and, once a process, when it
// is read from the folder; one that does not match is dropped and fetched again. What must be proven to lie at the place is
// read under [WithoutCache].
//
// A folder that cannot be written costs speed and nothing else. Several processes may use one at the same time. All methods may
// be called concurrently.
type Cache struct {
	far    Backend
	folder *cacheFolder

	mu     sync.Mutex // guards what follows
	listed map[File]int64
	marks  map[File]cacheMark
	busy   map[File]chan struct{} // closed when the fetch has ended
}

// cacheMark is what a process knows of the copy of a file.
type cacheMark uint8

const (
	cacheUnknown cacheMark = iota
	cacheHere              // in the folder, and compared with its name
	cacheNever             // not to be kept: it does not match its name, or is too large
)

const (
	// maxCached is the largest file that is kept: no index file is larger, and packs of restic end at 128 MiB.
	maxCached = 256 << 20
	// usualPack is more than a pack has by default in restic and here, so that one request brings it.
	usualPack = 17 << 20
	// CacheAge is how long what is not used is kept: as in restic.
	CacheAge = 30 * 24 * time.Hour
)

var _ Backend = (*Cache)(nil)

// OpenCache makes a cache of b in a folder, which is made where there is none. It holds nothing else, and belongs to one repository.
// Packs of trees that were not used for [CacheAge] before now are removed from it. Close closes the folder, and not b.
func OpenCache(b Backend, folder string, now time.Time) (*Cache, error) {
	f, err := openCacheFolder(folder, now)
	if err != nil {
		return nil, fmt.Errorf("open cache: %w", err)
	}
	return &Cache{far: b, folder: f, listed: map[File]int64{}, marks: map[File]cacheMark{}, busy: map[File]chan struct{}{}}, nil
}

// Close closes the folder. Nothing may be called afterwards.
func (c *Cache) Close() error { return c.folder.close() }

// withoutCache is under which the context of WithoutCache is known.
type withoutCache struct{}

// WithoutCache returns a context under which a [Cache] reads from the place itself.
func WithoutCache(ctx context.Context) context.Context {
	return context.WithValue(ctx, withoutCache{}, true)
}

// bypassed tells whether a context is one of WithoutCache.
func bypassed(ctx context.Context) bool { return ctx.Value(withoutCache{}) != nil }

// Save saves at the place, and keeps index and snapshot files.
func (c *Cache) Save(ctx context.Context, f File, data []byte) error {
	err := c.far.Save(ctx, f, data)
	if err == nil && (f.Kind == Index || f.Kind == Snapshot) {
		c.keep(f, data)
	}
	return err
}

// SaveTrees saves a pack of trees at the place, and keeps it.
func (c *Cache) SaveTrees(ctx context.Context, f File, data []byte) error {
	err := SaveTrees(ctx, c.far, f, data)
	if err == nil {
		c.keep(f, data)
	}
	return err
}

// Load reads index and snapshot files from the folder, if they were listed, and all else from the place.
func (c *Cache) Load(ctx context.Context, f File, offset int64, dst []byte) (int, error) {
	c.mu.Lock()
	size, ok := c.listed[f]
	c.mu.Unlock()
	if !ok || bypassed(ctx) {
		return c.far.Load(ctx, f, offset, dst)
	}
	return c.load(ctx, f, c.far.Load, min(max(size, 0), usualPack)+1, offset, dst)
}

// LoadTrees reads from a pack of trees in the folder. One that is not there is fetched as a whole.
func (c *Cache) LoadTrees(ctx context.Context, f File, offset int64, dst []byte) (int, error) {
	far := func(ctx context.Context, f File, offset int64, dst []byte) (int, error) {
		return LoadTrees(ctx, c.far, f, offset, dst)
	}
	if f.Kind != Data || bypassed(ctx) {
		return far(ctx, f, offset, dst)
	}
	return c.load(ctx, f, far, usualPack, offset, dst)
}

// LoadNear reads from a pack of data in the folder, if it is there.
func (c *Cache) LoadNear(ctx context.Context, f File, offset int64, dst []byte) (int, error) {
	if f.Kind != Data || bypassed(ctx) || !c.folder.has(f) {
		return c.far.Load(ctx, f, offset, dst)
	}
	return c.load(ctx, f, c.far.Load, usualPack, offset, dst)
}

// loadFunc is a Load of the place.
type loadFunc func(ctx context.Context, f File, offset int64, dst []byte) (int, error)

// load reads from the folder what may be kept there. What has to be fetched is fetched once, in a first request of room bytes.
func (c *Cache) load(ctx context.Context, f File, far loadFunc, room, offset int64, dst []byte) (int, error) {
	if admit(ctx, f) != nil || offset < 0 {
		return far(ctx, f, offset, dst) // which says what is wrong
	}
	for {
		mark, busy, done := c.begin(f)
		switch {
		case mark == cacheHere:
			if n, err := c.folder.readAt(f, offset, dst); err == nil {
				return n, nil
			}
			c.forget(f)
		case mark == cacheNever:
			return far(ctx, f, offset, dst)
		case busy != nil:
			select {
			case <-busy:
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		default:
			data, err := c.fetch(ctx, f, far, room)
			done()
			if err != nil {
				return 0, err
			}
			if data != nil {
				return copy(dst, data[min(offset, int64(len(data))):]), nil
			}
		}
	}
}

// begin says what is known of a file. Where that is nothing, and nobody else is fetching it, the caller fetches it, and calls
// done then.
func (c *Cache) begin(f File) (mark cacheMark, busy chan struct{}, done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	mark, busy = c.marks[f], c.busy[f]
	if mark != cacheUnknown || busy != nil {
		return mark, busy, nil
	}
	ended := make(chan struct{})
	c.busy[f] = ended
	return mark, nil, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.busy, f)
		close(ended)
	}
}

func (c *Cache) mark(f File, m cacheMark) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.marks[f] = m
}

// fetch returns all of a file, from the folder or from the place. It is nil where the file is not to be kept, and has been marked so.
func (c *Cache) fetch(ctx context.Context, f File, far loadFunc, room int64) ([]byte, error) {
	if data, ok := c.folder.read(f); ok {
		c.mark(f, cacheHere)
		return data, nil
	}
	if c.folder.full() {
		c.mark(f, cacheNever)
		return nil, nil
	}
	buf, n := make([]byte, room), 0
	for {
		m, err := far(ctx, f, int64(n), buf[n:])
		if err != nil {
			return nil, err
		}
		if n += m; n < len(buf) {
			break
		}
		if n > maxCached {
			c.mark(f, cacheNever)
			return nil, nil
		}
		buf = append(buf, make([]byte, len(buf))...)
	}
	if !c.keep(f, buf[:n]) {
		c.mark(f, cacheNever)
	}
	return buf[:n], nil
}

// keep puts a whole file into the folder, if it is what its name says, and tells whether it is there.
func (c *Cache) keep(f File, data []byte) bool {
	if !c.folder.write(f, data) {
		return false
	}
	c.mark(f, cacheHere)
	return true
}

// forget drops a file from the folder.
func (c *Cache) forget(f File) {
	c.mu.Lock()
	delete(c.marks, f)
	c.mu.Unlock()
	c.folder.remove(f)
}

// List lists the place. Of index and snapshot files that a whole listing does not name, no copy stays.
func (c *Cache) List(ctx context.Context, k Kind) iter.Seq2[Info, error] {
	if k != Index && k != Snapshot {
		return c.far.List(ctx, k)
	}
	return func(yield func(Info, error) bool) {
		start, seen := time.Now(), map[string]struct{}{}
		for info, err := range c.far.List(ctx, k) {
			if err == nil {
				f := File{k, info.Name}
				seen[info.Name] = struct{}{}
				c.mu.Lock()
				c.listed[f] = info.Size
				c.mu.Unlock()
			}
			if !yield(info, err) || err != nil {
				return
			}
		}
		c.mu.Lock()
		for f := range c.listed {
			if _, ok := seen[f.Name]; !ok && f.Kind == k {
				delete(c.listed, f)
				delete(c.marks, f)
			}
		}
		c.mu.Unlock()
		c.folder.sweep(k, start, seen)
	}
}

// Remove removes a file at the place, and its copy.
func (c *Cache) Remove(ctx context.Context, f File) error {
	if f.Validate() == nil {
		c.mu.Lock()
		delete(c.listed, f)
		c.mu.Unlock()
		c.forget(f)
	}
	return c.far.Remove(ctx, f)
}

// RemoveOldCaches removes the caches in a folder of caches, each named as its repository's id, that were not opened for [CacheAge]
// before now. What else lies in them stays. It goes on after an error and returns the first.
func RemoveOldCaches(folder string, now time.Time) error {
	root, err := openRoot(folder)
	if err != nil {
		return fmt.Errorf("remove old caches: %w", err)
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	for _, e := range entries {
		if e.IsDir() && isName(e.Name()) {
			if rerr := removeOldCache(root, e.Name(), now); err == nil {
				err = rerr
			}
		}
	}
	if err != nil {
		return fmt.Errorf("remove old caches: %w", err)
	}
	return nil
}

func removeOldCache(parent *os.Root, name string, now time.Time) error {
	root, err := parent.OpenRoot(name)
	if err != nil {
		return err
	}
	info, err := root.Stat(cacheTag)
	old := err == nil && now.Sub(info.ModTime()) > CacheAge
	if old {
		for _, sub := range cacheFolders {
			if sub != "" && err == nil {
				err = root.RemoveAll(sub)
			}
		}
		if err == nil {
			err = root.Remove(cacheTag)
		}
	}
	_ = root.Close()
	if old && err == nil {
		_ = parent.Remove(name) // unless something else lies in it
	}
	if !old {
		return nil // a folder without a tag is no cache
	}
	return err
}
