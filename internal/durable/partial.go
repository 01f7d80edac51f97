package durable

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
)

// A partial file is named by this mark and partialRandom random bytes in lower-case hex. Nothing of its final name is in
// it: that may be as long as the file system allows.
const (
	partialMark   = ".russet-partial-"
	partialRandom = 8
)

// CreatePartial makes a file in the folder root that gets its name by [GiveName] when it is whole. Until it is closed
// [RemovePartial] leaves it alone, in other processes too. It is for many files that are not worth a sync each: what
// is promised holds when the process is killed, not when the power goes. The error is the operating system's.
func CreatePartial(root *os.Root, perm fs.FileMode) (f *os.File, name string, err error) {
	for range attempts {
		var random [partialRandom]byte
		_, _ = rand.Read(random[:]) // never fails: it ends the program instead
		name = partialMark + hex.EncodeToString(random[:])
		f, err = root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
		if !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	if err != nil {
		return nil, "", WithoutPath(err)
	}
	_ = lockOpened(f) // nobody else knows the name; a file system without locks goes without
	return f, name, nil
}

// GiveName renames temporary, a closed file, to name in the same folder. It replaces nothing: the error wraps
// fs.ErrExist where the name is taken, and temporary stays. Hard links see to that. Where the file system has none (FAT,
// exFAT, many network shares) it looks first, which takes two steps: callers who share alone cannot come between each
// other's, while another process that chooses the same name at that very moment may have its file replaced.
func GiveName(root *os.Root, temporary, name string, alone *sync.Mutex) error {
	err := root.Link(temporary, name)
	if err == nil {
		// A leftover second name does no harm, so that it cannot be removed is no reason to fail.
		_ = root.Remove(temporary)
		return nil
	}
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("create: %w", fs.ErrExist)
	}
	// That there are no hard links is said in many ways.
	alone.Lock()
	defer alone.Unlock()
	if _, err := root.Lstat(name); err == nil {
		return fmt.Errorf("create: %w", fs.ErrExist)
	}
	return replace(root, temporary, name)
}

// RemovePartial removes from a folder the partial files of processes that were killed, as far as it can: they are in
// nobody's way.
func RemovePartial(root *os.Root, folder string) {
	dir, err := root.OpenRoot(folder)
	if err != nil {
		return
	}
	defer dir.Close()
	list, err := dir.Open(".")
	if err != nil {
		return
	}
	defer list.Close()
	names, _ := list.Readdirnames(-1)
	for _, name := range names {
		if isPartial(name) && abandoned(dir, name) {
			_ = dir.Remove(name)
		}
	}
}

// isPartial tells whether a name is one that CreatePartial gives.
func isPartial(name string) bool {
	random, ok := strings.CutPrefix(name, partialMark)
	raw, err := hex.DecodeString(random)
	return ok && err == nil && len(raw) == partialRandom && strings.ToLower(random) == random
}

// abandoned tells whether nobody writes a partial file any more.
func abandoned(dir *os.Root, name string) bool {
	info, err := dir.Lstat(name)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := dir.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return errors.Is(err, fs.ErrPermission) // it has the mode of a file that is whole
	}
	defer f.Close()
	return lockOpened(f) == nil
}
