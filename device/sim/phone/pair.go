package phone

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"russet/device"
	"russet/internal/plist"
)

// What a host can make the phone keep.
const (
	maxPairings    = 64
	maxCertificate = 16 << 10 // bytes of PEM; real ones have some 1,000
)

// pairing is a host that the phone trusts, as it is kept.
type pairing struct {
	HostID            string
	SystemBUID        string
	RootCertificate   []byte // PEM, as the next two
	HostCertificate   []byte
	DeviceCertificate []byte
	EscrowBag         []byte
}

// file is where the pairing is kept.
func (t *pairing) file() string { return path.Join(pairingDir, t.HostID+".plist") }

// openPairings reads the pairings.
func (p *Phone) openPairings() error {
	p.pairings = map[string]*pairing{}
	if err := p.root.Mkdir(pairingDir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	entries, err := fs.ReadDir(p.root.FS(), pairingDir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".plist") {
			continue
		}
		t := new(pairing)
		data, err := readState(p.root, path.Join(pairingDir, e.Name()))
		if err == nil {
			err = plist.Unmarshal(data, t)
		}
		if err == nil && (!validName(t.HostID) || t.HostID+".plist" != e.Name() || der(t.DeviceCertificate) == nil) {
			err = errors.New("it is damaged")
		}
		if err != nil {
			return fmt.Errorf("read pairing %s: %w", e.Name(), err)
		}
		p.pairings[t.HostID] = t
	}
	return nil
}

// known returns the pairing of a host, or nil.
func (p *Phone) known(hostID string) *pairing {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pairings[hostID]
}

// pairWith answers Pair.
func (s *session) pairWith(r *hostRecord) (map[string]any, error) {
	if s.line.network {
		return nil, device.PairingOverUSBOnly
	}
	if r == nil {
		return nil, device.MissingPairRecord
	}
	if r.HostPrivateKey != nil || r.RootPrivateKey != nil {
		s.p.Record(Event{Service: lockdownd, Message: "Pair", Violation: "a private key left the host"})
	}
	if err := s.p.consent(); err != nil {
		return nil, err
	}
	t, err := s.p.accept(r)
	if err != nil {
		s.p.Record(Event{Service: lockdownd, Message: "Pair", Violation: err.Error()})
		return nil, device.InvalidPairRecord
	}
	if err := s.p.keep(t); err != nil {
		s.p.Record(Event{Service: lockdownd, Message: "Pair: " + err.Error()})
		return nil, saveFailed
	}
	return map[string]any{"EscrowBag": t.EscrowBag}, nil
}

// consent is the phone's and its owner's answer to a host that asks to pair.
func (p *Phone) consent() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch a := &p.pairing; {
	case a.Answer == Managed:
		return device.ManagedPairing
	case a.Answer == Supervised:
		return device.ManagedChallenge
	case p.lock != Unlocked:
		return device.PasswordProtected
	case a.Locked > 0:
		a.Locked--
		return device.PasswordProtected
	case a.Pending > 0:
		a.Pending--
		return device.TrustPending
	case a.Answer == Deny:
		return device.TrustDenied
	}
	return nil
}

// accept checks what a host sent and makes a pairing of it.
func (p *Phone) accept(r *hostRecord) (*pairing, error) {
	switch {
	case !validName(r.HostID):
		return nil, errors.New("HostID is not one")
	case !validName(r.SystemBUID):
		return nil, errors.New("SystemBUID is not one")
	case len(r.RootCertificate) > maxCertificate || len(r.HostCertificate) > maxCertificate || len(r.DeviceCertificate) > maxCertificate:
		return nil, errors.New("a certificate is too long")
	}
	certs := make([]*x509.Certificate, 3)
	for i, data := range [][]byte{r.RootCertificate, r.HostCertificate, r.DeviceCertificate} {
		name := []string{"root", "host", "device"}[i]
		cert, err := x509.ParseCertificate(der(data))
		if err != nil {
			return nil, fmt.Errorf("the %s certificate cannot be read", name)
		}
		if i > 0 && certs[0].CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) != nil {
			return nil, fmt.Errorf("the root certificate did not sign the %s certificate", name)
		}
		certs[i] = cert
	}
	if !p.key.PublicKey.Equal(certs[2].PublicKey) {
		return nil, errors.New("the device certificate is for another key")
	}
	t := &pairing{r.HostID, r.SystemBUID, r.RootCertificate, r.HostCertificate, r.DeviceCertificate, make([]byte, 32)}
	_, _ = rand.Read(t.EscrowBag) // never fails
	return t, nil
}

// keep remembers a pairing.
func (p *Phone) keep(t *pairing) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, again := p.pairings[t.HostID]; !again && len(p.pairings) >= maxPairings {
		return errors.New("keep a pairing: there are too many")
	}
	data, err := plist.Marshal(t, plist.XML)
	if err != nil {
		return err
	}
	if err := writeState(p.root, t.file(), data); err != nil {
		return fmt.Errorf("keep a pairing: %w", err)
	}
	p.pairings[t.HostID] = t
	return nil
}

// paired returns the pairing to which a record belongs.
func (p *Phone) paired(r *hostRecord) (*pairing, error) {
	if r == nil {
		return nil, device.MissingPairRecord
	}
	t := p.known(r.HostID)
	switch {
	case t == nil:
		return nil, device.InvalidHostID
	case !bytes.Equal(der(t.HostCertificate), der(r.HostCertificate)):
		return nil, device.InvalidPairRecord
	}
	return t, nil
}

// unpair forgets a host.
func (p *Phone) unpair(r *hostRecord) error {
	t, err := p.paired(r)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.root.Remove(t.file()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget a pairing: %w", err)
	}
	delete(p.pairings, t.HostID)
	return nil
}
