package phone

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"russet/device"
	"russet/internal/plist"
)

// host is a small program that speaks with a muxer and with phones: as much of
// one as these tests need.
type host struct {
	address string
	record  map[string]any // what it sends to pair
	escrow  []byte
	root    tls.Certificate
	own     tls.Certificate // signed by root
}

// hostKey is the key of all hosts' certificates.
var hostKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic("phone: " + err.Error())
	}
	return key
})

// newHost makes a host that certifies a phone's public key.
func newHost(t *testing.T, address string, p *Phone) *host {
	t.Helper()
	key := hostKey()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<60))
	if err != nil {
		t.Fatal(err)
	}
	issue := func(public any, authority bool) []byte {
		c := &x509.Certificate{
			SerialNumber: serial, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			IsCA: authority, BasicConstraintsValid: true,
		}
		b, err := x509.CreateCertificate(rand.Reader, c, c, public, key)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	h := &host{address: address}
	buid, _ := ask(t, h.muxer(t), map[string]any{"MessageType": "ReadBUID"})["BUID"].(string)
	root, own := issue(&key.PublicKey, true), issue(&key.PublicKey, false)
	h.record = map[string]any{
		"RootCertificate": pemOf(root), "HostCertificate": pemOf(own), "DeviceCertificate": pemOf(issue(&p.key.PublicKey, false)),
		"HostID": "6E1F9A60-0000-4000-8000-000000000001", "SystemBUID": buid,
	}
	h.root = tls.Certificate{Certificate: [][]byte{root}, PrivateKey: key}
	h.own = tls.Certificate{Certificate: [][]byte{own}, PrivateKey: key}
	return h
}

// muxer connects to the muxer.
func (h *host) muxer(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", h.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// ask sends a message to the muxer and returns the answer.
func ask(t *testing.T, conn net.Conn, request map[string]any) map[string]any {
	t.Helper()
	if err := device.WriteMux(conn, 5, request); err != nil {
		t.Fatal(err)
	}
	var a map[string]any
	tag, err := device.ReadMux(conn, &a)
	if err != nil || tag != 5 {
		t.Fatalf("answer to %v: tag %d, %v", request["MessageType"], tag, err)
	}
	return a
}

// dial connects to a port of the phone with a device id.
func (h *host) dial(t *testing.T, id int, port uint16) net.Conn {
	t.Helper()
	conn := h.muxer(t)
	if a := ask(t, conn, map[string]any{"MessageType": "Connect", "DeviceID": id, "PortNumber": int(device.MuxPort(port))}); a["Number"] != uint64(0) {
		t.Fatalf("Connect to port %d: %v", port, a)
	}
	return conn
}

// lockdown is a host's connection to lockdownd.
type lockdown struct {
	*host
	id   int // DeviceID
	raw  net.Conn
	conn net.Conn
}

func (h *host) lockdown(t *testing.T, id int) *lockdown {
	t.Helper()
	conn := h.dial(t, id, device.LockdownPort)
	return &lockdown{h, id, conn, conn}
}

// do sends a request to lockdownd and returns the answer. A request is its name
// and pairs of key and value.
func (l *lockdown) do(t *testing.T, name string, pairs ...any) map[string]any {
	t.Helper()
	r := map[string]any{"Request": name, "Label": "test"}
	for i := 0; i < len(pairs); i += 2 {
		r[pairs[i].(string)] = pairs[i+1]
	}
	return exchange(t, l.conn, r)
}

// exchange sends a message and returns the answer.
func exchange(t *testing.T, conn net.Conn, request map[string]any) map[string]any {
	t.Helper()
	if err := device.WritePlist(conn, request, plist.Binary); err != nil {
		t.Fatal(err)
	}
	var a map[string]any
	if err := device.ReadPlist(conn, &a); err != nil {
		t.Fatalf("answer to %v: %v", request, err)
	}
	return a
}

// refused wants a refusal.
func (l *lockdown) refused(t *testing.T, want device.LockdownError, name string, pairs ...any) {
	t.Helper()
	if got := l.do(t, name, pairs...); got["Error"] != string(want) {
		t.Errorf("%s %v: got %v, want %s", name, pairs, got, string(want))
	}
}

// pair pairs, and wants success.
func (l *lockdown) pair(t *testing.T) {
	t.Helper()
	a := l.do(t, "Pair", "PairRecord", l.record, "ProtocolVersion", "2")
	bag, _ := a["EscrowBag"].([]byte)
	if a["Error"] != nil || len(bag) != 32 {
		t.Fatalf("Pair: %v", a)
	}
	l.escrow = bag
}

// start opens a session with a certificate.
func (l *lockdown) start(t *testing.T, cert tls.Certificate) (id string, err error) {
	t.Helper()
	a := l.do(t, "StartSession", "HostID", l.record["HostID"], "SystemBUID", l.record["SystemBUID"])
	id, _ = a["SessionID"].(string)
	if a["Error"] != nil || id == "" || a["EnableSessionSSL"] != true {
		t.Fatalf("StartSession: %v", a)
	}
	conn, err := client(l.raw, cert)
	if err != nil {
		return id, err
	}
	l.conn = conn
	return id, nil
}

// client shakes hands as a host, and reads a little, as only then TLS 1.3 says
// whether the certificate was good.
func client(raw net.Conn, cert tls.Certificate) (*tls.Conn, error) {
	conn := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &cert, nil
	}})
	return conn, conn.Handshake()
}

// save keeps the pair record at the muxer, as programs of others need it.
func (h *host) save(t *testing.T, p *Phone) {
	t.Helper()
	record := maps.Clone(h.record)
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(hostKey())})
	record["RootPrivateKey"], record["HostPrivateKey"] = private, private
	record["EscrowBag"], record["WiFiMACAddress"] = h.escrow, p.text("WiFiAddress")
	b, err := plist.Marshal(record, plist.XML)
	if err != nil {
		t.Fatal(err)
	}
	conn := h.muxer(t)
	if a := ask(t, conn, map[string]any{"MessageType": "SavePairRecord", "PairRecordID": p.UDID(), "PairRecordData": b}); a["Number"] != uint64(0) {
		t.Fatalf("SavePairRecord: %v", a)
	}
}

// session pairs and opens a session.
func (h *host) session(t *testing.T, id int) *lockdown {
	t.Helper()
	l := h.lockdown(t, id)
	l.pair(t)
	if _, err := l.start(t, h.root); err != nil {
		t.Fatal(err)
	}
	return l
}

// service starts a service and connects to it.
func (l *lockdown) service(t *testing.T, name string) net.Conn {
	t.Helper()
	a := l.do(t, "StartService", "Service", name, "EscrowBag", l.escrow)
	port, _ := a["Port"].(uint64)
	if a["Error"] != nil || port == 0 {
		t.Fatalf("StartService %s: %v", name, a)
	}
	raw := l.dial(t, l.id, uint16(port))
	if a["EnableServiceSSL"] != true {
		return raw
	}
	conn, err := client(raw, l.own)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}
