package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
	"russet/index"
)

// packsOf are the packs of a type, the largest first.
func packsOf(t *testing.T, r *Repository, typ index.BlobType) []chunk.ID {
	t.Helper()
	sizes := map[chunk.ID]int64{}
	for loc := range r.index.Blobs() {
		if loc.Type == typ {
			sizes[loc.Pack] += int64(loc.Length)
		}
	}
	var ids []chunk.ID
	for id := range sizes {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b chunk.ID) int { return int(sizes[b] - sizes[a]) })
	return ids
}

// blobsIn are the blobs of a pack in their order.
func blobsIn(r *Repository, id chunk.ID) []index.Blob {
	c := &checker{r: r}
	return c.blobsOf([]chunk.ID{id})[id]
}

// spoil turns over a byte of a pack.
func spoilPack(t *testing.T, be backend.Backend, id chunk.ID, at uint32) {
	t.Helper()
	err := backendtest.Damage(t.Context(), be, packName(id), func(data []byte) []byte {
		data[at] ^= 1
		return data
	})
	if err != nil {
		t.Fatal(err)
	}
}

// opened opens a repository and loads its index.
func opened(t *testing.T, be backend.Backend) *Repository {
	t.Helper()
	r, err := Open(t.Context(), be, testPassword)
	if err == nil {
		err = r.LoadIndex(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// repairPacks plans and applies.
func repairPacks(ctx context.Context, r *Repository, ids ...chunk.ID) (*RepairPacksPlan, RepairPacksResult, error) {
	plan, err := r.PlanRepairPacks(ctx, RepairPacksOptions{Packs: ids})
	if err != nil {
		return nil, RepairPacksResult{}, err
	}
	res, err := plan.Apply(ctx)
	return plan, res, err
}

// Whatever of a damaged pack can be read is saved, and the rest is said to be
// lost: of a pack with a bad byte in a blob, of one with a bad header, of one
// that is cut short, of one that is gone.
func TestRepairPacks(t *testing.T) {
	t.Parallel()
	files := map[string][]byte{}
	for i := range 8 {
		files[fmt.Sprint("f", i)] = payload(uint64(i)+1, 5000)
	}
	for name, c := range map[string]struct {
		damage                   func(t *testing.T, be *backend.Memory, id chunk.ID, blobs []index.Blob)
		save, lost, leave, files int
	}{
		"a bad byte": {func(t *testing.T, be *backend.Memory, id chunk.ID, blobs []index.Blob) {
			spoilPack(t, be, id, blobs[2].Offset+20)
		}, -1, 1, 1, 1},
		"a bad header": {func(t *testing.T, be *backend.Memory, id chunk.ID, blobs []index.Blob) {
			spoilPack(t, be, id, uint32(end(blobs))+5)
		}, 0, 0, 0, 0},
		"cut short": {func(t *testing.T, be *backend.Memory, id chunk.ID, blobs []index.Blob) {
			err := backendtest.Damage(t.Context(), be, packName(id), func(data []byte) []byte { return data[:blobs[len(blobs)-2].Offset+1] })
			if err != nil {
				t.Fatal(err)
			}
		}, -2, 2, 1, 2},
		"gone": {func(t *testing.T, be *backend.Memory, id chunk.ID, _ []index.Blob) {
			if err := be.Remove(t.Context(), packName(id)); err != nil {
				t.Fatal(err)
			}
		}, -1000, -1, 0, -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			be := backend.NewMemory()
			snap := saveFiles(t, initRepo(t, be, 2), files)
			r := opened(t, be)
			id := packsOf(t, r, index.Data)[0]
			blobs := blobsIn(r, id)
			if len(blobs) < 4 {
				t.Skip("not here: the blobs went into the other pack") // one in many thousand
			}
			c.damage(t, be, id, blobs)
			save, lost := max(0, len(blobs)+c.save), c.lost
			if lost < 0 {
				lost, c.files = len(blobs), len(blobs)
			}
			plan, res, err := repairPacks(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			if len(plan.Packs) != 1 || plan.Packs[0].ID != id || plan.Packs[0].Save != save || plan.Packs[0].Lost != lost || plan.Leave != c.leave || plan.Affected != c.files {
				t.Errorf("got %+v of %d blobs\n%v", plan.Packs, len(blobs), plan)
			}
			if res.Saved != save || res.Removed != plan.Remove {
				t.Errorf("got %+v", res)
			}
			afterRepairPacks(t, be, snap, files, lost)
		})
	}
}

// afterRepairPacks wants all files but some to be whole, and a second repair to
// find nothing; then the next backup heals the snapshot.
func afterRepairPacks(t *testing.T, be *backend.Memory, snap *Snapshot, files map[string][]byte, lost int) {
	t.Helper()
	r := opened(t, be)
	missing := 0
	for name, want := range files {
		n, err := r.Find(t.Context(), *snap.Tree, "d/"+name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.ReadFile(t.Context(), n.Content, 1<<20)
		if err != nil {
			missing++
		} else if !bytes.Equal(got, want) {
			t.Errorf("%s is another", name)
		}
	}
	if missing != lost {
		t.Errorf("%d files are lost, want %d", missing, lost)
	}
	if plan, _, err := repairPacks(t.Context(), r); err != nil || !plan.Empty() {
		t.Errorf("again: %v, %v", plan, err)
	}
	saveFiles(t, opened(t, be), files) // the next backup
	checkClean(t, be)
}

// Only the packs that are named are looked into; one that nobody knows is an error.
func TestRepairSomePacks(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	saveFiles(t, initRepo(t, be, 2), map[string][]byte{"a": payload(1, 9000)})
	r := opened(t, be)
	data, tree := packsOf(t, r, index.Data)[0], packsOf(t, r, index.Tree)[0]
	spoilPack(t, be, data, 40)
	spoilPack(t, be, tree, 40)
	plan, _, err := repairPacks(t.Context(), r, data)
	if err != nil || len(plan.Packs) != 1 || plan.Packs[0].ID != data || plan.Looked != 1 {
		t.Errorf("got %v, %v, want one pack", plan, err)
	}
	if _, err := r.PlanRepairPacks(t.Context(), RepairPacksOptions{Packs: []chunk.ID{data}}); err == nil {
		t.Error("a pack that is in no index was looked into")
	}
}

// A blob that has another copy is not lost, and not stored again.
func TestRepairPacksOtherCopy(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	files := map[string][]byte{"a": payload(1, 9000), "b": payload(2, 9000)}
	saveFiles(t, initRepo(t, be, 2), files)
	twice := initCopy(t, be)
	saveFiles(t, twice, files) // knows of no index
	r := opened(t, be)
	id := packsOf(t, r, index.Data)[0]
	spoilPack(t, be, id, blobsIn(r, id)[0].Offset+20)
	plan, res, err := repairPacks(t.Context(), r)
	if err != nil || plan.Packs[0].Lost != 0 || plan.Packs[0].Elsewhere != 1 || plan.Affected != 0 || res.Removed != 1 {
		t.Errorf("got %+v, %+v, %v", plan, res, err)
	}
	checkClean(t, be)
}

// initCopy opens a repository without its index.
func initCopy(t *testing.T, be backend.Backend) *Repository {
	t.Helper()
	r, err := Open(t.Context(), be, testPassword)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Nothing is done while an index file cannot be read, after the index has
// changed, or when a new pack does not come back.
func TestRepairPacksRefuses(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	saveFiles(t, initRepo(t, be, 2), map[string][]byte{"a": payload(1, 9000), "b": payload(2, 9000), "c": payload(3, 9000)})
	r := opened(t, be)
	id := packsOf(t, r, index.Data)[0]
	spoilPack(t, be, id, 40)
	plan, err := r.PlanRepairPacks(t.Context(), RepairPacksOptions{})
	if err != nil {
		t.Fatal(err)
	}
	saveFiles(t, opened(t, be), map[string][]byte{"d": payload(4, 9000)})
	if _, err := plan.Apply(t.Context()); err == nil || !strings.Contains(err.Error(), "changed") {
		t.Errorf("after another run: %v", err)
	}
	for info, err := range be.List(t.Context(), backend.Index) {
		if err != nil {
			t.Fatal(err)
		}
		f := backend.File{Kind: backend.Index, Name: info.Name}
		if err := backendtest.Damage(t.Context(), be, f, func(data []byte) []byte { data[20] ^= 1; return data }); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.PlanRepairPacks(t.Context(), RepairPacksOptions{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("with a damaged index: %v, want ErrDamaged", err)
	}
}

// crashRepair begins with a repository in which something is damaged, and wants
// of whatever a repair left that the files which were whole still are, and that
// the next repair ends it.
func crashRepair(t *testing.T, repair func(ctx context.Context, r *Repository) error, damage func(t *testing.T, be *backend.Memory, r *Repository)) backendtest.Trial {
	t.Helper()
	files := many(1, 6)
	tr := trial(t, nil, files)
	be, err := backendtest.Copy(t.Context(), tr.Store)
	if err != nil {
		t.Fatal(err)
	}
	damage(t, be, opened(t, be))
	tr.Store = be
	run := func(ctx context.Context, be backend.Backend) error { return exclusively(ctx, be, repair) }
	whole := wholeFiles(t, opened(t, be))
	tr.Run = run
	tr.Judge = func(ctx context.Context, be backend.Backend, _ bool) error {
		r, err := Open(ctx, be, testPassword)
		if err != nil {
			return err
		}
		if err := r.LoadIndex(ctx); err != nil {
			return err
		}
		for name := range whole {
			if err := anySnapshotHas(ctx, r, name, files[name]); err != nil {
				return err
			}
		}
		if err := run(ctx, be); err != nil {
			return fmt.Errorf("the next repair: %w", err)
		}
		if err := backup(ctx, be, files); err != nil { // heals
			return fmt.Errorf("the next backup: %w", err)
		}
		return judgeVersions(ctx, be, files)
	}
	return tr
}

// wholeFiles are the names of the files that some snapshot has whole.
func wholeFiles(t *testing.T, r *Repository) map[string]bool {
	t.Helper()
	whole := map[string]bool{}
	all, err := r.AllSnapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		tree, err := r.LoadTree(t.Context(), *s.Tree)
		if err != nil {
			continue
		}
		for _, n := range tree.Nodes {
			if _, err := r.ReadFile(t.Context(), n.Content, 1<<20); err == nil {
				whole[n.Name] = true
			}
		}
	}
	return whole
}

func anySnapshotHas(ctx context.Context, r *Repository, name string, want []byte) error {
	all, err := r.AllSnapshots(ctx)
	if err != nil {
		return err
	}
	for _, s := range all {
		n, err := r.Find(ctx, *s.Tree, name)
		if err != nil {
			continue
		}
		if got, err := r.ReadFile(ctx, n.Content, 1<<20); err == nil && bytes.Equal(got, want) {
			return nil
		}
	}
	return fmt.Errorf("%s was whole, and is no more", name)
}

func TestCrashRepairPacks(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T) backendtest.Trial {
		return crashRepair(t, func(ctx context.Context, r *Repository) error {
			_, _, err := repairPacks(ctx, r)
			return err
		}, func(t *testing.T, be *backend.Memory, r *Repository) {
			for _, id := range packsOf(t, r, index.Data) {
				spoilPack(t, be, id, blobsIn(r, id)[0].Offset+20)
			}
			id := packsOf(t, r, index.Tree)[0]
			spoilPack(t, be, id, uint32(end(blobsIn(r, id)))+5)
		})
	})
}

// restic agrees: what is left after a repair is whole.
func TestRepairPacksJudged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir() + "/repo"
	be, err := backend.Create(t.Context(), dir, backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	files := testFiles()
	saveFiles(t, initRepo(t, be, 2), files)
	r := opened(t, be)
	for _, id := range packsOf(t, r, index.Data) {
		blobs := blobsIn(r, id)
		path := fmt.Sprintf("%s/data/%.2s/%v", dir, id, id)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		data[end(blobs)+3] ^= 1 // the header alone
		if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	plan, res, err := repairPacks(t.Context(), r)
	if err != nil || res.Removed != len(plan.Packs) || res.Removed == 0 || plan.Affected > 0 {
		t.Fatalf("got %+v, %+v, %v", plan, res, err)
	}
	if out := resticRun(t, dir, "check", "--read-data"); !strings.Contains(out, "no errors were found") {
		t.Errorf("check: %s", out)
	}
	target := t.TempDir()
	resticRun(t, dir, "restore", "latest", "--target", target)
	for name, want := range files {
		got, err := os.ReadFile(target + "/d/" + name)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A sector that the drive does not read is damage: all around it is saved, and
// the pack stays. A drive that does not answer at all is none.
func TestRepairPacksBadSector(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	files := map[string][]byte{}
	for i := range 6 {
		files[fmt.Sprint("f", i)] = payload(uint64(i)+1, 5000)
	}
	saveFiles(t, initRepo(t, be, 2), files)
	r := opened(t, be)
	id := packsOf(t, r, index.Data)[0]
	blobs := blobsIn(r, id)
	bad := int64(blobs[0].Offset) + 100
	away := false
	faulty := backendtest.NewFaulty(be, backendtest.Faults{Before: func(_ context.Context, op backendtest.Op) error {
		sector := op.File == packName(id) && op.Offset <= bad && bad < op.Offset+int64(op.Size)
		if op.Verb == backendtest.Load && (sector || away && op.File.Kind != backend.Index && op.File.Kind != backend.Snapshot) {
			return syscall.EIO
		}
		return nil
	}})
	plan, res, err := repairPacks(t.Context(), on(r, faulty))
	if err != nil || len(plan.Packs) != 1 || plan.Packs[0].Lost != 1 || plan.Packs[0].Save != len(blobs)-1 || res.Removed != 0 {
		t.Fatalf("got %+v, %+v, %v", plan, res, err)
	}
	if _, err := be.Load(t.Context(), packName(id), 0, nil); err != nil {
		t.Errorf("the pack is gone: %v", err)
	}
	away = true
	if plan, err := on(r, faulty).PlanRepairPacks(t.Context(), RepairPacksOptions{}); !errors.Is(err, syscall.EIO) {
		t.Errorf("of a drive that does not answer: %v, %v", plan, err)
	}
}
