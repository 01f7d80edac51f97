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
	pause time.Duration // what a server gets to notice that a connection is gone

	mu    sync.Mutex
	cut   map[File]bool    // no attempt since has succeeded
	saved map[File]attempt // one has
}

// An attempt has put so many bytes there.
type attempt struct {
	size   int64
	looked bool // an index that names it was saved
}

// settleTime is long enough for a server to notice that a connection is closed.
func (o NetworkOptions) settleTime() time.Duration { return cmp.Or(o.settle, 2*time.Second) }

// tried takes note of an attempt to save a file. Where one before was cut off, it waits until the server should have
// noticed that, and looks whether the file is still there: where it is not, the error is temporary.
func (u *unsettled) tried(ctx context.Context, f File, size int64, err error, look func(context.Context, File) (int64, error)) error {
	u.mu.Lock()
	cut := u.cut[f]
	if IsTemporary(err) && !cut {
		if u.cut == nil {
			u.cut, u.saved = map[File]bool{}, map[File]attempt{}
		}
		u.cut[f] = true
	}
	u.mu.Unlock()
	if err != nil || !cut {
		return err
	}
	if err := sleep(ctx, u.pause); err != nil {
		return err
	}
	there, err := look(ctx, f)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && there != size:
		return temporary(errors.New("the server has removed the file again after a connection was lost"))
	case err != nil:
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.cut, f)
	u.saved[f] = attempt{size: size}
	return nil
}

// look looks once more for what was saved after a cut, before an index or a snapshot is saved that counts on it: then a
// server that noticed the cut even later spoils nothing that was reported saved.
func (u *unsettled) look(ctx context.Context, k Kind, look func(context.Context, File) (int64, error)) error {
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
		size, err := look(ctx, f)
		switch {
		case errors.Is(err, fs.ErrNotExist), err == nil && size != saved[f].size:
			return fmt.Errorf("the server has lost %s, which it had accepted before a connection was lost; a new run stores it again", f)
		case err != nil:
			return err
		}
		u.mu.Lock()
		if u.saved[f] = (attempt{saved[f].size, true}); k == Snapshot {
			delete(u.saved, f)
		}
		u.mu.Unlock()
	}
	return nil
}
