package backend

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"sync"
	"time"
)

// Memory keeps files in memory, for tests and demonstrations. It may be used concurrently.
type Memory struct {
	mu    sync.RWMutex
	files map[File]memoryFile

	mirror memoryMirror
}

// memoryFile is never changed once it is in the map.
type memoryFile struct {
	data  []byte
	saved time.Time
}

var _ Backend = (*Memory)(nil)

// NewMemory returns an empty place.
func NewMemory() *Memory {
	return &Memory{files: make(map[File]memoryFile)}
}

// Save stores a copy of data.
func (m *Memory) Save(ctx context.Context, f File, data []byte) error {
	if err := admit(ctx, f); err != nil {
		return fmt.Errorf("save %s: %w", f, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, exists := m.files[f]; exists && f.Kind == Config {
		return fmt.Errorf("save %s: %w", f, fs.ErrExist)
	}
	m.files[f] = memoryFile{bytes.Clone(data), time.Now()}
	return nil
}

// Load copies a part of a file.
func (m *Memory) Load(ctx context.Context, f File, offset int64, dst []byte) (int, error) {
	if err := admit(ctx, f); err != nil {
		return 0, fmt.Errorf("load %s: %w", f, err)
	}
	if offset < 0 {
		return 0, fmt.Errorf("load %s: offset %d: %w", f, offset, fs.ErrInvalid)
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	file, ok := m.files[f]
	if !ok {
		return 0, fmt.Errorf("load %s: %w", f, fs.ErrNotExist)
	}
	return copy(dst, file.data[min(offset, int64(len(file.data))):]), nil
}

// List yields what was there when the loop began.
func (m *Memory) List(ctx context.Context, k Kind) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		if k > Data {
			yield(Info{}, fmt.Errorf("list %s: %w", k, fs.ErrInvalid))
			return
		}
		for _, info := range m.infos(k) {
			if err := ctx.Err(); err != nil {
				yield(Info{}, fmt.Errorf("list %s: %w", k, err))
				return
			}
			if !yield(info, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(Info{}, fmt.Errorf("list %s: %w", k, err))
		}
	}
}

// infos is sorted so that what a test does with it is repeatable.
func (m *Memory) infos(k Kind) []Info {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var infos []Info
	for f, file := range m.files {
		if f.Kind == k {
			infos = append(infos, Info{f.Name, int64(len(file.data)), file.saved})
		}
	}
	slices.SortFunc(infos, func(a, b Info) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
	return infos
}

// Remove forgets a file.
func (m *Memory) Remove(ctx context.Context, f File) error {
	if err := admit(ctx, f); err != nil {
		return fmt.Errorf("remove %s: %w", f, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.files[f]; !ok {
		return fmt.Errorf("remove %s: %w", f, fs.ErrNotExist)
	}
	delete(m.files, f)
	return nil
}
