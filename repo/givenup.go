package repo

import (
	"context"

	"russet/backend"
)

// givenUp is the key under which a context of whileAnswered holds what ends it.
type givenUp struct{}

// whileAnswered does work under a context that ends once something cannot be loaded
// under it for a reason that may pass, after all the patience that a network gets;
// the error is that one then. What looks for damage, and goes on behind it, would be
// as patient with each file that follows, and take for damage what nobody has seen.
func whileAnswered(ctx context.Context, work func(context.Context) error) error {
	within, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err := work(context.WithValue(within, givenUp{}, cancel))
	if cause := context.Cause(within); backend.IsTemporary(cause) {
		return cause
	}
	return err
}

// noteGivenUp ends the work of whileAnswered where err is such a reason.
func noteGivenUp(ctx context.Context, err error) {
	if cancel, ok := ctx.Value(givenUp{}).(context.CancelCauseFunc); ok && backend.IsTemporary(err) {
		cancel(err)
	}
}
