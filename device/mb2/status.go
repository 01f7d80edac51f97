package mb2

import (
	"errors"
	"io/fs"
	"syscall"
)

// Status is what a host answers to an order of the phone.
type Status int64

// The codes of DLMessageStatusResponse. A phone takes StatusNotFound for an
// ordinary answer, and every other one for a failure.
const (
	StatusOK             Status = 0
	StatusError          Status = -1
	StatusNotImplemented Status = -2
	StatusBadParameter   Status = -3
	StatusNotFound       Status = -6
	StatusExists         Status = -7
	StatusNotDir         Status = -8
	StatusIsDir          Status = -9
	StatusIO             Status = -11
	StatusMulti          Status = -13
	StatusNoSpace        Status = -15
)

// text is what goes along with a code. It says nothing of the host's own errors
// and names.
func (s Status) text() string {
	switch s {
	case StatusOK:
		return Text
	case StatusNotImplemented:
		return "Not implemented"
	case StatusBadParameter:
		return "Bad parameter"
	case StatusNotFound:
		return "No such file or directory"
	case StatusExists:
		return "File exists"
	case StatusNotDir:
		return "Not a directory"
	case StatusIsDir:
		return "Is a directory"
	case StatusIO:
		return "Input/output error"
	case StatusMulti:
		return "Multi status"
	case StatusNoSpace:
		return "No space left on device"
	}
	return "Not supported or not possible"
}

// Errors that a [Folder] returns and that have a code of their own, beside
// those of io/fs.
var (
	ErrNotDir  = errors.New("not a directory")
	ErrIsDir   = errors.New("is a directory")
	ErrNoSpace = errors.New("no space left")
)

// StatusOf is the code for what a [Folder] returned. "Not found" must be exact:
// a phone that hears it believes that there is no backup.
func StatusOf(err error) Status {
	switch {
	case err == nil:
		return StatusOK
	case errors.Is(err, ErrNoSpace), errors.Is(err, syscall.ENOSPC):
		return StatusNoSpace
	case errors.Is(err, fs.ErrNotExist):
		return StatusNotFound
	case errors.Is(err, fs.ErrExist):
		return StatusExists
	case errors.Is(err, ErrNotDir):
		return StatusNotDir
	case errors.Is(err, ErrIsDir):
		return StatusIsDir
	case errors.Is(err, fs.ErrInvalid):
		return StatusBadParameter
	}
	return StatusIO
}
