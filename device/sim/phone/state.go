package phone

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"russet/internal/durable"
	"russet/internal/plist"
)

// What lies in a state directory.
const (
	keyFile    = "device.pem"
	valuesFile = "values.plist"
	pairingDir = "Pairings"
	mediaDir   = "Media"
	appsDir    = "Apps"
	muxerDir   = "Muxer"
)

// maxState bounds a file of the state other than contents, in bytes.
const maxState = 4 << 20

// readState reads a small file.
func readState(root *os.Root, name string) ([]byte, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxState+1))
	if err == nil && len(data) > maxState {
		err = fmt.Errorf("read %s: it is over %d bytes", name, maxState)
	}
	return data, err
}

// writeState replaces a small file that nobody else may read.
func writeState(root *os.Root, name string, data []byte) error {
	return durable.WriteFile(root, name, data, 0o600)
}

// openKey reads the phone's key pair, or makes it.
func (p *Phone) openKey() error {
	data, err := readState(p.root, keyFile)
	if errors.Is(err, fs.ErrNotExist) {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return fmt.Errorf("make the key pair: %w", err)
		}
		data = pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
		if err := writeState(p.root, keyFile, data); err != nil {
			return fmt.Errorf("keep the key pair: %w", err)
		}
	} else if err != nil {
		return err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return fmt.Errorf("read %s: no key in it", keyFile)
	}
	if p.key, err = x509.ParsePKCS1PrivateKey(block.Bytes); err != nil {
		return fmt.Errorf("read %s: %w", keyFile, err)
	}
	p.public = pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&p.key.PublicKey)})
	return nil
}

// openValues reads lockdownd's values, and adds what the options and a made-up
// phone give.
func (p *Phone) openValues() error {
	p.values = map[string]map[string]any{}
	data, err := readState(p.root, valuesFile)
	if err == nil {
		err = plist.Unmarshal(data, &p.values)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", valuesFile, err)
	}
	if p.values[noDomain] == nil {
		p.values[noDomain] = map[string]any{}
	}
	own := p.values[noDomain]
	for key, given := range map[string]string{
		"UniqueDeviceID": p.opts.UDID, "ProductType": p.opts.ProductType, "ProductVersion": p.opts.ProductVersion,
		"BuildVersion": p.opts.BuildVersion, "SerialNumber": p.opts.SerialNumber,
	} {
		if given != "" {
			own[key] = given
		}
	}
	if _, ok := own["DeviceName"]; !ok && p.opts.Name != "" {
		own["DeviceName"] = p.opts.Name
	}
	for domain, keys := range madeUp() {
		if p.values[domain] == nil {
			p.values[domain] = map[string]any{}
		}
		for key, v := range keys {
			if _, ok := p.values[domain][key]; !ok {
				p.values[domain][key] = v
			}
		}
	}
	udid, _ := own["UniqueDeviceID"].(string)
	if !validName(udid) {
		return errors.New("use a UDID: it has other characters than letters, digits and dashes")
	}
	own["UniqueDeviceID"] = dashed(udid)
	p.derive(own)
	return p.saveValues()
}

// dashed is a UDID as muxers list it: USB has it without its dash.
func dashed(udid string) string {
	const chip, whole = 8, 24
	if len(udid) != whole || strings.Contains(udid, "-") {
		return udid
	}
	return udid[:chip] + "-" + udid[chip:]
}

// derive gives the values that follow from others.
func (p *Phone) derive(own map[string]any) {
	udid, _ := own["UniqueDeviceID"].(string)
	if _, chip, ok := strings.Cut(udid, "-"); ok {
		if n, err := strconv.ParseUint(chip, 16, 64); err == nil {
			own["UniqueChipID"] = n
		}
	}
	model, _ := own["ProductType"].(string)
	own["DeviceClass"] = strings.TrimRight(model, "0123456789,")
}

// saveValues writes the values. The caller holds p.mu, or is alone.
func (p *Phone) saveValues() error {
	data, err := plist.Marshal(p.values, plist.XML)
	if err != nil {
		return err
	}
	if err := writeState(p.root, valuesFile, data); err != nil {
		return fmt.Errorf("keep the phone's values: %w", err)
	}
	return nil
}

// validName says whether s, a UDID or a HostID, is fit to name a file.
func validName(s string) bool {
	const longest = 64
	odd := func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}
	return s != "" && len(s) <= longest && strings.IndexFunc(s, odd) < 0
}
