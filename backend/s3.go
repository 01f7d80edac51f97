package backend

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync/atomic"
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

// s3Bucket keeps files as the objects of a bucket, in the layout that is restic's default: "data/" with 256 subfolders.
// What it saves is durable as far as the server is: an answered PUT is all that S3 promises. A name is given to an object
// at the end of its one PUT, so parts are never seen.
type s3Bucket struct {
	client *minio.Core
	wire   *s3Transport
	name   string // of the bucket
	prefix string // without slashes at its ends
	o      S3Options
	slots  chan struct{} // holds as many as there may be transfers

	noSums       atomic.Bool // the server knows no checksums of its own
	noConditions atomic.Bool // the server knows no If-None-Match
}

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

// connect prepares the client; nothing is sent yet.
func (at s3Address) connect(o Options) (*s3Bucket, error) {
	b := &s3Bucket{name: at.bucket, prefix: at.prefix, o: o.S3, wire: &s3Transport{base: o.Network.transport()}}
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
	lookup, ok := map[string]minio.BucketLookupType{
		"": minio.BucketLookupAuto, "auto": minio.BucketLookupAuto, "path": minio.BucketLookupPath, "dns": minio.BucketLookupDNS,
	}[b.o.BucketLookup]
	if !ok {
		return nil, errors.New("open S3 storage: the bucket lookup is neither auto, path nor dns")
	}
	creds, err := b.o.credentials()
	if err != nil {
		return nil, err
	}
	client, err := minio.NewCore(at.endpoint, &minio.Options{
		Creds:        creds,
		Secure:       !at.plain,
		Transport:    b.wire,
		Region:       b.o.Region,
		BucketLookup: lookup,
		MaxRetries:   1, // tries again are the retry's
	})
	if err != nil {
		return nil, errors.New("open S3 storage: the address names no server") // the library's error holds it
	}
	b.client = client
	return b, nil
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
		return ErrNoRepository
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
		err = b.client.MakeBucket(ctx, b.name, minio.MakeBucketOptions{Region: b.o.Region, ObjectLocking: b.o.LockMode != ""})
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
	enabled, _, _, _, err := b.client.GetObjectLockConfig(ctx, b.name)
	if code := minio.ToErrorResponse(err).Code; code == "ObjectLockConfigurationNotFoundError" || err == nil && enabled != "Enabled" {
		return errors.New("open S3 storage: the bucket does not allow its files to be locked")
	}
	if err = b.explain(ctx, err); err == nil || errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return fmt.Errorf("ask whether files may be locked: %w", err)
}

// reach loads a byte of the config. A bucket in another region than expected is asked once more, there.
func (b *s3Bucket) reach(ctx context.Context) error {
	_, err := b.load(ctx, b.key(File{}), 0, make([]byte, 1))
	if _, wrong := errors.AsType[regionError](err); wrong {
		_, err = b.load(ctx, b.key(File{}), 0, make([]byte, 1))
	}
	return err
}

// key is the name of a file's object.
func (b *s3Bucket) key(f File) string {
	return path.Join(b.prefix, f.path())
}

// Close lets go of idle connections.
func (b *s3Bucket) Close() error {
	b.wire.base.CloseIdleConnections()
	return nil
}

// admit is what operations begin with that transfer something; done gives the place to the next.
func (b *s3Bucket) admit(ctx context.Context, f File) (done func(), err error) {
	if err := admit(ctx, f); err != nil {
		return nil, err
	}
	select {
	case b.slots <- struct{}{}:
		return func() { <-b.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Load asks for the range, and believes only an answer that is about it.
func (b *s3Bucket) Load(ctx context.Context, f File, offset int64, dst []byte) (int, error) {
	done, err := b.admit(ctx, f)
	if err != nil {
		return 0, fmt.Errorf("load %s: %w", f, err)
	}
	defer done()
	if offset < 0 {
		return 0, fmt.Errorf("load %s at %d: %w", f, offset, fs.ErrInvalid)
	}
	n := 0
	if len(dst) == 0 {
		_, err = b.stat(ctx, b.key(f))
	} else {
		n, err = b.load(ctx, b.key(f), offset, dst)
	}
	if err != nil {
		return 0, fmt.Errorf("load %s: %w", f, err)
	}
	return n, nil
}

func (b *s3Bucket) load(ctx context.Context, key string, offset int64, dst []byte) (int, error) {
	var o minio.GetObjectOptions
	o.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, offset+int64(len(dst))-1))
	body, _, header, err := b.client.GetObject(ctx, b.name, key, o)
	if minio.ToErrorResponse(err).StatusCode == 416 {
		return 0, nil
	}
	if err != nil {
		return 0, b.explain(ctx, err)
	}
	defer body.Close()
	if start, ok := rangeStart(header.Get("Content-Range")); ok && start != offset || !ok && offset > 0 {
		return 0, errors.New("the server sends another part of the file than was asked for")
	}
	n, err := readUpTo(body, dst)
	if err != nil {
		return 0, b.explain(ctx, err)
	}
	return n, nil
}

// readUpTo reads until dst is full or the source ends, and then, if it may, lets the connection see its end.
func readUpTo(r io.Reader, dst []byte) (n int, err error) {
	for n < len(dst) && err == nil {
		var m int
		m, err = r.Read(dst[n:])
		n += m
	}
	if err == nil {
		var end [1]byte
		_, err = r.Read(end[:])
	}
	if err == io.EOF || n == len(dst) {
		return n, nil
	}
	return n, err
}

// rangeStart reads the beginning of "bytes 5-9/1234".
func rangeStart(s string) (int64, bool) {
	s, found := strings.CutPrefix(s, "bytes ")
	if !found {
		return 0, false
	}
	s, _, _ = strings.Cut(s, "-")
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// stat tells of an object without loading it. An answer to a HEAD has no room for a reason, so where the object is not to
// be had a GET asks for that.
func (b *s3Bucket) stat(ctx context.Context, key string) (minio.ObjectInfo, error) {
	info, err := b.client.StatObject(ctx, b.name, key, minio.StatObjectOptions{Checksum: true})
	switch minio.ToErrorResponse(err).StatusCode {
	case 400, 403, 404:
		if _, why := b.load(ctx, key, 0, make([]byte, 1)); why != nil {
			return info, why
		}
	}
	if err != nil {
		return info, b.explain(ctx, err)
	}
	return info, nil
}

// List asks for a thousand objects at a time, the most that S3 tells at once.
func (b *s3Bucket) List(ctx context.Context, k Kind) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		err := b.list(ctx, k, func(i Info) bool { return yield(i, nil) })
		if err != nil {
			yield(Info{}, fmt.Errorf("list %s: %w", k, err))
		}
	}
}

// list ends without an error where the loop was left.
func (b *s3Bucket) list(ctx context.Context, k Kind, yield func(Info) bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if k > Data {
		return fs.ErrInvalid
	}
	if k == Config {
		info, err := b.stat(ctx, b.key(File{}))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			yield(Info{Size: info.Size, ModTime: info.LastModified})
		}
		return err
	}
	prefix := path.Join(b.prefix, k.String()) + "/"
	first, noOwner := "", false
	for object := range b.client.ListObjectsIter(ctx, b.name, minio.ListObjectsOptions{
		Prefix: prefix, Recursive: true, UseV1: b.o.ListObjectsV1, FetchOwner: &noOwner,
	}) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if object.Err != nil {
			return b.explain(ctx, object.Err)
		}
		if object.Key == first {
			return errors.New("the server lists the same again and again")
		}
		if first == "" {
			first = object.Key
		}
		f := File{k, path.Base(object.Key)}
		if f.Validate() == nil && object.Key == b.key(f) && object.Size >= 0 && !yield(Info{f.Name, object.Size, object.LastModified}) {
			return nil
		}
	}
	return ctx.Err()
}

// Remove asks first whether the object is there, as S3 calls it a success to remove what is not. Where the bucket keeps
// versions, a marker hides the object from now on, and its bytes stay for as long as the bucket says.
func (b *s3Bucket) Remove(ctx context.Context, f File) error {
	done, err := b.admit(ctx, f)
	if err != nil {
		return fmt.Errorf("remove %s: %w", f, err)
	}
	defer done()
	if _, err = b.stat(ctx, b.key(f)); err == nil || errors.Is(err, fs.ErrNotExist) {
		// What is not there is removed, too, for the answer that nothing may be.
		rerr := b.explain(ctx, b.client.RemoveObject(ctx, b.name, b.key(f), minio.RemoveObjectOptions{}))
		if err == nil || errors.Is(rerr, fs.ErrPermission) {
			err = rerr
		}
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", f, err)
	}
	return nil
}

// Sum tells what the server has noted when the object was stored, if that is about the object as a whole.
func (b *s3Bucket) Sum(ctx context.Context, f File) (sum [32]byte, how Proof, err error) {
	done, err := b.admit(ctx, f)
	if err != nil {
		return sum, "", fmt.Errorf("ask for the SHA-256 of %s: %w", f, err)
	}
	defer done()
	info, err := b.stat(ctx, b.key(f))
	if err != nil {
		return sum, "", fmt.Errorf("ask for the SHA-256 of %s: %w", f, err)
	}
	sum, ok := wholeSum(info)
	if !ok {
		return sum, "", fmt.Errorf("ask for the SHA-256 of %s: %w", f, errors.ErrUnsupported)
	}
	return sum, ProofStored, nil
}

// wholeSum is the SHA-256 of an object, if one is told. That of an object which came in parts is one of their checksums: it
// has a "-" and their number behind it.
func wholeSum(info minio.ObjectInfo) (sum [32]byte, ok bool) {
	told, err := base64.StdEncoding.DecodeString(info.ChecksumSHA256)
	if err != nil || len(told) != len(sum) || info.ChecksumMode == "COMPOSITE" {
		return sum, false
	}
	return [32]byte(told), true
}
