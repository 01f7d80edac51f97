package backend

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"
)

// maxS3Answer bounds what is read of an answer that is not a file: a list of a thousand objects has less than a megabyte.
const maxS3Answer = 8 << 20

// s3Transport stands between the library and the network. Errors leave it without addresses, answers have a length that is
// bounded, and what the server says of the time is kept.
type s3Transport struct {
	base *http.Transport
	skew atomic.Int64 // how far the server's clock was before ours at the last answer
}

// RoundTrip implements http.RoundTripper.
func (t *s3Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := t.base.RoundTrip(r)
	if err != nil {
		return nil, wireError(r.Context(), err)
	}
	if date, err := http.ParseTime(answer.Header.Get("Date")); err == nil {
		t.skew.Store(int64(time.Until(date)))
	}
	body := &s3Answer{ReadCloser: answer.Body, ctx: r.Context(), left: -1}
	if r.Header.Get("Range") == "" {
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
		err = wireError(a.ctx, err)
	}
	return n, err
}

// A lineError is what went wrong between here and the server, without its address. It has no cause to unwrap: those of
// systems count as fs.ErrPermission and the like, which mean other things here.
type lineError string

func (e lineError) Error() string { return string(e) }

// wireError turns what the transport says into a sentence. All of it may pass but a certificate that is not trusted.
func wireError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if _, bad := errors.AsType[*tls.CertificateVerificationError](err); bad {
		return lineError("the server's certificate is not one that this computer trusts")
	}
	if _, bad := errors.AsType[tls.RecordHeaderError](err); bad {
		return lineError("the server does not speak TLS")
	}
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		err = lineError("the server refuses the connection")
	case isUnknownHost(err):
		err = lineError("no server of that name was found")
	case errors.As(err, &timeout) && timeout.Timeout():
		err = lineError("the server does not answer")
	default:
		err = lineError("the connection to the server broke off")
	}
	return temporary(err)
}

func isUnknownHost(err error) bool {
	_, is := errors.AsType[*net.DNSError](err)
	return is
}
