package device

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"

	"russet/internal/plist"
)

// PairRecord is what a computer keeps of a pairing: whoever has it can read
// the phone. It prints as two words, so that no log or error holds it.
type PairRecord struct {
	DeviceCertificate []byte // PEM; the phone's public key, certified by the root
	HostCertificate   []byte // PEM
	HostPrivateKey    []byte // PEM
	RootCertificate   []byte // PEM
	RootPrivateKey    []byte // PEM
	HostID            string // a UUID in capitals, one for each pairing
	SystemBUID        string // the computer, one for all its pairings
	EscrowBag         []byte `plist:",omitempty"` // opens services of a locked phone
	WiFiMACAddress    string `plist:",omitempty"`
}

// Format writes two words, whatever is asked for.
func (PairRecord) Format(s fmt.State, _ rune) { io.WriteString(s, "pair record") }

// maxPairRecord bounds a record, in bytes.
const maxPairRecord = 1 << 20

// ParsePairRecord reads the property list that muxers keep.
func ParsePairRecord(data []byte) (*PairRecord, error) {
	if len(data) > maxPairRecord {
		return nil, fmt.Errorf("read the pair record: %d bytes are over %d", len(data), maxPairRecord)
	}
	var d dict
	if plist.Unmarshal(data, &d) != nil { // whose words quote the record
		return nil, errors.New("read the pair record: it is no property list")
	}
	r := &PairRecord{
		DeviceCertificate: d.data("DeviceCertificate"), HostCertificate: d.data("HostCertificate"), HostPrivateKey: d.data("HostPrivateKey"),
		RootCertificate: d.data("RootCertificate"), RootPrivateKey: d.data("RootPrivateKey"), EscrowBag: d.data("EscrowBag"),
		HostID: d.text("HostID"), SystemBUID: d.text("SystemBUID"), WiFiMACAddress: d.text("WiFiMACAddress"),
	}
	switch {
	case r.HostID == "":
		return nil, errors.New("read the pair record: it has no HostID")
	case len(r.DeviceCertificate) == 0 || len(r.HostCertificate) == 0 || len(r.HostPrivateKey) == 0:
		return nil, errors.New("read the pair record: it has no certificates")
	}
	return r, nil
}

// Marshal writes the record as [ParsePairRecord] reads it.
func (r *PairRecord) Marshal() ([]byte, error) {
	data, err := plist.Marshal(r, plist.XML)
	if err != nil {
		return nil, errors.New("write the pair record: it has no such form")
	}
	return data, nil
}

// client is the certificate that we show to the phone.
func (r *PairRecord) client() (tls.Certificate, error) {
	c, err := tls.X509KeyPair(r.HostCertificate, r.HostPrivateKey)
	if err != nil {
		return c, errors.New("read the pair record: the computer's certificate and key are damaged")
	}
	return c, nil
}

// key is what all keys of the standard library offer.
type key interface{ Equal(crypto.PublicKey) bool }

// deviceKey is the phone's public key.
func (r *PairRecord) deviceKey() (key, error) {
	block, _ := pem.Decode(r.DeviceCertificate)
	if block == nil {
		return nil, errors.New("read the pair record: the phone's certificate is damaged")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, errors.New("read the pair record: the phone's certificate is damaged")
	}
	k, ok := c.PublicKey.(key)
	if !ok {
		return nil, errors.New("read the pair record: the phone's key is of an unknown kind")
	}
	return k, nil
}

// PairRecord returns what the muxer keeps of the pairing with a phone. Without
// one the error wraps [InvalidHostID]: they are not paired.
func (m *Mux) PairRecord(ctx context.Context, udid string) (*PairRecord, error) {
	answer, err := m.ask(ctx, muxRequest{MessageType: "ReadPairRecord", PairRecordID: udid})
	if errors.Is(err, MuxBadDevice) {
		return nil, fmt.Errorf("ask for the pair record: %w", InvalidHostID)
	}
	if err != nil {
		return nil, fmt.Errorf("ask for the pair record: %w", err)
	}
	return ParsePairRecord(answer.data("PairRecordData"))
}

// SavePairRecord gives a pairing with a phone to the muxer to keep.
func (m *Mux) SavePairRecord(ctx context.Context, d Device, r *PairRecord) error {
	data, err := r.Marshal()
	if err != nil {
		return err
	}
	_, err = m.ask(ctx, muxRequest{MessageType: "SavePairRecord", PairRecordID: d.UDID, PairRecordData: data, DeviceID: d.ID})
	if err != nil {
		return fmt.Errorf("keep the pair record: %w", err)
	}
	return nil
}

// DeletePairRecord makes the muxer forget the pairing with a phone. That there
// is none is no error.
func (m *Mux) DeletePairRecord(ctx context.Context, udid string) error {
	_, err := m.ask(ctx, muxRequest{MessageType: "DeletePairRecord", PairRecordID: udid})
	if err != nil && !errors.Is(err, MuxBadDevice) {
		return fmt.Errorf("forget the pair record: %w", err)
	}
	return nil
}
