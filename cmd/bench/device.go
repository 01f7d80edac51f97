//go:build unix

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// The programs that back a phone up: ours, and the one that writes a plain
// folder.
const (
	ours   = "russet"
	theirs = "idevicebackup2"
)

// The runs of a backup of a simulated phone.
const (
	full      task = "full"
	changed   task = "incremental, 1 % changed"
	unchanged task = "incremental, nothing changed"
)

// simulated is a phone of software that runs as a process of its own.
type simulated struct {
	settings
	dir     string // its state is below
	address string
	cmd     *exec.Cmd
	runs    chan simulatedRun
	changes int // runs of change; says which files the next one takes
}

// simulatedRun is what the phone says of a run of its backup.
type simulatedRun struct {
	MessageType string `json:"message_type"`
	Address     string
	Request     string
	Code        int
	Full        bool
	Sent        int   `json:"files_sent"`
	SentBytes   int64 `json:"bytes_sent"`
	Kept        int   `json:"files_kept"`
	Violations  int
}

// benchDevice backs up simulated phones by Russet and by idevicebackup2, by
// turns: one of 60,000 files and 2 GB, then one of very many files.
func benchDevice(ctx context.Context, s settings, dir string) error {
	if err := deviceRounds(ctx, s, filepath.Join(dir, "bench"), "bench", s.rounds); err != nil {
		return err
	}
	return deviceRounds(ctx, s, filepath.Join(dir, "many"), "many", min(s.rounds, 2))
}

// deviceRounds measures with one phone and prints what came out.
func deviceRounds(ctx context.Context, s settings, dir, content string, rounds int) (err error) {
	p := &simulated{settings: s, dir: dir}
	if s.state != "" {
		p.dir = filepath.Join(s.state, content)
	}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := p.start(ctx, content); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	results := map[string]map[task][]sample{ours: {}, theirs: {}}
	files := 0
	for round := range rounds {
		if files, err = p.round(ctx, dir, round, results); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "%s: round %d of %d done\n", content, round+1, rounds)
	}
	printDevice(os.Stdout, fmt.Sprintf("phone %q, %d files", content, files), results, files)
	return nil
}

// start starts the phone and waits until it listens. A new one is made first,
// which takes minutes.
func (p *simulated) start(ctx context.Context, content string) error {
	args := []string{"--json", "simulate", "--content", content, "--state", filepath.Join(p.dir, "phone"), "--listen", "127.0.0.1:0"}
	p.cmd = exec.CommandContext(ctx, p.russet, args...)
	p.cmd.Stderr = os.Stderr // where it says why it ends
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(os.Interrupt) }
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.runs = make(chan simulatedRun, 16)
	go p.listen(out)
	r, ok := <-p.runs
	if !ok || r.MessageType != "listening" {
		return errors.Join(errors.New("the simulated phone does not begin"), p.stop())
	}
	p.address = r.Address
	if _, err := p.command(ctx, []string{p.russet, "--quiet", "pair"}); err != nil {
		return errors.Join(fmt.Errorf("pair: %w", err), p.stop())
	}
	return nil
}

// listen passes on where the phone listens, and what it says of its backups.
func (p *simulated) listen(out io.Reader) {
	defer close(p.runs)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var r simulatedRun
		if json.Unmarshal(lines.Bytes(), &r) == nil && (r.MessageType == "listening" || r.Request == "Backup") {
			p.runs <- r
		}
	}
}

func (p *simulated) stop() error {
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	for range p.runs { // a full channel would hold it up
	}
	_ = p.cmd.Wait() // it was interrupted
	return nil
}

// round is all tasks by both programs, which take turns at each. It returns how
// many files the phone has.
func (p *simulated) round(ctx context.Context, dir string, round int, results map[string]map[task][]sample) (files int, err error) {
	repository, folder := filepath.Join(dir, "repository"), filepath.Join(dir, "folder")
	for _, d := range []string{repository, folder} {
		if err := os.RemoveAll(d); err != nil {
			return 0, err
		}
		defer os.RemoveAll(d)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		return 0, err
	}
	if _, err := p.command(ctx, []string{p.russet, "-r", repository, "--quiet", "init"}); err != nil {
		return 0, err
	}
	backup := map[string][]string{
		ours:   {p.russet, "-r", repository, "--quiet", "backup"},
		theirs: {theirs, "backup", folder},
	}
	place := map[string]string{ours: repository, theirs: folder}
	for _, t := range []task{full, changed, unchanged} {
		if t == changed {
			if err := p.change(); err != nil {
				return 0, fmt.Errorf("change the phone's files: %w", err)
			}
		}
		for i := range 2 {
			name := []string{ours, theirs}[(i+round)%2] // who is first changes
			s, r, err := p.backup(ctx, backup[name], place[name], t)
			if err != nil {
				return 0, fmt.Errorf("%s: %s: %w", name, t, err)
			}
			results[name][t] = append(results[name][t], s)
			files = r.Sent + r.Kept
		}
	}
	return files, nil
}

// backup runs one program once, and looks whether the phone took it for what it
// is meant to be.
func (p *simulated) backup(ctx context.Context, args []string, place string, t task) (s sample, r simulatedRun, err error) {
	before, err := treeSize(place)
	if err != nil {
		return s, r, err
	}
	syscall.Sync() // what the run before left to write is not this one's cost
	if s, err = p.command(ctx, args); err != nil {
		return s, r, err
	}
	begun := time.Now()
	syscall.Sync()
	s.onDrive = s.wall + time.Since(begun)
	if r, err = p.nextRun(time.Minute); err != nil {
		return s, r, err
	}
	if r.Code != 0 || r.Violations > 0 || r.Full != (t == full) || (r.Sent == 0) != (t == unchanged) {
		return s, r, fmt.Errorf("the phone had another backup: %+v", r)
	}
	after, err := treeSize(place)
	s.stored = after - before
	return s, r, err
}

// nextRun waits for what the phone says of a run.
func (p *simulated) nextRun(patience time.Duration) (simulatedRun, error) {
	select {
	case r, ok := <-p.runs:
		if !ok {
			return r, errors.New("the simulated phone has ended")
		}
		return r, nil
	case <-time.After(patience):
		return simulatedRun{}, errors.New("the phone knows of no backup")
	}
}

// command runs a program with the phone at hand.
func (p *simulated) command(ctx context.Context, args []string) (sample, error) {
	return measured(ctx, args, "USBMUXD_SOCKET_ADDRESS="+p.address)
}

// oneIn is how many files there are for one that changes.
const oneIn = 100

// change modifies one in a hundred of the phone's files: a few bytes of
// contents, and the time, in whole seconds.
func (p *simulated) change() error {
	p.changes++
	n := 0
	now := time.Now() // no earlier change, perhaps of another run of ours on the same phone, was at that time
	return filepath.WalkDir(filepath.Join(p.dir, "phone", "Files"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || filepath.Ext(path) == ".db" {
			return err
		}
		if n++; n%oneIn != p.changes%oneIn {
			return nil
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(f, "change %d of file %d", now.UnixNano(), n)
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
		return os.Chtimes(path, now, now)
	})
}
