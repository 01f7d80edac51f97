package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestLasting: what is done after Ctrl-C is done, but not for ever.
func TestLasting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		longer, done := lasting(ctx, stopGrace)
		defer done()
		time.AfterFunc(time.Hour, cancel)
		start := time.Now()
		<-longer.Done()
		if got, want := time.Since(start), time.Hour+stopGrace; got != want {
			t.Errorf("ended after %v, want %v", got, want)
		}
	})
}
