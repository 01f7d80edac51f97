package repo

import (
	"errors"
	"flag"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"russet/backend"
)

// What the process that TestExtractKilled kills is told.
var (
	restoreVictim = flag.String("restore-victim", "", "the folder with the repository and the target of a restore that kills itself")
	restorePoint  = flag.Int("restore-point", 0, "at which point it does")
)

// fatal is a filter that changes nothing, and kills the process at the last of so
// many calls.
type fatal struct{ left *atomic.Int32 }

func (f fatal) Append(dst, piece []byte, _ bool) []byte {
	f.count()
	return append(dst, piece...)
}

func (f fatal) count() {
	if f.left.Add(-1) != 0 {
		return
	}
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		panic("repo: kill the test's own process: " + err.Error())
	}
	select {}
}

// victimsTarget opens what lies in the folder of a victim.
func victimsTarget(t *testing.T, dir string) (*Repository, *Snapshot, *os.Root) {
	t.Helper()
	be, err := backend.Open(t.Context(), filepath.Join(dir, "repo"), backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(t.Context(), be, testPassword)
	if err != nil {
		t.Fatal(err)
	}
	all, err := r.AllSnapshots(t.Context())
	if err == nil {
		err = r.LoadIndex(t.Context())
	}
	if err != nil || len(all) != 1 {
		t.Fatalf("%d snapshots, %v", len(all), err)
	}
	root, err := os.OpenRoot(filepath.Join(dir, "target"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return r, all[0], root
}

// TestRestoreVictim is the process that TestExtractKilled kills.
func TestRestoreVictim(t *testing.T) {
	if *restoreVictim == "" {
		return
	}
	r, snap, root := victimsTarget(t, *restoreVictim)
	var outs []Output
	f := fatal{new(atomic.Int32)}
	f.left.Store(int32(*restorePoint))
	err := r.Walk(t.Context(), *snap.Tree, func(p string, n *Node, err error) error {
		if err == nil && n.Type == TypeFile {
			outs = append(outs, Output{
				Path: p, Content: n.Content, ModTime: n.ModTime, AccessTime: n.AccessTime,
				Filter: func() Filter { return f },
				Finish: func(*os.File) error { f.count(); return nil },
			})
		}
		return err
	})
	if err == nil {
		err = root.Mkdir("d", 0o700)
	}
	if err == nil {
		err = r.WriteFiles(t.Context(), root, outs, OutputOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A restore is killed at each point: amid a large file, between pieces, after the
// content, before the times. What has its name is whole then, and the next
// restore finds nothing in the way but what is whole, and leaves nothing over.
func TestExtractKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := map[string][]byte{"empty": {}, "small": []byte("hello"), "video": payload(2, 17_000_000)}
	be, err := backend.Create(t.Context(), filepath.Join(dir, "repo"), backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	saveFiles(t, initRepo(t, be, 2), files)
	halves := 0
	for point, ended := 1, false; !ended; point++ {
		if err := os.Mkdir(filepath.Join(dir, "target"), 0o700); err != nil {
			t.Fatal(err)
		}
		victim := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRestoreVictim$", "-restore-victim", dir, "-restore-point", strconv.Itoa(point))
		out, err := victim.CombinedOutput()
		if ended = err == nil; !ended && len(out) > 0 {
			t.Fatalf("point %d: %v\n%s", point, err, out)
		}
		whole, left := namedAndPartial(t, filepath.Join(dir, "target"))
		if ended && (len(whole) != len(files) || left > 0 || point < 8) {
			t.Errorf("a restore with %d points that was not killed: %d files of %d, %d halves", point-1, len(whole), len(files), left)
		}
		halves += left
		restoreAgain(t, dir, files, whole)
		if err := os.RemoveAll(filepath.Join(dir, "target")); err != nil {
			t.Fatal(err)
		}
	}
	if halves == 0 {
		t.Error("no kill left half a file: this proves nothing")
	}
}

// namedAndPartial gives the files that have their names, and the number of those
// that have not.
func namedAndPartial(t *testing.T, target string) (whole map[string]bool, left int) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(target, "d"))
	if err != nil {
		t.Fatal(err)
	}
	whole = map[string]bool{}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".russet-partial-") {
			left++
		} else {
			whole["d/"+e.Name()] = true
		}
	}
	return whole, left
}

// restoreAgain runs what was killed once more, and judges what is there then. Only
// what is whole may be in the way.
func restoreAgain(t *testing.T, dir string, files map[string][]byte, whole map[string]bool) {
	t.Helper()
	r, snap, root := victimsTarget(t, dir)
	failed := map[string]bool{}
	err := r.Extract(t.Context(), *snap.Tree, root, ExtractOptions{Failed: func(p string, err error) error {
		if failed[p] = true; !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: got %v, want fs.ErrExist", p, err)
		}
		return nil
	}})
	if err != nil || !maps.Equal(failed, whole) {
		t.Errorf("%v; in the way: %v, want %v", err, failed, whole)
	}
	for name, want := range files {
		got, err := root.ReadFile("d/" + name)
		info, serr := root.Stat("d/" + name)
		if err := errors.Join(err, serr); err != nil || string(got) != string(want) || !info.ModTime().Equal(testTime()) {
			t.Errorf("%s: %d bytes, %v; want %d, of %v", name, len(got), err, len(want), testTime())
		}
	}
	if _, left := namedAndPartial(t, filepath.Join(dir, "target")); left > 0 {
		t.Errorf("%d halves are left over", left)
	}
}
