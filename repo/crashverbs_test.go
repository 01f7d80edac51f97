package repo

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
)

// crowded is a repository with packs of all kinds: those of versions that are
// kept, of some that were forgotten, and of both, and garbage of a run that died.
func crowded(t *testing.T, n int) (store *backend.Memory, kept []map[string][]byte) {
	t.Helper()
	tr := trial(t, nil)
	store, err := backendtest.Copy(t.Context(), tr.Store)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		files := many(uint64(1+i*n/2), n)
		save := backup
		if i%2 == 0 {
			save = backupInSteps
		}
		if err := save(t.Context(), store, files); err != nil {
			t.Fatal(err)
		}
		if i < 2 {
			continue
		}
		kept = append(kept, files)
	}
	r := opened(t, store)
	all, err := r.AllSnapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		keep := false
		for _, files := range kept {
			same, err := sameFiles(t.Context(), r, *s.Tree, files)
			if err != nil {
				t.Fatal(err)
			}
			keep = keep || same
		}
		if !keep {
			if err := r.RemoveSnapshot(t.Context(), s.ID()); err != nil {
				t.Fatal(err)
			}
		}
	}
	faulty := backendtest.NewFaulty(store, backendtest.Faults{DieAt: 4})
	if err := backupInSteps(t.Context(), faulty, many(900, n)); err == nil {
		t.Fatal("the run did not die")
	}
	if _, err := opened(t, store).Unlock(t.Context(), UnlockOptions{All: true, Now: testTime()}); err != nil {
		t.Fatal(err)
	}
	return store, kept
}

// exclusively runs work as a program does that changes what is there, and whose
// process is gone when its repository is judged.
func exclusively(ctx context.Context, be backend.Backend, work func(ctx context.Context, r *Repository) error) error {
	return locked(ctx, be, true, nobody, work)
}

// crashCare cuts off work on a crowded repository: what is kept is kept, and the
// work can be done again.
func crashCare(t *testing.T, work func(ctx context.Context, r *Repository) error, prepare func(t *testing.T, store *backend.Memory)) {
	t.Helper()
	n := 5
	if *everyPoint {
		n = 20
	}
	both(t, func(t *testing.T) backendtest.Trial {
		store, kept := crowded(t, n)
		if prepare != nil {
			prepare(t, store)
		}
		run := func(ctx context.Context, be backend.Backend) error { return exclusively(ctx, be, work) }
		return backendtest.Trial{Store: store, Run: run, Every: *everyPoint, Sample: 20, Judge: func(ctx context.Context, be backend.Backend, _ bool) error {
			r, err := Open(ctx, be, testPassword)
			if err != nil {
				return err
			}
			if err := holdVersions(ctx, r, kept...); err != nil && prepare == nil {
				return err
			}
			if err := run(ctx, be); err != nil {
				return fmt.Errorf("the next run: %w", err)
			}
			return judgeVersions(ctx, be, kept...)
		}}
	})
}

func TestCrashPrune(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]PruneOptions{"all": everything(), "without space": {MaxRepack: LimitBytes(0)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			crashCare(t, func(ctx context.Context, r *Repository) error {
				plan, err := r.PlanPrune(ctx, opt)
				if err == nil {
					_, err = plan.Apply(ctx)
				}
				return err
			}, nil)
		})
	}
}

// The index is gone in part; the repair is cut off.
func TestCrashRepairIndex(t *testing.T) {
	t.Parallel()
	crashCare(t, func(ctx context.Context, r *Repository) error {
		plan, err := r.PlanRepairIndex(ctx, RepairIndexOptions{})
		if err == nil {
			_, err = plan.Apply(ctx)
		}
		return err
	}, func(t *testing.T, store *backend.Memory) {
		names := maps.Collect(func(yield func(string, bool) bool) {
			for info := range store.List(t.Context(), backend.Index) {
				yield(info.Name, true)
			}
		})
		left := len(names) / 2
		for name := range names {
			if left--; left < 0 {
				break
			}
			if err := store.Remove(t.Context(), backend.File{Kind: backend.Index, Name: name}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Snapshots are forgotten, and what is kept is; or all are saved again with a
// tag, and none is lost between the old file and the new.
func TestCrashForgetAndTag(t *testing.T) {
	t.Parallel()
	versions := []map[string][]byte{many(1, 2), many(20, 3), many(40, 4)}
	for name, c := range map[string]struct {
		kept []map[string][]byte
		work func(ctx context.Context, r *Repository, all []*Snapshot) error
	}{
		"forget": {versions[2:], func(ctx context.Context, r *Repository, all []*Snapshot) error {
			if err := r.LoadIndex(ctx); err != nil {
				return err
			}
			var old []*Snapshot
			for _, s := range all {
				last, err := sameFiles(ctx, r, *s.Tree, versions[2])
				if err != nil {
					return err
				}
				if !last {
					old = append(old, s)
				}
			}
			_, err := PlanForgetThese(old, time.UTC).Apply(ctx, r, new(Progress))
			return err
		}},
		"tag": {versions, func(ctx context.Context, r *Repository, all []*Snapshot) error {
			plan := PlanTags(all, func(tags []string) []string {
				if slices.Contains(tags, "x") {
					return tags
				}
				return append(slices.Clone(tags), "x")
			})
			return plan.Apply(ctx, r, func(TagChange, chunk.ID) error { return nil })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T) backendtest.Trial {
				tr := trial(t, nil, versions...)
				tr.Run = func(ctx context.Context, be backend.Backend) error {
					return exclusively(ctx, be, func(ctx context.Context, r *Repository) error {
						all, err := r.AllSnapshots(ctx)
						if err != nil {
							return err
						}
						return c.work(ctx, r, all)
					})
				}
				tr.Judge = func(ctx context.Context, be backend.Backend, _ bool) error {
					if err := judgeVersions(ctx, be, c.kept...); err != nil {
						return err
					}
					return tr.Run(ctx, be)
				}
				return tr
			})
		})
	}
}
