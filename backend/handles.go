package backend

import (
	"os"
	"slices"
	"sync"
)

// maxHandles bounds the packs that are kept open: a reader works on a few at a time, one or two per worker, and the limit
// of a process on macOS is 256 files.
const maxHandles = 16

// handles keeps open the files that were used last. Blobs are small and opening a file costs several system calls, more
// than reading a blob from the cache of the system. The zero value is ready for use.
type handles struct {
	mu     sync.Mutex
	recent []*handle // the last used one first
	drops  int       // how often something was forgotten
}

// handle is one open file. It is closed when nobody uses it and it is no longer kept.
type handle struct {
	name  string
	file  *os.File
	users int  // guarded by handles.mu, as is kept
	kept  bool // in handles.recent
}

// acquire opens a file, or takes one that is open. It must be released.
func (hs *handles) acquire(root *os.Root, name string) (*handle, error) {
	h, drops := hs.find(name)
	if h != nil {
		return h, nil
	}
	file, err := openPlain(root, name)
	if err != nil {
		return nil, err
	}
	h = &handle{name: name, file: file, users: 1}

	hs.mu.Lock()
	defer hs.mu.Unlock()
	// What was forgotten while the file was being opened may have been this name: then this use is its last.
	if drops == hs.drops {
		hs.keep(h)
	}
	return h, nil
}

func (hs *handles) find(name string) (h *handle, drops int) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	i := slices.IndexFunc(hs.recent, func(h *handle) bool { return h.name == name })
	if i < 0 {
		return nil, hs.drops
	}
	h = hs.recent[i]
	copy(hs.recent[1:i+1], hs.recent[:i])
	hs.recent[0] = h
	h.users++
	return h, hs.drops
}

// keep puts h in front, in the place of one with the same name that was opened at the same time, or else of the one
// that was not used for longest when there are too many.
func (hs *handles) keep(h *handle) {
	i := slices.IndexFunc(hs.recent, func(other *handle) bool { return other.name == h.name })
	if i < 0 && len(hs.recent) >= maxHandles {
		i = len(hs.recent) - 1
	}
	if i >= 0 {
		hs.drop(i)
	}
	h.kept = true
	hs.recent = slices.Insert(hs.recent, 0, h)
}

func (hs *handles) drop(i int) {
	h := hs.recent[i]
	hs.recent = slices.Delete(hs.recent, i, i+1)
	h.kept = false
	h.closeIfUnused()
}

// release ends a use.
func (hs *handles) release(h *handle) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	h.users--
	h.closeIfUnused()
}

// closeIfUnused ignores the error of closing: nothing was written.
func (h *handle) closeIfUnused() {
	if h.users == 0 && !h.kept {
		_ = h.file.Close()
	}
}

// forget makes sure that the next use of a name opens it anew.
func (hs *handles) forget(name string) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	hs.drops++
	if i := slices.IndexFunc(hs.recent, func(h *handle) bool { return h.name == name }); i >= 0 {
		hs.drop(i)
	}
}

func (hs *handles) forgetAll() {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	hs.drops++
	for len(hs.recent) > 0 {
		hs.drop(len(hs.recent) - 1)
	}
}
