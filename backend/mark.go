package backend

import (
	"errors"
	"slices"
)

// What a person has to change before anything works again.
var (
	// ErrAddress says that an address is misspelt: there is no such kind of storage, or it is not how that is written.
	ErrAddress = errors.New("misspelt address")

	// ErrCertificate says that the certificate of a server is none that is trusted here.
	ErrCertificate = errors.New("untrusted certificate")

	// ErrProgram says that a program that leads to a storage does not start, or ends before it has answered once.
	ErrProgram = errors.New("program does not start")

	// ErrClock says that the clock of this computer differs too much from the server's.
	ErrClock = errors.New("wrong clock")
)

// marked is an error that others are to be found in, whose texts it does not have.
type marked struct {
	error
	is []error
}

// Unwrap gives what is to be found.
func (m marked) Unwrap() []error { return append(slices.Clip(m.is), m.error) }

func mark(text string, is ...error) error { return marked{errors.New(text), is} }
