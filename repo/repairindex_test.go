package repo

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
	"russet/index"
)

func repaired(t *testing.T, be backend.Backend, opt RepairIndexOptions) *RepairIndexPlan {
	t.Helper()
	r, err := Open(t.Context(), be, testPassword)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := r.PlanRepairIndex(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plan.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, err := r.PlanRepairIndex(t.Context(), RepairIndexOptions{})
	if err != nil || !again.Empty() {
		t.Errorf("the second repair: %v, %v", again, err)
	}
	return plan
}

// removeIndex removes some index files.
func removeIndex(t *testing.T, be *backend.Memory, n int) {
	t.Helper()
	for name := range fileSizes(t, be, backend.Index) {
		if n--; n < 0 {
			return
		}
		if err := be.Remove(t.Context(), backend.File{Kind: backend.Index, Name: name}); err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever is wrong with the index, the packs say what it must be.
func TestRepairIndex(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		harm func(t *testing.T, be *backend.Memory, r *Repository)
		opt  RepairIndexOptions
		want string
	}{
		"whole": {func(*testing.T, *backend.Memory, *Repository) {}, RepairIndexOptions{}, "there is nothing to do"},
		"read":  {func(*testing.T, *backend.Memory, *Repository) {}, RepairIndexOptions{ReadAllPacks: true}, "there is nothing to do"},
		"no index": {func(t *testing.T, be *backend.Memory, r *Repository) {
			removeIndex(t, be, 100)
		}, RepairIndexOptions{}, "add          6 packs"},
		"one index file less": {func(t *testing.T, be *backend.Memory, r *Repository) {
			removeIndex(t, be, 1)
		}, RepairIndexOptions{}, "add          2 packs"},
		"unreadable": {func(t *testing.T, be *backend.Memory, r *Repository) {
			for name := range fileSizes(t, be, backend.Index) {
				damage(t, be, backend.File{Kind: backend.Index, Name: name}, 40)
			}
		}, RepairIndexOptions{}, "remove       3 index files"},
		"half an index": {func(t *testing.T, be *backend.Memory, r *Repository) {
			plain := `{"packs":[{"id":"` + strings.Repeat("ab", 32) + `","blobs":[]},{"id":7`
			if _, err := r.saveUnpacked(t.Context(), backend.Index, []byte(plain)); err != nil {
				t.Fatal(err)
			}
		}, RepairIndexOptions{}, "remove       1 index files"},
		"made up": {func(t *testing.T, be *backend.Memory, r *Repository) {
			saveIndex(t, r, madeUpPack(1, 3))
		}, RepairIndexOptions{}, "forget       1 packs: they are gone"},
		"twice": {func(t *testing.T, be *backend.Memory, r *Repository) {
			for _, p := range r.index.Described() {
				saveIndex(t, r, p)
			}
		}, RepairIndexOptions{}, "merge        6 packs"},
		"conflict": {func(t *testing.T, be *backend.Memory, r *Repository) {
			for _, p := range r.index.Described() {
				saveIndex(t, r, index.Pack{ID: p.ID, Blobs: []index.Blob{blobOf(index.Data, 100)}})
				break
			}
		}, RepairIndexOptions{}, "mend         1 packs"},
		"wrong": {func(t *testing.T, be *backend.Memory, r *Repository) {
			removeIndex(t, be, 100)
			for _, p := range r.index.Described() {
				p.Blobs[0].ID = chunk.ID{1}
				saveIndex(t, r, p)
			}
		}, RepairIndexOptions{ReadAllPacks: true}, "mend         6 packs"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			be := backend.NewMemory()
			r := initRepo(t, be, 2)
			snaps, files := versions(t, r, 3, 20_000)
			test.harm(t, be, r)
			if text := repaired(t, be, test.opt).String(); !strings.Contains(text, test.want) {
				t.Errorf("got %q, want %q", text, test.want)
			}
			wantWhole(t, be, snaps, files)
		})
	}
}

// A pack that was cut short is told, and what the index says of it stays, as
// whoever saves the rest needs that; a pack without a header is left alone.
func TestRepairIndexLeavesDamage(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	versions(t, r, 2, 20_000)
	h := index.Handle{ID: chunk.Sum(payload(1, 20_000)), Type: index.Data}
	loc, _ := r.index.Lookup(h)
	err := backendtest.Damage(t.Context(), be, packName(loc.Pack), func(data []byte) []byte { return data[:len(data)-10] })
	if err != nil {
		t.Fatal(err)
	}
	litter := []byte("litter that is long enough to be a pack, but is none, as nobody sealed it")
	if err := be.Save(t.Context(), packName(chunk.Sum(litter)), litter); err != nil {
		t.Fatal(err)
	}
	saveIndex(t, r, madeUpPack(1, 3)) // something to do
	plan := repaired(t, be, RepairIndexOptions{ReadAllPacks: true})
	if plan.Damaged.Packs != 2 || plan.Gone != 1 || plan.Added.Packs+plan.Changed.Packs != 0 {
		t.Errorf("got %+v", plan)
	}
	if err := r.LoadIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !r.index.Has(h) || r.index.HasPack(chunk.Sum(litter)) {
		t.Error("the wrong packs are described")
	}
	if _, err := r.Load(t.Context(), h, nil); err != nil {
		t.Errorf("what is whole of the pack: %v", err)
	}
}

// Whichever operation of a repair fails, and wherever the process dies, the next
// one succeeds, and nothing is lost.
func TestRepairIndexFaults(t *testing.T) {
	t.Parallel()
	for name, give := range map[string]func(n int) backendtest.Faults{
		"fails once": func(n int) backendtest.Faults { return backendtest.Faults{FailAt: n} },
		"fails ever": func(n int) backendtest.Faults { return backendtest.Faults{FailAt: n, FailCount: -1} },
		"dies":       func(n int) backendtest.Faults { return backendtest.Faults{DieAt: n} },
		"dies amid": func(n int) backendtest.Faults {
			return backendtest.Faults{DieAt: n, Tear: func(size int) int { return size / 2 }}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := backend.NewMemory()
			r := initRepo(t, store, 2)
			snaps, files := versions(t, r, 2, 20_000)
			for name := range fileSizes(t, store, backend.Index) {
				damage(t, store, backend.File{Kind: backend.Index, Name: name}, 40)
				break
			}
			saveIndex(t, r, madeUpPack(1, 3))
			for n := 1; ; n += faultStep() {
				broken, err := backendtest.Copy(t.Context(), store)
				if err != nil {
					t.Fatal(err)
				}
				faulty := backendtest.NewFaulty(broken, give(n))
				err = repairRun(t.Context(), faulty)
				if !faulty.Fired() {
					if err != nil {
						t.Fatal(err)
					}
					break
				}
				repaired(t, broken, RepairIndexOptions{})
				wantWhole(t, broken, snaps, files)
			}
		})
	}
}

func repairRun(ctx context.Context, be backend.Backend) error {
	r, err := Open(ctx, be, testPassword)
	if err != nil {
		return err
	}
	plan, err := r.PlanRepairIndex(ctx, RepairIndexOptions{})
	if err != nil {
		return err
	}
	_, err = plan.Apply(ctx)
	return err
}

// A plan of an index that has changed since is carried out by nobody.
func TestRepairIndexOutOfDate(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	versions(t, r, 1, 5000)
	had := len(fileSizes(t, be, backend.Index))
	saveIndex(t, r, madeUpPack(1, 3))
	plan, err := r.PlanRepairIndex(t.Context(), RepairIndexOptions{})
	if err != nil {
		t.Fatal(err)
	}
	saveIndex(t, r, madeUpPack(2, 3))
	if _, err := plan.Apply(t.Context()); err == nil || !strings.Contains(err.Error(), "has changed") {
		t.Errorf("got %v", err)
	}
	if n := len(fileSizes(t, be, backend.Index)); n != had+2 {
		t.Errorf("%d index files are left", n)
	}
}

// A pack that a repair of packs has left, as something of it is lost, does not
// come back: neither while the index stands, nor when it was lost since.
func TestRepairIndexAfterPacks(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]bool{"index there": false, "index lost": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			be := backend.NewMemory()
			files := map[string][]byte{"a": payload(1, 5000), "b": payload(2, 5000), "c": payload(3, 5000)}
			saveFiles(t, initRepo(t, be, 2), files)
			r := opened(t, be)
			id := packsOf(t, r, index.Data)[0]
			spoilPack(t, be, id, blobsIn(r, id)[0].Offset+20)
			if plan, _, err := repairPacks(t.Context(), r); err != nil || plan.Leave != 1 {
				t.Fatal(plan, err)
			}
			saveFiles(t, opened(t, be), files) // heals
			if lose {
				removeIndex(t, be, 100)
			}
			plan := repaired(t, be, RepairIndexOptions{})
			if plan.Useless.Packs != 1 || plan.Hurt != 0 || plan.Empty() == lose {
				t.Errorf("got %+v", plan)
			}
			checkClean(t, be)
		})
	}
}

// With the index lost and a pack damaged, what is whole of the pack can be saved.
func TestRepairIndexNamesDamage(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	files := map[string][]byte{"a": payload(1, 5000), "b": payload(2, 5000), "c": payload(3, 5000)}
	saveFiles(t, initRepo(t, be, 2), files)
	r := opened(t, be)
	id := packsOf(t, r, index.Data)[0]
	blobs := blobsIn(r, id)
	if len(blobs) < 2 {
		t.Skip("not here: the blobs went into the other packs")
	}
	spoilPack(t, be, id, blobs[0].Offset+20)
	removeIndex(t, be, 100)
	if plan := repaired(t, be, RepairIndexOptions{}); plan.Hurt != 1 || plan.Useless.Packs+plan.Damaged.Packs != 0 {
		t.Errorf("got %+v", plan)
	}
	repair, _, err := repairPacks(t.Context(), opened(t, be))
	if err != nil || len(repair.Packs) != 1 || repair.Packs[0].Save != len(blobs)-1 {
		t.Errorf("got %v, %v", repair, err)
	}
	if again := repaired(t, be, RepairIndexOptions{}); again.Useless.Packs != 1 {
		t.Errorf("after the repair: %+v", again)
	}
}

// A sector that cannot be read is damage of a pack, wherever it lies in it, and
// costs no more than what lies there; a drive that is away ends the plan.
func TestRepairIndexBadSector(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files  map[string][]byte
		sector func(size int64) int64 // where it is
		hurt   int                    // packs that are named
		left   int                    // packs without a header that can be read
	}{
		"content":             {map[string][]byte{"video": payload(1, 3<<20)}, func(int64) int64 { return 100 }, 1, 0},
		"content, short pack": {map[string][]byte{"a": payload(1, 5000), "b": payload(2, 5000)}, func(int64) int64 { return 100 }, 1, 0},
		"header":              {map[string][]byte{"video": payload(1, 3<<20)}, func(size int64) int64 { return size - 10 }, 0, 1},
		"header, short pack":  {map[string][]byte{"a": payload(1, 5000)}, func(size int64) int64 { return size - 10 }, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			be := backend.NewMemory()
			saveFiles(t, initRepo(t, be, 2), c.files)
			r := opened(t, be)
			id := packsOf(t, r, index.Data)[0]
			bad := c.sector(fileSizes(t, be, backend.Data)[id.String()])
			removeIndex(t, be, 100)
			away := false
			faulty := backendtest.NewFaulty(be, backendtest.Faults{Before: func(_ context.Context, op backendtest.Op) error {
				sector := op.File == packName(id) && op.Offset <= bad && bad < op.Offset+int64(op.Size)
				if op.Verb == backendtest.Load && (sector || away && op.File.Kind == backend.Config) {
					return syscall.EIO
				}
				return nil
			}})
			plan, err := on(r, faulty).PlanRepairIndex(t.Context(), RepairIndexOptions{})
			if err != nil || plan.Hurt+plan.Useless.Packs != c.hurt || plan.Damaged.Packs != c.left || plan.Added.Packs == 0 {
				t.Errorf("got %+v, %v", plan, err)
			}
			away = true
			if plan, err := on(r, faulty).PlanRepairIndex(t.Context(), RepairIndexOptions{}); !errors.Is(err, syscall.EIO) {
				t.Errorf("of a drive that does not answer: %v, %v", plan, err)
			}
		})
	}
}

// While the folder of packs is away no repair takes that for damage: it refuses,
// and once the folder is back nothing is missing.
func TestRepairsWhilePacksAreAway(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	snaps, files := versions(t, r, 2, 5000)
	away := map[backend.File][]byte{}
	for name := range fileSizes(t, be, backend.Data) {
		f := backend.File{Kind: backend.Data, Name: name}
		data, err := backendtest.Read(t.Context(), be, f)
		if err == nil {
			err = be.Remove(t.Context(), f)
		}
		if err != nil {
			t.Fatal(err)
		}
		away[f] = data
	}
	for name, plan := range map[string]func() error{
		"index": func() error {
			_, err := r.PlanRepairIndex(t.Context(), RepairIndexOptions{})
			return err
		},
		"index, all read": func() error {
			_, err := r.PlanRepairIndex(t.Context(), RepairIndexOptions{ReadAllPacks: true})
			return err
		},
		"packs": func() error {
			_, err := r.PlanRepairPacks(t.Context(), RepairPacksOptions{})
			return err
		},
		"snapshots": func() error {
			_, err := r.PlanRepairSnapshots(t.Context(), RepairSnapshotsOptions{Forget: true})
			return err
		},
	} {
		if err := plan(); err == nil || !strings.Contains(err.Error(), "that is no damage") || errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for f, data := range away {
		if err := be.Save(t.Context(), f, data); err != nil {
			t.Fatal(err)
		}
	}
	wantWhole(t, be, snaps, files)
}
