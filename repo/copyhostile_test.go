package repo

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
	"russet/index"
)

// TestCopyLooksAtHashes copies from a place that has swapped two blobs of one
// length, each of which opens with the key.
func TestCopyLooksAtHashes(t *testing.T) {
	t.Parallel()
	from, to := backend.NewMemory(), backend.NewMemory()
	r := initRepo(t, from, 2)
	one, other := payload(1, 5000), payload(2, 5000)
	saveFiles(t, r, map[string][]byte{"a": one, "b": other})
	initTwin(t, r, to, 2)
	first, _ := r.Index().Lookup(index.Handle{ID: chunk.Sum(one), Type: index.Data})
	second, _ := r.Index().Lookup(index.Handle{ID: chunk.Sum(other), Type: index.Data})
	if first.Pack != second.Pack || first.Length != second.Length {
		t.Fatal("they do not lie side by side")
	}
	err := backendtest.Damage(t.Context(), from, packName(first.Pack), func(b []byte) []byte {
		kept := slices.Clone(b)
		copy(b[first.Offset:], kept[second.Offset:second.Offset+second.Length])
		copy(b[second.Offset:], kept[first.Offset:first.Offset+first.Length])
		return b
	})
	if err != nil {
		t.Fatal(err)
	}
	_, res, err := copyAll(t.Context(), from, to)
	if !errors.Is(err, ErrDamaged) || res.Snapshots != 0 || len(res.Lost) != 1 || res.DataBlobs != 0 {
		t.Errorf("got %+v, %v", res, err)
	}
}

// TestCopyOrphans leaves packs there that hold nothing which is wanted, or are
// no packs.
func TestCopyOrphans(t *testing.T) {
	t.Parallel()
	from, to := backend.NewMemory(), backend.NewMemory()
	r := initRepo(t, from, 2)
	saveFiles(t, r, map[string][]byte{"a": payload(1, 5000)})
	initTwin(t, r, to, 2)
	twin, err := Open(t.Context(), to, twinPassword)
	if err != nil {
		t.Fatal(err)
	}
	saveFiles(t, twin, map[string][]byte{"other": payload(9, 5000)})
	gone, err := listFiles(t.Context(), to, backend.Index, backend.Snapshot)
	if err != nil {
		t.Fatal(err)
	}
	for f := range gone {
		if err := to.Remove(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	for _, junk := range [][]byte{nil, []byte("x"), payload(3, 200), append(payload(4, 2000), 0, 1, 0, 0)} {
		if err := to.Save(t.Context(), packName(chunk.Sum(junk)), junk); err != nil {
			t.Fatal(err)
		}
	}
	plan, res, err := copyAll(t.Context(), from, to)
	if err != nil || res.Snapshots != 1 || plan.Found != 0 || len(plan.adopt) != 0 {
		t.Errorf("got %v, %+v, %v", plan, res, err)
	}
	checkTwin(t, to)
}

func TestIsCopy(t *testing.T) {
	t.Parallel()
	id := func(s string) chunk.ID { return chunk.Sum([]byte(s)) }
	make := func(change func(s *Snapshot)) *Snapshot {
		tree, origin := id("tree"), id("origin")
		s := &Snapshot{
			id: id("copy"), Original: &origin, Time: testTime(), Tree: &tree, Hostname: "h", Username: "u", UID: 1, GID: 2,
			Paths: []string{"/p"}, Excludes: []string{"e"}, Tags: []string{"t"},
		}
		change(s)
		return s
	}
	source := make(func(s *Snapshot) { s.id, s.Original = id("origin"), nil })
	for what, change := range map[string]func(s *Snapshot){
		"as it is":       func(*Snapshot) {},
		"another zone":   func(s *Snapshot) { s.Time = s.Time.In(time.FixedZone("", 3600)) },
		"another parent": func(s *Snapshot) { s.Parent = s.Original },
		"the original":   func(s *Snapshot) { s.id, s.Original = id("origin"), nil },
		"a program":      func(s *Snapshot) { s.ProgramVersion = "x" },
	} {
		if other := make(change); !source.isCopy(other) || !other.isCopy(source) {
			t.Errorf("%s: it counts as another one", what)
		}
	}
	for what, change := range map[string]func(s *Snapshot){
		"time":     func(s *Snapshot) { s.Time = s.Time.Add(1) },
		"tree":     func(s *Snapshot) { s.Tree = s.Original },
		"host":     func(s *Snapshot) { s.Hostname = "" },
		"user":     func(s *Snapshot) { s.Username = "" },
		"uid":      func(s *Snapshot) { s.UID = 0 },
		"gid":      func(s *Snapshot) { s.GID = 0 },
		"paths":    func(s *Snapshot) { s.Paths = nil },
		"excludes": func(s *Snapshot) { s.Excludes = nil },
		"tags":     func(s *Snapshot) { s.Tags = []string{"t", "t"} },
		"origin":   func(s *Snapshot) { s.Original = s.Tree },
	} {
		if source.isCopy(make(change)) {
			t.Errorf("%s: it counts as the same", what)
		}
	}
}

// TestCopyDamagedOrphan leaves a pack there that a repair has taken out of the
// index, as something of it is lost: nothing of it is made use of.
func TestCopyDamagedOrphan(t *testing.T) {
	t.Parallel()
	from, to := backend.NewMemory(), backend.NewMemory()
	r := initRepo(t, from, 2)
	snap := saveFiles(t, r, map[string][]byte{"a": payload(1, 5000), "b": payload(2, 5000), "c": payload(3, 5000)})
	initTwin(t, r, to, 2)
	if _, _, err := copyAll(t.Context(), from, to); err != nil {
		t.Fatal(err)
	}
	twin := checkTwin(t, to)
	id := packsOf(t, twin, index.Data)[0]
	spoilPack(t, to, id, blobsIn(twin, id)[0].Offset+20)
	repair, _, err := repairPacks(t.Context(), twin)
	if err != nil || repair.Leave != 1 {
		t.Fatalf("repair packs: %v, %v", repair, err)
	}
	forget, err := twin.PlanRepairSnapshots(t.Context(), RepairSnapshotsOptions{Forget: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := forget.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	plan, res, err := copyAll(t.Context(), from, to)
	if err != nil || plan.Found != 0 || res.Snapshots != 1 || res.DataBlobs == 0 {
		t.Errorf("got %v, %+v, %v", plan, res, err)
	}
	sameContent(t, r, checkTwin(t, to), snap)
}

// TestCopyBothLost copies where this repository cannot give what the other has
// lost of a snapshot that was copied before, and is told so.
func TestCopyBothLost(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(t *testing.T, be *backend.Memory, r *Repository){
		"damaged here": func(t *testing.T, be *backend.Memory, r *Repository) {
			spoilPack(t, be, packsOf(t, r, index.Data)[0], 20)
		},
		"in no index here": func(t *testing.T, be *backend.Memory, r *Repository) {
			spoilPack(t, be, packsOf(t, r, index.Data)[0], 20)
			if plan, _, err := repairPacks(t.Context(), r); err != nil || plan.Leave != 1 {
				t.Fatal(plan, err)
			}
		},
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
			if err := to.Remove(t.Context(), packName(packsOf(t, checkTwin(t, to), index.Data)[0])); err != nil {
				t.Fatal(err)
			}
			lose(t, from, r)
			plan, res, err := copyAll(t.Context(), from, to)
			if !errors.Is(err, ErrDamaged) || plan.Kept != 1 || res.Snapshots != 0 || len(res.Lost) != 1 ||
				!strings.Contains(res.Lost[0].Error(), snap.ID().String()[:8]) {
				t.Errorf("got %v, %+v, %v", plan, res, err)
			}
		})
	}
}
