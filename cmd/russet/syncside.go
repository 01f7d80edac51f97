package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"github.com/zalando/go-keyring"

	"russet/capture"
	"russet/dav"
	"russet/merge"
	"russet/reconcile"
	"russet/records"
	"russet/repo"
	"russet/vdir"
)

// The sorts of collections, as they stand before a colon.
const (
	folderScheme  = "folder:"
	carddavScheme = "carddav:"
	caldavScheme  = "caldav:"
)

// keyringService is the name under which passwords of servers lie in a keyring.
const keyringService = "russet"

// davKind is the sort of collection on a server that holds a kind of records.
func davKind(kind records.Kind) dav.Kind {
	if kind == records.Contacts {
		return dav.AddressBook
	}
	return dav.Calendar
}

// serverAddress is the address of a collection on a server, and whether it is one.
func serverAddress(place string) (string, bool) {
	for _, scheme := range []string{carddavScheme, caldavScheme} {
		if address, ok := strings.CutPrefix(place, scheme); ok {
			return address, true
		}
	}
	return "", false
}

// openSide opens one side of a sync, by its place in the configuration.
func (p *program) openSide(ctx context.Context, c *cli.Context, place string, config *reconcile.Config) (reconcile.Side, error) {
	if dir, ok := strings.CutPrefix(place, folderScheme); ok {
		return vdir.Open(dir, vdirKind(config.Kind)) // never closed: it is used to the end of the program
	}
	address, ok := serverAddress(place)
	if !ok {
		return nil, fmt.Errorf("open %q: it is neither a folder nor on a server", place)
	}
	var side *dav.Collection
	err := p.withServer(ctx, c, address, config.User, func(o dav.Options) (err error) {
		side, err = dav.Open(ctx, o, address, davKind(config.Kind))
		return err
	})
	if err != nil {
		return nil, err
	}
	return side, nil
}

// withServer finds out the password of a server and tries it.
func (p *program) withServer(ctx context.Context, c *cli.Context, address, user string, try func(dav.Options) error) error {
	password := secret{
		what:    "server's password",
		command: c.String("server-password-command"), file: c.String("server-password-file"),
	}
	password, err := password.orEnvironment(p.env, "--server-password-", []string{ourPrefix}, "SERVER_PASSWORD")
	if err != nil {
		return err
	}
	if !password.given() {
		// A computer without a keyring, or without this entry, has the other ways.
		if kept, err := keyring.Get(keyringService, keyringUser(address, user)); err == nil {
			password.value = kept
		}
	}
	if user == "" && !password.given() {
		return try(dav.Options{}) // a server that asks nobody
	}
	label := "password of " + visible(user) + " at " + visible(hostOf(address))
	err = password.unlock(ctx, p, label, merge.ErrDenied, func(text string) error {
		err := try(dav.Options{User: user, Password: text})
		if err == nil && asked(c, "save-password") {
			if err = keyring.Set(keyringService, keyringUser(address, user), text); err != nil {
				err = noKeyring("server's", "--server-password-", "RUSSET_SERVER_PASSWORD", err)
			}
		}
		return err
	})
	if errors.Is(err, errNoPassword) {
		err = situation{err, errServerPassword}
	}
	return err
}

// keyringUser names an entry of the keyring.
func keyringUser(address, user string) string { return user + " at " + hostOf(address) }

// hostOf is the host of an address of a server or an account.
func hostOf(address string) string {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		return u.Host
	}
	if _, host, ok := strings.Cut(address, "@"); ok {
		return host
	}
	return address
}

// vdirKind is the sort of folder that holds a kind of records.
func vdirKind(kind records.Kind) vdir.Kind {
	if kind == records.Contacts {
		return vdir.VCards
	}
	return vdir.ICalendars
}

// openSync opens a sync with both of its sides. A phone's records come from the
// snapshot that is named, or from the newest.
func (p *program) openSync(ctx context.Context, c *cli.Context, r *repo.Repository, store *reconcile.RepoStore, o order) (*reconcile.Sync, error) {
	name, snapshot := o.name, o.snapshot
	status, err := reconcile.ReadStatus(ctx, store, name)
	if err != nil {
		return nil, err
	}
	config := &status.Config
	var source reconcile.Source
	if config.Device == "" {
		if snapshot != "" {
			return nil, usageError{"--snapshot is for syncs from a phone"}
		}
		source.Side, err = p.openSide(ctx, c, config.Source, config)
	} else {
		source, err = p.phoneSource(ctx, r, config, snapshot)
	}
	if err != nil {
		return nil, fmt.Errorf("open the source of sync %s: %w", name, err)
	}
	target, err := p.openSide(ctx, c, config.Target, config)
	if err != nil {
		return nil, fmt.Errorf("open the target of sync %s: %w", name, err)
	}
	who := owner(time.Now())
	return reconcile.Open(ctx, store, name, source, target, reconcile.Options{Host: who.Hostname, PID: os.Getpid(), Time: who.Time, Progress: o.progress})
}

// phoneSource is a phone's snapshot, of which the records that a sync takes are read
// when they are wanted.
func (p *program) phoneSource(ctx context.Context, r *repo.Repository, config *reconcile.Config, name string) (reconcile.Source, error) {
	s, err := p.sourceSnapshot(ctx, r, config.Device, name)
	if err != nil {
		return reconcile.Source{}, err
	}
	files, err := phoneFiles(ctx, r, s)
	if err != nil {
		return reconcile.Source{}, err
	}
	blobs, err := storeBlobs(files, config.Kind)
	if err != nil {
		return reconcile.Source{}, err
	}
	udid, _ := capture.UDID(s)
	v := thisVersion()
	return reconcile.Source{
		Origin: reconcile.Origin{UDID: udid, Time: s.Time, Tree: *s.Tree},
		Print:  strings.Join([]string{blobs, v.Version, v.Revision}, " "), // another program may read them otherwise
		Read: func(ctx context.Context) (*records.Set, error) {
			set, err := readRecords(ctx, r, s, config.Kind)
			if err != nil {
				return nil, err
			}
			if s.HasTag(capture.TagIncomplete) {
				set.Complete = false // what is missing from it may be on the phone
			}
			for _, problem := range set.Problems {
				p.warn("%s", problemText(problem))
			}
			return set, nil
		},
	}, nil
}

// sourceSnapshot is the snapshot of a device that is named, or the newest one that
// can be read.
func (p *program) sourceSnapshot(ctx context.Context, r *repo.Repository, device, name string) (*repo.Snapshot, error) {
	if name != "" {
		s, err := p.loadSnapshot(ctx, r, name)
		if err == nil && !isOf(s, device) {
			err = fmt.Errorf("take snapshot %s: %w", shortID(s), errOtherDevice)
		}
		return s, err
	}
	all, damaged, err := allSnapshots(ctx, r)
	if err != nil {
		return nil, err
	}
	if damaged != nil {
		p.warn("%v", damaged)
	}
	if all, err = ofDevice(all, device); err != nil {
		return nil, err
	}
	for _, s := range slices.Backward(all) {
		if !s.HasTag(capture.TagIncomplete) && unreadable(ctx, r, s) == nil {
			return s, nil
		}
	}
	return nil, fmt.Errorf("look for a snapshot of the device that can be read: %w", repo.ErrNotFound)
}

// absoluteFolder makes the place of a folder one that does not depend on where the
// program is started.
func absoluteFolder(place string) (string, error) {
	dir, ok := strings.CutPrefix(place, folderScheme)
	if !ok {
		return place, nil
	}
	if dir == "" {
		return "", usageError{"folder: wants the name of a folder behind it"}
	}
	dir, err := filepath.Abs(dir)
	return folderScheme + dir, err
}
