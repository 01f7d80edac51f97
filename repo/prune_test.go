package repo

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
	"russet/index"
)

// pruned plans and applies, without a lock.
func pruned(ctx context.Context, be backend.Backend, opt PruneOptions) (*PrunePlan, PruneResult, error) {
	r, err := Open(ctx, be, testPassword)
	if err != nil {
		return nil, PruneResult{}, err
	}
	plan, err := r.PlanPrune(ctx, opt)
	if err != nil {
		return nil, PruneResult{}, err
	}
	res, err := plan.Apply(ctx)
	return plan, res, err
}

func mustPrune(t *testing.T, be backend.Backend, opt PruneOptions) (*PrunePlan, PruneResult) {
	t.Helper()
	plan, res, err := pruned(t.Context(), be, opt)
	if err != nil {
		t.Fatal(err)
	}
	return plan, res
}

// fileSizes are the sizes of all files of a kind.
func fileSizes(t *testing.T, be backend.Backend, kind backend.Kind) map[string]int64 {
	t.Helper()
	sizes := map[string]int64{}
	for info, err := range be.List(t.Context(), kind) {
		if err != nil {
			t.Fatal(err)
		}
		sizes[info.Name] = info.Size
	}
	return sizes
}

func total(sizes map[string]int64) (n int64) {
	for _, size := range sizes {
		n += size
	}
	return n
}

// everything is the zero value of PruneOptions but thorough.
func everything() PruneOptions { return PruneOptions{MaxUnused: LimitBytes(0), NoSnapshots: true} }

// versions saves a snapshot for each of several versions of files, of which each
// shares some content with the one before, and returns them.
func versions(t *testing.T, r *Repository, n, size int) (snaps []*Snapshot, files []map[string][]byte) {
	t.Helper()
	for i := range n {
		files = append(files, map[string][]byte{
			"always": payload(1, size), "empty": {}, "text": []byte("version " + string(rune('a'+i))),
			"now": payload(uint64(100+i), size), "then": payload(uint64(99+i), size),
		})
		snaps = append(snaps, saveFiles(t, r, files[i]))
	}
	return snaps, files
}

func forgetAll(t *testing.T, r *Repository, snaps ...*Snapshot) {
	t.Helper()
	for _, s := range snaps {
		if err := r.RemoveSnapshot(t.Context(), s.id); err != nil {
			t.Fatal(err)
		}
	}
}

// What is no longer needed goes, what is stays, a second prune has nothing to
// do, and the numbers of the plan are those of the drive.
func TestPrune(t *testing.T) {
	t.Parallel()
	for _, version := range []uint{1, 2} {
		be := backend.NewMemory()
		r := initRepo(t, be, version)
		snaps, files := versions(t, r, 4, 100_000)
		if plan, _ := mustPrune(t, be, everything()); !plan.Empty() {
			t.Fatalf("with nothing forgotten: %v", plan)
		}
		forgetAll(t, r, snaps[:3]...)
		before := total(fileSizes(t, be, backend.Data))
		plan, res := mustPrune(t, be, everything())
		freed := before - total(fileSizes(t, be, backend.Data))
		if plan.Repack.Packs == 0 || plan.Delete.Packs == 0 || plan.Unused != 0 || plan.UnusedBlobs == 0 || plan.Duplicates != 0 {
			t.Errorf("version %d: %+v", version, plan)
		}
		if res.Copied != plan.Copied || res.Deleted.Packs != plan.Delete.Packs+plan.Repack.Packs || res.Deleted.Bytes != plan.Delete.Bytes+plan.Repack.Bytes {
			t.Errorf("version %d: did %+v of %v", version, res, plan)
		}
		if diff := freed - plan.Frees(); diff > 0 || diff < -1000 { // headers of new packs
			t.Errorf("version %d: %d bytes were freed, %d by the plan", version, freed, plan.Frees())
		}
		wantWhole(t, be, snaps[3:], files[3:])
		if plan, _ := mustPrune(t, be, everything()); !plan.Empty() {
			t.Errorf("version %d: the second prune: %v", version, plan)
		}
	}
}

// wantWhole wants a clean check, and the snapshots to have their files.
func wantWhole(t *testing.T, be backend.Backend, snaps []*Snapshot, files []map[string][]byte) *Repository {
	t.Helper()
	r := checkClean(t, be)
	for i, s := range snaps {
		d, err := r.Find(t.Context(), *s.Tree, "d")
		if err != nil {
			t.Fatal(err)
		}
		if !hasFiles(t, r, *d.Subtree, files[i]) {
			t.Errorf("snapshot %d has other files", i)
		}
	}
	return r
}

// Sealed bytes are copied as they are: not one is sealed or compressed anew.
func TestPruneCopiesVerbatim(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	snaps, _ := versions(t, r, 3, 30_000)
	sealed := func() map[index.Handle]string {
		all := map[index.Handle]string{}
		r := checkClean(t, be)
		for loc := range r.Index().Blobs() {
			buf := make([]byte, loc.Length)
			if err := r.loadRange(t.Context(), loc.Pack, int64(loc.Offset), buf); err != nil {
				t.Fatal(err)
			}
			all[loc.Handle] = string(buf)
		}
		return all
	}
	before := sealed()
	forgetAll(t, r, snaps[0], snaps[1])
	plan, _ := mustPrune(t, be, everything())
	if plan.Repack.Packs == 0 {
		t.Fatalf("nothing was copied: %v", plan)
	}
	after := sealed()
	if len(after) != plan.UsedBlobs || len(after) >= len(before) {
		t.Errorf("%d blobs are left of %d, want %d", len(after), len(before), plan.UsedBlobs)
	}
	for h, bytes := range after {
		if before[h] != bytes {
			t.Errorf("%v was sealed anew", h)
		}
	}
}

// Whole packs go without a byte being written to any pack.
func TestPruneWithoutSpace(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	snaps, files := versions(t, r, 3, 50_000)
	forgetAll(t, r, snaps[0], snaps[1])
	before := fileSizes(t, be, backend.Data)
	largest := slices.Max(slices.Collect(maps.Values(fileSizes(t, be, backend.Index))))
	saved := int64(0)
	full := backendtest.NewFaulty(be, backendtest.Faults{Before: func(_ context.Context, op backendtest.Op) error {
		if op.Verb != backendtest.Save {
			return nil
		}
		saved += int64(op.Size)
		if op.File.Kind == backend.Data {
			return errors.New("a pack was written")
		}
		return nil
	}})
	plan, _, err := pruned(t.Context(), full, PruneOptions{MaxUnused: LimitBytes(0), MaxRepack: LimitBytes(0)})
	if err != nil {
		t.Fatal(err)
	}
	if plan.Delete.Packs == 0 || plan.Repack.Packs != 0 || plan.Unused == 0 {
		t.Errorf("got %+v", plan)
	}
	if saved > 4*largest {
		t.Errorf("%d bytes were written, and an index file has %d", saved, largest)
	}
	for name := range fileSizes(t, be, backend.Data) {
		if _, ok := before[name]; !ok {
			t.Errorf("%s is new", name)
		}
	}
	wantWhole(t, be, snaps[2:], files[2:])
}

// Damage in what must be copied ends the prune before anything is deleted.
func TestPruneOfDamage(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	snaps, _ := versions(t, r, 3, 50_000)
	saveIndex(t, r) // which names nothing
	forgetAll(t, r, snaps[0], snaps[1])
	stray := savePack(t, r, blobOf(index.Data, 100))
	loc, ok := r.index.Lookup(index.Handle{ID: chunk.Sum(payload(1, 50_000)), Type: index.Data})
	if !ok {
		t.Fatal("no such blob")
	}
	damage(t, be, packName(loc.Pack), int(loc.Offset)+50)
	before := fileSizes(t, be, backend.Data)
	_, res, err := pruned(t.Context(), be, everything())
	if !errors.Is(err, ErrDamaged) || res.Deleted.Packs != 0 {
		t.Fatalf("got %+v, %v, want damage", res, err)
	}
	after := fileSizes(t, be, backend.Data)
	for name := range before {
		if _, ok := after[name]; !ok {
			t.Errorf("%s was deleted", name)
		}
	}
	if _, ok := after[stray.ID.String()]; !ok {
		t.Error("the pack that no index names was deleted")
	}
}

// damage flips a bit of a file.
func damage(t *testing.T, be *backend.Memory, f backend.File, at int) {
	t.Helper()
	err := backendtest.Damage(t.Context(), be, f, func(data []byte) []byte {
		data[at] ^= 1
		return data
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What is needed and is not there, or is not what the index says, ends the plan.
func TestPlanPruneRefuses(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(t *testing.T, be *backend.Memory, r *Repository, s *Snapshot){
		"pack gone": func(t *testing.T, be *backend.Memory, r *Repository, s *Snapshot) {
			removePack(t, be, r, index.Handle{ID: chunk.Sum(payload(1, 5000)), Type: index.Data})
		},
		"tree gone": func(t *testing.T, be *backend.Memory, r *Repository, s *Snapshot) {
			removePack(t, be, r, index.Handle{ID: *s.Tree, Type: index.Tree})
		},
		"pack cut": func(t *testing.T, be *backend.Memory, r *Repository, s *Snapshot) {
			loc, _ := r.index.Lookup(index.Handle{ID: chunk.Sum(payload(1, 5000)), Type: index.Data})
			err := backendtest.Damage(t.Context(), be, packName(loc.Pack), func(data []byte) []byte { return data[:len(data)-1] })
			if err != nil {
				t.Fatal(err)
			}
		},
		"index gone": func(t *testing.T, be *backend.Memory, r *Repository, s *Snapshot) {
			for name := range fileSizes(t, be, backend.Index) {
				if err := be.Remove(t.Context(), backend.File{Kind: backend.Index, Name: name}); err != nil {
					t.Fatal(err)
				}
			}
		},
		"index damaged": func(t *testing.T, be *backend.Memory, r *Repository, s *Snapshot) {
			for name := range fileSizes(t, be, backend.Index) {
				damage(t, be, backend.File{Kind: backend.Index, Name: name}, 40)
			}
		},
		"snapshot damaged": func(t *testing.T, be *backend.Memory, r *Repository, s *Snapshot) {
			damage(t, be, backend.File{Kind: backend.Snapshot, Name: s.id.String()}, 40)
		},
		"tree damaged": func(t *testing.T, be *backend.Memory, r *Repository, s *Snapshot) {
			loc, _ := r.index.Lookup(index.Handle{ID: *s.Tree, Type: index.Tree})
			damage(t, be, packName(loc.Pack), int(loc.Offset)+20)
		},
		"conflict": func(t *testing.T, be *backend.Memory, r *Repository, s *Snapshot) {
			loc, _ := r.index.Lookup(index.Handle{ID: *s.Tree, Type: index.Tree})
			saveIndex(t, r, index.Pack{ID: loc.Pack, Blobs: []index.Blob{blobOf(index.Tree, 100)}})
		},
		"no such tree": func(t *testing.T, be *backend.Memory, r *Repository, s *Snapshot) {
			saveTrees(t, r, `{"nodes":[{"name":"x","type":"dir","mtime":"2026-01-01T00:00:00Z","atime":"2026-01-01T00:00:00Z","ctime":"2026-01-01T00:00:00Z","uid":0,"gid":0,"content":null,"subtree":"`+chunk.ID{1}.String()+`"}]}`+"\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			be := backend.NewMemory()
			r := initRepo(t, be, 2)
			snaps, _ := versions(t, r, 1, 5000)
			if name == "snapshot damaged" || name == "no such tree" {
				savePack(t, r, blobOf(index.Data, 100)) // something to delete
			}
			harm(t, be, r, snaps[0])
			packs := fileSizes(t, be, backend.Data)
			again, err := Open(t.Context(), be, testPassword)
			if err != nil {
				t.Fatal(err)
			}
			if plan, err := again.PlanPrune(t.Context(), everything()); !errors.Is(err, ErrDamaged) {
				t.Errorf("got %v, %v, want damage", plan, err)
			}
			if !maps.Equal(packs, fileSizes(t, be, backend.Data)) {
				t.Error("packs were changed")
			}
		})
	}
}

// Without any snapshot nothing is deleted but when that is meant.
func TestPlanPruneNoSnapshots(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	snaps, _ := versions(t, r, 1, 5000)
	if err := r.RemoveSnapshot(t.Context(), snaps[0].id); err != nil {
		t.Fatal(err)
	}
	lost, ok := errors.AsType[*NoSnapshotsError](planError(t, be, PruneOptions{}))
	if !ok || lost.Trees == 0 {
		t.Errorf("with an index: got %+v", lost)
	}
	if err := planError(t, be, PruneOptions{NoSnapshots: true}); err != nil {
		t.Errorf("as it is meant: %v", err)
	}
	for name := range fileSizes(t, be, backend.Index) {
		if err := be.Remove(t.Context(), backend.File{Kind: backend.Index, Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	if lost, ok := errors.AsType[*NoSnapshotsError](planError(t, be, PruneOptions{})); !ok || lost.Trees != 0 {
		t.Errorf("without an index: got %+v", lost)
	}
	if err := planError(t, backend.NewMemory(), PruneOptions{}); err != nil {
		t.Errorf("a new repository: %v", err)
	}
}

// planError plans a prune of what lies there; a new place becomes a repository.
func planError(t *testing.T, be *backend.Memory, opt PruneOptions) error {
	t.Helper()
	r, err := Open(t.Context(), be, testPassword)
	if err != nil {
		r = initRepo(t, be, 2)
	}
	_, err = r.PlanPrune(t.Context(), opt)
	return err
}

func removePack(t *testing.T, be backend.Backend, r *Repository, h index.Handle) {
	t.Helper()
	loc, ok := r.index.Lookup(h)
	if !ok {
		t.Fatalf("no blob %v", h)
	}
	if err := be.Remove(t.Context(), packName(loc.Pack)); err != nil {
		t.Fatal(err)
	}
}
