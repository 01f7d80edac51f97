package phone

import (
	"context"
	"io"
	"net"
	"slices"

	"russet/device"
)

// Names of services.
const (
	afcService            = "com.apple.afc"
	houseArrest           = "com.apple.mobile.house_arrest"
	notifications         = "com.apple.mobile.notification_proxy"
	openNotifications     = "com.apple.mobile.insecure_notification_proxy"
	installationProxy     = "com.apple.mobile.installation_proxy"
	springboard           = "com.apple.springboardservices"
	diagnostics           = "com.apple.mobile.diagnostics_relay"
	heartbeat             = "com.apple.mobile.heartbeat"
	assertions            = "com.apple.mobile.assertion_agent"
	backupService         = "com.apple.mobilebackup2"
	maxServiceName    int = 128
)

// maxRequest bounds a message to lockdownd or a service, in bytes. The largest
// ones hold three certificates.
const maxRequest = 1 << 20

// readRequest reads a message of a host. One that is too long ends in the
// middle.
func readRequest(conn net.Conn, v any) error {
	return device.ReadPlist(io.LimitReader(conn, maxRequest), v)
}

// service returns who speaks as the service of a name, or nil.
func (p *Phone) service(name string) func(context.Context, net.Conn) error {
	switch name {
	case afcService:
		return p.serveAFC
	case houseArrest:
		return p.serveDocuments
	case installationProxy:
		return p.serveApps
	case springboard:
		return p.serveSpringboard
	case diagnostics:
		return p.serveDiagnostics
	case heartbeat:
		return p.serveHeartbeat
	case assertions:
		return p.serveAssertions
	case notifications, openNotifications:
		return func(ctx context.Context, conn net.Conn) error { return p.serveNotifications(ctx, name, conn) }
	case backupService:
		if backup := p.opts.Backup; backup != nil {
			return func(ctx context.Context, conn net.Conn) error { return backup(ctx, conn, p) }
		}
	}
	return nil
}

// startService answers StartService.
func (s *session) startService(r *lockdownRequest) (map[string]any, error) {
	name := r.Service
	serve := s.p.service(name)
	switch {
	case name == "":
		return nil, device.MissingService
	case len(name) > maxServiceName:
		return nil, device.InvalidService
	case s.pair == nil && name != openNotifications:
		s.violation(r, "it needs a session")
		return nil, device.SessionInactive
	case slices.Contains(s.p.opts.Prohibited, name):
		return nil, device.ServiceProhibited
	case serve == nil:
		return nil, device.InvalidService
	}
	if err := s.unlocks(r); err != nil {
		return nil, err
	}
	pair := s.pair
	if slices.Contains(s.p.opts.PlainServices, name) {
		pair = nil
	}
	port, err := s.line.wait(s.spawn, func(ctx context.Context, conn net.Conn) { s.p.speak(ctx, name, pair, conn, serve) })
	if err != nil {
		return nil, err
	}
	a := map[string]any{"Service": name, "Port": int(port)}
	if pair != nil {
		a["EnableServiceSSL"] = true
	}
	return a, nil
}

// unlocks says whether the phone's lock lets a service start.
func (s *session) unlocks(r *lockdownRequest) error {
	lock, rule := s.p.Lock(), s.p.opts.Escrow
	switch {
	case r.Service == openNotifications || r.Service == heartbeat:
		return nil // they show nothing private
	case lock == Unlocked && (rule != EscrowAlways || r.Service != backupService):
		return nil
	case len(r.EscrowBag) == 0 || rule == EscrowIgnored:
		return device.PasswordProtected
	case lock == NeverOpen || string(r.EscrowBag) != string(s.pair.EscrowBag):
		return device.EscrowLocked
	}
	return nil
}

// speak speaks as a service: over TLS with a pairing, plain without one.
func (p *Phone) speak(ctx context.Context, name string, pair *pairing, conn net.Conn, serve func(context.Context, net.Conn) error) {
	if pair != nil {
		t, err := p.handshake(ctx, conn, pair)
		if err != nil {
			if ctx.Err() == nil {
				p.Record(Event{Service: name, Message: "TLS handshake", Violation: err.Error()})
			}
			return
		}
		defer t.Close()
		conn = t
	}
	if err := serve(ctx, conn); err != nil && ctx.Err() == nil && !hungUp(err) {
		p.Record(Event{Service: name, Message: word(err.Error())})
	}
}
