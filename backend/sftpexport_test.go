package backend

import "context"

// OpenSFTP opens a place, or with create makes it, that tries nothing again.
func OpenSFTP(ctx context.Context, rest string, o Options, create bool) (Backend, error) {
	return openSFTP(ctx, rest, o, create)
}
