package backend

import "errors"

// errFull is the error of a server that has no space left.
var errFull = errors.New("no space left on the server")

// IsFull reports whether an error says that a drive or a server is full, or a quota used up.
func IsFull(err error) bool { return errors.Is(err, errFull) || isDriveFull(err) }
