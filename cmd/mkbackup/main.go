// Command mkbackup writes the backup folder of a phone that does not exist: something to try Russet with, to test it
// and to measure it. Equal arguments write equal bytes.
//
//	mkbackup -dir DIR -preset demo                  # DIR/<UDID>, as Finder leaves it
//	mkbackup -dir DIR -preset demo -generation 1    # a day later: changes the folder as an incremental backup does
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"russet/device/sim"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// order is what the arguments ask for.
type order struct {
	dir        string
	preset     string
	udid       string
	generation int
	encrypt    bool
	archive    string
	options    sim.Options
}

// run is the program without the process around it. It returns the exit code: 2 for wrong arguments.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o order
	flags := flag.NewFlagSet("mkbackup", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.dir, "dir", "", "the `folder` in which the backup folder is written")
	flags.StringVar(&o.preset, "preset", "demo", "the phone: `demo` (300 files, 30 MB), tiny (150 files, 4 MB) or bench (60,000 files, 2 GB)")
	flags.StringVar(&o.udid, "udid", "", "another `UDID` than the preset's: another phone of the same content")
	flags.IntVar(&o.generation, "generation", 0, "how many `days` after the first backup")
	flags.BoolVar(&o.encrypt, "encrypt", false, "encrypt the backup")
	flags.StringVar(&o.options.Password, "password", "demo", "the `password` of an encrypted backup")
	flags.IntVar(&o.options.Iterations, "iterations", 10_000, "`rounds` that the password costs; phones use 10 million")
	flags.BoolVar(&o.options.Full, "full", false, "send everything again, under new keys")
	flags.StringVar(&o.archive, "archive-date", "", "write an archived copy, the folder UDID-`YYYYMMDD-HHMMSS`")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	c, err := o.config(flags.NArg())
	if err != nil {
		fmt.Fprintln(stderr, "mkbackup:", err)
		return 2
	}
	report, err := o.write(ctx, c)
	if err != nil {
		fmt.Fprintln(stderr, "mkbackup:", err)
		return 1
	}
	fmt.Fprintln(stdout, report)
	return 0
}

// config checks the arguments, completes the options and returns the phone.
func (o *order) config(odd int) (sim.Config, error) {
	var c sim.Config
	switch o.preset {
	case "demo":
		c = sim.Demo()
	case "tiny":
		c = sim.Tiny()
	case "bench":
		c = sim.Bench()
	default:
		return c, fmt.Errorf("no preset is called %q", o.preset)
	}
	c.UDID = cmp.Or(o.udid, c.UDID)
	if o.archive != "" {
		if _, err := time.Parse("20060102-150405", o.archive); err != nil {
			return c, fmt.Errorf("archive date %q is not YYYYMMDD-HHMMSS", o.archive)
		}
		o.options.Folder = c.UDID + "-" + o.archive
	}
	switch {
	case odd > 0:
		return c, errors.New("there are only flags, no other arguments")
	case o.dir == "":
		return c, errors.New("-dir is missing")
	case o.generation < 0:
		return c, fmt.Errorf("generation %d", o.generation)
	case !o.encrypt:
		o.options.Password = ""
	case o.options.Password == "":
		return c, errors.New("-encrypt needs a password")
	}
	return c, nil
}

func (o *order) write(ctx context.Context, c sim.Config) (sim.Report, error) {
	scratch, err := os.MkdirTemp("", "mkbackup-")
	if err != nil {
		return sim.Report{}, err
	}
	defer os.RemoveAll(scratch)
	d, err := sim.New(ctx, c, scratch)
	if err != nil {
		return sim.Report{}, err
	}
	for range o.generation {
		if err := d.Next(ctx); err != nil {
			return sim.Report{}, err
		}
	}
	return d.WriteBackup(ctx, o.dir, o.options)
}
