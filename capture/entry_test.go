package capture

import (
	"context"
	"testing"
	"testing/synctest"

	"russet/ios"
)

// A manifest whose records are all as long as they may be is not held in memory.
func TestLongRecordsAreHandedOver(t *testing.T) {
	t.Parallel()
	const n, long = 64, 1 << 20
	blob := make([]byte, long)
	out := make(chan recordBatch, n+1)
	inBatches(t.Context(), func(yield func(ios.Record, error) bool) {
		for range n {
			if !yield(ios.Record{Blob: blob}, nil) {
				return
			}
		}
	}, out)
	got := 0
	for b := range out {
		if got += len(b.recs); len(b.recs) > 1 {
			t.Fatalf("%d records of %d bytes come at once, want one", len(b.recs), long)
		}
	}
	if got != n {
		t.Errorf("got %d records, want %d", got, n)
	}
}

// Records that nobody takes before the context is done are not left out without an error.
func TestRecordsAreAllOrAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		out := make(chan recordBatch)
		go inBatches(ctx, func(yield func(ios.Record, error) bool) {
			for range batchRecords {
				if !yield(ios.Record{}, nil) {
					return
				}
			}
		}, out)
		synctest.Wait()
		cancel()
		synctest.Wait()
		got := 0
		var err error
		for b := range out {
			got, err = got+len(b.recs), b.err
		}
		if got != batchRecords && err == nil {
			t.Errorf("got %d records and no error, want %d", got, batchRecords)
		}
	})
}
