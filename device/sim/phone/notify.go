package phone

import (
	"context"
	"net"

	"russet/device"
	"russet/internal/plist"
)

// observer is a host that waits for notifications.
type observer struct {
	names map[string]bool
	fired chan string
}

// What an observer can cost.
const (
	maxNames   = 256
	maxName    = 256 // bytes
	maxBacklog = 256 // notifications that the host did not take yet; what comes on top is lost
)

// Notify posts a notification: hosts that observe its name are told.
func (p *Phone) Notify(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for o := range p.observers {
		if !o.names[name] {
			continue
		}
		select {
		case o.fired <- name:
		default:
		}
	}
}

// serveNotifications speaks as the notification proxy, secure or not.
func (p *Phone) serveNotifications(ctx context.Context, service string, conn net.Conn) error {
	ctx, cancel := context.WithCancel(ctx)
	o := &observer{names: map[string]bool{}, fired: make(chan string, maxBacklog)}
	p.mu.Lock()
	p.observers[o] = struct{}{}
	p.mu.Unlock()
	done := make(chan struct{})
	defer func() {
		cancel()
		p.mu.Lock()
		delete(p.observers, o)
		p.mu.Unlock()
		conn.Close() // the relay may be writing
		<-done
	}()
	death := make(chan struct{})
	go func() {
		defer close(done)
		relay(ctx, conn, o, death)
	}()
	for {
		var r struct{ Command, Name string }
		if err := readRequest(conn, &r); err != nil {
			return err
		}
		switch r.Command {
		case "ObserveNotification":
			p.observe(service, o, r.Name)
		case "PostNotification":
			p.Notify(r.Name)
		case "Shutdown":
			p.Record(Event{Service: service, Message: r.Command})
			close(death)
			<-done
			return nil
		default:
			p.Record(Event{Service: service, Message: word(r.Command), Violation: "the service has no such command"})
			continue
		}
		// Now it holds: whoever is told so may post what is observed.
		p.Record(Event{Service: service, Message: word(r.Command + " " + r.Name)})
	}
}

// observe adds a name to an observer's.
func (p *Phone) observe(service string, o *observer, name string) {
	p.mu.Lock()
	fits := name != "" && len(name) <= maxName && len(o.names) < maxNames
	if fits {
		o.names[name] = true
	}
	p.mu.Unlock()
	if !fits {
		p.Record(Event{Service: service, Message: "ObserveNotification", Violation: "a name is empty or too long, or there are too many"})
	}
}

// relay tells a host what it observes, and at last of the proxy's death.
func relay(ctx context.Context, conn net.Conn, o *observer, death chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-death:
			_ = device.WritePlist(conn, map[string]any{"Command": "ProxyDeath"}, plist.XML) // or it has gone
			return
		case name := <-o.fired:
			if device.WritePlist(conn, map[string]any{"Command": "RelayNotification", "Name": name}, plist.XML) != nil {
				return
			}
		}
	}
}
