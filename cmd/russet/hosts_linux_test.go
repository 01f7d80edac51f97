package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"russet/backend/backendtest"
	"russet/device/sim"
)

// host is a computer with a name of its own that keeps a folder in the bucket
// that it shares with others.
type host struct {
	name    string
	env     []string
	folder  string
	scratch string
	phone   *sim.Device // whose backup the folder is; nil where restic keeps it
	random  *rand.Rand
	kept    map[string]map[string]string // the folder as it was, by snapshots that were reported saved
	order   []string                     // those, oldest first
}

// asHost runs a program under a name of its own for this computer, as far as
// the system lets a test do that.
const asHost = `{ echo "$0" >/proc/sys/kernel/hostname; } 2>/dev/null; exec "$@"`

// command is a program as it runs on the host.
func (h *host) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	if os.Getuid() == 0 { // others would need a name space of users, too, which many systems forbid
		cmd = exec.CommandContext(ctx, "sh", append([]string{"-c", asHost, h.name}, args...)...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUTS}
	}
	cmd.Env = append(os.Environ(), h.env...)
	return cmd
}

// run wants a program to succeed.
func (h *host) run(ctx context.Context, args ...string) (string, error) {
	cmd := h.command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %s: %w\n%s%s", h.name, strings.Join(args, " "), err, &stdout, &stderr)
	}
	return stdout.String(), nil
}

// patiently is run for restic 0.14, which does not wait for others' locks.
func (h *host) patiently(ctx context.Context, args ...string) (string, error) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		out, err := h.run(ctx, args...)
		if err == nil || !strings.Contains(err.Error(), "already locked") {
			return out, err
		}
		select {
		case <-ctx.Done():
			return "", err
		case <-tick.C:
		}
	}
}

// keep backs the folder up, notes what was reported saved, and has the folder
// change.
func (h *host) keep(ctx context.Context) error {
	var out string
	var err error
	if h.phone != nil {
		out, err = h.run(ctx, "russet", "backup", "--json", "--retry-lock", "10m", h.folder)
	} else {
		out, err = h.patiently(ctx, "restic", "backup", "--json", h.folder)
	}
	if err != nil {
		return err
	}
	var summary struct {
		Type string `json:"message_type"`
		ID   string `json:"snapshot_id"`
	}
	for line := range strings.Lines(out) {
		if err := json.Unmarshal([]byte(line), &summary); err != nil {
			return err
		}
		if summary.Type == "summary" {
			break
		}
	}
	if summary.ID == "" {
		return fmt.Errorf("%s: no snapshot in %s", h.name, out)
	}
	h.order = append(h.order, summary.ID)
	if h.kept[summary.ID], err = stateOf(h.folder); err != nil {
		return err
	}
	return h.change(ctx)
}

// change is a day later.
func (h *host) change(ctx context.Context) error {
	if h.phone != nil {
		if err := h.phone.Next(ctx); err != nil {
			return err
		}
		_, err := h.phone.WriteBackup(ctx, filepath.Dir(h.folder), sim.Options{})
		return err
	}
	data := make([]byte, 200_000)
	for i := range data {
		data[i] = byte(h.random.Uint32())
	}
	return os.WriteFile(filepath.Join(h.folder, fmt.Sprint("file", h.random.IntN(10))), data, 0o600)
}

// die is a backup that is killed after a moment.
func (h *host) die(ctx context.Context) error {
	cmd := h.command(ctx, "russet", "backup", "--retry-lock", "10m", h.folder)
	if err := cmd.Start(); err != nil {
		return err
	}
	killer := time.AfterFunc(time.Duration(h.random.Int64N(int64(time.Second))), func() { _ = cmd.Process.Kill() }) // it may have ended
	_ = cmd.Wait()                                                                                                  // killed, mostly
	killer.Stop()
	return nil
}

// prune forgets what the host kept first, and gives the space back.
func (h *host) prune(ctx context.Context) error {
	first := h.order[0]
	h.order = h.order[1:]
	delete(h.kept, first)
	if _, err := h.run(ctx, "russet", "forget", "-q", "--retry-lock", "10m", first); err != nil {
		return err
	}
	_, err := h.run(ctx, "russet", "prune", "-q", "--max-unused", "0", "--retry-lock", "10m")
	return err
}

// restored wants all that was reported saved to come back as it was.
func (h *host) restored(ctx context.Context) error {
	for id, want := range h.kept {
		target := filepath.Join(h.scratch, id)
		where := filepath.Join(target, filepath.Base(h.folder))
		args := []string{"russet", "restore", "-q", id, "--target", target}
		if h.phone == nil {
			where = filepath.Join(target, h.folder)
			args = []string{"restic", "restore", id, "--target", target}
		}
		if _, err := h.run(ctx, args...); err != nil {
			return err
		}
		got, err := stateOf(where)
		if err != nil {
			return err
		}
		if !maps.Equal(got, want) {
			return fmt.Errorf("%s: snapshot %.8s comes back otherwise than it was kept: %d and %d names", h.name, id, len(got), len(want))
		}
		if err := os.RemoveAll(target); err != nil {
			return err
		}
	}
	return nil
}

// newHost makes a host; the number says which programs it runs.
func newHost(t *testing.T, s *backendtest.S3Server, number int, seed uint64) *host {
	t.Helper()
	h := &host{
		name: fmt.Sprint("host", number), scratch: t.TempDir(), folder: filepath.Join(t.TempDir(), "files"),
		random: rand.New(rand.NewPCG(seed, uint64(number))), kept: map[string]map[string]string{},
	}
	at := s.Address("bucket") + "/shared"
	h.env = []string{
		"AWS_ACCESS_KEY_ID=" + s.AccessKey, "AWS_SECRET_ACCESS_KEY=" + s.SecretKey, "XDG_CACHE_HOME=" + t.TempDir(),
		"RESTIC_REPOSITORY=" + at, "RESTIC_PASSWORD=secret", "USBMUXD_SOCKET_ADDRESS=127.0.0.1:1",
	}
	if number >= 6 {
		if err := os.Mkdir(h.folder, 0o700); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := h.change(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		return h
	}
	config := sim.Tiny()
	config.Seed = uint64(number / 2) // two phones have much in common
	config.UDID = fmt.Sprintf("00008020-000D4C3A0E830%03d", number)
	config.SmallFiles = 30
	var err error
	if h.phone, err = sim.New(t.Context(), config, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	h.folder = filepath.Join(filepath.Dir(h.folder), config.UDID)
	if _, err := h.phone.WriteBackup(t.Context(), filepath.Dir(h.folder), sim.Options{}); err != nil {
		t.Fatal(err)
	}
	return h
}

// live keeps the host's folder again and again. Where it dies, some runs are
// killed.
func (h *host) live(ctx context.Context, rounds int, dies bool) error {
	for range rounds {
		if dies {
			if err := h.die(ctx); err != nil {
				return err
			}
		}
		if err := h.keep(ctx); err != nil {
			return err
		}
	}
	return nil
}

// care keeps the folder and prunes for as long as others live, and once more.
func (h *host) care(ctx context.Context, others *atomic.Int64) error {
	if err := h.keep(ctx); err != nil {
		return err
	}
	for alone := false; !alone; {
		alone = others.Load() == 0
		if err := h.keep(ctx); err != nil {
			return err
		}
		if err := h.prune(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Eight computers keep their folders in one bucket at once, two of them with
// restic; one prunes between its backups, and one is killed in some of its.
// Nothing that was reported saved is lost, and both programs find the repository
// whole. RUSSET_SOAK=1 makes many rounds of it.
func TestEightHosts(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short: eight programs at once")
	}
	if _, err := exec.LookPath("restic"); err != nil {
		t.Skip("judge missing: restic")
	}
	s := backendtest.VersityGW(t, os.UserCacheDir)
	rounds := 3
	if os.Getenv("RUSSET_SOAK") != "" {
		rounds = 30
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	hosts := make([]*host, 8)
	for i := range hosts {
		hosts[i] = newHost(t, s, i, seed)
	}
	ctx := t.Context()
	if _, err := hosts[0].run(ctx, "russet", "init", "-q"); err != nil {
		t.Fatal(err)
	}
	var others atomic.Int64
	others.Store(int64(len(hosts) - 1))
	together(t, hosts, func(i int, h *host) error {
		if i == 0 {
			return h.care(ctx, &others)
		}
		defer others.Add(-1)
		return h.live(ctx, rounds, i == 1)
	})
	together(t, hosts, func(_ int, h *host) error { return h.restored(ctx) })
	for _, check := range [][]string{{"russet", "check", "-q", "--read-data"}, {"restic", "check", "--no-cache", "--read-data"}} {
		if _, err := hosts[7].run(ctx, check...); err != nil {
			t.Error(err)
		}
	}
}

// together has all hosts do something at once.
func together(t *testing.T, hosts []*host, do func(i int, h *host) error) {
	t.Helper()
	errs := make([]error, len(hosts))
	var wg sync.WaitGroup
	for i, h := range hosts {
		wg.Go(func() { errs[i] = do(i, h) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
