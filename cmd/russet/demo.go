package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"russet/backend"
	"russet/capture"
	"russet/device"
	"russet/device/sim"
	"russet/device/sim/agent"
	"russet/device/sim/phone"
	"russet/ios"
	"russet/repo"
)

// demoMessage is one step of the demonstration.
type demoMessage struct {
	MessageType string  `json:"message_type" doc:"\"step\""`
	Step        string  `json:"step" doc:"what was done"`
	Outcome     string  `json:"outcome" doc:"in words; not to be parsed"`
	Seconds     float64 `json:"seconds" doc:"that it took"`
}

func (p *program) demoVerb() *cli.Command {
	return &cli.Command{
		Name:     "demo",
		Category: groupSelf,
		Usage:    "show the main job on a phone made of software",
		UsageText: "russet demo\n" +
			"russet demo --keep DIR   # and look at it afterwards",
		Description: "Makes up a small iPhone and speaks to it as to a real one: pairs with it, makes a\n" +
			"repository, backs it up, lets a day pass on the phone, backs it up again, checks the\n" +
			"repository, restores both versions, and compares every file with what the phone held on\n" +
			"that day. No phone, no network and no existing file is touched.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "keep", Usage: "work in the new folder `DIR`, and leave it there; the repository's password is demo"},
		},
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			return p.demo(c.Context, c.String("keep"))
		},
	}
}

// demoPassword is that of the demonstration's repository.
const demoPassword = "demo"

// demonstration is one run of the demo.
type demonstration struct {
	p     *program
	dir   string
	sim   *sim.Device
	phone *device.Phone
	r     *repo.Repository
	shots []*repo.Snapshot
}

func (p *program) demo(ctx context.Context, keep string) (err error) {
	dir := keep
	if keep == "" {
		if dir, err = os.MkdirTemp("", "russet-demo-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	} else if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	d := &demonstration{p: p, dir: dir}
	ctx, cancel := context.WithCancel(ctx)
	served := make(chan error, 1)
	mux, err := d.begin(ctx, served)
	if err != nil {
		cancel()
		return fmt.Errorf("demo: %w", err)
	}
	err = d.steps(ctx, mux)
	cancel()
	if err = errors.Join(err, <-served); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	if p.json || p.quiet {
		return nil
	}
	if keep != "" {
		_, err = fmt.Fprintf(p.stdout, "The repository is %s, its password is %s.\n", visible(filepath.Join(dir, "repo")), demoPassword)
	}
	return err
}

// begin makes the phone and lets it answer.
func (d *demonstration) begin(ctx context.Context, served chan<- error) (mux string, err error) {
	if d.sim, err = d.made(ctx, "phone"); err != nil {
		return "", err
	}
	s, err := assemble(filepath.Join(d.dir, "phone"), d.sim, phone.Options{Pairing: phone.Pairing{Pending: 1}}, agent.Options{}, func(agent.Report, error) {})
	if err != nil {
		return "", err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.close()
		return "", err
	}
	go func() {
		err := s.phone.Serve(ctx, l)
		s.close()
		served <- err
	}()
	return l.Addr().String(), nil
}

// made makes the phone as it is on its first day, with its databases below a
// folder of its own.
func (d *demonstration) made(ctx context.Context, name string) (*sim.Device, error) {
	scratch := filepath.Join(d.dir, name, "databases")
	if err := os.MkdirAll(scratch, 0o700); err != nil {
		return nil, err
	}
	return sim.New(ctx, sim.Demo(), scratch)
}

func (d *demonstration) steps(ctx context.Context, mux string) error {
	steps := []struct {
		name string
		do   func(context.Context) (string, error)
	}{
		{"pair with the phone", func(ctx context.Context) (string, error) { return d.pair(ctx, mux) }},
		{"make a repository", d.init},
		{"back the phone up", func(ctx context.Context) (string, error) { return d.backup(ctx, mux) }},
		{"let a day pass", func(ctx context.Context) (string, error) {
			return "1 % of the phone's files changed, some came and some went", d.sim.Next(ctx)
		}},
		{"back the phone up again", func(ctx context.Context) (string, error) { return d.backup(ctx, mux) }},
		{"check all of the repository", d.check},
		{"restore the first day", func(ctx context.Context) (string, error) { return d.restore(ctx, 0) }},
		{"restore the second day", func(ctx context.Context) (string, error) { return d.restore(ctx, 1) }},
	}
	for _, s := range steps {
		start := time.Now()
		outcome, err := s.do(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		took := time.Since(start)
		switch {
		case d.p.json:
			err = d.p.emit(demoMessage{"step", s.name, outcome, took.Seconds()})
		case !d.p.quiet:
			_, err = fmt.Fprintf(d.p.stdout, "%-28s %s (%s)\n", s.name, visible(outcome), duration(took))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *demonstration) pair(ctx context.Context, mux string) (string, error) {
	m, err := device.OpenMux(mux)
	if err != nil {
		return "", err
	}
	if d.phone, err = findPhone(ctx, m, ""); err != nil {
		return "", err
	}
	if err := d.p.pair(ctx, d.phone); err != nil {
		return "", err
	}
	f, err := d.phone.Facts(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s, %s, iOS %s", phoneName(f.Name, f.UDID), f.ProductType, f.Version), nil
}

func (d *demonstration) init(ctx context.Context) (string, error) {
	be, err := backend.Create(ctx, filepath.Join(d.dir, "repo"), backend.Options{})
	if err != nil {
		return "", err
	}
	if d.r, err = repo.Init(ctx, be, demoPassword, repo.InitOptions{Cost: d.p.cost(), Owner: owner(time.Now())}); err != nil {
		return "", err
	}
	return "in restic's format", d.r.LoadIndex(ctx)
}

func (d *demonstration) backup(ctx context.Context, mux string) (string, error) {
	m, err := device.OpenMux(mux)
	if err != nil {
		return "", err
	}
	spool, err := openSpool(filepath.Join(d.dir, "repo", "spool"))
	if err != nil {
		return "", err
	}
	defer spool.Close()
	var last *capture.Result
	quiet := *d.p
	quiet.quiet, quiet.json = true, false
	b := phoneBackup{
		p: &quiet, m: m, r: d.r, spool: spool, passwords: &phonePasswords{p: &quiet},
		opt:  capture.PhoneOptions{Options: capture.Options{Keys: map[string]ios.ClassKeys{}, ProgramVersion: "russet " + thisVersion().Version, Now: time.Now}},
		kept: func(res *capture.Result) { last = res },
	}
	if err := b.one(ctx, d.phone.Device()); err != nil {
		return "", err
	}
	d.shots = append(d.shots, last.Snapshot)
	s := last.Summary
	return fmt.Sprintf("%s new, %s changed, %s unchanged files, %s of %s stored", count(int64(s.FilesNew)), count(int64(s.FilesChanged)),
		count(int64(s.FilesUnmodified)), size(s.BytesStored), size(s.BytesTotal)), nil
}

func (d *demonstration) check(ctx context.Context) (string, error) {
	problems := 0
	_, err := d.r.Check(ctx, repo.CheckOptions{Read: repo.AllPacks(), Report: func(repo.Problem) { problems++ }})
	if err == nil && problems > 0 {
		err = errProblems
	}
	return "no damage was found", err
}

// restore brings a day back and compares it with the phone of that day, which
// is made anew.
func (d *demonstration) restore(ctx context.Context, day int) (string, error) {
	name := fmt.Sprintf("day %d", day+1)
	v, err := capture.Open(ctx, d.r, d.shots[day])
	if err != nil {
		return "", err
	}
	target := filepath.Join(d.dir, name)
	if err := os.Mkdir(target, 0o700); err != nil {
		return "", err
	}
	root, err := os.OpenRoot(target)
	if err != nil {
		return "", err
	}
	defer root.Close()
	if _, err := v.RestoreFiles(ctx, root, capture.RestoreOptions{}); err != nil {
		return "", err
	}
	scratch, err := os.MkdirTemp(d.dir, "phone of "+name)
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(scratch)
	then, err := sim.New(ctx, sim.Demo(), scratch)
	if err != nil {
		return "", err
	}
	for range day {
		if err := then.Next(ctx); err != nil {
			return "", err
		}
	}
	n, err := compare(then, root)
	return fmt.Sprintf("%s are what the phone held, byte for byte", plural(n, "file")), err
}

// compare counts the files of a phone, each of which must be below root.
func compare(d *sim.Device, root *os.Root) (n int, err error) {
	for f := range d.Files() {
		if !f.Regular() {
			continue
		}
		want, err := hashOf(d.Open(f))
		if err != nil {
			return n, err
		}
		restored, err := root.Open(path.Join(f.Domain, f.RelativePath))
		if err != nil {
			return n, err
		}
		got, err := hashOf(restored, nil)
		if err != nil {
			return n, err
		}
		if !bytes.Equal(got, want) {
			return n, fmt.Errorf("compare: a restored file of %s differs: %w", f.Domain, repo.ErrDamaged)
		}
		n++
	}
	return n, nil
}

func hashOf(r io.ReadCloser, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	defer r.Close()
	h := sha256.New()
	_, err = io.Copy(h, r)
	return h.Sum(nil), err
}
