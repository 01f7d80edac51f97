package repo

import (
	"errors"
	"slices"
	"testing"

	"russet/backend"
	"russet/index"
)

// loseIndex leaves an index that names no pack with file content.
func loseIndex(t *testing.T, be backend.Backend) {
	t.Helper()
	r := opened(t, be)
	var kept []index.Pack
	for _, p := range r.index.Described() {
		if p.Blobs[0].Type == index.Tree {
			kept = append(kept, index.Pack{ID: p.ID, Blobs: slices.Clone(p.Blobs)})
		}
	}
	old := ofBackend(t, be, backend.Index)
	saveIndex(t, r, kept...)
	for _, f := range old {
		if err := be.Remove(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
}

func ofBackend(t *testing.T, be backend.Backend, kind backend.Kind) (of []backend.File) {
	t.Helper()
	for _, f := range files(t, be) {
		if f.Kind == kind {
			of = append(of, f)
		}
	}
	return of
}

// What only the index has lost is not given up: no snapshot is cut, and a check
// says which packs are in no index.
func TestRepairWantsIndexFirst(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	gone := saveFiles(t, r, map[string][]byte{"a": payload(1, 9000)})
	saveFiles(t, r, map[string][]byte{"b": payload(2, 9000)})
	loseIndex(t, be)
	r = opened(t, be)
	if err := r.RemoveSnapshot(t.Context(), gone.ID()); err != nil { // for recover to find
		t.Fatal(err)
	}
	_, found, err := check(t, r)
	if !errors.Is(err, ErrDamaged) || len(ofKind(found, PackUnnamed)) == 0 {
		t.Errorf("check: %v, %v", found, err)
	}
	if plan, err := r.PlanRepairSnapshots(t.Context(), RepairSnapshotsOptions{Forget: true}); !errors.Is(err, ErrDamaged) {
		t.Errorf("snapshots would be repaired: %v, %v", plan, err)
	}
	if plan, err := r.PlanRecover(t.Context(), RecoverOptions{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("recovered would be: %v, %v", plan, err)
	}
	plan, err := r.PlanRepairIndex(t.Context(), RepairIndexOptions{})
	if err == nil {
		_, err = plan.Apply(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	checkClean(t, be)
}

// A damaged pack in no index counts, too, where something missing can be read from
// it: repairs of the index and of packs are to save that.
func TestRepairWantsIndexFirstOfDamagedPack(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	saveFiles(t, r, map[string][]byte{"a": payload(1, 9000), "b": payload(2, 9000)})
	for loc := range r.index.Blobs() {
		if loc.Type == index.Data && loc.Offset == 0 {
			spoilPack(t, be, loc.Pack, 20)
		}
	}
	loseIndex(t, be)
	if plan, err := opened(t, be).PlanRepairSnapshots(t.Context(), RepairSnapshotsOptions{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("snapshots would be repaired: %v, %v", plan, err)
	}
}

// A damaged pack that a repair left aside is no reason to wait: what it lacks is
// lost.
func TestRepairSnapshotsDespitePackLeftAside(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	s := saveFiles(t, r, map[string][]byte{"a": payload(1, 9000), "b": payload(2, 9000)})
	dropBlob(t, be, index.Handle{ID: contentOf(t, r, s, "a")[0], Type: index.Data})
	r = opened(t, be)
	if _, found, _ := check(t, r); len(ofKind(found, PackUnnamed)) != 0 || len(ofKind(found, BlobMissing)) != 1 {
		t.Errorf("check: %v", found)
	}
	if plan, _, err := repairSnapshots(t.Context(), r, RepairSnapshotsOptions{Forget: true}); err != nil || len(plan.Snapshots) != 1 {
		t.Errorf("repair: %v, %v", plan, err)
	}
	checkClean(t, be)
}
