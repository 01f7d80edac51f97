package backend

import (
	"net/url"
	"path"
	"strings"

	"github.com/minio/minio-go/v7/pkg/s3utils"
)

// An s3Address is where a bucket is.
type s3Address struct {
	endpoint string // host and maybe port
	plain    bool   // HTTP without TLS
	bucket   string
	prefix   string // without slashes at its ends
}

// guessRegion says what to try before the server is asked for the region, which costs a request each time: most servers
// have but one, or none. At Amazon the address of the server depends on it.
func (at s3Address) guessRegion() string {
	u := url.URL{Host: at.endpoint}
	if s3utils.IsAmazonEndpoint(u) || s3utils.IsGoogleEndpoint(u) {
		return ""
	}
	return "us-east-1"
}

// parseS3 reads what follows "s3:" in the spellings that restic knows: "host/bucket/prefix", the same behind "//", and a URL
// of http or https. Errors hold nothing of the address.
func parseS3(rest string) (at s3Address, err error) {
	switch {
	case strings.HasPrefix(rest, "http:"), strings.HasPrefix(rest, "https:"):
		u, err := url.Parse(rest)
		if err != nil {
			return at, errAddress("S3 storage", "it is no URL") // url.Error holds it
		}
		if u.User != nil {
			return at, errAddress("S3 storage", "it holds credentials, which do not belong there")
		}
		if u.RawQuery != "" || u.Fragment != "" {
			return at, errAddress("S3 storage", "something follows the path")
		}
		at.plain = u.Scheme == "http"
		rest = u.Host + "/" + strings.TrimPrefix(u.Path, "/")
	default:
		rest = strings.TrimPrefix(rest, "//")
	}
	at.endpoint, rest, _ = strings.Cut(rest, "/")
	at.bucket, at.prefix, _ = strings.Cut(rest, "/")
	at.prefix = strings.TrimPrefix(path.Clean("/"+at.prefix), "/")
	if at.endpoint == "" || at.bucket == "" {
		return at, errAddress("S3 storage", "it wants a host and a bucket")
	}
	if strings.ContainsAny(at.endpoint, "@?#") {
		return at, errAddress("S3 storage", "the host is none")
	}
	if s3utils.CheckValidBucketName(at.bucket) != nil {
		return at, errAddress("S3 storage", "the name of the bucket is none that S3 allows")
	}
	return at, nil
}
