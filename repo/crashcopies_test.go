package repo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
	"russet/crypto"
	"russet/index"
)

// TestCrashCopy cuts a copy off, the first one and a later one into a repository
// that has older copies, a version of its own, and a hole: it opens, what it
// holds are whole copies, and the copy can be gone on with. It runs without locks,
// whose crashes are tried elsewhere.
func TestCrashCopy(t *testing.T) {
	t.Parallel()
	source := backend.NewMemory()
	r, err := Init(t.Context(), source, testPassword, InitOptions{Cost: crypto.Cost{N: 2, R: 1, P: 1}})
	if err != nil {
		t.Fatal(err)
	}
	empty := backend.NewMemory()
	if _, err := Init(t.Context(), empty, twinPassword, InitOptions{Cost: crypto.Cost{N: 2, R: 1, P: 1}}); err != nil {
		t.Fatal(err)
	}
	run := func(ctx context.Context, be backend.Backend) error {
		_, _, err := copyAll(ctx, source, be)
		return err
	}
	want := twins{}
	oldest := want.save(t, r, many(1, 4))
	later := olderTwin(t, source, empty)
	want.save(t, r, many(3, 6))
	want.save(t, r, many(30, 3))
	for name, c := range map[string]struct {
		store *backend.Memory
		hole  chunk.ID
	}{"first": {store: empty}, "later": {later, oldest}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			judge := func(ctx context.Context, be backend.Backend, done bool) error {
				if err := want.held(ctx, be, c.hole, done); err != nil {
					return err
				}
				if err := run(ctx, be); err != nil {
					return fmt.Errorf("the next run: %w", err)
				}
				return want.held(ctx, be, chunk.ID{}, true)
			}
			tr := backendtest.Trial{Store: c.store, Run: run, Judge: judge, Every: *everyPoint, Sample: 20}
			tr.Crashes(t)
			tr.Failures(t)
		})
	}
}

// olderTwin is a copy of a repository that holds a version of its own, too, and
// of which a repair has taken content out of the index.
func olderTwin(t *testing.T, source, empty *backend.Memory) *backend.Memory {
	t.Helper()
	be, err := backendtest.Copy(t.Context(), empty)
	if err != nil {
		t.Fatal(err)
	}
	twin, err := Open(t.Context(), be, twinPassword)
	if err != nil {
		t.Fatal(err)
	}
	saveFiles(t, twin, map[string][]byte{"own": payload(77, 3000)})
	own := packsOf(t, twin, index.Data)
	if _, _, err := copyAll(t.Context(), source, be); err != nil {
		t.Fatal(err)
	}
	twin = checkTwin(t, be)
	bad := slices.DeleteFunc(packsOf(t, twin, index.Data), func(id chunk.ID) bool { return slices.Contains(own, id) })[0]
	spoilPack(t, be, bad, blobsIn(twin, bad)[0].Offset+20)
	if plan, _, err := repairPacks(t.Context(), twin); err != nil || plan.Leave != 1 {
		t.Fatal(plan, err)
	}
	return be
}

// twins are the versions of a repository, by their snapshots, of which another
// one is to have copies.
type twins map[chunk.ID]twinVersion

type twinVersion struct {
	snapshot *Snapshot
	files    map[string][]byte
}

func (want twins) save(t *testing.T, r *Repository, files map[string][]byte) chunk.ID {
	t.Helper()
	s := saveFiles(t, r, files)
	want[s.id] = twinVersion{s, files}
	return s.id
}

// held wants each copy that is there to be one of a version, with its content, and
// no version to be there twice. Where no version has a hole it wants a clean check,
// too, and with done that, and a copy of every version.
func (want twins) held(ctx context.Context, be backend.Backend, hole chunk.ID, done bool) error {
	twin, err := Open(ctx, be, twinPassword)
	if err != nil {
		return err
	}
	if hole.IsZero() || done {
		hole = chunk.ID{}
		if _, err := twin.Check(ctx, CheckOptions{Read: AllPacks()}); err != nil {
			return err
		}
	}
	all, err := twin.AllSnapshots(ctx)
	if err != nil {
		return err
	}
	if err := twin.LoadIndex(ctx); err != nil {
		return err
	}
	seen := map[chunk.ID]bool{}
	for _, s := range all {
		if s.Original == nil {
			continue // its own
		}
		v, known := want[*s.Original]
		if !known || seen[*s.Original] || *s.Tree != *v.snapshot.Tree || !s.Time.Equal(v.snapshot.Time) || !slices.Equal(s.Paths, v.snapshot.Paths) {
			return fmt.Errorf("snapshot %v is no copy of a version, or a second one", s.id)
		}
		seen[*s.Original] = true
		if *s.Original == hole {
			continue
		}
		d, err := twin.Find(ctx, *s.Tree, "d")
		if err != nil {
			return err
		}
		if same, err := sameFiles(ctx, twin, *d.Subtree, v.files); err != nil || !same {
			return fmt.Errorf("the copy of %v holds other files: %w", s.id, cmp.Or(err, ErrDamaged))
		}
	}
	if done && len(seen) < len(want) {
		return fmt.Errorf("%d of %d versions are copied", len(seen), len(want))
	}
	return nil
}

// TestCrashPassword cuts a change of the password off: one of the two opens the
// repository, and the new one where it was said so.
func TestCrashPassword(t *testing.T) {
	t.Parallel()
	store := backend.NewMemory()
	weak := crypto.Cost{N: 2, R: 1, P: 1}
	if _, err := Init(t.Context(), store, testPassword, InitOptions{Cost: weak}); err != nil {
		t.Fatal(err)
	}
	change := func(ctx context.Context, be backend.Backend, from, to string) error {
		r, err := Open(ctx, be, from)
		if err == nil {
			_, err = r.ChangePassword(ctx, to, weak, Owner{Time: testTime()})
		}
		return err
	}
	tr := backendtest.Trial{
		Store: store, Every: *everyPoint,
		Run: func(ctx context.Context, be backend.Backend) error { return change(ctx, be, testPassword, "new") },
		Judge: func(ctx context.Context, be backend.Backend, done bool) error {
			_, older := Open(ctx, be, testPassword)
			_, newer := Open(ctx, be, "new")
			switch {
			case older != nil && newer != nil:
				return errors.Join(older, newer)
			case done && older == nil:
				return errors.New("the old password is still good")
			case done && newer != nil:
				return newer
			case newer == nil:
				return change(ctx, be, "new", "newest")
			}
			return change(ctx, be, testPassword, "new")
		},
	}
	tr.Crashes(t)
	tr.Failures(t)
}
