package phone

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// testKey is the key pair of every phone in these tests: making one is dear.
var testKey = sync.OnceValue(func() []byte {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic("phone: " + err.Error())
	}
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
})

// journal collects what phones tell of.
type journal struct {
	mu     sync.Mutex
	events []Event
}

func (j *journal) add(e Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, e)
}

// violations returns the rules that were broken.
func (j *journal) violations() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var list []string
	for _, e := range j.events {
		if e.Violation != "" {
			list = append(list, e.String())
		}
	}
	return list
}

// has says whether a message came.
func (j *journal) has(service, message string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.ContainsFunc(j.events, func(e Event) bool { return e.Service == service && e.Message == message })
}

// newPhone makes a phone whose state lies in dir.
func newPhone(t *testing.T, dir string, opts Options) (*Phone, *journal) {
	t.Helper()
	j := new(journal)
	if opts.Observe == nil {
		opts.Observe = j.add
	}
	if _, err := os.Stat(filepath.Join(dir, keyFile)); err != nil {
		if err := os.WriteFile(filepath.Join(dir, keyFile), testKey(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := New(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p, j
}

// serve serves a phone over TCP until the test ends and returns the address.
func serve(t *testing.T, p *Phone) string {
	t.Helper()
	return background(t, p.Serve)
}

// background runs a Serve until the test ends and returns its address.
func background(t *testing.T, serve func(context.Context, ...net.Listener) error) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveAt(t, serve, l)
	return l.Addr().String()
}

// serveAt runs a Serve at a listener until the test ends.
func serveAt(t *testing.T, serve func(context.Context, ...net.Listener) error, l net.Listener) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

// loopback is an address that no other process is likely to use.
func loopback(n byte) netip.Addr {
	return netip.AddrFrom4([4]byte{127, byte(os.Getpid() >> 8), byte(os.Getpid()), n})
}

// wants fails the test where a text lacks one of the words.
func wants(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("got %q, want %q in it", text, w)
		}
	}
}

// clean fails the test where a host broke rules.
func (j *journal) clean(t *testing.T) {
	t.Helper()
	if got := j.violations(); len(got) > 0 {
		t.Errorf("got violations %q, want none", got)
	}
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return fmt.Sprint(j.events)
}
