package device

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// secretForms are pieces of a record's secrets, in the forms in which they
// could come into an error.
func secretForms(r *PairRecord) []string {
	block, _ := pem.Decode(r.HostPrivateKey)
	root, _ := pem.Decode(r.RootPrivateKey)
	var forms []string
	for _, b := range [][]byte{r.EscrowBag, block.Bytes[200:232], root.Bytes[200:232]} {
		forms = append(forms, string(b), hex.EncodeToString(b), base64.StdEncoding.EncodeToString(b)[:30], fmt.Sprint(b), fmt.Sprintf("%q", b))
	}
	return append(forms, string(r.HostPrivateKey[100:160]), string(r.RootPrivateKey[100:160]))
}

func openLockdown(t *testing.T, f *fake) *Lockdown {
	t.Helper()
	l, err := f.mux().OpenLockdown(t.Context(), Device{ID: 7, UDID: testUDID, Connection: USB})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestValues(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.values["com.apple.mobile.backup"] = map[string]any{"WillEncrypt": false}
	f.errors["GetValue PhoneNumber"] = "GetProhibited"
	l := openLockdown(t, f)
	if v, err := l.Value(t.Context(), "", "DeviceName"); v != "Anna's iPhone" || err != nil {
		t.Errorf("got %v, %v, want the name", v, err)
	}
	if _, err := l.Value(t.Context(), "", "Nothing"); !errors.Is(err, MissingValue) {
		t.Errorf("got %v, want %v", err, MissingValue)
	}
	if _, err := l.Value(t.Context(), "", "PhoneNumber"); !errors.Is(err, GetProhibited) {
		t.Errorf("got %v, want %v", err, GetProhibited)
	}
	if err := l.SetValue(t.Context(), "com.apple.mobile.backup", "WillEncrypt", true); err != nil {
		t.Error(err)
	}
	v, err := l.Values(t.Context(), "com.apple.mobile.backup")
	if err != nil || v["WillEncrypt"] != true {
		t.Errorf("got %v, %v, want WillEncrypt true", v, err)
	}
}

func TestStartSession(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.services["echo"], f.services["plain"] = echo, echo
	f.plain["plain"] = true
	l := openLockdown(t, f)
	if _, err := l.StartService(t.Context(), "echo", false); !errors.Is(err, SessionInactive) {
		t.Errorf("without a session: got %v, want %v", err, SessionInactive)
	}
	if err := l.StartSession(t.Context(), testPairing().record); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"echo", "plain"} {
		c, err := l.StartService(t.Context(), name, name == "echo")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(c, "hello")
		got := make([]byte, 5)
		if _, err := io.ReadFull(c, got); string(got) != "hello" {
			t.Errorf("%s: got %q, %v, want hello", name, got, err)
		}
		cut(c)
	}
	if _, err := l.StartService(t.Context(), "none", false); !errors.Is(err, InvalidService) {
		t.Errorf("got %v, want %v", err, InvalidService)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if got := f.asked(); !slices.Contains(got, "StartService echo with escrow") || !slices.Contains(got, "StartService plain") {
		t.Errorf("asked %q, want echo with the escrow bag and plain without", got)
	}
}

func TestStartSessionRefused(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	stranger := *testPairing().record
	stranger.HostID = "OTHER"
	l := openLockdown(t, f)
	if err := l.StartSession(t.Context(), &stranger); !errors.Is(err, InvalidHostID) {
		t.Errorf("got %v, want %v", err, InvalidHostID)
	}
	f.mu.Lock()
	f.errors["StartSession"] = "PasswordProtected"
	f.mu.Unlock()
	if err := l.StartSession(t.Context(), testPairing().record); !errors.Is(err, PasswordProtected) {
		t.Errorf("got %v, want %v", err, PasswordProtected)
	}
	noBag := *testPairing().record
	noBag.EscrowBag = nil
	l.record = &noBag
	if _, err := l.StartService(t.Context(), "x", true); err == nil || slices.Contains(f.asked(), "StartService x") {
		t.Errorf("without an escrow bag: got %v, want an error before anything is sent", err)
	}
}

// What has another key than the phone that was paired is not that phone, even
// when it shows that phone's certificate.
func TestOtherPhone(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := certificate(time.Now())
	own, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(testPairing().record.DeviceCertificate)
	for name, chain := range map[string][][]byte{"own certificate": {own}, "stolen certificate": {block.Bytes}, "both": {own, block.Bytes}} {
		f := newFake(t)
		f.key, f.chain = key, chain
		l := openLockdown(t, f)
		err := l.StartSession(t.Context(), testPairing().record)
		if err == nil || name != "stolen certificate" && !errors.Is(err, ErrOtherPhone) {
			t.Errorf("%s: got %v, want ErrOtherPhone", name, err)
		}
		noSecrets(t, err)
	}
}

func TestOldPhoneSpeaksTLS10(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]uint16{"9.3.5": 0x0301, "4.2": 0x0301, "10.0": 0, "26.1": 0, "": 0, "x": 0} {
		c, err := tlsConfig(testPairing().record, version)
		if err != nil || c.MaxVersion != want {
			t.Errorf("iOS %q: got %#x, %v, want %#x", version, c.MaxVersion, err, want)
		}
		if want == 0 && c.MinVersion != 0x0303 {
			t.Errorf("iOS %q: got a minimum of %#x, want TLS 1.2", version, c.MinVersion)
		}
	}
	f := newFake(t)
	f.values[""]["ProductVersion"] = "9.3.5"
	if err := openLockdown(t, f).StartSession(t.Context(), testPairing().record); err != nil {
		t.Error(err)
	}
	f.version = "18.1" // somebody made it older
	if err := openLockdown(t, f).StartSession(t.Context(), testPairing().record); !errors.Is(err, ErrOtherPhone) {
		t.Errorf("a version that changes: got %v, want ErrOtherPhone", err)
	}
}

// script is a lockdownd that gives the same answers to whoever asks.
func script(t *testing.T, answers ...any) *Lockdown {
	a, b := net.Pipe()
	go func() {
		defer b.Close()
		for _, answer := range answers {
			var m dict
			if ReadPlist(b, &m) != nil || WritePlist(b, answer, 1) != nil {
				return
			}
		}
		io.Copy(io.Discard, b)
	}()
	t.Cleanup(func() { b.Close() })
	return &Lockdown{conn: a, version: "18.1"}
}

func TestLockdownHostile(t *testing.T) {
	t.Parallel()
	record := testPairing().record
	get := func(l *Lockdown) error { _, err := l.Values(t.Context(), ""); return err }
	start := func(l *Lockdown) error { return l.StartSession(t.Context(), record) }
	service := func(l *Lockdown) error {
		l.record = record
		_, err := l.StartService(t.Context(), "x", true)
		return err
	}
	for name, c := range map[string]struct {
		do     func(*Lockdown) error
		answer any
	}{
		"list":             {get, []any{"a"}},
		"other answer":     {get, map[string]any{"Request": "SetValue", "Value": map[string]any{}}},
		"no answer":        {get, map[string]any{"Value": map[string]any{}}},
		"value a text":     {get, map[string]any{"Request": "GetValue", "Value": "x"}},
		"error a number":   {get, map[string]any{"Request": "GetValue", "Error": 7, "Value": map[string]any{}}},
		"error with bag":   {service, map[string]any{"Request": "StartService", "Error": "x", "EscrowBag": testEscrow}},
		"failure":          {get, map[string]any{"Request": "GetValue", "Result": "Failure", "Value": map[string]any{}}},
		"no session":       {start, map[string]any{"Request": "StartSession", "EnableSessionSSL": true}},
		"plain session":    {start, map[string]any{"Request": "StartSession", "SessionID": "S"}},
		"port zero":        {service, map[string]any{"Request": "StartService", "Port": 0}},
		"port too large":   {service, map[string]any{"Request": "StartService", "Port": 65536}},
		"port is text":     {service, map[string]any{"Request": "StartService", "Port": "1"}},
		"encryption later": {start, map[string]any{"Request": "StartSession", "SessionID": "S", "EnableSessionSSL": "yes"}},
	} {
		err := c.do(script(t, c.answer))
		if err == nil {
			t.Errorf("%s: got nil, want an error", name)
		}
		noSecrets(t, err)
	}
	if err := start(script(t, map[string]any{"Request": "StartSession", "SessionID": "S"})); !errors.Is(err, ErrOtherPhone) {
		t.Errorf("a session in plain: got %v, want ErrOtherPhone", err)
	}
}

func TestLockdownTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := script(t)
		start := time.Now()
		if _, err := l.Value(t.Context(), "", "x"); err == nil || time.Since(start) != lockdownTimeout {
			t.Errorf("got %v after %v, want an error after %v", err, time.Since(start), lockdownTimeout)
		}
		l = script(t)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, cancel)
		start = time.Now()
		if _, err := l.Value(ctx, "", "x"); !errors.Is(err, context.Canceled) || time.Since(start) != 3*time.Second {
			t.Errorf("got %v after %v, want context.Canceled after 3s", err, time.Since(start))
		}
		if _, err := l.conn.Write([]byte("x")); !strings.Contains(fmt.Sprint(err), "closed") {
			t.Errorf("after that: got %v, want a closed connection", err)
		}
		synctest.Wait()
	})
}
