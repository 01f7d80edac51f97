package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"russet/offsite"
	"russet/repo"
)

// offsiteVerifyMessage is what a verification of a copy did.
type offsiteVerifyMessage struct {
	MessageType   string  `json:"message_type" doc:"\"offsite_verify\""`
	Name          string  `json:"name" doc:"of the copy"`
	Small         int     `json:"small" doc:"keys, snapshots and index files that are right"`
	Told          int     `json:"told" doc:"packs whose SHA-256 the storage has kept, and told"`
	Read          int     `json:"read" doc:"packs that were read, by the storage or from there"`
	ReadBytes     int64   `json:"read_bytes" doc:"of those"`
	There         int     `json:"there" doc:"of those, packs that the storage itself read: they were not downloaded"`
	ThereBytes    int64   `json:"there_bytes" doc:"of those"`
	Left          int     `json:"left" doc:"packs whose turn has not come"`
	Bad           int     `json:"bad" doc:"files that are damaged or missing"`
	Packs         int     `json:"packs" doc:"of the copy"`
	NeverProven   int     `json:"never_proven" doc:"packs that no run has proven yet"`
	Snapshots     int     `json:"snapshots" doc:"that stand there"`
	Proven        int     `json:"proven" doc:"of those, all of whose packs are proven"`
	DrillFiles    int     `json:"drill_files,omitempty" doc:"files of the newest snapshot that were compared, with --drill"`
	DrillBytes    int64   `json:"drill_bytes,omitempty" doc:"of those"`
	TotalDuration float64 `json:"total_duration" doc:"seconds"`
}

// offsiteVerify is offsite verify.
func (p *program) offsiteVerify(c *cli.Context, args []string) error {
	share, err := parseShare(c)
	if err != nil {
		return err
	}
	return p.withCopies(c, lockShared, func(ctx context.Context, r *repo.Repository, store *offsite.Store) error {
		return p.eachCopy(ctx, store, args, func(st *offsite.State) error {
			if !p.quiet && !p.json {
				fmt.Fprintf(p.stdout, "%s\n", copyLine(&st.Config))
			}
			return p.withCopy(ctx, c, r, &st.Config, lockRead, func(within context.Context, to *repo.Repository) error {
				copied, err := store.Attach(st, to)
				if err != nil {
					return err
				}
				return p.verifyCopy(ctx, within, store, copied, share, c.Bool("read-data"), c.Bool("drill"))
			})
		})
	})
}

// parseShare reads how much of a copy may be read, of 1.
func parseShare(c *cli.Context) (float64, error) {
	text := c.String("share")
	switch {
	case c.Bool("read-data") && c.IsSet("share"):
		return 0, usageError{"--read-data and --share are both given; which one is meant?"}
	case c.Bool("read-data"):
		return 1, nil
	}
	number, ok := strings.CutSuffix(text, "%")
	percent, err := strconv.ParseFloat(number, 64)
	if legal := percent > 0 && percent <= 100; !ok || err != nil || !legal { // which NaN is not
		return 0, usageError{fmt.Sprintf("--share: %q is no share; 5%% is one", text)}
	}
	return percent / 100, nil
}

// verifyCopy verifies a copy, and saves what is proven then, whatever came of it. ctx is
// that of the source's lock, within that of the copy's.
func (p *program) verifyCopy(ctx, within context.Context, store *offsite.Store, copied *offsite.Copy, share float64, readData, drill bool) error {
	config := &copied.State.Config
	start := time.Now()
	counted := new(repo.Progress)
	var failed error // to print a problem
	show := p.startProgress(func() progress { return progressOf(counted.State()) })
	res, err := copied.Verify(within, offsite.VerifyOptions{
		Now: start, Share: share, ReadData: readData, Progress: counted,
		Save:   func() error { return store.Save(ctx, copied.State) },
		Report: func(problem offsite.Problem) { failed = errors.Join(failed, p.showBadPack(config.Name, problem)) },
	})
	show.stop()
	m := offsiteVerifyMessage{
		MessageType: "offsite_verify", Name: config.Name, Small: res.Small, Told: res.Told, Read: res.Read, ReadBytes: res.ReadBytes, There: res.There, ThereBytes: res.ThereBytes,
		Left: res.Left, Bad: len(res.Problems), Packs: res.Packs, NeverProven: res.NeverProven, Snapshots: res.Snapshots, Proven: res.AllProven,
	}
	whole := err == nil || errors.Is(err, offsite.ErrBad)
	if drill && whole {
		drilled, bad := copied.Drill(within, rand.IntN)
		m.DrillFiles, m.DrillBytes = drilled.Files, drilled.Bytes
		err = errors.Join(err, bad)
	}
	m.TotalDuration = time.Since(start).Seconds()
	// Also after Ctrl-C: the lock is still held, and what was proven stays so.
	ctx, done := lasting(ctx, stopGrace)
	defer done()
	failed = errors.Join(failed, store.Save(ctx, copied.State))
	if whole {
		failed = errors.Join(failed, p.showVerified(m, drill))
	}
	if errors.Is(err, offsite.ErrBad) {
		err = badCopy(config, err)
	}
	return errors.Join(err, failed)
}

// showBadPack prints a pack that is not as it should be.
func (p *program) showBadPack(name string, problem offsite.Problem) error {
	if p.json {
		m := describeProblem(name, problem)
		m.MessageType = "problem"
		return p.emit(m)
	}
	p.console.clear()
	_, err := fmt.Fprintf(p.stdout, "  %v\n", problem)
	return err
}

func (p *program) showVerified(m offsiteVerifyMessage, drill bool) error {
	switch {
	case p.json:
		return p.emit(m)
	case p.quiet:
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "  proven: %s told by the storage, %s (%s) read by it, %s (%s) downloaded", plural(m.Told, "pack"),
		count(int64(m.There)), size(m.ThereBytes), count(int64(m.Read-m.There)), size(m.ReadBytes-m.ThereBytes))
	if m.Left > 0 {
		fmt.Fprintf(&b, "; %s left for the next runs", count(int64(m.Left)))
	}
	fmt.Fprintf(&b, "\n  %s of %s proven", count(int64(m.Proven)), plural(m.Snapshots, "snapshot"))
	if m.NeverProven > 0 {
		fmt.Fprintf(&b, ", %s of %s never yet", count(int64(m.NeverProven)), plural(m.Packs, "pack"))
	}
	if drill {
		fmt.Fprintf(&b, "\n  restored %s, %s, as they are in the repository", plural(m.DrillFiles, "file"), size(m.DrillBytes))
	}
	_, err := fmt.Fprintln(p.stdout, b.String())
	return err
}
