package backend

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"time"

	"russet/internal/durable"
)

// List reads one folder at a time. Whatever is not a plain file with a proper name, in the folder that the name asks
// for, is left out, files that are being written among them.
func (l *Local) List(ctx context.Context, k Kind) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		for entry, err := range l.entries(ctx, k) {
			var info fs.FileInfo
			if err == nil {
				info, err = entry.Info()
			}
			switch {
			case entry != nil && errors.Is(err, fs.ErrNotExist):
				continue // removed since the folder was read
			case err != nil:
				yield(Info{}, fmt.Errorf("list %s: %w", k, durable.WithoutPath(err)))
				return
			}
			if !info.Mode().IsRegular() || !isListed(k, info.Name()) {
				continue
			}
			listed := Info{Name: info.Name(), Size: info.Size(), ModTime: info.ModTime()}
			if k == Config {
				listed.Name = ""
			}
			if !yield(listed, nil) {
				return
			}
		}
	}
}

func isListed(k Kind, name string) bool {
	if k == Config {
		return name == Config.String()
	}
	return isName(name)
}

// entries yields what lies in the folders of a kind, proper or not. The first error ends it.
func (l *Local) entries(ctx context.Context, k Kind) iter.Seq2[fs.DirEntry, error] {
	return func(yield func(fs.DirEntry, error) bool) {
		folders, err := l.folders(k)
		if err != nil {
			yield(nil, err)
			return
		}
		for _, folder := range folders {
			entries, err := l.readFolder(folder)
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(nil, err)
				return
			}
			for _, e := range entries {
				if k == Data && !isBelow(folder, e.Name()) {
					continue
				}
				if err := ctx.Err(); err != nil {
					yield(nil, err)
					return
				}
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// isBelow reports whether a pack of this name, or one that is being written, belongs into the folder data/xx.
func isBelow(folder, name string) bool {
	return len(name) > 2 && name[:2] == path.Base(folder)
}

// folders gives the folders that may hold files of a kind.
func (l *Local) folders(k Kind) ([]string, error) {
	switch {
	case k > Data:
		return nil, fs.ErrInvalid
	case k == Config:
		return []string{"."}, nil
	case k < Data:
		return []string{k.String()}, nil
	}
	entries, err := l.readFolder(k.String())
	if err != nil {
		return nil, err
	}
	var folders []string
	for _, e := range entries {
		if e.IsDir() && len(e.Name()) == 2 {
			folders = append(folders, k.String()+"/"+e.Name())
		}
	}
	return folders, nil
}

// readFolder reads a folder. One that is missing is empty, since programs that copy folders leave empty ones out, but
// only while the config is still there: an empty list from a drive that was pulled out would look like lost files.
func (l *Local) readFolder(folder string) ([]fs.DirEntry, error) {
	f, err := l.root.Open(folder)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := l.root.Stat(Config.String()); err != nil {
			return nil, fmt.Errorf("look for config: %w", durable.WithoutPath(err))
		}
		return nil, nil
	}
	if err != nil {
		return nil, durable.WithoutPath(err)
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	return entries, durable.WithoutPath(err)
}

// Lacks reports whether the folder of a kind is missing, which List takes for an empty one.
func (l *Local) Lacks(ctx context.Context, k Kind) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	_, err := l.root.Stat(k.String())
	if errors.Is(err, fs.ErrNotExist) {
		if _, err = l.root.Stat(Config.String()); err == nil {
			return true, nil
		}
	}
	if err != nil {
		return false, fmt.Errorf("look for %s: %w", k, durable.WithoutPath(err))
	}
	return false, nil
}

// temporaryAge is how old an unfinished file must be before it counts as left behind: no write of one file takes a
// day, and the clocks of two computers differ by less.
const temporaryAge = 24 * time.Hour

// CleanTemporary removes the unfinished files that programs left behind when they were killed, Russet's and restic's, once they
// are older than a day: those of the repository, and those right in its spool. It returns how many it removed, also beside an
// error.
func (l *Local) CleanTemporary(ctx context.Context) (int, error) {
	removed := 0
	for k := Config; k <= Data; k++ {
		for entry, err := range l.entries(ctx, k) {
			if err != nil {
				return removed, fmt.Errorf("clean %s: %w", k, durable.WithoutPath(err))
			}
			if !l.isLeftover(k, entry) {
				continue
			}
			f := File{Kind: k}
			if k != Config {
				f.Name = entry.Name()[:nameSize]
			}
			err := removeFile(l.root, path.Join(path.Dir(f.path()), entry.Name()))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return removed, fmt.Errorf("clean %s: %w", k, durable.WithoutPath(err))
			}
			removed++
		}
	}
	n, err := l.cleanSpool(ctx)
	return removed + n, err
}

// cleanSpool leaves locks alone, which are named after phones, and folders: each is its phone's run's to clean.
func (l *Local) cleanSpool(ctx context.Context) (removed int, err error) {
	entries, err := l.readFolder(spoolFolder)
	for _, entry := range entries {
		if err = ctx.Err(); err != nil {
			break
		}
		if _, ok := durable.IsTemporary(entry.Name()); !ok || path.Ext(entry.Name()) == ".lock" || !l.isOld(entry) {
			continue
		}
		if err = removeFile(l.root, path.Join(spoolFolder, entry.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			break
		}
		removed, err = removed+1, nil
	}
	if err != nil {
		return removed, fmt.Errorf("clean %s: %w", spoolFolder, durable.WithoutPath(err))
	}
	return removed, nil
}

func (l *Local) isLeftover(k Kind, entry os.DirEntry) bool {
	final, ok := durable.IsTemporary(entry.Name())
	return ok && isKept(k, final) && l.isOld(entry)
}

// isKept tells the names that writes begin under another one: those of files, and beside the config those of a mirror.
func isKept(k Kind, name string) bool {
	return isListed(k, name) || k == Config && (name == markName || name == occupied)
}

// isOld tells plain files that nobody is writing any more.
func (l *Local) isOld(entry os.DirEntry) bool {
	info, err := entry.Info()
	return err == nil && info.Mode().IsRegular() && l.now().Sub(info.ModTime()) > temporaryAge
}
