package backend

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
)

var _ farMirror = (*s3Bucket)(nil)

// mirrorHeader stands at the config of a mirror, which every run loads: so none has to ask for the mark that is about to write
// to a repository.
const mirrorHeader = "X-Amz-Meta-Russet-Mirror"

// below is the key of an object that is no file of a repository.
func (b *s3Bucket) below(name string) string { return path.Join(b.at.prefix, name) }

// within does work in its turn, and says of what an error is.
func (b *s3Bucket) within(ctx context.Context, what string, work func() error) error {
	done, err := b.begin(ctx)
	if err == nil {
		defer done()
		err = work()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// has tells whether there is an object.
func (b *s3Bucket) has(ctx context.Context, key string) (bool, error) {
	_, err := b.stat(ctx, key, false)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// isBegun tells whether this may be, and is, a mirror that no run has brought a config yet.
func (b *s3Bucket) isBegun(ctx context.Context) (bool, error) {
	if !b.begun {
		return false, nil
	}
	return b.has(ctx, b.below(markName))
}

// IsMirror is that of [Local]. It costs no request where the config is not that of a mirror.
func (b *s3Bucket) IsMirror(ctx context.Context) (is bool, err error) {
	if b.noMirror.Load() {
		return false, ctx.Err()
	}
	err = b.within(ctx, "look for "+markName, func() (err error) {
		is, err = b.has(ctx, b.below(markName))
		return err
	})
	return is, err
}

// LoadMark is that of [Local].
func (b *s3Bucket) LoadMark(ctx context.Context) (data []byte, err error) {
	err = b.within(ctx, "load "+markName, func() error {
		info, err := b.stat(ctx, b.below(markName), false)
		if err == nil && (info.Size < 0 || info.Size > maxMark) {
			err = fmt.Errorf("it has %d bytes: %w", info.Size, fs.ErrInvalid)
		}
		if err != nil || info.Size == 0 {
			return err
		}
		data = make([]byte, info.Size)
		n, err := b.load(ctx, b.below(markName), 0, data)
		data = data[:n]
		return err
	})
	if err == nil {
		b.noMirror.Store(false)
	}
	return data, err
}

// SaveMark is that of [Local].
func (b *s3Bucket) SaveMark(ctx context.Context, data []byte) error {
	if len(data) > maxMark {
		return fmt.Errorf("save %s: %d bytes: %w", markName, len(data), fs.ErrInvalid)
	}
	err := b.within(ctx, "save "+markName, func() error {
		_, err := b.put(ctx, s3Upload{key: b.below(markName), data: data, sum: sha256.Sum256(data)})
		return b.explain(ctx, err)
	})
	if err == nil {
		b.noMirror.Store(false)
	}
	return err
}

// RemoveMark is that of [Local].
func (b *s3Bucket) RemoveMark(ctx context.Context) error {
	return b.within(ctx, "remove "+markName, func() error {
		if _, err := b.stat(ctx, b.below(markName), false); err != nil {
			return err
		}
		return b.removeObject(ctx, b.below(markName))
	})
}

func (b *s3Bucket) removeObject(ctx context.Context, key string) error {
	return b.explain(ctx, b.client.RemoveObject(ctx, b.at.bucket, key, minio.RemoveObjectOptions{}))
}

// SetAside is that of [Local]; the server copies the object, which is removed when the copy is there.
func (b *s3Bucket) SetAside(ctx context.Context, f File, day time.Time) error {
	err := f.Validate()
	if err == nil && f.Kind == Config {
		err = fs.ErrInvalid
	}
	if err != nil {
		return fmt.Errorf("set %s aside: %w", f, err)
	}
	return b.within(ctx, fmt.Sprintf("set %s aside", f), func() error {
		key, to := b.key(f), b.below(asidePath(f, day))
		was, err := b.stat(ctx, key, false)
		if err != nil {
			return err
		}
		_, err = b.client.Client.CopyObject(ctx, minio.CopyDestOptions{Bucket: b.at.bucket, Object: to}, minio.CopySrcOptions{Bucket: b.at.bucket, Object: key})
		if err != nil {
			return b.explain(ctx, err)
		}
		is, err := b.stat(ctx, to, false)
		if err == nil && is.Size != was.Size {
			err = errors.New("the server's copy has another length")
		}
		if err != nil {
			return fmt.Errorf("look at the copy: %w", err)
		}
		return b.removeObject(ctx, key)
	})
}

// DropAside is that of [Local].
func (b *s3Bucket) DropAside(ctx context.Context, before time.Time) (int, error) {
	var done atomic.Int64
	err := b.within(ctx, "empty "+asideFolder, func() error {
		old, err := b.asideBefore(ctx, before)
		if err != nil {
			return err
		}
		return inParallel(ctx, len(old), func(i int) error {
			err := b.removeObject(ctx, old[i])
			if err == nil {
				done.Add(1)
			}
			return err
		})
	})
	return int(done.Load()), err
}

// asideBefore gives the keys of what was set aside on days before a time's, and no others.
func (b *s3Bucket) asideBefore(ctx context.Context, before time.Time) (old []string, err error) {
	prefix, noOwner := b.below(asideFolder)+"/", false
	for object := range b.client.ListObjectsIter(ctx, b.at.bucket, minio.ListObjectsOptions{
		Prefix: prefix, Recursive: true, UseV1: b.o.ListObjectsV1, FetchOwner: &noOwner,
	}) {
		if object.Err != nil {
			return nil, b.explain(ctx, object.Err)
		}
		if len(old) > 0 && object.Key == old[0] {
			return nil, errors.New("the server lists the same again and again")
		}
		parts := strings.Split(strings.TrimPrefix(object.Key, prefix), "/")
		if len(parts) == 3 && isDayBefore(parts[0], before) && isAsideKind(parts[1]) && isName(parts[2]) {
			old = append(old, object.Key)
		}
	}
	return old, ctx.Err()
}

func isAsideKind(name string) bool {
	for k := Key; k <= Data; k++ {
		if k.String() == name {
			return true
		}
	}
	return false
}

// readLease takes the server's date of the object.
func (b *s3Bucket) readLease(ctx context.Context) (there leaseState, err error) {
	err = b.within(ctx, "read", func() error {
		holder := make([]byte, maxHolder)
		n, header, err := b.get(ctx, b.below(occupied), 0, holder)
		if err != nil {
			return err
		}
		there = leaseState{holder: string(holder[:n]), version: strings.Trim(header.Get("ETag"), `"`)}
		if there.renewed, err = http.ParseTime(header.Get("Last-Modified")); err != nil {
			return errors.New("the server does not say how old it is")
		}
		return nil
	})
	return there, err
}

// makeLease rests on If-None-Match; on a server without it two may both succeed, of which the first finds that out before it
// saves a mark.
func (b *s3Bucket) makeLease(ctx context.Context, holder string) error {
	return b.within(ctx, "make", func() error {
		up := b.leaseOf(holder)
		up.once = true
		return b.saveOnce(ctx, up)
	})
}

func (b *s3Bucket) leaseOf(holder string) s3Upload {
	data := []byte(holder)
	return s3Upload{key: b.below(occupied), data: data, sum: sha256.Sum256(data)}
}

// renewLease implements leaseKeeper.
func (b *s3Bucket) renewLease(ctx context.Context, there leaseState) error {
	return b.takeLease(ctx, there, there.holder)
}

// takeLease rests on If-Match.
func (b *s3Bucket) takeLease(ctx context.Context, there leaseState, holder string) error {
	return b.within(ctx, "take", func() error {
		up := b.leaseOf(holder)
		up.match = there.version
		_, err := b.put(ctx, up)
		if status := minio.ToErrorResponse(err).StatusCode; status == 412 || status == 404 {
			return fs.ErrExist
		}
		return b.explain(ctx, err)
	})
}

// removeLease implements leaseKeeper.
func (b *s3Bucket) removeLease(ctx context.Context) error {
	return b.within(ctx, "remove", func() error { return b.removeObject(ctx, b.below(occupied)) })
}

// leaseClock is the server's at its last answer, and what has passed since.
func (b *s3Bucket) leaseClock(ctx context.Context) (time.Time, error) {
	return time.Now().Add(time.Duration(b.wire.skew.Load())), ctx.Err()
}
