package capture

import (
	"errors"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/crypto"
	"russet/index"
	"russet/repo"
)

// Content that the drive of the repository lost or changed is stored again from
// the folder, and the snapshot that needs it is whole again and no second one.
func TestFolderHealsRepository(t *testing.T) {
	t.Parallel()
	p := newPhone(t, true)
	for name, damage := range map[string]func([]byte) []byte{
		"cut short": func(data []byte) []byte { return data[:len(data)-1] },
		"changed": func(data []byte) []byte {
			for i := 1000; i < len(data); i += 100_000 {
				data[i] ^= 1
			}
			return data
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			be := backend.NewMemory()
			r, err := repo.Init(t.Context(), be, "x", repo.InitOptions{Cost: crypto.Cost{N: 2, R: 1, P: 1}})
			if err != nil {
				t.Fatal(err)
			}
			opt := withPassword(simPassword)
			first := keep(t, r, p.dir, opt)
			damageAll(t, be, damage)
			if _, err := r.DropLost(t.Context()); err != nil {
				t.Fatal(err)
			}
			opt.Force = true
			res := keep(t, r, p.dir, opt)
			if !res.Kept || res.Snapshot.ID() != first.Snapshot.ID() || res.Summary.BytesStored == 0 {
				t.Errorf("healed: got %+v, want the same snapshot and bytes stored", res)
			}
			writeBack(t, r, first.Snapshot, p.dir)
		})
	}
}

func damageAll(t *testing.T, be backend.Backend, change func([]byte) []byte) {
	t.Helper()
	var packs []backend.File
	for info, err := range be.List(t.Context(), backend.Data) {
		if err != nil {
			t.Fatal(err)
		}
		packs = append(packs, backend.File{Kind: backend.Data, Name: info.Name})
	}
	for _, f := range packs {
		if err := backendtest.Damage(t.Context(), be, f, change); err != nil {
			t.Fatal(err)
		}
	}
}

// Where russet.json and a folder's list of names are damaged, the files that
// are whole are still written, and what is missing is told.
func TestRestoreFilesAroundDamage(t *testing.T) {
	t.Parallel()
	p := newPhone(t, false)
	be := backend.NewMemory()
	r, err := repo.Init(t.Context(), be, "x", repo.InitOptions{Cost: crypto.Cost{N: 2, R: 1, P: 1}})
	if err != nil {
		t.Fatal(err)
	}
	s := keep(t, r, p.dir, Options{}).Snapshot
	v, err := Open(t.Context(), r, s)
	if err != nil {
		t.Fatal(err)
	}
	whole := restoreFiles(t, v)
	flipBlob(t, r, be, index.Handle{ID: v.tree.Find(nameMetadata).Content[0], Type: index.Data})
	const folder = "CameraRollDomain"
	n, err := r.Find(t.Context(), *s.Tree, v.UDID+"/"+nameFiles+"/"+folder)
	if err != nil {
		t.Fatal(err)
	}
	flipBlob(t, r, be, index.Handle{ID: *n.Subtree, Type: index.Tree})
	if v, err = Open(t.Context(), openLoaded(t, be), s); err != nil {
		t.Fatal(err)
	}
	if _, err := v.RestoreFolder(t.Context(), openRoot(t, t.TempDir()), RestoreOptions{}); !errors.Is(err, repo.ErrDamaged) {
		t.Errorf("the folder: got %v, want %v", err, repo.ErrDamaged)
	}
	got := restoreFiles(t, v)
	if len(got.Failed) != 1 || got.Failed[0] != folder || got.Original || got.Files == 0 || got.Files >= whole.Files || got.Bytes >= whole.Bytes {
		t.Errorf("got %+v, want all but %s of %+v", got, folder, whole)
	}
	if v.usable() {
		t.Error("what has lost its russet.json is built upon")
	}
}

func restoreFiles(t *testing.T, v *Version) *Restored {
	t.Helper()
	res, err := v.RestoreFiles(t.Context(), openRoot(t, t.TempDir()), RestoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// flipBlob changes a byte of a blob in its pack.
func flipBlob(t *testing.T, r *repo.Repository, be backend.Backend, h index.Handle) {
	t.Helper()
	at, ok := r.Index().Lookup(h)
	if !ok {
		t.Fatalf("no blob %v", h.ID)
	}
	err := backendtest.Damage(t.Context(), be, backend.File{Kind: backend.Data, Name: at.Pack.String()}, func(data []byte) []byte {
		data[at.Offset+at.Length/2] ^= 1
		return data
	})
	if err != nil {
		t.Fatal(err)
	}
}
