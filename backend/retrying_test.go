package backend_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
)

// errPasses is what a busy server says.
var errPasses = backend.Temporary(errors.New("the server is busy"))

// everyThird lets each third operation fail with err, with or without its effect. Not those that find what an earlier try
// of theirs may have left: a file gone already when it is removed, a Config there already, which nobody can tell apart.
func everyThird(b backend.Backend, err error, late bool) backend.Backend {
	n := 0
	return backendtest.NewFaulty(b, backendtest.Faults{
		FailAt: 1, FailCount: -1, Late: late, Err: err,
		Only: func(op backendtest.Op) bool {
			n++
			_, err := b.Load(context.Background(), op.File, 0, nil)
			found := err == nil
			if op.Verb == backendtest.Remove && !found || op.Verb == backendtest.Save && op.File.Kind == backend.Config && found {
				return false
			}
			return n%3 == 0
		},
	})
}

// TestPersistent runs the suite over a place where each third operation fails for a reason that passes.
func TestPersistent(t *testing.T) {
	t.Parallel()
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprintf("late=%t", late), func(t *testing.T) {
			t.Parallel()
			backendtest.Run(t, func(*testing.T) backend.Backend {
				return backend.Persistent(backend.NetworkOptions{}, everyThird(backend.NewMemory(), errPasses, late))
			})
		})
	}
}
