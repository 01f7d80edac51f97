package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"russet/backend"
	"russet/repo"
)

// problemMessage is one thing that a check found.
type problemMessage struct {
	MessageType string   `json:"message_type" doc:"\"problem\""`
	Kind        string   `json:"kind" doc:"in two or three words"`
	Harmless    bool     `json:"harmless" doc:"it is no damage"`
	File        string   `json:"file,omitempty" doc:"of the repository"`
	Blob        string   `json:"blob,omitempty" doc:"the id of a piece of content"`
	Path        string   `json:"path,omitempty" doc:"of a file or folder in snapshots that the damage costs"`
	Snapshots   []string `json:"snapshots,omitempty" doc:"the ids of those"`
	Error       string   `json:"error,omitempty" doc:"in words"`
}

// checkMessage sums a check up.
type checkMessage struct {
	MessageType   string  `json:"message_type" doc:"\"summary\""`
	NumErrors     int     `json:"num_errors" doc:"problems that are damage; 0 is what everybody wants"`
	NumNotes      int     `json:"num_notes" doc:"problems that are none"`
	NumAffected   int     `json:"num_affected" doc:"files and folders that the damage costs"`
	Snapshots     int     `json:"snapshots" doc:""`
	Trees         int     `json:"trees" doc:"folders, each counted once"`
	Packs         int     `json:"packs" doc:""`
	PackBytes     int64   `json:"pack_bytes" doc:"of all packs"`
	PacksRead     int     `json:"packs_read" doc:"as a whole, with --read-data or --read-data-subset"`
	BytesRead     int64   `json:"bytes_read" doc:"of those"`
	PacksRecent   int     `json:"packs_verified_recently" doc:"not read, as they were verified within --max-age"`
	Unreferenced  int     `json:"unreferenced_packs" doc:"left by runs that were cut off; harmless"`
	TotalDuration float64 `json:"total_duration" doc:"seconds"`
}

func (p *program) checkVerb() *cli.Command {
	return &cli.Command{
		Name:     "check",
		Category: groupCare,
		Usage:    "find out whether the repository is whole",
		UsageText: "russet check -r /media/drive/repo\n" +
			"russet check -r /media/drive/repo --read-data            # reads all of it: takes long\n" +
			"russet check -r /media/drive/repo --read-data-subset 5%  # so much of it each time\n" +
			"russet check -r /media/drive/repo --read-data-subset 2/7 # on the second of seven days\n" +
			"russet check -r /media/drive/repo --max-age 30d          # what was not read for 30 days",
		Description: "Looks at everything that one thing in the repository says of another: the index, all\n" +
			"snapshots and all their folders, and that all content is there and has its length. With\n" +
			"--read-data it reads the content as well, opens it and compares every hash; so it finds what\n" +
			"a drive has changed without a word. Where something is lost, it names the files that need it.\n" +
			"\n" +
			"Whenever content is read and found right, that is noted beside the repository, on its drive.\n" +
			"--max-age 30d reads only what was not for so long, and with a subset of 10G no more than that\n" +
			"of it; so everything is read once a month, however often the check is cut off.\n" +
			"\n" +
			"It holds the lock that keeps everybody else out; where locks cannot be removed again, as with\n" +
			"credentials that may only append, one that lets others add.",
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "read-data", Usage: "read all content"},
			&cli.StringFlag{Name: "read-data-subset", Usage: "read some content: the N-th of T parts, a share such as 5%, or a size such as 10G, " +
				"given as `N/T, X% or SIZE`"},
			&cli.StringFlag{Name: "max-age", Usage: "read all content, or of the subset, that was not verified for `AGE`, such as 12h, 30d or 8w"},
		}, readFlags()...),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			opt, err := checkOptions(c)
			if err != nil {
				return err
			}
			place, err := p.repository(c)
			if err != nil {
				return err
			}
			return p.withRepository(c, lockCheck, func(ctx context.Context, r *repo.Repository) error {
				return p.check(ctx, r, opt, p.readVerified(r, place), !c.Bool("no-lock"))
			})
		},
	}
}

// checkOptions reads how far the check goes.
func checkOptions(c *cli.Context) (opt repo.CheckOptions, err error) {
	if c.IsSet("max-age") {
		if c.Bool("read-data") {
			return opt, usageError{"--read-data and --max-age are both given; which one is meant?"}
		}
		if opt.MaxAge, err = parseAge("--max-age", c.String("max-age")); err != nil {
			return opt, err
		}
	}
	opt.Read, err = subsetOf(c)
	return opt, err
}

// subsetOf reads what content is to be read.
func subsetOf(c *cli.Context) (repo.Subset, error) {
	text := c.String("read-data-subset")
	switch {
	case c.Bool("read-data") && text != "":
		return repo.Subset{}, usageError{"--read-data and --read-data-subset are both given; which one is meant?"}
	case c.Bool("read-data"):
		return repo.AllPacks(), nil
	case text == "":
		return repo.Subset{}, nil
	}
	s, err := repo.ParseSubset(text)
	if err != nil {
		return s, usageError{"--read-data-subset: " + err.Error()}
	}
	return s, nil
}

// check checks the repository, and notes what it has verified unless nothing may
// be written.
func (p *program) check(ctx context.Context, r *repo.Repository, opt repo.CheckOptions, verified *verifiedFile, note bool) error {
	counted := new(repo.Progress)
	start := time.Now()
	opt.Progress, opt.Verified, opt.Now = counted, verified.dates, start
	if note {
		opt.Save = verified.save
	}
	show := p.startProgress(func() progress { return progressOf(counted.State()) })
	var failed error // to print a problem
	found, again := map[repo.ProblemKind]bool{}, ""
	opt.Report = func(problem repo.Problem) {
		found[problem.Kind] = true
		if backend.IsUnreadable(problem.Err) {
			again = readAgainHint
		}
		failed = errors.Join(failed, p.showProblem(problem))
	}
	res, err := r.Check(ctx, opt)
	show.stop()
	if note && res.PacksRead > 0 {
		verified.save()
	}
	if ctx.Err() != nil {
		return err
	}
	if failed == nil {
		failed = p.showCheck(res, time.Since(start))
	}
	if res.Errors > 0 && errors.Is(err, repo.ErrDamaged) { // else it could not be read
		mirror, _ := isMirror(ctx, r) // the hint is of use without
		err = remedied{fmt.Errorf("check repository: %s found: %w", plural(res.Errors, "problem"), errProblems), again + hintFor(found, mirror)}
	}
	return errors.Join(err, failed)
}

func (p *program) showProblem(problem repo.Problem) error {
	if p.json {
		m := problemMessage{
			MessageType: "problem", Kind: problem.Kind.String(), Harmless: problem.Kind.Note(), Path: problem.Path,
		}
		if problem.File != (backend.File{}) {
			m.File = problem.File.String()
		}
		if !problem.Blob.ID.IsZero() {
			m.Blob = problem.Blob.ID.String()
		}
		for _, id := range problem.Snapshots {
			m.Snapshots = append(m.Snapshots, id.String())
		}
		if problem.Err != nil {
			m.Error = problem.Err.Error()
		}
		return p.emit(m)
	}
	if problem.Kind.Note() && p.quiet {
		return nil
	}
	p.console.clear()
	_, err := fmt.Fprintln(p.stdout, visible(problem.String()))
	return err
}

func (p *program) showCheck(res repo.CheckResult, took time.Duration) error {
	switch {
	case p.json:
		return p.emit(checkMessage{
			"summary", res.Errors, res.Notes, res.Affected, res.Snapshots, res.Trees, res.Packs, res.PackBytes,
			res.PacksRead, res.BytesRead, res.PacksRecent, res.Unreferenced, took.Seconds(),
		})
	case p.quiet:
		return nil
	}
	text := fmt.Sprintf("checked %s, %s, %s of content in %s\n", plural(res.Snapshots, "snapshot"),
		plural(res.Trees, "folder"), size(res.PackBytes), duration(took))
	if res.PacksRead > 0 {
		text += fmt.Sprintf("read %s of it\n", size(res.BytesRead))
	}
	if res.PacksRecent > 0 {
		text += fmt.Sprintf("%s of %s verified recently enough\n", count(int64(res.PacksRecent)), plural(res.Packs, "pack"))
	}
	if res.Errors == 0 {
		text += "no damage was found\n"
	}
	_, err := fmt.Fprint(p.stdout, text)
	return err
}
