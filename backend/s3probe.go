package backend

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/minio/minio-go/v7"
)

// probeLock is how long the probe locks its file: longer than the probe takes with any server that is of use.
const probeLock = time.Minute

// Probe implements what [Probe] says. Its objects lie beside those of a repository, in "probe-" and something random.
func (b *s3Bucket) Probe(ctx context.Context) ([]Finding, error) {
	p := s3Probe{b, path.Join(b.at.prefix, "probe-"+rand.Text())}
	up := p.upload("plain")
	info, err := b.put(ctx, up)
	defer p.remove(ctx, up.key, info.VersionID)
	if err != nil {
		return nil, fmt.Errorf("save a file to look for features: %w", b.explain(ctx, err))
	}
	var found []Finding
	for _, try := range []struct {
		feature Feature
		has     func(context.Context) (bool, error)
	}{
		{VerifiesSums, p.verifies},
		{NeverReplace, p.refusesToReplace},
		{TellsSums, p.tellsSums},
		{LocksFiles, p.locks},
	} {
		has, err := try.has(ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		found = append(found, Finding{try.feature, has, err})
	}
	return found, nil
}

// s3Probe tries what a server does, with objects whose names begin with base.
type s3Probe struct {
	*s3Bucket
	base string
}

func (p s3Probe) upload(name string) s3Upload {
	data := []byte(rand.Text())
	return s3Upload{key: p.base + "-" + name, data: data, sum: sha256.Sum256(data)}
}

// verifies uploads a file whose checksum is another one's. That the signature says so, too, would hide a server that does
// not look at checksums; so only the checksum is wrong.
func (p s3Probe) verifies(ctx context.Context) (bool, error) {
	up := p.upload("damaged")
	other := sha256.Sum256([]byte("other bytes"))
	info, err := p.client.PutObject(ctx, p.at.bucket, up.key, bytes.NewReader(up.data), int64(len(up.data)), "", fmt.Sprintf("%x", up.sum),
		minio.PutObjectOptions{
			DisableContentSha256: true,
			UserMetadata:         map[string]string{sumHeader: base64.StdEncoding.EncodeToString(other[:])},
		})
	if err == nil {
		p.remove(ctx, up.key, info.VersionID)
	}
	return p.refused(ctx, err, 400)
}

// refused takes one answer for what was hoped for, success for what was not, and 501 for a server that says so.
func (p s3Probe) refused(ctx context.Context, err error, status int) (bool, error) {
	switch minio.ToErrorResponse(err).StatusCode {
	case status:
		return true, nil
	case 501:
		return false, nil
	}
	return false, p.explain(ctx, err)
}

func (p s3Probe) refusesToReplace(ctx context.Context) (bool, error) {
	up := p.upload("plain")
	up.once = true
	info, err := p.putOnce(ctx, up, !p.noSums.Load(), true)
	if err == nil {
		p.remove(ctx, up.key, info.VersionID)
	}
	return p.refused(ctx, err, 412)
}

func (p s3Probe) tellsSums(ctx context.Context) (bool, error) {
	info, err := p.stat(ctx, p.base+"-plain", true)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return false, err
	}
	_, ok := wholeSum(info)
	return ok, nil
}

// locks saves a file that is locked for a minute, and tries to delete that very version. Some servers take the lock and
// delete all the same.
func (p s3Probe) locks(ctx context.Context) (bool, error) {
	if may, err := p.lockable(ctx); err == nil && !may {
		return false, nil
	}
	up := p.upload("locked")
	up.mode, up.until = minio.Governance, time.Now().Add(probeLock)
	info, err := p.putOnce(ctx, up, !p.noSums.Load(), false)
	if r := minio.ToErrorResponse(err); r.StatusCode == 400 || r.StatusCode == 501 {
		return false, nil // this is no bucket with locks, or no server
	}
	if err != nil {
		return false, p.explain(ctx, err)
	}
	defer p.remove(ctx, up.key, info.VersionID)
	if info.VersionID == "" {
		return false, nil
	}
	err = p.client.RemoveObject(ctx, p.at.bucket, up.key, minio.RemoveObjectOptions{VersionID: info.VersionID})
	if err == nil {
		return false, nil
	}
	if _, there := p.client.StatObject(ctx, p.at.bucket, up.key, minio.StatObjectOptions{VersionID: info.VersionID}); there != nil {
		return false, p.explain(ctx, there)
	}
	if minio.ToErrorResponse(err).StatusCode == 0 || IsTemporary(p.explain(ctx, err)) {
		return false, p.explain(ctx, err)
	}
	return true, nil
}

// remove removes a version of an object, or hides it where that is not allowed: what is left is a few bytes.
func (p s3Probe) remove(ctx context.Context, key, version string) {
	ctx = context.WithoutCancel(ctx)
	o := minio.RemoveObjectOptions{VersionID: version, GovernanceBypass: true} // some may delete even what is locked
	if err := p.client.RemoveObject(ctx, p.at.bucket, key, o); err != nil {
		_ = p.client.RemoveObject(ctx, p.at.bucket, key, minio.RemoveObjectOptions{})
	}
}
