package backendtest

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"

	"russet/backend"
)

// AppendOnly is a backend at which files can be added and read, and neither removed nor replaced, with the credentials
// that one has. It passes everything else on, and is as safe for concurrent use as the other one.
type AppendOnly struct {
	backend.Backend

	locks bool
}

var _ backend.Backend = (*AppendOnly)(nil)

// NewAppendOnly wraps b. With locks, those can be removed, as on servers that know what locks are; an object store does not.
func NewAppendOnly(b backend.Backend, locks bool) *AppendOnly {
	return &AppendOnly{b, locks}
}

// Save refuses to replace a file by other bytes.
func (b *AppendOnly) Save(ctx context.Context, f backend.File, data []byte) error {
	if f.Kind != backend.Config {
		there, err := Read(ctx, b.Backend, f)
		if err == nil && !bytes.Equal(there, data) {
			return fmt.Errorf("save %s: it exists: %w", f, fs.ErrPermission)
		}
	}
	return b.Backend.Save(ctx, f, data)
}

// Remove refuses, also what is not there.
func (b *AppendOnly) Remove(ctx context.Context, f backend.File) error {
	if b.locks && f.Kind == backend.Lock {
		return b.Backend.Remove(ctx, f)
	}
	return fmt.Errorf("remove %s: %w", f, fs.ErrPermission)
}
