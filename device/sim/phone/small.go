package phone

import (
	"context"
	"errors"
	"net"
	"time"

	"russet/device"
	"russet/internal/plist"
)

// serveDiagnostics speaks as diagnostics_relay.
func (p *Phone) serveDiagnostics(_ context.Context, conn net.Conn) error {
	for {
		var r struct {
			Request           string
			MobileGestaltKeys []string
		}
		if err := readRequest(conn, &r); err != nil {
			return err
		}
		p.Record(Event{Service: diagnostics, Message: word(r.Request)})
		if err := device.WritePlist(conn, p.diagnose(r.Request, r.MobileGestaltKeys), plist.XML); err != nil {
			return err
		}
		if r.Request == "Goodbye" {
			return nil
		}
	}
}

func (p *Phone) diagnose(request string, keys []string) map[string]any {
	const most = 1000
	a := map[string]any{"Status": "Success"}
	switch request {
	case "MobileGestalt":
		answers := map[string]any{"Status": "Success"}
		if p.atLeast(17, 4) {
			answers["Status"] = "MobileGestaltDeprecated"
			keys = nil
		}
		for _, key := range keys[:min(len(keys), most)] {
			if v := p.Value(noDomain, key); v != nil {
				answers[key] = v
			}
		}
		a["Diagnostics"] = map[string]any{"MobileGestalt": answers}
	case "All", "GasGauge":
		a["Diagnostics"] = map[string]any{"GasGauge": map[string]any{"CycleCount": 211, "DesignCapacity": 3227, "FullChargeCapacity": 2902, "Status": "Success"}}
	case "WiFi", "NAND":
		a["Diagnostics"] = map[string]any{request: map[string]any{"Status": "Success"}}
	case "IORegistry":
		a["Diagnostics"] = map[string]any{"IORegistry": map[string]any{}}
	case "Restart", "Shutdown", "Sleep", "Goodbye":
	default:
		p.Record(Event{Service: diagnostics, Message: word(request), Violation: "the service has no such request"})
		a["Status"] = "UnknownRequest"
	}
	return a
}

// serveHeartbeat asks whether the host is still there, until it does not
// answer between two beats.
func (p *Phone) serveHeartbeat(ctx context.Context, conn net.Conn) error {
	marco := map[string]any{"Command": "Marco", "Interval": int(p.opts.Heartbeat / time.Second), "SupportsSleepy": true}
	beat := time.NewTicker(p.opts.Heartbeat)
	defer beat.Stop()
	for {
		if err := device.WritePlist(conn, marco, plist.XML); err != nil {
			return err
		}
		if err := conn.SetReadDeadline(time.Now().Add(p.opts.Heartbeat)); err != nil {
			return err
		}
		var r struct{ Command string }
		if err := readRequest(conn, &r); err != nil {
			if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
				p.Record(Event{Service: heartbeat, Message: "Marco", Violation: "the host did not answer in time"})
			}
			return err
		}
		p.Record(Event{Service: heartbeat, Message: word(r.Command)})
		if r.Command != "Polo" {
			p.Record(Event{Service: heartbeat, Message: word(r.Command), Violation: "the answer to Marco is Polo"})
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-beat.C:
		}
	}
}

// serveAssertions speaks as the assertion agent: a phone with an assertion does
// not sleep while the connection lasts.
func (p *Phone) serveAssertions(_ context.Context, conn net.Conn) error {
	for {
		var r struct{ CommandKey, AssertionTypeKey string }
		if err := readRequest(conn, &r); err != nil {
			return err
		}
		p.Record(Event{Service: assertions, Message: word(r.CommandKey + " " + r.AssertionTypeKey)})
		a := map[string]any{"Status": "Success"}
		if r.CommandKey != "CommandCreateAssertion" {
			a["Status"] = "Failure"
			p.Record(Event{Service: assertions, Message: word(r.CommandKey), Violation: "the service has no such command"})
		}
		if err := device.WritePlist(conn, a, plist.XML); err != nil {
			return err
		}
	}
}
