package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"russet/backend"
	"russet/capture"
	"russet/repo"
)

// restoreMessage is what a restore wrote.
type restoreMessage struct {
	MessageType   string   `json:"message_type" doc:"\"summary\""`
	SnapshotID    string   `json:"snapshot_id" doc:""`
	Target        string   `json:"target" doc:"the folder that was written"`
	FilesRestored int      `json:"files_restored" doc:""`
	FilesLeft     int      `json:"files_left" doc:"of those, files that were there already, with the very content"`
	BytesRestored int64    `json:"bytes_restored" doc:""`
	Failed        []string `json:"failed,omitempty" doc:"files that the repository could not give or that something else is in the way of, by their path in the target; absent when there are none"`
	Original      bool     `json:"original" doc:"every byte is what was backed up; false also where the snapshot was edited"`
	TotalDuration float64  `json:"total_duration" doc:"seconds"`
}

func (p *program) restoreVerb() *cli.Command {
	return &cli.Command{
		Name:      "restore",
		Category:  groupLook,
		Usage:     "write a backup out again, for a phone or to look at",
		ArgsUsage: "SNAPSHOT",
		UsageText: "russet restore latest --target ~/Backups\n" +
			"russet restore 3fa2c1d0 --target ~/Phone --as files\n" +
			"russet restore latest:00008030 --target . --as files --include 'CameraRollDomain/**'",
		Description: "Writes TARGET/<UDID>, the backup folder exactly as it was, encrypted if it was, for Finder,\n" +
			"Apple Devices or idevicebackup2 to restore a phone from. It must not exist; until it is\n" +
			"complete its name ends in .russet-partial.\n" +
			"\n" +
			"With --as files it writes TARGET/<domain>/<path>: the phone's own files, readable, their\n" +
			"times as on the phone. --include and --exclude choose among them by patterns of domain\n" +
			"and path, such as 'HomeDomain/Library/SMS/**': * stands for any part of a name, ? for a\n" +
			"letter, [a-z] for one of several, ** for any number of folders. A pattern that names a\n" +
			"folder means all in it, and one without a slash means any file or folder of that name. What\n" +
			"is excluded is left out even where it is included. Nothing that exists is overwritten: a\n" +
			"file that is there with the very content is left, so that a restore that was cut off can\n" +
			"be run again; one that differs is named, and the rest is restored (exit code 3). A file has\n" +
			"its name when it is whole; what a restore that was killed has left, .russet-partial- and\n" +
			"sixteen digits, is removed by the next one.\n" +
			"\n" +
			"A snapshot that restic made of other things is written to TARGET as restic does, with the\n" +
			"same care.",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "target", Aliases: []string{"t"}, Usage: "write below `DIR`, which is made where it is missing"},
			&cli.StringFlag{Name: "as", Value: "folder", Usage: "write the backup folder (the default), or the phone's files: `folder|files`"},
			&cli.StringSliceFlag{Name: "include", Aliases: []string{"i"}, Usage: "only files that match `PATTERN`"},
			&cli.StringSliceFlag{Name: "exclude", Aliases: []string{"e"}, Usage: "no files that match `PATTERN`"},
		}, readFlags()...),
		Action: p.restore,
	}
}

func (p *program) restore(c *cli.Context) error {
	as, target := c.String("as"), c.String("target")
	include, exclude := c.StringSlice("include"), c.StringSlice("exclude")
	switch {
	case c.NArg() != 1:
		return usageError{"restore wants one snapshot"}
	case target == "":
		return usageError{"restore wants to know where to: --target DIR"}
	case as != "folder" && as != "files":
		return usageError{fmt.Sprintf("--as is folder or files, not %q", as)}
	case as == "folder" && len(include)+len(exclude) > 0:
		return usageError{"--include and --exclude choose among files: they want --as files"}
	}
	choose, err := newSelection(include, exclude)
	if err != nil {
		return err
	}
	return p.withRepository(c, lockRead, func(ctx context.Context, r *repo.Repository) error {
		s, err := p.loadSnapshot(ctx, r, c.Args().First())
		if err != nil {
			return err
		}
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
		root, err := os.OpenRoot(target)
		if err != nil {
			return err
		}
		defer root.Close()
		x := &restoration{p: p, r: r, s: s, root: root, files: as == "files", choose: choose, counted: new(repo.Progress)}
		return x.run(ctx)
	})
}

// restoration is one run of restore.
type restoration struct {
	p       *program
	r       *repo.Repository
	s       *repo.Snapshot
	root    *os.Root
	files   bool // --as files
	choose  *selection
	counted *repo.Progress

	where string // what was written
	note  string // what to know about it
	told  int    // how often failed was called
	res   *capture.Restored
}

func (x *restoration) run(ctx context.Context) error {
	x.where = x.root.Name()
	start := time.Now()
	show := x.p.startProgress(func() progress { return progressOf(x.counted.State()) })
	loose := x.files
	v, err := capture.Open(ctx, x.r, x.s)
	switch {
	case err == nil:
		err = x.device(ctx, v)
	case errors.Is(err, capture.ErrNotDevice):
		loose = true
		err = x.other(ctx)
	}
	show.stop()
	if x.told > maxTold {
		x.p.warn("and so with %s more", plural(x.told-maxTold, "file"))
	}
	if errors.Is(err, repo.ErrDamaged) && !loose {
		return situation{err, errBadFolder}
	}
	if err != nil && loose { // the next run does not begin again, as it does with a backup folder
		return situation{err, errHalfFiles}
	}
	if err != nil {
		return err
	}
	if err := x.show(time.Since(start)); err != nil {
		return err
	}
	if x.res.Files == 0 && len(x.res.Failed) == 0 && !x.choose.everything() {
		x.p.warn("nothing was restored: no file is what --include and --exclude choose")
	}
	if n := len(x.res.Failed); n > 0 {
		return fmt.Errorf("restore: %w: %s could not be restored", errIncomplete, plural(n, "file"))
	}
	return nil
}

// device restores a phone's backup.
func (x *restoration) device(ctx context.Context, v *capture.Version) (err error) {
	opt := capture.RestoreOptions{Progress: x.counted, Failed: x.failed}
	if x.files {
		if err := unreadable(ctx, x.r, x.s); err != nil {
			return fmt.Errorf("restore files of snapshot %s: %w", shortID(x.s), err)
		}
		if !x.choose.everything() {
			opt.Select = x.choose.selects
		}
		x.res, err = v.RestoreFiles(ctx, x.root, opt)
	} else {
		x.where = filepath.Join(x.where, v.UDID)
		x.res, err = v.RestoreFolder(ctx, x.root, opt)
	}
	switch {
	case err != nil:
	case v.Edited:
		x.note = "the snapshot was edited after it was made, so this is not the original"
	case !x.files && !x.res.Original && len(x.res.Failed) == 0:
		x.note = "this is not byte for byte what was backed up"
	}
	return err
}

// other restores what is no phone's backup, as restic would.
func (x *restoration) other(ctx context.Context) error {
	x.res = &capture.Restored{Original: true}
	opt := repo.ExtractOptions{
		Progress: x.counted,
		Failed: func(name string, err error) error {
			if ctx.Err() != nil || backend.IsFull(err) {
				return err
			}
			x.failed(name, err)
			x.res.Failed, x.res.Original = append(x.res.Failed, name), false
			return nil
		},
		Skipped: x.failed,
		Left:    func(string) { x.res.Left++ },
	}
	if !x.choose.everything() {
		opt.Select = func(name string, _ *repo.Node) bool { return x.choose.selects(name, false) }
	}
	err := x.r.Extract(ctx, *x.s.Tree, x.root, opt)
	done := x.counted.State()
	x.res.Files, x.res.Bytes = int(done.Files), done.Bytes
	return err
}

// maxTold bounds what is said of single files: a pack that is lost has
// thousands. --json lists them all.
const maxTold = 20

func (x *restoration) failed(name string, err error) {
	if errors.Is(err, repo.ErrDamaged) && errors.Is(err, fs.ErrNotExist) {
		err = errPackGone // check names it
	}
	if x.told++; x.told <= maxTold {
		x.p.warn("%s: %v", filepath.FromSlash(name), err)
	}
}

func (x *restoration) show(took time.Duration) error {
	switch {
	case x.p.json:
		return x.p.emit(restoreMessage{
			"summary", x.s.ID().String(), x.where, x.res.Files, x.res.Left, x.res.Bytes, x.res.Failed, x.res.Original, took.Seconds(),
		})
	case x.p.quiet:
		return nil
	}
	text := fmt.Sprintf("restored %s, %s, to %s in %s\n", plural(x.res.Files, "file"), size(x.res.Bytes), visible(x.where), duration(took))
	if x.res.Left > 0 {
		text += fmt.Sprintf("there already, with the same content: %s\n", plural(x.res.Left, "file"))
	}
	if x.note != "" {
		text += "note: " + x.note + "\n"
	}
	_, err := fmt.Fprint(x.p.stdout, text)
	return err
}
