package backend

import "context"

// SFTPOptions are the settings of places that are reached by SFTP.
type SFTPOptions struct{}

// openSFTP opens a place, or with create makes it, as [Open] and [Create] say. rest is the address behind the scheme.
func openSFTP(ctx context.Context, rest string, o Options, create bool) (Backend, error) {
	return nil, unsupported("sftp")
}
