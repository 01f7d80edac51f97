package backendtest

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// proxyPiece is how much travels at once: small beside what a slow line moves in the time of a round trip.
	proxyPiece = 4 << 10

	// proxyQueue is how many pieces may be under way each way: enough for 100 Mbit/s and 100 ms.
	proxyQueue = 512
)

// A Line is what a Proxy does to what passes it. The zero value does nothing.
type Line struct {
	Latency time.Duration // each way; half of a round trip
	Up      int64         // bytes a second to the server, over all connections together; 0 is no limit
	Down    int64         // bytes a second from it
}

// Traffic is what has passed a Proxy.
type Traffic struct {
	Connections int   // those that were accepted, refused ones too
	Up, Down    int64 // bytes
}

// A Proxy stands between a client and a TCP server on this computer and treats the connections as a bad network does. It
// may be used concurrently.
type Proxy struct {
	listener net.Listener
	line     Line
	up, down *rate.Limiter
	stop     context.CancelFunc // of all connections
	group    sync.WaitGroup

	mu      sync.Mutex
	target  string
	traffic Traffic
	refuse  bool
	left    int64                           // bytes until all connections are cut; negative is never
	moving  chan struct{}                   // closed while bytes move
	cuts    map[net.Conn]context.CancelFunc // by the clients' ends
}

// StartProxy listens on a free port of this computer, and passes connections on to target, a host and port. The proxy
// must be closed.
func StartProxy(target string, line Line) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{
		listener: listener, line: line, up: lineLimit(line.Up), down: lineLimit(line.Down),
		target: target, left: -1, moving: make(chan struct{}), cuts: make(map[net.Conn]context.CancelFunc),
	}
	close(p.moving)
	var ctx context.Context
	ctx, p.stop = context.WithCancel(context.Background())
	p.group.Go(func() { p.accept(ctx) })
	return p, nil
}

func lineLimit(bytes int64) *rate.Limiter {
	if bytes <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(bytes), proxyPiece)
}

// Address is the host and port that clients connect to.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Close cuts all connections and refuses new ones.
func (p *Proxy) Close() error {
	err := p.listener.Close()
	p.stop()
	p.group.Wait()
	return err
}

// Traffic tells what has passed so far.
func (p *Proxy) Traffic() Traffic {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.traffic
}

// SetTarget passes the connections that are made from now on to another server.
func (p *Proxy) SetTarget(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Cut cuts all connections that there are.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutAll()
}

func (p *Proxy) cutAll() {
	p.left = -1
	for _, cut := range p.cuts {
		cut()
	}
}

// CutAfter cuts all connections once n more bytes have passed, both ways together.
func (p *Proxy) CutAfter(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = n
}

// Refuse cuts all connections and refuses new ones, until it is called with false.
func (p *Proxy) Refuse(refuse bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse = refuse; refuse {
		p.cutAll()
	}
}

// Hang lets nothing pass on connections old and new, which stay open, until it is called with false.
func (p *Proxy) Hang(hang bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.moving:
		if hang {
			p.moving = make(chan struct{})
		}
	default:
		if !hang {
			close(p.moving)
		}
	}
}

func (p *Proxy) accept(ctx context.Context) {
	for {
		client, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		if target, ok := p.admit(); ok {
			p.group.Go(func() { p.serve(ctx, client, target) })
		} else {
			reset(client)
		}
	}
}

func (p *Proxy) admit() (target string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.traffic.Connections++
	return p.target, !p.refuse
}

// reset closes a connection in the way that shows as an error at the other end.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

func (p *Proxy) serve(ctx context.Context, client net.Conn, target string) {
	var d net.Dialer
	server, err := d.DialContext(ctx, "tcp", target)
	if err != nil {
		reset(client)
		return
	}
	ctx, cut := context.WithCancel(ctx)
	defer cut()
	p.mu.Lock()
	p.cuts[client] = cut
	if p.refuse {
		cut()
	}
	p.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { reset(client); reset(server) })
	defer stop()

	var both sync.WaitGroup
	// A connection is made with a round trip, which the client has not waited for yet.
	both.Go(func() { p.pass(ctx, cut, server, client, p.up, 2*p.line.Latency, &p.traffic.Up) })
	both.Go(func() { p.pass(ctx, cut, client, server, p.down, 0, &p.traffic.Down) })
	both.Wait()
	p.mu.Lock()
	delete(p.cuts, client)
	p.mu.Unlock()
	_ = client.Close()
	_ = server.Close()
}

// underWay is a piece that arrives at its time.
type underWay struct {
	data []byte
	due  time.Time
}

// pass moves bytes one way until an end closes or the connection is cut.
func (p *Proxy) pass(ctx context.Context, cut context.CancelFunc, to, from net.Conn, limit *rate.Limiter, late time.Duration, count *int64) {
	queue := make(chan underWay, proxyQueue)
	var ends sync.WaitGroup
	ends.Go(func() {
		for piece := range queue {
			if !wait(ctx, time.Until(piece.due)) || !p.count(ctx, count, len(piece.data)) {
				continue
			}
			if _, err := to.Write(piece.data); err != nil {
				cut()
			}
		}
		if tcp, ok := to.(*net.TCPConn); ok && ctx.Err() == nil {
			_ = tcp.CloseWrite()
		}
	})
	earliest := time.Now().Add(late)
	for {
		buf := make([]byte, proxyPiece)
		n, err := from.Read(buf)
		if n > 0 {
			if limit != nil && limit.WaitN(ctx, n) != nil {
				break
			}
			due := time.Now()
			if due.Before(earliest) {
				due = earliest
			}
			queue <- underWay{buf[:n], due.Add(p.line.Latency)}
		}
		if err != nil {
			if err != io.EOF {
				cut()
			}
			break
		}
	}
	close(queue)
	ends.Wait()
}

// count waits while nothing moves, and reports whether a piece may pass.
func (p *Proxy) count(ctx context.Context, count *int64, n int) bool {
	p.mu.Lock()
	moving := p.moving
	p.mu.Unlock()
	select {
	case <-moving:
	case <-ctx.Done():
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil {
		return false
	}
	if p.left >= 0 {
		if p.left -= int64(n); p.left < 0 {
			p.cutAll()
			return false
		}
	}
	*count += int64(n)
	return true
}

// wait reports whether ctx lasted.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
