package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"russet/backend"
)

// trialMessage is one thing that was tried.
type trialMessage struct {
	MessageType string `json:"message_type" doc:"\"trial\""`
	What        string `json:"what" doc:"was tried"`
	Verdict     string `json:"verdict" doc:"ok, missing (it works without) or FAILED (nothing can be kept there)"`
	Detail      string `json:"detail,omitempty" doc:"what was measured, or what it means"`
}

// trialsMessage sums the trials up.
type trialsMessage struct {
	MessageType string `json:"message_type" doc:"\"summary\""`
	Storage     string `json:"storage" doc:"its address, without a password"`
	Failed      int    `json:"failed" doc:"trials"`
	Left        int    `json:"left_files" doc:"that could not be removed again"`
	LeftAt      string `json:"left_at,omitempty" doc:"where those are, or empty folders that could not be removed"`
}

// errUnfit says that a storage does not do what a repository relies on.
var errUnfit = errors.New("it does not do what a repository relies on")

func (p *program) validateStorageVerb() *cli.Command {
	return &cli.Command{
		Name:      "validate-storage",
		Category:  groupKeep,
		Usage:     "try whether a repository can be kept somewhere, and how fast",
		ArgsUsage: "[ADDRESS]",
		UsageText: "russet validate-storage /media/drive\n" +
			"russet validate-storage sftp:ada@nas:/backups\n" +
			"russet validate-storage s3:https://s3.example.org/bucket --save-password\n" +
			"russet validate-storage -r rest:https://backup.example.org/ada/",
		Description: "Saves, reads, lists and removes files of its own in a new folder below ADDRESS, where there\n" +
			"may be a repository or not, and says what works: ok, missing (it works without, and what that\n" +
			"means), or FAILED: then nothing should be kept there, and the exit code is 1. A full storage\n" +
			"ends it with exit code 23. It needs no password of a repository. What it saved is removed\n" +
			"again; where nothing may be removed it says what is left, which is some 17 MiB.\n" +
			"\n" +
			"With --save-password the user and password that were typed, or given otherwise, are put into\n" +
			"this computer's keyring once the storage has taken them; no verb asks for them then.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "save-password", Usage: "keep the storage's user and password in this computer's keyring"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() > 1 {
				return usageError{"validate-storage takes one address"}
			}
			address := c.Args().First()
			if address == "" {
				var err error
				if address, err = p.repository(c); err != nil {
					return err
				}
			}
			login, err := p.storageLogin(c, address, ownNames)
			if err != nil {
				return err
			}
			return p.validateStorage(c.Context, place{address: address, login: login}, c.Bool("save-password"))
		},
	}
}

// validateStorage tries a place below the one that is given.
func (p *program) validateStorage(ctx context.Context, at place, save bool) error {
	be, err := p.openStorage(ctx, at)
	if err == nil {
		closeBackend(be)
	} else if !errors.Is(err, backend.ErrNoRepository) { // an address without a bucket, say, with which that below it would be one
		return fmt.Errorf("try the storage %s: %w", at, err)
	}
	below := at
	below.address = strings.TrimRight(at.address, `/\`) + "/russet-trial-" + strings.ToLower(rand.Text()[:10])
	if be, err = p.createStorage(ctx, below); err != nil {
		return fmt.Errorf("try the storage %s: %w", at, err)
	}
	t := &trial{be: be, show: p.showTrial}
	err = t.run(ctx)
	clean, done := lasting(ctx, stopGrace) // what was saved must not stay because somebody is tired of waiting
	defer done()
	left, removeErr := t.remove(clean)
	emptied := left == 0 && discard(clean, below, be) == nil
	closeBackend(be)
	if err = cmp.Or(err, removeErr); err != nil {
		return fmt.Errorf("try the storage %s: %w", at, atStorage(err))
	}
	m := trialsMessage{MessageType: "summary", Storage: at.String(), Failed: t.bad, Left: left}
	if !emptied {
		m.LeftAt = below.String()
	}
	if err := p.showTrials(m); err != nil {
		return err
	}
	if t.bad > 0 {
		return fmt.Errorf("try the storage %s: %w", at, errUnfit)
	}
	if save {
		return at.login.keep()
	}
	return nil
}

// discard removes the folders of a place that is empty.
func discard(ctx context.Context, at place, be backend.Backend) error {
	if folder, ok := backend.LocalFolder(at.address); ok {
		closeBackend(be) // on Windows nothing open is removed; closing twice does no harm
		return os.RemoveAll(folder)
	}
	return backend.Discard(ctx, be)
}

func (p *program) showTrial(r trialResult) error {
	if p.json {
		return p.emit(trialMessage{"trial", r.what, string(r.verdict), r.detail})
	}
	if p.quiet && r.verdict == verdictOK {
		return nil
	}
	line := fmt.Sprintf("%-8s%s", r.verdict, r.what)
	if r.detail != "" {
		line += ": " + r.detail
	}
	_, err := fmt.Fprintln(p.stdout, visible(line))
	return err
}

func (p *program) showTrials(m trialsMessage) error {
	if p.json {
		return p.emit(m)
	}
	var text strings.Builder
	switch {
	case m.Left > 0:
		fmt.Fprintf(&text, "left there: %s in %s\n", plural(m.Left, "file"), visible(m.LeftAt))
	case m.LeftAt != "":
		fmt.Fprintf(&text, "left there: empty folders in %s\n", visible(m.LeftAt))
	}
	if m.Failed == 0 && !p.quiet {
		fmt.Fprintf(&text, "a repository can be kept in %s\n", visible(m.Storage))
	}
	_, err := fmt.Fprint(p.stdout, text.String())
	return err
}
