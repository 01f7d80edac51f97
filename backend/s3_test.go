package backend_test

import (
	"os"
	"strconv"
	"sync/atomic"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
)

// s3Options are those for a server of the tests.
func s3Options(s *backendtest.S3Server) backend.Options {
	return backend.Options{S3: backend.S3Options{AccessKey: s.AccessKey, SecretKey: s.SecretKey, Region: "us-east-1"}}
}

func createAt(t *testing.T, address string, o backend.Options) backend.Backend {
	t.Helper()
	b, err := backend.Create(t.Context(), address, o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestS3(t *testing.T) {
	t.Parallel()
	s := backendtest.VersityGW(t, os.UserCacheDir)
	var n atomic.Int64
	backendtest.Run(t, func(t *testing.T) backend.Backend {
		return createAt(t, s.Address("bucket/place"+strconv.FormatInt(n.Add(1), 10)), s3Options(s))
	})
}
