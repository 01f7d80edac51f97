package device

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// secure makes conn a TLS connection to the phone of a pairing: the phone is
// the server, shows the certificate that it was given when they paired, and
// must hold its key. Neither side checks names or dates. When it fails conn is
// closed.
func secure(ctx context.Context, conn net.Conn, r *PairRecord, version string) (net.Conn, error) {
	config, err := tlsConfig(r, version)
	if err != nil {
		conn.Close()
		return nil, err
	}
	t := tls.Client(&readAhead{Conn: conn, r: bufio.NewReaderSize(conn, readAheadSize)}, config)
	err = within(ctx, conn, conn.SetDeadline, lockdownTimeout, func() error { return t.HandshakeContext(ctx) })
	if err != nil {
		cut(conn) // also where ctx had ended before
		return nil, fmt.Errorf("agree on encryption with the phone: %w", unexpected(err))
	}
	return t, nil
}

// readAheadSize is how much is taken from a connection at once, in bytes: a
// backup comes in records of 16 KiB.
const readAheadSize = 128 << 10

// readAhead is a connection of which more is read than is asked for.
type readAhead struct {
	net.Conn
	r *bufio.Reader
}

// Read implements net.Conn.
func (c *readAhead) Read(b []byte) (int, error) { return c.r.Read(b) }

// firstTLS12 is the version of iOS from which on TLS 1.2 is spoken; older ones
// are spoken to in TLS 1.0, as other programs do.
const firstTLS12 = 10

func tlsConfig(r *PairRecord, version string) (*tls.Config, error) {
	own, err := r.client()
	if err != nil {
		return nil, err
	}
	phone, err := r.deviceKey()
	if err != nil {
		return nil, err
	}
	c := &tls.Config{
		// The phone names authorities as it likes: show ours whatever they are.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil },
		InsecureSkipVerify:   true, // the key is checked below, which says more than a chain
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 || !phone.Equal(s.PeerCertificates[0].PublicKey) {
				return ErrOtherPhone
			}
			return nil
		},
		MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true,
	}
	if major(version) < firstTLS12 {
		// Some know no ephemeral keys.
		c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
		c.CipherSuites = []uint16{
			tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
			tls.TLS_RSA_WITH_AES_256_CBC_SHA, tls.TLS_RSA_WITH_AES_128_CBC_SHA,
		}
	}
	return c, nil
}

// major is the first number of a ProductVersion. What is no number is new.
func major(version string) int {
	first, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(first)
	if err != nil || n < 1 {
		return 99
	}
	return n
}
