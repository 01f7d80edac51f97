package capture

import (
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/crypto"
	"russet/repo"
)

// The drive gets full, or the computer loses it, amid a capture: what was kept
// stays whole, the error says why, and the next run keeps the backup.
func TestFolderOnFailingDrive(t *testing.T) {
	t.Parallel()
	p := newPhone(t, false)
	store := backend.NewMemory()
	r, err := repo.Init(t.Context(), store, "x", repo.InitOptions{Cost: crypto.Cost{N: 2, R: 1, P: 1}})
	if err != nil {
		t.Fatal(err)
	}
	kept := keep(t, r, p.dir, Options{}).Snapshot
	writeBack(t, r, kept, p.dir)
	before := state(t, p.dir)
	p.next()
	for name, faults := range map[string]backendtest.Faults{
		"full at once":    {Room: 1},
		"full in packs":   {Room: 300_000},
		"gone for good":   {DieAt: 2},
		"fails one write": {FailAt: 2, Only: func(op backendtest.Op) bool { return op.Verb.Writes() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broken, err := backendtest.Copy(t.Context(), store)
			if err != nil {
				t.Fatal(err)
			}
			faulty := backendtest.NewFaulty(broken, faults)
			_, err = Folder(t.Context(), openLoaded(t, faulty), openRoot(t, p.dir), "x", Options{})
			if err == nil || !faulty.Fired() || faults.Room > 0 && !backend.IsFull(err) {
				t.Fatalf("got %v, fired %t", err, faulty.Fired())
			}
			r := openLoaded(t, broken)
			all, err := r.AllSnapshots(t.Context())
			if err != nil || len(all) != 1 || all[0].ID() != kept.ID() {
				t.Fatalf("afterwards: %d snapshots, %v, want the first", len(all), err)
			}
			compare(t, restored(t, r, kept), before)
			writeBack(t, r, keep(t, r, p.dir, Options{}).Snapshot, p.dir)
			if res, err := r.Check(t.Context(), repo.CheckOptions{Read: repo.AllPacks()}); err != nil {
				t.Errorf("check: %+v, %v", res, err)
			}
		})
	}
}

// openLoaded opens a repository and loads its index.
func openLoaded(t *testing.T, be backend.Backend) *repo.Repository {
	t.Helper()
	r, err := repo.Open(t.Context(), be, "x")
	if err == nil {
		err = r.LoadIndex(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// restored is a snapshot as it is written back.
func restored(t *testing.T, r *repo.Repository, s *repo.Snapshot) map[string]string {
	t.Helper()
	return state(t, writtenOut(t, r, s))
}
