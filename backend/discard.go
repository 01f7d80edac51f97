package backend

import (
	"context"
	"errors"
	"fmt"
	"path"
)

// A discarder is a Backend whose place is more than the files in it.
type discarder interface {
	discard(ctx context.Context) error
}

// Discard removes what is left of a place on a network when all of its files were removed: empty folders. What is not
// empty stays. The error wraps errors.ErrUnsupported where the storage offers no way.
func Discard(ctx context.Context, b Backend) error {
	switch b := b.(type) {
	case *retryingMirror:
		return Discard(ctx, b.place)
	case *retrying:
		return Discard(ctx, b.place)
	case *s3Bucket:
		return nil // which has no folders
	case discarder:
		if err := b.discard(ctx); err != nil {
			return fmt.Errorf("remove empty folders: %w", err)
		}
		return nil
	default:
		return fmt.Errorf("remove empty folders: %w", errors.ErrUnsupported)
	}
}

func (p *sftpPlace) discard(ctx context.Context) error {
	return p.do(ctx, func(c *sftpConn) error {
		err := inParallel(ctx, 256, func(i int) error {
			_ = c.RemoveDirectory(path.Join(p.root, fmt.Sprintf("%s/%02x", Data, i))) // it may not be there, and what holds it
			return nil
		})
		for k := Key; k <= Data && err == nil; k++ {
			_ = c.RemoveDirectory(path.Join(p.root, k.String())) // is told below, too
		}
		if err == nil {
			err = c.RemoveDirectory(p.root)
		}
		return c.explain(err)
	})
}
