package backend

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// unsettled knows the files of which an attempt to save them was cut off. rclone removes what it has written of such an
// attempt, on a folder and by SFTP: under the file's own name, and as late as it notices the cut, when another attempt may
// have succeeded long ago. It may be used concurrently.
type unsettled struct {
	pause time.Duration                                    // what a server gets to notice that a connection is gone
	size  func(ctx context.Context, f File) (int64, error) // asks how long a file is

	mu    sync.Mutex
	cut   map[File]bool    // no attempt since has succeeded
	saved map[File]attempt // one has
}

// An attempt has put so many bytes there.
type attempt struct {
	size   int64
	looked bool // an index that names it was saved
}

// errOtherSize says that a name is taken by what is not the file.
var errOtherSize = errors.New("the server has a file of this name and another size")

// settleTime is long enough for a server to notice that a connection is closed.
func (o NetworkOptions) settleTime() time.Duration { return cmp.Or(o.settle, 2*time.Second) }

// tried takes note of an attempt to save a file. Where one before was cut off, it waits until the server should have
// noticed that, and looks whether the file is still there: where it is not, the error is temporary. So it is where the
// rest of the one before takes the name, on a server that replaces nothing.
func (u *unsettled) tried(ctx context.Context, f File, size int64, err error) error {
	switch cut := u.wasCut(f, IsTemporary(err)); {
	case !cut:
		return err
	case errors.Is(err, errOtherSize):
		return temporary(err)
	case err != nil:
		return err
	}
	if err := sleep(ctx, u.pause); err != nil {
		return err
	}
	there, err := u.size(ctx, f)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && there != size:
		return temporary(errors.New("the server has removed the file again after a connection was lost"))
	case err != nil:
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.cut, f)
	if f.Kind == Data || f.Kind == Index { // what others count on; locks and snapshots somebody else may remove
		u.saved[f] = attempt{size: size}
	}
	return nil
}

// wasCut tells whether an attempt before was cut off, and notes whether this one is.
func (u *unsettled) wasCut(f File, now bool) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	before := u.cut[f]
	if now {
		if u.cut == nil {
			u.cut, u.saved = map[File]bool{}, map[File]attempt{}
		}
		u.cut[f] = true
	}
	return before
}

// forget is for a file that is about to be removed: nobody counts on it.
func (u *unsettled) forget(f File) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.cut, f)
	delete(u.saved, f)
}

// look looks once more for what was saved after a cut, before an index or a snapshot is saved that counts on it: then a
// server that noticed the cut even later, but before that, spoils nothing that was reported saved.
func (u *unsettled) look(ctx context.Context, k Kind) error {
	if k != Index && k != Snapshot {
		return nil
	}
	u.mu.Lock()
	saved := maps.Clone(u.saved)
	u.mu.Unlock()
	files := slices.SortedFunc(maps.Keys(saved), func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	for _, f := range files {
		if k == Index && saved[f].looked {
			continue
		}
		size, err := u.size(ctx, f)
		switch {
		case errors.Is(err, fs.ErrNotExist), err == nil && size != saved[f].size:
			return fmt.Errorf("the server has lost %s, which it had accepted before a connection was lost; a new run stores it again", f)
		case err != nil:
			return err
		}
		u.mu.Lock()
		if k == Snapshot {
			delete(u.saved, f)
		} else if _, ok := u.saved[f]; ok {
			u.saved[f] = attempt{size, true}
		}
		u.mu.Unlock()
	}
	return nil
}
