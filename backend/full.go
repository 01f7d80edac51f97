package backend

import "errors"

// errFull is what a place on a network says that takes no more.
var errFull = errors.New("no space left")
