//go:build unix

package main

import (
	"testing"
	"time"
)

func TestNextRun(t *testing.T) {
	t.Parallel()
	p := &simulated{runs: make(chan simulatedRun, 1)}
	p.runs <- simulatedRun{Sent: 3}
	if r, err := p.nextRun(time.Hour); err != nil || r.Sent != 3 {
		t.Errorf("got %+v, %v", r, err)
	}
	if r, err := p.nextRun(time.Millisecond); err == nil {
		t.Errorf("got %+v of a phone that says nothing", r)
	}
	close(p.runs)
	if r, err := p.nextRun(time.Hour); err == nil {
		t.Errorf("got %+v of a phone that has ended", r)
	}
}
