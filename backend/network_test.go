package backend

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func fetch(t *testing.T, o NetworkOptions, url string) (int, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := o.transport()
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(r)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}

// clientPair is a certificate and its key, as PEM.
func clientPair(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "client"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
}

func TestTransportCertificates(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) == 0 {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	defer server.Close()
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})

	_, err := fetch(t, NetworkOptions{}, server.URL)
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); !unknown || IsTemporary(err) {
		t.Errorf("a certificate that nobody vouches for: got %v, want a permanent error", err)
	}
	status, err := fetch(t, NetworkOptions{CACert: authority}, server.URL)
	if status != http.StatusUnauthorized || err != nil {
		t.Errorf("with the authority's certificate: got status %d, %v", status, err)
	}
	status, err = fetch(t, NetworkOptions{CACert: authority, ClientCert: clientPair(t)}, server.URL)
	if status != http.StatusOK || err != nil {
		t.Errorf("with a client certificate: got status %d, %v", status, err)
	}
}

func TestOptionsRefused(t *testing.T) {
	t.Parallel()
	for what, o := range map[string]NetworkOptions{
		"an authority that is none":         {CACert: []byte("hello")},
		"a client certificate without key":  {ClientCert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})},
		"a client certificate that is none": {ClientCert: []byte("hello")},
	} {
		for _, open := range []string{"sftp:me@host:/x", "s3:host/bucket", "rest:https://host/", "rclone:x:y"} {
			if _, err := Open(t.Context(), open, Options{Network: o}); !errors.Is(err, fs.ErrInvalid) {
				t.Errorf("Open %s with %s: got %v, want %v", open, what, err, fs.ErrInvalid)
			}
		}
	}
	if err := (NetworkOptions{ClientCert: clientPair(t)}).check(); err != nil {
		t.Errorf("a good pair: %v", err)
	}
}

// TestTransportHangs asks a server that accepts and never answers, and one that stops in the middle of an answer.
func TestTransportHangs(t *testing.T) {
	t.Parallel()
	done := make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/middle" {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("part"))
			_ = http.NewResponseController(w).Flush()
		}
		<-done
	})
	server := httptest.NewServer(handler)
	defer server.Close()
	defer close(done)
	for _, path := range []string{"/first", "/middle"} {
		_, err := fetch(t, NetworkOptions{Stall: 30 * time.Millisecond}, server.URL+path)
		wantStalled(t, path, err)
	}
}

// TestDialAway asks where nobody listens.
func TestDialAway(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = NetworkOptions{}.dial(t.Context(), "tcp", l.Addr().String())
	if !IsTemporary(err) || strings.Contains(err.Error(), port) {
		t.Errorf("got %v, want a temporary error without the address", err)
	}
}

// TestOpenAgain opens a place that is busy at first. Where nobody was reached the address may be wrong, and nobody waits.
func TestOpenAgain(t *testing.T) {
	t.Parallel()
	errBusy, errRefused := temporary(errors.New("busy")), errors.New("refused")
	for what, c := range map[string]struct {
		reached bool
		answers []error
		want    error
		tries   int
	}{
		"at once":             {true, nil, nil, 1},
		"over no connection":  {false, nil, nil, 1},
		"busy":                {true, []error{errBusy, errBusy, errBusy}, nil, 4},
		"away":                {false, []error{errBusy, errBusy}, errBusy, 1},
		"refused":             {true, []error{errRefused}, errRefused, 1},
		"busy, then refused":  {true, []error{errBusy, errRefused}, errRefused, 2},
		"refused from inside": {false, []error{errRefused}, errRefused, 1},
	} {
		tries := 0
		open := func(_ context.Context, rest string, o Options, create bool) (Backend, error) {
			if rest != "rest" || !create {
				t.Errorf("got %q, create %t", rest, create)
			}
			if c.reached {
				_ = o.Network.watched(brokenConn{}).Close()
			}
			if tries++; tries > len(c.answers) {
				return NewMemory(), nil
			}
			return nil, c.answers[tries-1]
		}
		b, err := Options{Network: NetworkOptions{pause: 2}}.persist(t.Context(), open, "rest", true)
		if err != c.want || tries != c.tries || (b == nil) != (err != nil) {
			t.Errorf("%s: got %v after %d tries, want %v after %d", what, err, tries, c.want, c.tries)
		}
	}
}
