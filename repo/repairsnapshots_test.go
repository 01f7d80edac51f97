package repo

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
	"russet/index"
)

// dropBlob makes blobs unreadable, and repairs their packs.
func dropBlob(t *testing.T, be backend.Backend, blobs ...index.Handle) {
	t.Helper()
	r := opened(t, be)
	for _, h := range blobs {
		loc, ok := r.index.Lookup(h)
		if !ok {
			t.Fatalf("%v %v is in no index", h.Type, h.ID)
		}
		spoilPack(t, be, loc.Pack, loc.Offset+20)
	}
	plan, _, err := repairPacks(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	lost := 0
	for _, p := range plan.Packs {
		lost += p.Lost
	}
	if lost != len(blobs) {
		t.Fatalf("a repair of packs lost %d blobs, want %d: %v", lost, len(blobs), plan)
	}
}

func repairSnapshots(ctx context.Context, r *Repository, opt RepairSnapshotsOptions) (*RepairSnapshotsPlan, RepairSnapshotsResult, error) {
	plan, err := r.PlanRepairSnapshots(ctx, opt)
	if err != nil {
		return nil, RepairSnapshotsResult{}, err
	}
	res, err := plan.Apply(ctx)
	return plan, res, err
}

// repairFiles are some of one blob and one of several.
func repairFiles() map[string][]byte {
	return map[string][]byte{
		"empty": {}, "small": []byte("hello"), "photo": payload(1, 300_000), "video": payload(2, 6_000_000), "text": bytes.Repeat([]byte("text "), 1000),
	}
}

// contentOf are the blobs of a file of a snapshot of saveFiles.
func contentOf(t *testing.T, r *Repository, s *Snapshot, name string) []chunk.ID {
	t.Helper()
	n, err := r.Find(t.Context(), *s.Tree, "d/"+name)
	if err != nil {
		t.Fatal(err)
	}
	return n.Content
}

// A file of which a part is left stands under another name, one of which nothing
// is left is gone, all others are whole, and the original stays until it is
// forgotten.
func TestRepairSnapshots(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	files := repairFiles()
	files["video"+repairedSuffix] = []byte("was there before")
	old := saveFiles(t, r, files)
	video := contentOf(t, r, old, "video")
	dropBlob(t, be, index.Handle{ID: video[1], Type: index.Data}, index.Handle{ID: contentOf(t, r, old, "small")[0], Type: index.Data})

	var told []string
	opt := RepairSnapshotsOptions{Report: func(p Problem) {
		if p.Kind == LostFile {
			told = append(told, p.Path)
		}
	}}
	plan, res, err := repairSnapshots(t.Context(), opened(t, be), opt)
	if err != nil || len(plan.Snapshots) != 1 || plan.Snapshots[0].Losses != (Losses{Cut: 1, Dropped: 1}) || len(res.Saved) != 1 || res.Removed != 0 {
		t.Fatalf("got %v, %+v, %v", plan, res, err)
	}
	if !slices.Equal(told, []string{"/d/small", "/d/video"}) {
		t.Errorf("told of %q", told)
	}
	r = opened(t, be)
	made, err := r.LoadSnapshot(t.Context(), res.Saved[0])
	if err != nil || !made.HasTag(TagRepaired) || *made.Original != old.ID() || !made.Time.Equal(old.Time) || made.Hostname != old.Hostname {
		t.Fatalf("made %+v, %v", made, err)
	}
	want := map[string][]byte{}
	maps.Copy(want, files)
	delete(want, "small")
	delete(want, "video")
	var left []byte
	for i, id := range video {
		if i != 1 {
			piece, err := r.Load(t.Context(), index.Handle{ID: id, Type: index.Data}, nil)
			if err != nil {
				t.Fatal(err)
			}
			left = append(left, piece...)
		}
	}
	want["video"+repairedSuffix+"-2"] = left
	d, err := r.Find(t.Context(), *made.Tree, "d")
	if err != nil {
		t.Fatal(err)
	}
	if same, err := sameFiles(t.Context(), r, *d.Subtree, want); !same || err != nil {
		t.Errorf("the repaired snapshot has other files: %v", err)
	}

	// Again nothing new is made; the original goes when it is asked for.
	if _, res, err := repairSnapshots(t.Context(), r, RepairSnapshotsOptions{}); err != nil || len(res.Saved) != 0 {
		t.Errorf("again: %+v, %v", res, err)
	}
	if _, res, err := repairSnapshots(t.Context(), r, RepairSnapshotsOptions{Forget: true}); err != nil || len(res.Saved) != 0 || res.Removed != 1 {
		t.Errorf("forget: %+v, %v", res, err)
	}
	if plan, _, err := repairSnapshots(t.Context(), r, RepairSnapshotsOptions{}); err != nil || !plan.Empty() {
		t.Errorf("at last: %v, %v", plan, err)
	}
}

// A folder that cannot be read is empty, and of a snapshot whose first folder is
// lost nothing is left: it stays until it is forgotten.
func TestRepairSnapshotsOfLostFolders(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	old := saveFiles(t, r, repairFiles())
	d, err := r.Find(t.Context(), *old.Tree, "d")
	if err != nil {
		t.Fatal(err)
	}
	dropBlob(t, be, index.Handle{ID: *d.Subtree, Type: index.Tree})
	plan, res, err := repairSnapshots(t.Context(), r, RepairSnapshotsOptions{Forget: true})
	if err != nil || plan.Snapshots[0].Losses != (Losses{Emptied: 1}) || res.Removed != 1 {
		t.Fatalf("got %v, %+v, %v", plan, res, err)
	}
	made, err := r.LoadSnapshot(t.Context(), res.Saved[0])
	if err != nil {
		t.Fatal(err)
	}
	empty, err := r.Find(t.Context(), *made.Tree, "d")
	if err != nil || empty.Type != TypeDir {
		t.Fatalf("got %+v, %v", empty, err)
	}
	checkClean(t, be)

	dropBlob(t, be, index.Handle{ID: *made.Tree, Type: index.Tree})
	plan, res, err = repairSnapshots(t.Context(), r, RepairSnapshotsOptions{})
	if err != nil || !plan.Snapshots[0].Nothing || len(res.Saved)+res.Removed != 0 {
		t.Errorf("without its root: %v, %+v, %v", plan, res, err)
	}
	if _, res, err = repairSnapshots(t.Context(), r, RepairSnapshotsOptions{Forget: true}); err != nil || res.Removed != 1 {
		t.Errorf("without its root, forgotten: %+v, %v", res, err)
	}
	checkClean(t, be)
}

// The file of a snapshot that cannot be read stays until it is forgotten, and
// what it held is found.
func TestRepairUnreadableSnapshot(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	lost := saveFiles(t, r, map[string][]byte{"a": payload(1, 9000)})
	saveFiles(t, r, map[string][]byte{"b": payload(2, 9000)})
	spoil(t, be, backend.File{Kind: backend.Snapshot, Name: lost.ID().String()})
	plan, res, err := repairSnapshots(t.Context(), r, RepairSnapshotsOptions{})
	if err != nil || !slices.Equal(plan.Unreadable, []chunk.ID{lost.ID()}) || res.Removed != 0 {
		t.Errorf("got %v, %+v, %v", plan, res, err)
	}
	found, err := r.PlanRecover(t.Context(), RecoverOptions{})
	if err != nil || len(found.Trees) != 1 || found.Trees[0].ID != *lost.Tree {
		t.Errorf("found %v, %v", found, err)
	}
	if _, res, err = repairSnapshots(t.Context(), r, RepairSnapshotsOptions{Forget: true}); err != nil || res.Removed != 1 {
		t.Errorf("forget: %+v, %v", res, err)
	}
	checkClean(t, be)
}

// Only the snapshots that are named are looked into, and a plan is not carried
// out on other snapshots than it was made of.
func TestRepairSnapshotsPlan(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	one := saveFiles(t, r, map[string][]byte{"a": payload(1, 9000)})
	two := saveFiles(t, r, map[string][]byte{"a": payload(1, 9000), "b": payload(2, 9000)})
	dropBlob(t, be, index.Handle{ID: contentOf(t, r, one, "a")[0], Type: index.Data})
	plan, err := r.PlanRepairSnapshots(t.Context(), RepairSnapshotsOptions{Snapshots: []chunk.ID{two.ID()}})
	if err != nil || plan.Looked != 1 || len(plan.Snapshots) != 1 || plan.Snapshots[0].ID != two.ID() {
		t.Errorf("got %v, %v", plan, err)
	}
	if err := r.RemoveSnapshot(t.Context(), one.ID()); err != nil {
		t.Fatal(err)
	}
	if _, err := plan.Apply(t.Context()); err == nil || !strings.Contains(err.Error(), "changed") {
		t.Errorf("after a snapshot was removed: %v", err)
	}
}

// Names that are out of order, doubled or none are put right: each file that can
// be had is.
func TestRepairSnapshotsOfBadTree(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	w := r.NewWriter(t.Context())
	data, err := w.Save(t.Context(), index.Data, []byte("text"))
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string) *Node {
		return &Node{Name: name, Type: TypeFile, Mode: 0o644, ModTime: testTime(), AccessTime: testTime(), ChangeTime: testTime(), Size: 4, Content: []chunk.ID{data.ID}}
	}
	long := strings.Repeat("x", maxName)
	bad := &Tree{Nodes: []*Node{file("b"), file("a"), file("a"), file(long), file(long), file(""), {Name: "c", Type: "what"}}}
	root, err := w.Save(t.Context(), index.Tree, bad.Append(nil))
	if err == nil {
		err = w.Flush(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.SaveSnapshot(t.Context(), &Snapshot{Time: testTime(), Tree: &root.ID, Paths: []string{"/"}}); err != nil {
		t.Fatal(err)
	}
	_, res, err := repairSnapshots(t.Context(), r, RepairSnapshotsOptions{Forget: true})
	if err != nil || len(res.Saved) != 1 {
		t.Fatalf("got %+v, %v", res, err)
	}
	made, err := r.LoadSnapshot(t.Context(), res.Saved[0])
	if err != nil {
		t.Fatal(err)
	}
	tree, err := r.LoadTree(t.Context(), *made.Tree)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, n := range tree.Nodes {
		names = append(names, n.Name)
	}
	want := []string{"a", "a.repaired", "b", long, long[:maxName-len(repairedSuffix)] + repairedSuffix}
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
	checkClean(t, be)
}

func TestCrashRepairSnapshots(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T) backendtest.Trial {
		return crashRepair(t, func(ctx context.Context, r *Repository) error {
			_, _, err := repairSnapshots(ctx, r, RepairSnapshotsOptions{Forget: true})
			return err
		}, func(t *testing.T, be *backend.Memory, r *Repository) {
			all, err := r.AllSnapshots(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			n, err := r.Find(t.Context(), *all[0].Tree, "f3")
			if err != nil {
				t.Fatal(err)
			}
			dropBlob(t, be, index.Handle{ID: n.Content[0], Type: index.Data})
		})
	})
}

// What no snapshot leads to is found: a root with one folder becomes the
// snapshot again that it was, others come into one. A second recovery finds
// nothing.
func TestRecover(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	files := map[string][]byte{"a": payload(1, 9000), "b": []byte("text")}
	lost := saveFiles(t, r, files)
	kept := saveFiles(t, r, map[string][]byte{"c": []byte("other")})
	if err := backup(t.Context(), be, files); err != nil { // two files at the root
		t.Fatal(err)
	}
	all, err := r.AllSnapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if s.ID() != kept.ID() {
			if err := r.RemoveSnapshot(t.Context(), s.ID()); err != nil {
				t.Fatal(err)
			}
		}
	}
	plan, err := r.PlanRecover(t.Context(), RecoverOptions{Owner: Owner{Hostname: "h", Time: testTime().Add(time.Hour)}})
	if err != nil || len(plan.Trees) != 2 || plan.Damaged != 0 {
		t.Fatalf("got %v, %v", plan, err)
	}
	res, err := plan.Apply(t.Context())
	if err != nil || len(res.Saved) != 2 {
		t.Fatalf("got %+v, %v", res, err)
	}
	again, others := 0, 0
	for _, id := range res.Saved {
		s, err := r.LoadSnapshot(t.Context(), id)
		if err != nil || !s.HasTag(TagRecovered) {
			t.Fatalf("got %+v, %v", s, err)
		}
		if slices.Equal(s.Paths, lost.Paths) && *s.Tree == *lost.Tree && s.Time.Equal(lost.Time) {
			again++
			continue
		}
		tree, err := r.LoadTree(t.Context(), *s.Tree)
		if err != nil || len(tree.Nodes) != 1 || !strings.HasPrefix(s.Paths[0], recoveredPath) {
			t.Fatalf("got %+v, %v", s, err)
		}
		if same, err := sameFiles(t.Context(), r, *tree.Nodes[0].Subtree, files); !same || err != nil {
			t.Errorf("the others are not what was lost: %v", err)
		}
		others++
	}
	if again != 1 || others != 1 {
		t.Errorf("got %d snapshots again and %d of others", again, others)
	}
	if plan, err := r.PlanRecover(t.Context(), RecoverOptions{}); err != nil || !plan.Empty() {
		t.Errorf("again: %v, %v", plan, err)
	}
	checkClean(t, be)
}

func TestCrashRecover(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T) backendtest.Trial {
		return crashRepair(t, func(ctx context.Context, r *Repository) error {
			plan, err := r.PlanRecover(ctx, RecoverOptions{Owner: Owner{Hostname: "h", Time: testTime()}})
			if err != nil {
				return err
			}
			_, err = plan.Apply(ctx)
			return err
		}, func(t *testing.T, be *backend.Memory, _ *Repository) {
			if err := backup(t.Context(), be, map[string][]byte{"other": []byte("x")}); err != nil {
				t.Fatal(err)
			}
			r := opened(t, be)
			all, err := r.AllSnapshots(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range all {
				if n, err := r.Find(t.Context(), *s.Tree, "other"); err == nil && n != nil {
					if err := r.RemoveSnapshot(t.Context(), s.ID()); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
	})
}

// restic agrees with what repairs and recoveries make.
func TestRepairSnapshotsJudged(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "repo")
	be, err := backend.Create(t.Context(), dir, backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	files := repairFiles()
	r := initRepo(t, be, 2)
	old := saveFiles(t, r, files)
	h := index.Handle{ID: contentOf(t, r, old, "video")[0], Type: index.Data}
	loc, ok := r.index.Lookup(h)
	if !ok {
		t.Fatal("no video")
	}
	path := filepath.Join(dir, "data", loc.Pack.String()[:2], loc.Pack.String())
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[loc.Offset+30] ^= 1
	if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, data, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := repairPacks(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	_, res, err := repairSnapshots(t.Context(), r, RepairSnapshotsOptions{Forget: true})
	if err != nil || len(res.Saved) != 1 {
		t.Fatalf("got %+v, %v", res, err)
	}
	judge := func() {
		t.Helper()
		if out := resticRun(t, dir, "check", "--read-data"); !strings.Contains(out, "no errors were found") {
			t.Errorf("check: %s", out)
		}
	}
	judge()
	target := t.TempDir()
	resticRun(t, dir, "restore", "latest", "--target", target)
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(target, "d", name))
		if name == "video" {
			if part, perr := os.ReadFile(filepath.Join(target, "d", name+repairedSuffix)); err == nil || perr != nil || len(part) == 0 || len(part) >= len(want) {
				t.Errorf("video: %v; a part of %d bytes, %v", err, len(part), perr)
			}
		} else if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := r.RemoveSnapshot(t.Context(), res.Saved[0]); err != nil {
		t.Fatal(err)
	}
	plan, err := r.PlanRecover(t.Context(), RecoverOptions{Owner: Owner{Hostname: "h", Time: testTime()}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plan.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	judge()
	if out := resticRun(t, dir, "ls", "latest"); !strings.Contains(out, "/d/photo") {
		t.Errorf("ls: %s", out)
	}
}
