package device

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Phone is a phone that was found. It holds no connection: each service starts
// with a lockdown session of its own, on the way that the phone then has, so
// that it outlives a muxer that starts again and a cable that is changed. Its
// methods may be called at once.
type Phone struct {
	mux  *Mux
	udid string

	mu       sync.Mutex
	device   Device      // as last found
	record   *PairRecord // nil where they are not paired
	proposal *PairRecord // what the phone is being asked to pair with
}

// Open finds a connected phone, paired or not. An error wraps [ErrNoMux] or
// [ErrNoDevice].
func (m *Mux) Open(ctx context.Context, udid string) (*Phone, error) {
	d, err := m.Find(ctx, udid)
	if err != nil {
		return nil, fmt.Errorf("open the phone: %w", err)
	}
	r, err := m.PairRecord(ctx, d.UDID)
	if err != nil && !errors.Is(err, InvalidHostID) {
		return nil, fmt.Errorf("open the phone: %w", err)
	}
	return &Phone{mux: m, udid: d.UDID, device: d, record: r}, nil
}

// UDID returns the phone's name for life.
func (p *Phone) UDID() string { return p.udid }

// Device returns the phone as the muxer last listed it.
func (p *Phone) Device() Device {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.device
}

func (p *Phone) pairing() *PairRecord {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.record
}

// connect opens lockdownd, without a session.
func (p *Phone) connect(ctx context.Context) (*Lockdown, error) {
	d, err := p.mux.Find(ctx, p.udid)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.device = d
	p.mu.Unlock()
	return p.mux.OpenLockdown(ctx, d)
}

// Lockdown opens lockdownd with a session. The errors are those of
// [Lockdown.StartSession]; that of a phone which is not paired wraps
// [InvalidHostID].
func (p *Phone) Lockdown(ctx context.Context) (*Lockdown, error) {
	l, err := p.connect(ctx)
	if err != nil {
		return nil, err
	}
	r := p.pairing()
	if r == nil {
		l.Close()
		return nil, fmt.Errorf("start a session: %w", InvalidHostID)
	}
	if err := l.StartSession(ctx, r); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// Service starts a service and connects to it, as [Lockdown.StartService] does.
func (p *Phone) Service(ctx context.Context, name string, escrow bool) (net.Conn, error) {
	l, err := p.Lockdown(ctx)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer l.Close()
	return l.StartService(ctx, name, escrow)
}

// Pair asks the phone once whether it trusts this computer, and keeps the
// pairing with the muxer once a session has proven it. When they are paired
// already it does nothing. The errors are those of [Lockdown.Pair]; the same
// Phone is to be asked again, for it keeps what it proposed. now is when new
// certificates begin.
func (p *Phone) Pair(ctx context.Context, now time.Time) error {
	l, err := p.connect(ctx)
	if err != nil {
		return fmt.Errorf("pair: %w", err)
	}
	defer l.Close()
	if r := p.pairing(); r != nil {
		if err := l.StartSession(ctx, r); !errors.Is(err, InvalidHostID) {
			return err
		}
	}
	r, err := p.propose(ctx, l, now)
	if err != nil {
		return err
	}
	own := *r // the proposal is that of all who ask at once, and stays as it is
	r = &own
	if err := l.Pair(ctx, r); err != nil {
		return err
	}
	if err := l.StartSession(ctx, r); err != nil {
		return fmt.Errorf("prove the pairing: %w", err)
	}
	if err := p.mux.SavePairRecord(ctx, p.Device(), r); err != nil {
		return err
	}
	p.mu.Lock()
	p.record, p.proposal = r, nil
	p.mu.Unlock()
	return nil
}

func (p *Phone) propose(ctx context.Context, l *Lockdown, now time.Time) (*PairRecord, error) {
	p.mu.Lock()
	r := p.proposal
	p.mu.Unlock()
	if r != nil {
		return r, nil
	}
	buid, err := p.mux.BUID(ctx)
	if err != nil {
		return nil, err
	}
	if r, err = l.Propose(ctx, buid, now); err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.proposal = r
	p.mu.Unlock()
	return r, nil
}

// Unpair makes the phone and then the muxer forget the pairing. A phone that
// has forgotten it already is no error.
func (p *Phone) Unpair(ctx context.Context) error {
	r := p.pairing()
	if r == nil {
		return fmt.Errorf("unpair: %w", InvalidHostID)
	}
	l, err := p.connect(ctx)
	if err != nil {
		return fmt.Errorf("unpair: %w", err)
	}
	defer l.Close()
	if err := l.Unpair(ctx, r); err != nil && !errors.Is(err, InvalidHostID) {
		return err
	}
	if err := p.mux.DeletePairRecord(ctx, p.udid); err != nil {
		return err
	}
	p.mu.Lock()
	p.record = nil
	p.mu.Unlock()
	return nil
}

// Detached waits until the way on which the phone was last reached is gone: a
// cable was pulled, Wi-Fi was left. It returns nil then, and an error when ctx
// ends or the muxer does.
func (p *Phone) Detached(ctx context.Context) error {
	d := p.Device()
	there := func() (bool, error) { // it may have gone before the muxer was asked to tell
		list, err := p.mux.Connections(ctx)
		return err != nil || holds(list, d), err
	}
	return p.mux.watch(ctx, there, func(e Event) bool { return e.Kind != Detached || e.Device.ID != d.ID })
}

func holds(list []Device, d Device) bool {
	for _, o := range list {
		if o.ID == d.ID && o.UDID == d.UDID {
			return true
		}
	}
	return false
}
