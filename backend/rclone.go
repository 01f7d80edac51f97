package backend

import "context"

// RcloneOptions are the settings of places that are reached by Rclone.
type RcloneOptions struct{}

// openRclone opens a place, or with create makes it, as [Open] and [Create] say. rest is the address behind the scheme.
func openRclone(ctx context.Context, rest string, o Options, create bool) (Backend, error) {
	return nil, unsupported("rclone")
}
