package phone

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"time"
)

// handshakeTime is what a host has for a TLS handshake.
const handshakeTime = 30 * time.Second

// handshake makes a host prove that it holds a key of the pairing, over conn.
// The phone is the server.
func (p *Phone) handshake(ctx context.Context, conn net.Conn, pair *pairing) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	t := tls.Server(conn, p.tlsConfig(pair))
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("shake hands with the host: %w", err)
	}
	return t, nil
}

func (p *Phone) tlsConfig(pair *pairing) *tls.Config {
	least := p.opts.MinTLS
	if least == 0 {
		least = tls.VersionTLS12
		if !p.atLeast(10, 0) {
			least = tls.VersionTLS10 // all that old iOS speaks
		}
	}
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der(pair.DeviceCertificate)}, PrivateKey: p.key}},
		MinVersion:   least, MaxVersion: p.opts.MaxTLS,
		// The certificates of a pairing have empty names and no common
		// authority: only their bytes say whose they are.
		ClientAuth: tls.RequireAnyClientCert,
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			if len(raw) > 0 && p.admits(pair, raw[0]) {
				return nil
			}
			return errors.New("the host's certificate is not of the pairing")
		},
		SessionTicketsDisabled: true,
		Time:                   p.opts.Now,
	}
}

func (p *Phone) admits(pair *pairing, cert []byte) bool {
	root := bytes.Equal(cert, der(pair.RootCertificate)) && p.opts.HostCertificate != HostOnly
	host := bytes.Equal(cert, der(pair.HostCertificate)) && p.opts.HostCertificate != RootOnly
	return root || host
}

// der returns the bytes of a certificate in PEM, nil where there is none.
func der(data []byte) []byte {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil
	}
	return block.Bytes
}

// recordConn gives TLS no byte beyond the record that it reads, so that the
// connection can go on in plain after the last one.
type recordConn struct {
	net.Conn

	tls    bool
	head   []byte // of the record that is being read, up to 5 bytes
	remain int    // bytes of the record's body that are left
}

// records turns the cutting at records on, before a handshake, or off.
func (c *recordConn) records(on bool) { c.tls, c.head, c.remain = on, nil, 0 }

// Read reads as its connection does, and up to the end of a header or body.
func (c *recordConn) Read(b []byte) (int, error) {
	const header = 5 // type, version, and the body's length
	if !c.tls || len(b) == 0 {
		return c.Conn.Read(b)
	}
	if c.remain > 0 {
		n, err := c.Conn.Read(b[:min(len(b), c.remain)])
		c.remain -= n
		return n, err
	}
	n, err := c.Conn.Read(b[:min(len(b), header-len(c.head))])
	c.head = append(c.head, b[:n]...)
	if len(c.head) == header {
		c.remain = int(binary.BigEndian.Uint16(c.head[3:]))
		c.head = c.head[:0]
	}
	return n, err
}
