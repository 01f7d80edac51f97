package backend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"russet/internal/durable"
)

// Local keeps files in a folder, laid out as the restic design document says: config, keys/<name>, locks/<name>,
// snapshots/<name>, index/<name>, data/<first two digits>/<name>. Files are read-only once they are there. It may be used
// concurrently, and by several programs at once. All names go through an os.Root, so a symbolic link that leads out
// of the folder is an error.
//
// Beside the layout it keeps spool/reserve, which restic ignores: bytes that give way when the drive is full, so that a lock
// and an index can be written, without which nothing could be pruned either.
type Local struct {
	root    *os.Root
	modes   modes
	reserve int64            // size of spool/reserve in bytes
	now     func() time.Time // the clock that ages leftovers; tests set it
	packs   handles
}

var (
	_ Backend   = (*Local)(nil)
	_ io.Closer = (*Local)(nil)
)

// modes are the permissions of what is made. Files get theirs at the end, when they are to be changed no more.
type modes struct{ folder, file fs.FileMode }

// privateModes are those of a repository that only its owner may read, as every new one is.
var privateModes = modes{folder: 0o700, file: 0o400}

// modesFor follows restic: where the group may read the config, all that is added is for the group too.
func modesFor(config fs.FileMode) modes {
	if config&0o040 != 0 {
		return modes{folder: 0o770, file: 0o440}
	}
	return privateModes
}

// OpenLocal opens the folder of a repository. The error is [ErrNoRepository] when there is no folder or no config in it;
// a folder that cannot be read gives the system's error.
func OpenLocal(folder string) (*Local, error) {
	root, err := openRoot(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoRepository
	}
	if err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	config, err := root.Stat(Config.String())
	if err != nil {
		_ = root.Close()
		if errors.Is(err, fs.ErrNotExist) {
			return nil, ErrNoRepository
		}
		return nil, fmt.Errorf("open config: %w", durable.WithoutPath(err))
	}
	return newLocal(root, modesFor(config.Mode())), nil
}

// CreateLocal makes a folder, or takes one that is there with whatever lies in it, and makes the subfolders of a
// repository. The error wraps fs.ErrExist when the folder has a config.
func CreateLocal(ctx context.Context, folder string) (*Local, error) {
	return createLocal(ctx, folder, reserveSize)
}

func createLocal(ctx context.Context, folder string, reserve int64) (*Local, error) {
	if folder == "" {
		return nil, fmt.Errorf("create folder: %w", fs.ErrInvalid)
	}
	if err := makeFolder(folder); err != nil {
		return nil, fmt.Errorf("create folder: %w", err)
	}
	root, err := openRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	l := newLocal(root, privateModes)
	l.reserve = reserve
	if err := l.lay(ctx); err != nil {
		_ = root.Close()
		return nil, err
	}
	return l, nil
}

func newLocal(root *os.Root, m modes) *Local {
	return &Local{root: root, modes: m, reserve: reserveSize, now: time.Now}
}

func openRoot(folder string) (*os.Root, error) {
	if folder == "" {
		return nil, fs.ErrInvalid
	}
	root, err := os.OpenRoot(folder)
	return root, durable.WithoutPath(err)
}

// makeFolder makes a folder and those above it, and makes their names durable: a repository would be lost with the entry of
// a folder far above it.
func makeFolder(folder string) error {
	err := os.Mkdir(folder, privateModes.folder)
	parent := filepath.Dir(folder)
	if errors.Is(err, fs.ErrNotExist) && parent != folder {
		if err := makeFolder(parent); err != nil {
			return err
		}
		err = os.Mkdir(folder, privateModes.folder)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil // if it is not a folder, opening it says so
	}
	if err != nil {
		return durable.WithoutPath(err)
	}
	above, err := openRoot(parent)
	if err != nil {
		return nil // a folder above that may be written but not read; nothing can be done
	}
	defer above.Close()
	return durable.SyncFolder(above, ".")
}

// lay makes the folders of the layout that are missing.
func (l *Local) lay(ctx context.Context) error {
	if _, err := l.root.Lstat(Config.String()); err == nil {
		return fmt.Errorf("create repository: %w", fs.ErrExist)
	}
	for k := Key; k <= Data; k++ {
		if err := l.mkdir(k.String()); err != nil {
			return fmt.Errorf("create %s: %w", k, err)
		}
	}
	for i := range 256 {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := l.root.Mkdir(fmt.Sprintf("%s/%02x", Data, i), l.modes.folder)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("create %s: %w", Data, durable.WithoutPath(err))
		}
	}
	if err := durable.SyncFolder(l.root, Data.String()); err != nil {
		return fmt.Errorf("create %s: %w", Data, err)
	}
	_ = l.RestoreReserve(ctx) // a repository without one is a repository
	return ctx.Err()
}

// mkdir makes a folder durably unless it is there.
func (l *Local) mkdir(name string) error {
	if err := durable.Mkdir(l.root, name, l.modes.folder); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// Close closes the folder and the packs that are kept open. Nothing is lost without it.
func (l *Local) Close() error {
	l.packs.forgetAll()
	return durable.WithoutPath(l.root.Close())
}

// path gives the place of a valid file below the root.
func (f File) path() string {
	switch f.Kind {
	case Config:
		return f.Kind.String()
	case Data:
		return f.Kind.String() + "/" + f.Name[:2] + "/" + f.Name
	default:
		return f.Kind.String() + "/" + f.Name
	}
}

// Save writes a file beside its name and renames it. A file that exists with other bytes, as a dying drive leaves it, is
// replaced. When the drive is full the reserve is given up for everything but packs: those would only use it up.
func (l *Local) Save(ctx context.Context, f File, data []byte) error {
	err := admit(ctx, f)
	if err == nil {
		err = l.save(f, data)
	}
	if f.Kind != Data && IsFull(err) {
		l.releaseReserve()
		err = l.save(f, data) // also where another Save has just given up the reserve
	}
	if err != nil {
		return fmt.Errorf("save %s: %w", f, err)
	}
	return nil
}

func (l *Local) save(f File, data []byte) error {
	name := f.path()
	if f.Kind == Config {
		return durable.CreateFile(l.root, name, data, l.modes.file)
	}
	if l.holds(name, data) {
		return durable.SyncFile(l.root, name) // whoever wrote it may have died before
	}
	write := durable.WriteFile
	if f.Kind == Data {
		write = durable.WriteUncached
	}
	err := write(l.root, name, data, l.modes.file)
	if errors.Is(err, fs.ErrNotExist) { // programs that copy folders leave empty ones out
		if err = l.mkdir(f.Kind.String()); err == nil && f.Kind == Data {
			err = l.mkdir(path.Dir(name))
		}
		if err == nil {
			err = write(l.root, name, data, l.modes.file)
		}
	}
	l.packs.forget(name)
	return err
}

// holds reports whether a file is there with exactly these bytes. It reads them, because the size alone does not tell a
// healthy file from one with a bad sector; names are random hashes, so it is a repeated Save and rare.
func (l *Local) holds(name string, data []byte) bool {
	info, err := l.root.Stat(name)
	if err != nil || !info.Mode().IsRegular() || info.Size() != int64(len(data)) {
		return false
	}
	file, err := l.root.Open(name)
	if err != nil {
		return false
	}
	defer file.Close()
	buf := make([]byte, min(len(data), 64<<10))
	for len(data) > 0 {
		n, err := io.ReadFull(file, buf[:min(len(data), len(buf))])
		if err != nil || !bytes.Equal(buf[:n], data[:n]) {
			return false
		}
		data = data[n:]
	}
	return true
}

// Load reads from a file. The packs read last are kept open.
func (l *Local) Load(ctx context.Context, f File, offset int64, dst []byte) (int, error) {
	err := admit(ctx, f)
	if err == nil && offset < 0 {
		err = fmt.Errorf("offset %d: %w", offset, fs.ErrInvalid)
	}
	n := 0
	if err == nil {
		n, err = l.load(f, offset, dst)
	}
	if err != nil {
		return 0, fmt.Errorf("load %s: %w", f, err)
	}
	return n, nil
}

func (l *Local) load(f File, offset int64, dst []byte) (int, error) {
	name := f.path()
	var file *os.File
	if f.Kind == Data {
		h, err := l.packs.acquire(l.root, name)
		if err != nil {
			return 0, durable.WithoutPath(err)
		}
		defer l.packs.release(h)
		file = h.file
	} else {
		opened, err := openPlain(l.root, name)
		if err != nil {
			return 0, durable.WithoutPath(err)
		}
		defer opened.Close()
		file = opened
	}
	n, err := file.ReadAt(dst, offset)
	if err != nil && err != io.EOF {
		l.packs.forget(name) // a drive that was taken out and put back needs a new handle
		return 0, durable.WithoutPath(err)
	}
	return n, nil
}

// openPlain opens a file. A pipe, at which opening waits for ever, is an error.
func openPlain(root *os.Root, name string) (*os.File, error) {
	info, err := root.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("not a file: %w", fs.ErrInvalid)
	}
	return root.Open(name)
}

// Remove removes a file, read-only as it is.
func (l *Local) Remove(ctx context.Context, f File) error {
	err := admit(ctx, f)
	if err == nil {
		err = l.remove(f)
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", f, err)
	}
	return nil
}

func (l *Local) remove(f File) error {
	name := f.path()
	l.packs.forget(name) // some file systems of Windows do not remove what is open
	if err := removeFile(l.root, name); err != nil {
		return durable.WithoutPath(err)
	}
	l.packs.forget(name) // opened again in between
	if f.Kind == Data {
		return nil
	}
	return durable.SyncFolder(l.root, path.Dir(name))
}
