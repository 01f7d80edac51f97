package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"russet/backend"
	"russet/capture"
	"russet/device"
	"russet/ios"
	"russet/repo"
)

func (p *program) backupVerb() *cli.Command {
	return &cli.Command{
		Name:      "backup",
		Category:  groupKeep,
		Usage:     "keep the phones that are connected, or the backups that lie on this computer",
		ArgsUsage: "[FOLDER…]",
		UsageText: "russet backup -r /media/drive/repo\n" +
			"russet backup -r /media/drive/repo --device 00008020 --backup-password-file phone.txt\n" +
			"russet backup -r /media/drive/repo ~/Backups\n" +
			"russet backup -r /media/drive/repo FOLDER --incomplete",
		Description: "Without a folder it backs up the phones that are connected, straight into the repository:\n" +
			"nothing else is written, but for the content of an encrypted backup, which waits beside the\n" +
			"repository until its manifest has come. The phone must be unlocked, trust this computer, and\n" +
			"have its passcode entered, at every backup since iOS 16.1. It may be silent for minutes while\n" +
			"it prepares. A backup that is cut off leaves everything that was kept as it was, and the next\n" +
			"one goes on from there. Where no phone is connected, the usual folders are looked through.\n" +
			"\n" +
			"Every backup folder found in the given folders or below them is kept as a snapshot, oldest\n" +
			"first, so that archived ones (UDID-date) become older snapshots of the same phone. The usual\n" +
			"folders are those of Finder, iTunes and Apple Devices. Only what changed since the last\n" +
			"snapshot is read and stored; a backup that is kept already is not kept twice.\n" +
			"\n" +
			"An encrypted backup is opened with the phone's backup password, the one that Finder or\n" +
			"iTunes asked for when encryption was turned on; it is asked for once, and not again for\n" +
			"later backups of the phone. While it is not known, the backup is kept sealed: it can be\n" +
			"restored to a phone, but not looked into, and it does not share space with others. The exit\n" +
			"code is 21 then, also where no password is given and there is no terminal to ask on. Enter\n" +
			"alone at the question keeps it sealed on purpose.",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "device", Usage: "the phone whose `UDID` begins so, and no folder"},
			&cli.BoolFlag{Name: "full", Usage: "have the phone send everything, as if there were no snapshot"},
			&cli.StringFlag{Name: "spool", Usage: "keep what waits for an encrypted backup's manifest in `DIR`, a folder for this repository alone, and not beside the repository"},
			&cli.StringFlag{Name: "record", Usage: "write what the phone and we say, without any content or names, to `FILE`"},
			&cli.StringFlag{Name: "assume-free", Usage: "tell the phone that `SIZE`, such as 200G, is free: it wants as much as it will send, of which less is stored"},
			&cli.BoolFlag{Name: "no-sync-lock", Usage: "do not wait for other programs that sync with the phone"},
			&cli.BoolFlag{Name: "incomplete", Usage: "keep backup folders that were cut off, too, with a tag that says so"},
			&cli.BoolFlag{Name: "force", Usage: "read all files of a folder, also those that did not change, and what is stored of them; store again what is damaged"},
			muxFlag(),
		}, phoneFlags()...),
		Action: func(c *cli.Context) error {
			passwords, err := p.newPhonePasswords(c)
			if err != nil {
				return err
			}
			return p.backup(c, passwords)
		},
	}
}

// haul is what backup is to keep: phones, or else folders.
type haul struct {
	mux     *device.Mux
	phones  []device.Device
	found   []capture.Found
	without error // why there is nothing, or which folders hold nothing
}

// onlyPhones are the flags that mean nothing for folders.
var onlyPhones = []string{"device", "full", "spool", "record", "no-sync-lock", "assume-free"}

// look finds what there is: folders that are named, else phones that are
// connected, else what lies in the usual folders.
func (p *program) look(c *cli.Context) (h haul, err error) {
	folders := c.Args().Slice()
	if len(folders) == 0 {
		h.mux, h.phones, h.without = p.phonesAtHand(c)
		switch {
		case h.without == nil:
			return h, nil
		case !nonePresent(h.without):
			return h, h.without
		case c.IsSet("device") || len(usualPlaces(runtime.GOOS, p.env)) == 0:
			return h, nil
		}
		p.note("%v", h.without)
	}
	for _, name := range onlyPhones {
		if len(folders) > 0 && c.IsSet(name) {
			return h, usageError{"backup keeps folders or a phone, not both at once: --" + name + " is for phones"}
		}
	}
	h.found, h.without = p.findBackups(c.Context, folders)
	return h, nil
}

// backup keeps what there is, and what an earlier run left to be done without
// its phone.
func (p *program) backup(c *cli.Context, passwords *phonePasswords) error {
	h, err := p.look(c)
	if err != nil {
		return err
	}
	place, err := p.repository(c)
	if err != nil {
		return err
	}
	pending := p.pendingRuns(place, c.String("spool"))
	assume, err := parseSize(c.String("assume-free"))
	switch {
	case err != nil:
		return usageError{"--assume-free: " + err.Error()}
	case len(h.phones)+len(h.found) == 0 && !pending:
		return h.without
	case c.String("record") != "" && len(h.phones) != 1:
		return usageError{fmt.Sprintf("--record writes down one phone, and %d are connected: choose with --device", len(h.phones))}
	}
	met := meet(c.Context, h.mux, h.phones)
	defer met.end()
	return p.withRepository(c, lockShared, func(ctx context.Context, r *repo.Repository) error {
		if err := p.loadIndexToAdd(ctx, r, place, c.Bool("force")); err != nil {
			return err
		}
		opt := capture.Options{
			Incomplete: c.Bool("incomplete"), Force: c.Bool("force"), Keys: map[string]ios.ClassKeys{},
			Username: owner(time.Now()).Username, ProgramVersion: "russet " + thisVersion().Version, Now: time.Now,
		}
		var drained int
		var errs []error
		if len(h.phones) > 0 || pending {
			dir, err := p.spoolFolder(place, r.ID().String(), c.String("spool"))
			if err != nil {
				return err
			}
			spool, err := openSpool(dir)
			if err != nil {
				return err
			}
			defer spool.Close()
			record, done, err := openRecord(c.String("record"))
			if err != nil {
				return err
			}
			defer done()
			b := phoneBackup{
				p: p, m: h.mux, met: met, r: r, spool: spool, passwords: passwords, noLock: c.Bool("no-sync-lock"), record: record,
				opt: capture.PhoneOptions{Options: opt, Full: c.Bool("full"), AssumeFree: assume},
			}
			drained, err = b.drain(ctx)
			errs = append(errs, err, b.all(ctx, h.phones))
		}
		errs = append(errs, (&backupRun{p: p, r: r, passwords: passwords, opt: opt}).all(ctx, h.found))
		if len(h.found) > 0 || drained == 0 {
			errs = append(errs, h.without)
		}
		return errors.Join(errs...)
	})
}

// loadIndexToAdd loads the index for a run that adds to the repository, which
// must not rely on what the drive has lost. Elsewhere it looks for that now and
// then only, or if it is forced.
func (p *program) loadIndexToAdd(ctx context.Context, r *repo.Repository, address string, force bool) error {
	if err := loadIndex(ctx, r); err != nil {
		return err
	}
	if _, err := r.CleanTemporary(ctx); err != nil && ctx.Err() == nil {
		p.warn("%v", err) // they cost space, no more
	}
	if ago := time.Since(p.recallPacks(address)); !force && ago >= 0 && ago < lookForPacks {
		return nil
	}
	lost, err := r.DropLost(ctx)
	if err != nil {
		return err
	}
	if lost == 0 {
		p.remember(address, rememberedPacks, "")
	} else {
		p.warn("%s of the repository %s lost or damaged; what the phone's backup still has is stored again, russet check tells the rest",
			plural(lost, "pack"), isAre(lost))
	}
	return nil
}

// findBackups looks for backups in the folders, or else in the usual places.
// Beside what it found it returns an error that names the folders without any.
func (p *program) findBackups(ctx context.Context, folders []string) ([]capture.Found, error) {
	usual := len(folders) == 0
	if usual {
		folders = usualPlaces(runtime.GOOS, p.env)
		p.note("looking for backups in %s", strings.Join(folders, " and "))
	}
	seen := map[string]bool{}
	var all []capture.Found
	var allDenied error
	var without []error
	for _, folder := range folders {
		var denied error
		found, err := capture.Discover(ctx, folder, func(path string, err error) {
			denied = cmp.Or(denied, err)
			allDenied = cmp.Or(allDenied, err)
			p.warn("%v", err)
		})
		if usual && errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			if ctx.Err() != nil {
				return nil, err
			}
			without = append(without, err)
			continue
		}
		if len(found) == 0 && !usual {
			without = append(without, fmt.Errorf("look for backups in %s: %w", folder, cmp.Or(denied, errNoBackup)))
		}
		for _, f := range found {
			if key, err := filepath.Abs(f.Path); err == nil && !seen[key] {
				seen[key] = true
				all = append(all, f)
			}
		}
	}
	if len(all)+len(without) == 0 {
		return nil, cmp.Or(allDenied, errNoBackup)
	}
	capture.SortFound(all)
	return all, errors.Join(without...)
}

// backupRun keeps one folder after the other.
type backupRun struct {
	p         *program
	r         *repo.Repository
	passwords *phonePasswords
	opt       capture.Options
}

// all keeps every folder. What is wrong with one does not keep the others from
// being kept, unless the repository is what is wrong.
func (b *backupRun) all(ctx context.Context, found []capture.Found) error {
	var errs []error
	for _, f := range found {
		err := b.one(ctx, f)
		if err == nil {
			continue
		}
		errs = append(errs, err)
		if ctx.Err() != nil || backend.IsFull(err) || errors.Is(err, repo.ErrDamaged) || errors.Is(err, repo.ErrLockLost) {
			break
		}
	}
	return errors.Join(errs...)
}

func (b *backupRun) one(ctx context.Context, f capture.Found) error {
	root, err := os.OpenRoot(f.Path)
	if err != nil {
		return fmt.Errorf("backup %s: %w", f.Path, err)
	}
	defer root.Close()
	b.p.note("backing up %s", f.Path)
	counted := new(repo.Progress)
	opt := b.opt
	opt.Progress, opt.Password = counted, b.passwords.answerer()
	start := time.Now()
	show := b.p.startProgress(func() progress { return progressOf(counted.State()) })
	res, err := capture.Folder(ctx, b.r, root, filepath.Base(f.Path), opt)
	show.stop()
	if err != nil {
		return fmt.Errorf("backup %s: %w", f.Path, err)
	}
	if err := b.p.showSummary(f.Path, res, time.Since(start)); err != nil {
		return err
	}
	if res.Summary.Unreadable > 0 {
		return fmt.Errorf("backup %s: %w: %s could not be read", f.Path, errIncomplete, plural(res.Summary.Unreadable, "file"))
	}
	if err := b.passwords.outcome(res); err != nil {
		return fmt.Errorf("backup %s: %w", f.Path, err)
	}
	return nil
}

// progressOf is what a package counted, for the display.
func progressOf(s repo.ProgressState) progress {
	return progress{
		Phase: s.Phase, FilesDone: s.Files, FilesTotal: s.TotalFiles,
		BytesDone: s.Bytes, BytesTotal: s.TotalBytes,
	}
}
