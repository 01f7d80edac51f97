package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"russet/backend"
	"russet/offsite"
	"russet/repo"
)

// offsiteMessage is a copy, as it was added.
type offsiteMessage struct {
	MessageType string   `json:"message_type" doc:"\"offsite_added\"; \"offsite_removed\" after that, with the name alone"`
	Name        string   `json:"name" doc:"its name"`
	Kind        string   `json:"kind,omitempty" doc:"twin or mirror"`
	To          string   `json:"to,omitempty" doc:"its address"`
	Repository  string   `json:"repository,omitempty" doc:"the id of the repository there"`
	Made        bool     `json:"made,omitempty" doc:"there was none"`
	Last        int      `json:"last,omitempty" doc:"how many snapshots of each device are wanted; absent: all"`
	Devices     []string `json:"devices,omitempty" doc:"how the UDIDs begin of the devices that are wanted; absent: all"`
	Tags        []string `json:"tags,omitempty" doc:"of which a snapshot has one that is wanted; absent: all are"`
}

// offsiteAdd is offsite add.
func (p *program) offsiteAdd(c *cli.Context, args []string) error {
	at, err := p.secondPlace(c, toNames)
	if err != nil {
		return err
	}
	config := offsite.Config{Name: args[0], Kind: offsite.Twin, Last: c.Int("last"), Devices: c.StringSlice("device"), Tags: c.StringSlice("tag")}
	if c.Bool("mirror") {
		config.Kind = offsite.Mirror
	}
	if at.address == "" {
		return usageError{"offsite add wants to know where: --to"}
	}
	if folder, ok := backend.LocalFolder(at.address); ok {
		if at.address, err = filepath.Abs(folder); err != nil {
			return err
		}
	} else if config.Kind == offsite.Mirror && !backend.HoldsMirrors(at.address) {
		return usageError{mirrorNowhere + "; without --mirror the copy is a twin"}
	}
	config.Address = at.address
	if err := config.Validate(); err != nil {
		return usageError{err.Error()}
	}
	if source, err := p.repository(c); err != nil || liesWithin(at.address, source) {
		return cmp.Or(err, error(usageError{fmt.Sprintf("a copy at %s would lie in its own source", at)}))
	}
	return p.withCopies(c, lockShared, func(ctx context.Context, r *repo.Repository, store *offsite.Store) error {
		if err := store.Free(ctx, config.Name); err != nil {
			return err
		}
		add := p.addTwin
		if config.Kind == offsite.Mirror {
			add = p.addMirror
		}
		st, made, err := add(ctx, c, r, store, at, config)
		if err != nil {
			return err
		}
		if err := store.Save(ctx, st); err != nil {
			return err
		}
		return p.showAdded(&st.Config, made)
	})
}

func (p *program) showAdded(config *offsite.Config, made bool) error {
	if p.json {
		return p.emit(offsiteMessage{
			"offsite_added", config.Name, string(config.Kind), shown(config.Address), config.Repository.String(), made, config.Last, config.Devices, config.Tags,
		})
	}
	text := fmt.Sprintf("added %s\n", copyLine(config))
	if made && config.Kind == offsite.Twin {
		text += "Keep its password somewhere else too: without it, nothing in there can be read.\n"
	}
	_, err := fmt.Fprintf(p.stdout, "%srusset offsite run %s brings the snapshots there\n", text, config.Name)
	return err
}

// addTwin opens the repository that is to be a twin, or makes it.
func (p *program) addTwin(ctx context.Context, c *cli.Context, r *repo.Repository, store *offsite.Store, at place, config offsite.Config) (st *offsite.State, made bool, err error) {
	be, err := p.openStorage(ctx, at)
	switch {
	case err == nil:
		closeBackend(be)
	case errors.Is(err, backend.ErrNoRepository):
		made = true
		err = p.makeTwin(ctx, r, &at)
	default:
		err = fmt.Errorf("open repository %s: %w", at, err)
	}
	if err != nil {
		return nil, made, err
	}
	err = p.withPlace(ctx, c, at, lockRead, func(ctx context.Context, to *repo.Repository) error {
		if to.ID() == r.ID() {
			return fmt.Errorf("add offsite copy %s: %w", config.Name, errSamePlace)
		}
		p.warnOfCuts(r, to)
		config.Repository = to.ID()
		st, err = store.Create(ctx, config, to)
		return err
	})
	if err == nil && c.Bool("save-password") {
		_, err = p.keepPassword(ctx, at, &config)
	}
	return st, made, err
}

// makeTwin makes an empty repository that cuts files where r does. at gets its
// password, so that nobody is asked twice.
func (p *program) makeTwin(ctx context.Context, r *repo.Repository, at *place) error {
	password, err := at.password.choose(ctx, p, "password of the repository "+visible(at.String()))
	if err != nil {
		return at.named(at.unasked(err))
	}
	twin, err := p.makeRepository(ctx, *at, password, r.Polynomial())
	if err != nil {
		return err
	}
	closeBackend(twin.Backend())
	at.password = secret{what: at.password.what, value: password}
	return nil
}

// addMirror opens the mirror of the repository, or makes an empty one.
func (p *program) addMirror(ctx context.Context, _ *cli.Context, r *repo.Repository, store *offsite.Store, at place, config offsite.Config) (*offsite.State, bool, error) {
	to, err := p.reachMirror(ctx, at, backend.Create)
	if errors.Is(err, fs.ErrExist) {
		to, err = p.reachMirror(ctx, at, backend.Open)
	}
	if err != nil {
		return nil, false, err
	}
	defer closeBackend(to)
	if err := repo.InitMirror(ctx, r.Backend(), to, time.Now()); err != nil {
		return nil, false, err
	}
	config.Repository = r.ID()
	m, err := r.OpenMirror(ctx, to)
	if errors.Is(err, fs.ErrNotExist) { // nothing was put there yet
		m, err = nil, nil
	}
	if err != nil {
		return nil, false, at.named(err)
	}
	st, err := store.Create(ctx, config, m)
	return st, m == nil, err
}
