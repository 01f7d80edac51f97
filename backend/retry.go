package backend

import "errors"

// temporaryError marks an error that may pass by itself: a lost connection, a server that is busy.
type temporaryError struct{ error }

func (e temporaryError) Unwrap() error { return e.error }

// temporary marks an error as one that may pass by itself. Whatever is not marked is permanent.
func temporary(err error) error {
	if err == nil {
		return nil
	}
	return temporaryError{err}
}

// IsTemporary reports whether an error is one that may pass by itself, so that the same may be tried again later: a lost
// connection, a server that is busy or does not answer.
func IsTemporary(err error) bool {
	_, ok := errors.AsType[temporaryError](err)
	return ok
}
