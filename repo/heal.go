package repo

import (
	"context"
	"fmt"

	"russet/backend"
	"russet/chunk"
	"russet/index"
)

// DropLost takes out of the loaded index what lies in packs that are gone, or
// are not as long as the index says, and returns how many packs that are. Who
// adds to a repository calls it after LoadIndex: what the index promises and
// the drive does not hold is then stored again. It costs one list of the packs,
// which shows no damage within one.
func (r *Repository) DropLost(ctx context.Context) (lost int, err error) {
	sizes := map[chunk.ID]int64{}
	for f, err := range r.packFiles(ctx) {
		if err != nil {
			return 0, err
		}
		sizes[f.id] = f.size
	}
	order := []chunk.ID{}
	whole := map[chunk.ID][]index.Blob{}
	for id, size := range r.index.Packs() {
		if have, ok := sizes[id]; !ok || have != size {
			lost++
			continue
		}
		order = append(order, id)
		whole[id] = nil
	}
	if lost == 0 {
		return 0, nil
	}
	for loc := range r.index.Blobs() {
		if blobs, ok := whole[loc.Pack]; ok {
			whole[loc.Pack] = append(blobs, loc.Blob)
		}
	}
	fresh := index.New()
	for _, id := range order {
		fresh.Add(index.Pack{ID: id, Blobs: whole[id]})
	}
	r.index = fresh
	return lost, nil
}

// packsThere returns an error where not one of the packs that the loaded index
// names is there: no drive loses all of them by damage and answers still. Their
// folder, or what is mounted there, is away.
func (r *Repository) packsThere(ctx context.Context) error {
	for f, err := range r.packFiles(ctx) {
		if err != nil {
			return err
		}
		if r.index.HasPack(f.id) {
			return nil
		}
	}
	return packsAway(r.index)
}

// packsAway is the error of packsThere, nil where the index names no pack.
func packsAway(x *index.Index) error {
	n := 0
	for range x.Packs() {
		n++
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("none of the %d packs that the index names is there: their folder is away, or a drive that belongs there; that is no damage", n)
}

// CleanTemporary removes what programs that were killed amid a write left
// behind, restic too, once it is older than a day, and returns how many files
// that were. Where nothing is left behind, as in memory, it is none. It needs no
// lock: what is removed has no name of a repository's file.
func (r *Repository) CleanTemporary(ctx context.Context) (int, error) {
	be, ok := r.place.(interface {
		CleanTemporary(ctx context.Context) (int, error)
	})
	if !ok {
		return 0, nil
	}
	n, err := be.CleanTemporary(ctx)
	if err != nil {
		return n, fmt.Errorf("remove unfinished files: %w", err)
	}
	return n, nil
}

// Distrust makes the Writer load what the repository is said to have before it
// relies on it, and store again what does not come back whole. It is called
// before the first Save.
func (w *Writer) Distrust() { w.proven = map[index.Handle]struct{}{} }

// claimUnproven is claim for a Writer that distrusts the repository.
func (w *Writer) claimUnproven(ctx context.Context, h index.Handle, size int) bool {
	w.mu.Lock()
	_, ok := w.proven[h]
	w.mu.Unlock()
	if ok {
		return false
	}
	whole := false
	if w.r.index.Has(h) {
		_, err := w.r.Load(backend.WithoutCache(ctx), h, make([]byte, 0, size))
		whole = err == nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.proven[h]; ok {
		return false // by somebody else meanwhile
	}
	w.proven[h] = struct{}{}
	if !whole {
		w.pending[h] = struct{}{}
	}
	return !whole
}
