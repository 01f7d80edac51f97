package merge

import "errors"

// What a side of a sync says of itself. The types stand here, below the packages
// that implement a side (dav, vdir) and the one that runs a sync (reconcile).

var (
	// ErrChanged is in errors of writing to an item that is not as it was when it
	// was read: another etag, gone, or there where nothing was.
	ErrChanged = errors.New("the item was changed meanwhile")
	// ErrToken is in errors of listing since a token that the side does not know
	// any more: everything must be listed.
	ErrToken = errors.New("the sync token is not known any more")
	// ErrDenied is in errors that a person must mend before anything else works:
	// wrong credentials, no right to read or write.
	ErrDenied = errors.New("access denied")
	// ErrRefused is in errors of items that the side does not take, however often
	// it is asked: invalid, too large, of another kind.
	ErrRefused = errors.New("the item is refused")
	// ErrMissing is in errors of a collection that is not there.
	ErrMissing = errors.New("the collection is missing")
)

// Ref names an item of a side as it is now.
type Ref struct {
	Href string // of a server: the full URL; of a folder: the file's name
	ETag string // changes whenever the item does; compared, never looked into. "" where the side gave none
}

// Listing is what a side lists.
type Listing struct {
	Refs    []Ref
	Removed []string // hrefs, of a listing of changes
	Changes bool     // only what changed since the token that was given
	Token   string   // for the next listing; "" where the side has none
}

// Item is an item with its content.
type Item struct {
	Ref
	Body []byte // nil where Gone
	Gone bool   // the side says of this very href that nothing is there
}
