package backend

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"time"
)

const (
	// defaultStall is longer than a healthy server thinks about the largest pack.
	defaultStall = time.Minute

	// defaultRetry is restic's: a router that is started anew, a server that is updated.
	defaultRetry = 15 * time.Minute

	// dialTimeout is what the systems' own, of two minutes and more, would keep a person waiting for.
	dialTimeout = 30 * time.Second
)

// NetworkOptions say how places on a network are reached. The zero value is right for most.
type NetworkOptions struct {
	// Upload and Download limit the bytes a second that travel to and from one place, over all connections together. 0 is
	// no limit.
	Upload, Download int64

	// Stall is how long nothing may move on a connection while an operation waits for it: then the connection is given
	// up as lost. 0 is a minute.
	Stall time.Duration

	// Retry is how long an operation that fails for a reason that may pass is tried again. 0 is 15 minutes, as with
	// restic; below 0 nothing is tried again.
	Retry time.Duration

	// Warn, if it is not nil, is called before a pause with the error and the length of the pause; of several operations that
	// pause at once, for one. It is called by one at a time, and must not use the place.
	Warn func(err error, next time.Duration)

	// CACert holds the certificates, as PEM, that servers of HTTPS are checked with instead of the system's.
	CACert []byte

	// ClientCert holds a certificate and its private key, as PEM, that is shown to servers of HTTPS.
	ClientCert []byte

	pause  time.Duration // the first one, if it is not firstPause: whole suites of tests cannot wait
	settle time.Duration // of settleTime, likewise
	link   *link         // what the connections of one place share; nil outside of Open and Create
}

func (o NetworkOptions) stall() time.Duration {
	if o.Stall > 0 {
		return o.Stall
	}
	return defaultStall
}

func (o NetworkOptions) retry() time.Duration {
	if o.Retry != 0 {
		return o.Retry
	}
	return defaultRetry
}

// dial opens a connection on which no more than the allowed bytes a second travel, and whose reads and writes fail with a
// temporary error when nothing has moved for too long. The error is a temporary one.
func (o NetworkOptions) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, temporary(fmt.Errorf("connect: %w", withoutAddress(err)))
	}
	return o.watched(c), nil
}

// withoutAddress leaves of an error of package net what is no address of a place, and does not read as one about a file.
func withoutAddress(err error) error {
	switch e := err.(type) {
	case *net.OpError:
		return withoutAddress(e.Err)
	case *os.SyscallError:
		return withoutAddress(e.Err)
	case *net.AddrError:
		return errors.New(e.Err)
	case *net.DNSError:
		text := "the name of the server cannot be looked up"
		if e.IsNotFound {
			text = "no server has this name"
		}
		return mark(text, &net.DNSError{IsNotFound: e.IsNotFound, IsTimeout: e.IsTimeout, IsTemporary: e.IsTemporary})
	}
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) || IsFull(err) {
		return errors.New(err.Error())
	}
	return err
}

// transport is what HTTP requests are made with, over connections as dial makes them. It follows no redirect. As with
// restic, the proxies that the environment names are used.
func (o NetworkOptions) transport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = o.dial
	t.TLSClientConfig = o.tls()
	// The streams of HTTP/2 share one connection, which a line with a long round trip fills less well than several.
	t.ForceAttemptHTTP2 = false
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	t.DisableCompression = true // what is stored is ciphertext
	t.MaxIdleConnsPerHost = t.MaxIdleConns
	return t
}

// tls trusts nobody where a certificate cannot be read; check says so before.
func (o NetworkOptions) tls() *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(o.CACert) > 0 {
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM(o.CACert)
	}
	if len(o.ClientCert) > 0 {
		if pair, err := tls.X509KeyPair(o.ClientCert, o.ClientCert); err == nil {
			config.Certificates = []tls.Certificate{pair}
		}
	}
	return config
}

// check refuses certificates that cannot be read.
func (o NetworkOptions) check() error {
	if len(o.CACert) > 0 && !x509.NewCertPool().AppendCertsFromPEM(o.CACert) {
		return fmt.Errorf("read the certificates of authorities: there is none among them: %w", fs.ErrInvalid)
	}
	if len(o.ClientCert) > 0 {
		if _, err := tls.X509KeyPair(o.ClientCert, o.ClientCert); err != nil {
			return fmt.Errorf("read the client certificate: it wants a certificate and its key: %w", fs.ErrInvalid)
		}
	}
	return nil
}

// persistent tries again, with back-off, what failed for a reason that may pass.
func (o NetworkOptions) persistent(b Backend) Backend {
	r := &retrying{b, o}
	if mirror, ok := b.(farMirror); ok {
		return &retryingMirror{retrying: r, mirror: mirror}
	}
	return r
}
