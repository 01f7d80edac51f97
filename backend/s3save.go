package backend

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
)

// Save stores an object with one PUT, for which the server compares the bytes with the file's name, its SHA-256.
func (b *s3Bucket) Save(ctx context.Context, f File, data []byte) error {
	class := ""
	if f.Kind == Data {
		class = b.o.StorageClass
	}
	return b.saveAs(ctx, f, data, class)
}

// SaveTrees is Save in the standard class.
func (b *s3Bucket) SaveTrees(ctx context.Context, f File, data []byte) error {
	return b.saveAs(ctx, f, data, "")
}

func (b *s3Bucket) saveAs(ctx context.Context, f File, data []byte, class string) error {
	done, err := b.admit(ctx, f)
	if err != nil {
		return fmt.Errorf("save %s: %w", f, err)
	}
	defer done()
	up := s3Upload{key: b.key(f), data: data, class: class, once: true}
	if b.o.LockMode != "" && f.Kind != Lock {
		up.mode = minio.RetentionMode(strings.ToUpper(b.o.LockMode))
		up.until = time.Now().Add(b.o.LockPeriod)
	}
	if f.Kind == Config {
		up.sum = sha256.Sum256(data)
		up.mirror = !b.noMirror.Load()
		err = b.saveOnce(ctx, up)
	} else {
		_, _ = hex.Decode(up.sum[:], []byte(f.Name)) // it is valid
		err = b.saveNamed(ctx, up)
	}
	if err != nil {
		return fmt.Errorf("save %s: %w", f, err)
	}
	if f.Kind == Lock {
		b.locks.Store(f, true)
	}
	return nil
}

// saveOnce looks first, too, as some servers replace whatever is there, condition or not. What is refused where there is
// nothing is tried once more: somebody may have had the key in between. A server that refuses it again takes the marker of a
// removal for an object.
func (b *s3Bucket) saveOnce(ctx context.Context, up s3Upload) error {
	for _, up.once = range []bool{true, true, false} {
		_, err := b.stat(ctx, up.key, false)
		switch {
		case err == nil:
			return fs.ErrExist
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
		_, err = b.put(ctx, up)
		if minio.ToErrorResponse(err).StatusCode != 412 {
			return b.explain(ctx, err)
		}
	}
	return fs.ErrExist
}

// saveNamed replaces what has the name only if that has another length, and so is damaged. A server that has the object may
// say so and hang up while the data is still on its way, so that its answer is lost.
func (b *s3Bucket) saveNamed(ctx context.Context, up s3Upload) error {
	_, err := b.put(ctx, up)
	_, lost := errors.AsType[lineError](err)
	lost = lost && !errors.Is(err, errStalled)
	exists := minio.ToErrorResponse(err).StatusCode == 412
	if lost && ctx.Err() == nil || exists {
		info, there := b.stat(ctx, up.key, false)
		if there == nil && info.Size == int64(len(up.data)) {
			return nil
		}
		if exists && there != nil && !errors.Is(there, fs.ErrNotExist) {
			return there
		}
		exists = exists || there == nil
	}
	if exists {
		up.once = false
		_, err = b.put(ctx, up)
	}
	switch minio.ToErrorResponse(err).Code {
	case minio.BadDigest, codeOtherSum:
		if sha256.Sum256(up.data) != up.sum {
			return fmt.Errorf("the data is not what the name says: %w", fs.ErrInvalid)
		}
	}
	return b.explain(ctx, err)
}

// sumHeader holds the SHA-256 of an upload as base64.
const sumHeader = "x-amz-checksum-sha256"

// codeOtherSum is what AWS says of a body that does not have the signed SHA-256.
const codeOtherSum = "XAmzContentSHA256Mismatch"

// An s3Upload is one object on its way.
type s3Upload struct {
	key   string
	data  []byte
	sum   [sha256.Size]byte
	class string
	once  bool   // only if there is none
	match string // if it is not empty: only in the place of that version

	mirror bool // a config, of a mirror
	mode   minio.RetentionMode
	until  time.Time // for a mode
}

// put uploads. Some servers refuse headers that they do not know: what this one refuses is left out from then on. The error
// is the library's, not explained yet.
func (b *s3Bucket) put(ctx context.Context, up s3Upload) (minio.UploadInfo, error) {
	sums, conditions := !b.noSums.Load(), !b.noConditions.Load()
	info, refused := b.putOnce(ctx, up, sums, conditions)
	if !refusesHeaders(refused) {
		return info, refused
	}
	for _, without := range []struct{ sums, conditions bool }{{sums, false}, {false, conditions}, {false, false}} {
		if without.sums == sums && without.conditions == conditions {
			continue
		}
		info, err := b.putOnce(ctx, up, without.sums, without.conditions)
		if err == nil {
			b.noSums.Store(!without.sums)
			b.noConditions.Store(!without.conditions)
		}
		if !refusesHeaders(err) {
			return info, err
		}
	}
	return info, refused
}

func refusesHeaders(err error) bool {
	r := minio.ToErrorResponse(err)
	return r.StatusCode == 501 || r.StatusCode == 400 && (r.Code == minio.InvalidArgument || r.Code == "InvalidRequest" || r.Code == minio.NotImplemented)
}

// putOnce signs the SHA-256 in any case: a server that checks signatures checks the body with it.
func (b *s3Bucket) putOnce(ctx context.Context, up s3Upload, sums, conditions bool) (minio.UploadInfo, error) {
	o := minio.PutObjectOptions{
		StorageClass: up.class, Mode: up.mode, RetainUntilDate: up.until,
		DisableContentSha256: true, // which means: do not sign piece by piece
		UserMetadata:         make(map[string]string),
	}
	md5Sum := ""
	if sums {
		o.UserMetadata[sumHeader] = base64.StdEncoding.EncodeToString(up.sum[:])
	} else {
		sum := md5.Sum(up.data)
		md5Sum = base64.StdEncoding.EncodeToString(sum[:])
	}
	if up.mirror {
		o.UserMetadata[mirrorHeader] = "1"
	}
	switch {
	case !conditions:
	case up.once:
		o.SetMatchETagExcept("*")
	case up.match != "":
		o.SetMatchETag(up.match)
	}
	body := &sentBody{data: up.data}
	defer body.end()
	return b.client.PutObject(ctx, b.at.bucket, up.key, body.reader(), int64(len(up.data)), md5Sum, hex.EncodeToString(up.sum[:]), o)
}
