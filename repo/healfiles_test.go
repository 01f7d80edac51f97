package repo

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/index"
)

// folderOf has the contents under other names.
func folderOf(contents ...[]byte) fstest.MapFS {
	files := fstest.MapFS{"deep/empty": {}}
	for i, data := range contents {
		files["deep/"+strings.Repeat("x", i+1)] = &fstest.MapFile{Data: data}
	}
	return files
}

// Files that somebody still has give back what was lost, under whatever names;
// what they do not hold stays missing.
func TestHeal(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	files := repairFiles()
	old := saveFiles(t, r, files)
	if plan, err := r.PlanHeal(t.Context(), folderOf(files["video"]), nil); err != nil || !plan.Empty() || plan.Missing != 0 || plan.Files != 0 {
		t.Errorf("of what is whole: %+v, %v", plan, err)
	}
	dropBlob(t, be, index.Handle{ID: contentOf(t, r, old, "video")[1], Type: index.Data})
	dropBlob(t, be, index.Handle{ID: contentOf(t, r, old, "small")[0], Type: index.Data})
	r = opened(t, be)
	plan, err := r.PlanHeal(t.Context(), folderOf([]byte("strange"), files["video"], files["photo"]), new(Progress))
	if err != nil || plan.Missing != 2 || plan.Found != 1 || plan.Files != 4 || len(plan.in) != 1 {
		t.Fatalf("got %+v, %v", plan, err)
	}
	if n, err := plan.Apply(t.Context()); n != 1 || err != nil {
		t.Errorf("stored %d, %v", n, err)
	}
	plan, err = opened(t, be).PlanHeal(t.Context(), folderOf(files["small"]), nil)
	if err != nil || plan.Missing != 1 || plan.Found != 1 {
		t.Fatalf("got %+v, %v", plan, err)
	}
	plan.files = folderOf([]byte("hallo")) // it was changed meanwhile
	if n, err := plan.Apply(t.Context()); n != 0 || err == nil {
		t.Errorf("of a file that has changed: stored %d, %v", n, err)
	}
	plan.files = folderOf(files["small"])
	if n, err := plan.Apply(t.Context()); n != 1 || err != nil {
		t.Errorf("stored %d, %v", n, err)
	}
	checkClean(t, be)
}

// torn is a folder of which no file can be read to its end.
type torn struct{ fstest.MapFS }

func (t torn) Open(name string) (fs.File, error) {
	f, err := t.MapFS.Open(name)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || info.IsDir() {
		return f, err
	}
	return tornFile{f}, nil
}

type tornFile struct{ fs.File }

func (f tornFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	if err == io.EOF {
		err = errors.New("the sector is bad")
	}
	return n, err
}

// What stands before a bad sector heals, too.
func TestHealTornFile(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	files := repairFiles()
	old := saveFiles(t, r, files)
	dropBlob(t, be, index.Handle{ID: contentOf(t, r, old, "video")[0], Type: index.Data})
	plan, err := opened(t, be).PlanHeal(t.Context(), torn{folderOf(slices.Concat(files["video"], make([]byte, 20<<20)))}, nil)
	if err != nil || plan.Found != 1 || plan.Files != 0 || plan.Unread != 2 {
		t.Fatalf("got %+v, %v", plan, err)
	}
	if n, err := plan.Apply(t.Context()); n != 1 || err != nil {
		t.Errorf("stored %d, %v", n, err)
	}
	checkClean(t, be)
}

func TestCrashHeal(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T) backendtest.Trial {
		files := many(1, 6)
		return crashRepair(t, func(ctx context.Context, r *Repository) error {
			plan, err := r.PlanHeal(ctx, folderOf(files["f3"], files["f1"]), nil)
			if err == nil {
				_, err = plan.Apply(ctx)
			}
			return err
		}, func(t *testing.T, be *backend.Memory, r *Repository) {
			all, err := r.AllSnapshots(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"f1", "f3"} {
				n, err := r.Find(t.Context(), *all[0].Tree, name)
				if err != nil {
					t.Fatal(err)
				}
				dropBlob(t, be, index.Handle{ID: n.Content[0], Type: index.Data})
			}
		})
	})
}
