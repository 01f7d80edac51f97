package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"russet/device/sim"
)

var killsWanted = flag.Int("kills", 4, "how many running programs TestKills kills")

// hunt kills programs that work on one repository.
type hunt struct {
	t      *testing.T
	phone  *sim.Device
	dir    string // the phone's backup folder
	repo   string
	random *rand.Rand
	kept   map[string]map[string]string // the folder as it was, by the first trees of completed snapshots
	took   map[string]time.Duration     // how long a verb runs
	kills  map[string]int
	missed int // how often the program had ended before it was killed
}

// russet runs the program, and kills it after a while if that is not zero. It
// tells whether it ran to its end; that must be a success then.
func (h *hunt) russet(after time.Duration, args ...string) (out string, ended bool) {
	h.t.Helper()
	cmd := exec.CommandContext(h.t.Context(), "russet", args...)
	cmd.Env = append(os.Environ(), "RUSSET_PASSWORD=secret", "RUSSET_TO_PASSWORD=secret", "RUSSET_NEW_PASSWORD=secret",
		"RUSSET_REPOSITORY="+h.repo, "USBMUXD_SOCKET_ADDRESS=127.0.0.1:1")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	killer := time.AfterFunc(max(after, time.Microsecond), func() {
		if after > 0 {
			_ = cmd.Process.Kill() // it may have ended
		}
	})
	err := cmd.Wait()
	killer.Stop()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && after > 0 && exit.ExitCode() == -1 {
		h.kills[args[0]]++
		return "", false
	}
	if err != nil {
		h.t.Fatalf("russet %s: %v\n%s%s", strings.Join(args, " "), err, &stdout, &stderr)
	}
	if after > 0 {
		h.missed++
	} else {
		h.took[args[0]] = time.Since(start)
	}
	return stdout.String(), true
}

// backup keeps the phone's folder, and has the phone live on once it is kept.
func (h *hunt) backup(after time.Duration) {
	h.t.Helper()
	out, ended := h.russet(after, "backup", "--json", h.dir)
	if !ended {
		return
	}
	var summary struct {
		Type string `json:"message_type"`
		ID   string `json:"snapshot_id"`
	}
	for line := range strings.Lines(out) {
		if err := json.Unmarshal([]byte(line), &summary); err != nil {
			h.t.Fatal(err)
		}
		if summary.Type == "summary" {
			break
		}
	}
	if summary.ID == "" {
		h.t.Fatalf("no snapshot in %s", out)
	}
	tree := ""
	for _, s := range h.snapshots() {
		if s.ID == summary.ID {
			tree = s.Tree
		}
	}
	if tree == "" {
		h.t.Fatalf("snapshot %s is not there", summary.ID)
	}
	h.kept[tree] = folderState(h.t, h.dir)
	if err := h.phone.Next(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	h.write()
}

// snapshots lists what is there.
func (h *hunt) snapshots() (list []snapshotMessage) {
	h.t.Helper()
	out, _ := h.russet(0, "snapshots", "--json")
	for line := range strings.Lines(out) {
		var s snapshotMessage
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			h.t.Fatal(err)
		}
		if s.MessageType == "snapshot" {
			list = append(list, s)
		}
	}
	return list
}

// named gives the ids of the snapshots that have a tree: one that is tagged
// becomes another, and amid that there are two.
func (h *hunt) named(tree string) (ids []string) {
	h.t.Helper()
	for _, s := range h.snapshots() {
		if s.Tree == tree {
			ids = append(ids, s.ID)
		}
	}
	if len(ids) == 0 {
		h.t.Fatalf("no snapshot has the tree %s, which was kept", tree)
	}
	return ids
}

// some is one of the kept trees.
func (h *hunt) some() string {
	trees := slices.Sorted(maps.Keys(h.kept))
	return trees[h.random.IntN(len(trees))]
}

// forget gives up one of the kept snapshots. Nobody knows whether a run that is
// killed has removed it.
func (h *hunt) forget() (ids []string) {
	h.t.Helper()
	for len(h.kept) < 2 {
		h.backup(0)
	}
	tree := h.some()
	defer delete(h.kept, tree)
	return h.named(tree)
}

// spareKey is the id of a key that did not open the repository.
func (h *hunt) spareKey() string {
	h.t.Helper()
	h.russet(0, "key", "-q", "add")
	out, _ := h.russet(0, "key", "--json", "list")
	for line := range strings.Lines(out) {
		var k keyMessage
		if err := json.Unmarshal([]byte(line), &k); err != nil {
			h.t.Fatal(err)
		}
		if k.MessageType == "key" && !k.Current {
			return k.ID
		}
	}
	h.t.Fatalf("there is one key in %s", out)
	return ""
}

func (h *hunt) write() {
	h.t.Helper()
	if _, err := h.phone.WriteBackup(h.t.Context(), filepath.Dir(h.dir), sim.Options{}); err != nil {
		h.t.Fatal(err)
	}
}

// restored wants a snapshot to be written out as its folder was.
func (h *hunt) restored(tree string) {
	h.t.Helper()
	id := h.named(tree)[0]
	target := h.t.TempDir()
	h.russet(0, "restore", "-q", id, "--target", target)
	got := folderState(h.t, filepath.Join(target, filepath.Base(h.dir)))
	if !maps.Equal(got, h.kept[tree]) {
		h.t.Fatalf("snapshot %s comes back otherwise than it was kept: %d and %d names", id, len(got), len(h.kept[tree]))
	}
	if err := os.RemoveAll(target); err != nil {
		h.t.Fatal(err)
	}
}

// victims are the verbs that are killed, but for those that need more than this.
var victims = [][]string{
	{"check", "--read-data"},
	{"unlock"},
	{"prune", "--max-unused", "0"},
	{"repair", "index", "--read-all-packs"},
	{"repair", "packs"},
	{"repair", "snapshots", "--forget"},
	{"recover"},
	{"restore", "latest"},
	{"copy"},
	{"mirror", "--many"},
	{"key", "passwd"},
	{"key", "add"},
	{"key", "remove"},
	{"tag", "--set"},
	{"forget"},
}

// other is the place of a second repository: what copy or mirror writes to.
func (h *hunt) other(verb string) string { return h.repo + "-" + verb }

// kill begins some verb, kills it, and looks at what it left.
func (h *hunt) kill() {
	h.t.Helper()
	switch which := h.random.IntN(2 * len(victims)); {
	case which < len(victims):
		h.run(h.moment(victims[which]), victims[which])
	case which == len(victims):
		h.killInit()
	default:
		h.backup(h.moment([]string{"backup"}))
	}
	h.russet(0, "check", "-q")
}

// moment is some time while a verb runs.
func (h *hunt) moment(verb []string) time.Duration {
	return time.Duration(1 + h.random.Int64N(int64(h.took[verb[0]])))
}

// run runs a victim.
func (h *hunt) run(after time.Duration, verb []string) {
	h.t.Helper()
	args := append([]string{verb[0], "-q"}, verb[1:]...)
	switch strings.Join(verb, " ") {
	case "key remove":
		args = append(args, h.spareKey())
	case "tag --set":
		args = append(append(args, fmt.Sprint("seen-", h.random.IntN(1000))), h.named(h.some())...)
	case "forget":
		args = append(args, h.forget()...)
	}
	if verb[0] == "restore" {
		target := h.t.TempDir()
		defer os.RemoveAll(target)
		args = append(args, "--target", target)
	}
	if verb[0] != "copy" && verb[0] != "mirror" {
		h.russet(after, args...)
		return
	}
	h.russet(after, append(args, "--to", h.other(verb[0]))...)
	h.russet(0, "check", "-q", "-r", h.other(verb[0]))
}

// killInit kills the program that makes another repository; it is made in the
// end.
func (h *hunt) killInit() {
	h.t.Helper()
	other := *h
	other.repo = filepath.Join(h.t.TempDir(), "repo")
	if _, ended := other.russet(h.moment([]string{"init"}), "init", "-q"); !ended {
		if _, err := os.Stat(filepath.Join(other.repo, "config")); errors.Is(err, fs.ErrNotExist) {
			other.russet(0, "init", "-q")
		}
	}
	h.missed = other.missed
	other.russet(0, "check", "-q")
	if err := os.RemoveAll(other.repo); err != nil {
		h.t.Fatal(err)
	}
}

// folderState is what a folder holds: each file with its bytes and its time.
func folderState(t *testing.T, dir string) map[string]string {
	t.Helper()
	m, err := stateOf(dir)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func stateOf(dir string) (map[string]string, error) {
	m := map[string]string{}
	return m, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil || d.IsDir() {
			m[rel] = "folder"
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(name)
		m[rel] = fmt.Sprintf("%x %d", sha256.Sum256(data), info.ModTime().UnixNano())
		return err
	})
}

// Programs are killed at random moments. Each time the next one finds a whole
// repository that nothing locks; in the end every snapshot of which a run said
// that it is kept comes back, and restic finds no damage.
func TestKills(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("not here: a killed program's lock cannot be told from another computer's")
	}
	config := sim.Tiny()
	d, err := sim.New(t.Context(), config, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	h := &hunt{
		t: t, phone: d, dir: filepath.Join(t.TempDir(), config.UDID), repo: filepath.Join(t.TempDir(), "repo"),
		random: rand.New(rand.NewPCG(seed, 0)), kept: map[string]map[string]string{},
		took: map[string]time.Duration{}, kills: map[string]int{},
	}
	h.write()
	h.russet(0, "init", "-q")
	h.backup(0)
	h.russet(0, "init", "-q", "-r", h.other("copy"))
	h.russet(0, "mirror", "-q", "--init", "--to", h.other("mirror"))
	for _, verb := range victims {
		h.run(0, verb)
	}
	killed := func() (n int) {
		for _, k := range h.kills {
			n += k
		}
		return n
	}
	for round := 1; killed() < *killsWanted; round++ {
		h.kill()
		if round%10 == 0 {
			h.backup(0)
		}
	}
	h.backup(0)
	for tree := range h.kept {
		h.restored(tree)
	}
	h.run(0, []string{"copy"})
	h.run(0, []string{"mirror", "--many"})
	t.Logf("real SIGKILLs: %d (%v), %d programs ended before, %d snapshots restored (seed %d)", killed(), h.kills, h.missed, len(h.kept), seed)
	if _, err := exec.LookPath("restic"); err != nil {
		t.Skip("judge missing: restic")
	}
	for _, repo := range []string{h.repo, h.other("copy"), h.other("mirror")} {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "RESTIC_PASSWORD=secret restic -r '"+repo+"' --no-cache check --read-data").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "no errors were found") {
			t.Errorf("restic check: %v\n%s", err, out)
		}
	}
}
