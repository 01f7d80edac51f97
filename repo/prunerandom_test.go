package repo

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
	"russet/index"
)

// randomWork does what people do to a repository, in a random order.
type randomWork struct {
	t     *testing.T
	rng   *rand.Rand
	store *backend.Memory
	snaps []*Snapshot
	files []map[string][]byte
	hurt  map[string]bool // names of files of which a copy was damaged
	saved int             // versions
	log   []string
}

func (w *randomWork) open() *Repository {
	w.t.Helper()
	r, err := Open(w.t.Context(), w.store, testPassword)
	if err == nil {
		err = r.LoadIndex(w.t.Context())
	}
	if err != nil {
		w.t.Fatalf("%q: %v", w.log, err)
	}
	return r
}

// save keeps a version of a few files out of a pool, so that versions share some.
// It leaves out those that were damaged once: a bad copy that nothing needs is
// nobody's damage, until somebody relies on it again unread.
func (w *randomWork) save() {
	w.saved++
	files := map[string][]byte{fmt.Sprint("only", w.saved): payload(uint64(1000+w.saved), 500)}
	for range 1 + w.rng.IntN(6) {
		n := w.rng.IntN(60)
		if w.hurt[fmt.Sprint(n)] {
			continue
		}
		files[fmt.Sprint(n)] = payload(uint64(n), 1+w.rng.IntN(3)*20_000)
	}
	w.snaps = append(w.snaps, saveFiles(w.t, w.open(), files))
	w.files = append(w.files, files)
}

func (w *randomWork) forget() {
	if len(w.snaps) == 0 {
		return
	}
	i := w.rng.IntN(len(w.snaps))
	forgetAll(w.t, w.open(), w.snaps[i])
	w.snaps, w.files = slices.Delete(w.snaps, i, i+1), slices.Delete(w.files, i, i+1)
}

// twice stores some blobs again that are needed, as after damage, and some rubbish
// beside them.
func (w *randomWork) twice() {
	r := w.open()
	sw := r.NewWriter(w.t.Context())
	sw.Distrust()
	again := [][]byte{payload(uint64(w.rng.IntN(1000)), 10_000)}
	for range min(len(w.files), 3) {
		version := w.files[w.rng.IntN(len(w.files))]
		names := slices.Sorted(maps.Keys(version))
		name := names[w.rng.IntN(len(names))]
		w.hurt[name] = true
		again = append(again, version[name])
	}
	seen := map[chunk.ID]bool{}
	for _, data := range again {
		if seen[chunk.Sum(data)] {
			continue // it would be damaged after it was looked at
		}
		seen[chunk.Sum(data)] = true
		if loc, ok := r.index.Lookup(index.Handle{ID: chunk.Sum(data), Type: index.Data}); ok && w.rng.IntN(3) > 0 {
			damage(w.t, w.store, packName(loc.Pack), int(loc.Offset)+20)
		}
		if _, err := sw.Save(w.t.Context(), index.Data, data); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := sw.Flush(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// reindex takes an index file away and makes the index anew.
func (w *randomWork) reindex() {
	removeIndex(w.t, w.store, w.rng.IntN(3))
	repaired(w.t, w.store, RepairIndexOptions{ReadAllPacks: w.rng.IntN(2) == 0})
}

func (w *randomWork) prune(dieAt int) {
	limits := []Limit{{}, LimitBytes(0), LimitPercent(30), Unlimited(), LimitBytes(50_000)}
	opt := PruneOptions{MaxUnused: limits[w.rng.IntN(len(limits))], MaxRepack: limits[w.rng.IntN(2)], NoSnapshots: true}
	faulty := backendtest.NewFaulty(w.store, backendtest.Faults{DieAt: dieAt})
	plan, _, err := pruned(w.t.Context(), faulty, opt)
	if err != nil && !faulty.Fired() {
		w.t.Fatalf("%q: prune %+v: %v, %v", w.log, opt, plan, err)
	}
}

// Whatever comes before, a prune, also one that dies, loses nothing, and in the
// end all that is left is needed.
func TestPruneRandomly(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	for round := range uint64(3) {
		w := &randomWork{t: t, rng: rand.New(rand.NewPCG(seed, round)), store: backend.NewMemory(), hurt: map[string]bool{}}
		initRepo(t, w.store, 1+uint(w.rng.IntN(2)))
		for range 25 {
			n := w.rng.IntN(10)
			w.log = append(w.log, []string{"save", "save", "save", "forget", "forget", "twice", "reindex", "prune", "prune", "die"}[n])
			switch n {
			case 0, 1, 2:
				w.save()
			case 3, 4:
				w.forget()
			case 5:
				w.twice()
			case 6:
				w.reindex()
			case 7, 8:
				w.prune(0)
			default:
				w.prune(1 + w.rng.IntN(12))
			}
		}
		mustPrune(t, w.store, everything())
		r := wantWhole(t, w.store, w.snaps, w.files)
		plan, err := r.PlanPrune(t.Context(), everything())
		if err != nil || !plan.Empty() || plan.Unused+int64(plan.UnusedBlobs+plan.Duplicates) > 0 {
			t.Errorf("left: %+v, %v", plan, err)
		}
		if t.Failed() {
			t.Fatalf("seed %d, round %d: %q", seed, round, w.log)
		}
	}
}

// A prune removes the files that killed programs had begun, once they are a day
// old, also when there is nothing else to do.
func TestPruneRemovesTemporary(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "repo")
	be, err := backend.Create(t.Context(), folder, backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := initRepo(t, be, 2)
	snap := saveFiles(t, r, map[string][]byte{"a": payload(1, 100)})
	id := snap.id.String()
	for name, age := range map[string]time.Duration{"old": 25 * time.Hour, "new": time.Hour} {
		left := filepath.Join(folder, "data", id[:2], id+"-tmp-"+name)
		if err := os.WriteFile(left, []byte("half a pack"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(left, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	_, res, err := pruned(context.WithoutCancel(t.Context()), be, PruneOptions{})
	if err != nil || res.Temporary != 1 {
		t.Errorf("got %+v, %v, want 1 file removed", res, err)
	}
	if _, err := os.Stat(filepath.Join(folder, "data", id[:2], id+"-tmp-new")); err != nil {
		t.Error(err)
	}
}
