//go:build unix

// Command bench times Russet beside the installed restic on the same work, and
// prints medians and ratios. It is no part of the product.
//
//	bench -russet bin/russet -mkbackup bin/mkbackup [-rounds 3] [-preset bench] [-dir DIR]
//
// The work is a generated backup folder, once plain and once encrypted: a
// first backup, one of its next generation, check --read-data, restore, a copy of
// both snapshots to an empty repository, check, and, after eight more generations
// and a forget that keeps five, prune. The programs take turns, in fresh
// repositories, on the same drive.
//
//	bench -device -russet bin/russet [-rounds 3] [-state DIR]
//
// backs up phones of software instead, beside idevicebackup2 and with fresh
// folders: all, one in a hundred files changed, nothing changed.
//
//	bench -blobs 1000000 -russet bin/russet [-rounds 3]
//
// opens a repository of so many blobs, beside restic.
//
//	bench -sync -russet bin/russet [-rounds 3] [-contacts 10000]
//
// syncs the contacts of a phone of software with Radicale, beside vdirsyncer.
//
//	bench -remote -russet bin/russet -mkbackup bin/mkbackup [-rounds 3] [-preset bench]
//
// backs up to a REST server of rclone's at the far end of a slow line, beside restic,
// and counts requests and bytes.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
)

// settings are the flags.
type settings struct {
	russet, mkbackup, preset, dir string
	rounds, iterations            int
	device                        bool
	state                         string
	blobs                         int
	fill                          string
	sync                          bool
	contacts                      int
	remote                        bool
}

func main() {
	var s settings
	flag.StringVar(&s.russet, "russet", "bin/russet", "the russet program")
	flag.StringVar(&s.mkbackup, "mkbackup", "bin/mkbackup", "the mkbackup program")
	flag.StringVar(&s.preset, "preset", "bench", "what mkbackup generates: bench or demo")
	flag.StringVar(&s.dir, "dir", "", "where to work (some 12 GB); default a temporary folder")
	flag.IntVar(&s.rounds, "rounds", 3, "how often everything is done")
	flag.IntVar(&s.iterations, "iterations", 10_000_000, "rounds of the backup password's key derivation; phones have 10,000,000")
	flag.BoolVar(&s.device, "device", false, "back up simulated phones, beside idevicebackup2")
	flag.StringVar(&s.state, "state", "", "where the simulated phones lie and are kept; default a temporary folder")
	flag.IntVar(&s.blobs, "blobs", 0, "open a repository of so many small blobs instead")
	flag.StringVar(&s.fill, "fill", "", "only make the repository of -blobs in a new folder")
	flag.BoolVar(&s.sync, "sync", false, "sync contacts, beside vdirsyncer")
	flag.IntVar(&s.contacts, "contacts", 10_000, "how many contacts the large phone of -sync has")
	flag.BoolVar(&s.remote, "remote", false, "back up to a server far away, beside restic")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) error {
	if s.fill != "" {
		return fillBlobs(ctx, s.fill, s.blobs)
	}
	var err error
	for _, p := range []*string{&s.russet, &s.mkbackup} {
		if *p, err = filepath.Abs(*p); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp(s.dir, "russet-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if s.blobs > 0 {
		return benchOpen(ctx, s, dir)
	}
	if s.sync {
		return benchSync(ctx, s, dir)
	}
	if s.remote {
		return benchRemote(ctx, s, dir)
	}
	if s.device {
		return benchDevice(ctx, s, dir)
	}
	for _, encrypted := range []bool{false, true} {
		w := &work{settings: s, dir: filepath.Join(dir, fmt.Sprint("encrypted-", encrypted)), encrypted: encrypted}
		if err := w.generate(ctx, generations); err != nil {
			return err
		}
		results, err := w.measure(ctx)
		if err != nil {
			return err
		}
		printResults(os.Stdout, encrypted, results)
		if err := os.RemoveAll(w.dir); err != nil {
			return err
		}
	}
	return nil
}
