package backend

import "syscall"

// errFull says that a place on a network has no space left.
var errFull error = fullError{}

// fullError is a full drive's error to errors.Is, and so to [IsFull].
type fullError struct{}

func (fullError) Error() string { return "no space left" }

func (fullError) Is(target error) bool { return target == syscall.ENOSPC }
