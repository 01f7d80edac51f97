package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"testing"
	"testing/synctest"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
	"russet/crypto"
	"russet/index"
)

// locked runs work as a program does: it opens the repository, locks it, and
// unlocks it. pid is that of the process which has the lock.
func locked(ctx context.Context, be backend.Backend, exclusive bool, pid int, work func(ctx context.Context, r *Repository) error) (err error) {
	r, err := Open(ctx, be, testPassword)
	if err != nil {
		return err
	}
	l, err := r.Lock(ctx, exclusive, LockOptions{Owner: Owner{Hostname: "h"}, PID: pid, Boot: "b"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Unlock(ctx)) }()
	return work(l.Context(), r)
}

// backup is a whole run as a program makes it: open, lock, load the index, save
// files, write the snapshot, unlock.
func backup(ctx context.Context, be backend.Backend, files map[string][]byte) error {
	return locked(ctx, be, false, os.Getpid(), func(ctx context.Context, r *Repository) error { return saveVersion(ctx, r, files) })
}

func saveVersion(ctx context.Context, r *Repository, files map[string][]byte) error {
	if err := r.LoadIndex(ctx); err != nil {
		return err
	}
	w := r.NewWriter(ctx)
	defer w.Close()
	root := new(Tree)
	for name, data := range files {
		n := &Node{Name: name, Type: TypeFile, Mode: 0o644, ModTime: testTime(), Size: uint64(len(data)), Content: []chunk.ID{}}
		for s := r.Cutter().NewSplitter(); ; {
			if len(n.Content) == 0 {
				s.Reset(bytes.NewReader(data))
			}
			piece, err := s.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				return err
			}
			saved, err := w.Save(ctx, index.Data, piece)
			if err != nil {
				return err
			}
			n.Content = append(n.Content, saved.ID)
		}
		root.Nodes = append(root.Nodes, n)
	}
	root.Sort()
	top, err := w.SaveTree(ctx, root)
	if err != nil {
		return err
	}
	if err := w.Flush(ctx); err != nil {
		return err
	}
	_, err = r.SaveSnapshot(ctx, &Snapshot{Time: testTime(), Tree: &top.ID, Paths: []string{"/"}})
	return err
}

// wantFiles wants a snapshot for each of versions, complete.
func wantFiles(t *testing.T, r *Repository, versions ...map[string][]byte) {
	t.Helper()
	all, err := r.AllSnapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, files := range versions {
		found := false
		for _, s := range all {
			found = found || hasFiles(t, r, *s.Tree, files)
		}
		if !found {
			t.Fatalf("version %d is in none of %d snapshots", i, len(all))
		}
	}
}

func hasFiles(t *testing.T, r *Repository, id chunk.ID, files map[string][]byte) bool {
	t.Helper()
	tree, err := r.LoadTree(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.Nodes) != len(files) {
		return false
	}
	for _, n := range tree.Nodes {
		data, err := r.ReadFile(t.Context(), n.Content, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(data, files[n.Name]) {
			return false
		}
	}
	return true
}

// faultyStore is what the loops begin with: one version in a repository.
func faultyStore(t *testing.T, size int) (store *backend.Memory, first, second map[string][]byte) {
	t.Helper()
	first = map[string][]byte{"kept": payload(1, 3000), "old": payload(2, size), "empty": {}}
	second = map[string][]byte{"kept": payload(1, 3000), "new": payload(3, size), "text": bytes.Repeat([]byte("a b c "), size/50)}
	store = backend.NewMemory()
	_, err := Init(t.Context(), store, testPassword, InitOptions{Cost: crypto.Cost{N: 2, R: 1, P: 1}})
	if err != nil {
		t.Fatal(err)
	}
	if err := backup(t.Context(), store, first); err != nil {
		t.Fatal(err)
	}
	return store, first, second
}

// afterFault wants what must hold whatever happened to the second run: what was
// reported saved is complete, nothing is damaged, and the next run succeeds.
func afterFault(t *testing.T, store *backend.Memory, failed error, first, second map[string][]byte) {
	t.Helper()
	r := checkClean(t, store)
	if wantFiles(t, r, first); failed == nil {
		wantFiles(t, r, first, second)
	}
	if err := backup(t.Context(), store, second); err != nil {
		t.Fatalf("the next run: %v", err)
	}
	wantFiles(t, checkClean(t, store), first, second)
	// What is left of the locks is stale, and goes.
	if _, err := r.Unlock(t.Context(), UnlockOptions{All: true, Now: testTime()}); err != nil {
		t.Fatal(err)
	}
}

// eachFault runs a backup under the faults that give makes for 1, 2, 3 … until
// one is not reached.
func eachFault(t *testing.T, size int, give func(n int) backendtest.Faults) {
	t.Helper()
	store, first, second := faultyStore(t, size)
	n := 1
	for ; ; n++ {
		broken, err := backendtest.Copy(t.Context(), store)
		if err != nil {
			t.Fatal(err)
		}
		faulty := backendtest.NewFaulty(broken, give(n))
		err = backup(t.Context(), faulty, second)
		if !faulty.Fired() {
			if err != nil {
				t.Fatalf("without a fault: %v", err)
			}
			break
		}
		afterFault(t, broken, err, first, second)
		if t.Failed() {
			t.Fatalf("fault %d: %v: %v", n, err, faulty.Ops())
		}
	}
	if n < 5 {
		t.Errorf("only %d faults were tried", n-1)
	}
	t.Logf("%d faults", n-1)
}

// Whichever operation of a backup fails, once or for good, without effect or
// with it, and wherever the process dies, nothing that was saved is lost.
func TestBackupFaults(t *testing.T) {
	t.Parallel()
	soak := os.Getenv("RUSSET_SOAK") == "1"
	for name, give := range map[string]func(n int) backendtest.Faults{
		"fails once": func(n int) backendtest.Faults { return backendtest.Faults{FailAt: n} },
		"fails ever": func(n int) backendtest.Faults { return backendtest.Faults{FailAt: n, FailCount: -1} },
		"fails late": func(n int) backendtest.Faults { return backendtest.Faults{FailAt: n, Late: true} },
		"dies":       func(n int) backendtest.Faults { return backendtest.Faults{DieAt: n} },
		"cannot write": func(n int) backendtest.Faults {
			return backendtest.Faults{FailAt: n, FailCount: -1, Err: fs.ErrPermission, Only: func(op backendtest.Op) bool { return op.Verb == backendtest.Save }}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// In a bubble the pauses of the lock protocol take no time.
			synctest.Test(t, func(t *testing.T) { eachFault(t, 20_000, give) })
			if soak {
				synctest.Test(t, func(t *testing.T) { eachFault(t, 30<<20, give) }) // several packs
			}
		})
	}
}

// The drive gets full at every byte, one more each time.
func TestBackupFullDrive(t *testing.T) {
	t.Parallel()
	step := int64(997)
	if os.Getenv("RUSSET_SOAK") == "1" {
		step = 61
	}
	synctest.Test(t, func(t *testing.T) { fullDrive(t, step) })
}

func fullDrive(t *testing.T, step int64) {
	t.Helper()
	store, first, second := faultyStore(t, 20_000)
	for room := int64(1); ; room += step {
		broken, err := backendtest.Copy(t.Context(), store)
		if err != nil {
			t.Fatal(err)
		}
		faulty := backendtest.NewFaulty(broken, backendtest.Faults{Room: room})
		err = backup(t.Context(), faulty, second)
		if !faulty.Fired() {
			if err != nil {
				t.Fatalf("with room for %d bytes: %v", room, err)
			}
			return
		}
		if err == nil || !backend.IsFull(err) {
			t.Fatalf("with room for %d bytes: %v, want an error that says full", room, err)
		}
		afterFault(t, broken, err, first, second)
	}
}

// A blob that came out of memory changed ends the session: others may have been
// told that it is on its way.
func TestWriterStopsAtBadMemory(t *testing.T) {
	t.Parallel()
	r := initRepo(t, backend.NewMemory(), 2)
	w := r.NewWriter(t.Context())
	w.cancel(fmt.Errorf("save blob: %w", errMemory))
	if _, err := w.Save(t.Context(), index.Data, []byte("x")); !errors.Is(err, errMemory) {
		t.Errorf("save: %v, want errMemory", err)
	}
	if err := w.Flush(t.Context()); !errors.Is(err, errMemory) {
		t.Errorf("flush: %v, want errMemory", err)
	}
}
