// Package repo reads and writes repositories in restic's format, versions 1
// and 2: encrypted, deduplicated, and usable by stock restic at any time.
//
//	r, err := repo.Open(ctx, be, password)     // or repo.Init
//	lock, err := r.Lock(ctx, false, repo.LockOptions{...})
//	defer lock.Unlock(ctx)
//	err = r.LoadIndex(lock.Context())
//	w := r.NewWriter(lock.Context())           // packs, then index, ...
//	id, err := w.Save(ctx, index.Data, bytes)
//	err = w.Flush(ctx)
//	snapID, err := r.SaveSnapshot(ctx, snap)   // ... then the snapshot, last
//
// The order of writes is the promise: packs are durable before an index names
// them, and an index before a snapshot needs it. Whatever dies in between
// leaves bytes that nothing refers to, and never a snapshot that lacks some.
//
// What is sealed is opened again and compared before it counts as stored, and
// what is loaded is always hashed: the format authenticates each blob, but
// does not bind it to its name, so only the hash tells a swapped blob.
//
// The format is described in restic's design document ("Repository Format").
package repo
