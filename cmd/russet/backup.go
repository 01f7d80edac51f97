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
	"russet/ios"
	"russet/repo"
)

func (p *program) backupVerb() *cli.Command {
	return &cli.Command{
		Name:      "backup",
		Category:  groupKeep,
		Usage:     "keep the phone backups that lie on this computer",
		ArgsUsage: "[FOLDER…]",
		UsageText: "russet backup -r /media/drive/repo\n" +
			"russet backup -r /media/drive/repo ~/Backups --backup-password-file phone.txt\n" +
			"russet backup -r /media/drive/repo FOLDER --incomplete",
		Description: "Keeps every backup folder found in the given folders or below them as a snapshot, oldest\n" +
			"first, so that archived ones (UDID-date) become older snapshots of the same phone. Without\n" +
			"a folder it looks where Finder, iTunes and Apple Devices put theirs. Only what changed since\n" +
			"the last snapshot is read and stored; a backup that is kept already is not kept twice.\n" +
			"\n" +
			"An encrypted backup is opened with the phone's backup password, the one that Finder or\n" +
			"iTunes asked for when encryption was turned on; it is asked for once, and not again for\n" +
			"later backups of the phone. While it is not known, the backup is kept sealed: it can be\n" +
			"restored to a phone, but not looked into, and it does not share space with others.",
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "incomplete", Usage: "keep backups that were cut off, too, with a tag that says so"},
			&cli.BoolFlag{Name: "force", Usage: "read all files, also those that did not change, and what is stored of them; store again what is damaged"},
		}, phoneFlags()...),
		Action: func(c *cli.Context) error {
			passwords, err := p.newPhonePasswords(c)
			if err != nil {
				return err
			}
			found, err := p.findBackups(c.Context, c.Args().Slice())
			if err != nil {
				return err
			}
			return p.withRepository(c, lockShared, func(ctx context.Context, r *repo.Repository) error {
				if err := p.loadIndexToAdd(ctx, r); err != nil {
					return err
				}
				b := backupRun{p: p, r: r, passwords: passwords, opt: capture.Options{
					Incomplete: c.Bool("incomplete"), Force: c.Bool("force"), Keys: map[string]ios.ClassKeys{},
					Username: owner(time.Now()).Username, ProgramVersion: "russet " + thisVersion().Version, Now: time.Now,
				}}
				return b.all(ctx, found)
			})
		},
	}
}

// loadIndexToAdd loads the index for a run that adds to the repository, which
// must not rely on what the drive has lost.
func (p *program) loadIndexToAdd(ctx context.Context, r *repo.Repository) error {
	if err := loadIndex(ctx, r); err != nil {
		return err
	}
	lost, err := r.DropLost(ctx)
	if err != nil {
		return err
	}
	if lost > 0 {
		p.warn("%s of the repository %s lost or damaged; what the phone's backup still has is stored again, russet check tells the rest",
			plural(lost, "pack"), isAre(lost))
	}
	return nil
}

// findBackups looks for backups in the folders, or else in the usual places.
func (p *program) findBackups(ctx context.Context, folders []string) ([]capture.Found, error) {
	usual := len(folders) == 0
	if usual {
		if folders = usualPlaces(runtime.GOOS, p.env); len(folders) == 0 {
			return nil, usageError{"backup wants a folder: programs on this system have no usual place for phone backups"}
		}
		p.note("looking for backups in %s", strings.Join(folders, " and "))
	}
	seen := map[string]bool{}
	var all []capture.Found
	var denied error
	for _, folder := range folders {
		found, err := capture.Discover(ctx, folder, func(path string, err error) {
			denied = cmp.Or(denied, err)
			p.warn("%v", err)
		})
		if usual && errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if len(found) == 0 && !usual {
			return nil, fmt.Errorf("look for backups in %s: %w", folder, cmp.Or(denied, errNoBackup))
		}
		for _, f := range found {
			if key, err := filepath.Abs(f.Path); err == nil && !seen[key] {
				seen[key] = true
				all = append(all, f)
			}
		}
	}
	if len(all) == 0 {
		return nil, cmp.Or(denied, errNoBackup)
	}
	capture.SortFound(all)
	return all, nil
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
	switch {
	case res.Summary.Unreadable > 0:
		return fmt.Errorf("backup %s: %w: %s could not be read", f.Path, errIncomplete, plural(res.Summary.Unreadable, "file"))
	case res.Snapshot.HasTag(capture.TagSealed) && b.passwords.wrong:
		return fmt.Errorf("backup %s: kept sealed: %w", f.Path, ios.ErrWrongPassword)
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
