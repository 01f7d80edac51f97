package device

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestPhoneService(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.services["echo"] = echo
	p := f.open(t)
	c, err := p.Service(t.Context(), "echo", true)
	if err != nil {
		t.Fatal(err)
	}
	defer cut(c)
	fmt.Fprint(c, "x")
	if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("got %d, %v, want the byte back", n, err)
	}
	// The muxer starts again, and numbers anew.
	f.mu.Lock()
	f.devices = []any{usbDevice(19, testUDID)}
	f.mu.Unlock()
	c2, err := p.Service(t.Context(), "echo", true)
	if err != nil || p.Device().ID != 19 || p.UDID() != testUDID {
		t.Fatalf("after the muxer started again: got %+v, %v, want the device 19", p.Device(), err)
	}
	cut(c2)
	f.mu.Lock()
	f.devices = []any{}
	f.mu.Unlock()
	if _, err := p.Service(t.Context(), "echo", true); !errors.Is(err, ErrNoDevice) {
		t.Errorf("gone: got %v, want ErrNoDevice", err)
	}
	if _, err := f.mux().Open(t.Context(), testUDID); !errors.Is(err, ErrNoDevice) {
		t.Errorf("gone: got %v, want ErrNoDevice", err)
	}
}

func TestPhoneNotPaired(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	delete(f.records, testUDID)
	p := f.open(t)
	if _, err := p.Service(t.Context(), "echo", false); !errors.Is(err, InvalidHostID) {
		t.Errorf("got %v, want %v", err, InvalidHostID)
	}
	if err := p.Unpair(t.Context()); !errors.Is(err, InvalidHostID) {
		t.Errorf("got %v, want %v", err, InvalidHostID)
	}
	got, err := p.Facts(t.Context())
	if err != nil || got.Paired || got.HasSession || got.Name != "Anna's iPhone" {
		t.Errorf("got %+v, %v, want a name and no pairing", got, err)
	}
}

func TestFacts(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.values[""]["DeviceName"] = " An\tna\u202e\n"
	f.values[""]["SerialNumber"] = strings.Repeat("x", maxText+1)
	f.values[""]["PhoneNumber"] = 7
	f.values[backupDomain] = map[string]any{"WillEncrypt": true}
	f.values[diskDomain] = map[string]any{"TotalDataCapacity": 64 << 30, "TotalDataAvailable": 5 << 30}
	p := f.open(t)
	want := &Facts{
		UDID: testUDID, Connection: USB, Name: "Anna", Class: "iPhone", ProductType: "iPhone12,1", Version: "18.1", Build: "22B83",
		WiFiAddress: "aa:bb:cc:dd:ee:ff", Paired: true, HasSession: true, WillEncrypt: true, Capacity: 64 << 30, Free: 5 << 30,
	}
	if got, err := p.Facts(t.Context()); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	f.mu.Lock()
	f.values[backupDomain] = map[string]any{"WillEncrypt": 1}
	f.mu.Unlock()
	if got, err := p.Facts(t.Context()); err != nil || !got.WillEncrypt {
		t.Errorf("a number for a flag: got %+v, %v, want WillEncrypt", got, err)
	}
	f.mu.Lock()
	delete(f.values, backupDomain)
	f.errors["StartSession"] = "PasswordProtected"
	f.errors["GetValue"] = "GetProhibited"
	f.mu.Unlock()
	got, err := p.Facts(t.Context())
	if err != nil || !got.Locked || !got.Paired || got.HasSession || got.Version != "18.1" {
		t.Errorf("locked: got %+v, %v, want Locked, Paired and the version", got, err)
	}
}

// A proposal is not filled in: all who ask at once share it.
func TestPairAtOnce(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	delete(f.records, testUDID)
	p := f.open(t)
	proposal := *testPairing().record
	proposal.EscrowBag = nil
	p.proposal = &proposal
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			if err := p.Pair(t.Context(), time.Now()); err != nil {
				t.Error(err)
			}
		})
	}
	asking.Wait()
	if proposal.EscrowBag != nil || !bytes.Equal(p.pairing().EscrowBag, testEscrow) {
		t.Error("the proposal was filled in, or the pairing was not")
	}
}

func TestPair(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	delete(f.records, testUDID)
	p := f.open(t)
	proposal := *testPairing().record // what it would make
	proposal.EscrowBag = nil
	p.proposal = &proposal
	for _, want := range []LockdownError{PasswordProtected, TrustPending, TrustDenied} {
		f.mu.Lock()
		f.errors["Pair"] = string(want)
		f.mu.Unlock()
		err := p.Pair(t.Context(), time.Now())
		if !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
		noSecrets(t, err)
	}
	if f.records[testUDID] != nil {
		t.Error("a pairing was kept before the phone agreed")
	}
	f.mu.Lock()
	delete(f.errors, "Pair")
	f.refuse["SavePairRecord"] = 1
	f.mu.Unlock()
	err := p.Pair(t.Context(), time.Now())
	if !errors.Is(err, MuxBadCommand) {
		t.Errorf("got %v, want %v", err, MuxBadCommand)
	}
	noSecrets(t, err)
	f.mu.Lock()
	delete(f.refuse, "SavePairRecord")
	f.mu.Unlock()
	if err := p.Pair(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	kept, err := f.mux().PairRecord(t.Context(), testUDID)
	if err != nil || !reflect.DeepEqual(kept, testPairing().record) {
		t.Errorf("the pairing was kept differently: %v", err)
	}
	before := len(f.asked())
	if err := p.Pair(t.Context(), time.Now()); err != nil || slices.Contains(f.asked()[before:], "Pair") {
		t.Errorf("paired already: got %v, want nil and no question", err)
	}
	if err := p.Unpair(t.Context()); err != nil || f.records[testUDID] != nil {
		t.Errorf("unpair: got %v, want nil and no record", err)
	}
	if err := f.mux().DeletePairRecord(t.Context(), testUDID); err != nil {
		t.Errorf("unpair again: got %v, want nil", err)
	}
}

// The phone forgot the pairing: the old record stays until a new one is proven.
func TestPairAgain(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	p := f.open(t)
	proposal := *testPairing().record // Pair fills it in
	p.proposal = &proposal
	old := *testPairing().record
	old.HostID = "OLD"
	p.record = &old
	f.records[testUDID] = []byte("old")
	refuse := func(request string, why LockdownError) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.errors[request] = string(why)
	}
	for _, why := range []LockdownError{PasswordProtected, InvalidHostID} { // before Pair, after Pair
		refuse("StartSession", why)
		before := len(f.asked())
		if err := p.Pair(t.Context(), time.Now()); !errors.Is(err, why) || string(f.records[testUDID]) != "old" {
			t.Errorf("%s: got %v, want it, and the old record", string(why), err)
		}
		if got := slices.Contains(f.asked()[before:], "Pair"); got != (why == InvalidHostID) {
			t.Errorf("%s: asked to pair: %v", string(why), got)
		}
	}
	refuse("StartSession", "")
	if err := p.Pair(t.Context(), time.Now()); err != nil || string(f.records[testUDID]) == "old" || p.pairing().HostID == "OLD" {
		t.Errorf("got %v, want a new record", err)
	}
}

// The request to pair holds no private key, and the record that is made of a
// phone's answers is whole.
func TestPropose(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	l := openLockdown(t, f)
	r, err := l.Propose(t.Context(), testBUID, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if r.SystemBUID != testBUID || r.WiFiMACAddress != "aa:bb:cc:dd:ee:ff" || len(r.HostID) != 36 || r.HostID == testPairing().record.HostID {
		t.Errorf("got %q, %q, %q", r.SystemBUID, r.WiFiMACAddress, r.HostID)
	}
	asked := fmt.Sprint(pairRequest("Pair", r))
	for _, secret := range [][]byte{r.HostPrivateKey, r.RootPrivateKey} {
		if strings.Contains(asked, fmt.Sprint(secret)) {
			t.Error("a private key is sent")
		}
	}
	for _, text := range []string{fmt.Sprint(r), fmt.Sprintf("%+v", *r), fmt.Sprintf("%#v", r), fmt.Sprintf("%x", r)} {
		if text != "pair record" {
			t.Errorf("a record prints as %q", text)
		}
	}
	for _, bad := range []any{"no PEM", 7, []byte("-----BEGIN RSA PUBLIC KEY-----\nAAAA\n-----END RSA PUBLIC KEY-----\n")} {
		f.mu.Lock()
		f.values[""]["DevicePublicKey"] = bad
		f.mu.Unlock()
		if _, err := l.Propose(t.Context(), testBUID, time.Now()); err == nil {
			t.Errorf("a key of %v: got nil, want an error", bad)
		}
	}
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	r := testPairing().record
	read := func(data []byte) *x509.Certificate {
		block, _ := pem.Decode(data)
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	root := read(r.RootCertificate)
	if !root.IsCA || root.KeyUsage != 0 {
		t.Errorf("the root: CA %v, usage %v", root.IsCA, root.KeyUsage)
	}
	for name, data := range map[string][]byte{"root": r.RootCertificate, "host": r.HostCertificate, "device": r.DeviceCertificate} {
		c := read(data)
		if err := root.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature); err != nil {
			t.Errorf("%s: not signed by the root: %v", name, err)
		}
		if c.Version != 3 || c.Subject.String() != "" || c.Issuer.String() != "" || c.SerialNumber.Int64() != 1 || c.SignatureAlgorithm != x509.SHA256WithRSA {
			t.Errorf("%s: version %d, subject %q, issuer %q, serial %v, %v", name, c.Version, c.Subject, c.Issuer, c.SerialNumber, c.SignatureAlgorithm)
		}
		if got := c.NotAfter.Sub(c.NotBefore).Hours() / 24 / 365; got < 10 || got > 10.1 {
			t.Errorf("%s: good for %.2f years, want 10", name, got)
		}
		if name != "root" && (c.IsCA || !c.BasicConstraintsValid || c.KeyUsage != x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment) {
			t.Errorf("%s: CA %v, usage %v", name, c.IsCA, c.KeyUsage)
		}
	}
	if len(read(r.DeviceCertificate).SubjectKeyId) != 20 {
		t.Error("the device's certificate has no key identifier")
	}
}

func TestDetached(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	p := f.open(t)
	done := make(chan error)
	go func() { done <- p.Detached(t.Context()) }()
	f.events <- usbDevice(7, testUDID)
	f.events <- map[string]any{"MessageType": "Detached", "DeviceID": 8}
	f.events <- map[string]any{"MessageType": "Detached", "DeviceID": 7}
	if err := <-done; err != nil {
		t.Error(err)
	}
	f.devices = []any{} // it went before anyone asked
	if err := p.Detached(t.Context()); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Detached(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	close(f.events)
}

func TestPairRecordDamaged(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	whole, err := testPairing().record.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	text := string(whole)
	for name, data := range map[string]string{
		"empty": "", "text": "secret", "list": "<plist><array/></plist>", "no HostID": strings.Replace(text, ">HostID<", ">Host<", 1),
		"no certificate": strings.Replace(text, ">HostCertificate<", ">X<", 1), "no key": strings.Replace(text, ">HostPrivateKey<", ">X<", 1),
		"bag a number": strings.Replace(text, "<key>EscrowBag</key>", "<key>EscrowBag</key><integer>ESCROWESCROWESCROWESCROWESCROW32</integer><key>x</key>", 1),
		"too long":     text + strings.Repeat(" ", maxPairRecord),
	} {
		f.records[testUDID] = []byte(data)
		_, err := f.mux().PairRecord(t.Context(), testUDID)
		if err == nil {
			t.Errorf("%s: got nil, want an error", name)
		}
		noSecrets(t, err)
	}
	damaged := *testPairing().record
	for name, spoil := range map[string]func(*PairRecord){
		"device certificate": func(r *PairRecord) { r.DeviceCertificate = []byte("x") },
		"device's insides": func(r *PairRecord) {
			r.DeviceCertificate = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})
		},
		"host key":         func(r *PairRecord) { r.HostPrivateKey = r.HostPrivateKey[:200] },
		"host certificate": func(r *PairRecord) { r.HostCertificate = nil },
		"foreign key":      func(r *PairRecord) { r.HostPrivateKey = r.RootPrivateKey },
	} {
		r := damaged
		spoil(&r)
		a, b := net.Pipe()
		_, err := secure(t.Context(), a, &r, "18.1")
		if err == nil {
			t.Errorf("%s: got nil, want an error", name)
		}
		if _, err := b.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: the connection stays open", name)
		}
		noSecrets(t, err)
	}
}
