package repo

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/synctest"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
	"russet/crypto"
	"russet/index"
)

// pruneRun is a whole run as a program makes it.
func pruneRun(ctx context.Context, be backend.Backend, opt PruneOptions) (res PruneResult, err error) {
	err = locked(ctx, be, true, os.Getpid(), func(ctx context.Context, r *Repository) error {
		plan, err := r.PlanPrune(ctx, opt)
		if err == nil {
			res, err = plan.Apply(ctx)
		}
		return err
	})
	return res, err
}

// pruneStore is a repository with three versions, of which two were forgotten,
// and a pack that no index names.
func pruneStore(t *testing.T, size int) (store *backend.Memory, snaps []*Snapshot, files []map[string][]byte) {
	t.Helper()
	store = backend.NewMemory()
	r, err := Init(t.Context(), store, testPassword, InitOptions{Cost: crypto.Cost{N: 2, R: 1, P: 1}})
	if err != nil {
		t.Fatal(err)
	}
	snaps, files = versions(t, r, 3, size)
	forgetAll(t, r, snaps[:2]...)
	savePack(t, r, blobOf(index.Data, 100))
	return store, snaps[2:], files[2:]
}

// eachPruneFault runs a prune under the faults that give makes for 1, 2, 3 …
// until one is not reached. Whatever happened the repository is whole, nothing
// that is needed is gone, and the next prune leaves nothing that is not.
func eachPruneFault(t *testing.T, size int, give func(n int) backendtest.Faults) {
	t.Helper()
	store, snaps, files := pruneStore(t, size)
	n := 1
	for ; ; n += faultStep() {
		broken, err := backendtest.Copy(t.Context(), store)
		if err != nil {
			t.Fatal(err)
		}
		faulty := backendtest.NewFaulty(broken, give(n))
		_, err = pruneRun(t.Context(), faulty, everything())
		if !faulty.Fired() {
			if err != nil {
				t.Fatalf("without a fault: %v", err)
			}
			break
		}
		r := wantWhole(t, broken, snaps, files)
		if _, err := r.Unlock(t.Context(), UnlockOptions{All: true, Now: testTime()}); err != nil {
			t.Fatal(err)
		}
		if _, err := pruneRun(t.Context(), broken, everything()); err != nil {
			t.Fatalf("the next prune: %v", err)
		}
		wantWhole(t, broken, snaps, files)
		if plan, err := r.PlanPrune(t.Context(), everything()); err != nil || !plan.Empty() || plan.Unused != 0 {
			t.Fatalf("something is left: %v, %v", plan, err)
		}
		if t.Failed() {
			t.Fatalf("fault %d: %v: %v", n, err, faulty.Ops())
		}
	}
	if n < 5 {
		t.Errorf("only %d operations", n-1)
	}
}

// faultStep is 1 for every fault, and more where time is short.
func faultStep() int {
	if testing.Short() {
		return 4
	}
	return 1
}

// Whichever operation of a prune fails, once or for good, without effect or with
// it, and wherever the process dies, the repository stays whole.
func TestPruneFaults(t *testing.T) {
	t.Parallel()
	soak := os.Getenv("RUSSET_SOAK") == "1"
	for name, give := range map[string]func(n int) backendtest.Faults{
		"fails once": func(n int) backendtest.Faults { return backendtest.Faults{FailAt: n} },
		"fails ever": func(n int) backendtest.Faults { return backendtest.Faults{FailAt: n, FailCount: -1} },
		"fails late": func(n int) backendtest.Faults { return backendtest.Faults{FailAt: n, Late: true} },
		"dies":       func(n int) backendtest.Faults { return backendtest.Faults{DieAt: n + 1} }, // the first is its lock
		"cannot write": func(n int) backendtest.Faults {
			return backendtest.Faults{FailAt: n, FailCount: -1, Err: fs.ErrPermission, Only: func(op backendtest.Op) bool { return op.Verb.Writes() }}
		},
		"loses its lock": func(n int) backendtest.Faults {
			return backendtest.Faults{FailAt: n, FailCount: -1, Err: fs.ErrNotExist, Only: func(op backendtest.Op) bool {
				return op.Verb == backendtest.Load && op.File.Kind == backend.Lock
			}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { eachPruneFault(t, 20_000, give) })
			if soak {
				synctest.Test(t, func(t *testing.T) { eachPruneFault(t, 10<<20, give) }) // several packs
			}
		})
	}
}

// A torn file that a process left as it died does not keep the next prune from
// its work, unless it is an index, which nobody can go on from but a repair.
func TestPruneTorn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, snaps, files := pruneStore(t, 20_000)
		torn := 0
		for n := 2; ; n += faultStep() {
			broken, err := backendtest.Copy(t.Context(), store)
			if err != nil {
				t.Fatal(err)
			}
			faulty := backendtest.NewFaulty(broken, backendtest.Faults{DieAt: n, Tear: func(size int) int { return size / 2 }})
			_, err = pruneRun(t.Context(), faulty, everything())
			if !faulty.Fired() {
				break
			}
			if !errors.Is(err, backendtest.ErrDead) {
				t.Fatal(err)
			}
			ops := faulty.Ops()
			if last := ops[len(ops)-1]; last.Verb != backendtest.Save || last.File.Kind != backend.Data {
				continue
			}
			torn++
			r, err := Open(t.Context(), broken, testPassword)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.Unlock(t.Context(), UnlockOptions{All: true, Now: testTime()}); err != nil {
				t.Fatal(err)
			}
			if _, err := pruneRun(t.Context(), broken, everything()); err != nil {
				t.Fatal(err)
			}
			wantWhole(t, broken, snaps, files)
		}
		if torn == 0 && !testing.Short() {
			t.Error("no pack was torn")
		}
	})
}

// The drive gets full at every so many bytes: with what was freed a prune that
// copies nothing succeeds, and then one that does.
func TestPruneFullDrive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, snaps, files := pruneStore(t, 20_000)
		for room := int64(500); ; room += 3001 * int64(faultStep()) {
			broken, err := backendtest.Copy(t.Context(), store)
			if err != nil {
				t.Fatal(err)
			}
			faulty := backendtest.NewFaulty(broken, backendtest.Faults{Room: room})
			_, err = pruneRun(t.Context(), faulty, everything())
			if !faulty.Fired() {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !backend.IsFull(err) {
				t.Fatalf("with room for %d bytes: %v, want an error that says full", room, err)
			}
			wantWhole(t, broken, snaps, files)
			if _, err := pruneRun(t.Context(), broken, everything()); err != nil {
				t.Fatal(err)
			}
			wantWhole(t, broken, snaps, files)
		}
	})
}

// A prune that died after it had copied goes on: what was copied is not copied
// again.
func TestPruneResumes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, snaps, files := pruneStore(t, 50_000)
		var dead error
		faulty := backendtest.NewFaulty(store, backendtest.Faults{Before: func(_ context.Context, op backendtest.Op) error {
			if op.Verb == backendtest.Remove && op.File.Kind != backend.Lock && op.File.Kind != backend.Snapshot {
				dead = backendtest.ErrDead
			}
			return dead
		}})
		res, err := pruneRun(t.Context(), faulty, everything())
		if err == nil || res.Copied == 0 {
			t.Fatalf("got %+v, %v", res, err)
		}
		r := wantWhole(t, store, snaps, files)
		if _, err := r.Unlock(t.Context(), UnlockOptions{All: true, Now: testTime()}); err != nil {
			t.Fatal(err)
		}
		plan, res := mustPrune(t, store, everything())
		if res.Copied != 0 || plan.Duplicates == 0 || plan.Delete.Packs == 0 {
			t.Errorf("the next prune did %+v by %+v", res, plan)
		}
		wantWhole(t, store, snaps, files)
	})
}

// Nothing is deleted after the lock was lost, nor by a plan that is out of date.
func TestPruneOutOfDate(t *testing.T) {
	t.Parallel()
	store, _, _ := pruneStore(t, 20_000)
	r, err := Open(t.Context(), store, testPassword)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := r.PlanPrune(t.Context(), everything())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.LoadIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	more := saveFiles(t, r, map[string][]byte{"more": payload(100, 20_000)}) // which the plan would delete
	if _, err := plan.Apply(t.Context()); err == nil || !strings.Contains(err.Error(), "has changed since the plan was made") {
		t.Errorf("got %v", err)
	}
	wantWhole(t, store, []*Snapshot{more}, []map[string][]byte{{"more": payload(100, 20_000)}})
}

// A blob that was damaged and then stored again lies in two packs: the good copy
// is kept, wherever it lies, and the damage is gone.
func TestPruneKeepsGoodCopy(t *testing.T) {
	t.Parallel()
	for seed := range 8 { // names are random, and so is the order in which copies are found
		be := backend.NewMemory()
		r := initRepo(t, be, 2)
		files := map[string][]byte{"a": payload(uint64(seed), 5000), "b": payload(50, 7000)}
		snap := saveFiles(t, r, files)
		loc, _ := r.index.Lookup(index.Handle{ID: chunk.Sum(files["a"]), Type: index.Data})
		damage(t, be, packName(loc.Pack), int(loc.Offset)+100)
		w := r.NewWriter(t.Context())
		w.Distrust()
		for _, data := range [][]byte{files["a"], payload(51, 100)} { // beside rubbish, so that the other pack looks better
			if _, err := w.Save(t.Context(), index.Data, data); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(w.Flush(t.Context()), w.Close()); err != nil {
			t.Fatal(err)
		}
		plan, _ := mustPrune(t, be, PruneOptions{MaxUnused: Unlimited()})
		if plan.Repack.Packs == 0 || plan.Duplicates != 1 {
			t.Errorf("got %+v", plan)
		}
		wantWhole(t, be, []*Snapshot{snap}, []map[string][]byte{files})
	}
}

// Where every copy of a needed blob is damaged nothing is deleted.
func TestPruneOfTwoBadCopies(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	data := payload(1, 5000)
	saveFiles(t, r, map[string][]byte{"a": data})
	h := index.Handle{ID: chunk.Sum(data), Type: index.Data}
	loc, _ := r.index.Lookup(h)
	damage(t, be, packName(loc.Pack), int(loc.Offset)+100)
	w := r.NewWriter(t.Context())
	w.Distrust()
	if _, err := w.Save(t.Context(), index.Data, data); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Flush(t.Context()), w.Close()); err != nil {
		t.Fatal(err)
	}
	loc, _ = r.index.Lookup(h)
	damage(t, be, packName(loc.Pack), int(loc.Offset)+100)
	if plan, _, err := pruned(t.Context(), be, everything()); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v, %v, want damage", plan, err)
	}
}

// Blobs that a run needs which is not complete stay, and one that is not there
// is nobody's damage.
func TestPruneKeeps(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	snap := saveFiles(t, r, map[string][]byte{"a": payload(1, 5000)})
	keep, drop := payload(2, 5000), payload(3, 5000)
	saveFiles(t, r, map[string][]byte{"b": keep, "c": drop})
	for s, err := range r.Snapshots(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if s.id != snap.id {
			forgetAll(t, r, s)
		}
	}
	opt := everything()
	opt.Keep = func(yield func(index.Handle, error) bool) {
		_ = yield(index.Handle{ID: chunk.Sum(keep), Type: index.Data}, nil) && yield(index.Handle{ID: chunk.ID{1}, Type: index.Data}, nil)
	}
	mustPrune(t, be, opt)
	r = wantWhole(t, be, []*Snapshot{snap}, []map[string][]byte{{"a": payload(1, 5000)}})
	if !r.index.Has(index.Handle{ID: chunk.Sum(keep), Type: index.Data}) || r.index.Has(index.Handle{ID: chunk.Sum(drop), Type: index.Data}) {
		t.Error("the wrong blobs were kept")
	}
	opt.Keep = func(yield func(index.Handle, error) bool) { yield(index.Handle{}, backendtest.ErrInjected) }
	if _, _, err := pruned(t.Context(), be, opt); !errors.Is(err, backendtest.ErrInjected) {
		t.Errorf("got %v", err)
	}
}

// lyingBackend saves other bytes than it was given, and reports success.
type lyingBackend struct {
	backend.Backend
	kind backend.Kind
}

func (b lyingBackend) Save(ctx context.Context, f backend.File, data []byte) error {
	if f.Kind == b.kind {
		data = append([]byte(nil), data...)
		data[len(data)/2] ^= 1
	}
	return b.Backend.Save(ctx, f, data)
}

// What is written is read back before anything that it replaces is deleted.
func TestPruneReadsBack(t *testing.T) {
	t.Parallel()
	for _, kind := range []backend.Kind{backend.Data, backend.Index} {
		store, _, _ := pruneStore(t, 20_000)
		before := checkClean(t, store).index
		files := fileSizes(t, store, backend.Index)
		if _, res, err := pruned(t.Context(), lyingBackend{store, kind}, everything()); !errors.Is(err, ErrDamaged) {
			t.Errorf("%v: got %+v, %v, want damage", kind, res, err)
		}
		for id := range before.Packs() {
			if _, ok := fileSizes(t, store, backend.Data)[id.String()]; !ok {
				t.Errorf("%v: pack %v was deleted", kind, id)
			}
		}
		for name := range files {
			if _, ok := fileSizes(t, store, backend.Index)[name]; !ok {
				t.Errorf("%v: index %s was deleted", kind, name)
			}
		}
	}
}

// A plan that would delete what is needed is carried out by nobody.
func TestPruneLosesNothing(t *testing.T) {
	t.Parallel()
	store, snaps, files := pruneStore(t, 20_000)
	r := checkClean(t, store)
	plan, err := r.PlanPrune(t.Context(), everything())
	if err != nil {
		t.Fatal(err)
	}
	for i := range plan.fates {
		plan.fates[i] = fateDelete
	}
	plan.Repack = PackCount{}
	if res, err := plan.Apply(t.Context()); err == nil || res.Deleted.Packs != 0 {
		t.Errorf("got %+v, %v", res, err)
	}
	wantWhole(t, store, snaps, files)
}
