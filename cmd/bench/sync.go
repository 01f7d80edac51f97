//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"russet/records/recordstest"
)

// peer is the program beside which syncs are timed.
const peer = "vdirsyncer"

// The tasks of a sync. Both programs have a collection each, on one server.
const (
	pushed    task = "first push of 300 contacts"
	syncSame  task = "nothing changed"
	syncOne   task = "one contact changed"
	diffed    task = "diff --records"
	pushCount      = 300
)

// urls is the property of an address book's web addresses. Radicale cuts those of
// the generated people off at a semicolon; what is timed here are contacts that a
// server keeps.
const urls = 22

// syncing is the places of a bench of syncs.
type syncing struct {
	settings
	dir    string
	server string // its address
	data   string // its folder
}

// benchSync syncs the contacts of a phone of software with Radicale, beside
// vdirsyncer with a folder of the same cards.
func benchSync(ctx context.Context, s settings, dir string) (err error) {
	b := &syncing{settings: s, dir: dir}
	stop, err := b.serve(ctx)
	if err != nil {
		return err
	}
	defer stop()
	results := map[string]map[task][]sample{ours: {}, peer: {}}
	for round := range s.rounds {
		for _, n := range []int{pushCount, s.contacts} {
			if err := b.round(ctx, n, results); err != nil {
				return err
			}
		}
		fmt.Fprintf(os.Stderr, "round %d of %d done\n", round+1, s.rounds)
	}
	printSync(os.Stdout, s.contacts, results)
	return nil
}

// printSync prints medians and ratios.
func printSync(out io.Writer, contacts int, results map[string]map[task][]sample) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "%d contacts\t\trusset\t%s\tratio\t\n", contacts, peer)
	for _, t := range []task{pushed, syncSame, syncOne, diffed} {
		for _, m := range measures()[:3] {
			var a, b, ratios []float64
			for i, mine := range results[ours][t] {
				a = append(a, m.value(mine))
				if t == diffed {
					continue
				}
				b = append(b, m.value(results[peer][t][i]))
				ratios = append(ratios, a[i]/max(b[i], 1e-9))
			}
			if t == diffed {
				fmt.Fprintf(w, "%s\t%s\t%.2f\t\t\t\n", t, m.name, median(a))
				continue
			}
			fmt.Fprintf(w, "%s\t%s\t%.2f\t%.2f\t%.2f\t\n", t, m.name, median(a), median(b), median(ratios))
		}
	}
	w.Flush()
}

// serve starts Radicale on loopback.
func (b *syncing) serve(ctx context.Context) (stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil { // the server takes it at once
		return nil, err
	}
	b.server, b.data = "http://"+address, filepath.Join(b.dir, "server")
	config := filepath.Join(b.dir, "radicale.conf")
	text := fmt.Sprintf("[server]\nhosts = %s\n[auth]\ntype = none\n[storage]\nfilesystem_folder = %s\n[web]\ntype = none\n", address, b.data)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "radicale", "--config", config)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	}
	for range 200 {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			return stop, c.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	stop()
	return nil, errors.New("radicale does not listen")
}

// round makes a phone with n contacts, a repository with its backup and a folder
// with its cards, and syncs both.
func (b *syncing) round(ctx context.Context, n int, results map[string]map[task][]sample) (err error) {
	dir, err := os.MkdirTemp(b.dir, "round-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	book := recordstest.NewBook(1, n)
	for _, p := range book.People {
		p.Values = slices.DeleteFunc(p.Values, func(v recordstest.Value) bool { return v.Property == urls })
	}
	phone := &simulated{settings: b.settings, dir: dir}
	files := filepath.Join(dir, "phone", "Files")
	if err := book.Write(files); err != nil {
		return err
	}
	if err := phone.start(ctx, "empty"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, phone.stop()) }()
	r := &syncRound{syncing: b, dir: dir, repo: filepath.Join(dir, "repository"), cards: filepath.Join(dir, "cards"), phone: phone, results: results}
	if err := r.prepare(ctx, n); err != nil {
		return err
	}
	if n == pushCount {
		return r.both(ctx, pushed)
	}
	// The first sync finds all cards on the server, and takes them for its own.
	if err := r.both(ctx, ""); err != nil {
		return err
	}
	if err := r.both(ctx, syncSame); err != nil {
		return err
	}
	first, err := r.newest(ctx)
	if err != nil {
		return err
	}
	book.Edit(n / 2)
	if err := book.Write(files); err != nil {
		return err
	}
	if err := r.keep(ctx); err != nil {
		return err
	}
	s, err := r.phone.command(ctx, []string{b.russet, "-r", r.repo, "diff", first, "latest", "--records"})
	if err != nil {
		return err
	}
	results[ours][diffed] = append(results[ours][diffed], s)
	return r.both(ctx, syncOne)
}

// syncRound is the places of one round.
type syncRound struct {
	*syncing
	dir, repo, cards string
	phone            *simulated
	results          map[string]map[task][]sample
}

// prepare keeps the phone, writes its cards into a folder, makes a collection for
// each program, with all cards in them or, for a first push, none, and configures
// both.
func (r *syncRound) prepare(ctx context.Context, n int) error {
	if _, err := r.phone.command(ctx, []string{r.russet, "-r", r.repo, "-q", "init"}); err != nil {
		return err
	}
	if err := r.keep(ctx); err != nil {
		return err
	}
	for _, program := range []string{ours, peer} {
		name := filepath.Base(r.dir) + "-" + program
		place := filepath.Join(r.data, "collection-root", "bench", name)
		if err := os.MkdirAll(place, 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(place, ".Radicale.props"), []byte(`{"tag": "VADDRESSBOOK"}`), 0o600); err != nil {
			return err
		}
		if n == pushCount {
			continue
		}
		if err := copyCards(r.cards, place); err != nil {
			return err
		}
	}
	to := r.server + "/bench/" + filepath.Base(r.dir) + "-"
	_, err := r.command(ctx, []string{
		r.russet, "-r", r.repo, "-q", "sync", "add", "bench", "--kind", "contacts", "--in", "On My Device", "--in", "Example",
		"--to", "carddav:" + to + ours + "/", "--user", "bench", "--same-server",
	})
	if err != nil {
		return err
	}
	// It does not see that what the server rewrote means the same: it is told what to do.
	config := fmt.Sprintf("[general]\nstatus_path = %q\n[pair bench]\na = \"folder\"\nb = \"server\"\ncollections = null\nconflict_resolution = \"b wins\"\n"+
		"[storage folder]\ntype = \"filesystem\"\npath = %q\nfileext = \".vcf\"\n"+
		"[storage server]\ntype = \"carddav\"\nurl = %q\nusername = \"bench\"\npassword = \"bench\"\n",
		filepath.Join(r.dir, "status"), r.cards, to+peer+"/")
	if err := os.WriteFile(filepath.Join(r.dir, "vdirsyncer.conf"), []byte(config), 0o600); err != nil {
		return err
	}
	_, err = r.command(ctx, []string{peer, "-c", filepath.Join(r.dir, "vdirsyncer.conf"), "discover"})
	return err
}

// newest is the id of the newest snapshot.
func (r *syncRound) newest(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, r.russet, "-r", r.repo, "--json", "snapshots")
	cmd.Env = append(os.Environ(), "RUSSET_PASSWORD="+password)
	out, err := cmd.Output()
	if err != nil {
		return "", err
	}
	var s struct{ ID string }
	for line := range bytes.Lines(out) {
		if err := json.Unmarshal(line, &s); err != nil {
			return "", err
		}
	}
	return s.ID, nil
}

// command runs a program with the phone and the server's password at hand.
func (r *syncRound) command(ctx context.Context, args []string) (sample, error) {
	return measured(ctx, args, "RUSSET_SERVER_PASSWORD=bench", "USBMUXD_SOCKET_ADDRESS="+r.phone.address)
}

// copyCards copies the cards of a folder into a server's.
func copyCards(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".vcf" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, d.Name()), data, 0o600)
	})
}

// keep backs the phone up and brings the folder of its cards up to date.
func (r *syncRound) keep(ctx context.Context) error {
	if _, err := r.phone.command(ctx, []string{r.russet, "-r", r.repo, "-q", "backup"}); err != nil {
		return err
	}
	_, err := r.phone.command(ctx, []string{r.russet, "-r", r.repo, "-q", "export", "contacts", "--target", r.cards})
	return err
}

// both syncs by both programs, which take turns at being first.
func (r *syncRound) both(ctx context.Context, t task) error {
	order := []string{ours, peer}
	if len(r.results[ours][t])%2 == 1 {
		order = []string{peer, ours}
	}
	for _, program := range order {
		args := []string{peer, "-c", filepath.Join(r.dir, "vdirsyncer.conf"), "sync"}
		if program == ours {
			args = []string{r.russet, "-r", r.repo, "-q", "sync", "run", "bench"}
		}
		s, err := r.command(ctx, args)
		if err != nil {
			return err
		}
		if t != "" {
			r.results[program][t] = append(r.results[program][t], s)
		}
	}
	return nil
}
