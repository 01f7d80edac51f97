package device

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

const (
	// lockdownTimeout is how long lockdownd may take for an answer, unless the
	// context says otherwise.
	lockdownTimeout = 10 * time.Second
	// farewell is how long a polite end may take.
	farewell = time.Second
)

// Lockdown is a connection to lockdownd, which tells facts, pairs, and starts
// services. A request takes at most ten seconds, unless the context's own
// deadline says otherwise; when its context ends, or when the answer cannot be
// read, the connection is closed. What the phone refuses is a [LockdownError]
// in the error, and the connection goes on. It is for one goroutine.
type Lockdown struct {
	mux     *Mux
	device  Device
	conn    net.Conn
	record  *PairRecord // of the session
	session string
	version string
}

// OpenLockdown connects to lockdownd. Without a session it tells little:
// enough to show the phone, and to pair.
func (m *Mux) OpenLockdown(ctx context.Context, d Device) (*Lockdown, error) {
	conn, err := m.Dial(ctx, d, LockdownPort)
	if err != nil {
		return nil, fmt.Errorf("open lockdownd: %w", err)
	}
	l := &Lockdown{mux: m, device: d, conn: conn}
	answer, err := l.call(ctx, map[string]any{"Request": "QueryType"})
	if err == nil && answer.text("Type") != "com.apple.mobile.lockdown" {
		err = errors.New("something else answers")
	}
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("open lockdownd: %w", err)
	}
	return l, nil
}

// Close hangs up, and ends the session if there is one.
func (l *Lockdown) Close() error {
	if l.session != "" {
		ctx, cancel := context.WithTimeout(context.Background(), farewell)
		defer cancel()
		if send(ctx, l.conn, 0, map[string]any{"Request": "StopSession", "SessionID": l.session, "Label": label}) != nil {
			return nil // it is closed
		}
	}
	cut(l.conn)
	return nil
}

func (l *Lockdown) call(ctx context.Context, request map[string]any) (dict, error) {
	request["Label"] = label
	answer, err := call(ctx, l.conn, lockdownTimeout, request)
	if err != nil {
		return nil, err
	}
	return answer, checkAnswer(request["Request"].(string), answer)
}

// checkAnswer returns what is wrong with an answer of lockdownd.
func checkAnswer(request string, answer dict) error {
	if refusal, ok := answer["Error"]; ok {
		word, _ := refusal.(string)
		return LockdownError(word)
	}
	// Phones answer Unpair under the name of its older sister.
	if got := answer.text("Request"); got != request && (request != "Unpair" || got != "ValidatePair") {
		return fmt.Errorf("the phone answers another request than %s", request)
	}
	if answer.text("Result") == "Failure" { // before iOS 5
		return LockdownError("Failure")
	}
	return nil
}

// Value returns a value of a domain, "" being the general one: a string, an
// int64 or uint64, a float64, a bool, a time, bytes, a list or a dictionary of
// such. One that the phone does not have is an error that wraps [MissingValue].
func (l *Lockdown) Value(ctx context.Context, domain, key string) (any, error) {
	answer, err := l.call(ctx, lockdownValue("GetValue", domain, key))
	if err != nil {
		return nil, fmt.Errorf("ask the phone for %s: %w", named(domain, key), err)
	}
	v, ok := answer["Value"]
	if !ok {
		return nil, fmt.Errorf("ask the phone for %s: %w", named(domain, key), MissingValue)
	}
	return v, nil
}

// Values returns all values of a domain.
func (l *Lockdown) Values(ctx context.Context, domain string) (map[string]any, error) {
	v, err := l.Value(ctx, domain, "")
	if err != nil {
		return nil, err
	}
	d, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("ask the phone for %s: the answer is no dictionary", named(domain, ""))
	}
	return d, nil
}

// SetValue changes a value.
func (l *Lockdown) SetValue(ctx context.Context, domain, key string, value any) error {
	request := lockdownValue("SetValue", domain, key)
	request["Value"] = value
	if _, err := l.call(ctx, request); err != nil {
		return fmt.Errorf("set %s of the phone: %w", named(domain, key), err)
	}
	return nil
}

func lockdownValue(request, domain, key string) map[string]any {
	m := map[string]any{"Request": request}
	if domain != "" {
		m["Domain"] = domain
	}
	if key != "" {
		m["Key"] = key
	}
	return m
}

// named is how errors call a value: by the name that it has on every phone.
func named(domain, key string) string {
	switch {
	case key == "" && domain == "":
		return "its values"
	case key == "":
		return "its values of " + domain
	}
	return key
}

// text is a value that is a string.
func (l *Lockdown) text(ctx context.Context, key string) (string, error) {
	v, err := l.Value(ctx, "", key)
	return dict{key: v}.text(key), err
}

// StartSession proves the pairing to the phone, and the phone to us: what
// follows is encrypted. An error that wraps [InvalidHostID] says that the phone
// does not know the pairing, one that wraps [ErrOtherPhone] that it is not the
// phone of the pairing.
func (l *Lockdown) StartSession(ctx context.Context, r *PairRecord) error {
	if l.version == "" {
		version, err := l.text(ctx, "ProductVersion")
		if err != nil {
			return fmt.Errorf("start a session: %w", err)
		}
		l.version = version
	}
	answer, err := l.call(ctx, map[string]any{"Request": "StartSession", "HostID": r.HostID, "SystemBUID": r.SystemBUID})
	switch {
	case err != nil:
		return fmt.Errorf("start a session: %w", err)
	case answer.text("SessionID") == "":
		return errors.New("start a session: the phone gives it no name")
	case !answer.yes("EnableSessionSSL"):
		// All phones encrypt; who does not wish to has no phone's key.
		return fmt.Errorf("start a session: it would not be encrypted: %w", ErrOtherPhone)
	}
	conn, err := secure(ctx, l.conn, r, l.version)
	if err != nil {
		return fmt.Errorf("start a session: %w", err)
	}
	l.conn, l.record, l.session = conn, r, answer.text("SessionID")
	if major(l.version) >= firstTLS12 {
		return nil
	}
	// The version was asked in plain: a stranger could have made it an old one.
	if version, err := l.text(ctx, "ProductVersion"); err != nil || version != l.version {
		cut(l.conn)
		return fmt.Errorf("start a session: the phone's iOS is not as old as was said: %w", cmp.Or(err, ErrOtherPhone))
	}
	return nil
}

// StartService starts a service and connects to it, encrypted where the phone
// wants it. With escrow a phone that is locked, but was unlocked since it was
// switched on, starts it as well. ctx bounds the start; the connection is the
// caller's.
func (l *Lockdown) StartService(ctx context.Context, name string, escrow bool) (net.Conn, error) {
	conn, err := l.startService(ctx, name, escrow)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return conn, nil
}

func (l *Lockdown) startService(ctx context.Context, name string, escrow bool) (net.Conn, error) {
	request := map[string]any{"Request": "StartService", "Service": name}
	if l.record == nil {
		return nil, SessionInactive
	}
	if escrow {
		if len(l.record.EscrowBag) == 0 {
			return nil, errors.New("the pair record has no escrow bag")
		}
		request["EscrowBag"] = l.record.EscrowBag
	}
	answer, err := l.call(ctx, request)
	if err != nil {
		return nil, err
	}
	port, ok := answer.number("Port")
	if !ok || port < 1 || port > 65535 {
		return nil, errors.New("the phone names no port")
	}
	conn, err := l.mux.Dial(ctx, l.device, uint16(port))
	if err != nil || !answer.yes("EnableServiceSSL") {
		return conn, err
	}
	return secure(ctx, conn, l.record, l.version)
}
