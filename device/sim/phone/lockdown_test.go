package phone

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"russet/device"
	"russet/internal/durable"
	"russet/internal/plist"
)

// newRig makes a phone, serves it, and a host beside it.
func newRig(t *testing.T, opts Options) (*Phone, *host, *journal) {
	t.Helper()
	p, j := newPhone(t, t.TempDir(), opts)
	return p, newHost(t, serve(t, p), p), j
}

func TestSession(t *testing.T) {
	t.Parallel()
	p, h, j := newRig(t, Options{})
	if err := p.SetValue("com.example.private", "DeviceName", "secret"); err != nil {
		t.Fatal(err)
	}
	l := h.lockdown(t, 1)
	l.refused(t, device.GetProhibited, "GetValue", "Domain", "com.example.private", "Key", "DeviceName")
	if got := l.do(t, "QueryType")["Type"]; got != "com.apple.mobile.lockdown" {
		t.Errorf("got type %v", got)
	}
	if got := l.do(t, "GetValue", "Key", "ProductVersion")["Value"]; got != "18.1" {
		t.Errorf("got version %v", got)
	}
	l.refused(t, device.GetProhibited, "GetValue", "Key", "PhoneNumber")
	l.refused(t, device.InvalidHostID, "StartSession", "HostID", l.record["HostID"])
	l.refused(t, device.MissingHostID, "StartSession")
	l.pair(t)
	l.refused(t, device.SessionInactive, "SetValue", "Key", "DeviceName", "Value", "x")
	id, err := l.start(t, h.own)
	if err != nil {
		t.Fatal(err)
	}
	if got := l.do(t, "GetValue", "Key", "PhoneNumber")["Value"]; got != "+44 7700 900123" {
		t.Errorf("got number %v", got)
	}
	if got := l.do(t, "GetValue", "Domain", backupDomain)["Value"].(map[string]any); got["WillEncrypt"] != nil {
		t.Errorf("got %v, want no WillEncrypt", got)
	}
	l.refused(t, device.MissingValue, "GetValue", "Domain", "com.example.none")
	l.refused(t, device.MissingValue, "GetValue", "Domain", backupDomain, "Key", "WillEncrypt")
	l.refused(t, sessionActive, "StartSession", "HostID", l.record["HostID"])
	l.refused(t, missingSession, "StopSession")
	l.refused(t, device.InvalidSessionID, "StopSession", "SessionID", "x")
	l.refused(t, invalidRequest, "Explode")
	if a := l.do(t, "StopSession", "SessionID", id); a["Error"] != nil {
		t.Fatalf("StopSession: %v", a)
	}
	// The connection goes on in plain.
	if err := l.conn.(*tls.Conn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if n, err := l.conn.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Fatalf("after StopSession: got %d bytes, %v, want io.EOF", n, err)
	}
	l.conn = l.raw
	if err := l.raw.SetDeadline(time.Now().Add(20 * time.Second)); err != nil { // CloseWrite left one behind
		t.Fatal(err)
	}
	l.refused(t, device.GetProhibited, "GetValue", "Key", "PhoneNumber")
	h.record["SystemBUID"] = "another"
	if _, err := l.start(t, h.root); err != nil {
		t.Fatal(err)
	}
	if a := l.do(t, "Goodbye"); a["Request"] != "Goodbye" {
		t.Errorf("got %v", a)
	}
	if _, err := l.conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after Goodbye: got %v, want io.EOF", err)
	}
	want := []string{"it needs a session", "SystemBUID", "a session is open already", "names another session", "has no such request"}
	for _, w := range want {
		if !slices.ContainsFunc(j.violations(), func(v string) bool { return strings.Contains(v, w) }) {
			t.Errorf("got violations %q, want one about %q", j.violations(), w)
		}
	}
}

func TestSetValueRefusals(t *testing.T) {
	t.Parallel()
	_, h, _ := newRig(t, Options{})
	l := h.session(t, 1)
	l.refused(t, device.SetProhibited, "SetValue", "Key", "ProductVersion", "Value", "1")
	l.refused(t, device.MissingKey, "SetValue", "Value", "1")
	l.refused(t, device.MissingValue, "SetValue", "Key", "DeviceName", "Value", 1)
	l.refused(t, device.MissingValue, "SetValue", "Domain", wifiDomain, "Key", "EnableWifiConnections", "Value", "yes")
	l.refused(t, removeProhibited, "RemoveValue", "Key", "DeviceName")
}

// Each way in which a phone refuses to pair has its own word.
func TestPairing(t *testing.T) {
	t.Parallel()
	p, h, _ := newRig(t, Options{Pairing: Pairing{Locked: 1, Pending: 2}})
	l := h.lockdown(t, 1)
	pair := []any{"PairRecord", h.record}
	l.refused(t, device.MissingPairRecord, "Pair")
	l.refused(t, device.PasswordProtected, "Pair", pair...)
	l.refused(t, device.TrustPending, "Pair", pair...)
	l.refused(t, device.TrustPending, "Pair", pair...)
	for answer, want := range map[PairAnswer]device.LockdownError{Deny: device.TrustDenied, Managed: device.ManagedPairing, Supervised: device.ManagedChallenge} {
		p.SetPairing(Pairing{Answer: answer})
		l.refused(t, want, "Pair", pair...)
	}
	p.SetPairing(Pairing{})
	p.SetLock(Locked)
	l.refused(t, device.PasswordProtected, "Pair", pair...)
	p.SetLock(Unlocked)
	l.pair(t)
	l.refused(t, device.InvalidHostID, "Unpair", "PairRecord", map[string]any{"HostID": "other"})
	l.refused(t, device.InvalidPairRecord, "Unpair", "PairRecord", map[string]any{"HostID": h.record["HostID"]})
	if a := l.do(t, "ValidatePair", pair...); a["Error"] != nil {
		t.Errorf("ValidatePair: %v", a)
	}
	if a := l.do(t, "Unpair", pair...); a["Error"] != nil || a["Request"] != "ValidatePair" {
		t.Errorf("Unpair: %v", a)
	}
	l.refused(t, device.InvalidHostID, "StartSession", "HostID", h.record["HostID"])
}

func TestPairRecordIsChecked(t *testing.T) {
	t.Parallel()
	p, h, j := newRig(t, Options{})
	l := h.lockdown(t, 1)
	for why, change := range map[string]map[string]any{
		"HostID is not one":                         {"HostID": "../../x"},
		"SystemBUID is not one":                     {"SystemBUID": strings.Repeat("A", 65)},
		"a certificate is too long":                 {"RootCertificate": bytes.Repeat([]byte("A"), maxCertificate+1)},
		"the host certificate cannot be read":       {"HostCertificate": []byte("no PEM")},
		"the device certificate is for another key": {"DeviceCertificate": h.record["HostCertificate"]},
	} {
		r := maps.Clone(h.record)
		maps.Copy(r, change)
		l.refused(t, device.InvalidPairRecord, "Pair", "PairRecord", r)
		if want := "lockdownd: Pair: " + why; !slices.Contains(j.violations(), want) {
			t.Errorf("got violations %q, want %q", j.violations(), want)
		}
	}
	other := newHost(t, h.address, p) // of the same key, so that only a changed byte shows
	broken := slices.Clone(der(other.record["DeviceCertificate"].([]byte)))
	broken[len(broken)-1] ^= 1
	r := maps.Clone(h.record)
	r["DeviceCertificate"] = pemOf(broken)
	l.refused(t, device.InvalidPairRecord, "Pair", "PairRecord", r)
	r = maps.Clone(h.record)
	r["HostPrivateKey"] = []byte("secret")
	if a := l.do(t, "Pair", "PairRecord", r); a["Error"] != nil {
		t.Errorf("Pair with a private key: %v", a)
	}
	if want := "lockdownd: Pair: a private key left the host"; !slices.Contains(j.violations(), want) {
		t.Errorf("got violations %q, want %q", j.violations(), want)
	}
}

// Whoever holds no key of the pairing gets no session.
func TestStrangersCertificate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rule ClientCertificate
		cert func(h, stranger *host) tls.Certificate
		good bool
	}{
		"stranger":        {RootOrHost, func(_, s *host) tls.Certificate { return s.own }, false},
		"none":            {RootOrHost, func(_, _ *host) tls.Certificate { return tls.Certificate{} }, false},
		"device":          {RootOrHost, func(h, _ *host) tls.Certificate { return h.withDevice() }, false},
		"host, root only": {RootOnly, func(h, _ *host) tls.Certificate { return h.own }, false},
		"root, host only": {HostOnly, func(h, _ *host) tls.Certificate { return h.root }, false},
		"root, root only": {RootOnly, func(h, _ *host) tls.Certificate { return h.root }, true},
		"host, host only": {HostOnly, func(h, _ *host) tls.Certificate { return h.own }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, h, j := newRig(t, Options{HostCertificate: c.rule, MaxTLS: tls.VersionTLS12})
			l := h.lockdown(t, 1)
			l.pair(t)
			_, err := l.start(t, c.cert(h, newHost(t, h.address, p)))
			if (err == nil) != c.good {
				t.Errorf("got %v, want success %v", err, c.good)
			}
			if !c.good {
				l.raw.Close()
			}
			if bad := len(j.violations()) > 0; c.good && bad {
				t.Errorf("got violations %q", j.violations())
			}
		})
	}
}

// withDevice is the phone's certificate with the host's key.
func (h *host) withDevice() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{der(h.record["DeviceCertificate"].([]byte))}, PrivateKey: hostKey()}
}

func TestTLSVersions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		opts Options
		want uint16
	}{
		{Options{}, tls.VersionTLS13},
		{Options{MaxTLS: tls.VersionTLS12}, tls.VersionTLS12},
		{Options{ProductVersion: "9.3.5", MaxTLS: tls.VersionTLS10}, tls.VersionTLS10},
		{Options{MinTLS: tls.VersionTLS11, MaxTLS: tls.VersionTLS11}, tls.VersionTLS11},
	} {
		_, h, _ := newRig(t, c.opts)
		l := h.session(t, 1)
		if got := l.conn.(*tls.Conn).ConnectionState().Version; got != c.want {
			t.Errorf("%+v: got version %x, want %x", c.opts, got, c.want)
		}
	}
}

func TestStartService(t *testing.T) {
	t.Parallel()
	const plain, forbidden = notifications, "com.apple.mobile.managed"
	p, h, j := newRig(t, Options{PlainServices: []string{plain}, Prohibited: []string{forbidden}, Backup: func(_ context.Context, conn net.Conn, p *Phone) error {
		_, err := fmt.Fprint(conn, "backup of ", p.UDID())
		return errors.Join(err, errors.New("the end"))
	}})
	l := h.lockdown(t, 1)
	l.refused(t, device.SessionInactive, "StartService", "Service", backupService)
	l = h.session(t, 1)
	l.refused(t, device.MissingService, "StartService")
	l.refused(t, device.InvalidService, "StartService", "Service", "com.example.none")
	l.refused(t, device.InvalidService, "StartService", "Service", strings.Repeat("x", 200))
	l.refused(t, device.ServiceProhibited, "StartService", "Service", forbidden)
	if got, err := io.ReadAll(l.service(t, backupService)); err != nil || string(got) != "backup of "+p.UDID() {
		t.Errorf("got %q, %v", got, err)
	}
	if !j.has(lockdownd, "StartService com.apple.mobilebackup2 with escrow bag") {
		t.Errorf("got %v", j)
	}
	if strings.Contains(j.String(), string(l.escrow)) {
		t.Error("the log holds the escrow bag")
	}
	if _, ok := l.service(t, plain).(*tls.Conn); ok {
		t.Error("a service without TLS speaks TLS")
	}
	// A service answers once, and only where it was started.
	conn := h.muxer(t)
	for _, port := range []uint16{firstPort, firstPort + 70, 22} {
		if a := ask(t, conn, map[string]any{"MessageType": "Connect", "DeviceID": 1, "PortNumber": int(device.MuxPort(port))}); a["Number"] != uint64(device.MuxRefused) {
			t.Errorf("port %d: got %v, want it refused", port, a)
		}
	}
	// Services to which nobody connects make room for others.
	first := l.do(t, "StartService", "Service", plain)["Port"].(uint64)
	for range 2 * maxWaiting {
		l.do(t, "StartService", "Service", plain)
	}
	if a := ask(t, conn, map[string]any{"MessageType": "Connect", "DeviceID": 1, "PortNumber": int(device.MuxPort(uint16(first)))}); a["Number"] != uint64(device.MuxRefused) {
		t.Errorf("the first of many: got %v, want it refused", a)
	}
	l.service(t, plain)
}

func TestLock(t *testing.T) {
	t.Parallel()
	const s = "Service"
	p, h, _ := newRig(t, Options{Backup: func(context.Context, net.Conn, *Phone) error { return nil }})
	l := h.session(t, 1)
	p.SetLock(Locked)
	if got := l.do(t, "GetValue", "Key", "PasswordProtected")["Value"]; got != true {
		t.Errorf("got PasswordProtected %v", got)
	}
	l.refused(t, device.PasswordProtected, "StartService", s, notifications)
	l.refused(t, device.EscrowLocked, "StartService", s, notifications, "EscrowBag", make([]byte, 32))
	l.service(t, notifications)
	p.SetLock(NeverOpen)
	l.refused(t, device.EscrowLocked, "StartService", s, notifications, "EscrowBag", l.escrow)
	if p.Lock() != NeverOpen {
		t.Error("the lock was not kept")
	}
	if a := l.do(t, "StartService", s, openNotifications); a["Error"] != nil {
		t.Errorf("insecure service on a locked phone: %v", a)
	}
	p.SetLock(Unlocked)
	p.opts.Escrow = EscrowAlways
	l.refused(t, device.PasswordProtected, "StartService", s, backupService)
	l.service(t, backupService)
	p.opts.Escrow = EscrowIgnored
	p.SetLock(Locked)
	l.refused(t, device.PasswordProtected, "StartService", s, backupService, "EscrowBag", l.escrow)
}

// The next run knows the host, the name and the key, and nobody else may read
// them.
func TestStateLasts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, _ := newPhone(t, dir, Options{UDID: "00008020-000D4C3A0E83002E", Name: "First", ProductType: "iPad13,1"})
	l := newHost(t, serve(t, first), first).session(t, 1)
	if a := l.do(t, "SetValue", "Key", "DeviceName", "Value", "Second"); a["Error"] != nil || a["Value"] != "Second" {
		t.Errorf("SetValue: %v", a)
	}
	if a := l.do(t, "SetValue", "Domain", wifiDomain, "Key", "EnableWifiDebugging", "Value", true); a["Error"] != nil {
		t.Errorf("SetValue: %v", a)
	}
	if a := l.do(t, "RemoveValue", "Domain", wifiDomain, "Key", "EnableWifiDebugging"); a["Error"] != nil {
		t.Errorf("RemoveValue: %v", a)
	}
	if err := first.SetWillEncrypt(true); err != nil {
		t.Fatal(err)
	}

	if _, err := New(dir, Options{}); !errors.Is(err, durable.ErrInUse) {
		t.Errorf("a second phone beside the first: got %v, want %v", err, durable.ErrInUse)
	}
	if err := os.Remove(filepath.Join(dir, "lock")); err != nil { // as if the first one's process had ended
		t.Fatal(err)
	}
	p, _ := newPhone(t, dir, Options{Name: "First", ProductVersion: "18.2"})
	if p.UDID() != first.UDID() || p.ProductVersion() != "18.2" || p.text("DeviceName") != "Second" || p.text("DeviceClass") != "iPad" || !p.WillEncrypt() {
		t.Errorf("got %v", p.domain(noDomain))
	}
	if v := p.Value(wifiDomain, "EnableWifiDebugging"); v != nil {
		t.Errorf("got %v for what was removed", v)
	}
	again := *l.host
	again.address = serve(t, p)
	if _, err := again.lockdown(t, 1).start(t, again.root); err != nil {
		t.Errorf("session of the second run: %v", err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	for _, name := range []string{keyFile, valuesFile, "Pairings/" + l.record["HostID"].(string) + ".plist", "Muxer/" + buidFile} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: got %v, %v, want a private file", name, info, err)
		}
	}
}

// Whoever sends without end is hung up on.
func TestRequestsAreBounded(t *testing.T) {
	t.Parallel()
	_, h, _ := newRig(t, Options{})
	l := h.session(t, 1)
	ended := func(what string, conn net.Conn, write func() error) {
		t.Helper()
		if err := write(); err != nil {
			return // hung up on already
		}
		if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: got %d bytes, %v, want the end", what, n, err)
		}
	}
	long := map[string]any{"Request": "QueryType", "Label": strings.Repeat("x", maxRequest)}
	first := h.lockdown(t, 1)
	ended("lockdownd", first.conn, func() error { return device.WritePlist(first.conn, long, plist.XML) })
	conn := h.muxer(t)
	ended("muxer", conn, func() error { return device.WriteMux(conn, 1, long) })
	files := l.service(t, afcService)
	ended("files", files, func() error {
		return device.WriteAFC(files, &device.AFCPacket{Op: device.AFCFileWrite, Data: make([]byte, maxWrite)})
	})
}

// Some programs look for the pair record under the name that is listed.
func TestUDIDHasItsDash(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"00008020000D4C3A0E83002E":                 "00008020-000D4C3A0E83002E",
		"0123456789abcdef0123456789abcdef01234567": "0123456789abcdef0123456789abcdef01234567",
	} {
		if p, _ := newPhone(t, t.TempDir(), Options{UDID: given}); p.UDID() != want {
			t.Errorf("%s: got %s, want %s", given, p.UDID(), want)
		}
	}
}

func TestDamagedStateIsAnError(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		keyFile: "no key", valuesFile: "no list", pairingDir + "/A.plist": "no list", pairingDir + "/B.plist": "<plist><dict/></plist>", "Muxer/" + buidFile: "no list",
	} {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if name != keyFile {
			if err := os.WriteFile(filepath.Join(dir, keyFile), testKey(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		p, err := New(dir, Options{})
		if err == nil {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			err = p.Serve(ctx)
			cancel()
			if cerr := p.Close(); cerr != nil {
				t.Error(cerr)
			}
		}
		if err == nil {
			t.Errorf("damaged %s was accepted", name)
		}
	}
}

// What a run that was killed left behind does not stop the next one.
func TestStateThatIsLeftBehind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{valuesFile, keyFile} {
		if err := os.Mkdir(filepath.Join(dir, name+".new"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	p, err := New(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
