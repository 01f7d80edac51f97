package backend

import (
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
	"sync"
	"sync/atomic"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// s3Bucket keeps files as the objects of a bucket, in the layout that is restic's default: "data/" with 256 subfolders.
// What it saves is durable as far as the server is: an answered PUT is all that S3 promises. A name is given to an object
// at the end of its one PUT, so parts are never seen.
type s3Bucket struct {
	at    s3Address
	o     S3Options
	wire  *s3Transport
	creds *credentials.Credentials
	slots chan struct{} // holds as many as there may be transfers

	client *minio.Core // for the region
	region string

	config atomic.Pointer[[]byte] // loaded at the beginning, for one Load

	locks sync.Map // the Files of our own

	noSums       atomic.Bool // the server knows no checksums of its own
	noConditions atomic.Bool // the server knows no If-None-Match

	begun    bool        // a mark of a mirror will do where there is no config yet
	noMirror atomic.Bool // the config was not saved as that of a mirror
}

// key is the name of a file's object.
func (b *s3Bucket) key(f File) string {
	return path.Join(b.at.prefix, f.path())
}

// admit is what operations begin with that transfer something; done gives the place to the next.
func (b *s3Bucket) admit(ctx context.Context, f File) (done func(), err error) {
	if err := admit(ctx, f); err != nil {
		return nil, err
	}
	return b.begin(ctx)
}

// begin waits for a place.
func (b *s3Bucket) begin(ctx context.Context) (done func(), err error) {
	if err := ctx.Err(); err != nil {
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
	if f.Kind == Config && offset == 0 {
		if config := b.config.Swap(nil); config != nil {
			return copy(dst, *config), nil
		}
	}
	if len(dst) == 0 {
		_, err = b.stat(ctx, b.key(f), false)
	} else {
		n, err = b.load(ctx, b.key(f), offset, dst)
	}
	if err != nil {
		return 0, fmt.Errorf("load %s: %w", f, err)
	}
	return n, nil
}

func (b *s3Bucket) load(ctx context.Context, key string, offset int64, dst []byte) (int, error) {
	n, _, err := b.get(ctx, key, offset, dst)
	return n, err
}

// get is load, and gives what stands above the bytes.
func (b *s3Bucket) get(ctx context.Context, key string, offset int64, dst []byte) (int, http.Header, error) {
	var o minio.GetObjectOptions
	o.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, offset+int64(len(dst))-1))
	body, _, header, err := b.client.GetObject(ctx, b.at.bucket, key, o)
	if minio.ToErrorResponse(err).StatusCode == 416 {
		return 0, nil, nil
	}
	if err != nil {
		return 0, nil, b.explain(ctx, err)
	}
	defer body.Close()
	start, total, ok := contentRange(header.Get("Content-Range"))
	if ok && start != offset || !ok && offset > 0 {
		return 0, nil, errOtherPart
	}
	n, err := readUpTo(body, dst)
	if err != nil {
		return 0, nil, b.explain(ctx, err)
	}
	if ok && total >= 0 && int64(n) != min(int64(len(dst)), total-offset) {
		return 0, nil, errOtherPart
	}
	return n, header, nil
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

var errOtherPart = errors.New("the server sends another part of the file than was asked for")

// contentRange reads the beginning and the length of the whole from "bytes 5-9/1234". total is -1 where that is not told.
func contentRange(s string) (start, total int64, ok bool) {
	s, found := strings.CutPrefix(s, "bytes ")
	if !found {
		return 0, 0, false
	}
	first, rest, _ := strings.Cut(s, "-")
	start, err := strconv.ParseInt(first, 10, 64)
	if err != nil {
		return 0, 0, false
	}
	_, whole, _ := strings.Cut(rest, "/")
	if total, err = strconv.ParseInt(whole, 10, 64); err != nil {
		total = -1
	}
	return start, total, true
}

// stat tells of an object without loading it, with sums also its SHA-256. An answer to a HEAD has no room for a reason, so
// where the object is not to be had a GET asks for that. Some servers refuse to be asked for checksums.
func (b *s3Bucket) stat(ctx context.Context, key string, sums bool) (minio.ObjectInfo, error) {
	info, err := b.client.StatObject(ctx, b.at.bucket, key, minio.StatObjectOptions{Checksum: sums})
	switch status := minio.ToErrorResponse(err).StatusCode; status {
	case 400, 403, 404, 501:
		if _, why := b.load(ctx, key, 0, make([]byte, 1)); why != nil {
			return info, why
		}
		if sums && (status == 400 || status == 501) {
			return info, errors.ErrUnsupported
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
		info, err := b.stat(ctx, b.key(File{}), false)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			yield(Info{Size: info.Size, ModTime: info.LastModified})
		}
		return err
	}
	prefix := path.Join(b.at.prefix, k.String()) + "/"
	first, noOwner := "", false
	count, pages := 0, new(atomic.Int64)
	ctx = context.WithValue(ctx, emptyPages{}, pages)
	for object := range b.client.ListObjectsIter(ctx, b.at.bucket, minio.ListObjectsOptions{
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
		if count++; count > maxListed {
			return errEndlessFolder
		}
		pages.Store(0)
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

// Remove asks first whether the object is there, as S3 calls it a success to remove what is not; but it asks for that, too,
// as a server that does not allow it says so. A lock that we have saved is taken to be there: each run removes its own, and
// who else has removed it does not matter. Where the bucket keeps versions, a marker hides the object from now on, and its
// bytes stay for as long as the bucket says.
func (b *s3Bucket) Remove(ctx context.Context, f File) error {
	done, err := b.admit(ctx, f)
	if err != nil {
		return fmt.Errorf("remove %s: %w", f, err)
	}
	defer done()
	if err := b.remove(ctx, f); err != nil {
		return fmt.Errorf("remove %s: %w", f, err)
	}
	return nil
}

func (b *s3Bucket) remove(ctx context.Context, f File) error {
	b.config.Store(nil)
	absent := false
	if _, ours := b.locks.LoadAndDelete(f); !ours {
		_, there := b.client.StatObject(ctx, b.at.bucket, b.key(f), minio.StatObjectOptions{})
		if absent = minio.ToErrorResponse(there).StatusCode == 404; there != nil && !absent {
			_, err := b.stat(ctx, b.key(f), false) // which tells why
			return err
		}
	}
	err := b.client.RemoveObject(ctx, b.at.bucket, b.key(f), minio.RemoveObjectOptions{})
	if err != nil {
		return b.explain(ctx, err)
	}
	if absent {
		return fs.ErrNotExist
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
	info, err := b.stat(ctx, b.key(f), true)
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
