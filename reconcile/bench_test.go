package reconcile

import (
	"fmt"
	"testing"
)

// BenchmarkQuiet is a run over 10,000 contacts of which none changed, with its state
// in a repository.
func BenchmarkQuiet(b *testing.B) {
	_, r, be := newRepo(b)
	rig := newRig(b, quirks{tokens: true})
	rig.store = store(r, 7)
	rig.add()
	for n := range 10_000 {
		uid := fmt.Sprintf("%08d", n)
		rig.phone[uid] = body(uid, fmt.Sprintf("TEL;TYPE=CELL:+49 30 %d", n), "ADR;TYPE=HOME:;;Street 1;Town;;12345;", "NOTE:something that somebody wrote")
	}
	if n := len(rig.apply(rig.plan()).Done); n != len(rig.phone) {
		b.Fatalf("%d writes", n)
	}
	b.ReportAllocs()
	for b.Loop() {
		rig.store = store(openRepo(b, be), 7)
		if got := rig.run(); got != "" {
			b.Fatal(got)
		}
	}
}
