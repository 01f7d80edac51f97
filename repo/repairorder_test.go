package repo

import (
	"context"
	"fmt"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
	"russet/index"
)

// A repair of packs removes none that any index file names still, and only after
// all that was whole of it stands in packs that the index names.
func TestRepairPacksOrder(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	saveFiles(t, initRepo(t, be, 2), map[string][]byte{"a": payload(1, 5000), "b": payload(2, 5000), "c": payload(3, 5000)})
	r := opened(t, be)
	bad := []chunk.ID{packsOf(t, r, index.Data)[0], packsOf(t, r, index.Tree)[0]}
	var saved []index.Blob
	for _, id := range bad {
		saved = append(saved, blobsIn(r, id)...)
		err := backendtest.Damage(t.Context(), be, packName(id), func(b []byte) []byte { b[len(b)-6] ^= 1; return b }) // the header alone
		if err != nil {
			t.Fatal(err)
		}
	}
	removed := 0
	watched := backendtest.NewFaulty(be, backendtest.Faults{Before: func(_ context.Context, op backendtest.Op) error {
		if op.Verb != backendtest.Remove || op.File.Kind != backend.Data {
			return nil
		}
		removed++
		now := opened(t, be)
		for _, id := range bad {
			if now.index.HasPack(id) {
				return fmt.Errorf("%v is removed while the index names %v", op.File, id)
			}
		}
		for _, b := range saved {
			if _, err := now.Load(t.Context(), b.Handle, nil); err != nil {
				return fmt.Errorf("%v is removed: %w", op.File, err)
			}
		}
		return nil
	}})
	if _, _, err := repairPacks(t.Context(), on(r, watched)); err != nil || removed != 2 {
		t.Errorf("%d packs were removed: %v", removed, err)
	}
	checkClean(t, be)
}
