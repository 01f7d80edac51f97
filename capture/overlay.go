package capture

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"strings"

	"russet/device/mb2"
)

const (
	// maxPhoneName bounds a name that a phone gives, in bytes.
	maxPhoneName = 1 << 10
	// maxPhoneFiles bounds the files and folders that a phone may make. The
	// largest phones known have 1.3 million.
	maxPhoneFiles = 8 << 20
)

var errTooMany = errors.New("more files and folders than a phone has")

// overlay is the folder that a phone is shown, in memory: the last version, as
// far as the repository can give it back, and what the phone has changed. It is
// for one goroutine.
type overlay struct {
	root  *branch
	count int // files and folders
}

// branch is one folder. Most files have names that are file ids, and take a
// third of the memory under them.
type branch struct {
	dirs  map[string]*branch
	files map[string]storedFile
	ids   map[fileID]storedFile
}

func newBranch() *branch {
	return &branch{dirs: map[string]*branch{}, files: map[string]storedFile{}, ids: map[fileID]storedFile{}}
}

func (b *branch) file(name string) (storedFile, bool) {
	if id, ok := parseFileID(name); ok {
		f, ok := b.ids[id]
		return f, ok
	}
	f, ok := b.files[name]
	return f, ok
}

func (b *branch) put(name string, f storedFile) {
	if id, ok := parseFileID(name); ok {
		b.ids[id] = f
		return
	}
	b.files[name] = f
}

func (b *branch) drop(name string) {
	if id, ok := parseFileID(name); ok {
		delete(b.ids, id)
		return
	}
	delete(b.files, name)
}

// each calls visit for every file of this folder alone.
func (b *branch) each(visit func(name string, f storedFile)) {
	for name, f := range b.files {
		visit(name, f)
	}
	for id, f := range b.ids {
		visit(id.String(), f)
	}
}

// walk calls visit for this folder and all below it.
func (b *branch) walk(at string, visit func(at string, b *branch)) {
	visit(at, b)
	for name, sub := range b.dirs {
		sub.walk(path.Join(at, name), visit)
	}
}

// size counts the files and folders below b.
func (b *branch) size() int {
	n := 0
	b.walk("", func(_ string, b *branch) { n += len(b.dirs) + len(b.files) + len(b.ids) })
	return n
}

// clone copies b and all below it.
func (b *branch) clone() *branch {
	c := newBranch()
	for name, sub := range b.dirs {
		c.dirs[name] = sub.clone()
	}
	maps.Copy(c.files, b.files)
	maps.Copy(c.ids, b.ids)
	return c
}

// legalName refuses what is no relative path of plain names.
func legalName(name string) error {
	if !fs.ValidPath(name) || len(name) > maxPhoneName || strings.IndexByte(name, 0) >= 0 ||
		strings.Count(name, "/") > maxDepth {
		return fmt.Errorf("name of %d bytes: %w", len(name), fs.ErrInvalid)
	}
	return nil
}

// folder finds a folder. The error is fs.ErrNotExist, or ErrNotDir where a
// file is on the way.
func (o *overlay) folder(name string) (*branch, error) {
	if err := legalName(name); err != nil {
		return nil, err
	}
	b := o.root
	if name == "." {
		return b, nil
	}
	for elem := range strings.SplitSeq(name, "/") {
		sub := b.dirs[elem]
		if sub == nil {
			if _, ok := b.file(elem); ok {
				return nil, mb2.ErrNotDir
			}
			return nil, fs.ErrNotExist
		}
		b = sub
	}
	return b, nil
}

// place finds the folder in which name is or would be.
func (o *overlay) place(name string) (*branch, string, error) {
	if name == "." {
		return nil, "", fs.ErrInvalid
	}
	dir, err := o.folder(path.Dir(name))
	if err == nil {
		err = legalName(name)
	}
	return dir, path.Base(name), err
}

// file finds a file. The error is fs.ErrNotExist, or ErrIsDir.
func (o *overlay) file(name string) (storedFile, error) {
	dir, last, err := o.place(name)
	if err != nil {
		return storedFile{}, err
	}
	if dir.dirs[last] != nil {
		return storedFile{}, mb2.ErrIsDir
	}
	f, ok := dir.file(last)
	if !ok {
		return storedFile{}, fs.ErrNotExist
	}
	return f, nil
}

func (o *overlay) grow(n int) error {
	if o.count+n > maxPhoneFiles {
		return errTooMany
	}
	o.count += n
	return nil
}

func (o *overlay) mkdir(name string) error {
	dir, last, err := o.place(name)
	if err != nil {
		return err
	}
	if _, ok := dir.file(last); ok || dir.dirs[last] != nil {
		return fs.ErrExist
	}
	if err := o.grow(1); err != nil {
		return err
	}
	dir.dirs[last] = newBranch()
	return nil
}

// put gives a file its name, in place of one that has it.
func (o *overlay) put(name string, f storedFile) error {
	dir, last, err := o.place(name)
	if err != nil {
		return err
	}
	if dir.dirs[last] != nil {
		return mb2.ErrIsDir
	}
	old, ok := dir.file(last)
	if !ok {
		if err := o.grow(1); err != nil {
			return err
		}
	}
	f.replaces = old.last || old.replaces
	dir.put(last, f)
	return nil
}

func (o *overlay) move(from, to string) error {
	src, name, err := o.place(from)
	if err != nil {
		return err
	}
	dst, last, err := o.place(to)
	if err != nil {
		return err
	}
	f, isFile := src.file(name)
	sub := src.dirs[name]
	switch {
	case !isFile && sub == nil:
		return fs.ErrNotExist
	case from == to:
		return nil
	case strings.HasPrefix(to, from+"/"):
		return fs.ErrInvalid
	}
	was, taken := dst.file(last)
	old := dst.dirs[last]
	if isFile {
		if old != nil {
			return mb2.ErrIsDir
		}
		if taken {
			o.count--
		}
		f.replaces = was.last || was.replaces
		src.drop(name)
		dst.put(last, f)
		return nil
	}
	switch {
	case taken:
		return mb2.ErrNotDir
	case old != nil && old.size() > 0:
		return fs.ErrExist
	case old != nil:
		o.count--
	}
	delete(src.dirs, name)
	dst.dirs[last] = sub
	return nil
}

// remove removes a file, or a folder with all that is in it.
func (o *overlay) remove(name string) error {
	dir, last, err := o.place(name)
	if err != nil {
		return err
	}
	if sub := dir.dirs[last]; sub != nil {
		o.count -= 1 + sub.size()
		delete(dir.dirs, last)
		return nil
	}
	if _, ok := dir.file(last); !ok {
		return fs.ErrNotExist
	}
	o.count--
	dir.drop(last)
	return nil
}

// copy copies by reference: no byte moves.
func (o *overlay) copy(from, to string) error {
	src, name, err := o.place(from)
	if err != nil {
		return err
	}
	if f, ok := src.file(name); ok {
		return o.put(to, f)
	}
	sub := src.dirs[name]
	if sub == nil {
		return fs.ErrNotExist
	}
	dst, last, err := o.place(to)
	if err != nil {
		return err
	}
	if _, ok := dst.file(last); ok || dst.dirs[last] != nil {
		return fs.ErrExist
	}
	if strings.HasPrefix(to, from+"/") {
		return fs.ErrInvalid
	}
	if err := o.grow(1 + sub.size()); err != nil {
		return err
	}
	dst.dirs[last] = sub.clone()
	return nil
}

// mkdirAll makes a folder and those above it, for what the last version holds.
func (o *overlay) mkdirAll(name string) (*branch, error) {
	if err := legalName(name); err != nil {
		return nil, err
	}
	b := o.root
	if name == "." {
		return b, nil
	}
	for elem := range strings.SplitSeq(name, "/") {
		if b.dirs[elem] == nil {
			if _, ok := b.file(elem); ok {
				return nil, mb2.ErrNotDir
			}
			if err := o.grow(1); err != nil {
				return nil, err
			}
			b.dirs[elem] = newBranch()
		}
		b = b.dirs[elem]
	}
	return b, nil
}
