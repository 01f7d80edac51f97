//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"text/tabwriter"
	"time"

	"russet/backend/backendtest"
)

// listed is what a person does before a restore.
const listed task = "snapshots"

// slowLine is what many homes send with, and a round trip across an ocean.
func slowLine() backendtest.Line {
	const tenMegabit = 10_000_000 / 8
	return backendtest.Line{Latency: 50 * time.Millisecond, Up: tenMegabit, Down: tenMegabit}
}

// distant is a REST server behind a line. Clients reach it by one address, whatever the line is.
type distant struct {
	server *exec.Cmd
	web    *backendtest.WebProxy // counts requests
	slow   *backendtest.Proxy    // in front of web
	front  *backendtest.Proxy    // in front of slow or of web
}

// crossing is what one command asked of a server.
type crossing struct {
	sample
	requests int
	up, down int64 // bytes
}

// serving finds the address in what rclone says when it is ready.
var serving = regexp.MustCompile(`http://127\.0\.0\.1:[0-9]+/`)

// startDistant has rclone serve a folder.
func startDistant(ctx context.Context, folder string) (*distant, error) {
	d := &distant{server: exec.CommandContext(ctx, "rclone", "serve", "restic", "--addr", "127.0.0.1:0", folder)}
	said, err := d.server.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := d.server.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(said)
	address := ""
	for address == "" && lines.Scan() {
		address = serving.FindString(lines.Text())
	}
	if address == "" {
		return nil, errors.Join(errors.New("rclone does not serve"), d.server.Wait())
	}
	go func() { _, _ = io.Copy(io.Discard, said) }() // until rclone ends
	if d.web, err = backendtest.StartWebProxy(address); err != nil {
		return nil, errors.Join(err, d.close())
	}
	u, err := url.Parse(d.web.URL())
	if err == nil {
		d.slow, err = backendtest.StartProxy(u.Host, slowLine())
	}
	if err == nil {
		d.front, err = backendtest.StartProxy(u.Host, backendtest.Line{})
	}
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func (d *distant) close() error {
	var errs []error
	for _, p := range []*backendtest.Proxy{d.front, d.slow} {
		if p != nil {
			errs = append(errs, p.Close())
		}
	}
	if d.web != nil {
		errs = append(errs, d.web.Close())
	}
	errs = append(errs, d.server.Process.Kill())
	_ = d.server.Wait() // which says that it was killed
	return errors.Join(errs...)
}

// repository is how both programs write the address of one.
func (d *distant) repository(name string) string {
	return "rest:http://" + d.front.Address() + "/" + name + "/"
}

// count runs a command and takes down what crossed the line.
func (d *distant) count(run func() (sample, error)) (crossing, error) {
	requests := func() (n int) {
		for _, times := range d.web.Requests() {
			n += times
		}
		return n
	}
	n, t := requests(), d.front.Traffic()
	s, err := run()
	after := d.front.Traffic()
	return crossing{s, requests() - n, after.Up - t.Up, after.Down - t.Down}, err
}

// benchRemote backs up two generations to a server at the far end of a slow line,
// and lists the snapshots, with both programs, by turns. The first backup goes over
// a fast one: it would take half an hour.
func benchRemote(ctx context.Context, s settings, dir string) error {
	for _, encrypted := range []bool{false, true} {
		w := &work{settings: s, dir: filepath.Join(dir, fmt.Sprint("encrypted-", encrypted)), encrypted: encrypted}
		if err := w.generate(ctx, 2); err != nil {
			return err
		}
		results := map[string]map[task][]crossing{ours: {}, "restic": {}}
		for round := range s.rounds {
			for i := range programs() {
				p := programs()[(i+round)%len(programs())]
				if err := w.remoteRound(ctx, p, results[p.name]); err != nil {
					return fmt.Errorf("%s: %w", p.name, err)
				}
			}
			fmt.Fprintf(os.Stderr, "round %d of %d done\n", round+1, s.rounds)
		}
		if err := printRemote(os.Stdout, encrypted, results); err != nil {
			return err
		}
		if err := os.RemoveAll(w.dir); err != nil {
			return err
		}
	}
	return nil
}

// remoteRound is one program's whole work with a fresh server and a fresh cache.
func (w *work) remoteRound(ctx context.Context, p program, into map[task][]crossing) (err error) {
	place, cache := filepath.Join(w.dir, "server"), filepath.Join(w.dir, "cache")
	defer os.RemoveAll(place)
	defer os.RemoveAll(cache)
	d, err := startDistant(ctx, place)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	base := []string{w.russet, "-r", d.repository("r"), "--quiet", "--cache-dir", cache}
	if p.name != ours {
		base[0] = p.name
	}
	command := func(args ...string) func() (sample, error) {
		return func() (sample, error) { return w.command(ctx, append(base[:len(base):len(base)], args...)) }
	}
	if _, err := command("init")(); err != nil {
		return err
	}
	for n, t := range []task{first, second} {
		if err := os.Rename(w.generation(n), w.folder()); err != nil {
			return err
		}
		c, err := d.count(command("backup", w.folder()))
		if err := errors.Join(err, os.Rename(w.folder(), w.generation(n))); err != nil {
			return err
		}
		into[t] = append(into[t], c)
		d.front.SetTarget(d.slow.Address())
	}
	c, err := d.count(command("snapshots"))
	into[listed] = append(into[listed], c)
	return err
}

// printRemote prints the medians of both programs, and of the ratios.
func printRemote(out io.Writer, encrypted bool, results map[string]map[task][]crossing) error {
	kind := "plain"
	if encrypted {
		kind = "encrypted"
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "%s, far away\t\trusset\trestic\tratio\t\n", kind)
	for _, t := range []task{first, second, listed} {
		for _, m := range []struct {
			name  string
			value func(crossing) float64
		}{
			{"requests", func(c crossing) float64 { return float64(c.requests) }},
			{"MB up", func(c crossing) float64 { return float64(c.up) / 1e6 }},
			{"KB down", func(c crossing) float64 { return float64(c.down) / 1e3 }},
			{"wall s", func(c crossing) float64 { return c.wall.Seconds() }},
			{"memory MB", func(c crossing) float64 { return float64(c.memory) / 1e6 }},
		} {
			of := map[string][]float64{}
			for name, tasks := range results {
				for _, c := range tasks[t] {
					of[name] = append(of[name], m.value(c))
				}
			}
			printRatios(w, string(t)+", "+m.name, of)
		}
	}
	return w.Flush()
}
