package phone

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"russet/device"
)

// line is a phone's way to a muxer: its cable, or its network.
type line struct {
	p        *Phone
	id       int // DeviceID
	network  bool
	listener net.Listener // of lockdownd, by network

	mu      sync.Mutex // guards what follows
	gone    bool
	active  map[*context.CancelFunc]struct{} // a connection each
	waiting map[uint16]talk                  // services, by the port at which they wait
	ports   []uint16                         // of waiting, the oldest first
	port    uint16                           // that was given last
	open    int                              // listeners of services, by network
}

const (
	// maxWaiting bounds the services that wait for their connection.
	maxWaiting = 64
	// waitTime is how long a service waits for its connection, by network.
	waitTime = time.Minute
	// firstPort is that of the first service; ports below are the system's.
	firstPort = 49152
)

// talk speaks with a host.
type talk func(context.Context, net.Conn)

// run calls f, and closes conn, over which it speaks, when ctx ends or the line
// is cut. Where the line is cut already f is called all the same, with what has
// ended: it may hold more than conn.
func (l *line) run(ctx context.Context, conn io.Closer, f func(context.Context)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l.mu.Lock()
	if l.gone {
		cancel()
		conn.Close()
	} else {
		l.active[&cancel] = struct{}{}
	}
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.active, &cancel)
	}()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	f(ctx)
}

// cut ends all connections, for good.
func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = true
	for cancel := range l.active {
		(*cancel)()
	}
	if l.listener != nil {
		l.listener.Close() // nobody waits for its word
	}
}

// take returns who answers at a port, or nil. A service answers once.
func (l *line) take(ctx context.Context, spawn spawner, port uint16) talk {
	if l.network {
		return l.dial(ctx, spawn, port)
	}
	if port == device.LockdownPort {
		return func(ctx context.Context, conn net.Conn) { l.lockdown(ctx, spawn, conn) }
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.waiting[port]
	l.forget(port)
	return t
}

// forget frees a port. The caller holds l.mu.
func (l *line) forget(port uint16) {
	delete(l.waiting, port)
	l.ports = slices.DeleteFunc(l.ports, func(p uint16) bool { return p == port })
}

// dial connects by network, as muxers do for some programs.
func (l *line) dial(ctx context.Context, spawn spawner, port uint16) talk {
	var d net.Dialer
	far, err := d.DialContext(ctx, "tcp", net.JoinHostPort(l.p.opts.Network.String(), strconv.Itoa(int(port))))
	if err != nil {
		return nil
	}
	return func(ctx context.Context, conn net.Conn) {
		defer context.AfterFunc(ctx, func() { far.Close() })()
		spawn(func(context.Context) {
			_, _ = io.Copy(far, conn)
			far.Close()
		})
		_, _ = io.Copy(conn, far)
		far.Close()
	}
}

// wait makes a service wait for its connection, and returns its port.
func (l *line) wait(spawn spawner, t talk) (uint16, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.network {
		return l.listen(spawn, t)
	}
	if len(l.ports) == maxWaiting {
		l.forget(l.ports[0])
	}
	for {
		l.port = max(l.port+1, firstPort)
		if l.waiting[l.port] == nil && l.port != device.LockdownPort {
			break
		}
	}
	l.waiting[l.port] = t
	l.ports = append(l.ports, l.port)
	return l.port, nil
}

// listen makes a service wait at a real port. The caller holds l.mu.
func (l *line) listen(spawn spawner, t talk) (uint16, error) {
	if l.open >= maxWaiting {
		return 0, serviceLimit
	}
	ear, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(l.p.opts.Network, 0)))
	if err != nil {
		return 0, fmt.Errorf("start a service: %w", err)
	}
	l.open++
	spawn(func(ctx context.Context) {
		l.run(ctx, ear, func(ctx context.Context) {
			conn, err := acceptOne(ear)
			l.mu.Lock()
			l.open--
			l.mu.Unlock()
			if err != nil {
				return
			}
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			t(ctx, conn)
		})
	})
	return uint16(ear.Addr().(*net.TCPAddr).Port), nil
}

// acceptOne waits for one connection, and not for ever.
func acceptOne(ear *net.TCPListener) (net.Conn, error) {
	defer ear.Close()
	if err := ear.SetDeadline(time.Now().Add(waitTime)); err != nil {
		return nil, err
	}
	return ear.Accept()
}
