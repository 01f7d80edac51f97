package vdir_test

import (
	"fmt"
	"testing"

	"russet/vdir"
)

const many = 10_000

// manyRecords are as many contacts as a large address book has.
func manyRecords(yield func(string, []byte) bool) {
	for i := range many {
		uid := fmt.Sprintf("contact-%d", i)
		if !yield(uid, card(uid, "Ada")) {
			return
		}
	}
}

// An export that changes nothing, and a listing.
func BenchmarkUnchanged(b *testing.B) {
	f, err := vdir.Open(b.TempDir(), vdir.VCards)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Init("id"); err != nil {
		b.Fatal(err)
	}
	export := func(b *testing.B) vdir.Exported {
		done, err := f.Export(b.Context(), "x", true, manyRecords)
		if err != nil {
			b.Fatal(err)
		}
		return done
	}
	export(b)
	b.Run("export", func(b *testing.B) {
		for b.Loop() {
			if got := export(b); got.Unchanged != many {
				b.Fatalf("got %+v", got)
			}
		}
	})
	b.Run("list", func(b *testing.B) {
		for b.Loop() {
			if l, err := f.List(b.Context(), ""); err != nil || len(l.Refs) != many {
				b.Fatalf("got %d, %v", len(l.Refs), err)
			}
		}
	})
}
