package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
	"russet/index"
)

const twinPassword = "staple"

// initTwin makes an empty repository that cuts as r does.
func initTwin(t *testing.T, r *Repository, be backend.Backend, version uint) {
	t.Helper()
	_, err := Init(t.Context(), be, twinPassword, InitOptions{Version: version, Cost: cheap, Polynomial: r.Polynomial()})
	if err != nil {
		t.Fatal(err)
	}
}

// copyAll is a whole run as a program makes it.
func copyAll(ctx context.Context, from, to backend.Backend) (plan *CopyPlan, res CopyResult, err error) {
	r, err := Open(ctx, from, testPassword)
	if err != nil {
		return nil, res, err
	}
	twin, err := Open(ctx, to, twinPassword)
	if err != nil {
		return nil, res, err
	}
	snaps, err := r.AllSnapshots(ctx)
	if err != nil {
		return nil, res, err
	}
	if plan, err = PlanCopy(ctx, r, twin, snaps); err != nil {
		return nil, res, err
	}
	res, err = plan.Apply(ctx, new(Progress))
	return plan, res, err
}

// sameContent compares a snapshot with its copy, blob by blob.
func sameContent(t *testing.T, r, twin *Repository, s *Snapshot) {
	t.Helper()
	compare := func(h index.Handle) {
		want, err := r.Load(t.Context(), h, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := twin.Load(t.Context(), h, nil); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%v differs: %v", h, err)
		}
	}
	compare(index.Handle{ID: *s.Tree, Type: index.Tree})
	err := r.WalkOnce(t.Context(), *s.Tree, func(n *Node, err error) error {
		for _, id := range n.Content {
			compare(index.Handle{ID: id, Type: index.Data})
		}
		if n.Subtree != nil {
			compare(index.Handle{ID: *n.Subtree, Type: index.Tree})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkTwin(t *testing.T, be backend.Backend) *Repository {
	t.Helper()
	twin, err := Open(t.Context(), be, twinPassword)
	if err != nil {
		t.Fatal(err)
	}
	res, err := twin.Check(t.Context(), CheckOptions{Read: AllPacks(), Report: func(p Problem) { t.Log(p) }})
	if err != nil || res.Errors > 0 {
		t.Fatalf("check: %+v, %v", res, err)
	}
	if err := twin.LoadIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	return twin
}

func TestCopy(t *testing.T) {
	t.Parallel()
	for _, versions := range [][2]uint{{2, 2}, {1, 2}, {2, 1}, {1, 1}} {
		from, to := backend.NewMemory(), backend.NewMemory()
		r := initRepo(t, from, versions[0])
		files := map[string][]byte{"empty": {}, "text": bytes.Repeat([]byte("some text that repeats. "), 50_000), "photo": payload(1, 2_000_000)}
		first := saveFiles(t, r, files)
		initTwin(t, r, to, versions[1])
		plan, res, err := copyAll(t.Context(), from, to)
		if err != nil || res.Snapshots != 1 || plan.Kept != 0 || res.DataBlobs+res.TreeBlobs != plan.Blobs {
			t.Fatalf("%v: got %+v, %+v, %v", versions, plan, res, err)
		}
		files["new"] = payload(9, 100_000)
		second := saveFiles(t, r, files)
		plan, res, err = copyAll(t.Context(), from, to)
		if err != nil || res.Snapshots != 1 || plan.Kept != 1 || res.DataBlobs != 1 || res.TreeBlobs != 2 {
			t.Fatalf("%v: got %+v, %+v, %v", versions, plan, res, err)
		}
		twin := checkTwin(t, to)
		for _, s := range []*Snapshot{first, second} {
			sameContent(t, r, twin, s)
		}
		snaps, err := twin.AllSnapshots(t.Context())
		if err != nil || len(snaps) != 2 || snaps[0].Original == nil || snaps[0].Parent != nil {
			t.Fatalf("%v: got %+v, %v", versions, snaps, err)
		}
		// Back again there is nothing to do.
		back, err := PlanCopy(t.Context(), twin, r, snaps)
		if err != nil || len(back.Snapshots) != 0 || back.Kept != 2 || back.Blobs != 0 {
			t.Errorf("%v: got %v, %v", versions, back, err)
		}
	}
}

// TestCopyKeepsCompressed copies a blob that was compressed otherwise than we
// would, and looks whether it is as it was.
func TestCopyKeepsCompressed(t *testing.T) {
	t.Parallel()
	from, to := backend.NewMemory(), backend.NewMemory()
	r := initRepo(t, from, 2)
	snap := saveFiles(t, r, map[string][]byte{"text": bytes.Repeat([]byte("some text. "), 10_000), "photo": payload(1, 10_000)})
	initTwin(t, r, to, 2)
	if _, _, err := copyAll(t.Context(), from, to); err != nil {
		t.Fatal(err)
	}
	twin := checkTwin(t, to)
	blobs := 0
	for loc := range r.Index().Blobs() {
		got, ok := twin.Index().Lookup(loc.Handle)
		if !ok || got.Length != loc.Length || got.RawLength != loc.RawLength {
			t.Errorf("%v: got %+v, want the form of %+v", loc.Handle, got, loc)
		}
		blobs++
	}
	if blobs != 4 {
		t.Errorf("%d blobs of snapshot %v, want 4", blobs, snap.ID())
	}
}

func TestCopyRefusesItself(t *testing.T) {
	t.Parallel()
	r := initRepo(t, backend.NewMemory(), 2)
	if _, err := PlanCopy(t.Context(), r, r, nil); err == nil {
		t.Error("a repository was copied to itself")
	}
}

// TestCopyIsResumed cuts copies off at every operation of the other repository.
// The copy is resumed and sends no blob twice, but for those of the packs that
// were on their way.
func TestCopyIsResumed(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	from, empty := backend.NewMemory(), backend.NewMemory()
	r := initRepo(t, from, 2)
	var snaps []*Snapshot
	files := map[string][]byte{}
	for n := range 3 {
		files[fmt.Sprint("file", n)] = payload(uint64(n), 100_000)
		snaps = append(snaps, saveFiles(t, r, files))
	}
	initTwin(t, r, empty, 2)
	for _, kind := range []func(n int) backendtest.Faults{
		func(n int) backendtest.Faults { return backendtest.Faults{FailAt: n} },
		func(n int) backendtest.Faults { return backendtest.Faults{FailAt: n, Late: true} },
		func(n int) backendtest.Faults { return backendtest.Faults{DieAt: n} },
	} {
		for n := 1; ; n++ {
			to, err := backendtest.Copy(ctx, empty)
			if err != nil {
				t.Fatal(err)
			}
			faulty := backendtest.NewFaulty(to, kind(n))
			_, first, err := copyAll(ctx, from, faulty)
			if err == nil && first.Snapshots != len(snaps) {
				t.Fatalf("%+v: %d snapshots", kind(n), first.Snapshots)
			}
			if _, _, err := copyAll(ctx, from, to); err != nil {
				t.Fatalf("%+v: resumed: %v", kind(n), err)
			}
			twin := checkTwin(t, to)
			for _, s := range snaps {
				sameContent(t, r, twin, s)
			}
			if all, err := twin.AllSnapshots(ctx); err != nil || len(all) != len(snaps) {
				t.Fatalf("%+v: %d snapshots, %v", kind(n), len(all), err)
			}
			// All that was stored before the cut is used: nothing lies there twice, or unused.
			packs, err := listFiles(ctx, to, backend.Data)
			if err != nil {
				t.Fatal(err)
			}
			for f := range packs {
				if id, err := chunk.ParseID(f.Name); err != nil || !twin.Index().HasPack(id) {
					t.Errorf("%+v: %v is in no index", kind(n), f)
				}
			}
			if got, want := twin.Index().Len(), r.Index().Len(); got != want {
				t.Fatalf("%+v: %d blobs, want %d", kind(n), got, want)
			}
			if !faulty.Fired() {
				break
			}
		}
	}
}

// TestCopyAroundDamage copies what is whole and names what is not.
func TestCopyAroundDamage(t *testing.T) {
	t.Parallel()
	for _, what := range []index.BlobType{index.Data, index.Tree} {
		from, to := backend.NewMemory(), backend.NewMemory()
		r := initRepo(t, from, 2)
		good := saveFiles(t, r, map[string][]byte{"a": payload(1, 10_000)})
		bad := saveFiles(t, r, map[string][]byte{"a": payload(1, 10_000), "b": payload(2, 10_000)})
		initTwin(t, r, to, 2)
		h := index.Handle{ID: chunk.Sum(payload(2, 10_000)), Type: index.Data}
		if what == index.Tree {
			n, err := r.Find(t.Context(), *bad.Tree, "d")
			if err != nil {
				t.Fatal(err)
			}
			h = index.Handle{ID: *n.Subtree, Type: index.Tree}
		}
		loc, _ := r.Index().Lookup(h)
		err := backendtest.Damage(t.Context(), from, backend.File{Kind: backend.Data, Name: loc.Pack.String()}, func(b []byte) []byte {
			b[loc.Offset+20]++
			return b
		})
		if err != nil {
			t.Fatal(err)
		}
		_, res, err := copyAll(t.Context(), from, to)
		if !errors.Is(err, ErrDamaged) || res.Snapshots != 1 || len(res.Lost) != 1 || !strings.Contains(res.Lost[0].Error(), bad.ID().String()[:8]) {
			t.Fatalf("%v: got %+v, %v", what, res, err)
		}
		sameContent(t, r, checkTwin(t, to), good)
	}
}

// TestCopyHeals copies again what the other repository has lost: packs that its
// index still names, and such as a repair has taken out of it.
func TestCopyHeals(t *testing.T) {
	t.Parallel()
	remove := func(t *testing.T, be *backend.Memory, twin *Repository, kinds ...index.BlobType) {
		for _, typ := range kinds {
			for _, id := range packsOf(t, twin, typ) {
				if err := be.Remove(t.Context(), packName(id)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for name, c := range map[string]struct {
		lose  func(t *testing.T, be *backend.Memory, twin *Repository)
		blobs int
		clean bool // the index names nothing that is gone
	}{
		"packs are gone": {func(t *testing.T, be *backend.Memory, twin *Repository) {
			remove(t, be, twin, index.Data, index.Tree)
		}, 3, false},
		"index made anew": {func(t *testing.T, be *backend.Memory, twin *Repository) {
			remove(t, be, twin, index.Data)
			plan, err := twin.PlanRepairIndex(t.Context(), RepairIndexOptions{})
			if err == nil {
				_, err = plan.Apply(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
		}, 1, true},
		"packs repaired": {func(t *testing.T, be *backend.Memory, twin *Repository) {
			spoilPack(t, be, packsOf(t, twin, index.Data)[0], 20)
			if plan, _, err := repairPacks(t.Context(), twin); err != nil || plan.Leave != 1 {
				t.Fatal(plan, err)
			}
		}, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := backend.NewMemory(), backend.NewMemory()
			r := initRepo(t, from, 2)
			snap := saveFiles(t, r, map[string][]byte{"a": payload(1, 10_000)})
			initTwin(t, r, to, 2)
			if _, _, err := copyAll(t.Context(), from, to); err != nil {
				t.Fatal(err)
			}
			c.lose(t, to, checkTwin(t, to))
			plan, res, err := copyAll(t.Context(), from, to)
			if err != nil || plan.Kept != 1 || plan.Missing != c.blobs || res.Snapshots != 0 || res.DataBlobs+res.TreeBlobs != c.blobs {
				t.Fatalf("got %v, %+v, %v", plan, res, err)
			}
			twin, err := Open(t.Context(), to, twinPassword)
			if err == nil && c.clean {
				twin = checkTwin(t, to)
			}
			if err == nil {
				err = twin.LoadIndex(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			sameContent(t, r, twin, snap)
			if plan, _, err := copyAll(t.Context(), from, to); err != nil || plan.Blobs+plan.Found > 0 {
				t.Errorf("again: %v, %v", plan, err)
			}
		})
	}
}

// TestCopyIsCancelled ends within a copy, says why, and leaves the twin whole.
func TestCopyIsCancelled(t *testing.T) {
	t.Parallel()
	from, to := backend.NewMemory(), backend.NewMemory()
	r := initRepo(t, from, 2)
	saveFiles(t, r, testFiles())
	initTwin(t, r, to, 2)
	ctx, cancel := context.WithCancelCause(t.Context())
	saves := 0
	_, _, err := copyAll(ctx, from, backendtest.NewFaulty(to, backendtest.Faults{Before: func(_ context.Context, op backendtest.Op) error {
		if op.Verb == backendtest.Save {
			if saves++; saves == 1 {
				cancel(ErrLockLost)
			}
		}
		return nil
	}}))
	if !errors.Is(err, ErrLockLost) {
		t.Errorf("got %v, want the lock lost", err)
	}
	checkTwin(t, to)
}

// TestCopyNewestFirst copies to a drive that becomes full while older snapshots
// are copied: the newest is there by then, though it lies in later packs.
func TestCopyNewestFirst(t *testing.T) {
	t.Parallel()
	from, to := backend.NewMemory(), backend.NewMemory()
	r := initRepo(t, from, 2)
	saveFiles(t, r, map[string][]byte{"large": payload(1, 3_000_000)})
	saveFiles(t, r, map[string][]byte{"middle": payload(2, 1_000_000)})
	newest := saveFiles(t, r, map[string][]byte{"small": payload(3, 1000)})
	initTwin(t, r, to, 2)
	full := backendtest.NewFaulty(to, backendtest.Faults{Room: 500_000})
	_, _, err := copyAll(t.Context(), from, full)
	if !backend.IsFull(err) {
		t.Fatalf("got %v, want a full drive", err)
	}
	twin := checkTwin(t, to)
	snaps, err := twin.AllSnapshots(t.Context())
	if err != nil || len(snaps) != 1 || *snaps[0].Tree != *newest.Tree {
		t.Fatalf("got %d snapshots, %v; want the newest", len(snaps), err)
	}
}
