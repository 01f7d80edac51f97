package device

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"russet/internal/plist"
)

const (
	testUDID = "00008030-001A2B3C4D5E6F70"
	testBUID = "30142955-444094379208051516"
)

// testEscrow and the private keys must not stand in any error.
var testEscrow = []byte("ESCROWESCROWESCROWESCROWESCROW32")

// A pairing costs a second of computing: all tests share one.
var testPairing = sync.OnceValue(func() struct {
	record *PairRecord
	key    *rsa.PrivateKey
	public []byte
} {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&k.PublicKey)})
	r, err := NewPairRecord(public, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		panic(err)
	}
	r.SystemBUID, r.WiFiMACAddress, r.EscrowBag = testBUID, "aa:bb:cc:dd:ee:ff", testEscrow
	return struct {
		record *PairRecord
		key    *rsa.PrivateKey
		public []byte
	}{r, k, public}
})

// fake is a muxer, and a phone behind it, as far as these tests need them.
type fake struct {
	mu       sync.Mutex
	devices  []any
	records  map[string][]byte
	refuse   map[string]int // by MessageType or Request: the Result, or
	errors   map[string]string
	values   map[string]map[string]any
	services map[string]func(net.Conn)
	plain    map[string]bool // services without encryption
	ports    []string
	log      []string
	events   chan any
	hang     chan struct{} // what is not in refuse is not answered, either
	chain    [][]byte      // what the phone shows
	version  string        // of iOS, as told in a session
	key      *rsa.PrivateKey
}

func usbDevice(id int, udid string) map[string]any {
	return map[string]any{"MessageType": "Attached", "DeviceID": id, "Properties": map[string]any{"ConnectionType": "USB", "DeviceID": id, "SerialNumber": udid}}
}

// newFake returns a phone that is attached and paired.
func newFake(t *testing.T) *fake {
	p := testPairing()
	data, err := p.record.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return &fake{
		devices: []any{usbDevice(7, testUDID)}, records: map[string][]byte{testUDID: data}, events: make(chan any, 9),
		refuse: map[string]int{}, errors: map[string]string{}, services: map[string]func(net.Conn){}, plain: map[string]bool{}, key: p.key,
		values: map[string]map[string]any{"": {
			"DeviceName": "Anna's iPhone", "ProductVersion": "18.1", "ProductType": "iPhone12,1", "DeviceClass": "iPhone", "BuildVersion": "22B83",
			"UniqueDeviceID": testUDID, "SerialNumber": "C8QTEST", "DevicePublicKey": p.public, "WiFiAddress": "aa:bb:cc:dd:ee:ff", "PasswordProtected": false,
		}},
	}
}

func (f *fake) mux() *Mux { return &Mux{dial: f.dial} }

func (f *fake) dial(context.Context, string, string) (net.Conn, error) {
	a, b := net.Pipe()
	go f.serve(b)
	return a, nil
}

// asked returns what was asked of the muxer and of lockdownd.
func (f *fake) asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.log)
}

// open returns a connection to a phone like this.
func (f *fake) open(t *testing.T) *Phone {
	p, err := f.mux().Open(t.Context(), testUDID)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (f *fake) serve(c net.Conn) {
	defer c.Close()
	for {
		var m dict
		tag, err := ReadMux(c, &m)
		if err != nil {
			return
		}
		if f.hang != nil {
			<-f.hang
		}
		kind := m.text("MessageType")
		f.mu.Lock()
		f.log = append(f.log, kind)
		answer, n := f.answer(kind, m)
		f.mu.Unlock()
		if answer == nil {
			answer = map[string]any{"MessageType": "Result", "Number": n}
		}
		if WriteMux(c, tag, answer) != nil || n != 0 {
			continue
		}
		switch kind {
		case "Connect":
			f.connected(c, m)
			return
		case "Listen":
			for e := range f.events {
				if WriteMux(c, 0, e) != nil {
					return
				}
			}
			return
		}
	}
}

func (f *fake) answer(kind string, m dict) (any, int) {
	if n := f.refuse[kind]; n != 0 {
		return nil, n
	}
	id := m.text("PairRecordID")
	switch kind {
	case "ListDevices":
		return map[string]any{"DeviceList": f.devices}, 0
	case "ReadBUID":
		return map[string]any{"BUID": testBUID}, 0
	case "ReadPairRecord":
		if f.records[id] == nil {
			return nil, 2
		}
		return map[string]any{"PairRecordData": f.records[id]}, 0
	case "SavePairRecord":
		f.records[id] = m.data("PairRecordData")
	case "DeletePairRecord":
		if f.records[id] == nil {
			return nil, 2
		}
		delete(f.records, id)
	}
	return nil, 0
}

func (f *fake) connected(c net.Conn, m dict) {
	n, _ := m.number("PortNumber")
	port := MuxPort(uint16(n))
	if port == LockdownPort {
		f.lockdown(c)
		return
	}
	f.mu.Lock()
	name := f.ports[port-50000]
	serve, plain := f.services[name], f.plain[name]
	f.mu.Unlock()
	if !plain {
		c = f.secure(c)
	}
	defer c.Close()
	serve(c)
}

func (f *fake) secure(c net.Conn) net.Conn {
	chain := f.chain
	if chain == nil {
		block, _ := pem.Decode(testPairing().record.DeviceCertificate)
		chain = [][]byte{block.Bytes}
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{{Certificate: chain, PrivateKey: f.key}}, ClientAuth: tls.RequireAnyClientCert,
		MinVersion: tls.VersionTLS10, SessionTicketsDisabled: true,
	}
	return tls.Server(c, config)
}

func (f *fake) lockdown(c net.Conn) {
	session := false
	for {
		var m dict
		if ReadPlist(c, &m) != nil {
			return
		}
		f.mu.Lock()
		request := m.text("Request")
		what := strings.TrimSpace(request + " " + m.text("Domain") + m.text("Key") + m.text("Service"))
		if bytes.Equal(m.data("EscrowBag"), testEscrow) {
			what += " with escrow"
		}
		f.log = append(f.log, what)
		answer := f.request(request, m, session)
		f.mu.Unlock()
		if WritePlist(c, answer, plist.XML) != nil {
			return
		}
		if request == "StartSession" && answer["EnableSessionSSL"] == true {
			c, session = f.secure(c), true
		}
	}
}

func (f *fake) request(request string, m dict, session bool) map[string]any {
	refused := func(why string) map[string]any { return map[string]any{"Request": request, "Error": why} }
	if why := f.errors[strings.TrimSpace(request+" "+m.text("Key")+m.text("Service"))]; why != "" {
		return refused(why)
	}
	answer := map[string]any{"Request": request}
	switch request {
	case "QueryType":
		answer["Type"] = "com.apple.mobile.lockdown"
	case "GetValue":
		values := f.values[m.text("Domain")]
		if session && f.version != "" && m.text("Key") == "ProductVersion" {
			answer["Value"] = f.version
			break
		}
		if key := m.text("Key"); key != "" && values[key] != nil {
			answer["Value"] = values[key]
		} else if key == "" && values != nil {
			answer["Value"] = maps.Clone(values)
		} else {
			return refused("MissingValue")
		}
	case "SetValue":
		f.values[m.text("Domain")][m.text("Key")] = m["Value"]
	case "Unpair":
		answer["Request"] = "ValidatePair"
	case "Pair":
		answer["EscrowBag"] = testEscrow
	case "StartSession":
		if m.text("HostID") != testPairing().record.HostID {
			return refused("InvalidHostID")
		}
		answer["SessionID"], answer["EnableSessionSSL"] = "S-1", true
	case "StartService":
		name := m.text("Service")
		if f.services[name] == nil || !session {
			return refused("InvalidService")
		}
		f.ports = append(f.ports, name)
		answer["Service"], answer["Port"] = name, 50000+len(f.ports)-1
		answer["EnableServiceSSL"] = !f.plain[name]
	}
	return answer
}

// echo is a service that gives back what it gets.
func echo(c net.Conn) { io.Copy(c, c) }

// noSecrets checks that an error holds neither the escrow bag nor a key.
func noSecrets(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	r := testPairing().record
	for _, form := range secretForms(r) {
		if strings.Contains(err.Error(), form) {
			t.Errorf("a secret stands in the error %q", err)
		}
	}
}
