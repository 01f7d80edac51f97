package backend

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// S3Options are the settings of places that are reached by S3.
type S3Options struct {
	AccessKey    string // with SecretKey empty: requests are anonymous
	SecretKey    string
	SessionToken string

	CredentialsFile string // where there is no AccessKey: a file as AWS's tools write it
	Profile         string // the section of that file; "default" if empty

	Region        string // if empty, the server is asked
	BucketLookup  string // "path", "dns" or, as far as it can be guessed, "auto"; empty is "auto"
	ListObjectsV1 bool   // for servers that know only the old listing
	StorageClass  string // of packs of data. What every run reads stays in the standard class

	LockMode   string        // "governance" or "compliance": versions of files, but for locks, cannot be deleted for the LockPeriod
	LockPeriod time.Duration // not for nothing where LockMode is set

	Connections int // how many files travel at once; 5 if zero, as restic does
}

// s3Connections is what restic takes.
const s3Connections = 5

// openS3 opens a place, or with create makes it, as [Open] and [Create] say. rest is the address behind the scheme. A
// bucket that is not there is made by create, with the locking of objects where the options ask for it.
func openS3(ctx context.Context, rest string, o Options, create bool) (Backend, error) {
	at, err := parseS3(rest)
	if err != nil {
		return nil, err
	}
	b, err := at.connect(o)
	if err != nil {
		return nil, err
	}
	if create {
		err = b.create(ctx)
	} else {
		err = b.open(ctx)
	}
	if err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// connect prepares for requests; nothing is sent yet.
func (at s3Address) connect(o Options) (*s3Bucket, error) {
	b := &s3Bucket{at: at, o: o.S3, wire: &s3Transport{base: o.Network.transport()}, begun: o.begun}
	b.noMirror.Store(!o.begun)
	if b.o.Connections <= 0 {
		b.o.Connections = s3Connections
	}
	b.slots = make(chan struct{}, b.o.Connections)
	switch minio.RetentionMode(strings.ToUpper(b.o.LockMode)) {
	case "":
	case minio.Governance, minio.Compliance:
		if b.o.LockPeriod <= 0 {
			return nil, errors.New("open S3 storage: a lock mode wants a period")
		}
	default:
		return nil, errors.New("open S3 storage: the lock mode is neither governance nor compliance")
	}
	var err error
	if b.creds, err = b.o.credentials(); err != nil {
		return nil, err
	}
	return b, b.login(cmp.Or(b.o.Region, at.guessRegion()))
}

// login prepares requests for a region; without one, the library asks for that of the bucket first.
func (b *s3Bucket) login(region string) error {
	lookup, ok := map[string]minio.BucketLookupType{
		"": minio.BucketLookupAuto, "auto": minio.BucketLookupAuto, "path": minio.BucketLookupPath, "dns": minio.BucketLookupDNS,
	}[b.o.BucketLookup]
	if !ok {
		return errors.New("open S3 storage: the bucket lookup is neither auto, path nor dns")
	}
	client, err := minio.NewCore(b.at.endpoint, &minio.Options{
		Creds:        b.creds,
		Secure:       !b.at.plain,
		Transport:    b.wire,
		Region:       region,
		BucketLookup: lookup,
		MaxRetries:   1, // tries again are the retry's
	})
	if err != nil {
		return errAddress("S3 storage", "it names no server") // the library's error holds it
	}
	b.client, b.region = client, region
	return nil
}

func (o S3Options) credentials() (*credentials.Credentials, error) {
	if o.AccessKey != "" || o.CredentialsFile == "" {
		return credentials.NewStaticV4(o.AccessKey, o.SecretKey, o.SessionToken), nil
	}
	c := credentials.NewFileAWSCredentials(o.CredentialsFile, cmp.Or(o.Profile, "default")) // without, it reads the environment
	value, err := c.GetWithContext(&credentials.CredContext{Client: http.DefaultClient})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("read the file of S3 credentials: %w", fs.ErrNotExist)
	case err != nil || value.AccessKeyID == "":
		return nil, errors.New("read the file of S3 credentials: it has no usable keys for the profile")
	}
	return c, nil
}

// open makes sure that there is a repository. The config is loaded rather than asked for: only the answer to a GET says why
// not.
func (b *s3Bucket) open(ctx context.Context) error {
	err := b.reach(ctx)
	switch {
	case errors.Is(err, errNoBucket):
		return fmt.Errorf("%w: %w", ErrNoRepository, errNoBucket)
	case errors.Is(err, fs.ErrNotExist):
		if marked, err := b.isBegun(ctx); err != nil || !marked {
			return cmp.Or(err, ErrNoRepository)
		}
	case err != nil:
		return fmt.Errorf("open S3 storage: %w", err)
	}
	return b.mayLock(ctx)
}

func (b *s3Bucket) create(ctx context.Context) error {
	err := b.reach(ctx)
	switch {
	case err == nil:
		return fmt.Errorf("create S3 storage: a repository is there: %w", fs.ErrExist)
	case errors.Is(err, errNoBucket):
		err = b.client.MakeBucket(ctx, b.at.bucket, minio.MakeBucketOptions{Region: b.region, ObjectLocking: b.o.LockMode != ""})
		if code := minio.ToErrorResponse(err).Code; err != nil && code != minio.BucketAlreadyOwnedByYou {
			return fmt.Errorf("create the bucket: %w", b.explain(ctx, err))
		}
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("create S3 storage: %w", err)
	}
	return b.mayLock(ctx)
}

// mayLock makes sure that locks are kept, where the options ask for them: some servers take them for a bucket without, and
// do nothing. Credentials that may not ask are no reason to stop.
func (b *s3Bucket) mayLock(ctx context.Context) error {
	if b.o.LockMode == "" {
		return nil
	}
	may, err := b.lockable(ctx)
	switch {
	case err != nil && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, errors.ErrUnsupported):
		return fmt.Errorf("ask whether files may be locked: %w", err)
	case err == nil && !may:
		return fmt.Errorf("open S3 storage: %w", &NoLocksError{})
	}
	return nil
}

// lockable tells whether the bucket was made for locks.
func (b *s3Bucket) lockable(ctx context.Context) (bool, error) {
	enabled, _, _, _, err := b.client.GetObjectLockConfig(ctx, b.at.bucket)
	if minio.ToErrorResponse(err).Code == "ObjectLockConfigurationNotFoundError" {
		return false, nil
	}
	return enabled == "Enabled", b.explain(ctx, err)
}

// reach loads the config, and keeps it for who asks for it next. Where the region was but guessed, and the server does not
// agree, it is asked for.
func (b *s3Bucket) reach(ctx context.Context) error {
	err := b.loadConfig(ctx)
	if err == nil || b.o.Region != "" || IsTemporary(err) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoBucket) {
		return err
	}
	told, _ := errors.AsType[regionError](err)
	if err := b.login(told.region); err != nil {
		return err
	}
	return b.loadConfig(ctx)
}

func (b *s3Bucket) loadConfig(ctx context.Context) error {
	const large = 1 << 10 // seven times a config
	buf := make([]byte, large)
	n, header, err := b.get(ctx, b.key(File{}), 0, buf)
	if err == nil && header.Get(mirrorHeader) != "" {
		b.noMirror.Store(false)
	}
	if err == nil && n < large {
		config := buf[:n]
		b.config.Store(&config)
	}
	return err
}

// Close lets go of idle connections.
func (b *s3Bucket) Close() error {
	b.wire.base.CloseIdleConnections()
	return nil
}
