package backend

import (
	"cmp"
	"context"
	"errors"
	"strings"
)

// Options are what an address does not hold: credentials, and how to reach places on a network. The zero value is what a
// place without credentials wants. Nothing in it ever stands in an error.
type Options struct {
	S3      S3Options
	SFTP    SFTPOptions
	REST    RESTOptions
	Rclone  RcloneOptions
	Network NetworkOptions

	begun bool // a mirror is meant: its mark will do where there is no config yet
}

// Open opens the place of an existing repository. The address is spelled as restic spells it: a path, "local:" and a path,
// "sftp:", "s3:", "rest:" or "rclone:" and what follows there, or, for tests, "mem:"; other schemes are refused with an
// error that wraps errors.ErrUnsupported. The error of an address that is misspelt wraps [ErrAddress]. Where there is no repository the error is [ErrNoRepository]. A backend that is an
// io.Closer wants to be closed.
func Open(ctx context.Context, address string, o Options) (Backend, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	switch scheme, rest := splitAddress(address); scheme {
	case "local":
		return OpenLocal(rest)
	case "mem":
		return nil, ErrNoRepository // every memory is a new one
	case "sftp":
		return o.persist(ctx, openSFTP, rest, false)
	case "s3":
		return o.persist(ctx, openS3, rest, false)
	case "rest":
		return o.persist(ctx, openREST, rest, false)
	case "rclone":
		return o.persist(ctx, openRclone, rest, false)
	default:
		return nil, unsupported(scheme)
	}
}

// Create makes the place of a new repository, addressed as for [Open]. It leaves what it finds there alone, and if that is
// a repository the error wraps fs.ErrExist. The place becomes one when the Config is saved.
func Create(ctx context.Context, address string, o Options) (Backend, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	switch scheme, rest := splitAddress(address); scheme {
	case "local":
		return CreateLocal(ctx, rest)
	case "mem":
		return NewMemory(), nil
	case "sftp":
		return o.persist(ctx, openSFTP, rest, true)
	case "s3":
		return o.persist(ctx, openS3, rest, true)
	case "rest":
		return o.persist(ctx, openREST, rest, true)
	case "rclone":
		return o.persist(ctx, openRclone, rest, true)
	default:
		return nil, unsupported(scheme)
	}
}

// persist is what Open and Create do with a place on a network: what fails for a reason that may pass is tried again, from
// the start on. A place where nobody answers at all is no such reason at the start: the address may be wrong.
func (o Options) persist(ctx context.Context, open opener, rest string, create bool) (b Backend, err error) {
	if err := o.Network.check(); err != nil {
		return nil, err
	}
	o.Network.link = o.Network.newLink()
	var away error
	err = o.Network.again(ctx, func(bool) (err error) {
		if b, err = open(ctx, rest, o, create); !o.Network.link.wasReached() {
			away, err = err, nil
		}
		return err
	}, nil)
	if err = cmp.Or(err, away); err != nil {
		return nil, err
	}
	return o.Network.persistent(b), nil
}

// An opener opens a place, or with create makes it.
type opener func(ctx context.Context, rest string, o Options, create bool) (Backend, error)

// LocalFolder returns the folder that an address means, where it means one on a drive of this computer.
func LocalFolder(address string) (folder string, ok bool) {
	scheme, rest := splitAddress(address)
	return rest, scheme == "local"
}

// unsupported names the scheme alone, since the rest of an address may hold a password.
func unsupported(scheme string) error {
	return mark("repository at "+scheme+":...: no storage is called that", ErrAddress, errors.ErrUnsupported)
}

// splitAddress splits "scheme:rest". What has no scheme is a path: a single letter is a drive of Windows, and a colon behind a
// separator, or behind something that no scheme can be, belongs to the path.
func splitAddress(address string) (scheme, rest string) {
	scheme, rest, found := strings.Cut(address, ":")
	if !found || len(scheme) < 2 {
		return "local", address
	}
	for i, c := range []byte(scheme) {
		letter := c >= 'a' && c <= 'z'
		if !letter && (i == 0 || c != '+' && c != '-' && (c < '0' || c > '9')) {
			return "local", address
		}
	}
	return scheme, rest
}
