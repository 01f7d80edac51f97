package backend

import "context"

// S3Options are the settings of places that are reached by S3.
type S3Options struct{}

// openS3 opens a place, or with create makes it, as [Open] and [Create] say. rest is the address behind the scheme.
func openS3(ctx context.Context, rest string, o Options, create bool) (Backend, error) {
	return nil, unsupported("s3")
}
