package backend

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
)

// errNoBucket is not fs.ErrNotExist: a file that is gone with all others is not one that was removed.
var errNoBucket = errors.New("the bucket does not exist")

// A regionError says that a bucket is in another region than the request was signed for.
type regionError struct{ region string }

func (e regionError) Error() string {
	if e.region == "" {
		return "the bucket is in another region"
	}
	return "the bucket is in another region: " + e.region
}

// refusals are the codes of errors that mean a lack of rights, with what is said of them. The codes are those of AWS's list
// of error responses, and some that others have added.
var refusals = map[string]string{
	"InvalidAccessKeyId":    "the server does not know the access key",
	"XAdminUserNotFound":    "the server does not know the access key", // versitygw, with 404
	"SignatureDoesNotMatch": "the secret key does not belong to the access key",
	"ExpiredToken":          "the session token has expired",
	"InvalidToken":          "the session token is not valid",
	"AccountProblem":        "the server has closed the account",
	"AllAccessDisabled":     "the server has closed the bucket",
	"BucketAlreadyExists":   "the bucket is somebody else's",
	"InvalidObjectState":    "it is in cold storage and has to be brought back first",
	"ObjectLocked":          "it is locked against removal",
	"MethodNotAllowed":      "the server does not allow it",
}

// passing are codes of what may be tried again.
var passing = map[string]string{
	"SlowDown":                   "the server asks for fewer requests",
	"SlowDownRead":               "the server asks for fewer requests",
	"SlowDownWrite":              "the server asks for fewer requests",
	"Throttling":                 "the server asks for fewer requests",
	"ThrottlingException":        "the server asks for fewer requests",
	"RequestLimitExceeded":       "the server asks for fewer requests",
	"TooManyRequests":            "the server asks for fewer requests",
	"BadDigest":                  "the data came to the server damaged",
	"InvalidDigest":              "the data came to the server damaged",
	"XAmzContentSHA256Mismatch":  "the data came to the server damaged",
	"IncompleteBody":             "the data came to the server cut short",
	"RequestTimeout":             "the data came to the server too slowly",
	"OperationAborted":           "the server is busy with the same file",
	"ConditionalRequestConflict": "the server is busy with the same file",
}

// full are codes of a lack of space.
var full = map[string]string{
	"QuotaExceeded":                  "the quota is used up",
	"XMinioAdminBucketQuotaExceeded": "the bucket's quota is used up",
	"XMinioStorageFull":              "the storage is full",
	"InsufficientStorage":            "the storage is full",
	"StorageFull":                    "the storage is full",
}

// explain turns an error of the library into ours. Its text is not used: it holds addresses, names of buckets and whatever
// the server likes to say.
func (b *s3Bucket) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if r, ok := errors.AsType[minio.ErrorResponse](err); ok {
		return b.explainAnswer(r)
	}
	if l, ok := errors.AsType[lineError](err); ok {
		return l.error
	}
	return errors.New("the server's answer makes no sense")
}

func (b *s3Bucket) explainAnswer(r minio.ErrorResponse) error {
	if text, ok := passing[r.Code]; ok {
		return temporary(errors.New(text))
	}
	if text, ok := full[r.Code]; ok {
		return fmt.Errorf("%s: %w", text, errFull)
	}
	if text, ok := refusals[r.Code]; ok {
		return fmt.Errorf("%s: %w", text, fs.ErrPermission)
	}
	switch r.Code {
	case minio.NoSuchBucket:
		return errNoBucket
	case minio.NoSuchKey:
		return fs.ErrNotExist
	case minio.RequestTimeTooSkewed:
		return b.clockError()
	case minio.AuthorizationHeaderMalformed, minio.InvalidRegion:
		return regionError{printable(r.Region)}
	case "InvalidStorageClass":
		return errors.New("the server does not know the storage class")
	}
	return b.explainStatus(r)
}

// explainStatus knows no more than the number.
func (b *s3Bucket) explainStatus(r minio.ErrorResponse) error {
	switch s := r.StatusCode; {
	case s == 401 || s == 403 || s == 405:
		if b.o.AccessKey == "" && b.o.CredentialsFile == "" {
			return fmt.Errorf("the server wants credentials: %w", fs.ErrPermission)
		}
		return fmt.Errorf("the credentials do not allow it: %w", fs.ErrPermission)
	case s >= 300 && s < 400 && r.Region != "":
		return regionError{printable(r.Region)}
	case s >= 300 && s < 400:
		return errors.New("the server wants to be asked at another address, where these credentials do not go")
	case s == 507:
		return fmt.Errorf("the storage is full: %w", errFull)
	case s == 413 || r.Code == minio.EntityTooLarge:
		return errors.New("the server takes no file of this size")
	case s == 501:
		return fmt.Errorf("ask for what the server cannot do: %w", errors.ErrUnsupported)
	case s == 408 || s == 429 || s >= 500:
		return temporary(fmt.Errorf("the server is busy or out of order (%d)", s))
	}
	if b.o.LockMode != "" && r.Code == "InvalidRequest" {
		return &NoLocksError{}
	}
	if r.Code == "" || strings.Contains(r.Code, " ") { // the library's, from the status
		return fmt.Errorf("the server refuses the request (%d)", r.StatusCode)
	}
	return fmt.Errorf("the server refuses the request (%d %s)", r.StatusCode, printable(r.Code))
}

// clockError is about clocks that differ by more than the quarter of an hour that S3 allows.
func (b *s3Bucket) clockError() error {
	off := time.Duration(b.wire.skew.Load()).Round(time.Minute)
	switch {
	case off > 0:
		return mark(fmt.Sprintf("the clock of this computer is %.0f minutes slow, by the server's", off.Minutes()), ErrClock)
	case off < 0:
		return mark(fmt.Sprintf("the clock of this computer is %.0f minutes fast, by the server's", -off.Minutes()), ErrClock)
	default:
		return mark("the clock of this computer differs too much from the server's", ErrClock)
	}
}

// printable keeps a word that a server says to letters, digits and dashes.
func printable(word string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return -1
	}, word[:min(len(word), 64)])
}

// A NoLocksError says that the options ask for locked files in a bucket that was not made for locks.
type NoLocksError struct{}

func (*NoLocksError) Error() string { return "the bucket does not allow its files to be locked" }
