// Package reconcile runs a sync: it observes both sides, plans with package
// merge, guards the plan, keeps what it is about to replace, applies, reads back,
// and keeps what was agreed in the repository.
//
//	store := reconcile.NewRepoStore(r, opt)          // under a shared lock, index loaded
//	err := reconcile.Add(ctx, store, config)         // once
//	s, err := reconcile.Open(ctx, store, name, source, target, reconcile.Options{...})
//	plan, err := s.Plan(ctx)                         // or PlanPush, PlanResolve, PlanUndo
//	fmt.Print(plan)
//	result, err := plan.Apply(ctx, reconcile.Approval{})
//
// Planning writes nothing. Apply keeps old bodies and its intents in a state
// snapshot before its first write, and what was agreed in another one after the
// last. A run that dies in between is not replayed: the next one observes, and
// finds what was done. docs/sync.md has the algorithm, the guards and the layout
// of the state.
package reconcile
