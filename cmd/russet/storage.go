package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"time"

	"github.com/urfave/cli/v2"

	"russet/backend"
	"russet/internal/durable"
	"russet/repo"
)

// storage is what flags and environment say of places that are not on this
// computer, but for who we are there: that is a login's.
type storage struct {
	options    backend.Options
	caCert     string // a file of PEM, or ""
	clientCert string // the same
	local      string // the folder on this computer for what belongs to repositories elsewhere; "" where the system has none
	noCache    bool   // --no-cache
}

// fullNames finds the names of files in a repository, of which people need the
// beginning.
var fullNames = regexp.MustCompile(`\b([0-9a-f]{8})[0-9a-f]{56}\b`)

// storageFlags are those of every verb that say how a repository elsewhere is
// reached.
func storageFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "option", Aliases: []string{"o"}, Usage: "a setting of the storage, `KEY=VALUE`, as restic has them (" + optionsExample + ")"},
		&cli.StringFlag{Name: "storage-user", Usage: "the `NAME` by which the storage knows you: for s3 the id of the access key"},
		&cli.StringFlag{Name: "storage-password-file", Usage: "read the storage's password, for s3 the secret key, from `FILE`"},
		&cli.StringFlag{Name: "storage-password-command", Usage: "take the storage's password, for s3 the secret key, from what `COMMAND` prints"},
		&cli.Int64Flag{Name: "limit-upload", Usage: "send at most `RATE` KiB a second"},
		&cli.Int64Flag{Name: "limit-download", Usage: "receive at most `RATE` KiB a second"},
		&cli.StringFlag{Name: "cacert", Usage: "trust the certificates in `FILE` (PEM), and no others, for servers"},
		&cli.StringFlag{Name: "tls-client-cert", Usage: "show servers the certificate in `FILE` (PEM, with its key)"},
		&cli.StringFlag{Name: "cache-dir", Usage: "keep the cache of repositories elsewhere in `FOLDER`"},
		&cli.BoolFlag{Name: "no-cache", Usage: "neither read nor write that cache"},
	}
}

// readStorage reads those flags, and what the environment says in their place,
// before a verb's action starts.
func (p *program) readStorage(c *cli.Context) error {
	p.storage = storage{
		caCert: p.orVariable(c, "cacert", "CACERT"), clientCert: p.orVariable(c, "tls-client-cert", "TLS_CLIENT_CERT"),
		local: cmp.Or(p.orVariable(c, "cache-dir", "CACHE_DIR"), usualCache(runtime.GOOS, p.env)), noCache: c.Bool("no-cache"),
	}
	o := &p.storage.options
	o.Network.Retry = p.retry
	for _, limit := range []struct {
		flag string
		to   *int64
	}{{"limit-upload", &o.Network.Upload}, {"limit-download", &o.Network.Download}} {
		const most = 1 << 40
		rate := c.Int64(limit.flag)
		if rate < 0 || rate > most {
			return usageError{fmt.Sprintf("--%s is a number of KiB a second; 0 is no limit", limit.flag)}
		}
		*limit.to = rate << 10
	}
	o.Network.Warn = func(err error, next time.Duration) {
		said := fullNames.ReplaceAllString(err.Error(), "$1") // this line passes; that which stays has the whole name
		p.warn("%s; trying again in %.0f s", said, math.Ceil(next.Seconds()))
	}
	p.readNames(&o.S3)
	p.readSSH(&o.SFTP)
	return setOptions(o, c.StringSlice("option"))
}

// readNames takes what AWS's own tools take from the environment, but for keys:
// those are a login's. A file with keys in clear is read only where a variable
// names it, or a part of it.
func (p *program) readNames(o *backend.S3Options) {
	o.Region = cmp.Or(p.env("AWS_REGION"), p.env("AWS_DEFAULT_REGION"))
	o.Profile, o.CredentialsFile = p.env("AWS_PROFILE"), p.env("AWS_SHARED_CREDENTIALS_FILE")
	if o.Profile != "" && o.CredentialsFile == "" {
		o.CredentialsFile = filepath.Join(homeFolder(p.env), ".aws", "credentials")
	}
}

// homeFolder is the user's, as os.UserHomeDir has it, or nothing.
func homeFolder(env environ) string {
	if runtime.GOOS == "windows" {
		return env("USERPROFILE")
	}
	return env("HOME")
}

// orVariable is a global flag, or else our variable, or restic's.
func (p *program) orVariable(c *cli.Context, flag, variable string) string {
	if text := c.String(flag); text != "" {
		return text
	}
	values, _ := p.env.family([]string{ourPrefix, resticPrefix}, variable)
	return values[0]
}

// remoteOptions are the options for a place elsewhere, with the certificates from
// their files.
func (p *program) remoteOptions() (backend.Options, error) {
	o := p.storage.options
	for _, file := range []struct {
		flag, name string
		to         *[]byte
	}{{"--cacert", p.storage.caCert, &o.Network.CACert}, {"--tls-client-cert", p.storage.clientCert, &o.Network.ClientCert}} {
		if file.name == "" {
			continue
		}
		const most = 4 << 20 // a system's own bundle has a quarter of a megabyte
		text, err := readAtMost(file.name, most)
		if err != nil {
			return o, fmt.Errorf("%s: %w", file.flag, err)
		}
		*file.to = text
	}
	return o, nil
}

// isRemote tells addresses of places that are not on this computer.
func isRemote(address string) bool {
	_, local := backend.LocalFolder(address)
	return !local
}

// openStorage opens the place of a repository.
func (p *program) openStorage(ctx context.Context, at place) (backend.Backend, error) {
	return p.reach(ctx, at, backend.Open)
}

// createStorage makes the place of a new repository.
func (p *program) createStorage(ctx context.Context, at place) (backend.Backend, error) {
	return p.reach(ctx, at, backend.Create)
}

// opener is backend.Open and its kin.
type opener func(ctx context.Context, address string, o backend.Options) (backend.Backend, error)

// reach opens or makes a place, with credentials where it wants some.
func (p *program) reach(ctx context.Context, at place, open opener) (be backend.Backend, err error) {
	if !isRemote(at.address) {
		return open(ctx, at.address, backend.Options{})
	}
	o, err := p.remoteOptions()
	if err != nil {
		return nil, err
	}
	if at.login == nil {
		be, err = open(ctx, at.address, o)
		return be, atStorage(err)
	}
	err = at.login.unlock(ctx, p, func() (err error) {
		be, err = open(ctx, at.address, at.login.use(p, o))
		return err
	})
	return be, atStorage(err)
}

// spoolName is the folder of a spool beside a repository, and that above the spools
// on this computer.
const spoolName = "spool"

// useCache has a repository that lies elsewhere read from this computer what it
// can. Without it everything works, only slower.
func (p *program) useCache(r *repo.Repository, be backend.Backend, now time.Time) (done func()) {
	done = func() {}
	if p.storage.noCache || p.storage.local == "" {
		return done
	}
	above := filepath.Join(p.storage.local, "cache")
	cache, err := backend.OpenCache(be, filepath.Join(above, r.ID().String()), now)
	if err != nil {
		p.warn("working without a cache, which takes longer: %v", durable.WithoutPath(err))
		return done
	}
	r.UseCache(cache)
	_ = backend.RemoveOldCaches(above, now) // they cost space, no more
	return func() { _ = cache.Close() }
}

// localKey names what lies on this computer for a place elsewhere.
func localKey(address string) string {
	sum := sha256.Sum256([]byte(shown(address)))
	return hex.EncodeToString(sum[:8])
}

// spoolFolder is where runs wait until they are complete: on the repository's own
// drive; for a repository elsewhere on this computer, by the repository's id; or
// where --spool says.
func (p *program) spoolFolder(address, id, chosen string) (string, error) {
	if chosen != "" {
		return chosen, nil
	}
	if folder, ok := backend.LocalFolder(address); ok {
		return filepath.Join(folder, spoolName), nil
	}
	if p.storage.local == "" {
		return "", fmt.Errorf("find a folder for what waits: %w", errNoLocalFolder)
	}
	return filepath.Join(p.storage.local, spoolName, id), nil
}

// remoteSpools lists the folders that hold spools of repositories elsewhere.
func (p *program) remoteSpools() []string {
	var dirs []string
	above := filepath.Join(p.storage.local, spoolName)
	entries, _ := os.ReadDir(above) // there need be none
	for _, e := range entries {
		dirs = append(dirs, filepath.Join(above, e.Name()))
	}
	return dirs
}

// errNoLocalFolder says that the environment names no home.
var errNoLocalFolder = errors.New("this computer has no cache folder for you")

// usualCache is the folder for caches of this program, as os.UserCacheDir has it,
// or nothing.
func usualCache(system string, env environ) string {
	below := func(variable string, below ...string) string {
		base := env(variable)
		if base == "" {
			return ""
		}
		return filepath.Join(append([]string{base}, below...)...)
	}
	switch system {
	case "darwin":
		return below("HOME", "Library", "Caches", "russet")
	case "windows":
		return below("LocalAppData", "russet")
	}
	if dir := below("XDG_CACHE_HOME", "russet"); dir != "" {
		return dir
	}
	return below("HOME", ".cache", "russet")
}
