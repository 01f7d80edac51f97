// Package durable writes small numbers of files that survive a power cut.
//
//	root, err := os.OpenRoot(folder)
//	err = durable.WriteFile(root, "keys/3fa2", data, 0o400)
//
// When WriteFile returns nil, the name holds the new bytes, all of them, after a crash of the program, of the system,
// or of the power; when it returns an error or never returns, the name holds what it held before, or the new bytes,
// and never anything between. What it cannot prevent: a drive that reports its cache as written when it is not, and a
// file system without a sync operation (some network shares), whose refusal is passed over.
//
// Many files that need not survive a power cut, but must not be there in part: [CreatePartial], [GiveName], [RemovePartial].
//
// [TryLock] keeps a folder to one process while it writes there.
//
// A file that was being written when the program died stays behind under a temporary name; see [IsTemporary].
//
// All names are names below an [os.Root] in slash form: a symbolic link that leads out of it is an error. All functions
// may be called concurrently, for the same name too.
package durable

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
)

// temporaryMark stands between a file's name and the random part of its temporary name. It is restic's, so that
// leftovers of either program are known to both.
const temporaryMark = "-tmp-"

// pieceSize is how much is written at once. Linux makes larger pages of its cache for larger writes, which on virtual
// machines costs several times as much: writing packs of 16 MiB in one call took half as much processor time again for
// a whole backup.
const pieceSize = 32 << 10

// attempts bounds the search for a temporary name that is free: with 64 random bits a second one is never needed.
const attempts = 10

// WriteFile puts data into the file name, replacing what was there. The folder must exist. The file has exactly the
// permissions perm afterwards, whatever the umask, where the file system has permissions at all. Errors wrap those of
// the operating system, for instance syscall.ENOSPC; nothing temporary is left behind then. The last element of name
// may have at most 230 bytes, since the temporary name is longer.
func WriteFile(root *os.Root, name string, data []byte, perm fs.FileMode) error {
	return writeFile(root, name, data, perm, writeCached)
}

// WriteUncached is [WriteFile] for what is long and not going to be read soon. On Linux its bytes go to the drive past the
// system's cache, where the file system can do that: what other programs have there stays, and no copy is made.
func WriteUncached(root *os.Root, name string, data []byte, perm fs.FileMode) error {
	return writeFile(root, name, data, perm, writeUncached)
}

// writer puts data into an empty file, and on the drive.
type writer func(f *os.File, data []byte) error

func writeFile(root *os.Root, name string, data []byte, perm fs.FileMode, write writer) error {
	temporary, err := writeTemporary(root, name, data, write)
	if err != nil {
		return err
	}
	if err := replace(root, temporary, name); err != nil {
		return errors.Join(err, WithoutPath(root.Remove(temporary)))
	}
	return settle(root, name, perm)
}

// CreateFile is [WriteFile] for a name that must not exist: the error wraps fs.ErrExist then, and the file is untouched.
// Two programs that race for the name are told apart where the file system has hard links; elsewhere the later one may win.
func CreateFile(root *os.Root, name string, data []byte, perm fs.FileMode) error {
	if _, err := root.Lstat(name); err == nil {
		return fmt.Errorf("create: %w", fs.ErrExist)
	}
	temporary, err := writeTemporary(root, name, data, writeCached)
	if err != nil {
		return err
	}
	if err := GiveName(root, temporary, name, new(sync.Mutex)); err != nil {
		return errors.Join(err, WithoutPath(root.Remove(temporary)))
	}
	return settle(root, name, perm)
}

// Mkdir makes the folder name, whose parent must exist, so that a power cut does not undo it. The error wraps
// fs.ErrExist when the name is taken.
func Mkdir(root *os.Root, name string, perm fs.FileMode) error {
	if err := root.Mkdir(name, perm); err != nil {
		return fmt.Errorf("make folder: %w", WithoutPath(err))
	}
	return SyncFolder(root, path.Dir(name))
}

// SyncFolder makes the names in a folder, and the absence of removed ones, survive a power cut. It does nothing on
// Windows, which has no such operation and keeps names in the journal of the file system.
func SyncFolder(root *os.Root, name string) error {
	if err := syncFolder(root, name); err != nil {
		return fmt.Errorf("sync folder: %w", WithoutPath(err))
	}
	return nil
}

// SyncFile makes the bytes of a file that somebody else may have written, and its name, survive a power cut.
func SyncFile(root *os.Root, name string) error {
	if err := syncContent(root, name); err != nil {
		return fmt.Errorf("sync: %w", WithoutPath(err))
	}
	return SyncFolder(root, path.Dir(name))
}

// IsTemporary reports whether name, the last element of a path, has the form of a file that WriteFile has begun, and
// gives the name that it was to get.
func IsTemporary(name string) (final string, ok bool) {
	final, random, ok := strings.Cut(name, temporaryMark)
	return final, ok && final != "" && random != ""
}

// Write writes data to f in pieces, which is cheaper than all at once.
func Write(f *os.File, data []byte) error {
	for len(data) > 0 {
		n, err := f.Write(data[:min(len(data), pieceSize)])
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

func writeCached(f *os.File, data []byte) error {
	if err := Write(f, data); err != nil {
		return err
	}
	return syncOpened(f)
}

// writeTemporary writes data beside name and makes it durable there. On an error nothing is left behind.
func writeTemporary(root *os.Root, name string, data []byte, write writer) (temporary string, err error) {
	f, temporary, err := createTemporary(root, name)
	if err != nil {
		return "", fmt.Errorf("create: %w", WithoutPath(err))
	}
	err = write(f, data)
	// The error of Close counts: network file systems report there that the space is used up.
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return "", errors.Join(fmt.Errorf("write: %w", WithoutPath(err)), WithoutPath(root.Remove(temporary)))
	}
	return temporary, nil
}

func createTemporary(root *os.Root, name string) (f *os.File, temporary string, err error) {
	for range attempts {
		var random [8]byte
		_, _ = rand.Read(random[:]) // never fails: it ends the program instead
		temporary = name + temporaryMark + hex.EncodeToString(random[:])
		f, err = root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	return f, temporary, err
}

func replace(root *os.Root, temporary, name string) error {
	allowReplacing(root, name)
	if err := root.Rename(temporary, name); err != nil {
		return fmt.Errorf("rename: %w", WithoutPath(err))
	}
	return nil
}

// settle sets the permissions only now, since some network shares do not rename a file that is read-only, and makes
// the name durable. Permissions are a guard against accidents and not part of the promise: a file system without any
// (FAT, exFAT, most shares) is no reason to call a file unsaved that is saved.
func settle(root *os.Root, name string, perm fs.FileMode) error {
	_ = root.Chmod(name, perm)
	return SyncFolder(root, path.Dir(name))
}

// WithoutPath takes the path off an error of package os, which would name a folder or a file that is the caller's to tell
// or to keep, and with it what was wrapped around that error. Other errors stay as they are.
func WithoutPath(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err
	}
	return err
}
