package backendtest

import (
	"context"
	"fmt"

	"russet/backend"
)

// FlipBit returns a Faults.Corrupt that turns over one bit whenever the file's byte at the position is read, as a bad
// sector does.
func FlipBit(file backend.File, position int64, bit uint8) func(backend.File, int64, []byte) []byte {
	return func(f backend.File, offset int64, data []byte) []byte {
		if i := position - offset; f == file && i >= 0 && i < int64(len(data)) {
			data[i] ^= 1 << (bit % 8)
		}
		return data
	}
}

// Damage replaces a stored file by what change makes of its bytes. The name stays, so it is not a hash of the file any
// more.
func Damage(ctx context.Context, b backend.Backend, f backend.File, change func([]byte) []byte) error {
	data, err := Read(ctx, b, f)
	if err != nil {
		return err
	}
	if err := b.Remove(ctx, f); err != nil {
		return err
	}
	return b.Save(ctx, f, change(data))
}

// Read returns a whole file.
func Read(ctx context.Context, b backend.Backend, f backend.File) ([]byte, error) {
	var data []byte
	buf := make([]byte, 1<<20)
	for {
		n, err := b.Load(ctx, f, int64(len(data)), buf)
		if err != nil {
			return nil, err
		}
		data = append(data, buf[:n]...)
		if n < len(buf) {
			return data, nil
		}
	}
}

// Copy makes a memory backend with the same files, for instance to try every fault on the same state. Times are lost.
func Copy(ctx context.Context, b backend.Backend) (*backend.Memory, error) {
	m := backend.NewMemory()
	for k := backend.Config; k <= backend.Data; k++ {
		for info, err := range b.List(ctx, k) {
			if err != nil {
				return nil, fmt.Errorf("copy: %w", err)
			}
			f := backend.File{Kind: k, Name: info.Name}
			data, err := Read(ctx, b, f)
			if err != nil {
				return nil, fmt.Errorf("copy: %w", err)
			}
			if err := m.Save(ctx, f, data); err != nil {
				return nil, fmt.Errorf("copy: %w", err)
			}
		}
	}
	return m, nil
}
