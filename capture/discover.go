package capture

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"russet/ios"
)

// searchDepth is how far below a folder backups are looked for: the deepest
// usual place is five folders below a home folder.
const searchDepth = 8

// Found is a backup folder on this computer.
type Found struct {
	Path string
	Date time.Time // as the backup says; zero where it does not
}

// Discover looks for backup folders at and below dir, oldest first. Symlinks
// below dir are not followed, and nothing is looked for inside a backup.
// Folders that may not be read are passed to denied, which may be nil.
func Discover(ctx context.Context, dir string, denied func(path string, err error)) ([]Found, error) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, fmt.Errorf("look for backups: %w", err)
	}
	var found []Found
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if cerr := ctx.Err(); cerr != nil {
			return cerr
		}
		if err != nil {
			if path == dir {
				return err
			}
			if denied != nil {
				denied(path, err)
			}
			return nil
		}
		if !d.IsDir() {
			return nil
		}
		f, ok := look(path)
		if ok {
			found = append(found, f)
			return fs.SkipDir
		}
		if depth(dir, path) >= searchDepth {
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for backups: %w", err)
	}
	SortFound(found)
	return found, nil
}

// SortFound sorts by date, oldest first, so that each version builds on the
// one before.
func SortFound(found []Found) {
	slices.SortFunc(found, func(a, b Found) int {
		return cmp.Or(a.Date.Compare(b.Date), cmp.Compare(a.Path, b.Path))
	})
}

func depth(dir, path string) int {
	rel, err := filepath.Rel(dir, path)
	if err != nil || rel == "." {
		return 0
	}
	n := 1
	for _, c := range rel {
		if c == filepath.Separator {
			n++
		}
	}
	return n
}

func look(path string) (Found, bool) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return Found{}, false
	}
	defer root.Close()
	if !ios.IsBackup(root.FS()) {
		return Found{}, false
	}
	f := Found{Path: path}
	if b, err := ios.Open(root.FS()); err == nil {
		f.Date = b.Date()
	}
	return f, true
}
