package repo

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
	"russet/index"
)

// sectors makes reads of some bytes fail as a drive does that has a bad sector
// there. While away is set the config cannot be read either.
func sectors(be backend.Backend, away *bool, bad map[backend.File]int64) backend.Backend {
	return backendtest.NewFaulty(be, backendtest.Faults{Before: func(_ context.Context, op backendtest.Op) error {
		at, ok := bad[op.File]
		if op.Verb == backendtest.Load && (ok && op.Offset <= at && at < op.Offset+int64(op.Size) || *away && op.File.Kind == backend.Config) {
			return syscall.EIO
		}
		return nil
	}})
}

// badSectors is a repository of two snapshots, of which only the newer one needs
// the byte of a pack that the drive cannot read.
func badSectors(t *testing.T, away *bool) (be backend.Backend, good, bad *Snapshot) {
	t.Helper()
	disk := backend.NewMemory()
	r := initRepo(t, disk, 2)
	good = saveFiles(t, r, map[string][]byte{"a": payload(1, 10_000)})
	bad = saveFiles(t, r, map[string][]byte{"a": payload(1, 10_000), "b": payload(2, 10_000), "c": payload(3, 10_000)})
	blob, _ := r.Index().Lookup(index.Handle{ID: chunk.Sum(payload(2, 10_000)), Type: index.Data})
	return sectors(disk, away, map[backend.File]int64{packName(blob.Pack): int64(blob.Offset) + 50}), good, bad
}

// What lies on a bad sector is lost as what was changed is, and no more than
// that: the rest is restored, copied, mirrored and checked. Of a drive that gives
// nothing at all nothing is lost.
func TestBadSectorInPack(t *testing.T) {
	t.Parallel()
	away := false
	be, good, bad := badSectors(t, &away)
	r := opened(t, be)
	if res, err := r.Check(t.Context(), CheckOptions{Read: AllPacks()}); !errors.Is(err, ErrDamaged) || res.Affected != 1 {
		t.Errorf("check: got %+v, %v", res, err)
	}

	folder := t.TempDir()
	target, err := os.OpenRoot(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	failed := 0
	err = r.Extract(t.Context(), *bad.Tree, target, ExtractOptions{Failed: func(_ string, err error) error {
		if !errors.Is(err, ErrDamaged) || !errors.Is(err, syscall.EIO) {
			t.Errorf("restore: %v", err)
		}
		failed++
		return nil
	}})
	files, globbed := filepath.Glob(filepath.Join(folder, "d", "*"))
	if err := errors.Join(err, globbed); err != nil || failed != 1 || len(files) != 2 {
		t.Errorf("restore: got %q, %d failed, %v", files, failed, err)
	}

	twin := backend.NewMemory()
	initTwin(t, r, twin, 2)
	if _, res, err := copyAll(t.Context(), be, twin); !errors.Is(err, ErrDamaged) || res.Snapshots != 1 || len(res.Lost) != 1 {
		t.Errorf("copy: got %+v, %v", res, err)
	}
	sameContent(t, r, checkTwin(t, twin), good)

	all, err := listFiles(t.Context(), be, backend.Data)
	if err != nil {
		t.Fatal(err)
	}
	mirror := newMirror(t, be)
	if res, err := mirrorAll(t.Context(), be, mirror, MirrorOptions{Now: testTime()}); !errors.Is(err, ErrDamaged) || len(res.Bad) != 1 || !res.Held {
		t.Errorf("mirror: got %+v, %v", res, err)
	}
	if there, err := listFiles(t.Context(), mirror, backend.Data); err != nil || len(there) != len(all)-1 {
		t.Errorf("mirror: got %d of %d packs, %v", len(there), len(all), err)
	}

	away = true
	if _, res, err := copyAll(t.Context(), be, backend.NewMemory()); err == nil || errors.Is(err, ErrDamaged) {
		t.Errorf("copy from a drive that is away: got %+v, %v", res, err)
	}
	if _, err := r.Load(t.Context(), index.Handle{ID: chunk.Sum(payload(2, 10_000)), Type: index.Data}, nil); !errors.Is(err, syscall.EIO) || errors.Is(err, ErrDamaged) {
		t.Errorf("load from a drive that is away: %v", err)
	}
}

// A snapshot's file on a bad sector is damaged: its version is recovered, and the
// file removed.
func TestBadSectorInSnapshot(t *testing.T) {
	t.Parallel()
	away := false
	disk := backend.NewMemory()
	r := initRepo(t, disk, 2)
	saveFiles(t, r, map[string][]byte{"a": payload(1, 1000)})
	bad := saveFiles(t, r, map[string][]byte{"a": payload(1, 1000), "b": payload(2, 1000)})
	f := backend.File{Kind: backend.Snapshot, Name: bad.ID().String()}
	r = opened(t, sectors(disk, &away, map[backend.File]int64{f: 50}))
	away = true
	if _, err := r.LoadSnapshot(t.Context(), bad.ID()); !errors.Is(err, syscall.EIO) || errors.Is(err, ErrDamaged) {
		t.Errorf("of a drive that is away: %v", err)
	}
	away = false
	if _, err := r.LoadSnapshot(t.Context(), bad.ID()); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v, want %v", err, ErrDamaged)
	}
	found, err := r.PlanRecover(t.Context(), RecoverOptions{})
	if err != nil || len(found.Trees) != 1 || found.Trees[0].ID != *bad.Tree {
		t.Errorf("recover: got %+v, %v", found, err)
	}
	plan, err := r.PlanRepairSnapshots(t.Context(), RepairSnapshotsOptions{Forget: true})
	if err != nil || len(plan.Unreadable) != 1 {
		t.Errorf("repair: got %+v, %v", plan, err)
	}
}

// While the drive cannot read a folder, or any of several snapshots, no snapshot
// is given up for that; once packs are repaired, or it reads again, they are
// repaired.
func TestBadSectorGivesUpNoSnapshot(t *testing.T) {
	t.Parallel()
	away, bad := false, map[backend.File]int64{}
	r := initRepo(t, sectors(backend.NewMemory(), &away, bad), 2)
	snaps, _ := versions(t, r, 2, 1000)
	folder, _ := r.Index().Lookup(index.Handle{ID: *snaps[1].Tree, Type: index.Tree})
	plan := func() (*RepairSnapshotsPlan, error) {
		return r.PlanRepairSnapshots(t.Context(), RepairSnapshotsOptions{Forget: true})
	}
	bad[packName(folder.Pack)] = int64(folder.Offset) + 10
	if plan, err := plan(); !errors.Is(err, syscall.EIO) {
		t.Errorf("a folder: got %v, %v", plan, err)
	}
	if plan, _, err := repairPacks(t.Context(), r); err != nil || len(plan.Packs) != 1 {
		t.Fatal(plan, err)
	}
	if plan, err := plan(); err != nil || len(plan.Snapshots) != 1 {
		t.Errorf("after a repair of packs: got %v, %v", plan, err)
	}
	for _, s := range snaps {
		bad[backend.File{Kind: backend.Snapshot, Name: s.ID().String()}] = 10
	}
	if plan, err := plan(); !errors.Is(err, syscall.EIO) {
		t.Errorf("all snapshots: got %v, %v", plan, err)
	}
}

// A key file on a bad sector is listed as damaged beside those that open.
func TestBadSectorInKey(t *testing.T) {
	t.Parallel()
	away, bad := false, map[backend.File]int64{}
	r := initRepo(t, sectors(backend.NewMemory(), &away, bad), 2)
	id, err := r.AddKey(t.Context(), "another", cheap, Owner{})
	if err != nil {
		t.Fatal(err)
	}
	bad[backend.File{Kind: backend.Key, Name: id.String()}] = 10
	keys, err := r.Keys(t.Context())
	if err != nil || len(keys) != 2 || !keys[0].Damaged && !keys[1].Damaged {
		t.Errorf("got %+v, %v", keys, err)
	}
	if res, err := r.Check(t.Context(), CheckOptions{}); !errors.Is(err, ErrDamaged) || res.Errors != 1 {
		t.Errorf("check: got %+v, %v", res, err)
	}
}
