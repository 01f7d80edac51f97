package dav

import (
	"fmt"
	"net/http"

	"russet/merge"
)

// statusError is an answer that is not what was asked for. It says nothing of
// the server's own text, which may be about people.
type statusError struct {
	what, host   string
	status       int
	precondition string // the name that the server gave, or ""
	meaning      error  // of package merge, or ErrUnknown, or nil
}

func (e *statusError) Error() string {
	s := fmt.Sprintf("%s: %s answered %d", e.what, e.host, e.status)
	if text := http.StatusText(e.status); text != "" {
		s += " " + text
	}
	if e.precondition != "" {
		s += " (" + e.precondition + ")"
	}
	if e.meaning != nil {
		s += ": " + e.meaning.Error()
	}
	return s
}

func (e *statusError) Unwrap() error { return e.meaning }

func (c *client) statusError(q call, a *answer, meaning error) *statusError {
	return &statusError{what: q.what, host: a.url.Host, status: a.status, precondition: a.precondition, meaning: meaning}
}

// explain reads what an answer says beside its status. Xandikos answers 207 to a
// write, and says in it what is wrong.
func (a *answer) explain(method string) {
	if a.status >= 400 {
		a.precondition = precondition(a.body)
	}
	if !writes(method) || a.status != http.StatusMultiStatus {
		return
	}
	_, _ = readMultistatus(a.body, func(r response) error { // else it stays 207, which means nothing
		if r.status != 0 {
			a.status, a.precondition = r.status, r.precondition
		}
		return nil
	})
}

// unmet reports whether the item is not as a condition wants it. A 412 that names
// what is wrong is about the content.
func (a *answer) unmet() bool {
	return a.status == http.StatusPreconditionFailed && a.precondition == ""
}

// readMeaning says what the status of a request that reads means.
func readMeaning(status int) error {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return merge.ErrDenied
	case http.StatusNotFound, http.StatusGone:
		return merge.ErrMissing
	}
	return nil
}

// writeMeaning says what the status of a PUT or DELETE means, short of where the
// item is gone or is another. writable: the server said before that we may write.
func writeMeaning(status int, precondition string, writable bool) error {
	switch status {
	case http.StatusUnauthorized, http.StatusMethodNotAllowed:
		return merge.ErrDenied
	case http.StatusForbidden:
		// A server that lets us write and says 403 does not like the item, whether
		// or not it says why.
		if precondition == "need-privileges" || precondition == "" && !writable {
			return merge.ErrDenied
		}
		return merge.ErrRefused
	case http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
		http.StatusUnprocessableEntity, http.StatusInsufficientStorage:
		return merge.ErrRefused
	case http.StatusPreconditionFailed:
		if precondition != "" {
			return merge.ErrRefused
		}
		return merge.ErrChanged
	}
	if status < 400 || status >= 500 {
		return ErrUnknown
	}
	return nil
}
