// Package offsite keeps named copies of a repository elsewhere and knows what
// lies there, when it was last proven, and which snapshots stand on it.
//
//	store := offsite.NewStore(r, opt)            // under a shared lock, index loaded
//	st, err := store.Create(ctx, config, to)     // or store.Load(ctx, name)
//	c, err := store.Attach(st, to)               // to: the copy, opened and locked
//	...                                          // repo.PlanCopy, or repo.PlanMirror
//	found, changed, err := c.Record(ctx, run)    // what a run has put there
//	res, err := c.Verify(ctx, opt)               // what lies there is what was put there
//	err = store.Save(ctx, st)
//	status := st.Status(snapshots)               // needs the source alone
//
// What a copy is, and its ledger, lie in the source, as the state snapshot
// /russet-offsite/NAME (docs/format.md, "Offsite copies"): without secrets, and so that
// a status asks nobody else. A pack is proven when its bytes were hashed and match
// its name, by the storage itself or by reading them; a snapshot as of the oldest
// proof among the packs that it needs.
package offsite
