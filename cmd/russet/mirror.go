package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"russet/backend"
	"russet/internal/durable"
	"russet/repo"
)

// mirrorPlanMessage is what a mirror run is going to do.
type mirrorPlanMessage struct {
	MessageType string `json:"message_type" doc:"\"plan\"; again where the source was changed meanwhile"`
	CopyFiles   int    `json:"copy_files" doc:"that the mirror lacks"`
	CopyBytes   int64  `json:"copy_bytes" doc:"of those"`
	Missing     int    `json:"missing_files,omitempty" doc:"of those, that had been there: somebody has removed them from the mirror"`
	AsideFiles  int    `json:"aside_files" doc:"that the source no longer has"`
	AsideBytes  int64  `json:"aside_bytes" doc:"of those"`
	Refuse      bool   `json:"refuse,omitempty" doc:"they are too many to be set aside without --many"`
}

// mirrorMessage sums a mirror run up.
type mirrorMessage struct {
	MessageType   string   `json:"message_type" doc:"\"summary\""`
	CopiedFiles   int      `json:"copied_files" doc:""`
	CopiedBytes   int64    `json:"copied_bytes" doc:""`
	AsideFiles    int      `json:"aside_files" doc:"that the source no longer has, and the mirror keeps aside"`
	AsideBytes    int64    `json:"aside_bytes" doc:"of those"`
	Dropped       int      `json:"dropped_files" doc:"that were set aside long ago and are removed now"`
	Growing       bool     `json:"growing,omitempty" doc:"somebody writes to the source; nothing was set aside"`
	Bad           []string `json:"bad_files,omitempty" doc:"of the source, whose bytes do not match their names; not copied"`
	Held          bool     `json:"held,omitempty" doc:"no new snapshots were copied, since they may need bad files"`
	TotalDuration float64  `json:"total_duration" doc:"seconds"`
}

func (p *program) mirrorVerb() *cli.Command {
	return &cli.Command{
		Name:     "mirror",
		Category: groupCopy,
		Usage:    "keep a second place equal to the repository, without its password",
		UsageText: "russet mirror -r /media/drive/repo --to /media/second/repo --init   # once\n" +
			"russet mirror -r /media/drive/repo --to /media/second/repo\n" +
			"russet mirror -r /media/drive/repo --to sftp:ada@nas:/volume/repo --init  # or s3:\n" +
			"russet mirror --to /media/second/repo --promote  # the original is lost: go on with the mirror",
		Description: "The mirror has the same files, key files too, and opens with the same passwords, at every\n" +
			"instant, also when a run is cut off. Every file is compared with its name while it is copied;\n" +
			"one that is damaged is not copied, but named; new snapshots, which may need it, wait until the\n" +
			"original is mended. What the source no longer has is set aside in the mirror's folder\n" +
			"quarantine, and removed after 30 days: old key files too, when the password was changed.\n" +
			"\n" +
			"The mirror lies in a folder, on a server of SFTP, or in an S3 bucket; REST servers and rclone\n" +
			"have no place for what a mirror must know of itself. It is written to where it is a mirror of\n" +
			"this very repository and nowhere else: where the second drive is not\n" +
			"connected, or something else lies there, it stops. It stops, too, where anybody else has\n" +
			"written to the mirror; what somebody has removed there is copied again, and counted as\n" +
			"missing. Russet only reads a mirror; to go on with it in the place of an\n" +
			"original that is lost, use --promote. Two runs do not write to one mirror at once; on a server\n" +
			"one that was killed is in the way of the next for half an hour.\n" +
			"\n" +
			"A mirror repeats what happens to the original, mistakes too; russet copy makes an independent\n" +
			"second repository.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "to", Usage: "where the mirror lies: the `ADDRESS` of a folder, by SFTP, or in S3"},
			&cli.BoolFlag{Name: "init", Usage: "make a new mirror there"},
			&cli.StringFlag{Name: "keep-aside", Usage: "how long to keep what the source no longer has (30d where it is not given): an `AGE` such as 36h, 90d or 8w"},
			&cli.BoolFlag{Name: "many", Usage: "set aside even more than a fifth of the packs, or more than half of the snapshots"},
			&cli.BoolFlag{Name: "promote", Usage: "make an ordinary repository of the mirror; never use the original again"},
			planFlag(),
		},
		Action: p.mirrorAction,
	}
}

func (p *program) mirrorAction(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	to, err := p.address(c, toNames)
	if err != nil {
		return err
	}
	second, err := p.mirrorPlace(c, to)
	switch {
	case err != nil:
		return err
	case second.address == "":
		return usageError{"mirror wants to know where: --to"}
	case !backend.HoldsMirrors(second.address):
		return usageError{mirrorNowhere + "; russet copy keeps a second repository there"}
	case c.Bool("promote") && (c.Bool("init") || c.Bool("plan")):
		return usageError{"--promote stands alone"}
	case c.Bool("promote"):
		return p.promote(c.Context, second)
	}
	keep, err := keepAside(c)
	if err != nil {
		return err
	}
	source, err := p.mainPlace(c)
	if err != nil {
		return err
	}
	from, err := p.openStorage(c.Context, source)
	if err != nil {
		return fmt.Errorf("open repository %s: %w", source, err)
	}
	defer closeBackend(from)
	if liesWithin(second.address, source.address) {
		return usageError{fmt.Sprintf("a mirror at %s would lie in its own source", second)}
	}
	mirror, err := p.openMirror(c, second, from)
	if err != nil {
		return err
	}
	defer closeBackend(mirror)
	within := c.Context
	if !c.Bool("plan") {
		var done func()
		if within, done, err = occupy(c.Context, second, mirror); err != nil {
			return err
		}
		defer done()
	}
	return unlessGone(c.Context, source, atStorage(p.mirror(within, c, from, mirror, keep)))
}

// mirrorPlace is the place of a mirror, which has no password of its own.
func (p *program) mirrorPlace(c *cli.Context, address string) (at place, err error) {
	at = place{address: address, second: true}
	at.login, err = p.storageLogin(c, address, toNames)
	return at, err
}

// mirrorNowhere says why a place cannot be that of a mirror.
const mirrorNowhere = "REST servers and rclone have no place for what a mirror must know of itself: it lies in a folder, by SFTP, or in S3"

// keepAside is how long a mirror keeps what its source no longer has; zero means
// as long as is usual.
func keepAside(c *cli.Context) (time.Duration, error) {
	if !c.IsSet("keep-aside") {
		return 0, nil
	}
	text := c.String("keep-aside")
	keep, err := parseAge("--keep-aside", text)
	if text == "0" || err == nil && keep < 24*time.Hour {
		err = usageError{"--keep-aside is at least 24h"}
	}
	return keep, err
}

// liesWithin tells whether a folder, which need not be there, is another one or
// lies in it, whatever links lead there.
func liesWithin(inner, outer string) bool {
	inner, ok := backend.LocalFolder(inner)
	outer, also := backend.LocalFolder(outer)
	if !ok || !also {
		return false
	}
	target, err := os.Stat(outer)
	if err != nil {
		return false
	}
	at, err := filepath.Abs(inner)
	if err != nil {
		return false
	}
	for {
		if real, err := filepath.EvalSymlinks(at); err == nil {
			at = real
		}
		if info, err := os.Stat(at); err == nil && os.SameFile(info, target) {
			return true
		}
		above := filepath.Dir(at)
		if above == at {
			return false
		}
		at = above
	}
}

// openMirror opens the place of a mirror, or makes a new one.
func (p *program) openMirror(c *cli.Context, at place, from backend.Backend) (repo.MirrorPlace, error) {
	if c.Bool("init") && c.Bool("plan") {
		return p.imagineMirror(c.Context, at, from)
	}
	if !c.Bool("init") {
		return p.reachMirror(c.Context, at, backend.OpenMirror)
	}
	to, err := p.reachMirror(c.Context, at, backend.Create)
	if errors.Is(err, fs.ErrExist) {
		err = fmt.Errorf("%w: %w", repo.NotEmpty, err)
	}
	if err != nil {
		return nil, err
	}
	if err := repo.InitMirror(c.Context, from, to, time.Now()); err != nil {
		closeBackend(to)
		return nil, err
	}
	return to, nil
}

// reachMirror is reach for the place of a mirror.
func (p *program) reachMirror(ctx context.Context, at place, open opener) (repo.MirrorPlace, error) {
	be, err := p.reach(ctx, at, open)
	if errors.Is(err, backend.ErrNoRepository) {
		err = repo.NoMirror
	}
	if err != nil {
		return nil, fmt.Errorf("open mirror %s: %w", at, err)
	}
	to, ok := be.(repo.MirrorPlace)
	if !ok {
		closeBackend(be)
		return nil, fmt.Errorf("open mirror %s: %w", at, errors.ErrUnsupported)
	}
	return to, nil
}

// occupy keeps a mirror to this run, where it can tell runs apart, within a context
// that ends where it is lost all the same. Nothing is written to what is none.
func occupy(ctx context.Context, at place, be backend.Backend) (within context.Context, done func(), err error) {
	mirror, ok := be.(interface {
		IsMirror(ctx context.Context) (bool, error)
		Occupy(ctx context.Context) (within context.Context, release func(), err error)
	})
	if !ok {
		return ctx, func() {}, nil
	}
	is, err := mirror.IsMirror(ctx)
	if err == nil && !is {
		return ctx, func() {}, nil
	}
	if err == nil {
		within, done, err = mirror.Occupy(ctx)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("open mirror %s: %w", at, mirrorBusy(err))
	}
	return within, done, nil
}

// mirrorBusy marks the error of a mirror that another run has.
func mirrorBusy(err error) error {
	if errors.Is(err, durable.ErrInUse) {
		return situation{err, errMirrorBusy}
	}
	return err
}

// imagineMirror is the new mirror that would be made at a place, for its plan:
// nothing is written there.
func (p *program) imagineMirror(ctx context.Context, at place, from backend.Backend) (repo.MirrorPlace, error) {
	be, err := p.openStorage(ctx, at)
	if err == nil {
		closeBackend(be)
		err = repo.NotEmpty
	}
	if !errors.Is(err, backend.ErrNoRepository) {
		return nil, fmt.Errorf("open mirror %s: %w", at, err)
	}
	to := backend.NewMemory()
	return to, repo.InitMirror(ctx, from, to, time.Now())
}

// mirrorTries is how often a run begins anew since the source was changed.
const mirrorTries = 20

// mirror makes a mirror equal to its source. ctx is that of occupy.
func (p *program) mirror(ctx context.Context, c *cli.Context, from backend.Backend, to repo.MirrorPlace, keep time.Duration) error {
	err := p.mirrorWithin(ctx, c, from, to, keep)
	if lost := context.Cause(ctx); err != nil && errors.Is(lost, durable.ErrInUse) {
		err = lost // "context canceled" hides why
	}
	return mirrorBusy(err)
}

func (p *program) mirrorWithin(ctx context.Context, c *cli.Context, from backend.Backend, to repo.MirrorPlace, keep time.Duration) error {
	counted := new(repo.Progress)
	start := time.Now()
	var sum repo.MirrorResult
	for range mirrorTries {
		plan, err := repo.PlanMirror(ctx, from, to, repo.MirrorOptions{Now: time.Now(), Keep: keep, Many: c.Bool("many")})
		if err != nil {
			return err
		}
		if err := p.showMirrorPlan(plan, c.Bool("plan")); err != nil || c.Bool("plan") {
			return err
		}
		if be, ok := to.(interface {
			CleanTemporary(ctx context.Context) (int, error)
		}); ok {
			_, _ = be.CleanTemporary(ctx) // what a killed run left takes up space, and does no other harm
		}
		show := p.startProgress(func() progress { return progressOf(counted.State()) })
		res, err := plan.Apply(ctx, counted)
		show.stop()
		res.Copied.Files += sum.Copied.Files
		res.Copied.Bytes += sum.Copied.Bytes
		sum = res
		if res.Again && err == nil {
			p.note("the source was changed meanwhile; once more")
			continue
		}
		if err != nil && len(res.Bad) == 0 && !errors.Is(err, repo.ManyRemovals) {
			return err
		}
		return errors.Join(err, p.showMirror(sum, time.Since(start)))
	}
	return fmt.Errorf("mirror: %w", errMoving)
}

func (p *program) showMirrorPlan(plan *repo.MirrorPlan, planOnly bool) error {
	return p.showPlan(plan, mirrorPlanMessage{
		"plan", plan.Copy.Files, plan.Copy.Bytes, plan.Missing.Files, plan.Aside.Files, plan.Aside.Bytes, plan.Refuse,
	}, planOnly)
}

func (p *program) showMirror(res repo.MirrorResult, took time.Duration) error {
	if p.json {
		m := mirrorMessage{
			"summary", res.Copied.Files, res.Copied.Bytes, res.Aside.Files, res.Aside.Bytes, res.Dropped, res.Growing, nil, res.Held, took.Seconds(),
		}
		for _, f := range res.Bad {
			m.Bad = append(m.Bad, f.String())
		}
		return p.emit(m)
	}
	var b strings.Builder
	for _, f := range res.Bad {
		fmt.Fprintf(&b, "not copied, as it is damaged: %s\n", f)
	}
	if res.Held {
		b.WriteString("new snapshots may need that: they were not copied, and the mirror is as whole as it was\n")
	}
	if !p.quiet {
		fmt.Fprintf(&b, "copied %s, %s in %s\n", plural(res.Copied.Files, "file"), size(res.Copied.Bytes), duration(took))
		if res.Growing {
			b.WriteString("somebody writes to the source: nothing was set aside\n")
		}
		if res.Aside.Files > 0 {
			fmt.Fprintf(&b, "set aside %s, %s\n", plural(res.Aside.Files, "file"), size(res.Aside.Bytes))
		}
		if res.Dropped > 0 {
			fmt.Fprintf(&b, "removed %s that had been set aside long ago\n", plural(res.Dropped, "file"))
		}
	}
	_, err := fmt.Fprint(p.stdout, b.String())
	return err
}

// promote makes an ordinary repository of a mirror.
func (p *program) promote(ctx context.Context, at place) error {
	be, err := p.reachMirror(ctx, at, backend.Open)
	if err != nil {
		return err
	}
	defer closeBackend(be)
	marked, ok := be.(interface{ RemoveMark(context.Context) error })
	if !ok {
		return fmt.Errorf("open mirror %s: %w", at, errors.ErrUnsupported)
	}
	_, done, err := occupy(ctx, at, be)
	if err != nil {
		return err
	}
	defer done()
	err = marked.RemoveMark(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		err = repo.NoMirror
	}
	if err != nil {
		return fmt.Errorf("promote mirror %s: %w", at, err)
	}
	if p.json || p.quiet {
		return nil
	}
	_, err = fmt.Fprintf(p.stdout, "%s is an ordinary repository now; never write to the original again\n", visible(at.String()))
	return err
}
