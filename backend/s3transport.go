package backend

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// maxS3Answer bounds what is read of an answer that is not a file: a list of a thousand objects has less than a megabyte.
const maxS3Answer = 8 << 20

// maxEmptyPages is how many parts of a list in a row may name nothing: a bucket that keeps versions passes over those that were
// removed.
const maxEmptyPages = 1000

// errEmptyPages says that a list has no end, and nothing in it.
var errEmptyPages = errors.New("the server goes on with a list and names nothing")

// emptyPages is under which the context of a list has the number of requests since something was named.
type emptyPages struct{}

// s3Transport stands between the library and the network. Errors leave it without addresses, answers have a length that is
// bounded, and what the server says of the time is kept.
type s3Transport struct {
	base *http.Transport
	skew atomic.Int64 // how far the server's clock was before ours at the last answer
}

// RoundTrip implements http.RoundTripper.
func (t *s3Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if pages, list := r.Context().Value(emptyPages{}).(*atomic.Int64); list && pages.Add(1) > maxEmptyPages {
		return nil, lineError{errEmptyPages}
	}
	answer, err := t.base.RoundTrip(r)
	if _, plain := errors.AsType[tls.RecordHeaderError](err); plain {
		err = http.ErrSchemeMismatch // as a client says it, which stands above this
	}
	if err != nil {
		return nil, lineError{lost(r.Context(), err)}
	}
	if date, err := http.ParseTime(answer.Header.Get("Date")); err == nil {
		t.skew.Store(int64(time.Until(date)))
	}
	body := &s3Answer{ReadCloser: answer.Body, ctx: r.Context(), left: -1}
	if r.Header.Get("Range") == "" || answer.StatusCode >= 300 {
		body.left = maxS3Answer
	}
	answer.Body = body
	return answer, nil
}

// s3Answer is the body of an answer; left is how much more of it may come, if it is not negative.
type s3Answer struct {
	io.ReadCloser
	ctx  context.Context
	left int
}

func (a *s3Answer) Read(p []byte) (int, error) {
	if a.left == 0 {
		return 0, io.EOF
	}
	if a.left > 0 {
		p = p[:min(a.left, len(p))]
	}
	n, err := a.ReadCloser.Read(p)
	if a.left > 0 {
		a.left -= n
	}
	if err != nil && err != io.EOF {
		err = lineError{lost(a.ctx, err)}
	}
	return n, err
}

// A lineError is what went wrong between here and the server, to be found again in what the library makes of it.
type lineError struct{ error }

func (e lineError) Unwrap() error { return e.error }
