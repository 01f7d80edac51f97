package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"russet/crypto"
	"russet/device"
	"russet/device/mb2"
	"russet/device/sim"
	"russet/device/sim/agent"
	"russet/device/sim/phone"
)

// recordRig is a phone that is backed up, or plays what was recorded of a
// backup.
type recordRig struct {
	t       *testing.T
	device  *sim.Device
	agent   *agent.Phone
	phone   *phone.Phone
	address string // of its muxer

	// What follows changes between two runs of a host.
	transcript []byte // played, if not nil
	differs    []mb2.Difference
	played     error
	done       chan struct{} // a session of the backup service has ended
}

func newRecordRig(t *testing.T) *recordRig {
	t.Helper()
	config := sim.Tiny()
	config.SmallFiles, config.Messages = 40, 50
	config.Name = "Joe's own telephone"
	d, err := sim.New(t.Context(), config, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := &recordRig{t: t, device: d, done: make(chan struct{}, 1)}
	if r.agent, err = agent.Open(t.TempDir(), d, agent.Options{Iterations: 10, Now: d.Date}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.agent.Close() })
	if r.phone, err = phone.New(t.TempDir(), phone.Options{UDID: config.UDID, Name: config.Name, Backup: r.serve}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.phone.Close() })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.address = l.Addr().String()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- r.phone.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return r
}

// serve is the backup service.
func (r *recordRig) serve(ctx context.Context, conn net.Conn, p *phone.Phone) (err error) {
	if r.transcript == nil {
		_, err = r.agent.Serve(ctx, conn)
		err = errors.Join(err, p.SetWillEncrypt(r.agent.Encrypted()))
	} else {
		r.differs, r.played = mb2.ReplayPhone(conn, bytes.NewReader(r.transcript), p.UDID(), "")
		if r.played == nil {
			_, _, r.played = mb2.ReadMessage(conn) // farewell
		}
	}
	r.done <- struct{}{}
	return err
}

// wait waits for the end of a session of the backup service.
func (r *recordRig) wait() {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(time.Minute):
		r.t.Fatal("the backup service was not spoken to, or speaks still")
	}
}

// russet runs the program in a folder that holds the repository repo.
func (r *recordRig) russet(dir string, args ...string) (code int, said string) {
	env := map[string]string{
		"RUSSET_PASSWORD": "secret", "RUSSET_REPOSITORY": filepath.Join(dir, "repo"),
		"RUSSET_BACKUP_PASSWORD": "other", "USBMUXD_SOCKET_ADDRESS": r.address,
	}
	var out bytes.Buffer
	p := newProgram(func(name string) string { return env[name] }, strings.NewReader(""), &out, &out)
	p.cost = func() crypto.Cost { return crypto.Cost{N: 16, R: 1, P: 1} }
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	code = p.report(p.dispatch(ctx, append([]string{"russet"}, args...)))
	return code, out.String()
}

func (r *recordRig) good(dir string, args ...string) {
	r.t.Helper()
	if code, said := r.russet(dir, args...); code != 0 {
		r.t.Fatalf("russet %q: exit code %d\n%s", args, code, said)
	}
}

// noFolder is the folder of a host that has no backup.
type noFolder struct{ mb2.Folder }

// Open finds nothing.
func (noFolder) Open(context.Context, string) (io.ReadCloser, error) {
	return nil, fs.ErrNotExist
}

// encrypt sets the phone's backup password.
func (r *recordRig) encrypt() {
	r.t.Helper()
	ctx := r.t.Context()
	m, err := device.OpenMux(r.address)
	if err != nil {
		r.t.Fatal(err)
	}
	ph, err := m.Open(ctx, r.phone.UDID())
	if err != nil {
		r.t.Fatal(err)
	}
	conn, err := ph.Service(ctx, "com.apple.mobilebackup2", true)
	if err != nil {
		r.t.Fatal(err)
	}
	s, err := mb2.Start(ctx, conn, mb2.Options{})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := errors.Join(s.ChangePassword(ctx, noFolder{}, r.phone.UDID(), "", "other"), s.Close()); err != nil {
		r.t.Fatal(err)
	}
	r.wait()
}

// copied copies a folder.
func copied(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// A run that was recorded plays again to the same answers, against a repository
// as it was then, and the record tells nothing of whose phone it was.
func TestRecordedBackups(t *testing.T) {
	t.Parallel()
	r := newRecordRig(t)
	dir := t.TempDir()
	r.good(dir, "pair")
	r.good(dir, "init")
	empty := copied(t, dir)
	for _, run := range []string{"full", "incremental", "encrypted"} {
		switch run {
		case "encrypted":
			r.encrypt()
		case "incremental":
			if err := r.device.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		before := copied(t, dir)
		file := filepath.Join(t.TempDir(), "record")
		r.good(dir, "backup", "--record", file)
		r.wait()
		record, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		r.wantNothingPrivate(run, record)
		if n := bytes.Count(record, []byte("\n")); n < 40 || !bytes.Contains(record, []byte(`"request":"Response","code":0`)) {
			t.Errorf("%s: the record has %d lines, or no end", run, n)
		}
		replayed := r.play(run, before, record)
		if len(r.differs) > 0 {
			t.Errorf("%s: the host answered otherwise than when it was recorded: %v", run, r.differs)
		}
		if got, want := withoutSizes(replayed), withoutSizes(record); got != want {
			t.Errorf("%s: the record of a record is another one", run)
		}
		if run != "incremental" {
			continue
		}
		if r.play(run, empty, record); len(r.differs) == 0 {
			t.Error("a host without a backup answered as one that has it")
		}
	}
}

// play has the phone play a record to the program, and returns the record of
// that.
func (r *recordRig) play(run, dir string, record []byte) []byte {
	r.t.Helper()
	r.transcript = record
	defer func() { r.transcript = nil }()
	again := filepath.Join(r.t.TempDir(), "again")
	code, said := r.russet(dir, "backup", "--record", again)
	r.wait()
	// What is played is no manifest: it is kept sealed, or refused, in good order.
	if r.played != nil || code == 2 || strings.Contains(said, "panic") {
		r.t.Errorf("%s: played, exit code %d, %v\n%s", run, code, r.played, said)
	}
	replayed, err := os.ReadFile(again)
	if err != nil {
		r.t.Fatal(err)
	}
	return replayed
}

// withoutSizes takes out of a record what no two runs share.
func withoutSizes(record []byte) string {
	return string(regexp.MustCompile(`"(at|size|bytes|units|unit)":[0-9]+,?`).ReplaceAll(record, nil))
}

// wantNothingPrivate looks for the phone's names, paths and contents.
func (r *recordRig) wantNothingPrivate(run string, record []byte) {
	r.t.Helper()
	config := r.device.Config()
	words := []string{
		config.UDID, config.UDID[9:], config.Serial, config.Name, "Joe", sim.Secret, "Domain", "Library", "/var", "secret", "other\"",
		"700 900", "example",
	}
	names := 0
	for f := range r.device.Files() {
		if base := filepath.Base(f.RelativePath); len(base) > 5 && base != "." {
			words = append(words, base)
			names++
		}
	}
	if names < 20 {
		r.t.Fatalf("the phone has %d names to look for", names)
	}
	for _, word := range words {
		if bytes.Contains(bytes.ToLower(record), []byte(strings.ToLower(word))) {
			r.t.Errorf("%s: the record holds %q", run, word)
		}
	}
}
