package main

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/zalando/go-keyring"

	"russet/backend"
)

// The schemes of places that know users.
const (
	schemeS3   = "s3"
	schemeREST = "rest"
	schemeSFTP = "sftp"
)

// login says who we are at a place elsewhere that knows users, and where the
// password comes from. A place's login is one through the whole run, so that
// nobody is asked twice.
type login struct {
	scheme   string // schemeS3, schemeREST or schemeSFTP
	address  string
	user     string // for s3 the id of an access key
	password secret
	token    string // of a session, for s3

	known bool   // user and text were taken by the place
	text  string // of the password
	typed bool   // a person was asked for user
}

// storageLogin finds out what flags and environment say of a place's login: ours,
// which are flags for the repository of --repo alone, then those that others
// made for this sort of place. It is nil where a place has none.
func (p *program) storageLogin(c *cli.Context, address string, names placeNames) (_ *login, err error) {
	scheme, _, _ := strings.Cut(address, ":")
	if !isRemote(address) || !slices.Contains([]string{schemeS3, schemeREST, schemeSFTP}, scheme) {
		return nil, nil
	}
	l := &login{scheme: scheme, address: address, password: secret{what: "storage's password"}}
	if names.variable == "" {
		l.user = c.String("storage-user")
		l.password.file, l.password.command = c.String("storage-password-file"), c.String("storage-password-command")
	}
	l.user = cmp.Or(l.user, p.env(ourPrefix+names.variable+"STORAGE_USER"))
	l.password, err = l.password.orEnvironment(p.env, "--storage-password-", []string{ourPrefix}, names.variable+"STORAGE_PASSWORD")
	if err != nil {
		return nil, err
	}
	var user, password string
	switch scheme {
	case schemeS3:
		user, password = p.env("AWS_ACCESS_KEY_ID"), p.env("AWS_SECRET_ACCESS_KEY")
	case schemeREST:
		user, password = p.env(resticPrefix+"REST_USERNAME"), p.env(resticPrefix+"REST_PASSWORD")
	}
	if !l.password.given() && (l.user == "" || l.user == user) {
		l.password.value = password
		if scheme == schemeS3 {
			l.token = p.env("AWS_SESSION_TOKEN")
		}
	}
	l.user = cmp.Or(l.user, user)
	return l, nil
}

// name is that of the keyring's entry: the server, the user where the address
// names one, and the bucket.
func (l *login) name() string {
	scheme, rest, _ := strings.Cut(shown(l.address), ":")
	before := ""
	if i := strings.Index(rest, "//"); i >= 0 {
		before, rest = rest[:i+2], rest[i+2:]
	}
	parts := strings.SplitN(rest, "/", 3)
	if scheme == schemeS3 && len(parts) > 1 {
		parts[0] += "/" + parts[1]
	}
	return scheme + ":" + before + strings.TrimSuffix(strings.Replace(parts[0], ":"+hiddenPart+"@", "@", 1), ":")
}

// use is o with the login that was found.
func (l *login) use(p *program, o backend.Options) backend.Options {
	switch {
	case l.scheme == schemeSFTP:
		l.useSSH(p, &o.SFTP)
	case l.scheme == schemeREST:
		o.REST.User, o.REST.Password = l.user, l.text
	case l.user != "":
		o.S3.AccessKey, o.S3.SecretKey, o.S3.SessionToken = l.user, l.text, l.token
	}
	return o
}

// unlock finds the password and tries it: what was given once; else what the
// keyring has; else, where the place refuses us without, what a person types.
func (l *login) unlock(ctx context.Context, p *program, try func() error) error {
	if l.known {
		return try()
	}
	if l.scheme == schemeSFTP { // which asks when the server does
		err := try()
		l.known = err == nil || errors.Is(err, backend.ErrNoRepository)
		return err
	}
	err := l.unasked(ctx, p, try)
	for tries := passwordTries; tries > 0 && errors.Is(err, fs.ErrPermission) && !l.password.given() && p.hasTerminal(); tries-- {
		if tries < passwordTries {
			p.warn("the storage refuses that, try again")
		}
		if err := l.ask(ctx, p); err != nil {
			return err
		}
		err = try()
	}
	// Without a password, that there is none may be all that a stranger is told.
	l.known = err == nil || errors.Is(err, backend.ErrNoRepository) && l.text != ""
	return err
}

// unasked tries what is to be had without a person.
func (l *login) unasked(ctx context.Context, p *program, try func() error) (err error) {
	if l.password.given() {
		if l.text, err = l.password.read(ctx, p, ""); err != nil {
			return err
		}
		return try()
	}
	// A computer without a keyring, or without this entry, has the other ways.
	if kept, err := keyring.Get(keyringService, l.name()); err == nil {
		user, text, _ := strings.Cut(kept, "\n")
		if l.user == "" || l.user == user {
			l.user, l.text = user, text
		}
	}
	return try()
}

// ask asks the person at the terminal.
func (l *login) ask(ctx context.Context, p *program) (err error) {
	at := visible(l.name())
	user, password := "user", "password"
	if l.scheme == schemeS3 {
		user, password = "access key id", "secret access key"
	}
	if l.user == "" || l.typed { // a slip of the finger may be in either
		l.typed = true
		if l.user, err = p.ask(ctx, user+" for "+at); err != nil {
			return err
		}
	}
	l.text, err = p.ask(ctx, password+" of "+visible(l.user)+" for "+at)
	return err
}

// keep puts the login into this computer's keyring.
func (l *login) keep() error {
	if l == nil || !l.known || l.text == "" {
		return usageError{"--save-password: this place wants no password"}
	}
	kept := l.user + "\n" + l.text
	if l.scheme == schemeSFTP { // whose address names the user
		kept = l.text
	}
	if err := keyring.Set(keyringService, l.name(), kept); err != nil {
		return noKeyring("storage's", "--storage-password-", "RUSSET_STORAGE_PASSWORD", err)
	}
	return nil
}
