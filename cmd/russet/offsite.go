package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"
	"github.com/zalando/go-keyring"

	"russet/offsite"
	"russet/repo"
)

// offsiteActions are the things that offsite does, in the order in which help lists
// them.
var offsiteActions = []action{
	{"add", "NAME", 1, 1, "say where a copy is kept, and make it", []string{"to", "mirror", "last", "device", "tag", "save-password"}, (*program).offsiteAdd},
	{"run", "[NAME...]", 0, -1, "bring copies up to date, all where none is named", []string{"plan", "no-lock", "many", "save-password"}, (*program).offsiteRun},
	{"status", "[NAME...]", 0, -1, "what stands where, and when it was last proven", []string{"max-age", "no-lock"}, (*program).offsiteStatus},
	{"verify", "[NAME...]", 0, -1, "prove what lies there", []string{"share", "read-data", "drill", "save-password"}, (*program).offsiteVerify},
	{"remove", "NAME", 1, 1, "forget a copy, which stays as it is", nil, (*program).offsiteRemove},
}

func (p *program) offsiteVerb() *cli.Command {
	usage, description := describeActions(offsiteActions)
	return &cli.Command{
		Name:      "offsite",
		Category:  groupCopy,
		Usage:     "keep named copies elsewhere, and prove them",
		ArgsUsage: usage + " ...",
		UsageText: "russet offsite add cloud --to s3:https://s3.example.org/family\n" +
			"russet offsite add nas --to sftp:ada@nas:/backup/phones --last 12\n" +
			"russet offsite add drawer --to /media/second/repo --mirror\n" +
			"russet offsite run\n" +
			"russet offsite status --max-age 7d\n" +
			"russet offsite verify cloud",
		Description: "A copy is a twin, an independent repository with its own password and key, or a mirror\n" +
			"(--mirror), which opens with the same passwords. What is known of it (what was put there, when each\n" +
			"pack was last proven, which snapshots stand on it) lies in the repository, encrypted, and no\n" +
			"password with it.\n" +
			"\n" +
			description +
			"\n" +
			"A pack is proven when its SHA-256 is its name: as the storage tells it (S3; a server with a\n" +
			"shell, over SFTP), or as it was read from there. What was only put there is not. verify asks\n" +
			"for all that is told without reading; of the rest it reads a share, what was proven longest\n" +
			"ago first, so that with the usual 5 % all is read in twenty runs. A snapshot is proven as of\n" +
			"the oldest proof among the packs that it needs.\n" +
			"\n" +
			"run does one copy after the other; one that fails does not stop the others. verify writes\n" +
			"nothing to a copy but the lock under which it reads.\n" +
			"\n" +
			"A twin's password is asked for, or comes from a file, a command, the environment or the\n" +
			"computer's keyring; of several twins whose passwords differ, from the keyring.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "to", Usage: "add: where the copy lies: a `FOLDER`, or an address"},
			&cli.BoolFlag{Name: "mirror", Usage: "add: keep the same files, in a folder, by SFTP, or in S3"},
			&cli.IntFlag{Name: "last", Usage: "add: copy the newest `NUMBER` of each device's snapshots alone"},
			&cli.StringSliceFlag{Name: "device", Usage: "add: copy the device whose `UDID` begins so alone"},
			&cli.StringSliceFlag{Name: "tag", Usage: "add: copy snapshots with this `TAG` alone; with any of several"},
			&cli.BoolFlag{Name: "save-password", Usage: "add, run, verify: keep the twin's password in this computer's keyring"},
			&cli.BoolFlag{Name: "many", Usage: "run: set aside in a mirror even more than a fifth of the packs, or more than half of the snapshots"},
			&cli.StringFlag{Name: "max-age", Usage: "status: say so, also by the exit code, where a copy was not brought up to date for `AGE`, such as 12h, 7d or 8w"},
			&cli.StringFlag{Name: "share", Value: "5%", Usage: "verify: read so much of a copy that does not tell: a `SHARE` such as 5%"},
			&cli.BoolFlag{Name: "read-data", Usage: "verify: read all of it, also where the storage tells"},
			&cli.BoolFlag{Name: "drill", Usage: "verify: also read files of the newest snapshot from the copy, and compare them with the repository's"},
			&cli.BoolFlag{Name: "plan", Aliases: []string{"dry-run", "n"}, Usage: "run: only show what would be done"},
			&cli.BoolFlag{Name: "no-lock", Usage: "status, and run --plan: take no lock, for a repository that cannot be written"},
			&cli.StringFlag{Name: "to-password-file", Usage: "read the twin's password from `FILE`"},
			&cli.StringFlag{Name: "to-password-command", Usage: "take the twin's password from what `COMMAND` prints"},
		},
		BashComplete: completeActions(offsiteActions),
		Action:       func(c *cli.Context) error { return p.dispatchAction(c, offsiteActions) },
	}
}

// withCopies opens the repository under a lock, with its index, and the states of
// all copies in it.
func (p *program) withCopies(c *cli.Context, kind locking, work func(ctx context.Context, r *repo.Repository, store *offsite.Store) error) error {
	return p.withRepository(c, kind, func(ctx context.Context, r *repo.Repository) error {
		if err := loadIndex(ctx, r); err != nil {
			return err
		}
		return work(ctx, r, offsite.NewStore(r, repo.StateOptions{Owner: owner(time.Now()), Version: "russet " + thisVersion().Version}))
	})
}

// eachCopy does something with the copies that are named, or all, one after the
// other. One that fails does not stop the others.
func (p *program) eachCopy(ctx context.Context, store *offsite.Store, names []string, do func(st *offsite.State) error) error {
	if len(names) == 0 {
		all, err := store.Names(ctx)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			p.note("there are no offsite copies; russet offsite add makes one")
		}
		names = all
	}
	var failed []error
	for _, name := range names {
		st, err := store.Load(ctx, name)
		if err == nil {
			err = do(st)
		}
		if ctx.Err() != nil {
			return errors.Join(append(failed, context.Cause(ctx))...)
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(failed...)
}

// copyPlace is where a copy lies, with what is known of its password.
func (p *program) copyPlace(c *cli.Context, config *offsite.Config) (place, error) {
	at, err := p.secondPlaceAt(c, config.Address, toNames)
	if err != nil || at.password.given() {
		return at, err
	}
	// A computer without a keyring, or without this entry, has the other ways.
	if kept, err := keyring.Get(keyringService, twinEntry(config)); err == nil {
		at.password.value = kept
	}
	return at, nil
}

// copyLine says in a line what a copy is, as people may see it: a repository may
// hold addresses that another program put there.
func copyLine(config *offsite.Config) string {
	c := *config
	c.Address = shown(c.Address)
	return visible(c.String())
}

// twinEntry names a twin's entry of the keyring.
func twinEntry(config *offsite.Config) string { return "repository " + config.Repository.String()[:16] }

// withCopy opens a copy beside its source, whose lock ctx is of, and locks it.
func (p *program) withCopy(ctx context.Context, c *cli.Context, r *repo.Repository, config *offsite.Config, kind locking, work func(ctx context.Context, to *repo.Repository) error) error {
	at, err := p.copyPlace(c, config)
	if err != nil {
		return err
	}
	if config.Kind == offsite.Mirror {
		return p.withMirror(ctx, c, r, at, work)
	}
	if c.Bool("save-password") {
		if at.password, err = p.keepPassword(ctx, at, config); err != nil {
			return err
		}
	}
	return p.withPlace(ctx, c, at, kind, work)
}

// withMirror opens a mirror to be read, with the key of its source.
func (p *program) withMirror(ctx context.Context, c *cli.Context, r *repo.Repository, at place, work func(ctx context.Context, to *repo.Repository) error) error {
	be, err := p.openStorage(ctx, at)
	if err != nil {
		return fmt.Errorf("open mirror %s: %w", at, err)
	}
	defer closeBackend(be)
	m, err := r.OpenMirror(ctx, be)
	if err != nil {
		return at.named(err)
	}
	return p.locked(ctx, c, m, at, lockRead, work)
}

// keepPassword finds out a twin's password and puts it into this computer's keyring,
// with that of its storage, where that wants one.
func (p *program) keepPassword(ctx context.Context, at place, config *offsite.Config) (secret, error) {
	var known secret
	err := at.password.unlock(ctx, p, "password of the repository "+visible(at.String()), repo.ErrWrongPassword, func(text string) error {
		known = secret{what: at.password.what, value: text}
		try := at
		try.password = known
		_, done, err := p.openRepository(ctx, try)
		if err == nil {
			done()
		}
		return err
	})
	if err != nil {
		return known, err
	}
	if err := keyring.Set(keyringService, twinEntry(config), known.value); err != nil {
		return known, noKeyring("twin's", "--to-password-", "RUSSET_TO_PASSWORD", err)
	}
	if at.login != nil && at.login.text != "" {
		return known, at.login.keep()
	}
	return known, nil
}

// offsiteRemove is offsite remove.
func (p *program) offsiteRemove(c *cli.Context, args []string) error {
	return p.withCopies(c, lockShared, func(ctx context.Context, _ *repo.Repository, store *offsite.Store) error {
		st, unread := store.Load(ctx, args[0])
		if err := store.Remove(ctx, args[0]); err != nil {
			return err
		}
		if unread == nil {
			_ = keyring.Delete(keyringService, twinEntry(&st.Config)) // there need be neither an entry nor a keyring
		}
		if p.json {
			return p.emit(offsiteMessage{MessageType: "offsite_removed", Name: args[0]})
		}
		_, err := fmt.Fprintf(p.stdout, "removed %s; the copy itself stays as it is\n", visible(args[0]))
		return err
	})
}
