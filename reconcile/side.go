package reconcile

import (
	"context"

	"russet/merge"
)

// Side is one collection of vCards or iCalendar objects: on a server (package
// dav) or in a folder (package vdir). Errors wrap those of package merge. Methods
// are called one at a time.
type Side interface {
	// Identity names the collection itself, so that another one at the same place is
	// noticed: nothing secret, the same in every run.
	Identity(ctx context.Context) (string, error)
	// List says what is there. With a token of an earlier listing it may say only
	// what changed since; a token that is not known any more is merge.ErrToken.
	List(ctx context.Context, token string) (merge.Listing, error)
	// Get returns the items of these hrefs in their order, each either with its body
	// or Gone. Whatever the side did not answer for is an error.
	Get(ctx context.Context, hrefs []string) ([]merge.Item, error)
	// Create stores a new item under a name made of uid and returns where it is;
	// merge.ErrChanged says that something is there already.
	Create(ctx context.Context, uid string, body []byte) (merge.Ref, error)
	// Update replaces the item if it still is as ref says, else merge.ErrChanged.
	// The new etag may be "": it is then known by the next Get.
	Update(ctx context.Context, ref merge.Ref, body []byte) (merge.Ref, error)
	// Delete removes the item if it still is as ref says, else merge.ErrChanged. An
	// item that is gone already is no error.
	Delete(ctx context.Context, ref merge.Ref) error
}
