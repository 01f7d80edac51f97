package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"russet/backend"
	"russet/chunk"
)

// outputs saves files and returns what writes them out.
func outputs(t *testing.T, files map[string][]byte) (*Repository, []Output) {
	t.Helper()
	r := initRepo(t, backend.NewMemory(), 2)
	snap := saveFiles(t, r, files)
	d, err := r.Find(t.Context(), *snap.Tree, "d")
	if err != nil {
		t.Fatal(err)
	}
	tree, err := r.LoadTree(t.Context(), *d.Subtree)
	if err != nil {
		t.Fatal(err)
	}
	var outs []Output
	for _, n := range tree.Nodes {
		outs = append(outs, Output{Path: n.Name, Content: n.Content, ModTime: n.ModTime, AccessTime: n.AccessTime})
	}
	return r, outs
}

func testRoot(t *testing.T) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

// Hundreds of small files are one batch: its worker must not finish it first.
func TestWriteFilesCancelled(t *testing.T) {
	t.Parallel()
	files := map[string][]byte{}
	for i := range 300 {
		files[fmt.Sprint("f", i)] = fmt.Append(nil, i)
	}
	r, outs := outputs(t, files)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var written atomic.Int32
	for i := range outs {
		outs[i].Finish = func(*os.File) error {
			written.Add(1)
			cancel()
			return nil
		}
	}
	if err := r.WriteFiles(ctx, testRoot(t), outs, OutputOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if got := written.Load(); got != 1 {
		t.Errorf("%d files were written once the first had cancelled, want that one", got)
	}
}

// What is there already is left where its bytes are those that are wanted, and
// is never replaced.
func TestWriteFilesLeft(t *testing.T) {
	t.Parallel()
	files := testFiles()
	r, outs := outputs(t, files)
	root := testRoot(t)
	if err := r.WriteFiles(t.Context(), root, outs, OutputOptions{}); err != nil {
		t.Fatal(err)
	}
	all := 0
	store := r.be
	r.be = backend.NewMemory() // which has nothing, and need not be asked
	err := r.WriteFiles(t.Context(), root, outs, OutputOptions{Left: func(string) { all++ }})
	if r.be = store; err != nil || all != len(outs) {
		t.Errorf("%d files of %d were left, %v", all, len(outs), err)
	}

	changed := []byte("hellO")
	video := append([]byte(nil), files["video"]...)
	video[len(video)-1]++ // in the last of its blobs
	for name, data := range map[string][]byte{"small": changed, "video": video} {
		if err := os.WriteFile(filepath.Join(root.Name(), name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err = errors.Join(root.Remove("two"), root.Symlink("photo", "two"), root.Remove("empty"), root.Mkdir("empty", 0o700),
		root.Chtimes("photo", time.Time{}, time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	failed, left := map[string]bool{}, map[string]bool{}
	err = r.WriteFiles(t.Context(), root, outs, OutputOptions{
		Left: func(p string) { left[p] = true },
		Failed: func(p string, err error) error {
			if failed[p] = true; !errors.Is(err, fs.ErrExist) {
				t.Errorf("%s: got %v, want fs.ErrExist", p, err)
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range files {
		if want := name == "text" || name == "photo"; left[name] != want || failed[name] == want {
			t.Errorf("%s: left %v, failed %v; want it left: %v", name, left[name], failed[name], want)
		}
	}
	if got, err := root.ReadFile("small"); err != nil || string(got) != string(changed) {
		t.Errorf("what was there is %q now, %v; want %q", got, err, changed)
	}
	if info, err := root.Stat("photo"); err != nil || !info.ModTime().Equal(testTime()) {
		t.Errorf("the time of a file that was left: %v, %v; want %v", info.ModTime(), err, testTime())
	}
	if err := r.WriteFiles(t.Context(), root, outs, OutputOptions{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("without Left: got %v, want fs.ErrExist", err)
	}
}

// cancelling is a backend after whose first load its user has enough.
type cancelling struct {
	backend.Backend
	cancel context.CancelFunc
}

func (c cancelling) Load(ctx context.Context, f backend.File, offset int64, dst []byte) (int, error) {
	n, err := c.Backend.Load(ctx, f, offset, dst)
	c.cancel()
	return n, err
}

// Deriving a key takes as long as the key file says. It is not waited for, and
// what was not tried is neither wrong nor damaged.
func TestOpenCancelled(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	initRepo(t, be, 2)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	key, id, err := openKey(ctx, cancelling{be, cancel}, "wrong", chunk.ID{})
	if key != nil || id != (chunk.ID{}) || !errors.Is(err, context.Canceled) || errors.Is(err, ErrDamaged) || errors.Is(err, ErrWrongPassword) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}
