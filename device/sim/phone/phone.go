package phone

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"russet/internal/durable"
)

// Phone is a phone made of software. Its methods may be called at any time, by
// several goroutines.
type Phone struct {
	opts   Options
	held   *durable.Lock // of the state directory
	root   *os.Root
	media  *os.Root // the file service's root
	key    *rsa.PrivateKey
	public []byte // of key, as lockdownd gives it
	apps   []App

	locks fileLocks

	mu        sync.Mutex // guards what follows
	values    map[string]map[string]any
	pairings  map[string]*pairing // by HostID
	pairing   Pairing             // what is left of it
	lock      Lock
	observers map[*observer]struct{}
}

// New opens the phone whose state lies in a directory, which is made if there
// is none. Two phones cannot share one: durable.ErrInUse.
func New(state string, opts Options) (*Phone, error) {
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, fmt.Errorf("open the phone's state: %w", err)
	}
	root, err := os.OpenRoot(state)
	if err != nil {
		return nil, fmt.Errorf("open the phone's state: %w", err)
	}
	lock, err := durable.TryLock(root, "lock")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the phone's state: %w", err), root.Close())
	}
	p := &Phone{opts: opts, root: root, held: lock, pairing: opts.Pairing, lock: opts.Lock, observers: map[*observer]struct{}{}}
	if p.opts.Now == nil {
		p.opts.Now = time.Now
	}
	if p.opts.Heartbeat <= 0 {
		p.opts.Heartbeat = 10 * time.Second
	}
	for _, open := range []func() error{p.openValues, p.openPairings, p.openApps, p.openMedia, p.openKey} {
		if err := open(); err != nil {
			return nil, errors.Join(fmt.Errorf("open the phone's state: %w", err), p.Close())
		}
	}
	return p, nil
}

// Close lets go of the state directory. Nobody may serve the phone any more.
func (p *Phone) Close() error {
	if p.media != nil {
		_ = p.media.Close() // a folder that was only read
	}
	return errors.Join(p.held.Close(), p.root.Close())
}

// Serve plugs the phone into a muxer of its own, at the given listeners, until
// ctx ends, which is no error. It closes the listeners. The muxer's records lie
// below Muxer in the state directory; [NewMuxer] of that folder finds them.
func (p *Phone) Serve(ctx context.Context, listeners ...net.Listener) error {
	m, err := newMuxer(p.root, muxerDir)
	if err == nil {
		err = m.Add(p)
	}
	if err != nil {
		for _, l := range listeners {
			_ = l.Close()
		}
		return err
	}
	defer m.Remove(p)
	return m.Serve(ctx, listeners...)
}

// UDID returns the name that the phone was given when it was made.
func (p *Phone) UDID() string { return p.text("UniqueDeviceID") }

// ProductVersion returns the version of iOS.
func (p *Phone) ProductVersion() string { return p.text("ProductVersion") }

func (p *Phone) text(key string) string {
	s, _ := p.Value("", key).(string)
	return s
}

// atLeast compares the version of iOS.
func (p *Phone) atLeast(major, minor int) bool {
	first, rest, _ := strings.Cut(p.ProductVersion(), ".")
	second, _, _ := strings.Cut(rest, ".")
	have, _ := strconv.Atoi(first)
	point, _ := strconv.Atoi(second)
	return have > major || have == major && point >= minor
}

// Lock returns what the passcode holds back.
func (p *Phone) Lock() Lock {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lock
}

// SetLock locks or unlocks the phone.
func (p *Phone) SetLock(l Lock) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lock = l
}

// SetPairing changes what happens when a host asks to pair.
func (p *Phone) SetPairing(a Pairing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pairing = a
}

// WillEncrypt says whether backups are encrypted.
func (p *Phone) WillEncrypt() bool {
	on, _ := p.Value(backupDomain, "WillEncrypt").(bool)
	return on
}

// SetWillEncrypt turns the encryption of backups on or off, and tells the
// observers so.
func (p *Phone) SetWillEncrypt(on bool) error {
	if err := p.SetValue(backupDomain, "WillEncrypt", on); err != nil {
		return err
	}
	p.Notify(backupDomain + ".domain_changed")
	return nil
}

// Record tells of a message or of a rule that was broken, as
// [Options].Observe says.
func (p *Phone) Record(e Event) {
	if p.opts.Observe != nil {
		p.opts.Observe(e)
	}
}
