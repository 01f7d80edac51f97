package capture

import (
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/crypto"
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
