package backend

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"time"

	"russet/internal/durable"
)

// What lies in the root of a mirror beside a repository's files; restic ignores both.
const (
	markName    = "mirror.json"
	asideFolder = "quarantine" // with a folder a day, and in it those of the kinds
	occupied    = "mirror.lock"

	// maxMark holds the names of a million files.
	maxMark = 96 << 20
)

// asidePath is where a file is kept that was set aside on a day, below the root.
func asidePath(f File, day time.Time) string {
	return path.Join(asideFolder, day.UTC().Format(time.DateOnly), f.Kind.String(), f.Name)
}

// isDayBefore tells whether a name is that of the folder of a day, and that day is before a time's.
func isDayBefore(name string, before time.Time) bool {
	day, err := time.Parse(time.DateOnly, name)
	return err == nil && day.Before(before.UTC().Truncate(24*time.Hour))
}

// IsMirror reports whether the folder is a copy that somebody keeps equal to another repository: whatever else is added to
// it or removed from it would be in the way of that.
func (l *Local) IsMirror(ctx context.Context) (bool, error) {
	_, err := l.root.Lstat(markName)
	return err == nil, ctx.Err()
}

// LoadMark returns what SaveMark has saved last. The error wraps fs.ErrNotExist where the place was never marked.
func (l *Local) LoadMark(ctx context.Context) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	data, err := l.loadMark()
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", markName, durable.WithoutPath(err))
	}
	return data, nil
}

func (l *Local) loadMark() ([]byte, error) {
	f, err := openPlain(l.root, markName)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > maxMark {
		return nil, fmt.Errorf("it has %d bytes: %w", info.Size(), fs.ErrInvalid)
	}
	data := make([]byte, info.Size())
	if _, err := f.ReadAt(data, 0); err != nil && len(data) > 0 {
		return nil, err
	}
	return data, nil
}

// SaveMark marks the place as a mirror, atomically and durably.
func (l *Local) SaveMark(ctx context.Context, data []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(data) > maxMark {
		return fmt.Errorf("save %s: %d bytes: %w", markName, len(data), fs.ErrInvalid)
	}
	err := durable.WriteFile(l.root, markName, data, l.modes.file)
	if IsFull(err) {
		l.releaseReserve()
		err = durable.WriteFile(l.root, markName, data, l.modes.file)
	}
	if err != nil {
		return fmt.Errorf("save %s: %w", markName, err)
	}
	return nil
}

// Occupy keeps the place to one mirror run, until release is called: of two at once each would save a mark that knows nothing
// of the other's files, and a later run would take those for somebody else's. It does not wait: the error is
// [durable.ErrInUse]. The run works within a context that ends when the place is no longer its own.
func (l *Local) Occupy(ctx context.Context) (within context.Context, release func(), err error) {
	lock, err := durable.TryLock(l.root, occupied)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", occupied, err)
	}
	return ctx, func() { _ = lock.Close() }, nil // what the system holds ends with the process, too
}

// RemoveMark makes an ordinary repository of a mirror.
func (l *Local) RemoveMark(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := removeFile(l.root, markName); err != nil {
		return fmt.Errorf("remove %s: %w", markName, durable.WithoutPath(err))
	}
	return durable.SyncFolder(l.root, ".")
}

// SetAside takes a file out of the repository, and keeps it in the folder of a day until DropAside. It costs no space.
func (l *Local) SetAside(ctx context.Context, f File, day time.Time) error {
	err := admit(ctx, f)
	if err == nil {
		err = l.setAside(f, day)
	}
	if err != nil {
		return fmt.Errorf("set %s aside: %w", f, err)
	}
	return nil
}

func (l *Local) setAside(f File, day time.Time) error {
	if f.Kind == Config {
		return fs.ErrInvalid
	}
	to, name := asidePath(f, day), f.path()
	folder := path.Dir(to)
	for _, above := range []string{asideFolder, path.Dir(folder), folder} {
		if err := l.mkdir(above); err != nil {
			return err
		}
	}
	l.packs.forget(name)
	if _, err := l.root.Lstat(name); err != nil {
		return durable.WithoutPath(err) // before what was set aside earlier is touched
	}
	// The same name has the same bytes; Windows renames nothing over a file that is read-only.
	if err := removeFile(l.root, to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return durable.WithoutPath(err)
	}
	if err := l.root.Rename(name, to); err != nil {
		return durable.WithoutPath(err)
	}
	if err := durable.SyncFolder(l.root, folder); err != nil {
		return err
	}
	return durable.SyncFolder(l.root, path.Dir(name))
}

// DropAside removes what was set aside on days before the given one, and returns how many files that were.
func (l *Local) DropAside(ctx context.Context, before time.Time) (int, error) {
	removed := 0
	days, err := l.readFolder(asideFolder)
	if err != nil {
		return 0, fmt.Errorf("list %s: %w", asideFolder, err)
	}
	for _, d := range days {
		if !d.IsDir() || !isDayBefore(d.Name(), before) {
			continue
		}
		n, err := l.dropDay(ctx, path.Join(asideFolder, d.Name()))
		removed += n
		if err != nil {
			return removed, fmt.Errorf("empty %s: %w", asideFolder, durable.WithoutPath(err))
		}
	}
	return removed, nil
}

// dropDay removes the folder of a day, and no more in it than SetAside puts there.
func (l *Local) dropDay(ctx context.Context, day string) (int, error) {
	removed := 0
	for k := Key; k <= Data; k++ {
		folder := path.Join(day, k.String())
		files, err := l.readFolder(folder)
		if err != nil {
			return removed, err
		}
		for _, f := range files {
			if err := ctx.Err(); err != nil {
				return removed, err
			}
			if !isName(f.Name()) {
				continue
			}
			if err := removeFile(l.root, path.Join(folder, f.Name())); err != nil {
				return removed, err
			}
			removed++
		}
		_ = l.root.Remove(folder) // it stays where something else lies in it
	}
	_ = l.root.Remove(day)
	return removed, nil
}

// memoryMirror is what a Memory holds as a mirror.
type memoryMirror struct {
	mark  []byte
	aside map[asideFile]memoryFile
}

type asideFile struct {
	File
	day string
}

// LoadMark is that of [Local].
func (m *Memory) LoadMark(ctx context.Context) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.mirror.mark == nil {
		return nil, fmt.Errorf("load %s: %w", markName, fs.ErrNotExist)
	}
	return slices.Clone(m.mirror.mark), nil
}

// SaveMark is that of [Local].
func (m *Memory) SaveMark(ctx context.Context, data []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mirror.mark = append([]byte{}, data...)
	return nil
}

// SetAside is that of [Local].
func (m *Memory) SetAside(ctx context.Context, f File, day time.Time) error {
	err := admit(ctx, f)
	if err == nil && f.Kind == Config {
		err = fs.ErrInvalid
	}
	if err != nil {
		return fmt.Errorf("set %s aside: %w", f, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	file, ok := m.files[f]
	if !ok {
		return fmt.Errorf("set %s aside: %w", f, fs.ErrNotExist)
	}
	if m.mirror.aside == nil {
		m.mirror.aside = map[asideFile]memoryFile{}
	}
	m.mirror.aside[asideFile{f, day.UTC().Format(time.DateOnly)}] = file
	delete(m.files, f)
	return nil
}

// DropAside is that of [Local].
func (m *Memory) DropAside(ctx context.Context, before time.Time) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	removed := 0
	for f := range m.mirror.aside {
		if f.day < before.UTC().Format(time.DateOnly) {
			delete(m.mirror.aside, f)
			removed++
		}
	}
	return removed, nil
}
