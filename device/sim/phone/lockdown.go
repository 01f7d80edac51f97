package phone

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"russet/device"
	"russet/internal/plist"
)

// Refusals that only a phone has use for.
const (
	removeProhibited device.LockdownError = "RemoveProhibited"
	sessionActive    device.LockdownError = "SessionActive"
	missingSession   device.LockdownError = "MissingSessionID"
	serviceLimit     device.LockdownError = "ServiceLimit"
	invalidRequest   device.LockdownError = "InvalidRequest"
	saveFailed       device.LockdownError = "SavePairRecordFailed"
)

// lockdownRequest is what hosts send to lockdownd. A key of another type than
// here ends the connection.
type lockdownRequest struct {
	Request    string
	Label      string
	Domain     string
	Key        string
	Value      any
	HostID     string
	SystemBUID string
	SessionID  string
	Service    string
	EscrowBag  []byte
	PairRecord *hostRecord
}

// hostRecord is the part of a pair record that a host sends.
type hostRecord struct {
	DeviceCertificate []byte
	HostCertificate   []byte
	RootCertificate   []byte
	HostID            string
	SystemBUID        string
	HostPrivateKey    []byte // never to be sent
	RootPrivateKey    []byte // never to be sent
}

// session is one connection to lockdownd.
type session struct {
	p     *Phone
	line  *line
	spawn spawner

	raw  *recordConn
	conn net.Conn // what is spoken through: raw, or TLS above it
	pair *pairing // whose session it is; nil outside one
	id   string   // of the session
}

// lockdown speaks as lockdownd, until the host hangs up.
func (l *line) lockdown(ctx context.Context, spawn spawner, conn net.Conn) {
	raw := &recordConn{Conn: conn}
	s := &session{p: l.p, line: l, spawn: spawn, raw: raw, conn: raw}
	for {
		var r lockdownRequest
		if err := readRequest(s.conn, &r); err != nil {
			if !hungUp(err) {
				l.p.Record(Event{Service: lockdownd, Message: "unreadable request", Violation: word(err.Error())})
			}
			return
		}
		a, err := s.answer(&r)
		if a == nil {
			a = map[string]any{}
		}
		a["Request"] = r.echo()
		refusal, refused := errors.AsType[device.LockdownError](err)
		switch {
		case refused:
			a["Error"] = string(refusal)
		case err != nil:
			l.p.Record(Event{Service: lockdownd, Message: word(r.Request) + ": " + err.Error()})
			return
		}
		if err := device.WritePlist(s.conn, a, plist.XML); err != nil {
			return
		}
		if !refused && !s.after(ctx, r.Request) {
			return
		}
	}
}

const lockdownd = "lockdownd"

// hungUp says whether an error is but the other end's going.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.As(err, new(net.Error))
}

// echo is the Request of the answer. Phones answer Unpair as if it had been
// ValidatePair.
func (r *lockdownRequest) echo() string {
	if r.Request == "Unpair" {
		return "ValidatePair"
	}
	return r.Request
}

// describe tells of a request without what is secret in it.
func (r *lockdownRequest) describe() string {
	parts := []string{r.Request}
	for _, s := range []string{r.Domain, r.Key, r.Service} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	if r.Service != "" && r.EscrowBag != nil {
		parts = append(parts, "with escrow bag")
	}
	return word(strings.Join(parts, " "))
}

// word is a stranger's text, made fit for a line of a log.
func word(s string) string {
	const longest = 200
	if len(s) > longest {
		s = s[:longest]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

// answer does what a request asks, but for what follows the answer.
func (s *session) answer(r *lockdownRequest) (map[string]any, error) {
	s.p.Record(Event{Service: lockdownd, Message: r.describe()})
	switch r.Request {
	case "QueryType":
		return map[string]any{"Type": "com.apple.mobile.lockdown"}, nil
	case "GetValue":
		return s.getValue(r)
	case "Pair":
		return s.pairWith(r.PairRecord)
	case "ValidatePair":
		if s.p.atLeast(7, 0) {
			s.violation(r, "ValidatePair is for iOS before 7: start a session")
		}
		_, err := s.p.paired(r.PairRecord)
		return nil, err
	case "Unpair":
		return nil, s.p.unpair(r.PairRecord)
	case "StartSession":
		return s.start(r)
	case "StartService":
		return s.startService(r)
	case "Goodbye":
		return nil, nil
	case "SetValue", "RemoveValue", "StopSession":
		if s.pair == nil {
			s.violation(r, "it needs a session")
			return nil, device.SessionInactive
		}
	default:
		s.violation(r, "lockdownd has no such request")
		return nil, invalidRequest
	}
	switch {
	case r.Request == "SetValue":
		return s.setValue(r)
	case r.Request == "RemoveValue":
		return s.removeValueOf(r)
	case r.SessionID == "":
		return nil, missingSession
	case r.SessionID != s.id:
		s.violation(r, "it names another session")
		return nil, device.InvalidSessionID
	}
	return nil, nil
}

func (s *session) violation(r *lockdownRequest, rule string) {
	s.p.Record(Event{Service: lockdownd, Message: r.describe(), Violation: rule})
}

// start opens a session, TLS not yet.
func (s *session) start(r *lockdownRequest) (map[string]any, error) {
	switch {
	case s.pair != nil:
		s.violation(r, "a session is open already")
		return nil, sessionActive
	case r.HostID == "":
		return nil, device.MissingHostID
	}
	pair := s.p.known(r.HostID)
	if pair == nil {
		return nil, device.InvalidHostID
	}
	if r.SystemBUID != pair.SystemBUID {
		s.violation(r, "SystemBUID is not that of the pairing")
	}
	s.pair, s.id = pair, device.NewUUID()
	return map[string]any{"SessionID": s.id, "EnableSessionSSL": true}, nil
}

// after does what follows an answer. It returns false where the connection
// ends.
func (s *session) after(ctx context.Context, request string) bool {
	switch request {
	case "Goodbye":
		return false
	case "StartSession":
		s.raw.records(true)
		conn, err := s.p.handshake(ctx, s.raw, s.pair)
		if err != nil {
			s.p.Record(Event{Service: lockdownd, Message: "TLS handshake", Violation: err.Error()})
			return false
		}
		s.conn = conn
	case "StopSession":
		return s.stop()
	}
	return true
}

// stop ends TLS: the connection goes on in plain.
func (s *session) stop() bool {
	t, ok := s.conn.(*tls.Conn)
	if !ok || t.CloseWrite() != nil {
		return false
	}
	// The host ends its half as well, or hangs up. Whatever else it says here
	// it said too early.
	n, err := t.Read(make([]byte, 1))
	if n > 0 || err != io.EOF || s.raw.SetWriteDeadline(time.Time{}) != nil { // CloseWrite left one behind
		return false
	}
	s.raw.records(false)
	s.conn, s.pair, s.id = s.raw, nil, ""
	return true
}
