package repo

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
	"russet/crypto"
	"russet/index"
)

var everyPoint = flag.Bool("every", false, "cut runs off at every point")

// trial begins with an empty repository; files are versions that it is given.
func trial(t *testing.T, run func(ctx context.Context, be backend.Backend) error, versions ...map[string][]byte) backendtest.Trial {
	t.Helper()
	store := backend.NewMemory()
	if _, err := Init(t.Context(), store, testPassword, InitOptions{Cost: crypto.Cost{N: 2, R: 1, P: 1}}); err != nil {
		t.Fatal(err)
	}
	for _, files := range versions {
		if err := backup(t.Context(), store, files); err != nil {
			t.Fatal(err)
		}
	}
	return backendtest.Trial{Store: store, Run: run, Every: *everyPoint, Judge: func(ctx context.Context, be backend.Backend, _ bool) error {
		return judgeVersions(ctx, be, versions...)
	}}
}

// both tries crashes and failures in a bubble, where the pauses of the lock
// protocol take no time.
func both(t *testing.T, make func(t *testing.T) backendtest.Trial) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { make(t).Crashes(t) })
	synctest.Test(t, func(t *testing.T) { make(t).Failures(t) })
}

// judgeVersions wants a clean check, all versions, and that a version can be
// added.
func judgeVersions(ctx context.Context, be backend.Backend, versions ...map[string][]byte) error {
	r, err := Open(ctx, be, testPassword)
	if err != nil {
		return err
	}
	if err := holdVersions(ctx, r, versions...); err != nil {
		return err
	}
	next := map[string][]byte{"next": payload(99, 5000)}
	if err := backup(ctx, be, next); err != nil {
		return fmt.Errorf("the next run: %w", err)
	}
	if err := holdVersions(ctx, r, append(slices.Clone(versions), next)...); err != nil {
		return fmt.Errorf("after the next run: %w", err)
	}
	return nil
}

// holdVersions wants a clean check and all versions.
func holdVersions(ctx context.Context, r *Repository, versions ...map[string][]byte) error {
	var found error
	_, err := r.Check(ctx, CheckOptions{Read: AllPacks(), Report: func(p Problem) {
		if !p.Kind.Note() {
			found = errors.Join(found, errors.New(p.String()))
		}
	}})
	if err != nil {
		return errors.Join(err, found)
	}
	all, err := r.AllSnapshots(ctx)
	if err != nil {
		return err
	}
	if err := r.LoadIndex(ctx); err != nil {
		return err
	}
	for i, files := range versions {
		there := false
		for _, s := range all {
			same, err := sameFiles(ctx, r, *s.Tree, files)
			if err != nil {
				return err
			}
			there = there || same
		}
		if !there {
			return fmt.Errorf("version %d is in none of %d snapshots", i, len(all))
		}
	}
	return nil
}

func sameFiles(ctx context.Context, r *Repository, id chunk.ID, files map[string][]byte) (bool, error) {
	tree, err := r.LoadTree(ctx, id)
	if err != nil || len(tree.Nodes) != len(files) {
		return false, err
	}
	for _, n := range tree.Nodes {
		data, err := r.ReadFile(ctx, n.Content, 1<<30)
		if err != nil || !bytes.Equal(data, files[n.Name]) {
			return false, err
		}
	}
	return true, nil
}

// many are files enough for some packs and indexes.
func many(seed uint64, n int) map[string][]byte {
	files := map[string][]byte{"empty": {}}
	for i := range n {
		files[fmt.Sprint("f", i)] = payload(seed+uint64(i)/2*2, 500+100*i) // some are equal but for their lengths
	}
	return files
}

// backupInSteps is a long run: it makes everything durable after each file, and
// its packs go up two at a time.
func backupInSteps(ctx context.Context, be backend.Backend, files map[string][]byte) error {
	return locked(ctx, be, false, os.Getpid(), func(ctx context.Context, r *Repository) error { return saveInSteps(ctx, r, files) })
}

func saveInSteps(ctx context.Context, r *Repository, files map[string][]byte) error {
	if err := r.LoadIndex(ctx); err != nil {
		return err
	}
	w := r.NewWriter(ctx)
	defer w.Close()
	root := new(Tree)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		n := &Node{Name: name, Type: TypeFile, Mode: 0o644, ModTime: testTime(), Size: uint64(len(files[name])), Content: []chunk.ID{}}
		root.Nodes = append(root.Nodes, n)
		if len(files[name]) > 0 {
			saved, err := w.Save(ctx, index.Data, files[name])
			if err != nil {
				return err
			}
			n.Content = append(n.Content, saved.ID)
		}
		if _, err := w.SaveTree(ctx, root); err != nil {
			return err
		}
		if err := w.Checkpoint(); err != nil {
			return err
		}
	}
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

func TestCrashInit(t *testing.T) {
	t.Parallel()
	run := func(ctx context.Context, be backend.Backend) error {
		_, err := Init(ctx, be, testPassword, InitOptions{Cost: crypto.Cost{N: 2, R: 1, P: 1}})
		return err
	}
	both(t, func(*testing.T) backendtest.Trial {
		return backendtest.Trial{Store: backend.NewMemory(), Run: run, Every: true, Judge: func(ctx context.Context, be backend.Backend, done bool) error {
			_, err := Open(ctx, be, testPassword)
			if errors.Is(err, backend.ErrNoRepository) && !done {
				err = run(ctx, be)
			}
			if err != nil {
				return err
			}
			return judgeVersions(ctx, be)
		}}
	})
}

func TestCrashBackup(t *testing.T) {
	t.Parallel()
	n := 8
	if *everyPoint {
		n = 60 // some two hundred changes
	}
	first, second := many(1, 5), many(4, n)
	for name, before := range map[string][]map[string][]byte{"first": nil, "next": {first}} {
		for kind, save := range map[string]func(context.Context, backend.Backend, map[string][]byte) error{"at once": backup, "in steps": backupInSteps} {
			t.Run(name+" "+kind, func(t *testing.T) {
				t.Parallel()
				both(t, func(t *testing.T) backendtest.Trial {
					tr := trial(t, func(ctx context.Context, be backend.Backend) error { return save(ctx, be, second) }, before...)
					tr.Judge = func(ctx context.Context, be backend.Backend, done bool) error {
						if done {
							return judgeVersions(ctx, be, append(slices.Clone(before), second)...)
						}
						return judgeVersions(ctx, be, before...)
					}
					return tr
				})
			})
		}
	}
}

// Locks that are taken, renewed and given back, and a check under an exclusive
// one: whoever died at it stands in nobody's way.
func TestCrashLock(t *testing.T) {
	t.Parallel()
	files := many(1, 3)
	for name, work := range map[string]func(ctx context.Context, r *Repository) error{
		"long": func(ctx context.Context, _ *Repository) error { return wait(ctx, 12*time.Minute) },
		"check": func(ctx context.Context, r *Repository) error {
			_, err := r.Check(ctx, CheckOptions{Read: AllPacks()})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T) backendtest.Trial {
				run := func(ctx context.Context, be backend.Backend) error { return exclusively(ctx, be, work) }
				return trialDead(t, run, files)
			})
		})
	}
}

// trialDead is a trial of a process that is known to be gone when its
// repository is judged: an exclusive lock can be had at once.
func trialDead(t *testing.T, run func(ctx context.Context, be backend.Backend) error, files map[string][]byte) backendtest.Trial {
	t.Helper()
	tr := trial(t, run, files)
	tr.Judge = func(ctx context.Context, be backend.Backend, _ bool) error {
		if err := locked(ctx, be, true, os.Getpid(), func(context.Context, *Repository) error { return nil }); err != nil {
			return err
		}
		return judgeVersions(ctx, be, files)
	}
	return tr
}
