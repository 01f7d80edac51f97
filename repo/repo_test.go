package repo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"russet/backend"
	"russet/chunk"
	"russet/crypto"
	"russet/index"
)

const testPassword = "correct horse"

// cheap keeps key derivation out of the tests' time.
var cheap = crypto.Cost{N: 1 << 10, R: 1, P: 1}

func testTime() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func initRepo(t *testing.T, be backend.Backend, version uint) *Repository {
	t.Helper()
	r, err := Init(t.Context(), be, testPassword, InitOptions{Version: version, Cost: cheap, Owner: Owner{Time: testTime()}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// payload is n bytes that do not compress.
func payload(seed uint64, n int) []byte {
	b := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	rng.Read(b)
	return b
}

// saveFiles stores files as a snapshot with one folder.
func saveFiles(t *testing.T, r *Repository, files map[string][]byte) *Snapshot {
	t.Helper()
	ctx := t.Context()
	w := r.NewWriter(ctx)
	defer w.Close()
	dir := new(Tree)
	for name, data := range files {
		n := &Node{Name: name, Type: TypeFile, Mode: 0o644, ModTime: testTime(), AccessTime: testTime(), ChangeTime: testTime(), Size: uint64(len(data)), Content: []chunk.ID{}}
		s := r.Cutter().NewSplitter()
		s.Reset(bytes.NewReader(data))
		for {
			piece, err := s.Next()
			if err != nil {
				break
			}
			saved, err := w.Save(ctx, index.Data, piece)
			if err != nil {
				t.Fatal(err)
			}
			n.Content = append(n.Content, saved.ID)
		}
		dir.Nodes = append(dir.Nodes, n)
	}
	dir.Sort()
	sub, err := w.SaveTree(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	root := &Tree{Nodes: []*Node{{Name: "d", Type: TypeDir, Mode: uint32(os.ModeDir | 0o755), ModTime: testTime(), AccessTime: testTime(), ChangeTime: testTime(), Subtree: &sub.ID}}}
	top, err := w.SaveTree(ctx, root)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	snap := &Snapshot{Time: testTime(), Tree: &top.ID, Paths: []string{"/d"}, Hostname: "h"}
	if _, err := r.SaveSnapshot(ctx, snap); err != nil {
		t.Fatal(err)
	}
	return snap
}

func testFiles() map[string][]byte {
	return map[string][]byte{
		"empty": {}, "small": []byte("hello"), "text": bytes.Repeat([]byte("some text that repeats. "), 100_000),
		"photo": payload(1, 3_000_000), "video": payload(2, 20_000_000), "two": payload(3, 700_000),
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, version := range []uint{1, 2} {
		be := backend.NewMemory()
		r := initRepo(t, be, version)
		files := testFiles()
		snap := saveFiles(t, r, files)

		r, err := Open(t.Context(), be, testPassword)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.LoadIndex(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, err := r.FindSnapshot(t.Context(), snap.ID().String()[:10], nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range files {
			n, err := r.Find(t.Context(), *got.Tree, "d/"+name)
			if err != nil {
				t.Fatal(err)
			}
			if len(want) == 0 {
				if n.Content == nil || len(n.Content) != 0 {
					t.Errorf("version %d: content of empty file: %v", version, n.Content)
				}
				continue
			}
			data, err := r.ReadFile(t.Context(), n.Content, 1<<30)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(data, want) {
				t.Errorf("version %d: %s came back different", version, name)
			}
		}
	}
}

func TestWriteFiles(t *testing.T) {
	t.Parallel()
	r := initRepo(t, backend.NewMemory(), 2)
	files := testFiles()
	snap := saveFiles(t, r, files)
	d, err := r.Find(t.Context(), *snap.Tree, "d")
	if err != nil {
		t.Fatal(err)
	}
	tree, err := r.LoadTree(t.Context(), *d.Subtree)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var outs []Output
	for _, n := range tree.Nodes {
		outs = append(outs, Output{Path: n.Name, Content: n.Content, ModTime: n.ModTime, AccessTime: n.AccessTime})
	}
	missing := chunk.Sum([]byte("not there"))
	outs = append(outs, Output{Path: "lost", Content: []chunk.ID{missing}})
	var failed []string
	err = r.WriteFiles(t.Context(), root, outs, OutputOptions{Failed: func(path string, err error) error {
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", path, err)
		}
		failed = append(failed, path)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(failed) != 1 || failed[0] != "lost" {
		t.Errorf("failed: %q, want lost", failed)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v, equal %v", name, err, bytes.Equal(got, want))
		}
	}
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	initRepo(t, be, 2)
	if _, err := Open(t.Context(), be, "wrong"); !errors.Is(err, ErrWrongPassword) {
		t.Errorf("got %v, want ErrWrongPassword", err)
	}
	if _, err := Open(t.Context(), backend.NewMemory(), "x"); !errors.Is(err, backend.ErrNoRepository) {
		t.Errorf("got %v, want ErrNoRepository", err)
	}
}

func TestSnapshotOfNothing(t *testing.T) {
	t.Parallel()
	r := initRepo(t, backend.NewMemory(), 2)
	id := chunk.Sum([]byte("x"))
	if _, err := r.SaveSnapshot(t.Context(), &Snapshot{Tree: &id}); err == nil {
		t.Error("a snapshot without its tree was saved")
	}
}

func TestLocks(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	r := initRepo(t, backend.NewMemory(), 2)
	opt := LockOptions{Owner: Owner{Hostname: "h"}, PID: os.Getpid()}
	shared, err := r.Lock(ctx, false, opt)
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.Lock(ctx, false, opt)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Lock(ctx, true, opt); !errors.Is(err, ErrLocked) {
		t.Errorf("exclusive beside shared: %v, want ErrLocked", err)
	}
	if err := errors.Join(shared.Unlock(ctx), again.Unlock(ctx)); err != nil {
		t.Fatal(err)
	}
	excl, err := r.Lock(ctx, true, opt)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Lock(ctx, false, opt); !errors.Is(err, ErrLocked) {
		t.Errorf("shared beside exclusive: %v, want ErrLocked", err)
	}
	if n, err := r.Unlock(ctx, UnlockOptions{Hostname: "h", Now: time.Now()}); n != 0 || err != nil {
		t.Errorf("unlock removed %d live locks, %v", n, err)
	}
	if n, err := r.Unlock(ctx, UnlockOptions{All: true, Now: time.Now()}); n != 1 || err != nil {
		t.Errorf("unlock all removed %d locks, %v", n, err)
	}
	if err := excl.replace(ctx); !errors.Is(err, errLockGone) {
		t.Errorf("refresh of a removed lock: %v, want errLockGone", err)
	}
	if err := excl.Unlock(ctx); err != nil {
		t.Error(err)
	}
}

// resticRun runs the judge on a repository folder.
func resticRun(t *testing.T, dir string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("restic"); err != nil {
		t.Skip("judge missing: restic")
	}
	cmd := exec.CommandContext(t.Context(), "restic", append([]string{"-r", dir, "--no-cache"}, args...)...)
	cmd.Env = append(os.Environ(), "RESTIC_PASSWORD="+testPassword)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("restic %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestResticReadsOurs(t *testing.T) {
	t.Parallel()
	for _, version := range []uint{1, 2} {
		dir := filepath.Join(t.TempDir(), "repo")
		be, err := backend.Create(t.Context(), dir, backend.Options{})
		if err != nil {
			t.Fatal(err)
		}
		r := initRepo(t, be, version)
		files := testFiles()
		saveFiles(t, r, files)
		if out := resticRun(t, dir, "check", "--read-data"); !strings.Contains(out, "no errors were found") {
			t.Errorf("check: %s", out)
		}
		target := t.TempDir()
		resticRun(t, dir, "restore", "latest", "--target", target)
		for name, want := range files {
			got, err := os.ReadFile(filepath.Join(target, "d", name))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %v, equal %v", name, err, bytes.Equal(got, want))
			}
		}
	}
}

func TestKeyJSON(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	data, err := loadAll(context.Background(), be, backend.File{Kind: backend.Key, Name: r.KeyID().String()}, maxKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"created", "username", "hostname", "kdf", "N", "r", "p", "salt", "data"} {
		if _, ok := fields[name]; !ok {
			t.Errorf("key file lacks %q", name)
		}
	}
}
