//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// password opens repositories and backups alike: nothing here is secret.
const password = "bench"

// work is one generated folder in two generations.
type work struct {
	settings
	dir       string
	encrypted bool
}

// sample is what one command took.
type sample struct {
	wall, cpu time.Duration
	memory    int64 // peak resident bytes
	stored    int64 // bytes by which the repository grew
	// onDrive is wall, and until the system has written what it kept in its cache: before that a
	// drive must not be unplugged. It is measured for phones alone.
	onDrive time.Duration
}

// task names a step that both programs do.
type task string

const (
	first   task = "first backup"
	second  task = "second backup, 1 % changed"
	check   task = "check --read-data"
	restore task = "restore"
	twin    task = "copy to an empty twin"
	glance  task = "check"
	prune   task = "prune, half of ten forgotten"
)

func tasks() []task { return []task{first, second, check, restore, twin, glance, prune} }

// generations is how many backups there are when half of them are forgotten.
const generations = 10

// folder is where the backup lies while it is backed up: the same path for
// both generations, as on a real computer.
func (w *work) folder() string { return filepath.Join(w.dir, "backup") }

func (w *work) generation(n int) string { return filepath.Join(w.dir, "generation"+strconv.Itoa(n)) }

// generate makes so many generations. They share unchanged files as hard links,
// so that a program which looks at inodes sees them unchanged, too.
func (w *work) generate(ctx context.Context, count int) error {
	if err := os.MkdirAll(w.generation(0), 0o755); err != nil {
		return err
	}
	args := []string{"-preset", w.preset}
	if w.encrypted {
		args = append(args, "-encrypt", "-password", password, "-iterations", strconv.Itoa(w.iterations))
	}
	make0 := append([]string{"-dir", w.generation(0)}, args...)
	if out, err := exec.CommandContext(ctx, w.mkbackup, make0...).CombinedOutput(); err != nil {
		return fmt.Errorf("mkbackup: %w: %s", err, out)
	}
	for n := 1; n < count; n++ {
		if out, err := exec.CommandContext(ctx, "cp", "-al", w.generation(n-1), w.generation(n)).CombinedOutput(); err != nil {
			return fmt.Errorf("copy: %w: %s", err, out)
		}
		next := append([]string{"-dir", w.generation(n), "-generation", strconv.Itoa(n)}, args...)
		if out, err := exec.CommandContext(ctx, w.mkbackup, next...).CombinedOutput(); err != nil {
			return fmt.Errorf("mkbackup: %w: %s", err, out)
		}
	}
	return nil
}

// program is one of the two competitors.
type program struct {
	name string
	args func(w *work, t task, repo, target string) []string
}

func programs() []program {
	return []program{
		{"russet", func(w *work, t task, repo, target string) []string {
			base := []string{w.russet, "-r", repo, "--quiet"}
			switch t {
			case check:
				return append(base, "check", "--read-data")
			case glance:
				return append(base, "check")
			case prune:
				return append(base, "prune")
			case restore:
				return append(base, "restore", "latest", "--target", target)
			case twin:
				return append(base, "copy", "--to", target)
			}
			return append(base, "backup", w.folder())
		}},
		{"restic", func(w *work, t task, repo, target string) []string {
			base := []string{"restic", "-r", repo, "--quiet", "--cache-dir", repo + "-cache"}
			switch t {
			case check:
				return append(base, "check", "--read-data")
			case glance:
				return append(base, "check")
			case prune:
				return append(base, "prune")
			case restore:
				return append(base, "restore", "latest", "--target", target)
			case twin:
				base[2] = target
				return append(base, "copy", "--from-repo", repo)
			}
			return append(base, "backup", w.folder())
		}},
	}
}

// measure runs all rounds and returns the samples by program and task.
func (w *work) measure(ctx context.Context) (map[string]map[task][]sample, error) {
	results := map[string]map[task][]sample{}
	for round := range w.rounds {
		for i := range programs() {
			p := programs()[(i+round)%len(programs())] // who is first changes
			if results[p.name] == nil {
				results[p.name] = map[task][]sample{}
			}
			if err := w.round(ctx, p, results[p.name]); err != nil {
				return nil, fmt.Errorf("%s: %w", p.name, err)
			}
		}
		fmt.Fprintf(os.Stderr, "round %d of %d done\n", round+1, w.rounds)
	}
	return results, nil
}

// round is one program's whole work in a fresh repository.
func (w *work) round(ctx context.Context, p program, into map[task][]sample) error {
	repo := filepath.Join(w.dir, "repo-"+p.name)
	target := filepath.Join(w.dir, "target")
	defer os.RemoveAll(repo)
	defer os.RemoveAll(repo + "-cache")
	init := []string{w.russet, "-r", repo, "--quiet", "init"}
	if p.name == "restic" {
		init = []string{"restic", "-r", repo, "--quiet", "--cache-dir", repo + "-cache", "init"}
	}
	if _, err := w.command(ctx, init); err != nil {
		return err
	}
	for _, t := range tasks() {
		err := w.step(ctx, p, t, repo, target, into)
		if rerr := os.RemoveAll(target); err == nil {
			err = rerr
		}
		if err != nil {
			return fmt.Errorf("%s: %w", t, err)
		}
	}
	return nil
}

func (w *work) step(ctx context.Context, p program, t task, repo, target string, into map[task][]sample) error {
	generation := -1
	switch t {
	case first:
		generation = 0
	case second:
		generation = 1
	case prune:
		if err := w.age(ctx, p, repo); err != nil {
			return err
		}
	}
	if generation >= 0 {
		if err := os.Rename(w.generation(generation), w.folder()); err != nil {
			return err
		}
		defer os.Rename(w.folder(), w.generation(generation))
	}
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if t == twin {
		init := []string{w.russet, "-r", target, "--quiet", "init", "--from-repo", repo, "--copy-chunker-params"}
		if _, err := w.command(ctx, init); err != nil {
			return err
		}
	}
	before, err := treeSize(repo)
	if err != nil {
		return err
	}
	syscall.Sync() // what the step before left to write is not this one's cost
	s, err := w.command(ctx, p.args(w, t, repo, target))
	if err != nil {
		return err
	}
	after, err := treeSize(repo)
	if err != nil {
		return err
	}
	s.stored = after - before
	into[t] = append(into[t], s)
	return nil
}

// age backs the other generations up, which nobody measures, and forgets half of
// all.
func (w *work) age(ctx context.Context, p program, repo string) error {
	for n := 2; n < generations; n++ {
		if err := os.Rename(w.generation(n), w.folder()); err != nil {
			return err
		}
		_, err := w.command(ctx, p.args(w, second, repo, ""))
		if err := errors.Join(err, os.Rename(w.folder(), w.generation(n))); err != nil {
			return err
		}
	}
	forget := []string{"restic", "-r", repo, "--quiet", "--cache-dir", repo + "-cache", "forget", "--group-by", "", "--keep-last", strconv.Itoa(generations / 2)}
	_, err := w.command(ctx, forget)
	return err
}

func (w *work) command(ctx context.Context, args []string) (sample, error) {
	return measured(ctx, args, "RUSSET_BACKUP_PASSWORD="+password)
}

// measured runs a program, with more in its environment.
func measured(ctx context.Context, args []string, env ...string) (sample, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(append(os.Environ(), "RESTIC_PASSWORD="+password, "RUSSET_PASSWORD="+password,
		"RESTIC_FROM_PASSWORD="+password, "RUSSET_TO_PASSWORD="+password), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	start := time.Now()
	err := cmd.Run()
	wall := time.Since(start)
	if err != nil {
		said := stderr.Bytes()
		const enough = 2000
		return sample{}, fmt.Errorf("%v: %w: %s", args, err, said[max(0, len(said)-enough):])
	}
	state := cmd.ProcessState
	s := sample{wall: wall, cpu: state.UserTime() + state.SystemTime()}
	if u, ok := state.SysUsage().(*syscall.Rusage); ok {
		s.memory = int64(u.Maxrss) << 10 // kilobytes, on Linux
	}
	return s, nil
}

// treeSize is the bytes of all files below dir.
func treeSize(dir string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	return sum, err
}
