package device

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"
)

const (
	// pairBits is the length of the keys of a pairing: phones take RSA alone.
	pairBits = 2048
	// pairYears is how long a pairing's certificates are good.
	pairYears = 10
)

// NewPairRecord makes what a computer proposes to a phone: a root that signs
// its own certificate, a key of the computer, and a certificate of the phone's
// public key (PEM, as lockdownd's DevicePublicKey). Subjects and issuers are
// empty, as phones expect. The caller adds SystemBUID and WiFiMACAddress.
func NewPairRecord(devicePublicKey []byte, now time.Time) (*PairRecord, error) {
	phone, err := parseDeviceKey(devicePublicKey)
	if err != nil {
		return nil, err
	}
	root, err := rsa.GenerateKey(rand.Reader, pairBits)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	host, err := rsa.GenerateKey(rand.Reader, pairBits)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	authority := certificate(now)
	authority.IsCA, authority.KeyUsage = true, 0
	r := &PairRecord{HostID: NewUUID()}
	for _, c := range []struct {
		out *[]byte
		tmp *x509.Certificate
		key any
	}{
		{&r.RootCertificate, authority, &root.PublicKey},
		{&r.HostCertificate, certificate(now), &host.PublicKey},
		{&r.DeviceCertificate, deviceCertificate(phone, now), phone},
	} {
		der, err := x509.CreateCertificate(rand.Reader, c.tmp, authority, c.key, root)
		if err != nil {
			return nil, fmt.Errorf("make a certificate: %w", err)
		}
		*c.out = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	if r.RootPrivateKey, err = encodeKey(root); err != nil {
		return nil, err
	}
	r.HostPrivateKey, err = encodeKey(host)
	return r, err
}

// certificate is the computer's; the others differ from it. It is good a
// minute ago already, for a phone's clock may be behind.
func certificate(now time.Time) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Minute), NotAfter: now.AddDate(pairYears, 0, 0),
		SignatureAlgorithm: x509.SHA256WithRSA, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}
}

func deviceCertificate(phone any, now time.Time) *x509.Certificate {
	c := certificate(now)
	if k, ok := phone.(*rsa.PublicKey); ok {
		id := sha1.Sum(x509.MarshalPKCS1PublicKey(k)) // RFC 5280, 4.2.1.2, method 1
		c.SubjectKeyId = id[:]
	}
	return c
}

func encodeKey(k *rsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return nil, errors.New("write a key: it has no such form")
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// parseDeviceKey reads a phone's public key: PKCS#1 so far, or the general form.
func parseDeviceKey(data []byte) (any, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("read the phone's public key: it is no PEM")
	}
	if k, err := x509.ParsePKCS1PublicKey(block.Bytes); err == nil {
		return k, nil
	}
	k, err := x509.ParsePKIXPublicKey(block.Bytes)
	switch k.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey:
		return k, nil
	}
	if err != nil {
		return nil, errors.New("read the phone's public key: it is damaged")
	}
	return nil, errors.New("read the phone's public key: it is of an unknown kind")
}

// NewUUID returns a random UUID (RFC 9562, version 4) in capitals, as hosts and
// phones name themselves and their sessions.
func NewUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return strings.ToUpper(fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]))
}
