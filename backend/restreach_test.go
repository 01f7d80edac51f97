package backend_test

import (
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
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
)

// TestRESTPassword asks a server that wants a user name and a password.
func TestRESTPassword(t *testing.T) {
	t.Parallel()
	server := backendtest.RcloneServer{Remote: ":memory:", User: "secretuser", Password: "secretword"}
	address := "rest:" + server.Start(t)
	for _, c := range []struct {
		name, user, password string
		want                 error
		text                 string
	}{
		{"none", "", "", fs.ErrPermission, "wants a user name and a password"},
		{"other password", server.User, "x", fs.ErrPermission, "refuses the user name or the password"},
		{"other user", "x", server.Password, fs.ErrPermission, "refuses the user name or the password"},
		{"right", server.User, server.Password, backend.ErrNoRepository, ""},
	} {
		o := once()
		o.REST = backend.RESTOptions{User: c.user, Password: c.password}
		_, err := backend.Open(t.Context(), address, o)
		wantAnswer(t, err, c.want, c.text)
	}
}

// certificate is one for a name, or for 127.0.0.1, that signs itself: as PEM with and without its key, and to serve with.
func certificate(t *testing.T, change func(*x509.Certificate)) (public, both []byte, serve tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	change(c)
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	both = append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), public...)
	return public, both, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestRESTCertificates(t *testing.T) {
	t.Parallel()
	client, both, _ := certificate(t, func(*x509.Certificate) {})
	for _, c := range []struct {
		name   string
		change func(*x509.Certificate)
		o      func(o *backend.NetworkOptions, public []byte)
		want   string // "" is a success
	}{
		{"trusted", func(*x509.Certificate) {}, func(o *backend.NetworkOptions, public []byte) { o.CACert, o.ClientCert = public, both }, ""},
		{"unknown", func(*x509.Certificate) {}, func(o *backend.NetworkOptions, _ []byte) { o.ClientCert = both }, "signed by nobody"},
		{"without ours", func(*x509.Certificate) {}, func(o *backend.NetworkOptions, public []byte) { o.CACert = public }, "the server refuses the connection: tls: certificate required"},
		{"expired", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }, func(o *backend.NetworkOptions, public []byte) { o.CACert, o.ClientCert = public, both }, "not valid at this time"},
		{"for another name", func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"secret"} }, func(o *backend.NetworkOptions, public []byte) { o.CACert, o.ClientCert = public, both }, "for another name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			public, _, serve := certificate(t, c.change)
			pool := x509.NewCertPool()
			pool.AppendCertsFromPEM(client)
			server := httptest.NewUnstartedServer(restServer{files: backend.NewMemory()})
			server.TLS = &tls.Config{Certificates: []tls.Certificate{serve}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.StartTLS()
			defer server.Close()
			o := once()
			c.o(&o.Network, public)
			b, err := backend.Create(t.Context(), "rest:"+server.URL, o)
			if c.want != "" {
				wantAnswer(t, err, errForGood, c.want)
				if got, want := errors.Is(err, backend.ErrCertificate), strings.Contains(err.Error(), "the server's certificate"); got != want {
					t.Errorf("got %v, which is %t for %v", err, got, backend.ErrCertificate)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := saveBytes(100)(t, b); err != nil {
				t.Error(err)
			}
		})
	}
	plain := startREST(t, http.NotFoundHandler())
	_, err := backend.Open(t.Context(), strings.Replace(plain, "http:", "https:", 1), once())
	wantAnswer(t, err, errForGood, "the server does not speak TLS")
	if !errors.Is(err, http.ErrSchemeMismatch) {
		t.Errorf("got %v, want %v in it", err, http.ErrSchemeMismatch)
	}
}

// TestRESTSocket speaks to a server by a socket of this computer.
func TestRESTSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Skip("not here: no such sockets")
	}
	server := httptest.NewUnstartedServer(restServer{files: backend.NewMemory()})
	server.Listener = listener
	server.Start()
	defer server.Close()
	b := createAt(t, "rest:http+unix://"+path+":/", backend.Options{})
	if _, err := saveBytes(100)(t, b); err != nil {
		t.Error(err)
	}
	if _, err := backend.Open(t.Context(), "rest:http+unix://"+path+"2:/", once()); !backend.IsTemporary(err) || strings.Contains(err.Error(), path) {
		t.Errorf("without a server: got %v, want an error that may pass", err)
	}
}

// TestRESTAway asks where nobody is.
func TestRESTAway(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	_, err := backend.Open(t.Context(), "rest:"+server.URL, once())
	wantAnswer(t, err, errMayPass, "connection refused")
}
