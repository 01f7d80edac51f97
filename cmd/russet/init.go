package main

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/urfave/cli/v2"

	"russet/backend"
	"russet/chunk"
	"russet/repo"
)

// initMessage tells of a new repository, under restic's names.
type initMessage struct {
	MessageType string `json:"message_type" doc:"\"initialized\""`
	ID          string `json:"id" doc:"the repository's"`
	Repository  string `json:"repository" doc:"its place"`
}

func (p *program) initVerb() *cli.Command {
	return &cli.Command{
		Name:     "init",
		Category: groupKeep,
		Usage:    "make a repository",
		UsageText: "russet init -r /media/drive/repo\n" +
			"russet init -r D:\\repo --password-file C:\\Users\\jo\\russet.txt\n" +
			"russet init -r /media/second/repo --from-repo /media/drive/repo --copy-chunker-params",
		Description: "Makes an empty repository in a folder that is new or holds no repository, in restic's\n" +
			"format, version 2. The password is asked for twice on the terminal, unless it is given\n" +
			"otherwise. All that is kept is sealed with it: without the password nobody, you included,\n" +
			"can read the repository. Write it down somewhere else.\n" +
			"\n" +
			"With --copy-chunker-params files will be cut at the same places as in the repository of\n" +
			"--from-repo, so that copies between the two (russet copy) share their content.",
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "copy-chunker-params", Usage: "cut files where the repository of --from-repo does"},
		}, fromFlags()...),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			return p.initRepository(c)
		},
	}
}

func (p *program) initRepository(c *cli.Context) error {
	at, err := p.mainPlace(c)
	if err != nil {
		return err
	}
	be, err := p.openStorage(c.Context, at)
	if err == nil {
		closeBackend(be)
		err = errRepositoryExists
	} else if !isRemote(at.address) || errors.Is(err, backend.ErrNoRepository) {
		err = nil // what is wrong with a folder shows when it is made
	}
	if err != nil {
		return fmt.Errorf("make repository %s: %w", at, err)
	}
	// Before anything is written: without a password nothing is left behind.
	password, err := at.password.choose(c.Context, p, "password of the repository "+visible(at.String()))
	if err != nil {
		return err
	}
	opt := repo.InitOptions{Cost: p.cost(), Owner: owner(time.Now())}
	if opt.Polynomial, err = p.chunkerOf(c); err != nil {
		return err
	}
	if be, err = p.createStorage(c.Context, at); err != nil {
		return fmt.Errorf("make repository %s: %w", at, err)
	}
	defer closeBackend(be)
	r, err := repo.Init(c.Context, be, password, opt)
	if errors.Is(err, fs.ErrExist) {
		err = situation{err, errLeftovers}
	}
	if err != nil {
		return fmt.Errorf("make repository %s: %w", at, err)
	}
	id := r.ID().String()
	switch {
	case p.json:
		return p.emit(initMessage{"initialized", id, at.String()})
	case p.quiet:
		return nil
	}
	_, err = fmt.Fprintf(p.stdout, "made repository %.8s in %s\n"+
		"Keep its password somewhere else too: without it, nothing in there can be read.\n", id, visible(at.String()))
	return err
}

// chunkerOf says where a new repository cuts files: as --copy-chunker-params has
// it, or 0 for places of its own.
func (p *program) chunkerOf(c *cli.Context) (chunk.Pol, error) {
	from, err := p.secondPlace(c, fromNames)
	switch {
	case err != nil:
		return 0, err
	case !c.Bool("copy-chunker-params") && (c.IsSet("from-repo") || c.IsSet("from-repository-file")):
		return 0, usageError{"--from-repo is given without --copy-chunker-params"}
	case !c.Bool("copy-chunker-params"):
		return 0, nil
	case from.address == "":
		return 0, usageError{"--copy-chunker-params wants a --from-repo"}
	}
	r, done, err := p.openRepository(c.Context, from)
	if err != nil {
		return 0, err
	}
	defer done()
	return r.Polynomial(), nil
}
