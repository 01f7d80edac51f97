package backend

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
)

// statusError is an answer that has no meaning in the protocol.
type statusError int

func (e statusError) Error() string {
	return fmt.Sprintf("the server does not do it: status %d", int(e))
}

// refusal is what an answer other than success means.
func refusal(resp *http.Response) error {
	switch code := resp.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code >= 300 && code < 400:
		return errors.New("the server sends the request on to another address")
	}
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		if resp.Request.Header.Get("Authorization") == "" {
			return fmt.Errorf("the server wants a user name and a password: %w", fs.ErrPermission)
		}
		return fmt.Errorf("the server refuses the user name or the password: %w", fs.ErrPermission)
	case http.StatusForbidden, http.StatusMethodNotAllowed:
		return fmt.Errorf("the server does not allow it: %w", fs.ErrPermission)
	case http.StatusNotFound, http.StatusGone:
		return fs.ErrNotExist
	case http.StatusConflict, http.StatusPreconditionFailed:
		return fs.ErrExist
	case http.StatusRequestEntityTooLarge, http.StatusInsufficientStorage:
		return fmt.Errorf("the server takes no more: %w", errFull)
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return temporary(fmt.Errorf("the server cannot do it now: status %d", resp.StatusCode))
	default:
		return statusError(resp.StatusCode)
	}
}

// lost says why there is no answer, or only a part of one. The errors of net/url hold the address, so nothing of their text
// is used.
func lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if marked, ok := errors.AsType[temporaryError](err); ok {
		return marked
	}
	if e, ok := errors.AsType[rcloneError](err); ok {
		return e
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return untrusted(err)
	}
	if errors.Is(err, http.ErrSchemeMismatch) {
		return mark("the server does not speak TLS", http.ErrSchemeMismatch)
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "remote error" {
		return fmt.Errorf("the server refuses the connection: %w", e.Err) // an alert of TLS
	}
	return temporary(errors.New("the connection to the server was lost"))
}

func untrusted(err error) error {
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return mark("the server's certificate is one for another name", ErrCertificate)
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return mark("the server's certificate is signed by nobody who is trusted here", ErrCertificate)
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok && e.Reason == x509.Expired {
		return mark("the server's certificate is not valid at this time", ErrCertificate)
	}
	return mark("the server's certificate is not valid", ErrCertificate)
}

// finish closes an answer of which nothing more is wanted. A little that is left is read, so that the connection may
// serve again.
func finish(resp *http.Response) {
	const little = 4 << 10
	_, _ = io.CopyN(io.Discard, resp.Body, little)
	_ = resp.Body.Close() // nothing was written
}
