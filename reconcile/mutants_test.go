package reconcile

import (
	"testing"

	"russet/internal/vobject"
	"russet/merge"
)

// byBytes is a hash of a body that tells spellings apart.
func byBytes(data []byte) vobject.Hash {
	return vobject.HashOf([]vobject.Property{{Value: string(data)}})
}

// deleteWins makes of an edit that beats a deletion the contrary.
func deleteWins(p merge.Policy, c *merge.Changes) {
	for i := range c.Ops {
		if op := &c.Ops[i]; p.Mode == merge.TwoWay && op.Action == merge.Create && op.Why == "changed after the other side deleted it" {
			op.Where, op.Action = op.Where.Other(), merge.Delete
		}
	}
}

// TestMutants: the model finds each of these mistakes.
func TestMutants(t *testing.T) {
	t.Parallel()
	gen := histories()
	for _, mutant := range []struct {
		name  string
		flaws flaws
		side  quirks
	}{
		{"what is not listed is gone", flaws{believeListings: true}, quirks{}},
		{"PUT without If-Match", flaws{}, quirks{noMatch: true}},
		{"PUT without If-None-Match", flaws{}, quirks{noNone: true}},
		{"DELETE without If-Match", flaws{}, quirks{anyDelete: true}},
		{"bytes compared instead of meaning", flaws{hash: byBytes}, quirks{}},
		{"the base saved before the write", flaws{baseFirst: true}, quirks{}},
		{"a deletion beats an edit", flaws{plan: deleteWins}, quirks{}},
		{"no attic", flaws{noAttic: true}, quirks{}},
	} {
		t.Run(mutant.name, func(t *testing.T) {
			t.Parallel()
			const enough = 10_000
			for seed := range enough {
				h := gen.Example(seed)
				if err := h.run(t, mutant.flaws, mutant.side); err != nil {
					t.Logf("found by history %d: %v", seed+1, err)
					return
				}
			}
			t.Errorf("not found by %d histories", enough)
		})
	}
}
